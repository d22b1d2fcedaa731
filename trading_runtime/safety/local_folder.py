"""A folder on disk with the few methods of a folder in S3."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trading_runtime.results.store import storage_errors, write_file

if TYPE_CHECKING:
    from pathlib import Path


class LocalFolder:
    """Files by their name below a folder; see ``object_storage.S3Folder``."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def read(self, name: str) -> bytes:
        """Return a file; raises ``FileNotFoundError`` when there is none."""
        path = f"{self._root}/{name}"  # text: a running run asks several times a second
        try:
            with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - see above
                return file.read()
        except NotADirectoryError as error:
            raise FileNotFoundError(path) from error

    def write(self, name: str, content: bytes) -> None:
        """Write a file whole, in place of one that is there."""
        write_file(self._root / name, content)

    def sizes(self, prefix: str) -> dict[str, int]:
        """Return the bytes of every file below the folder ``prefix``, by name."""
        return {
            path.relative_to(self._root).as_posix(): path.stat().st_size
            for path in (self._root / prefix).glob("*.json")
            if not path.name.startswith(".")
        }

    def remove(self, name: str) -> None:
        """Remove a file; nothing happens when there is none."""
        path = self._root / name
        with storage_errors(path):
            path.unlink(missing_ok=True)
