"""A folder on disk that is read and written like one in S3: objects whole, by name."""

from __future__ import annotations

import contextlib
from pathlib import Path

from trading_runtime.errors import StorageError
from trading_runtime.object_storage import S3Folder, is_s3
from trading_runtime.storage.files import storage_errors, write_file


class LocalFolder:
    """Files below a folder; names are relative to it, with ``/``. See ``S3Folder``."""

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)
        self.url = str(self._path)

    def __truediv__(self, name: str) -> LocalFolder:
        """Return the folder ``name`` in this one."""
        return LocalFolder(self._path / name)

    def read(self, name: str, start: int = 0) -> bytes:
        """Return a file from ``start`` on; raises ``FileNotFoundError`` when there is none."""
        path = f"{self.url}/{name}"  # text: a running run asks several times a second
        try:
            with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - see above
                file.seek(start)
                return file.read()
        except FileNotFoundError:
            raise
        except NotADirectoryError as error:
            raise FileNotFoundError(path) from error
        except OSError as error:
            raise StorageError(f"{path}: cannot be read: {error.strerror}") from error

    def has(self, name: str) -> bool:
        """Return whether there is a file of this name."""
        return (self._path / name).is_file()

    def write(self, name: str, content: bytes) -> None:
        """Write a file, in place of one that is there."""
        write_file(self._path / name, content)

    def sizes(self, prefix: str = "") -> dict[str, int]:
        """Return the bytes of every file below the folder ``prefix``, by name."""
        found = {}
        for path in sorted((self._path / prefix).rglob("*")):
            with contextlib.suppress(FileNotFoundError):  # removed in this moment
                # What begins with a dot is being written (see ``write_file``).
                if path.is_file() and not path.name.startswith("."):
                    found[path.relative_to(self._path).as_posix()] = path.stat().st_size
        return found

    def remove(self, name: str) -> None:
        """Remove a file; nothing happens when there is none."""
        with storage_errors(self._path / name):
            (self._path / name).unlink(missing_ok=True)


Folder = LocalFolder | S3Folder


def open_folder(place: str) -> Folder:
    """Return the folder at a path, or at an address such as ``s3://bucket/prefix``.

    Raises ``UsageError`` for an address that is none.
    """
    return S3Folder(place) if is_s3(place) else LocalFolder(place)
