"""The events of sessions: what a trading strategy sent, what became of it, and its state.

Prices, quantities and amounts are decimal strings. ``at`` is the time of the market data, which in
a replay differs from that of the line.
"""

from __future__ import annotations

from trading_runtime.errors import Kind
from trading_runtime.records.account import OrderTerms
from trading_runtime.records.events import Event, Mode


class PointPromoted(Event):
    """A deployment was made from a point of the run."""

    point: int
    deployment: str
    """Its file name."""
    failed_gates: list[str]
    """Reasons against promotion."""
    override: str | None = None
    """Why it was promoted anyway."""


class SessionStarted(Event):
    """A session is about to connect."""

    deployment: str
    """Its name."""
    mode: Mode
    data: str
    """``replay`` with its pace, or the adapter."""
    balances: list[str]
    """The starting balances of the account."""
    carried_from: str | None = None
    """The earlier session whose account continues."""
    saved: list[str] | None = None
    """What the strategy had saved then, and is given, by key."""


class OriginOverridden(Event):
    """The session is not what its tasks tested, and starts all the same."""

    run: str
    """The run that tested it."""
    changed: list[str]
    """What is no longer as it was."""
    reason: str


class SessionConnected(Event):
    """Data arrives and orders may go out."""

    seconds: float
    """Time since the start."""


class HealthServed(Event):
    """The session's HTTP server answers."""

    address: str


class AccountRestored(Event):
    """Positions and resting orders of an earlier session were restored."""

    session: str
    positions: list[str]
    orders: list[str]


class SessionReconciled(Event):
    """What the venue has was compared with what earlier sessions wrote down."""

    positions: list[str]
    """The venue's positions, with their instruments."""
    resting: list[str]
    """The ids of the orders that rest there."""
    fills_found: int
    """Fills that came while no session ran."""
    orders_claimed: int
    """Orders that no session sent, taken over."""
    unresolved: list[str]
    """Differences that nothing explains; with any, the session does not trade."""
    fills_taken_over: list[str] | None = None
    """When no session has traded before: the ids of fills that the venue's positions contain."""
    not_valued: list[str] | None = None
    """Balances that the account's value leaves out: no instrument of the deployment has a price."""


class OrderClaimed(Event):
    """An order at the venue that no session sent was taken over."""

    order_id: str
    instrument: str
    side: str
    type: str
    quantity: str
    price: str | None = None
    venue_order_id: str | None = None


class FillInferred(Event):
    """The engine moved its position to the venue's; the venue has shown no such fill."""

    order_id: str
    instrument: str
    side: str
    quantity: str
    price: str


class VenueLost(Event):
    """A connection to the venue is lost: no order goes out until all are back."""

    endpoint: str


class VenueBack(Event):
    """All connections to the venue are back. Rows of the meantime are missing."""

    endpoint: str
    """The one that came back last."""
    seconds: float
    """How long one of them was lost."""


class OrdersPaused(Event):
    """The venue refused a request as one too many: no order goes out for a while."""

    seconds: float
    message: str
    """The venue's words."""


class ClockApart(Event):
    """The venue's clock and this machine's differ by more than the limit, or no longer do."""

    on: bool
    seconds: float
    """By how much the newest row is ahead of this machine's clock; below zero: behind."""


class OrdersLeft(Event):
    """Orders or positions that the end of the session could not remove as the deployment asks."""

    orders: list[str]
    positions: list[str]


class OrderSubmitted(Event):
    """An order is about to go out: the line is written before the request is sent."""

    order_id: str
    instrument: str
    side: str
    type: str
    quantity: str
    price: str | None = None
    trigger_price: str | None = None
    time_in_force: str | None = None
    reduce_only: bool | None = None
    terms: OrderTerms | None = None
    at: str | None = None


class RequestQueued(Event):
    """A request is above the venue's rate, and waits for its turn."""

    what: str
    """``order``, ``change`` or ``cancellation``."""
    order_id: str
    """For a cancellation of all orders of an instrument, the instrument."""
    waiting: int
    """How many wait now, this one included."""


class OrderAccepted(Event):
    """The venue accepted the order."""

    order_id: str
    venue_order_id: str | None = None


class OrderUpdated(Event):
    """The venue changed the order."""

    order_id: str
    quantity: str | None = None
    """All of it, filled or not."""
    price: str | None = None
    trigger_price: str | None = None


class OrderFilled(Event):
    """An order was filled, fully or partially."""

    order_id: str
    trade_id: str
    instrument: str
    side: str
    quantity: str
    price: str
    fee: str | None = None
    """Amount with its currency."""
    liquidity: str
    at: str


class OrderDenied(Event):
    """An order did not go out."""

    order_id: str
    rule: str
    """The risk section's rule, ``KILL_SWITCH``, ``STOP``, ``FAILURE``, or ``engine``."""
    message: str


class OrderRejected(Event):
    """The venue refused an order, an order change, or a cancellation."""

    order_id: str
    message: str
    what: str = "order"
    """``order``, ``change`` or ``cancellation``."""


class OrderEnded(Event):
    """An order ended without being filled, or only partially filled."""

    order_id: str
    how: str
    """``canceled`` or ``expired``."""


class PositionChanged(Event):
    """A position was opened, changed or closed."""

    instrument: str
    quantity: str
    """Negative for a short position; 0 when it is closed."""
    average_price: str | None = None
    realised: str | None = None
    """Profit so far, with its currency."""


class SessionHeartbeat(Event):
    """The session is alive."""

    rows: int
    """Rows of market data so far."""
    at: str | None = None
    equity: str | None = None
    positions: int = 0
    resting: int = 0
    memory_bytes: int | None = None


class DataStale(Event):
    """An instrument's data stopped for too long: its orders are held back."""

    instrument: str
    seconds: float


class DataResubscribed(Event):
    """An instrument's data was subscribed to again: the venue may have dropped the subscription."""

    instrument: str


class DataRecovered(Event):
    """Data of the instrument arrives again."""

    instrument: str
    seconds: float
    """How long there was none."""


class DataGap(Event):
    """Rows of an instrument may be missing: a bar that is built across the gap is not the market's.

    It is written when a row comes after a lost connection, or after data was stale.
    """

    instrument: str
    since: str
    """The instant of the last row before the gap."""
    until: str
    """That of the first row after it."""


class SessionHalted(Event):
    """No order goes out any more, except those that close positions."""

    why: str
    kind: Kind


class SessionReduced(Event):
    """Only position-reducing orders go out, or all orders again."""

    on: bool
    why: str


class SessionStopped(Event):
    """The node has stopped."""

    why: str
    rows: int
    rows_left: bool
    """Whether a replay was stopped before its end; rows already handed over were processed."""
    orders: int
    fills: int
    positions: int
    """Positions left open."""
    resting: int
    """Orders left at the venue."""
    balances: list[str]
