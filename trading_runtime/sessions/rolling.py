"""What a paper account holds after the events that its last session wrote but did not save.

A killed session leaves a journal that is slightly ahead of the account's state. The lines are
applied here: a position is averaged when it grows, and realises profit when it shrinks.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from decimal import Decimal, localcontext
from typing import TYPE_CHECKING

from trading_runtime.canonical import decimal_text
from trading_runtime.errors import UsageError
from trading_runtime.records import session_events as events
from trading_runtime.records.account import HeldPosition, RestingOrder
from trading_runtime.units import parse_instant

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from trading_runtime.records.account import AccountState
    from trading_runtime.records.instruments import InstrumentDefinition
    from trading_runtime.records.journal import JournalEntry

_DIGITS = 60


def rolled_forward(
    state: AccountState,
    entries: Iterable[JournalEntry],
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
            if entry.sequence < state.lines and (fill := entry.as_event(events.OrderFilled)):
                filled[fill.order_id] += Decimal(fill.quantity)
        books = _Books(state, instruments, filled, is_cash=is_cash)
        for entry in entries:
            if entry.sequence >= state.lines:
                books.enter(entry)
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

    def enter(self, entry: JournalEntry) -> None:
        if sent := entry.as_event(events.OrderSubmitted):
            if sent.at:
                self._at = max(self._at, parse_instant(sent.at))
            self._sent[sent.order_id] = RestingOrder(
                sent.order_id,
                sent.instrument,
                sent.side,
                sent.type,
                sent.quantity,
                sent.price,
                sent.trigger_price,
                sent.time_in_force or "GTC",
                sent.reduce_only or False,
                sent.terms,
            )
        elif accepted := entry.as_event(events.OrderAccepted):
            if order := self._sent.pop(accepted.order_id, None):
                self._orders[order.order_id] = order
        elif updated := entry.as_event(events.OrderUpdated):
            orders = self._sent if updated.order_id in self._sent else self._orders
            if order := orders.get(updated.order_id):
                orders[order.order_id] = replace(
                    order,
                    quantity=self._left_of(updated) or order.quantity,
                    price=updated.price or order.price,
                    trigger_price=updated.trigger_price or order.trigger_price,
                )
        elif ended := (
            entry.as_event(events.OrderEnded)
            or entry.as_event(events.OrderDenied)
            or self._refusal(entry)
        ):
            self._orders.pop(ended.order_id, None)
            self._sent.pop(ended.order_id, None)
        elif filled := entry.as_event(events.OrderFilled):
            self._fill(filled)

    def _fill(self, fill: events.OrderFilled) -> None:
        self._at = max(self._at, parse_instant(fill.at))
        quantity, price = Decimal(fill.quantity), Decimal(fill.price)
        self._reduce_order(fill.order_id, quantity)
        name = fill.instrument
        if fill.fee:
            amount, _, code = fill.fee.partition(" ")
            self._balances[code] -= Decimal(amount)
        definition = self._instruments.get(name)
        if definition is None:
            raise UsageError(
                f"session {self._state.session!r} traded {name}, which the data does not have: add "
                "it to the data, or start over with 'trade --fresh'"
            )
        signed = quantity if fill.side == "BUY" else -quantity
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

    @staticmethod
    def _refusal(entry: JournalEntry) -> events.OrderRejected | None:
        rejected = entry.as_event(events.OrderRejected)
        return rejected if rejected is not None and rejected.what == "order" else None

    def _waiting(self) -> list[RestingOrder]:
        """Return the orders that were sent and wait for another's fill, or for their trigger."""
        return [
            order
            for order in self._sent.values()
            if (terms := order.terms) is not None
            and (terms.emulation_trigger is not None or terms.parent_order_id in self._orders)
        ]

    def _left_of(self, updated: events.OrderUpdated) -> str | None:
        """Return what is not filled of an order that was changed, if its quantity is stated."""
        if updated.quantity is None:
            return None
        return decimal_text(Decimal(updated.quantity) - self._filled[updated.order_id])

    def _reduce_order(self, order_id: str, quantity: Decimal) -> None:
        self._filled[order_id] += quantity
        self._sent.pop(order_id, None)  # one that was triggered may be filled unannounced
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
            orders=[*self._orders.values(), *self._waiting()],
        )


def _realised(
    definition: InstrumentDefinition, quantity: Decimal, opened: Decimal, closed: Decimal
) -> tuple[str, Decimal]:
    """Return the profit of a long position opened and closed at these prices."""
    size = quantity * (definition.multiplier or 1)
    if definition.is_inverse and definition.base_currency is not None:
        return definition.base_currency, size * (1 / opened - 1 / closed)
    return definition.traded_currency, size * (closed - opened)
