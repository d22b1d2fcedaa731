"""The interface of every storage place, whether a folder on disk or a prefix in S3."""

from __future__ import annotations

from typing import Protocol, Self

from trading_runtime.errors import StorageError


class MissingError(StorageError, FileNotFoundError):
    """There is no object of this name."""


class UnreadableError(StorageError):
    """One object cannot be read; others in the same place may still be readable."""

    def __init__(self, place: str, why: str, advice: str = "") -> None:
        super().__init__(f"{place}: cannot be read: {why}{advice}")
        self.why = why


AGE_INEXACT_SECONDS = 1.0
"""By how much an age may be too large: a storage tells whole seconds."""

type Stamp = tuple[object, ...]
"""Changes when the object does."""


class Listing(Protocol):
    """The names in some folders, for many questions at one moment."""

    def stamp(self, name: str) -> Stamp | None:
        """Return a value that changes when the object does, ``None`` when there is none."""

    def names(self, folder: str) -> list[str]:
        """Return the names of the objects in a folder, sorted."""

    def folders(self, prefix: str) -> list[str]:
        """Return the names of the folders directly in the folder ``prefix``, sorted."""


def version_of(objects: ObjectStore, name: str) -> str | None:
    """Return an object's version for ``replace``, ``None`` when there is none."""
    try:
        return objects.read_version(name)[1]
    except FileNotFoundError:
        return None


class ObjectStore(Protocol):
    """Objects by name, each read and written whole; names are relative, with ``/``.

    Every method raises ``StorageError`` when the place refuses, and ``TransientError`` when it is
    unreachable, or contradicts itself, after all retries.
    """

    url: str
    """The path or the address of the place."""
    has_file_locks: bool
    """Whether a lock on a file here excludes other processes, and ends with its holder.

    Elsewhere a lease does, which has to expire after its holder was killed.
    """

    def pause(self, seconds: float) -> float:
        """Return how long to wait between two questions: ``seconds``, or 0 where asking is free."""

    def brief(self) -> Self:
        """Return the same place for questions that are asked once, without long waits."""

    def give_up(self) -> None:
        """Let all later requests fail at once: there are no answers any more."""

    def __truediv__(self, name: str) -> Self:
        """Return the place ``name`` in this one."""

    def read(self, name: str, start: int = 0, most: int | None = None) -> bytes:
        """Return an object from byte ``start``, at most ``most`` bytes of it.

        Raises ``MissingError`` when there is none, and ``DataError`` when the content is not what
        was written.
        """

    def read_version(self, name: str) -> tuple[bytes, str]:
        """Return a whole object, and its version for ``replace``; raises as ``read`` does."""

    def has(self, name: str) -> bool:
        """Return whether there is an object of this name."""

    def write(self, name: str, content: bytes) -> None:
        """Write an object, replacing any existing one."""

    def create(self, name: str, content: bytes) -> str | None:
        """Write an object unless there is one; return its version, ``None`` if there was one."""

    def replace(self, name: str, content: bytes, version: str) -> str | None:
        """Write an object if it still has ``version``; return the new version, ``None`` if not."""

    def sizes(self, prefix: str = "") -> dict[str, int]:
        """Return the size of every object in the folder ``prefix``, by name."""

    def folders(self, prefix: str) -> list[str]:
        """Return the names of the folders directly in the folder ``prefix``, sorted."""

    def listing(self, *folders: str) -> Listing:
        """Return what is in these folders: listed once where each question is a request.

        Raises ``StorageError`` when the place is gone.
        """

    def newest(self, prefix: str, name: str) -> list[str]:
        """Return the objects ``name`` in the folders directly in ``prefix``, newest first."""

    def age(self, name: str) -> float | None:
        """Return the seconds since an object was written, give or take one; ``None`` without one.

        Both moments are by the place's clock: those of other machines play no part.
        """

    def remove(self, name: str) -> None:
        """Remove an object; do nothing when there is none."""
