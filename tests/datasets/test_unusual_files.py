"""Files as programs and people really leave them: read when they are clear, else named."""

from __future__ import annotations

import gzip
import io
import lzma
import tarfile
import zipfile
from typing import TYPE_CHECKING, Any

import polars as pl
import pyarrow as pa
import pytest
from click.testing import CliRunner

from trading_runtime.cli.data import data
from trading_runtime.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result

    from tests.datasets.conftest import Prepare

HEADER = "timestamp,open,high,low,close,volume\n"
FIRST = "2024-01-01T12:01:00Z,1.5,2,1,1.5,1"
SECOND = "2024-01-01T12:02:00Z,1.5,2,1,1.5,1"
PLAIN = f"{HEADER}{FIRST}\n{SECOND}\n"


def in_a_zip(*members: tuple[str, str | bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, text in members:
            archive.writestr(name, text)
    return buffer.getvalue()


def in_zstd(content: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(content)
    found: bytes = sink.getvalue().to_pybytes()
    return found


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
        in_a_zip(("a/b/", ""), ("a/b/x.csv", PLAIN), ("__MACOSX/a/b/._x.csv", "\0"),
                 ("a/.DS_Store", "\0"), ("a/README.txt", "Thank you!"), ("a/terms.pdf", "%PDF")),
        in_a_zip(("x.csv.gz", gzip.compress(PLAIN.encode(), mtime=0)),
                 ("metadata.json", "{}"), ("condition.json", "[]"), ("symbology.json", "{}")),
        in_a_zip(("x.csv.xz", lzma.compress(PLAIN.encode()))),
        in_a_zip(("x.csv.zst", in_zstd(PLAIN.encode()))),
    ],
    ids=["plain", "byte order mark", "CR LF", "separators at all ends", "separators at rows' ends",
         "spaces", "exponents", "plus signs", "no last line end", "blank lines at the end",
         "two gzip members", "quotes", "a zip with folders", "a zip of Databento's",
         "a zip of xz", "a zip of zstd"],
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


def test_a_day_without_rows_adds_none_to_the_days_that_have_some(prepare_files: Prepare) -> None:
    made = prepare_files("bars", {"a.csv": HEADER, "b.csv": PLAIN, "c.csv": HEADER}).manifest

    assert made.files[0].sha256 == _expected(prepare_files)
    assert [file["name"] for file in made.source["series"][0]["files"]] == [
        "a.csv", "b.csv", "c.csv",
    ]  # fmt: skip
    with pytest.raises(DataError, match=r"a\.csv: the file holds no rows"):
        prepare_files("bars", {"a.csv": HEADER, "b.csv": HEADER}, force=True)


def test_the_bar_with_which_the_next_file_begins_again_counts_once(prepare_files: Prepare) -> None:
    files: dict[str, str | bytes] = {
        "a.csv": f"{HEADER}{FIRST}\n",
        "b.csv": f"{HEADER}{FIRST}\n{SECOND}\n",
    }

    made = prepare_files("bars", files).manifest

    assert made.source["series"][0]["repeated"] == {"rows": 1}
    assert made.files[0].sha256 == _expected(prepare_files)
    for text in (f"{HEADER}{FIRST}\n{FIRST}\n", f"{HEADER}{FIRST[:-1]}2\n"):
        with pytest.raises(DataError, match="a second bar that closes at 2024-01-01T12:01:00Z"):
            prepare_files("bars", files | {"b.csv": text}, force=True)


ROWS = [
    f"2024-01-01T12:0{minute}:00Z,10,10.9,9.9,10.{minute},{minute + 1}\n" for minute in range(9)
]
"""Bars of nine minutes."""


def in_files(*parts: list[str]) -> dict[str, str | bytes]:
    """Files of bars, in the order of their names."""
    return {f"{at}.csv": HEADER + "".join(rows) for at, rows in enumerate(parts)}


@pytest.mark.parametrize(
    ("parts", "repeated"),
    [
        ([ROWS[:5], ROWS[2:]], 3),
        ([ROWS[:5], ROWS], 5),
        ([ROWS, ROWS[3:6]], 3),
        ([ROWS[:4], ROWS[2:6], ROWS[3:]], 2 + 3),
    ],
    ids=["the end", "all", "the middle", "of two files"],
)
@pytest.mark.parametrize("block", [1 << 20, 100], ids=["in one block", "over blocks"])
def test_rows_with_which_a_file_repeats_those_before_count_once(
    prepare_files: Prepare,
    monkeypatch: pytest.MonkeyPatch,
    parts: list[list[str]],
    repeated: int,
    block: int,
) -> None:
    whole = prepare_files("bars", in_files(ROWS)).manifest
    monkeypatch.setattr("trading_runtime.datasets.raw_files.BLOCK_BYTES", block)

    made = prepare_files("bars", in_files(*parts), force=True).manifest

    assert made.source["series"][0]["repeated"] == {"rows": repeated}
    assert [file.sha256 for file in made.files] == [file.sha256 for file in whole.files]


def test_a_row_that_was_changed_since_is_refused_with_both_places(
    prepare_files: Prepare, tmp_path: Path
) -> None:
    changed = [*ROWS[2:4], ROWS[4].replace("10.9", "11"), *ROWS[5:]]

    with pytest.raises(DataError) as refused:
        prepare_files("bars", in_files(ROWS[:6], changed))

    assert str(refused.value).replace(f"{tmp_path}/", "") == (
        "1.csv:4: the row is not the one of 2024-01-01T12:04:00Z that the file before has "
        "(0.csv:6): it was changed; give one of the two files"
    )


def test_a_row_that_the_file_before_lacks_is_refused_as_one_that_goes_back(
    prepare_files: Prepare,
) -> None:
    with pytest.raises(DataError, match=r"1\.csv:2: timestamp goes back"):
        prepare_files("bars", in_files([*ROWS[:2], *ROWS[3:6]], ROWS[2:]))


def test_quotes_count_once_when_a_file_goes_back_and_twice_at_the_same_time(
    prepare_files: Prepare,
) -> None:
    rows = [f"2024-01-01T12:00:0{at // 2}Z,10.0{at},10.1\n" for at in range(6)]
    header = "timestamp,bid,ask\n"

    def count(*parts: list[str]) -> int:
        files: dict[str, str | bytes] = {
            f"{at}.csv": header + "".join(part) for at, part in enumerate(parts)
        }
        return prepare_files("quotes", files, force=True).manifest.rows

    # The second file begins in the middle of a second, and the first ends in the middle of one.
    assert count(rows[:5], rows[3:]) == 6
    assert count(rows[:5], rows[4:]) == 7


def test_only_trades_that_have_ids_can_be_known_as_repeated(prepare_files: Prepare) -> None:
    row = "2024-01-01T12:00:00Z,1.5,1,77\n"
    text: str | bytes = f"timestamp,price,size,id\n{row}"
    files = dict.fromkeys(("a.csv", "b.csv"), text)

    assert prepare_files("trades", files).manifest.rows == 2
    named = {"trade_id": "id"}
    assert prepare_files("trades", files, columns=named, force=True).manifest.rows == 1


def test_a_header_in_another_order_than_the_positions_is_refused(prepare_files: Prepare) -> None:
    positions = {"timestamp": 1, "ask": 2, "bid": 3}
    usual = "time,Ask,Bid\n2024-01-01T12:00:00Z,10.02,10.01\n"
    prepare_files("quotes", {"a.csv": usual}, columns=positions)

    moved = "time,Bid,Ask\n2024-01-01T12:00:00Z,10.01,10.02\n"
    with pytest.raises(DataError, match=r"column 2 'Bid', but 'bid' is read from column 3, 'Ask'"):
        prepare_files("quotes", {"a.csv": moved}, columns=positions, force=True)


def test_lines_above_the_rows_that_are_rows_are_not_left_out(prepare_files: Prepare) -> None:
    positions = {name: at for at, name in enumerate(HEADER.strip().split(","), start=1)}
    settings: dict[str, Any] = {"skip_rows": 1, "header": False, "columns": positions}
    prepare_files("bars", {"a.csv": PLAIN}, **settings)

    with pytest.raises(DataError, match=r"a\.csv:1: 'skip_rows: 1' leaves out a row of data"):
        prepare_files("bars", {"a.csv": f"{FIRST}\n{SECOND}\n"}, **settings, force=True)


def test_hours_between_settlements_are_read_or_refused(tmp_path: Path) -> None:
    def run(hours: str) -> Result:
        raw = tmp_path / "funding.csv"
        raw.write_text(f"1704110400000, {hours}, 0.0001\n1704139200000, {hours}, 0.0001\n")
        arguments = [
            "import", str(raw), "--format", "binance-funding", "--instrument",
            "BTCUSDT-PERP.BINANCE", "--tick", "0.1", "--lot", "0.001",
            "--to", str(tmp_path / hours),
        ]  # fmt: skip
        return CliRunner().invoke(data, arguments)

    run("8")
    [path] = (tmp_path / "8" / "data" / "funding_rates").rglob("*.parquet")
    assert pl.read_parquet(path)["interval"].to_list() == [480, 480]
    assert "interval 'eight' is not a number of hours" in str(run("eight").exception)
