"""What a venue has, against what earlier sessions wrote down: done before the first order.

The venue is right about what exists. Fills that it has and no journal has are booked, once; orders
that ended meanwhile are ended; orders in the deployment's instruments that no session sent are
taken over. A position that is not explained by all that is a refusal.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING

from trading_runtime.canonical import decimal_text
from trading_runtime.records import session_events as events
from trading_runtime.records.journal import entries_of
from trading_runtime.units import parse_instant

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from trading_runtime.engine.live.venue_node import VenueOrder
    from trading_runtime.records.account import AccountState
    from trading_runtime.records.events import Event
    from trading_runtime.records.journal import JournalEntry
    from trading_runtime.results.store import Store

_ELSEWHERE = "the instrument is not among data.instruments: name it there"


@dataclass
class Known:
    """What the journals of earlier sessions say."""

    sent: dict[str, int] = field(default_factory=dict)
    """When each order was sent, by its id."""
    instruments: dict[str, str] = field(default_factory=dict)
    """That of each order, by the order's id."""
    left: dict[str, Decimal] = field(default_factory=dict)
    """How much of each order is not filled, by its id."""
    accepted: set[str] = field(default_factory=set)
    ended: set[str] = field(default_factory=set)
    trades: set[str] = field(default_factory=set)
    """The venue's ids of fills."""
    positions: defaultdict[str, Decimal] | None = None
    """The quantity of each instrument; ``None`` when no session has traded before."""
    inferred: defaultdict[tuple[str, str], Decimal] = field(
        default_factory=lambda: defaultdict(Decimal)
    )
    """How much of each instrument and side was filled that the venue had not shown."""

    def enter(self, entry: JournalEntry, *, is_covered: bool) -> None:
        """Take over a line; ``is_covered`` says that the positions contain it already."""
        if sent := entry.as_event(events.OrderSubmitted) or entry.as_event(events.OrderClaimed):
            self.sent[sent.order_id] = parse_instant(entry.time)
            self.instruments[sent.order_id] = sent.instrument
            self.left[sent.order_id] = Decimal(sent.quantity)
        elif accepted := entry.as_event(events.OrderAccepted):
            self.accepted.add(accepted.order_id)
        elif ended := entry.as_event(events.OrderEnded):
            self.ended.add(ended.order_id)
        elif rejected := entry.as_event(events.OrderRejected):
            if rejected.what == "order":
                self.ended.add(rejected.order_id)
        elif compared := entry.as_event(events.SessionReconciled):
            self.trades.update(compared.fills_taken_over or ())
        elif filled := entry.as_event(events.OrderFilled):
            if filled.trade_id not in self.trades:
                self.trades.add(filled.trade_id)
                self._fill(filled, is_covered=is_covered)
        elif inferred := entry.as_event(events.FillInferred):
            self.inferred[inferred.instrument, inferred.side] += Decimal(inferred.quantity)
            self._fill(inferred, is_covered=is_covered)

    def _fill(self, fill: events.OrderFilled | events.FillInferred, *, is_covered: bool) -> None:
        quantity = Decimal(fill.quantity)
        if fill.order_id in self.left:
            self.left[fill.order_id] -= quantity
        if not is_covered and self.positions is not None:
            self.positions[fill.instrument] += _signed(fill.side, quantity)

    def book(self, fill: events.OrderFilled) -> None:
        """Move a position by a fill that only the venue has, unless it was inferred before."""
        quantity, key = Decimal(fill.quantity), (fill.instrument, fill.side)
        before = min(self.inferred[key], quantity)
        self.inferred[key] -= before
        if self.positions is not None:
            self.positions[fill.instrument] += _signed(fill.side, quantity - before)


def known_of(store: Store, state: AccountState | None) -> Known:
    """Return what is known of the account that ``state`` was the last to save."""
    known = Known()
    if state is None:
        return known
    known.positions = defaultdict(Decimal)
    for position in state.positions:
        known.positions[position.instrument] += Decimal(position.quantity)
    for session in state.sessions:
        is_last = session == state.session
        for entry in entries_of(store.run(session).journals, "session-"):
            covered = not is_last or entry.sequence < state.lines
            known.enter(entry, is_covered=covered)
    return known


@dataclass
class VenueComparison:
    """What follows from the comparison."""

    events: list[Event] = field(default_factory=list)
    """Lines for the journal, in order."""
    rows: list[str] = field(default_factory=list)
    """What cannot be resolved."""
    fills: int = 0
    claimed: int = 0
    taken_over: list[str] = field(default_factory=list)
    """The venue's ids of fills that its positions contain, when no session has traded before."""


def reconciled(  # noqa: PLR0913, PLR0917 - all that is compared
    known: Known,
    orders: Sequence[VenueOrder],
    positions: Mapping[str, Decimal],
    instruments: Iterable[str],
    earliest: int,
    not_valued: Sequence[str] = (),
) -> VenueComparison:
    """Compare what is known with the venue's orders and positions.

    ``instruments`` are the deployment's. ``earliest`` is the instant from which on the venue was
    asked, in nanoseconds since the epoch. ``not_valued`` are balances that are only told.
    """
    found = VenueComparison()
    ours = set(instruments)
    there = {order.order_id: order for order in orders if not order.is_made_up}
    for order in there.values():
        if order.instrument in ours:
            _compare(known, order, found)
    _look_for_others(known, there, ours, earliest, found)
    if known.positions is not None:
        _compare_positions(known.positions, positions, ours, found)
    found.events.append(
        events.SessionReconciled(
            positions=[f"{name} {decimal_text(held)}" for name, held in sorted(positions.items())],
            resting=[order.order_id for order in there.values() if order.ending is None],
            fills_found=found.fills,
            orders_claimed=found.claimed,
            unresolved=list(found.rows),
            fills_taken_over=found.taken_over or None,
            not_valued=list(not_valued) or None,
        )
    )
    return found


def _look_for_others(
    known: Known,
    there: Mapping[str, VenueOrder],
    ours: set[str],
    earliest: int,
    found: VenueComparison,
) -> None:
    """Say what is known of orders that are not among those ``there``."""
    for order_id in sorted(known.sent.keys() - there.keys() - known.ended):
        name = known.instruments[order_id]
        if name not in ours:
            # The venue was asked for orders in the deployment's instruments alone.
            if known.left[order_id] > 0:
                found.rows.append(
                    f"{name}: order {order_id} was sent and has not ended, and {_ELSEWHERE}"
                )
        elif order_id in known.accepted and known.left[order_id] > 0:
            # It may still rest there, and be filled: only the venue's word ends it.
            if known.sent[order_id] >= earliest:
                found.rows.append(
                    f"{name}: the venue accepted order {order_id}, and lists it neither as open "
                    "nor as closed: it may be behind, so try again first"
                )
        elif known.sent[order_id] >= earliest:
            # The venue lists open and closed orders since then: this one never reached it.
            found.events.append(events.OrderEnded(order_id=order_id, how="unknown to the venue"))


def _compare_positions(
    known: Mapping[str, Decimal],
    there: Mapping[str, Decimal],
    ours: set[str],
    found: VenueComparison,
) -> None:
    for name in sorted(known.keys() - ours):
        if known[name]:
            found.rows.append(
                f"{name}: the journals give {decimal_text(known[name])}, and {_ELSEWHERE}"
            )
    for name in sorted(ours):
        venue, expected = there.get(name, Decimal(0)), known.get(name, Decimal(0))
        if venue != expected:
            found.rows.append(
                f"{name}: the venue has {decimal_text(venue)}, the journals and the venue's fills "
                f"give {decimal_text(expected)}"
            )


def _compare(known: Known, order: VenueOrder, found: VenueComparison) -> None:
    """Take over what the venue says about one order."""
    if order.order_id not in known.sent and order.ending is None:
        found.claimed += 1
        found.events.append(order.as_claimed())
    if known.positions is None:
        found.taken_over += [fill.trade_id for fill in order.fills]
        return
    fills = [fill for fill in order.fills if fill.trade_id not in known.trades]
    for fill in fills:
        found.fills += 1
        found.events.append(fill)
        known.book(fill)
    is_news = order.order_id in known.sent and order.order_id not in known.ended
    if is_news and order.ending is not None and not order.is_filled:
        found.events.append(events.OrderEnded(order_id=order.order_id, how=order.ending))


def _signed(side: str, quantity: Decimal) -> Decimal:
    return quantity if side == "BUY" else -quantity
