"""Temporary folders with locks, so that those of killed processes can be removed.

A process that makes a folder holds its lock for as long as it is needed. The system releases the
lock when the process ends, however it ends. A folder whose lock is free belongs to no process.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import platform
import re
import shutil
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self

from trading_runtime.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Iterator

_PREFIX = "trading-runtime-scratch-"
_UNKNOWN_SECONDS = 3_600.0
"""A folder this old is abandoned even where locks do not work: no result takes an hour to write."""


class Scratch:
    """A new temporary folder, removed with its process, or at the latest when another begins."""

    def __init__(self, parent: Path | None = None, prefix: str = _PREFIX) -> None:
        """Make the folder in ``parent``, by default in this machine's temporary folder."""
        while True:
            self.path = _make_folder(prefix, parent)
            with contextlib.suppress(FileNotFoundError):
                self._lock = os.open(self.path, os.O_RDONLY)
                # Not every file system has locks; without them, age shows which folders are
                # abandoned.
                with contextlib.suppress(OSError):
                    fcntl.flock(self._lock, fcntl.LOCK_EX)
                if self.path.exists():
                    return
                os.close(self._lock)
            # Another process considered it abandoned in the moment before it was locked.

    def __enter__(self) -> Self:
        """Made already."""
        return self

    def __exit__(self, *_: object) -> None:
        """Remove the folder."""
        self.remove()

    def remove(self) -> None:
        """Remove the folder, or what is left of it."""
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._lock)


def _make_folder(prefix: str, parent: Path | None) -> Path:
    try:
        return Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
    except OSError as error:
        if parent is not None:
            raise
        raise StorageError(
            f"no temporary folder can be made: {error.strerror or error}; free space, or set "
            "TMPDIR to a folder with more of it"
        ) from error


def staging_prefix(name: str) -> str:
    """Return the prefix of this machine's folders among stored results.

    Not every shared file system shows locks to other machines, so each machine's folders have a
    prefix of their own.
    """
    return f"{name}{re.sub('[^A-Za-z0-9]', '-', platform.node())}-"


def remove_abandoned_scratch() -> None:
    """Remove the temporary folders of processes that were killed on this machine."""
    for path, is_free in _free(Path(tempfile.gettempdir()), _PREFIX):
        if is_free:
            shutil.rmtree(path, ignore_errors=True)


def remove_abandoned_staging(folder: Path, name: str) -> None:
    """Remove what killed writers of results left in ``folder``, or other machines long ago."""
    own = staging_prefix(name)
    for path, is_free in _free(folder, name):
        with contextlib.suppress(OSError):
            is_old = time.time() - path.stat().st_mtime > _UNKNOWN_SECONDS
            if is_old or (is_free and path.name.startswith(own)):
                shutil.rmtree(path, ignore_errors=True)


def _free(parent: Path, prefix: str) -> Iterator[tuple[Path, bool]]:
    """Yield the folders with these names, each while its lock is held if it can be acquired."""
    with contextlib.suppress(OSError), os.scandir(parent) as entries:
        for name in [entry.name for entry in entries if entry.name.startswith(prefix)]:
            path = parent / name
            try:
                lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            except OSError:
                continue  # another user's, not a folder, or just removed
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                is_free = True
            except OSError:
                is_free = False
            try:
                yield path, is_free
            finally:
                os.close(lock)
