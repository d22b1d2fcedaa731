"""Which files are neither CSV nor Parquet: told by their first bytes, with what to do instead."""

from __future__ import annotations

_UNPACK = "unpack it, or compress it with gzip"
_SAVE = "save it as CSV or Parquet"
_TEXT = "save the file as UTF-8"
_MARKS: tuple[tuple[bytes, str, str], ...] = (
    (b"PK\x03\x04", "a zip archive or an Excel workbook", f"{_UNPACK}; or save a sheet as CSV"),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd", _UNPACK),
    (b"\xfd7zXZ\x00", "compressed with xz", _UNPACK),
    (b"BZh", "compressed with bz2", _UNPACK),
    (b"\x04\x22\x4d\x18", "compressed with lz4", _UNPACK),
    (b"7z\xbc\xaf", "a 7z archive", _UNPACK),
    (b"Rar!", "a rar archive", _UNPACK),
    (b"x\x01", "compressed with zlib", _UNPACK),
    (b"x\x9c", "compressed with zlib", _UNPACK),
    (b"x\xda", "compressed with zlib", _UNPACK),
    (b"ARROW1", "an Arrow (feather) file", _SAVE),
    (b"FEA1", "a feather file", _SAVE),
    (b"\xff\xff\xff\xff", "an Arrow stream", _SAVE),
    (b"\x89HDF", "an HDF5 file", _SAVE),
    (b"SQLite format 3", "an SQLite database", _SAVE),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook", _SAVE),
    (b"ORC", "an ORC file", _SAVE),
    (b"Obj\x01", "an Avro file", _SAVE),
    (b"\x93NUMPY", "a NumPy file", _SAVE),
    (b"\x80\x04", "a pickle", _SAVE),
    (b"\x80\x05", "a pickle", _SAVE),
    (b"DBN", "a Databento file", _SAVE),
    (b"%PDF", "a PDF document", _SAVE),
    (b"\xff\xfe\x00\x00", "text in UTF-32", _TEXT),
    (b"\xff\xfe", "text in UTF-16", _TEXT),
    (b"\xfe\xff", "text in UTF-16", _TEXT),
)


def other_kind(first: bytes) -> str | None:
    """Return what a file that begins with ``first`` is and what to do, when it cannot be read."""
    for mark, kind, advice in _MARKS:
        if first.startswith(mark):
            return f"the file is {kind}, which is not read; {advice}"
    text = first.removeprefix(b"\xef\xbb\xbf").lstrip()
    if text[:1] in {b"{", b"["}:
        return f"the file is JSON, which is not read; {_SAVE}"
    if text[:1] == b"<":
        return f"the file is HTML or XML, which is not read; {_SAVE}"
    if b"\x00" in first:
        return f"the file holds NUL bytes: it is binary, or text in UTF-16; {_TEXT}, or as Parquet"
    return None
