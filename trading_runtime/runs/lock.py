"""One run id, one process: a lock that is gone when its holder is, however it ended."""

from __future__ import annotations

import contextlib
import fcntl
from typing import TYPE_CHECKING

from trading_runtime.errors import UsageError
from trading_runtime.results.store import storage_errors

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trading_runtime.results.store import RunFiles


@contextlib.contextmanager
def locked(files: RunFiles) -> Iterator[None]:
    """Hold the run's lock; raises ``UsageError`` when another process has it."""
    with storage_errors(files.lock):
        files.folder.mkdir(parents=True, exist_ok=True)
        handle = files.lock.open("ab")
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UsageError(
                f"run {files.folder.name!r} is running already; wait for it, stop it with "
                f"'trading-runtime runs stop {files.folder.name}', or choose another --run-id"
            ) from error
        yield


def is_locked(files: RunFiles) -> bool:
    """Return whether a process is running this run now."""
    try:
        with files.lock.open("ab") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
    except OSError:
        pass
    return False
