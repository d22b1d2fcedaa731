"""The files of a store as paths: in place on disk, or copies of the objects in S3.

The code that uses paths (a run's folder, tables, the report) is the same for both.
"""

from __future__ import annotations

import itertools
import weakref
from typing import TYPE_CHECKING, Protocol

from trading_runtime.errors import DataError, TransientError
from trading_runtime.storage.files import storage_errors
from trading_runtime.storage.object_store import MissingError
from trading_runtime.storage.scratch import Scratch
from trading_runtime.text import name_copy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from trading_runtime.storage.s3 import S3Folder

_FETCHED_AT_ONCE = 400


class WorkingCopy(Protocol):
    """Files below ``root``, which have the names of the store's objects."""

    root: Path
    is_complete: bool
    """Whether every object has its file, so that other processes can read them all."""

    def fetch(self, *names: str) -> None:
        """Fetch objects that have no file yet; raises ``MissingError`` if one is missing."""

    def fetch_below(self, prefix: str, wanted: Callable[[str], bool] = lambda _: True) -> None:
        """Fetch the objects below ``prefix`` whose names are wanted and that have no file yet."""

    def refresh(self, names: Iterable[str]) -> None:
        """Fetch objects as they are now."""

    def keep(self, name: str, content: bytes) -> None:
        """Keep the content of an object that was just read."""

    def publish(self, paths: Iterable[Path]) -> None:
        """Store existing files; ``paths`` is ignored where they are stored already."""

    def remove(self, path: Path) -> None:
        """Remove a file, both stored and local; do nothing when there is none."""


class InPlace:
    """Files on disk: they are the store."""

    is_complete = True

    def __init__(self, root: Path) -> None:
        self.root = root

    def fetch(self, *names: str) -> None:
        """Do nothing: each file exists."""

    def fetch_below(self, prefix: str, wanted: Callable[[str], bool] = lambda _: True) -> None:
        """Do nothing: each file exists."""

    def refresh(self, names: Iterable[str]) -> None:
        """Do nothing: each file is current."""

    def keep(self, name: str, content: bytes) -> None:
        """Do nothing: the file exists."""

    def publish(self, paths: Iterable[Path]) -> None:
        """Do nothing: others see each file."""

    def remove(self, path: Path) -> None:
        """Remove a file; do nothing when there is none."""
        path.unlink(missing_ok=True)


class FetchedCopy:
    """Copies of objects in a temporary folder that is removed with this object."""

    is_complete = False

    def __init__(self, objects: S3Folder) -> None:
        scratch = Scratch()
        weakref.finalize(self, scratch.remove)
        self.root = scratch.path
        name_copy(str(self.root), objects.url)
        self._objects = objects

    def fetch(self, *names: str) -> None:
        """Fetch objects that have no file yet; raises ``MissingError`` if one is missing."""
        self.refresh([name for name in names if not (self.root / name).exists()])

    def fetch_below(self, prefix: str, wanted: Callable[[str], bool] = lambda _: True) -> None:
        """Fetch the objects below ``prefix`` whose names are wanted and that have no file yet."""
        try:
            self.fetch(*filter(wanted, self._objects.sizes(prefix)))
        except MissingError as error:
            raise TransientError(
                f"{error}, although it was listed just before: it was removed at this moment, or "
                "the list is old; try again later"
            ) from error

    def refresh(self, names: Iterable[str]) -> None:
        """Fetch current objects concurrently: a run of pods has thousands of journals."""
        for some in itertools.batched(names, _FETCHED_AT_ONCE, strict=False):
            for name, content in self._objects.read_all(some).items():
                self.keep(name, content)

    def keep(self, name: str, content: bytes) -> None:
        """Write the file of an object."""
        if ".." in name.split("/"):
            # An object may have this name; its copy would leave the folder.
            raise DataError(f"{self._objects.url}/{name}: no name for a file of results; remove it")
        path = self.root / name
        with storage_errors(path, "set TMPDIR to a folder with more of it"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)

    def publish(self, paths: Iterable[Path]) -> None:
        """Upload existing files, replacing the stored ones."""
        for path in paths:
            if path.is_file():
                self._objects.write(path.relative_to(self.root).as_posix(), path.read_bytes())

    def remove(self, path: Path) -> None:
        """Remove a file, both stored and local; do nothing when there is none."""
        path.unlink(missing_ok=True)
        self._objects.remove(path.relative_to(self.root).as_posix())
