"""What a stand-in venue holds: prices, orders, executions, positions, and a record of all of it."""

from __future__ import annotations

import time
import uuid
from collections import defaultdict
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

_FEE_RATE = Decimal("0.00055")
HALF_SPREAD = Decimal("0.1")
OPEN = frozenset({"New", "PartiallyFilled"})
"""States of an order that rests."""


@dataclass
class HeldOrder:
    """An order that the venue accepted."""

    symbol: str
    side: str
    """``Buy`` or ``Sell``."""
    type: str
    """``Market`` or ``Limit``."""
    quantity: Decimal
    price: Decimal
    link_id: str = ""
    """The client's id of it."""
    time_in_force: str = "GTC"
    reduce_only: bool = False
    status: str = "New"
    filled: Decimal = Decimal(0)
    average: Decimal = Decimal(0)
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    created: int = 0
    updated: int = 0

    @property
    def left(self) -> Decimal:
        """What is not filled."""
        return self.quantity - self.filled

    @property
    def sign(self) -> int:
        """1 when it buys, -1 when it sells."""
        return 1 if self.side == "Buy" else -1


@dataclass(frozen=True)
class Execution:
    """One fill."""

    order: HeldOrder
    quantity: Decimal
    price: Decimal
    fee: Decimal
    left: Decimal
    is_maker: bool
    at: int
    number: int
    id: str


@dataclass(frozen=True)
class RecordedFact:
    """A line of the venue's own record."""

    at: float
    """When, in seconds since the epoch."""
    what: str
    """``accepted``, ``filled``, ``changed``, ``cancelled``, ``rejected`` or ``request``."""
    about: str
    """The client's id of an order, else the venue's; for a request its path."""
    facts: dict[str, Any]


class Exchange:
    """The books of the venue; who connects how is another matter."""

    def __init__(self, prices: dict[str, str]) -> None:
        self.prices = {symbol: Decimal(price) for symbol, price in prices.items()}
        self.orders: dict[str, HeldOrder] = {}
        self.executions: list[Execution] = []
        self.positions: defaultdict[str, Decimal] = defaultdict(Decimal)
        self.averages: defaultdict[str, Decimal] = defaultdict(Decimal)
        self.wallet = Decimal(100_000)
        self.record: list[RecordedFact] = []
        self.clock_offset = 0.0
        """By how many seconds the venue's clock is ahead of this machine's."""
        self.refusal: str | None = None
        """Why the next order is rejected, if it is."""
        self.fills_at_once = True
        """Whether an order that crosses the spread is filled; else it rests as if it did not."""
        self.most_filled: Decimal | None = None
        """How much of an order is filled at once, if not all of it."""
        self.fill_before_cancel = False
        """Whether a resting order is filled while its cancellation, or a change, is under way."""
        self.on_order: Callable[[HeldOrder], None] = lambda _order: None
        self.on_execution: Callable[[Execution], None] = lambda _execution: None

    @property
    def now(self) -> int:
        """The venue's clock, milliseconds since the epoch."""
        return int((time.time() + self.clock_offset) * 1000)

    def note(self, what: str, about: str, **facts: Any) -> None:
        """Write a line of the record."""
        self.record.append(RecordedFact(time.time(), what, about, facts))

    def recorded(self, what: str) -> list[RecordedFact]:
        """Return the lines of one kind."""
        return [entry for entry in list(self.record) if entry.what == what]

    @property
    def open_orders(self) -> list[HeldOrder]:
        """The orders that rest."""
        return [order for order in self.orders.values() if order.status in OPEN]

    def find(self, order_id: str = "", link_id: str = "") -> HeldOrder | None:
        """Return the order with the venue's or the client's id."""
        if order_id:
            return self.orders.get(order_id)
        found = [order for order in self.orders.values() if link_id and order.link_id == link_id]
        return found[-1] if found else None

    def place(self, order: HeldOrder) -> str | None:
        """Accept an order; return why not otherwise. It is matched by ``match``."""
        refusal, self.refusal = self.refusal, None
        if refusal is None and order.link_id and self.find(link_id=order.link_id) is not None:
            refusal = "OrderLinkedID is duplicate"
        held = self.positions[order.symbol]
        if refusal is None and order.reduce_only and held * order.sign >= 0:
            refusal = "current position is zero, cannot fix reduce-only order qty"
        if refusal is not None:
            self.note("rejected", order.link_id or order.id, why=refusal)
            return refusal
        if order.reduce_only:
            order.quantity = min(order.quantity, abs(held))
        order.created = order.updated = self.now
        self.orders[order.id] = order
        self.note(
            "accepted",
            order.link_id or order.id,
            symbol=order.symbol,
            side=order.side,
            type=order.type,
            quantity=str(order.quantity),
            reduce_only=order.reduce_only,
        )
        return None

    def match(self, order: HeldOrder, *, is_maker: bool = False) -> None:
        """Fill an order as far as the price and the faults allow."""
        if order.status not in OPEN or not self.fills_at_once:
            return
        price = self.prices[order.symbol] + order.sign * HALF_SPREAD
        if order.type == "Limit" and (order.price - price) * order.sign < 0:
            return
        if order.type == "Limit" and is_maker:
            price = order.price
        quantity = order.left if self.most_filled is None else min(order.left, self.most_filled)
        self.fill(order, quantity, price, is_maker=is_maker)
        if order.type == "Market" and order.left and self.most_filled is None:
            self.end(order, "Cancelled")

    def fill(
        self,
        order: HeldOrder,
        quantity: Decimal,
        price: Decimal | None = None,
        *,
        is_maker: bool = True,
    ) -> None:
        """Fill so much of an order."""
        price = order.price if price is None else price
        fee = (quantity * price * _FEE_RATE).quantize(Decimal("0.00000001"))
        held, average = self.positions[order.symbol], self.averages[order.symbol]
        signed = order.sign * quantity
        closed = min(abs(held), quantity) if held * signed < 0 else Decimal(0)
        self.wallet += closed * (price - average) * (1 if held > 0 else -1) - fee
        after = held + signed
        if held * signed >= 0:
            average = (abs(held) * average + quantity * price) / abs(after)
        elif after * held < 0:
            average = price
        self.positions[order.symbol], self.averages[order.symbol] = after, average
        order.average = (order.average * order.filled + quantity * price) / (
            order.filled + quantity
        )
        order.filled += quantity
        order.status = "PartiallyFilled" if order.left else "Filled"
        order.updated = self.now
        execution = Execution(
            order,
            quantity,
            price,
            fee,
            order.left,
            is_maker,
            self.now,
            len(self.executions) + 1,
            str(uuid.uuid4()),
        )
        self.executions.append(execution)
        facts = {"trade_id": execution.id, "quantity": str(quantity), "price": str(price)}
        self.note("filled", order.link_id or order.id, **facts)
        self.on_execution(execution)
        self.on_order(order)

    def cancel(self, order: HeldOrder | None) -> str | None:
        """Cancel an order; return why not otherwise."""
        if order is not None and order.status in OPEN and self.fill_before_cancel:
            self.fill(order, order.left)
        if order is None or order.status not in OPEN:
            return "order not exists or too late to cancel"
        self.end(order, "Cancelled")
        return None

    def amend(self, order: HeldOrder | None, price: str | None, quantity: str | None) -> str | None:
        """Change a resting order; return why not otherwise."""
        if order is not None and order.status in OPEN and self.fill_before_cancel:
            self.fill(order, order.left)
        if order is None or order.status not in OPEN:
            return "order not exists or too late to replace"
        order.price = Decimal(price or order.price)
        order.quantity = Decimal(quantity or order.quantity)
        order.updated = self.now
        self.note("changed", order.link_id or order.id, price=str(order.price))
        self.on_order(order)
        return None

    def end(self, order: HeldOrder, status: str) -> None:
        """End an order that is not filled."""
        order.status, order.updated = status, self.now
        self.note("cancelled", order.link_id or order.id)
        self.on_order(order)

    def move(self, symbol: str, price: str) -> None:
        """Set the price, and fill what rests on its other side."""
        self.prices[symbol] = Decimal(price)
        for order in self.open_orders:
            if order.symbol == symbol:
                self.match(order, is_maker=True)
