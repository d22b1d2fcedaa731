"""Single files of results: written whole, and read with clear errors for damage."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from typing import TYPE_CHECKING, Any

from trading_runtime.errors import DataError, StorageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


_READ_AT_ONCE = 1 << 16


def write_file(path: Path, content: str | bytes, *, in_new_folder: bool = True) -> None:
    """Write a file under a temporary name and rename it, so that no reader sees half of it.

    Without ``in_new_folder`` its folder has to exist.
    """
    with storage_errors(path):
        if in_new_folder:
            path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            temporary.write_bytes(content.encode() if isinstance(content, str) else content)
            temporary.replace(path)
        except BaseException as error:
            temporary.unlink(missing_ok=True)
            if isinstance(error, OSError) and error.filename == str(temporary):
                error.filename = str(path)  # the name that the caller knows
            raise


def file_sha256(path: Path) -> str:
    """Return the sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_bytes(path: str) -> bytes:
    """Return the content of a file."""
    # Called for six files a task: a file object around the descriptor would take half the time.
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return b"".join(iter(lambda: os.read(descriptor, _READ_AT_ONCE), b""))
    finally:
        os.close(descriptor)


def read_json(path: Path) -> Any:
    """Return the object in a JSON file, or ``None`` when there is no file.

    Raises ``DataError`` when it is damaged.
    """
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path}: cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise DataError(f"{path}: damaged: it holds no JSON object; run the experiment again")
    return content


@contextlib.contextmanager
def storage_errors(
    place: Path, remedy: str = "set 'results' to a folder that can be written"
) -> Iterator[None]:
    """Turn the operating system's errors for a full or unwritable disk into ``StorageError``."""
    try:
        yield
    except OSError as error:
        raise StorageError(
            f"{error.filename or place}: cannot be written: {error.strerror or error}; free space, "
            f"or {remedy}"
        ) from error
