"""The outbound queue between the risk profile and the venue: it keeps the venue's rate.

Requests above the rate wait in their order, cancellations before all others, and expire. Time is
the engine's, so every repeat sends the same requests at the same instants. No request is sent
that was cancelled, halted, or held back while it waited.
"""

from __future__ import annotations

import functools
from collections import Counter, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from trading_runtime.engine.risk.profile import Proposal
from trading_runtime.engine.strategy.guard_state import denial, listens, modify_rejection, notify
from trading_runtime.units import parse_duration

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from nautilus_trader.trading import Strategy

    from trading_runtime.engine.risk.profile import Refusal, Risk
    from trading_runtime.engine.strategy.guard_state import GuardState
    from trading_runtime.records.inputs import CommonInputs, RateLimitInputs

_SECOND = 1_000_000_000


@dataclass(frozen=True, eq=False)
class _Request:
    what: str
    """``order``, ``change`` or ``cancellation``."""
    order_ids: Sequence[Any]
    since: int
    send: Callable[[], Any]
    orders: Sequence[Any] = ()
    """The orders that are not sent yet."""
    of_all: tuple[Any, Any] | None = None
    """Instrument and side, of a cancellation of all orders."""


class OutboundQueue:
    """The requests of one strategy that wait for their turn, and what became of others."""

    def __init__(
        self,
        limit: RateLimitInputs,
        max_wait: str,
        guard: GuardState,
        risk: Risk,
        *,
        takes_orders: bool = True,
    ) -> None:
        """``limit`` is the venue's ``order_rate_limit``.

        Unless it ``takes_orders``, only cancellations wait, while the queue is paused or not open.
        """
        self.takes_orders = takes_orders
        self._most = limit.orders
        self._period = parse_duration(limit.per)
        self._longest = parse_duration(max_wait)
        self._rate = f"{limit.orders} in {limit.per}"
        self._max_wait = max_wait
        self._guard = guard
        self._risk = risk
        self._sent: deque[int] = deque()
        self._first: deque[_Request] = deque()
        self._rest: deque[_Request] = deque()
        self._alerts = 0
        self._next_look = 0
        self._paused_until = 0
        self.is_open = True
        """Whether anything may be sent: at a venue, once it was compared with what is known."""
        self.counts: Counter[str] = Counter()
        """How many requests ``waited``, and how many of these ``expired`` or were ``dropped``."""
        self.refused_orders: list[Any] = []
        """Orders that were never sent, denied, in the order in which that was decided."""
        self.on_waiting: Callable[[str, Sequence[Any], int], None] = lambda *_: None
        """Called with kind, order ids and how many wait, when a request begins to wait."""
        self.released: Callable[[Any, int], None] = self.release
        """What an alert calls; the guard's commands put off callbacks around it."""

    def commands(self, strategy_class: type[Strategy]) -> dict[str, Callable[..., Any]]:
        """Return the commands of ``strategy_class`` that send requests, by name."""
        self._tells_denied = listens(strategy_class, "on_order_denied")
        self._tells_rejected = listens(strategy_class, "on_order_modify_rejected")
        made = {
            "submit_order": self._submit,
            "submit_order_list": self._submit,
            "modify_order": self._modify,
            "modify_orders": self._modify,
            "cancel_order": self._cancel,
            "cancel_orders": self._cancel,
            "cancel_all_orders": self._cancel_all,
        }
        return {
            name: self._queued(getattr(strategy_class, name), way)
            for name, way in made.items()
            if self.takes_orders or name.startswith("cancel")
        }

    def release(self, strategy: Any, now: int) -> None:
        """Send what the rate allows at ``now``, and let expire what has waited too long."""
        for waiting in (self._first, self._rest):
            while waiting and len(waiting[0].order_ids) <= self._room(now):
                request = waiting.popleft()
                if self._may_go(strategy, request):
                    self._sent.extend([now] * len(request.order_ids))
                    request.send()
            if waiting:
                break
        while self._rest and self._rest[0].since + self._longest <= now:
            request = self._rest.popleft()
            self.counts["expired"] += len(request.order_ids)
            self._refuse(strategy, request, f"QUEUE max_wait: not sent within {self._max_wait}")
        if self._risk.rate_clock is not None:
            self._recheck(strategy, now)

    def pause(self, strategy: Any, nanoseconds: int) -> None:
        """Send nothing for so long, not even cancellations: the venue asked for it."""
        until = self._now(strategy) + nanoseconds
        if until > self._paused_until:
            self._paused_until = until
            self._wake(strategy, until)

    def open(self, strategy: Any) -> None:
        """Send what has waited for the venue to be compared."""
        self.is_open = True
        if self._first or self._rest:
            self._wake(strategy, self._now(strategy))

    def drop(self, strategy: Any, reason: str) -> None:
        """Send nothing of what waits: its orders are denied for ``reason``."""
        for request in [*self._first, *self._rest]:
            self._dropped(strategy, request, reason)
        self._first.clear()
        self._rest.clear()

    def cancellations(self, strategy: Any) -> list[Any]:
        """Return the ids of the orders at the venue whose cancellations wait for their turn."""
        found: dict[Any, None] = {}
        for request in self._first:
            if request.of_all is None:
                found.update(dict.fromkeys(request.order_ids))
                continue
            instrument, side = request.of_all
            resting = [
                *strategy.cache.orders_open(instrument_id=instrument),
                *strategy.cache.orders_inflight(instrument_id=instrument),
            ]
            wanted = (order for order in resting if side in {None, order.side})
            found.update(dict.fromkeys(order.client_order_id for order in wanted))
        return list(found)

    @property
    def most_a_second(self) -> int:
        """How many requests the venue takes in a second, at least one."""
        return max(1, self._most * _SECOND // self._period)

    def end(self, strategy: Any) -> None:
        """Send nothing more, at the end of the window or of the session."""
        self.drop(strategy, "QUEUE end: the end came before its turn")

    def _queued(self, original: Callable[..., Any], way: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def command(strategy: Any, target: Any, *arguments: Any, **keywords: Any) -> Any:
            if self._guard.closing or self._guard.halted:
                return original(strategy, target, *arguments, **keywords)

            def send(wanted: Any = target) -> Any:
                return original(strategy, wanted, *arguments, **keywords)

            return way(strategy, target, send, *arguments, **keywords)

        return command

    def _submit(
        self, strategy: Any, target: Any, send: Callable[..., Any], *_: Any, **__: Any
    ) -> Any:
        orders = target if isinstance(target, list) else [target]
        ids = [order.client_order_id for order in orders]
        request = _Request("order", ids, self._now(strategy), send, orders)
        if len(ids) > self._most:
            text = f"QUEUE rate: a list of {len(ids)} orders, and the venue takes {self._rate}"
            self._refuse(strategy, request, text)
            return None
        return self._pass(strategy, request, self._rest)

    def _modify(
        self, strategy: Any, target: Any, send: Callable[..., Any], *_: Any, **__: Any
    ) -> Any:
        ids = [item[0] for item in target] if isinstance(target, list) else [target]
        request = _Request("change", ids, self._now(strategy), send)
        return self._pass(strategy, request, self._rest)

    def _cancel(
        self, strategy: Any, target: Any, send: Callable[..., Any], *_: Any, **__: Any
    ) -> Any:
        wanted = target if isinstance(target, list) else [target]
        left = self._without(strategy, set(wanted))
        left -= {order_id for request in self._first for order_id in request.order_ids}
        ids = [order_id for order_id in wanted if order_id in left]
        if not ids:
            return None
        wanted_now = functools.partial(send, ids) if isinstance(target, list) else send
        request = _Request("cancellation", ids, self._now(strategy), wanted_now)
        return self._pass(strategy, request, self._first)

    def _cancel_all(
        self,
        strategy: Any,
        target: Any,
        send: Callable[..., Any],
        order_side: Any = None,
        *_: Any,
        **__: Any,
    ) -> Any:
        unsent = {
            order.client_order_id
            for request in self._rest
            for order in request.orders
            if order.instrument_id == target and order_side in {None, order.side}
        }
        self._without(strategy, unsent)
        cache = strategy.cache
        if self.is_open and not (
            cache.orders_open(instrument_id=target) or cache.orders_inflight(instrument_id=target)
        ):
            return send()
        of_all = (target, order_side)
        if any(request.of_all == of_all for request in self._first):
            return None  # one that waits already is for what is there at its turn
        request = _Request("cancellation", [target], self._now(strategy), send, of_all=of_all)
        return self._pass(strategy, request, self._first)

    def _pass(self, strategy: Any, request: _Request, waiting: deque[_Request]) -> Any:
        """Send the request now, or let it wait."""
        now, count = request.since, len(request.order_ids)
        if self._first or self._rest:
            self.release(strategy, now)
        if self._is_free(now) and not (self.takes_orders or self._first):
            return request.send()
        is_next = not self._first and (waiting is self._first or not self._rest)
        if is_next and count <= self._room(now):
            self._sent.extend([now] * count)
            return request.send()
        waiting.append(request)
        self.counts["waited"] += count
        self.on_waiting(request.what, request.order_ids, len(self._first) + len(self._rest))
        self._wake(strategy, self._turn_of_the_last())
        if waiting is self._rest:
            self._wake(strategy, now + self._longest)
        return None

    def _now(self, strategy: Any) -> int:
        clock = self._risk.rate_clock
        return self._guard.now(strategy) if clock is None else clock()

    def _is_free(self, now: int) -> bool:
        """Return whether anything may be sent: the queue is open, and in no pause."""
        return self.is_open and now >= self._paused_until

    def _room(self, now: int) -> int:
        if not self._is_free(now):
            return 0
        while self._sent and self._sent[0] <= now - self._period:
            self._sent.popleft()
        return self._most - len(self._sent)

    def _turn_of_the_last(self) -> int:
        """Return when the last request would be sent if none of those before it dropped out."""
        times = deque(self._sent, maxlen=self._most)
        for request in [*self._first, *self._rest]:
            turn = max(times[-1] if times else request.since, self._paused_until)
            for _ in request.order_ids:
                if len(times) == self._most:
                    turn = max(turn, times[0] + self._period)
                times.append(turn)
        return times[-1]

    def _wake(self, strategy: Any, at: int) -> None:
        # All alerts are set beforehand: one set by another could come after the next row.
        self._alerts += 1
        name = f"outbound-queue-{self._alerts}"
        self._guard.wake(strategy, name, at, lambda now: self.released(strategy, now))

    def _recheck(self, strategy: Any, now: int) -> None:
        """Wake once more for what still waits: a real clock's alerts come late, each by its own."""
        waiting = self._first or self._rest
        if waiting and self._is_free(now) and self._next_look <= now:
            missing = len(waiting[0].order_ids) - self._room(now)
            self._next_look = self._sent[missing - 1] + self._period if missing > 0 else now
            self._wake(strategy, self._next_look)

    def _may_go(self, strategy: Any, request: _Request) -> bool:
        if not request.orders:
            return True
        reason = self._guard.halt_reason if self._guard.halted else None
        if reason is None:
            refusal = self._refusal(strategy, request.orders)
            reason = None if refusal is None else refusal.reason
        if reason is None:
            return True
        self._dropped(strategy, request, reason)
        return False

    def _refusal(self, strategy: Any, orders: Sequence[Any]) -> Refusal | None:
        """Check once more: prices and positions are others than when the orders came."""
        if self._risk.is_open:
            return None
        proposals = [Proposal.of(order) for order in orders]
        return self._risk.refuse(proposals, self._guard.now(strategy), is_repeated=True)

    def _without(self, strategy: Any, order_ids: set[Any]) -> set[Any]:
        """Drop what waits for these orders; return those of which something was sent."""
        left = set(order_ids)
        for request in list(self._rest):
            if order_ids.isdisjoint(request.order_ids):
                continue
            self._rest.remove(request)
            left.difference_update(order.client_order_id for order in request.orders)
            self._dropped(strategy, request, "QUEUE cancelled: cancelled before its turn")
        return left

    def _dropped(self, strategy: Any, request: _Request, reason: str) -> None:
        self.counts["dropped"] += len(request.order_ids)
        self._refuse(strategy, request, reason)

    def _refuse(self, strategy: Any, request: _Request, reason: str) -> None:
        for order in request.orders:
            event = denial(strategy, order.instrument_id, order.client_order_id, reason)
            order.apply(event)
            self.refused_orders.append(order)
            self._guard.denied.add(order.client_order_id)
            if self._guard.on_denial is not None:
                self._guard.on_denial(event)
            if self._tells_denied:
                notify(strategy, event, "on_order_denied", self._timer())
        if request.what == "change" and self._tells_rejected:
            for order_id in request.order_ids:
                order = strategy.cache.order(order_id)
                if order is None:
                    continue
                event = modify_rejection(strategy, order, reason)
                notify(strategy, event, "on_order_modify_rejected", self._timer())

    def _timer(self) -> str:
        self._alerts += 1
        return f"queue-refused-{self._alerts}"


def queue_of(
    common: CommonInputs, guard: GuardState, risk: Risk, *, at_venue: bool = False
) -> OutboundQueue | None:
    """Return the queue of a task's or a session's ``common`` inputs, if they have one.

    ``at_venue`` a venue may ask for a pause, in which at least cancellations wait.
    """
    settings, limit = common.queue, common.venue.order_rate_limit
    if settings is not None:
        return OutboundQueue(limit, settings.max_wait, guard, risk)
    return OutboundQueue(limit, "0s", guard, risk, takes_orders=False) if at_venue else None
