"""Which files cannot be read, detected from their first bytes, and what to do instead."""

from __future__ import annotations

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
    if b"\x00" in first:
        return (
            "the file holds NUL bytes: it is binary, or UTF-16 without its mark; "
            f"{_TEXT}, or as Parquet"
        )
    return None
