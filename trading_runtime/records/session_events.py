"""The events of sessions: what a strategy that trades sent, what became of it, and how it was.

Prices, quantities and amounts are decimals as text. ``at`` is the time of the market data, which in
a replay is not that of the line.
"""

from __future__ import annotations

from dataclasses import dataclass

from trading_runtime.errors import Kind
from trading_runtime.records.events import Event, Mode


@dataclass(frozen=True, kw_only=True)
class PointPromoted(Event):
    """A deployment was made of a point of the run."""

    point: int
    deployment: str
    """The name of its file."""
    failed_gates: list[str]
    """What spoke against it."""
    override: str | None = None
    """Why it was promoted all the same."""


@dataclass(frozen=True, kw_only=True)
class SessionStarted(Event):
    """A session is about to connect."""

    deployment: str
    """Its name."""
    mode: Mode
    data: str
    """``replay`` with its pace, or the adapter."""
    balances: list[str]
    """What the account begins with."""
    carried_from: str | None = None
    """The session whose account goes on."""


@dataclass(frozen=True, kw_only=True)
class SessionConnected(Event):
    """Data comes in and orders may go out."""

    seconds: float
    """Since the start."""


@dataclass(frozen=True, kw_only=True)
class HealthServed(Event):
    """The session's HTTP server answers."""

    address: str


@dataclass(frozen=True, kw_only=True)
class AccountRestored(Event):
    """Positions and resting orders of an earlier session are there again."""

    session: str
    positions: list[str]
    orders: list[str]


@dataclass(frozen=True, kw_only=True)
class OrderSubmitted(Event):
    """An order is about to go out: the line is there before the request is."""

    order_id: str
    instrument: str
    side: str
    type: str
    quantity: str
    price: str | None = None
    trigger_price: str | None = None
    time_in_force: str | None = None
    reduce_only: bool | None = None
    at: str | None = None


@dataclass(frozen=True, kw_only=True)
class OrderAccepted(Event):
    """The venue has the order."""

    order_id: str
    venue_order_id: str | None = None


@dataclass(frozen=True, kw_only=True)
class OrderUpdated(Event):
    """The venue has changed the order."""

    order_id: str
    quantity: str | None = None
    price: str | None = None


@dataclass(frozen=True, kw_only=True)
class OrderFilled(Event):
    """An order was filled, in whole or in part."""

    order_id: str
    trade_id: str
    instrument: str
    side: str
    quantity: str
    price: str
    fee: str | None = None
    """With its currency."""
    liquidity: str
    at: str


@dataclass(frozen=True, kw_only=True)
class OrderDenied(Event):
    """An order did not go out."""

    order_id: str
    rule: str
    """The risk section's rule, ``KILL_SWITCH``, or ``engine``."""
    message: str


@dataclass(frozen=True, kw_only=True)
class OrderRejected(Event):
    """The venue refused an order, a change of one, or its cancellation."""

    order_id: str
    message: str
    what: str = "order"
    """``order``, ``change`` or ``cancellation``."""


@dataclass(frozen=True, kw_only=True)
class OrderEnded(Event):
    """An order ended without being filled, or not in whole."""

    order_id: str
    how: str
    """``canceled`` or ``expired``."""


@dataclass(frozen=True, kw_only=True)
class PositionChanged(Event):
    """A position was opened, changed or closed."""

    instrument: str
    quantity: str
    """Below zero for a short one; 0 when it is closed."""
    average_price: str | None = None
    realised: str | None = None
    """What it has made so far, with its currency."""


@dataclass(frozen=True, kw_only=True)
class SessionHeartbeat(Event):
    """The session is alive."""

    rows: int
    """Rows of market data so far."""
    at: str | None = None
    equity: str | None = None
    positions: int = 0
    resting: int = 0
    memory_bytes: int | None = None


@dataclass(frozen=True, kw_only=True)
class DataStale(Event):
    """No data came of an instrument for too long: its orders are held back."""

    instrument: str
    seconds: float


@dataclass(frozen=True, kw_only=True)
class DataRecovered(Event):
    """Data of the instrument comes again."""

    instrument: str
    seconds: float
    """For how long there was none."""


@dataclass(frozen=True, kw_only=True)
class SessionHalted(Event):
    """No order goes out any more, those that close positions excepted."""

    why: str
    kind: Kind


@dataclass(frozen=True, kw_only=True)
class SessionReduced(Event):
    """Only orders that make a position smaller go out, or all do again."""

    on: bool
    why: str


@dataclass(frozen=True, kw_only=True)
class SessionStopped(Event):
    """The node has stopped."""

    why: str
    rows: int
    rows_left: bool
    """Whether a replay was stopped before its end; rows that were handed over were processed."""
    orders: int
    fills: int
    positions: int
    """Left open."""
    resting: int
    """Orders left at the venue."""
    balances: list[str]
