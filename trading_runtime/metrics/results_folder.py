"""A results folder as the collector reads it: names, change stamps, and bytes."""

from __future__ import annotations

import os
from collections import defaultdict
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from trading_runtime.errors import StorageError
from trading_runtime.records.run_files import RunFiles
from trading_runtime.results.opening import open_store
from trading_runtime.runs.lock import is_locked
from trading_runtime.runs.opening import is_running
from trading_runtime.storage.files import open_regular
from trading_runtime.storage.s3 import S3Folder, is_s3

if TYPE_CHECKING:
    from trading_runtime.results.store import Store

_MOST_BYTES = 64 << 20
"""Bytes that are read at once; the rest follows at the next collection."""

type Stamp = tuple[object, ...]
"""Changes when the file does."""


class ResultsFolder(Protocol):
    """Files by their names below the folder."""

    unread: dict[str, str]
    """What could not be read, and why."""

    def look(self) -> None:
        """Refresh the view of the folder."""

    def require(self) -> None:
        """Raise ``StorageError`` when the folder is gone."""

    def run_ids(self) -> list[str]:
        """Return the ids of all runs, sorted."""

    def stamp(self, name: str) -> Stamp | None:
        """Return a value that changes when the file does, ``None`` when there is none."""

    def names(self, folder: str) -> list[str]:
        """Return the names of the files below ``folder``, sorted."""

    def read(self, name: str, start: int = 0) -> bytes:
        """Return a file from byte ``start``; empty when there is none."""

    def is_running(self, run_id: str) -> bool:
        """Return whether a process holds the run."""


def open_results_folder(place: str | Path) -> ResultsFolder:
    """Return the folder at a path, or at an address in S3."""
    return _S3Folder(str(place)) if is_s3(str(place)) else _LocalFolder(Path(place))


class _LocalFolder:
    """A folder on disk, read again for each question."""

    def __init__(self, root: Path) -> None:
        self._root = str(root)
        self.unread: dict[str, str] = {}

    def look(self) -> None:
        self.unread = {
            name: why for name, why in self.unread.items() if self.stamp(name) is not None
        }

    def require(self) -> None:
        try:
            with os.scandir(self._root):
                pass
        except OSError as error:
            raise StorageError(
                f"{self._root}: the results cannot be read: {error.strerror}; put them back, or "
                "name the folder where they are with --results"
            ) from error

    def run_ids(self) -> list[str]:
        with (
            suppress(FileNotFoundError, NotADirectoryError),
            os.scandir(f"{self._root}/runs") as found,
        ):
            return sorted(entry.name for entry in found if entry.is_dir())
        return []

    def stamp(self, name: str) -> Stamp | None:
        # Called for every run at every scrape: paths as strings are several times faster.
        try:
            facts = os.stat(f"{self._root}/{name}")  # noqa: PTH116
        except OSError:
            return None
        return facts.st_mtime_ns, facts.st_size, facts.st_ino

    def names(self, folder: str) -> list[str]:
        top = f"{self._root}/{folder}"
        return sorted(
            f"{folder}{path.removeprefix(top)}/{file}"
            for path, _, files in os.walk(top)
            for file in files
            if not file.startswith(".")
        )

    def read(self, name: str, start: int = 0) -> bytes:
        try:
            file = open_regular(f"{self._root}/{name}")
        except FileNotFoundError:
            return b""
        except OSError as error:
            self.unread[name] = error.strerror or str(error)
            return b""
        self.unread.pop(name, None)
        try:
            size = os.fstat(file).st_size - start
            return os.pread(file, min(size, _MOST_BYTES), start) if size > 0 else b""
        except OSError as error:
            self.unread[name] = error.strerror or str(error)
            return b""
        finally:
            os.close(file)

    def is_running(self, run_id: str) -> bool:
        return is_locked(RunFiles(Path(self._root, "runs", run_id)))


class _S3Folder:
    """A folder in S3, listed once for all questions of one collection."""

    def __init__(self, url: str) -> None:
        self.unread: dict[str, str] = {}
        self._objects = S3Folder(url)
        self._store: Store = open_store(url)
        self._stamps: dict[str, Stamp] = {}
        self._below: dict[str, list[str]] = {}

    def require(self) -> None:
        """Do nothing: a bucket that is gone is noticed when it is listed."""

    def look(self) -> None:
        stamps: dict[str, Stamp] = {**self._objects.stamps("runs/")}
        for prefix in ("kill-switch/on/", "operations/", "drills/"):
            stamps |= self._objects.stamps(prefix)
        below = defaultdict(list)
        for name in sorted(stamps):
            parts = name.split("/")
            for depth in range(1, len(parts)):
                below["/".join(parts[:depth])].append(name)
        self._stamps, self._below = stamps, below

    def run_ids(self) -> list[str]:
        return sorted({name.split("/")[1] for name in self._below.get("runs", [])})

    def stamp(self, name: str) -> Stamp | None:
        return self._stamps.get(name)

    def names(self, folder: str) -> list[str]:
        return self._below.get(folder, [])

    def read(self, name: str, start: int = 0) -> bytes:
        with suppress(FileNotFoundError):
            return self._objects.read(name)[start:]
        return b""

    def is_running(self, run_id: str) -> bool:
        return f"runs/{run_id}/lock" in self._stamps and is_running(self._store, run_id)
