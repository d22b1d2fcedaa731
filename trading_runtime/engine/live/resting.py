"""Orders that rest in a simulated venue: what they say, and the orders made of that again.

The engine's simulated venue keeps nothing beyond its process, so an order is put back with all its
terms: an expiry, the order whose fill it waits for, or the one that ends when it is filled.
"""

from __future__ import annotations

import time
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

from nautilus_trader import model
from nautilus_trader.core import UUID4

from trading_runtime.errors import DataError
from trading_runtime.records.account import OrderTerms, RestingOrder
from trading_runtime.records.forms import to_document

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

_FURTHER = tuple(field.name for field in fields(OrderTerms))
_USUAL = (None, False, "DEFAULT", "NO_CONTINGENCY", "NO_TRIGGER")
_CREATE: dict[str, Callable[[model.OrderInitialized], Any]] = {
    "LIMIT": model.LimitOrder.create,
    "STOP_MARKET": model.StopMarketOrder.create,
    "STOP_LIMIT": model.StopLimitOrder.create,
    "MARKET_IF_TOUCHED": model.MarketIfTouchedOrder.create,
    "LIMIT_IF_TOUCHED": model.LimitIfTouchedOrder.create,
    "TRAILING_STOP_MARKET": model.TrailingStopMarketOrder.create,
    "TRAILING_STOP_LIMIT": model.TrailingStopLimitOrder.create,
}
_OF_A_LIMIT = {"MARKET_TO_LIMIT", "STOP_LIMIT", "LIMIT_IF_TOUCHED", "TRAILING_STOP_LIMIT"}
"""Types of orders that become limit orders: by their first fill, or when they are triggered."""
_OF_A_TRIGGER = (
    "activation_price",
    "trigger_type",
    "limit_offset",
    "trailing_offset",
    "trailing_offset_type",
)


def further_terms(order: Any) -> OrderTerms | None:
    """Return what an order says besides the usual, ``None`` for nothing."""
    if order.order_type.name == "MARKET":
        return None  # it never rests
    said = order.init_event.to_dict()
    found = {name: said[name] for name in _FURTHER if said[name] not in _USUAL}
    return OrderTerms(**found) if found else None


def resting_order(order: Any) -> RestingOrder:
    """Return what an order that rests says now."""
    kind, trigger = order.order_type.name, _text(getattr(order, "trigger_price", None))
    terms = further_terms(order)
    if terms is not None and order.emulation_trigger is None:
        terms = replace(terms, emulation_trigger=None)
    if kind in _OF_A_LIMIT and getattr(order, "is_triggered", True):
        kind, trigger = "LIMIT", None
        terms = terms and replace(terms, **dict.fromkeys(_OF_A_TRIGGER))
    return RestingOrder(
        str(order.client_order_id),
        str(order.instrument_id),
        order.side.name,
        kind,
        str(order.leaves_qty),
        _text(getattr(order, "price", None)),
        trigger,
        order.time_in_force.name,
        order.is_reduce_only,
        terms,
    )


def made_again(facts: RestingOrder, strategy: Any) -> Any:
    """Return a new order with these facts; raises ``DataError`` when they fit no order."""
    now = time.time_ns()
    try:
        init = model.OrderInitialized.from_dict(
            {
                **dict.fromkeys(_FURTHER),  # all are asked for
                "type": "OrderInitialized",
                "trader_id": str(strategy.trader_id),
                "strategy_id": str(strategy.strategy_id),
                "instrument_id": facts.instrument,
                "client_order_id": facts.order_id,
                "order_side": facts.side,
                "order_type": facts.type,
                "quantity": facts.quantity,
                "price": facts.price,
                "trigger_price": facts.trigger_price,
                "trigger_type": None if facts.type == "LIMIT" else "DEFAULT",
                "time_in_force": facts.time_in_force,
                "post_only": False,
                "reduce_only": facts.reduce_only,
                "quote_quantity": False,
                "reconciliation": False,
                "event_id": str(UUID4()),
                "ts_event": now,
                "ts_init": now,
                "exec_algorithm_id": None,
                "exec_algorithm_params": None,
                "exec_spawn_id": None,
                "causation_id": None,
                **({} if facts.terms is None else to_document(facts.terms)),
            }
        )
        return _CREATE[facts.type](init)
    except (ValueError, TypeError, KeyError) as error:
        raise DataError(
            f"order {facts.order_id}: a resting {facts.type} order cannot be put back: {error}; "
            "begin with 'trade --fresh', or let on_stop be 'cancel'"
        ) from error


def ended_since(orders: Sequence[RestingOrder], now: int) -> dict[str, str]:
    """Return how orders have ended by ``now``, by their ids.

    As in the engine, an order that expires ends those that are tied to it.
    """
    there = {order.order_id for order in orders}
    ended: dict[str, str] = {}
    for order in orders:
        terms = order.terms
        if terms is None or terms.expire_time is None or terms.expire_time > now:
            continue
        for name in terms.linked_order_ids or ():
            if name in there:
                ended.setdefault(name, "canceled")
        ended[order.order_id] = "expired"
    return ended


def in_order(orders: Sequence[RestingOrder]) -> list[RestingOrder]:
    """Return orders with those before them that they wait for, and tied to these orders alone.

    The engine's venue looks for every order that another names.
    """
    there = {order.order_id for order in orders}
    return sorted(
        (
            order if order.terms is None else replace(order, terms=_tied_to(order.terms, there))
            for order in orders
        ),
        key=lambda order: order.terms is not None and order.terms.parent_order_id is not None,
    )


def _tied_to(terms: OrderTerms, there: set[str]) -> OrderTerms:
    linked = [name for name in terms.linked_order_ids or () if name in there]
    parent = terms.parent_order_id
    return replace(
        terms,
        parent_order_id=parent if parent in there else None,
        linked_order_ids=linked or None,
        contingency_type=terms.contingency_type if linked else None,
    )


def waiting_for_parents(orders: Iterable[Any]) -> list[Any]:
    """Return those of ``orders`` that the venue has, and does not accept before another's fill."""
    return [
        order
        for order in orders
        if order.parent_order_id is not None and order.status.name == "SUBMITTED"
    ]


def _text(value: Any) -> str | None:
    return None if value is None else str(value)
