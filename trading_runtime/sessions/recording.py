"""What a session records as it happens: orders beforehand, and what becomes of them."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from trading_runtime.engine.live.reporting import MADE_UP
from trading_runtime.engine.live.resting import further_terms
from trading_runtime.engine.live.restoring import PREFIX
from trading_runtime.errors import StorageError, TradingRuntimeError
from trading_runtime.records import session_events as events
from trading_runtime.records.events import Line
from trading_runtime.records.forms import to_document
from trading_runtime.redaction import json_texts
from trading_runtime.units import format_instant

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from trading_runtime.records.events import Event
    from trading_runtime.records.journal import Journal

_SUBMITTED = events.OrderSubmitted.event
_ENDED = {"OrderCanceled": "canceled", "OrderExpired": "expired"}
_REFUSED = {
    "OrderRejected": "order",
    "OrderModifyRejected": "change",
    "OrderCancelRejected": "cancellation",
}


class SessionRecords:
    """Writes what a strategy does into the journal of its session.

    A write error is kept: the engine, which calls this, would only log it. The orders are then not
    sent.
    """

    def __init__(
        self, journal: Journal, fence: Callable[[], None], *, is_held: bool = False
    ) -> None:
        """``fence`` is called before orders are sent: what it raises prevents that, and is kept.

        With ``is_held``, what happens to orders is in the file after the next ``flush``. That is
        for a venue that forgets everything with this process: an order that it knows and the
        journal does not cannot outlive either.
        """
        self._journal = journal
        self._is_held = is_held
        self._has_ended = False
        self._denied: set[str] = set()
        self._known: set[str] = set()
        self._made_up: set[str] = set()
        """Orders that the engine made up to move its position to the venue's."""
        self._fence = fence
        self.now: Callable[[], int] = lambda: 0
        """The time of the market data."""
        self.fills = 0
        self.orders = 0
        self.changes = 0
        """How many events have affected the account so far."""
        self.on_change: Callable[[], object] = lambda: None
        """Called from within the engine at each change that comes from the venue."""
        self.on_refusal: Callable[[str], object] = lambda _message: None
        """Called with the venue's words when it has refused a request."""
        self._made: list[Any] = []
        self.on_new_order: Callable[[Any], object] = self._made.append
        """Takes the event of each new order, which waits meanwhile: it is looked at later."""
        self.error: Exception | None = None

    @property
    def lines(self) -> int:
        """How many lines the journal has."""
        return self._journal.lines

    def write(self, event: Event) -> None:
        """Write an event that the session itself reports; the error is kept.

        A session that cannot write has yet to cancel what rests at the venue.
        """
        if self._has_ended:
            return
        try:
            self._journal.write(event)
        except Exception as error:  # noqa: BLE001 - the session raises it
            self.error = self.error or error

    def check(self) -> None:
        """Raise the error that was kept."""
        if self.error is not None:
            raise self.error

    def end(self) -> None:
        """Write what is held, and nothing from now on: the journal is to be sealed."""
        self.flush()
        self._has_ended = True

    def flush(self) -> None:
        """Write what is held; the error is kept."""
        self._look_at_made()
        try:
            self._journal.flush()
        except Exception as error:  # noqa: BLE001 - the session raises it
            self.error = self.error or error

    def sending(self, orders: Sequence[Any]) -> None:
        """Record orders before they are sent; raises when that fails, or the fence does."""
        if self.error is not None:
            raise self.error
        if self._has_ended:
            raise StorageError("the journal is sealed: no order can be written down, none is sent")
        try:
            self._fence()
            now = self.now()
            for order in orders:
                order_id = str(order.client_order_id)
                if self._is_held:
                    self._journal.hold(functools.partial(_submitted, order, order_id, now))
                else:
                    self._journal.write(_submitted(order, order_id, now))
                self._known.add(order_id)
                self.orders += 1
        except Exception as error:
            self.error = error
            raise
        # The order is in the journal, and the account changes only with the venue's answer. Saving
        # the account now would delay the request.
        self.changes += 1

    def asking(self) -> None:
        """Raise what the fence raises, which also ends the session."""
        try:
            self._fence()
        except TradingRuntimeError as error:
            self.error = self.error or error
            raise

    def queued(self, what: str, order_ids: Sequence[Any], waiting: int) -> None:
        """Record that a request waits for its turn."""
        for order_id in order_ids:
            self._write(events.RequestQueued, what=what, order_id=str(order_id), waiting=waiting)

    def on_order_event(self, event: Any) -> None:
        """Record what became of an order."""
        if self._made:
            self._look_at_made()
        kind = type(event).__name__
        order_id = str(event.client_order_id)
        is_made_up = order_id in self._made_up
        if order_id.startswith(PREFIX) or (is_made_up and kind != "OrderFilled"):
            return  # it puts a position back, or moves it to the venue's, and is not a trade
        if kind == "OrderFilled" and (
            is_made_up or event.liquidity_side.name == "NO_LIQUIDITY_SIDE"
        ):
            self._changed()
            self._write(_inferred, event)
        elif kind == "OrderFilled":
            self.fills += 1
            self._changed()
            self._write(_filled, event, self.now())
        elif kind == "OrderAccepted":
            self._changed()
            self._write(_accepted, event)
        elif kind == "OrderUpdated":
            self._changed()
            self._write(_updated, event)
        elif kind == "OrderDenied":
            self._denial(order_id, str(event.reason))
        elif kind in _REFUSED:
            self._changed()
            self._write(_rejected, event)
            self.on_refusal(str(event.reason))
        elif kind in _ENDED:
            self._changed()
            self._write(events.OrderEnded, order_id=order_id, how=_ENDED[kind])

    def know(self, order_ids: Iterable[str]) -> None:
        """Take over orders that an earlier session sent or claimed."""
        self._known.update(order_ids)

    def on_position_event(self, event: Any) -> None:
        """Record a change of a position."""
        self._write(_position_changed, event)

    def _look_at_made(self) -> None:
        """Claim the new orders that no session sent: the engine found them at the venue."""
        made = self._made.copy()
        self._made.clear()
        for event in made:
            order_id = str(event.client_order_id)
            if order_id in self._known or order_id.startswith(PREFIX):
                continue
            self._known.add(order_id)
            if MADE_UP in (event.tags or ()):
                self._made_up.add(order_id)
            else:
                self._changed()
                self._write(_claimed, event)

    def _changed(self) -> None:
        self.changes += 1
        self.on_change()

    def _denial(self, order_id: str, reason: str) -> None:
        # The guard reports a denial at once, and the strategy gets it a moment later.
        if order_id in self._denied:
            return
        self._denied.add(order_id)
        word, _, rest = reason.partition(" ")
        rule = rest.partition(":")[0] if word in {"RISK", "QUEUE"} else word.removesuffix(":")
        is_ours = word in {"RISK", "QUEUE", "KILL_SWITCH:", "STOP:", "FAILURE:", "WARMUP:"}
        rule = rule if is_ours else "engine"
        self._write(events.OrderDenied, order_id=order_id, rule=rule, message=reason)

    def _write(self, make: Callable[..., Event | Line], *facts: Any, **fields: Any) -> None:
        """Write the event that ``make`` returns.

        What is held is made later, all at once: between two rows it would take three times as long.
        """
        if self.error is not None or self._has_ended:
            return
        try:
            if self._is_held:
                self._journal.hold(functools.partial(make, *facts, **fields))
            else:
                self._journal.write(make(*facts, **fields))
        except Exception as error:  # noqa: BLE001 - the session raises it
            self.error = error


def _submitted(order: Any, order_id: str, now: int) -> Line:
    """Return the line of ``OrderSubmitted``, for which the order waits."""
    if type(order).__name__ == "MarketOrder":
        return _submitted_at_market(order, order_id, now)
    return Line(
        _SUBMITTED,
        {
            "order_id": order_id,
            "instrument": str(order.instrument_id),
            "side": order.side.name,
            "type": order.order_type.name,
            "quantity": str(order.quantity),
            "price": _text(getattr(order, "price", None)),
            "trigger_price": _text(getattr(order, "trigger_price", None)),
            "time_in_force": order.time_in_force.name,
            "reduce_only": order.is_reduce_only or None,
            "terms": None if (terms := further_terms(order)) is None else to_document(terms),
            "at": _instant(now),
        },
    )


def _submitted_at_market(order: Any, order_id: str, now: int) -> Line:
    """Return the same of a market order, which has no prices or terms, as text.

    Each step costs more than what it does: its code and its objects are cold.
    """
    texts = json_texts()
    reduces = ',"reduce_only":true' if order.is_reduce_only else ""
    at = f',"at":"{format_instant(now)}"' if now else ""
    return Line(
        _SUBMITTED,
        f'{{"order_id":{texts[order_id]},"instrument":{texts[str(order.instrument_id)]},'
        f'"side":"{order.side.name}","type":"MARKET","quantity":{texts[str(order.quantity)]},'
        f'"time_in_force":"{order.time_in_force.name}"{reduces}{at}}}',
    )


def _accepted(event: Any) -> Line:
    return Line(
        events.OrderAccepted.event,
        {
            "order_id": str(event.client_order_id),
            "venue_order_id": _text(event.venue_order_id),
        },
    )


def _updated(event: Any) -> Event:
    return events.OrderUpdated(
        order_id=str(event.client_order_id),
        quantity=_text(event.quantity),
        price=_text(event.price),
        trigger_price=_text(event.trigger_price),
    )


def _filled(event: Any, now: int) -> Line:
    return Line(
        events.OrderFilled.event,
        {
            "order_id": str(event.client_order_id),
            "trade_id": str(event.trade_id),
            "instrument": str(event.instrument_id),
            "side": event.order_side.name,
            "quantity": str(event.last_qty),
            "price": str(event.last_px),
            "fee": _text(event.commission),
            "liquidity": event.liquidity_side.name,
            "at": _instant(now) or "",
        },
    )


def _inferred(event: Any) -> Event:
    return events.FillInferred(
        order_id=str(event.client_order_id),
        instrument=str(event.instrument_id),
        side=event.order_side.name,
        quantity=str(event.last_qty),
        price=str(event.last_px),
    )


def _rejected(event: Any) -> Event:
    return events.OrderRejected(
        order_id=str(event.client_order_id),
        message=str(event.reason),
        what=_REFUSED[type(event).__name__],
    )


def _claimed(event: Any) -> Event:
    return events.OrderClaimed(
        order_id=str(event.client_order_id),
        instrument=str(event.instrument_id),
        side=event.order_side.name,
        type=event.order_type.name,
        quantity=str(event.quantity),
        price=_text(getattr(event, "price", None)),
    )


def _position_changed(event: Any) -> Line:
    return Line(
        events.PositionChanged.event,
        {
            "instrument": str(event.instrument_id),
            "quantity": f"{event.signed_qty:g}",
            "average_price": str(event.avg_px_open),
            "realised": _text(getattr(event, "realized_pnl", None)),
        },
    )


def _instant(now: int) -> str | None:
    return format_instant(now) if now else None


def _text(value: Any) -> str | None:
    return None if value is None else str(value)
