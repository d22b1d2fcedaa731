"""What every place of bytes does, whether it is a folder on disk or a prefix in S3."""

from __future__ import annotations

from typing import Protocol, Self

from trading_runtime.errors import StorageError


class MissingError(StorageError, FileNotFoundError):
    """There is no object of this name."""


class UnreadableError(StorageError):
    """One object cannot be read; others in the same place may be."""


class ObjectStore(Protocol):
    """Objects by name, each read and written whole; names are relative, with ``/``.

    Every method raises ``StorageError`` when the place refuses, and ``TransientError`` when it
    cannot be reached, or contradicts itself, after all retries.
    """

    url: str
    """The path or the address of the place."""
    is_remote: bool
    """Whether a request takes long enough that questions should be asked seldom."""

    def __truediv__(self, name: str) -> Self:
        """Return the place ``name`` in this one."""

    def read(self, name: str, start: int = 0) -> bytes:
        """Return an object from ``start`` on; raises ``MissingError`` when there is none.

        Raises ``DataError`` when the content is not what was written.
        """

    def read_version(self, name: str, start: int = 0) -> tuple[bytes, str]:
        """Return what ``read`` returns, and the version of the object for ``replace``."""

    def has(self, name: str) -> bool:
        """Return whether there is an object of this name."""

    def write(self, name: str, content: bytes) -> None:
        """Write an object, in place of one that is there."""

    def create(self, name: str, content: bytes) -> str | None:
        """Write an object unless there is one; return its version, ``None`` if there was one."""

    def replace(self, name: str, content: bytes, version: str) -> str | None:
        """Write an object if it still has ``version``; return the new one, ``None`` if not."""

    def sizes(self, prefix: str = "") -> dict[str, int]:
        """Return the bytes of every object below the folder ``prefix``, by name."""

    def folders(self, prefix: str) -> list[str]:
        """Return the names of the folders right in the folder ``prefix``, sorted."""

    def newest(self, prefix: str, name: str) -> list[str]:
        """Return the objects ``name`` in the folders right in ``prefix``, the newest first."""

    def remove(self, name: str) -> None:
        """Remove an object; nothing happens when there is none."""
