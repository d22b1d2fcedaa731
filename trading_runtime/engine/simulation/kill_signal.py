"""Kill a task from outside: no more orders, open ones cancelled, then the engine stopped.

Checking a flag before every row would cost time in every task. Instead, only once the signal has
come, ``sys.monitoring`` is asked to report each Python function that starts: at the next one that
the engine calls, the task's orders are cancelled and the task ends.
"""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING, Any

from trading_runtime.errors import KilledError

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterator
    from types import CodeType

    from trading_runtime.engine.strategy.guard_state import GuardState

_TOOL_NAME = "trading-runtime-kill"
_TOOL_IDS = (3, 4)
_MOST_WAITS = 100


class KillSignal:
    """Whether the kill switch is on: sent from a signal handler or another thread."""

    def __init__(self) -> None:
        self.is_sent = False
        self._listener: Callable[[], None] | None = None

    def send(self) -> None:
        """End the running task, if any, and prevent others from starting."""
        self.is_sent = True
        if self._listener is not None:
            self._listener()

    def check(self) -> None:
        """Raise ``KilledError`` when it was sent."""
        if self.is_sent:
            raise KilledError("the kill switch is on")

    @contextlib.contextmanager
    def listening(self, listener: Callable[[], None]) -> Iterator[None]:
        """Call ``listener`` when it is sent, or at once if it already was."""
        self._listener = listener
        try:
            if self.is_sent:
                listener()
            yield
        finally:
            self._listener = None


@contextlib.contextmanager
def ended_by(
    kill: KillSignal, guard: GuardState, engine_callers: Container[CodeType]
) -> Iterator[None]:
    """End what runs inside when ``kill`` is sent; raises ``KilledError`` then.

    ``engine_callers`` is the code whose frames call the engine.
    """
    with contextlib.ExitStack() as leaving:
        ending = _Ending(guard)

        def intervene() -> None:
            if guard.halted:
                return
            guard.halted = True
            monitoring = sys.monitoring
            tool = next(tool for tool in _TOOL_IDS if monitoring.get_tool(tool) is None)
            start = monitoring.events.PY_START

            def on_start(_code: CodeType, _offset: int) -> None:
                caller = sys._getframe(1).f_back  # noqa: SLF001 - the only way to it
                if caller is not None and caller.f_code in engine_callers:
                    ending.proceed()

            monitoring.use_tool_id(tool, _TOOL_NAME)
            leaving.callback(monitoring.free_tool_id, tool)
            monitoring.register_callback(tool, start, on_start)
            leaving.callback(monitoring.register_callback, tool, start, None)
            monitoring.set_events(tool, start)
            leaving.callback(monitoring.set_events, tool, monitoring.events.NO_EVENTS)

        with kill.listening(intervene):
            try:
                yield
            finally:
                if guard.halted:
                    raise KilledError(ending.message)


class _Ending:
    """What is done at the engine's first calls out after the signal came."""

    def __init__(self, guard: GuardState) -> None:
        self._guard = guard
        self._cancelled = 0
        self._calls = 0
        self._busy = False

    @property
    def message(self) -> str:
        """What was done, for the task's failure."""
        return (
            f"the kill switch was switched on while the task ran: {self._guard.halted_orders} "
            f"orders were refused, {self._cancelled} open ones cancelled; nothing is stored"
        )

    def proceed(self) -> None:
        if self._busy:
            return
        self._busy = True
        try:
            self._calls += 1
            strategy = self._guard.strategy
            # What the engine refuses at this point it may accept at its next call.
            with contextlib.suppress(Exception):
                if strategy is not None and self._calls == 1:
                    self._cancel(strategy)
            if strategy is None or self._calls > _MOST_WAITS or not _open_orders(strategy):
                failures = self._guard.failures
                failures.record_exception(KilledError(self.message))
                # If it cannot be stopped yet, it is asked again at its next call.
                with contextlib.suppress(Exception):
                    failures.stop_engine()
        finally:
            self._busy = False

    def _cancel(self, strategy: Any) -> None:
        found = _open_orders(strategy)
        for instrument_id in sorted({order.instrument_id for order in found}, key=str):
            strategy.cancel_all_orders(instrument_id)
        self._cancelled = len(found)


def _open_orders(strategy: Any) -> list[Any]:
    return [*strategy.cache.orders_open(), *strategy.cache.orders_emulated()]
