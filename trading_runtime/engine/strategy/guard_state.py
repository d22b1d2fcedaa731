"""What the guard of a strategy knows about the task, and how it denies an order."""

from __future__ import annotations

import datetime as dt
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from nautilus_trader.core import UUID4
from nautilus_trader.model import BarType, OrderDenied, OrderModifyRejected
from nautilus_trader.trading import Strategy

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from trading_runtime.engine.risk.outbound import OutboundQueue
    from trading_runtime.engine.risk.profile import Risk
    from trading_runtime.engine.strategy.failures import FailureRecord

KILL_REASON = "KILL_SWITCH: no order goes out"
_LONGEST_TIMED_BAR = dt.timedelta(days=1)


def _wake_by_clock(strategy: Any, name: str, at: int, call: Callable[[int], None]) -> None:
    strategy.clock.set_time_alert_ns(name, at, lambda event: call(event.ts_event))


@dataclass
class GuardState:
    """The state that the guard's parts share."""

    failures: FailureRecord
    trading_starts: int
    """Orders before this instant (nanoseconds since the epoch) are denied."""
    close_at_end: bool
    warmed_up: bool = False
    """Whether that instant was reached; the clock is not read after that."""
    running: bool = False
    strategy: Any = None
    """The guarded strategy; none when it runs inside the engine."""
    risk: Risk | None = None
    """The risk profile, when the experiment has one."""
    queue: OutboundQueue | None = None
    """The requests that wait for their turn, when the experiment has a queue."""
    orders_at_stop: int | None = None
    """How many orders there were when the strategy was stopped."""
    closing: bool = False
    """Whether positions are being closed at the end, which no limit may prevent."""
    halted: bool = False
    """Whether no more orders are sent: the kill switch is on, or a session ends."""
    halt_reason: str = KILL_REASON
    """The reason in the denials of these orders."""
    halted_orders: int = 0
    """Orders and order changes refused since then."""
    early_bars: Mapping[str, str] = field(default_factory=dict)
    """Bid bars whose callbacks wait for the ask bars of their instant, and these ask bars."""
    at_end_of_instant: Callable[[int, Callable[[], None]], None] = lambda _ts, call: call()
    """Calls its argument once all rows of the current instant were processed."""
    check_order: Callable[[Any], None] | None = None
    """Called with the instrument's id before an order of the window is sent; may raise."""
    order_exists: Callable[[Any], bool] | None = None
    """The cache's method that tells whether an order was sent, once one is."""
    denied: set[Any] = field(default_factory=set)
    """Ids of the orders that were denied, which the engine does not know."""
    warmup_denied_orders: int = 0
    """How many orders were denied during warm-up."""
    now: Callable[[Any], int] = lambda strategy: strategy.clock.timestamp_ns()
    """The instant that limits use for a strategy: its clock's, unless data is replayed in a node
    that runs on the wall clock."""
    wake: Callable[[Any, str, int, Callable[[int], None]], None] = _wake_by_clock
    """Calls, for a strategy and under a name, at an instant of what ``now`` returns."""
    on_denial: Callable[[Any], None] | None = None
    """Called with the event of each order that the guard denies."""
    commands_running: int = 0
    deferred: deque[Callable[[], Any]] = field(default_factory=deque)
    """Callbacks that wait for the command that caused them to return."""
    subscriptions: dict[tuple[str, str], Any] = field(default_factory=dict)
    """What the strategy subscribed to, by the command's name and the text of its arguments."""
    unsubscribed: set[tuple[str, str]] = field(default_factory=set)
    """Those of them that the strategy has ended."""
    can_make: Callable[[Any], bool] = lambda _bar_type: True
    """Whether the engine can still make the bars that a strategy subscribes to."""
    topic_handlers: dict[Callable[[Any], None], Callable[[Any], None]] = field(default_factory=dict)

    @property
    def refused_orders(self) -> list[Any]:
        """The orders that risk profile and queue denied, which never reached the engine."""
        return [
            order
            for part in (self.risk, self.queue)
            if part is not None
            for order in part.refused_orders
        ]

    def next_timer(self, last: int) -> int | None:
        """Return when the strategy's next timer is due, or the end of its next internal bar.

        ``None`` when that is after ``last``; all in nanoseconds since the epoch.
        """
        if self.strategy is None:
            return None
        clock = self.strategy.clock
        due = [clock.next_time_ns(name) for name in clock.timer_names()]
        for bars in self.subscriptions.values():
            if isinstance(bars, BarType) and bars.standard().is_internally_aggregated():
                spec = bars.spec
                if spec.is_time_aggregated() and spec.timedelta <= _LONGEST_TIMED_BAR:
                    length = spec.get_interval_ns()
                    due.append((clock.timestamp_ns() // length + 1) * length)
        return min((ts for ts in due if ts <= last), default=None)


def listens(strategy_class: type[Strategy], callback: str) -> bool:
    """Return whether a strategy has the callback, or the one for all order events."""
    return any(
        getattr(strategy_class, name) is not getattr(Strategy, name)
        for name in (callback, "on_order_event")
    )


def denial(strategy: Any, instrument_id: Any, order_id: Any, reason: str) -> Any:
    """Return the event that an order is denied now."""
    now = strategy.clock.timestamp_ns()
    return OrderDenied(
        strategy.trader_id,
        strategy.strategy_id,
        instrument_id,
        order_id,
        reason,
        UUID4(),
        now,
        now,
    )


def modify_rejection(strategy: Any, order: Any, reason: str) -> Any:
    """Return the event that a change of an order is rejected now."""
    now = strategy.clock.timestamp_ns()
    return OrderModifyRejected(
        strategy.trader_id,
        strategy.strategy_id,
        order.instrument_id,
        order.client_order_id,
        reason,
        UUID4(),
        now,
        now,
        False,  # noqa: FBT003 - the engine takes no keywords
    )


def notify(strategy: Any, event: Any, callback: str, name: str) -> None:
    """Call the strategy with ``event`` a nanosecond from now, and not within its own call.

    ``name`` is the timer's, and must not come twice in a task.
    """

    def call(_event: Any) -> None:
        getattr(strategy, callback)(event)
        strategy.on_order_event(event)

    strategy.clock.set_time_alert_ns(name, event.ts_event + 1, call)
