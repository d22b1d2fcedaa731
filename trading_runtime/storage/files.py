"""Single files of results: written whole, and read with clear errors for damage."""

from __future__ import annotations

import contextlib
import errno
import functools
import hashlib
import json
import os
import stat
from typing import TYPE_CHECKING, Any, BinaryIO

from trading_runtime.errors import DataError, StorageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path


_READ_AT_ONCE = 1 << 16
MOST_DOCUMENT = 1 << 30
"""Bytes of a document of a run or a dataset: more than a plan of a million tasks has."""
_KINDS = {
    stat.S_IFIFO: "a FIFO",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}


def write_file(path: Path, content: str | bytes | bytearray, *, in_new_folder: bool = True) -> None:
    """Write a file under a temporary name and rename it, so that no reader sees half of it.

    Its content is on the disk before it has its name: after a loss of power, the file is the old
    one or the new one. Without ``in_new_folder`` its folder has to exist.
    """
    with storage_errors(path):
        if in_new_folder:
            path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            with temporary.open("wb") as file:
                file.write(content.encode() if isinstance(content, str) else content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException as error:
            temporary.unlink(missing_ok=True)
            if isinstance(error, OSError) and error.filename == str(temporary):
                error.filename = str(path)  # the name that the caller knows
            raise


def sync_files(paths: Iterable[Path]) -> None:
    """Have the content of files on the disk when this returns."""
    for path in paths:
        with storage_errors(path):
            descriptor = open_regular(path)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


def file_sha256(path: Path) -> str:
    """Return the sha256 of a file."""
    with os.fdopen(open_regular(path), "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_bytes(path: str | Path, most: int | None = None) -> bytes:
    """Return the content of a regular file of at most ``most`` bytes.

    Raises ``OSError`` for anything else: a FIFO would block, a device may have no end, and what
    the system makes up in ``/proc`` has no size.
    """
    # Called for six files a task: a file object around the descriptor would take half the time.
    descriptor, size = _opened(path, most)
    try:
        # One byte more than its size: if no more comes, this is all of it, and not copied.
        content = os.read(descriptor, size + 1)
        if len(content) == size:
            return content
        return content + b"".join(iter(lambda: os.read(descriptor, _READ_AT_ONCE), b""))
    finally:
        os.close(descriptor)


def open_regular(path: str | Path, most: int | None = None) -> int:
    """Return a descriptor for reading a regular file; raises ``OSError`` as ``read_bytes`` does."""
    return _opened(path, most)[0]


def _opened(path: str | Path, most: int | None) -> tuple[int, int]:
    """Return a descriptor for reading a regular file, and its size."""
    _refuse_irregular(os.stat(path), path, most)  # noqa: PTH116 - see ``read_bytes``
    # Not blocking: it may be another file by now.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        facts = os.fstat(descriptor)
        _refuse_irregular(facts, path, most)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor, facts.st_size


def refuse_irregular(path: Path) -> None:
    """Raise ``OSError`` as ``read_bytes`` does, for readers that open a file themselves."""
    os.close(open_regular(path))


def open_lock(path: str | Path) -> BinaryIO:
    """Open the file of a lock, made if it is missing; raises ``OSError`` for what is no file.

    A FIFO of that name would block.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC, 0o666)
    try:
        _refuse_irregular(os.fstat(descriptor), path, None)
    except OSError:
        os.close(descriptor)
        raise
    return os.fdopen(descriptor, "r+b")


def text_of_file(path: Path, most: int | None = None, encoding: str = "utf-8") -> str:
    """Return the text of a regular file of at most ``most`` bytes; raises as ``read_bytes``."""
    return read_bytes(path, most).decode(encoding)


def _refuse_irregular(facts: os.stat_result, path: str | Path, most: int | None) -> None:
    kind = stat.S_IFMT(facts.st_mode)
    if kind == stat.S_IFDIR:
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if kind != stat.S_IFREG:
        raise OSError(errno.EINVAL, f"is {_KINDS.get(kind, 'no file')}, no regular file", str(path))
    if facts.st_dev in _made_up():
        raise OSError(errno.EINVAL, "is made up by the system, no regular file", str(path))
    if most is not None and facts.st_size > most:
        raise OSError(
            errno.EFBIG, f"has {facts.st_size:,} bytes; at most {most:,} are accepted", str(path)
        )


@functools.cache
def _made_up() -> frozenset[int]:
    found = set()
    for path in ("/proc", "/sys"):
        with contextlib.suppress(OSError):
            found.add(os.stat(path).st_dev)  # noqa: PTH116 - see ``read_bytes``
    return frozenset(found)


def what_else(path: Path) -> str | None:
    """Return what a path names if that is neither a file nor a folder: ``a device``, for one."""
    with contextlib.suppress(OSError, ValueError):
        kind = stat.S_IFMT(path.stat().st_mode)
        if kind not in {stat.S_IFREG, stat.S_IFDIR}:
            return _KINDS.get(kind, "no file")
    return None


def read_json(path: Path) -> Any:
    """Return the object in a JSON file, or ``None`` when there is no file.

    Raises ``DataError`` when it is damaged.
    """
    try:
        content = json.loads(read_bytes(path, MOST_DOCUMENT))
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
