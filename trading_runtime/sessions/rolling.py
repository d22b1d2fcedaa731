"""What a paper account holds after the events that its last session wrote but did not save.

A killed session leaves a journal that is slightly ahead of the account's state. The lines are
applied here: a position is averaged when it grows, and realises profit when it shrinks.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from decimal import Decimal, localcontext
from typing import TYPE_CHECKING, Any

from trading_runtime.canonical import decimal_text
from trading_runtime.records.account import HeldPosition, RestingOrder
from trading_runtime.units import parse_instant

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from trading_runtime.records.account import AccountState
    from trading_runtime.records.instruments import InstrumentDefinition

_DIGITS = 60


def rolled_forward(
    state: AccountState,
    entries: Iterable[Mapping[str, Any]],
    instruments: Mapping[str, InstrumentDefinition],
    *,
    is_cash: bool,
) -> AccountState:
    """Return the account after ``entries``, the lines of the journal of the session that saved it.

    Of those that ``state`` covers, only the fills of its orders count. ``instruments`` are the
    definitions of a dataset's manifest, by id. ``is_cash`` says that a fill moves the whole value,
    not only what it realises.
    """
    with localcontext() as context:
        context.prec = _DIGITS
        entries = list(entries)
        filled: defaultdict[str, Decimal] = defaultdict(Decimal)
        for entry in entries:
            if entry["event"] == "order_filled" and entry["sequence"] < state.lines:
                filled[entry["payload"]["order_id"]] += Decimal(entry["payload"]["quantity"])
        books = _Books(state, instruments, filled, is_cash=is_cash)
        for entry in entries:
            if entry["sequence"] < state.lines:
                continue
            books.enter(entry["event"], entry["payload"])
        return books.state()


class _Books:
    def __init__(
        self,
        state: AccountState,
        instruments: Mapping[str, InstrumentDefinition],
        filled: Mapping[str, Decimal],
        *,
        is_cash: bool,
    ) -> None:
        self._state = state
        self._instruments = instruments
        self._is_cash = is_cash
        self._at = state.at
        self._balances: defaultdict[str, Decimal] = defaultdict(Decimal)
        for text in state.balances:
            amount, _, code = text.partition(" ")
            self._balances[code] += Decimal(amount)
        self._positions = {
            item.instrument: (Decimal(item.quantity), Decimal(item.average_price))
            for item in state.positions
        }
        self._orders = {item.order_id: item for item in state.orders}
        self._sent: dict[str, RestingOrder] = {}
        self._filled = defaultdict(Decimal, filled)

    def enter(self, event: str, payload: Mapping[str, Any]) -> None:
        if event == "order_submitted":
            if at := payload.get("at"):
                self._at = max(self._at, parse_instant(at))
            self._sent[payload["order_id"]] = RestingOrder(
                payload["order_id"],
                payload["instrument"],
                payload["side"],
                payload["type"],
                payload["quantity"],
                payload.get("price"),
                payload.get("trigger_price"),
                payload.get("time_in_force", "GTC"),
                payload.get("reduce_only", False),
            )
        elif event == "order_accepted" and payload["order_id"] in self._sent:
            self._orders[payload["order_id"]] = self._sent[payload["order_id"]]
        elif event == "order_updated" and payload["order_id"] in self._orders:
            order = self._orders[payload["order_id"]]
            self._orders[payload["order_id"]] = replace(
                order,
                quantity=self._left_of(payload) or order.quantity,
                price=payload.get("price") or order.price,
                trigger_price=payload.get("trigger_price") or order.trigger_price,
            )
        elif event == "order_ended":
            self._orders.pop(payload["order_id"], None)
        elif event == "order_filled":
            self._fill(payload)

    def _fill(self, payload: Mapping[str, Any]) -> None:
        self._at = max(self._at, parse_instant(payload["at"]))
        quantity, price = Decimal(payload["quantity"]), Decimal(payload["price"])
        self._reduce_order(payload["order_id"], quantity)
        name = payload["instrument"]
        if fee := payload.get("fee"):
            amount, _, code = fee.partition(" ")
            self._balances[code] -= Decimal(amount)
        definition = self._instruments[name]
        signed = quantity if payload["side"] == "BUY" else -quantity
        held, average = self._positions.get(name, (Decimal(0), Decimal(0)))
        closed = min(abs(held), quantity) if held * signed < 0 else Decimal(0)
        if self._is_cash:
            if definition.base_currency is not None:
                self._balances[definition.base_currency] += signed
            self._balances[definition.traded_currency] -= signed * price
        elif closed:
            code, made = _realised(definition, closed, average, price)
            self._balances[code] += made if held > 0 else -made
        after = held + signed
        if not after:
            self._positions.pop(name, None)
        elif held * signed >= 0:
            self._positions[name] = (
                after,
                (abs(held) * average + quantity * price) / abs(after),
            )
        else:
            self._positions[name] = after, price if after * held < 0 else average

    def _left_of(self, payload: Mapping[str, Any]) -> str | None:
        """Return what is not filled of an order that was changed, if its quantity is stated."""
        if (whole := payload.get("quantity")) is None:
            return None
        return decimal_text(Decimal(whole) - self._filled[payload["order_id"]])

    def _reduce_order(self, order_id: str, quantity: Decimal) -> None:
        self._filled[order_id] += quantity
        order = self._orders.get(order_id)
        if order is None:
            return
        left = Decimal(order.quantity) - quantity
        if left > 0:
            self._orders[order_id] = replace(order, quantity=str(left))
        else:
            del self._orders[order_id]

    def state(self) -> AccountState:
        return replace(
            self._state,
            at=self._at,
            balances=sorted(f"{decimal_text(v)} {code}" for code, v in self._balances.items()),
            positions=[
                HeldPosition(name, decimal_text(quantity), decimal_text(average))
                for name, (quantity, average) in sorted(self._positions.items())
            ],
            orders=list(self._orders.values()),
        )


def _realised(
    definition: InstrumentDefinition, quantity: Decimal, opened: Decimal, closed: Decimal
) -> tuple[str, Decimal]:
    """Return the profit of a long position opened and closed at these prices."""
    size = quantity * (definition.multiplier or 1)
    if definition.is_inverse and definition.base_currency is not None:
        return definition.base_currency, size * (1 / opened - 1 / closed)
    return definition.traded_currency, size * (closed - opened)
