"""What the guard of a strategy knows of the task, and what it counts."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from trading_runtime.engine.failures import FailureRecord
    from trading_runtime.engine.risk import Risk


@dataclass
class Watch:
    """The state that the guard's parts share."""

    failures: FailureRecord
    trading_starts: int
    """Orders before this instant (nanoseconds since the epoch) are denied."""
    close_at_end: bool
    warmed_up: bool = False
    """Whether that instant was reached: from then on nobody asks the clock."""
    running: bool = False
    strategy: Any = None
    """The guarded strategy; none when it runs inside the engine."""
    risk: Risk | None = None
    """The risk profile, when the experiment has one."""
    closing: bool = False
    """Whether positions are being closed at the end, which no limit may prevent."""
    halted: bool = False
    """Whether the kill switch is on: no order goes out any more."""
    halted_orders: int = 0
    """Orders and changes of orders that were refused since."""
    check_order: Callable[[Any], None] | None = None
    """Called with the instrument's id before an order of the window is sent; may raise."""
    denied: set[Any] = field(default_factory=set)
    """Ids of the orders that were denied during warm-up."""
    commands_running: int = 0
    deferred: deque[Callable[[], Any]] = field(default_factory=deque)
    """Callbacks that wait for the command that caused them to return."""
    topic_handlers: dict[Callable[[Any], None], Callable[[Any], None]] = field(default_factory=dict)

    @property
    def warmup_denied_orders(self) -> int:
        """How many orders were denied during warm-up."""
        return len(self.denied)
