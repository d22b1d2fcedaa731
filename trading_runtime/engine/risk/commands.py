"""A strategy's order commands under the risk profile, including those the engine handles."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from nautilus_trader.model import OrderList, OrderSide, Quantity

from trading_runtime.engine.risk.profile import Proposal
from trading_runtime.engine.strategy.guard_state import denial, listens, modify_rejection, notify

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from nautilus_trader.trading import Strategy

    from trading_runtime.engine.risk.profile import Refusal, Risk
    from trading_runtime.engine.strategy.guard_state import GuardState


def held_to_risk(
    strategy_class: type[Strategy],
    guard: GuardState,
    risk: Risk,
    sending: Mapping[str, Callable[..., Any]],
) -> dict[str, Callable[..., Any]]:
    """Return the commands of ``strategy_class`` that send or change orders, by name.

    ``sending`` are those that send what passes.

    The engine makes the orders of ``close_position`` and ``close_all_positions`` where limits
    cannot reach them, so they are made in Python here; those of ``market_exit`` cannot be.
    """
    held = _Held(strategy_class, guard, risk)
    commands: dict[str, Callable[..., Any]] = {
        "submit_order": held.submit(sending["submit_order"]),
        "submit_order_list": held.submit(sending["submit_order_list"]),
        "modify_order": held.modify(sending["modify_order"]),
        "modify_orders": held.modify_several(sending["modify_orders"]),
    }
    for name, made in (
        ("close_position", _close_position),
        ("close_all_positions", _close_all_positions),
        ("market_exit", _market_exit),
    ):
        commands[name] = _unless_at_end(made, getattr(strategy_class, name), guard)
    return commands


class _Held:
    """Makes the commands of one strategy."""

    def __init__(self, strategy_class: type[Strategy], guard: GuardState, risk: Risk) -> None:
        self._guard = guard
        self._risk = risk
        self._refused = 0
        self._tells_denied = listens(strategy_class, "on_order_denied")
        self._tells_rejected = listens(strategy_class, "on_order_modify_rejected")

    def submit(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def command(strategy: Any, order: Any, *arguments: Any, **keywords: Any) -> Any:
            orders = order if isinstance(order, list) else [order]
            for item in orders:
                if isinstance(item, OrderList):
                    raise TypeError(
                        "with a risk section, submit_order_list takes a list of orders, as "
                        "order_factory.bracket returns"
                    )
            refusal = self._refuse(strategy, orders)
            if refusal is None:
                return original(strategy, order, *arguments, **keywords)
            for item in orders:
                event = denial(strategy, item.instrument_id, item.client_order_id, refusal.reason)
                item.apply(event)
                self._risk.refused_orders.append(item)
                self._guard.denied.add(item.client_order_id)
                if self._guard.on_denial is not None:
                    self._guard.on_denial(event)
                if self._tells_denied:
                    notify(strategy, event, "on_order_denied", self._timer())
            return None

        return command

    def modify(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def command(
            strategy: Any,
            client_order_id: Any,
            quantity: Any = None,
            price: Any = None,
            trigger_price: Any = None,
            *arguments: Any,
            **keywords: Any,
        ) -> Any:
            change = (client_order_id, quantity, price, trigger_price)
            if self._goes_out(strategy, change):
                return original(strategy, *change, *arguments, **keywords)
            return None

        return command

    def modify_several(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def command(strategy: Any, updates: Sequence[Any], *arguments: Any, **keywords: Any) -> Any:
            left = [update for update in updates if self._goes_out(strategy, update)]
            return original(strategy, left, *arguments, **keywords) if left else None

        return command

    def _goes_out(self, strategy: Any, change: Sequence[Any]) -> bool:
        order = strategy.cache.order(change[0])
        if order is None:
            return True  # the engine reports that it knows no such order
        refusal = self._refuse(strategy, [order], change[1:])
        if refusal is not None and self._tells_rejected:
            event = modify_rejection(strategy, order, refusal.reason)
            notify(strategy, event, "on_order_modify_rejected", self._timer())
        return refusal is None

    def _timer(self) -> str:
        self._refused += 1
        return f"refused-{self._refused}"

    def _refuse(
        self, strategy: Any, orders: Sequence[Any], change: Sequence[Any] = ()
    ) -> Refusal | None:
        """Return why none of ``orders`` goes out; ``change`` is what the only one is to become."""
        risk = self._risk
        if self._guard.closing:
            return None
        try:
            if (risk.limits_only_rate and risk.only_counts) or (
                not change and len(orders) == 1 and risk.is_plain(orders[0])
            ):
                return risk.count(len(orders), self._guard.now(strategy)) if risk.counts else None
            proposals = [Proposal.of(order, *change) for order in orders]
            return risk.refuse(proposals, self._guard.now(strategy))
        except Exception as error:
            # Recorded here, since the strategy may well catch it.
            self._guard.failures.record_exception(error)
            raise


def _unless_at_end(
    made: Callable[..., Any], original: Callable[..., Any], guard: GuardState
) -> Callable[..., Any]:
    @functools.wraps(original)
    def command(strategy: Any, *arguments: Any, **keywords: Any) -> Any:
        chosen = original if guard.closing else made
        return chosen(strategy, *arguments, **keywords)

    return command


def _close_position(strategy: Any, position: Any, *arguments: Any, **keywords: Any) -> None:
    _close(strategy, position.instrument_id, position.id, *arguments, **keywords)


def _close_all_positions(
    strategy: Any, instrument_id: Any, position_side: Any = None, *arguments: Any, **keywords: Any
) -> None:
    held = {"instrument_id": instrument_id, "strategy_id": strategy.strategy_id}
    if position_side is None:
        found = strategy.cache.position_open_ids(**held)
    else:
        found = [item.id for item in strategy.cache.positions_open(**held, side=position_side)]
    for position_id in sorted(found, key=str):
        _close(strategy, instrument_id, position_id, *arguments, **keywords)


def _close(  # noqa: PLR0913, PLR0917 - the engine's own
    strategy: Any,
    instrument_id: Any,
    position_id: Any,
    client_id: Any = None,
    tags: Any = None,
    time_in_force: Any = None,
    reduce_only: Any = None,
    quote_quantity: Any = None,
    params: Any = None,
) -> None:
    cache = strategy.cache
    held = cache.position_open_ids(instrument_id=instrument_id)
    if position_id not in held:
        return
    if len(held) == 1:
        # The cache would copy the position with every trade that it ever had.
        net = strategy.portfolio.net_position(instrument_id)
        is_short = net < 0
        quantity = Quantity.from_decimal_dp(
            abs(net), cache.instrument(instrument_id).size_precision
        )
    else:
        position = cache.position(position_id)
        is_short, quantity = position.is_short, position.quantity
    order = strategy.order_factory.market(
        instrument_id,
        OrderSide.BUY if is_short else OrderSide.SELL,
        quantity,
        time_in_force=time_in_force,
        reduce_only=reduce_only is not False,
        quote_quantity=quote_quantity,
        tags=tags,
    )
    strategy.submit_order(order, position_id, client_id, params)


def _market_exit(*_: Any, **__: Any) -> None:
    raise RuntimeError(
        "market_exit() sends orders that cannot be held to the risk section's limits; use "
        "cancel_all_orders and close_all_positions, or leave the section out"
    )
