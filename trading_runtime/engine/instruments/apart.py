"""The engine's instruments from a process of their own, beside one that prepares data.

The engine takes 60 MB, which a process that reads a lot of rows has a better use for.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from typing import TYPE_CHECKING, Any

from trading_runtime.errors import CrashError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.connection import Connection

_LARGE = ("nautilus_trader", "polars", "pyarrow")

_engine: Connection | None = None


@contextlib.contextmanager
def engine_apart() -> Iterator[bool]:
    """Let another process answer for the engine in the block; yield whether it does.

    It is a copy of this one, so this one must be small still, and without threads, which a copy
    lacks. Otherwise ``ask_engine`` calls the engine here.
    """
    global _engine  # noqa: PLW0603 - one for each command
    if sys.platform != "linux" or any(name in sys.modules for name in _LARGE) or _has_threads():
        yield False
        return
    import multiprocessing

    # Both need pydantic: imported here, it is there in the copy, too.
    import trading_runtime.config.messages  # noqa: F401

    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    process = context.Process(target=_answer, args=(theirs, ours), daemon=True)
    process.start()
    theirs.close()
    _engine = ours
    try:
        yield True
    finally:
        _engine = None
        ours.close()
        process.join()


def _has_threads() -> bool:
    return len(os.listdir("/proc/self/task")) > 1  # noqa: PTH208 - numbers


def ask_engine(name: str, *arguments: Any) -> Any:
    """Return what a function of this package returns, and raise what it raises.

    Those are ``write_instruments`` of ``catalog``, the public ones of ``files``, and
    ``facts_by_id``: what the engine makes of definitions. Raises ``CrashError`` when the process
    of the engine is gone.
    """
    if _engine is None:
        return _call(name, *arguments)
    try:
        _engine.send((name, arguments))
        is_answer, answer = _engine.recv()
    except (OSError, EOFError) as error:
        raise CrashError(
            "the process of the engine died, perhaps for want of memory; start the command again "
            "where more of it is free"
        ) from error
    if is_answer:
        return answer
    raise answer


def _answer(ours: Connection, theirs: Connection) -> None:
    """Call what is asked for until the process that asks is gone."""
    theirs.close()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while True:
        try:
            name, arguments = ours.recv()
        except EOFError:
            return
        try:
            answer = True, _call(name, *arguments)
        except Exception as error:  # noqa: BLE001 - raised where it was asked
            answer = False, error
        ours.send(answer)


def _call(name: str, *arguments: Any) -> Any:
    from trading_runtime.engine.instruments import catalog, files

    if name == "facts_by_id":
        instruments = files.build_instruments(*arguments)
        return {facts.id: facts for facts in map(files.facts_of, instruments)}
    return getattr(catalog if name == "write_instruments" else files, name)(*arguments)
