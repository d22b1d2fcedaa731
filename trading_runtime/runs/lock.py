"""One process per run id: a lock that is released when its holder ends, however it ends."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from typing import TYPE_CHECKING, BinaryIO

from trading_runtime.errors import StorageError, UsageError
from trading_runtime.storage.files import open_lock, open_regular, storage_errors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from trading_runtime.records.run_files import RunFiles

_ATTEMPTS = 3
_PAUSE_SECONDS = 0.02


@contextlib.contextmanager
def locked(files: RunFiles) -> Iterator[Callable[[], None]]:
    """Hold the run's lock; raises ``UsageError`` when another process has it.

    Yields a function that raises ``StorageError`` once the lock is no longer where it was taken:
    what is there then is not the run that this process holds.
    """
    with storage_errors(files.lock):
        files.folder.mkdir(parents=True, exist_ok=True)
        handle = open_lock(files.lock)
    with handle:
        if not _take(handle):
            raise UsageError(
                f"run {files.folder.name!r} is running already; wait for it, stop it with "
                f"'trading-runtime runs stop {files.folder.name}', or choose another --run-id"
            )
        yield lambda: _check_in_place(files, handle)


def _check_in_place(files: RunFiles, handle: BinaryIO) -> None:
    try:
        is_in_place = os.path.samestat(os.stat(files.lock), os.fstat(handle.fileno()))  # noqa: PTH116
    except OSError:
        is_in_place = False
    if not is_in_place:
        raise StorageError(
            f"{files.folder}: was removed, moved or replaced while the run was going on; nothing "
            f"more is stored of it: put it back, and give --run-id {files.folder.name} again"
        )


def _take(handle: BinaryIO) -> bool:
    """Try a few times: a process that only asks whether the run is locked holds it briefly."""
    for attempt in range(_ATTEMPTS):
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(_PAUSE_SECONDS * (attempt < _ATTEMPTS - 1))
        else:
            return True
    return False


def is_locked(files: RunFiles) -> bool:
    """Return whether a process is running this run now."""
    try:
        with os.fdopen(open_regular(files.lock), "rb") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
    except OSError:
        pass
    return False
