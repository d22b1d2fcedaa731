"""A folder on disk with the same interface as one in S3: whole objects, by name."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from trading_runtime.errors import StorageError
from trading_runtime.storage.files import open_regular, storage_errors, write_file
from trading_runtime.storage.object_store import MissingError, UnreadableError
from trading_runtime.storage.s3 import S3Folder, is_s3

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trading_runtime.storage.object_store import ObjectStore, Stamp


class LocalFolder:
    """Files below a folder; names are relative to it, with ``/``. See ``ObjectStore``."""

    has_file_locks = True

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)
        self.url = str(self._path)

    def pause(self, seconds: float) -> float:  # noqa: ARG002 - see ``ObjectStore``
        """Return 0: a disk may be asked at any time."""
        return 0.0

    def brief(self) -> LocalFolder:
        """Return the same folder: a disk answers."""
        return self

    def give_up(self) -> None:
        """Do nothing: a disk answers."""

    def __truediv__(self, name: str) -> LocalFolder:
        """Return the subfolder ``name``."""
        return LocalFolder(self._path / name)

    def read(self, name: str, start: int = 0, most: int | None = None) -> bytes:
        """Return a file from byte ``start``; raises ``MissingError`` when there is none."""
        path = f"{self.url}/{name}"  # text: a running run asks several times a second
        try:
            with os.fdopen(open_regular(path), "rb") as file:
                file.seek(start)
                return file.read(most)
        except FileNotFoundError:
            if (link := self._broken_link(name)) is not None:
                # Neither is this: what it led to may be a kill switch that is on.
                raise UnreadableError(link, "is a link that leads nowhere") from None
            raise MissingError(f"{path}: there is no such file") from None
        except OSError as error:
            # A file where a folder belongs is no answer: a kill switch there may be on.
            raise _unreadable(path, error) from error

    def _broken_link(self, name: str) -> str | None:
        path = self.url
        for part in name.split("/"):
            path = f"{path}/{part}"
            if os.path.islink(path) and not os.path.exists(path):  # noqa: PTH110, PTH114 - text
                return path
        return None

    def read_version(self, name: str) -> tuple[bytes, str]:
        """Return a file, and its version for ``replace``."""
        content = self.read(name)
        return content, _version(content)

    def has(self, name: str) -> bool:
        """Return whether there is a file of this name."""
        return (self._path / name).is_file()

    def write(self, name: str, content: bytes) -> None:
        """Write a file, replacing any existing one."""
        with self._alone(name) as path:
            write_file(path, content)

    def create(self, name: str, content: bytes) -> str | None:
        """Write a file unless there is one; return its version, ``None`` if there was one."""
        with self._alone(name) as path:
            if path.exists():
                return None
            write_file(path, content)
        return _version(content)

    def replace(self, name: str, content: bytes, version: str) -> str | None:
        """Write a file if it still has ``version``; return the new version, ``None`` if not."""
        with self._alone(name) as path:
            try:
                if _version(self.read(name)) != version:
                    return None
            except MissingError:
                return None
            write_file(path, content)
        return _version(content)

    def sizes(self, prefix: str = "") -> dict[str, int]:
        """Return the size of every file in the folder ``prefix``, or with that name, by name."""
        found = {}
        top = self._path / prefix
        for path in [top] if top.is_file() else sorted(_files_below(top)):
            with contextlib.suppress(FileNotFoundError):  # just removed
                # A name with a leading dot is still being written (see ``write_file``).
                if path.is_file() and not path.name.startswith("."):
                    found[path.relative_to(self._path).as_posix()] = path.stat().st_size
        return found

    def folders(self, prefix: str) -> list[str]:
        """Return the names of the folders directly in the folder ``prefix``, sorted."""
        try:
            return sorted(path.name for path in (self._path / prefix).iterdir() if path.is_dir())
        except OSError as error:
            _refuse_unreadable(error)
            return []

    def listing(self, *_: str) -> LocalFolder:
        """Return this folder, which answers at once; see ``ObjectStore``."""
        try:
            with os.scandir(self.url):
                return self
        except OSError as error:
            raise StorageError(
                f"{self.url}: the results cannot be read: {error.strerror}; put them back, or "
                "name the folder where they are with --results"
            ) from error

    def stamp(self, name: str) -> Stamp | None:
        """Return time, size and number of a file, ``None`` when there is none."""
        try:
            # For every run at every scrape: paths as strings are several times faster.
            facts = os.stat(f"{self.url}/{name}")  # noqa: PTH116
        except OSError:
            return None
        return facts.st_mtime_ns, facts.st_size, facts.st_ino

    def names(self, folder: str) -> list[str]:
        """Return the names of the files in a folder, sorted."""
        top = f"{self.url}/{folder}"
        return sorted(
            f"{folder}{path.removeprefix(top)}/{file}"
            for path, _, files in os.walk(top)
            for file in files
            if not file.startswith(".")
        )

    def newest(self, prefix: str, name: str) -> list[str]:
        """Return the files called ``name`` in the folders directly in ``prefix``, newest first."""
        stamped = []
        for folder in self.folders(prefix):
            path = f"{prefix}/{folder}/{name}"
            with contextlib.suppress(OSError):
                stamped.append(((self._path / path).stat().st_mtime_ns, path))
        return [path for _, path in sorted(stamped, reverse=True)]

    def age(self, name: str) -> float | None:
        """Return the seconds since a file was written; ``None`` when there is none."""
        try:
            return time.time() - (self._path / name).stat().st_mtime
        except OSError:
            return None

    def remove(self, name: str) -> None:
        """Remove a file; do nothing when there is none."""
        if os.path.lexists(self._path / name):
            with self._alone(name) as path, storage_errors(path):
                path.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _alone(self, name: str) -> Iterator[Path]:
        """Yield the path of a file while no other process writes to its folder in this way.

        The change is on the disk when the block has ended: a kill switch outlives a loss of power.
        """
        path = self._path / name
        with storage_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            lock = os.open(path.parent, os.O_RDONLY)
        try:
            with contextlib.suppress(OSError):  # not every file system has locks
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield path
            with contextlib.suppress(OSError):  # nor can every one do this with a folder
                os.fsync(lock)
        finally:
            os.close(lock)


def _files_below(top: Path) -> Iterator[Path]:
    for folder, _, names in os.walk(top, onerror=_refuse_unreadable):
        yield from (Path(folder, name) for name in names)


def _refuse_unreadable(error: OSError) -> None:
    """Raise ``UnreadableError`` unless a folder is only missing: what it has would look absent."""
    if not isinstance(error, FileNotFoundError):
        raise _unreadable(str(error.filename), error) from error


def _unreadable(path: str, error: OSError) -> UnreadableError:
    is_file = isinstance(error, NotADirectoryError)
    advice = "; set 'results' to a folder that can be written" if is_file else ""
    return UnreadableError(path, error.strerror or str(error), advice)


def _version(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def open_folder(place: str) -> ObjectStore:
    """Return the folder at a path, or at an address such as ``s3://bucket/prefix``.

    Raises ``UsageError`` for an invalid address.
    """
    return S3Folder(place) if is_s3(place) else LocalFolder(place)
