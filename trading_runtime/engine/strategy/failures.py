"""Notice every exception that a strategy lets escape into the engine, which would only log it.

The engine calls a strategy from native code, logs what it raises, and ends with a result that looks
normal. Two nets catch what escapes. ``sys.monitoring`` reports each exception that leaves a Python
function, at no cost while nothing is raised: an exception that leaves a function called directly
from the frame that runs the engine has escaped, whether from a callback, a timer, a topic handler
or an indicator. Callbacks that the engine calls while the strategy is inside its own call have
the strategy's frame above them instead, so those are wrapped (see ``guard``).
"""

from __future__ import annotations

import contextlib
import inspect
import sys
import threading
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from types import AsyncGeneratorType, CoroutineType, GeneratorType
from typing import TYPE_CHECKING

from trading_runtime.errors import CrashError, StrategyError, TradingRuntimeError, error_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from traceback import FrameSummary
    from types import CodeType, FrameType

_TOOL_NAME = "trading-runtime"
_TOOL_IDS = (3, 4)
"""The ids that ``sys.monitoring`` leaves to tools other than debuggers, coverage and profilers."""


class TaskMemoryError(CrashError):
    """The system could not provide the memory that the strategy asked for."""

    def __init__(self, message: str, strategy_traceback: str) -> None:
        super().__init__(f"out of memory: {message}")
        self.strategy_traceback = strategy_traceback


class StrategyFailureError(StrategyError):
    """A strategy's own failure, with the traceback of its code."""

    def __init__(self, message: str, strategy_traceback: str) -> None:
        super().__init__(message)
        self.strategy_traceback = strategy_traceback


@dataclass
class FailureRecord:
    """The first failure of a task's strategy; later ones are its consequences."""

    strategy_files: frozenset[str] = frozenset()
    callbacks: tuple[CodeType, ...] = ()
    """Code of the strategy's callbacks, which must not return anything that still has to be run."""
    message: str | None = None
    traceback: str = ""
    stop_engine: Callable[[], None] = field(default=lambda: None)
    _not_the_strategys: TradingRuntimeError | None = None
    _thread: int = field(default_factory=threading.get_ident)

    def record_exception(self, error: BaseException, note: str = "") -> None:
        """Record ``error`` and stop the engine, unless something failed before."""
        if self.message is None:
            where = self._place(traceback.extract_tb(error.__traceback__))
            self.message = f"{type(error).__name__}: {error_text(error)}{note}{where}"
            self.traceback = "".join(traceback.format_exception(error))
            if isinstance(error, MemoryError):
                self._not_the_strategys = TaskMemoryError(self.message, self.traceback)
            if isinstance(error, TradingRuntimeError):
                self._not_the_strategys = error
            self._stop()

    def record_departure(self, what: str) -> None:
        """Record that the strategy left before the end of its window."""
        if self.message is None:
            stack = traceback.extract_stack()
            self.message = (
                f"the strategy left early: it called {what} before the window's end"
                f"{self._place(stack)}"
            )
            self.traceback = "".join(traceback.format_list(stack))
            self._stop()

    def record_unawaited(self, what: str) -> None:
        """Record that some code of the strategy is async, which the engine never runs."""
        self.record_text(f"{what}: the engine calls plain functions only, so write 'def' for it")

    def record_unrun(self, where: str, kind: str) -> None:
        """Record that a callback returned something that is never run."""
        self.record_text(
            f"{where} returned a {kind}, of which nothing is run: the engine calls plain functions "
            "only"
        )

    def record_logged(self, error: str) -> None:
        """Record a callback's error that only the engine's log shows."""
        self.record_text(f"the engine could not call the strategy: {error}")

    def as_error(self, note: str = "") -> TradingRuntimeError | None:
        """Return what to raise for the failure, ``None`` when nothing failed."""
        if self.message is None:
            return None
        return self._not_the_strategys or StrategyFailureError(self.message + note, self.traceback)

    def record_text(self, text: str) -> None:
        """Record a failure that has no traceback."""
        if self.message is None:
            self.message = text
            self._stop()

    def _place(self, frames: Sequence[FrameSummary]) -> str:
        own = [frame for frame in frames if frame.filename in self.strategy_files] or frames
        if not own:
            return ""
        return f" ({Path(own[-1].filename).name}:{own[-1].lineno}, {own[-1].name})"

    def _stop(self) -> None:
        # The engine may refuse to stop at this point; the failure is recorded anyway.
        if threading.get_ident() != self._thread:
            return
        with contextlib.suppress(Exception):
            self.stop_engine()


@contextlib.contextmanager
def watch_escapes(record: FailureRecord, engine_frame: FrameType) -> Iterator[None]:
    """Record each exception that leaves a function called from ``engine_frame`` by native code."""
    with watch_escapes_into(record, lambda frame: frame is engine_frame):
        yield


@contextlib.contextmanager
def watch_escapes_into(
    record: FailureRecord, is_engine: Callable[[FrameType], bool]
) -> Iterator[None]:
    """Record each exception that leaves a function called from a frame that runs the engine.

    Coroutines do not count: those are clients of venues, not the strategy.
    """
    monitoring = sys.monitoring
    unwind = monitoring.events.PY_UNWIND

    def on_unwind(code: CodeType, _offset: int, error: BaseException) -> None:
        caller = sys._getframe(1).f_back  # noqa: SLF001 - the only way to it
        if caller is not None and is_engine(caller) and not code.co_flags & inspect.CO_COROUTINE:
            record.record_exception(error)

    def on_return(code: CodeType, _offset: int, value: object) -> object:
        if isinstance(value, (GeneratorType, CoroutineType, AsyncGeneratorType)):
            record.record_unrun(code.co_qualname, type(value).__name__.replace("_", " "))
        # Once for each return in the code: there is no cost later.
        return monitoring.DISABLE

    tool = next(tool for tool in _TOOL_IDS if monitoring.get_tool(tool) is None)
    monitoring.use_tool_id(tool, _TOOL_NAME)
    monitoring.register_callback(tool, unwind, on_unwind)
    monitoring.set_events(tool, unwind)
    monitoring.register_callback(tool, monitoring.events.PY_RETURN, on_return)
    for code in record.callbacks:
        monitoring.set_local_events(tool, code, monitoring.events.PY_RETURN)
    monitoring.restart_events()
    try:
        yield
    finally:
        for code in record.callbacks:
            monitoring.set_local_events(tool, code, monitoring.events.NO_EVENTS)
        monitoring.register_callback(tool, monitoring.events.PY_RETURN, None)
        monitoring.set_events(tool, monitoring.events.NO_EVENTS)
        monitoring.register_callback(tool, unwind, None)
        monitoring.free_tool_id(tool)
