"""The content of a raw file: detected from its first bytes, unpacked, read as UTF-8 text."""

from __future__ import annotations

import bz2
import codecs
import fnmatch
import gzip
import hashlib
import io
import lzma
import zipfile
import zlib
from typing import IO, TYPE_CHECKING, Any

from trading_runtime.errors import DataError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from trading_runtime.datasets.remote_files import RemoteFile

    type RawPath = Path | RemoteFile
    """Where a raw file is: on this machine, or at an address."""

PARQUET_MARK = b"PAR1"
FEATHER_MARK = b"ARROW1"
_ZIP_MARK = b"PK\x03\x04"
_DBN_MARK = b"DBN"
_UTF8_MARK = b"\xef\xbb\xbf"
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
_UTF32_MARK = b"\xff\xfe\x00\x00"
_DOCUMENTS = (
    *("readme", "license", "licence", "thumbs.db"),
    # Databento's, beside the files that one has ordered.
    *("condition.json", "manifest.json", "metadata.json", "symbology.json"),
)
_DOCUMENT_ENDS = (".md", ".pdf", ".htm", ".html", ".rtf", ".doc", ".docx", ".url")
"""How the names of members begin and end that come with the data of an archive."""
_ENOUGH = 512
_HASHED_BYTES = 1 << 20
_READ_BYTES = 1 << 16

_UNPACK = "unpack it, or compress it with gzip"
_SAVE = "save it as CSV or Parquet"
_TEXT = "save the file as UTF-8"
_TAR, _TAR_AT = b"ustar", 257
_ARCHIVE = (b"", "a tar archive", "unpack it, or make it a zip archive")
_PACKED = tuple(
    (mark, "compressed twice", _UNPACK)
    for mark in (b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"\xfd7zXZ\x00", b"BZh", b"PK\x03\x04")
)
"""What compressed files begin with; their content is looked at after unpacking once."""
_MARKS: tuple[tuple[bytes, str, str], ...] = (
    (b"\x04\x22\x4d\x18", "compressed with lz4", _UNPACK),
    (b"7z\xbc\xaf", "a 7z archive", _UNPACK),
    (b"Rar!", "a rar archive", _UNPACK),
    (b"x\x01", "compressed with zlib", _UNPACK),
    (b"x\x9c", "compressed with zlib", _UNPACK),
    (b"x\xda", "compressed with zlib", _UNPACK),
    (b"FEA1", "a feather file of version 1", _SAVE),
    (b"\xff\xff\xff\xff", "an Arrow stream", _SAVE),
    (b"\x89HDF", "an HDF5 file", _SAVE),
    (b"SQLite format 3", "an SQLite database", _SAVE),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook", _SAVE),
    (b"ORC", "an ORC file", _SAVE),
    (b"Obj\x01", "an Avro file", _SAVE),
    (b"\x93NUMPY", "a NumPy file", _SAVE),
    (b"\x80\x04", "a pickle", _SAVE),
    (b"\x80\x05", "a pickle", _SAVE),
    (b"%PDF", "a PDF document", _SAVE),
    (b"\xff\xfe\x00\x00", "text in UTF-32", _TEXT),
)


_MARKUP = (b"<!", b"<?xml", b"<html", b"<head", b"<body", b"<table", b"<error")
# A header such as <DATE> belongs to a trading terminal's table.

READ_ERRORS = (OSError, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, RuntimeError)
"""What reading a damaged or encrypted file raises."""


def _zstd(file: IO[bytes]) -> Any:
    import pyarrow as pa

    return pa.CompressedInputStream(pa.PythonFile(file), "zstd")


_UNPACKERS: tuple[tuple[bytes, Callable[[Any], Any]], ...] = (
    (b"\x1f\x8b", gzip.open),
    (b"\x28\xb5\x2f\xfd", _zstd),
    (b"\xfd7zXZ\x00", lzma.open),
    (b"BZh", bz2.open),
)


def raw_sha256(path: RawPath) -> str:
    """Return the sha256 of a file as stored."""
    with path.open("rb") as file:
        if isinstance(file, io.BufferedReader):
            return hashlib.file_digest(file, "sha256").hexdigest()
        found = hashlib.sha256()
        while part := file.read(_HASHED_BYTES):
            found.update(part)
    return found.hexdigest()


def first_bytes(path: RawPath) -> bytes:
    """Return the first bytes of a file as stored; raises ``DataError`` if it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(_ENOUGH)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error


def members_of(path: RawPath, pattern: str | None) -> list[str]:
    """Return the members of a zip archive that contain rows; one empty name for any other file.

    Raises ``DataError`` for an archive without such members, and for an Excel workbook.
    """
    if not first_bytes(path).startswith(_ZIP_MARK):
        return [""]
    try:
        with path.open("rb") as file, zipfile.ZipFile(file) as archive:
            names = [item.filename for item in archive.infolist() if not item.is_dir()]
    except READ_ERRORS as error:
        raise DataError(
            f"{path}: cannot be read as a zip archive (or Excel workbook): {brief(error)}"
        ) from error
    if "[Content_Types].xml" in names:
        raise DataError(
            f"{path}: the file is an Excel workbook, which is not read; save the sheet as CSV"
        )
    wanted = [
        name
        for name in sorted(names)
        if (not _is_beside_data(name) if pattern is None else fnmatch.fnmatch(name, pattern))
    ]
    if not wanted:
        what = "holds no files" if pattern is None else f"holds no member like {pattern!r}"
        raise DataError(f"{path}: the zip archive {what}; it has {', '.join(names[:5]) or 'none'}")
    return wanted


def _is_beside_data(name: str) -> bool:
    """Whether a member of an archive is hidden, or a document that comes with the data."""
    *folders, last = name.split("/")
    is_hidden = "__MACOSX" in folders or any(part.startswith(".") for part in (*folders, last))
    return is_hidden or last.lower().startswith(_DOCUMENTS) or last.lower().endswith(_DOCUMENT_ENDS)


class _AsUtf8:
    """The bytes of a stream in UTF-16, written as UTF-8."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder("utf-16")(errors="replace")

    def read(self, size: int) -> bytes:
        while raw := self._stream.read(size):
            if text := self._decoder.decode(raw):
                return text.encode()
        return b""

    def close(self) -> None:
        self._stream.close()


class _Prefixed:
    """A stream whose first bytes were already read."""

    def __init__(self, first: bytes, stream: Any, file: IO[bytes]) -> None:
        self._first = first
        self._stream = stream
        self._file = file

    def read(self, size: int) -> bytes:
        if not self._first:
            found: bytes = self._stream.read(size)
            return found
        found, self._first = self._first[:size], self._first[size:]
        return found

    def close(self) -> None:
        self._stream.close()
        self._file.close()


class _FromDbn:
    """A stream of Databento's binary records, written as their CSV: fixed-point, with symbols."""

    def __init__(self, stream: Any, where: str) -> None:
        try:
            import databento_dbn as dbn
        except ImportError as error:
            raise UsageError(
                f"{where}: a Databento file needs one package more; install it with "
                "'pip install \"trading-runtime[data]\"'"
            ) from error
        self._stream = stream
        self._text = io.BytesIO()
        self._transcoder = dbn.Transcoder(
            self._text, encoding=dbn.Encoding("csv"), compression=dbn.Compression("none"),
            pretty_px=False, pretty_ts=False, map_symbols=True,
        )  # fmt: skip
        self._error: type[Exception] = dbn.DBNError

    def read(self, size: int) -> bytes:
        try:
            while raw := self._stream.read(size):
                self._transcoder.write(raw)
                self._transcoder.flush()
                if text := self._text.getvalue():
                    self._text.seek(0)
                    self._text.truncate()
                    return text
        except self._error as error:
            raise OSError(f"not a sound Databento file: {error}") from error
        return b""

    def close(self) -> None:
        self._stream.close()


def open_text(path: RawPath, member: str) -> Any:
    """Return a stream of the file's text: unpacked, in UTF-8, without a byte order mark.

    Raises ``DataError`` for a file that is neither CSV nor packed in a known way; reading may raise
    one of ``READ_ERRORS``.
    """
    file = path.open("rb")
    try:
        stream = _unpacked(file, member)
        first = _read(stream, _ENOUGH)
    except BaseException:
        file.close()
        raise
    text = _Prefixed(first.removeprefix(_UTF8_MARK), stream, file)
    if first.startswith(_UTF16_MARKS) and not first.startswith(_UTF32_MARK):
        return _AsUtf8(_Prefixed(first, stream, file))  # type: ignore[arg-type]
    where = f"{path}/{member}" if member else str(path)
    if first.startswith(_DBN_MARK):
        return _FromDbn(_Prefixed(first, stream, file), where)
    if kind := other_kind(first):
        text.close()
        raise DataError(f"{where}: {kind}")
    return text


def lines_of(stream: Any) -> Iterator[bytes]:
    """Yield the lines of a stream with their ends, and close it."""
    rest = b""
    try:
        while chunk := stream.read(_READ_BYTES):
            *lines, rest = (rest + chunk).split(b"\n")
            yield from (line + b"\n" for line in lines)
        if rest:
            yield rest
    finally:
        stream.close()


def _unpacked(file: IO[bytes], member: str) -> Any:
    """Return the content of a file, or of a member of the zip archive that it is."""
    if member:
        file = zipfile.ZipFile(file).open(member)  # noqa: SIM115 - returned open
    start = _read(file, _ENOUGH)
    file.seek(0)
    unpack = next((unpack for mark, unpack in _UNPACKERS if start.startswith(mark)), None)
    return file if unpack is None else unpack(file)


def _read(stream: Any, size: int) -> bytes:
    parts: list[bytes] = []
    while size > 0 and (part := stream.read(size)):
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def brief(error: Exception) -> str:
    """Return the first line of an error's text."""
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__


def other_kind(first: bytes) -> str | None:
    """Return what a file that begins with ``first`` is and what to do, when it cannot be read."""
    is_tar = first[_TAR_AT:].startswith(_TAR)
    for mark, kind, advice in (*_MARKS, *_PACKED, *([_ARCHIVE] if is_tar else [])):
        if first.startswith(mark):
            return f"the file is {kind}, which is not read; {advice}"
    text = first.removeprefix(b"\xef\xbb\xbf").lstrip()
    if text[:1] in {b"{", b"["}:
        return f"the file is JSON, which is not read; {_SAVE}"
    if text.lower().startswith(_MARKUP):
        return f"the file is HTML or XML, which is not read; {_SAVE}"
    if b"\r" in text.rstrip(b"\r") and b"\n" not in text:
        return (
            "the lines of the file end with a carriage return alone, as on old Macs, which is not "
            "read; save it with the line ends of Unix or Windows"
        )
    if b"\x00" in first:
        return (
            "the file holds NUL bytes: it is binary, or UTF-16 without its mark; "
            f"{_TEXT}, or as Parquet"
        )
    return None
