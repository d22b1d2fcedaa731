"""Files as programs and people really leave them: read when they are clear, else named."""

from __future__ import annotations

import gzip
import io
import tarfile
from typing import TYPE_CHECKING

import pytest

from trading_runtime.errors import DataError

if TYPE_CHECKING:
    from tests.datasets.conftest import Prepare

HEADER = "timestamp,open,high,low,close,volume\n"
FIRST = "2024-01-01T12:01:00Z,1.5,2,1,1.5,1"
SECOND = "2024-01-01T12:02:00Z,1.5,2,1,1.5,1"
PLAIN = f"{HEADER}{FIRST}\n{SECOND}\n"


def in_a_tar(content: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        member = tarfile.TarInfo("raw.csv")
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        PLAIN.encode(),
        b"\xef\xbb\xbf" + PLAIN.encode(),
        PLAIN.replace("\n", "\r\n").encode(),
        PLAIN.replace("\n", ",\n").encode(),
        f"{HEADER}{FIRST},\n{SECOND},\n".encode(),
        PLAIN.replace(",", ", ").encode(),
        PLAIN.replace("1.5", "15e-1").encode(),
        PLAIN.replace("1.5", "+1.500000").encode(),
        PLAIN.rstrip().encode(),
        (PLAIN + "\n\n").encode(),
        gzip.compress(f"{HEADER}{FIRST}\n".encode(), mtime=0)
        + gzip.compress(f"{SECOND}\n".encode(), mtime=0),
        ('"' + PLAIN.strip().replace(",", '","').replace("\n", '"\n"') + '"\n').encode(),
    ],
    ids=["plain", "byte order mark", "CR LF", "separators at all ends", "separators at rows' ends",
         "spaces", "exponents", "plus signs", "no last line end", "blank lines at the end",
         "two gzip members", "quotes"],
)  # fmt: skip
def test_the_same_rows_become_the_same_dataset_however_they_are_written(
    prepare_files: Prepare, content: bytes
) -> None:
    made = prepare_files("bars", {"raw.csv": content}).manifest

    assert made.files[0].sha256 == _expected(prepare_files)


def _expected(prepare_files: Prepare) -> str:
    return prepare_files("bars", {"raw.csv": PLAIN}, force=True).manifest.files[0].sha256


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (in_a_tar(PLAIN.encode()), r"raw\.csv: the file is a tar archive"),
        (
            gzip.compress(gzip.compress(PLAIN.encode(), mtime=0), mtime=0),
            r"raw\.csv: the file is compressed twice",
        ),
        (f"\n{PLAIN}".encode(), r"raw\.csv:1: the line is blank; set 'skip_rows: 1'"),
        (f"{HEADER}{FIRST},\n{SECOND},9\n".encode(), r"raw\.csv:3: 7 columns where the first"),
        (b"", r"raw\.csv: the file is empty"),
        (b"\n\n", r"raw\.csv: the file is empty"),
        (HEADER.encode(), r"raw\.csv: the file holds no rows"),
        (f"{HEADER}{FIRST}\n{HEADER}{SECOND}\n".encode(), r"raw\.csv:3: timestamp 'timestamp'"),
        (gzip.compress(PLAIN.encode(), mtime=0)[:-10], r"raw\.csv: cannot be read"),
    ],
)
def test_what_is_not_clear_is_refused_with_its_place(
    prepare_files: Prepare, content: bytes, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        prepare_files("bars", {"raw.csv": content})
