"""Raw files at addresses: in S3, on the web, in archives there; read through fsspec."""

from __future__ import annotations

import io
import os
import tempfile
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, cast

from trading_runtime.errors import DataError, StorageError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

_BLOCK = 4 << 20
_WEB = ("http://", "https://")
_NO_PARTS = "range requests"
"""What fsspec says of a server that gives whole files only."""
_SCHEMES = frozenset({"s3", "http", "https", "zip"})


def is_address(text: str) -> bool:
    """Return whether ``text`` is an address such as ``s3://bucket/a.csv``, and not a path."""
    return "://" in text


@dataclass(frozen=True, order=True)
class RemoteFile:
    """A raw file at an address, with what a ``Path`` has for reading."""

    address: str
    """Such as ``s3://bucket/a.csv`` or ``zip://a.csv::https://host/a.zip``."""

    def __str__(self) -> str:
        """Return the address, as messages show it."""
        return self.address

    @property
    def name(self) -> str:
        """The file's own name."""
        return self.address.partition("::")[0].partition("?")[0].rpartition("/")[2]

    @property
    def size(self) -> int:
        """Bytes of the file as stored; 0 when the server does not say."""
        system, path = _system(self.address)
        return int(_with_clear_errors(self.address, lambda: system.size(path)) or 0)

    def open(self, mode: str = "rb") -> IO[bytes]:
        """Open the file for reading; it is fetched as it is read. Raises ``OSError``."""
        system, path = _system(self.address)
        is_web = self.address.startswith(_WEB)
        if is_web and not _read(lambda: system.info(path)).get("partial"):
            # The server gives whole files only.
            return _kept(_read(lambda: system.open(path, mode, block_size=0)))
        stream = _read(lambda: system.open(path, mode, block_size=_BLOCK))
        return io.BufferedReader(cast("io.RawIOBase", _Stream(stream, system)), _BLOCK)


class _Stream(io.RawIOBase):
    """A remote stream whose errors are all of ``OSError``, as a file's are."""

    def __init__(self, stream: Any, system: Any) -> None:
        self._stream = stream
        self._system = system
        """An archive closes when nothing refers to it any more."""

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return bool(self._stream.seekable())

    def readinto(self, buffer: Any) -> int:
        part = _read(lambda: self._stream.read(len(buffer)))
        buffer[: len(part)] = part
        return len(part)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return int(_read(lambda: self._stream.seek(offset, whence)))

    def tell(self) -> int:
        return int(self._stream.tell())

    def close(self) -> None:
        self._stream.close()
        super().close()


def _kept(stream: Any) -> IO[bytes]:
    """Return the content of a stream as a temporary file, which goes when it is closed."""
    file = tempfile.TemporaryFile()  # noqa: SIM115 - returned open
    with stream:
        while part := _read(lambda: stream.read(_BLOCK)):
            file.write(part)
    file.seek(0)
    return file


def find_remote(pattern: str) -> list[RemoteFile]:
    """Return the files that an address or a pattern of addresses names, sorted.

    Raises ``DataError`` when there is none, ``StorageError`` when the place cannot be read,
    ``UsageError`` for an address of an unknown kind, or without the packages that read it.
    """
    is_pattern = "*" in pattern or ("[" in pattern and not pattern.startswith(_WEB))
    system, path = _system(pattern)
    # Another import of this process may have listed the files before some arrived.
    system.invalidate_cache()
    if not is_pattern:
        _with_clear_errors(pattern, lambda: system.info(path))
        return [RemoteFile(pattern)]
    first, chain, rest = pattern.partition("::")
    scheme = first.partition("://")[0]
    names = _with_clear_errors(pattern, lambda: system.glob(path))
    files = [
        RemoteFile(f"{name if is_address(name) else f'{scheme}://{name}'}{chain}{rest}")
        for name in sorted(names)
    ]
    if not files:
        raise DataError(f"{pattern}: no file matches this pattern; see 'files' in the data file")
    return files


def _system(address: str) -> tuple[Any, str]:
    """Return the file system that an address leads to, and the path in it."""
    schemes = {part.partition("://")[0] for part in address.split("::")}
    if not schemes <= _SCHEMES:
        raise UsageError(
            f"{address}: not an address that can be read; write s3://, https:// or a path, or "
            "zip://*.csv:: before one of them"
        )
    try:
        import fsspec
    except ImportError as error:
        raise UsageError(_needs(address)) from error
    is_archive = "::" in address
    try:
        # A kept archive would still have its earlier content.
        endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
        options = {"s3": {"endpoint_url": endpoint}} if "s3" in schemes else {}
        system, path = fsspec.core.url_to_fs(address, skip_instance_cache=is_archive, **options)
    except ImportError as error:
        raise UsageError(_needs(address)) from error
    except FileNotFoundError as error:
        raise DataError(f"{address}: there is no such file") from error
    except Exception as error:
        if is_archive and _NO_PARTS in str(error):
            rest = address.partition("::")[2]
            raise DataError(
                f"{address}: the server gives whole files only, and zip:// reads parts of one; "
                f"give {rest} itself, and choose its files with 'members' (--set 'members=*.csv')"
            ) from error
        raise StorageError(f"{address}: cannot be read: {_first_line(error)}") from error
    return system, str(path)


def _needs(address: str) -> str:
    return (
        f"{address}: files at addresses need more packages; install them with "
        "'pip install \"trading-runtime[data]\"'"
    )


def _with_clear_errors[T](address: str, ask: Callable[[], T]) -> T:
    """Ask a file system; raises ``StorageError`` when it does not answer."""
    try:
        return ask()
    except FileNotFoundError as error:
        # fsspec says so of every error on the web.
        cause = error.__cause__
        if isinstance(cause, OSError) or getattr(cause, "status", 404) not in {404, 410}:
            raise _unreadable(address, cause or error) from error
        raise DataError(
            f"{address}: no such file was found there; see 'files' in the data file"
        ) from error
    except Exception as error:
        raise _unreadable(address, error) from error


def _unreadable(address: str, error: BaseException) -> StorageError:
    return StorageError(
        f"{address}: cannot be read: {_first_line(error)}; check the address, the variables of "
        "AWS and the network"
    )


def _read[T](ask: Callable[[], T]) -> T:
    try:
        return ask()
    except OSError:
        raise
    except Exception as error:
        raise OSError(_first_line(error)) from error


def _first_line(error: BaseException) -> str:
    text = str(error).strip().splitlines()
    return text[0][:200] if text else type(error).__name__
