"""Errors of a strategy that no caller sees: in threads and in coroutines never awaited."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
import traceback
import warnings
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trading_runtime.engine.strategy.failures import FailureRecord

_NEVER_AWAITED = "was never awaited"
_SECONDS_FOR_THREADS = 0.2
"""How long to wait in total for threads that still run after the engine has ended."""


@contextlib.contextmanager
def watch_strays(record: FailureRecord) -> Iterator[None]:
    """Record failures in the strategy's threads, and coroutines that are never awaited."""
    before = set(threading.enumerate())
    thread_hook, unraisable_hook = threading.excepthook, sys.unraisablehook

    def on_thread(arguments: threading.ExceptHookArgs) -> None:
        if arguments.thread in before or arguments.exc_value is None:
            thread_hook(arguments)
        else:
            record.record_exception(arguments.exc_value, " in a thread of the strategy")

    def on_unraisable(arguments: Any) -> None:
        error = arguments.exc_value
        frames = () if error is None else traceback.extract_tb(error.__traceback__)
        if error is not None and _NEVER_AWAITED in str(error):
            record.record_unawaited(str(error))
        elif any(frame.filename in record.strategy_files for frame in frames):
            record.record_exception(error)
        else:
            unraisable_hook(arguments)

    with warnings.catch_warnings():
        warnings.filterwarnings("always", f".*{_NEVER_AWAITED}", RuntimeWarning)
        show = warnings.showwarning

        def on_warning(message: Any, category: Any, *arguments: Any, **keywords: Any) -> None:
            if issubclass(category, RuntimeWarning) and _NEVER_AWAITED in str(message):
                record.record_unawaited(str(message))
            else:
                show(message, category, *arguments, **keywords)

        warnings.showwarning = on_warning
        threading.excepthook, sys.unraisablehook = on_thread, on_unraisable
        try:
            yield
            _wait(set(threading.enumerate()) - before)
        finally:
            threading.excepthook, sys.unraisablehook = thread_hook, unraisable_hook


def _wait(threads: set[threading.Thread]) -> None:
    deadline = time.monotonic() + _SECONDS_FOR_THREADS
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
