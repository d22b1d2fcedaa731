"""Files as vendors lay them out: packed, with lines above the header, several symbols, bad rows."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import lzma
import os
import zipfile
from typing import TYPE_CHECKING, Any

import polars as pl
import pyarrow as pa
import pytest
from nautilus_trader.persistence import ParquetDataCatalog

from trading_runtime.datasets.inspection import as_text
from trading_runtime.errors import DataError, UsageError

if TYPE_CHECKING:
    from tests.datasets.conftest import Prepare
    from trading_runtime.datasets.prepare import Prepared

NOON = 1_704_110_400_000_000_000  # 2024-01-01T12:00:00Z
MINUTE = 60 * 10**9
HEADER = "timestamp,open,high,low,close,volume\n"
ROWS = (
    "2024-01-01T12:00:00Z,10.00,11.00,9.00,10.50,1\n2024-01-01T12:01:00Z,10.50,11.00,9.00,10.25,2\n"
)
BARS = HEADER + ROWS


def bars(prepared: Prepared) -> list[tuple[int, str, str]]:
    """Minutes after noon, close and volume of the bars that the engine reads."""
    found = ParquetDataCatalog(str(prepared.folder)).query_bars()
    return [((bar.ts_init - NOON) // MINUTE, str(bar.close), str(bar.volume)) for bar in found]


BOTH = [(0, "10.50", "1.000"), (1, "10.25", "2.000")]


def zstd(text: bytes) -> bytes:
    packed: bytes = pa.compress(text, codec="zstd", asbytes=True)
    return packed


def zipped(**members: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in members.items():
            archive.writestr(name, text)
    return buffer.getvalue()


def feather() -> bytes:
    buffer = io.BytesIO()
    frame = pl.read_csv(io.StringIO(BARS), try_parse_dates=True)
    frame.write_ipc(buffer, compression="lz4")
    return buffer.getvalue()


@pytest.mark.parametrize(
    "raw",
    [
        gzip.compress(BARS.encode(), mtime=0),
        gzip.compress(HEADER.encode(), mtime=0) + gzip.compress(ROWS.encode(), mtime=0),
        bz2.compress(BARS.encode()),
        lzma.compress(BARS.encode()),
        zstd(BARS.encode()),
        zipped(bars=BARS),
        BARS.encode("utf-16"),
        b"\xef\xbb\xbf" + BARS.encode(),
        BARS.replace("\n", "\r\n").encode(),
        feather(),
    ],
    ids=["gzip", "gzip in two parts", "bz2", "xz", "zstd", "zip", "utf-16", "mark", "crlf",
         "feather"],
)  # fmt: skip
def test_a_file_is_read_however_it_is_packed(raw: bytes, prepare_files: Prepare) -> None:
    assert bars(prepare_files("bars", {"raw": raw})) == BOTH


def test_all_members_of_a_zip_archive_are_read_or_those_of_a_pattern(
    prepare_files: Prepare,
) -> None:
    first, second = ROWS.splitlines(keepends=True)
    archive = zipped(b=HEADER + second, a=HEADER + first)
    assert bars(prepare_files("bars", {"raw.zip": archive})) == BOTH

    some = zipped(**{"a.csv": HEADER + first, "notes.txt": "not a table"})
    prepared = prepare_files("bars", {"raw.zip": some}, members="*.csv", force=True)

    assert bars(prepared) == BOTH[:1]
    with pytest.raises(DataError, match=r"no member like '\*.tsv'; it has a.csv, notes.txt"):
        prepare_files("bars", {"raw.zip": some}, members="*.tsv", force=True)


def test_what_is_wrong_in_an_archive_is_named_with_member_and_line(prepare_files: Prepare) -> None:
    archive = zipped(**{"in/a.csv": BARS.replace("10.25", "ten")})

    with pytest.raises(DataError, match=r"raw.zip/in/a.csv:3: close 'ten' is not a number"):
        prepare_files("bars", {"raw.zip": archive})


def test_a_workbook_is_named_as_one(prepare_files: Prepare) -> None:
    workbook = zipped(**{"[Content_Types].xml": "<Types/>", "xl/workbook.xml": "<workbook/>"})

    with pytest.raises(DataError, match="Excel workbook, which is not read; save the sheet as CSV"):
        prepare_files("bars", {"raw.xlsx": workbook})


def test_lines_above_the_header_and_comments_are_left_out_and_counted_in_places(
    prepare_files: Prepare,
) -> None:
    head, first, second = BARS.splitlines(keepends=True)
    text = f"https://www.vendor.example\n# made today\n{head}{first}# half way\n{second}"

    prepared = prepare_files("bars", {"raw.csv": text}, skip_rows=1, comment="#")

    assert bars(prepared) == BOTH
    bad = text.replace("10.25", "ten")
    with pytest.raises(DataError, match=r"raw.csv:6: close 'ten'"):
        prepare_files("bars", {"raw.csv": bad}, skip_rows=1, comment="#", force=True)


def test_the_newest_row_first_needs_sort(prepare_files: Prepare) -> None:
    first, second = ROWS.splitlines(keepends=True)
    raw: dict[str, str | bytes] = {"raw.csv": HEADER + second + first}

    with pytest.raises(DataError, match=r"raw.csv:3: timestamp goes back .*'sort: true'"):
        prepare_files("bars", raw)
    assert bars(prepare_files("bars", raw, sort=True)) == BOTH


def test_trades_of_one_time_come_as_they_happened_from_a_file_with_the_newest_first(
    prepare_files: Prepare,
) -> None:
    text = "timestamp,price,size\n1704110461,3,1\n1704110400,2,1\n1704110400,1,1\n"

    prepared = prepare_files("trades", {"raw.csv": text}, sort=True, timestamp_format="s")

    found = ParquetDataCatalog(str(prepared.folder)).query_trade_ticks()
    assert [str(trade.price) for trade in found] == ["1.00", "2.00", "3.00"]


def test_date_and_time_may_stand_in_two_columns(prepare_files: Prepare) -> None:
    text = "2024.01.01,12:00,10.00,11.00,9.00,10.50,1\n2024.01.01,12:01,10.50,11.00,9.00,10.25,2\n"
    columns = {"timestamp": [1, 2], "open": 3, "high": 4, "low": 5, "close": 6, "volume": 7}

    prepared = prepare_files(
        "bars", {"raw.csv": text}, header=False, columns=columns,
        timestamp_format="%Y.%m.%d %H:%M",
    )  # fmt: skip

    assert bars(prepared) == BOTH


POSITIONS = {"timestamp": 1, "open": 2, "high": 3, "low": 4, "close": 5, "volume": 6}


def test_units_and_headers_may_differ_from_file_to_file(prepare_files: Prepare) -> None:
    raw: dict[str, str | bytes] = {
        "2023.csv": "1704110400000,10.00,11.00,9.00,10.50,1\n",
        "2024.csv": f"open_{HEADER}1704110460000000,10.50,11.00,9.00,10.25,2\n",
    }

    prepared = prepare_files(
        "bars", raw, header="auto", timestamp_format="epoch", columns=POSITIONS
    )

    assert bars(prepared) == BOTH


def test_a_layout_of_their_own_can_be_given_to_some_files(prepare_files: Prepare) -> None:
    raw: dict[str, str | bytes] = {
        "old.csv": "1704110400;10.00;11.00;9.00;10.50;1\n",
        "new.csv": BARS.replace(ROWS.splitlines(keepends=True)[0], ""),
    }
    old = {"files": "old.csv", "header": False, "timestamp_format": "s", "separator": ";",
           "columns": POSITIONS}  # fmt: skip

    prepared = prepare_files("bars", raw, files=["new.csv", old])

    assert bars(prepared) == BOTH
    [described] = prepared.manifest.source["series"]
    assert [layout["timestamp_format"] for layout in described["settings"]["layouts"]] == ["s"]


def test_rows_are_chosen_by_the_value_of_a_column(prepare_files: Prepare) -> None:
    head, first, second = BARS.splitlines(keepends=True)
    text = f"ticker,{head}BTC,{first}ETH,{first.replace('10.50', '9.50')}BTC,{second}"

    with pytest.raises(DataError, match=r"2 symbols .*where=..ticker.: .BTC.*'split_by'"):
        prepare_files("bars", {"raw.csv": text})
    assert bars(prepare_files("bars", {"raw.csv": text}, where={"ticker": "BTC"})) == BOTH
    with pytest.raises(DataError, match="no row has ticker 'XRP'"):
        prepare_files("bars", {"raw.csv": text}, where={"ticker": "XRP"}, force=True)


def test_a_file_of_several_symbols_is_split_over_the_instruments_that_are_defined(
    prepare_files: Prepare,
) -> None:
    head, first, second = BARS.splitlines(keepends=True)
    text = f"ticker,{head}BTC/USDT,{first}ETH,{first}BTC/USDT,{second}"

    prepared = prepare_files("bars", {"raw.csv": text}, instrument="{}.SIM", split_by="ticker")

    assert bars(prepared) == BOTH
    with pytest.raises(UsageError, match="need each other"):
        prepare_files("bars", {"raw.csv": text}, split_by="ticker", force=True)


def test_bad_rows_are_left_out_counted_and_kept_when_that_is_asked_for(
    prepare_files: Prepare,
) -> None:
    second = BARS.splitlines(keepends=True)[2]
    text = (
        BARS
        + "2024-01-01T12:02:00Z,null,null,null,null,null\n"
        + "2024-01-01T12:03:00Z,10.00,9.00,11.00,10.00,1\n"
        + second
    )
    with pytest.raises(DataError, match=r"raw.csv:4: open 'null' is not a number"):
        prepare_files("bars", {"raw.csv": text})

    prepared = prepare_files("bars", {"raw.csv": text}, on_bad_row="drop", sort=True)

    assert bars(prepared) == BOTH
    [described] = prepared.manifest.source["series"]
    assert described["dropped"] == {
        "a second bar": 1, "high is below low": 1, "open is not a number": 1,
    }  # fmt: skip
    [kept] = (prepared.folder / "quarantine").iterdir()
    rows = list(csv.reader(kept.read_text().splitlines()))
    assert rows[0] == ["file", "place", "reason", "row"]
    assert rows[1][:3] == ["raw.csv", "line 4", "open is not a number"]
    assert rows[3] == ["raw.csv", "line 6", "a second bar", second.strip()]
    assert "  left out   1 row: open is not a number\n" in as_text(prepared.manifest)


def test_numbers_are_read_with_their_own_signs_and_scale(prepare_files: Prepare) -> None:
    text = (
        "timestamp;open;high;low;close;volume\n"
        "2024-01-01T12:00:00Z;1.000,00;1.100,00;900,00;1.050,00;1,5K\n"
    )
    prepared = prepare_files(
        "bars", {"raw.csv": text}, separator=";", decimal=",", thousands=".", suffixes=True,
        scale={"prices": "0.01"},
    )  # fmt: skip

    assert bars(prepared) == [(0, "10.50", "1500.000")]


def test_fixed_point_prices_are_scaled_exactly(prepare_files: Prepare) -> None:
    text = BARS.replace("10.50", "10500000000").replace("10.25", "10250000000")
    text = text.replace("11.00", "11000000000").replace("9.00", "9000000000")
    text = text.replace("10.00", "10000000000")

    assert bars(prepare_files("bars", {"raw.csv": text}, scale={"prices": "1e-9"})) == BOTH


def test_prices_that_no_unit_has_are_refused_with_the_scale_that_mends_them(
    prepare_files: Prepare,
) -> None:
    text = f"{HEADER}2024-01-01T12:00:00Z{',4750000000000' * 4},1\n"

    with pytest.raises(DataError, match=r"raw.csv:2: open '4750000000000' .*'scale: "):
        prepare_files("bars", {"raw.csv": text})


def test_a_header_in_angle_brackets_is_not_taken_for_markup(prepare_files: Prepare) -> None:
    text = BARS.replace("timestamp", "<DATE>")

    prepared = prepare_files("bars", {"raw.csv": text}, columns={"timestamp": "<DATE>"})

    assert bars(prepared) == BOTH


def test_a_pair_of_currencies_has_no_negative_prices(prepare_files: Prepare) -> None:
    with pytest.raises(UsageError, match=r"type CurrencyPair, .* 'accept' is for Cfd"):
        prepare_files("bars", {"raw.csv": BARS}, negative_prices="accept")


def test_rows_are_seen_when_they_were_received(prepare_files: Prepare) -> None:
    text = (
        "timestamp,local,price,size\n"
        "1704110400030,1704110400100,2,1\n"
        "1704110400010,1704110400101,1,1\n"
    )
    columns: dict[str, Any] = {"received": "local"}

    with pytest.raises(DataError, match="timestamp goes back"):
        prepare_files("trades", {"raw.csv": text}, timestamp_format="ms")
    prepared = prepare_files("trades", {"raw.csv": text}, timestamp_format="ms", columns=columns)

    trades = ParquetDataCatalog(str(prepared.folder)).query_trade_ticks()
    times = [(trade.ts_event - NOON, trade.ts_init - NOON) for trade in trades]
    assert times == [(30_000_000, 100_000_000), (10_000_000, 101_000_000)]


@pytest.mark.parametrize(
    "time",
    ["2024-01-01 12:00:00+00", "2024-01-01 12:00:00 UTC", "20240101T120000Z", "20240101T12:00:00Z",
     "2024-01-01 07:00:00-05", "20240101T0700-0500"],
)  # fmt: skip
def test_times_are_read_as_databases_and_iso_8601_write_them(
    time: str, prepare_files: Prepare
) -> None:
    text = f"{HEADER}{time},10.00,11.00,9.00,10.50,1\n"

    assert bars(prepare_files("bars", {"raw.csv": text})) == BOTH[:1]


def test_a_dataset_does_not_depend_on_how_many_rows_are_read_at_once(
    prepare_files: Prepare, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = "".join(
        f'{1704110400000 + step * 5_000_000},{10 + step % 7},1,{step},"{step % 3 > 0}",'
        f'"{"line\n" * (step % 60)}"\n'
        for step in range(200)
    )
    raw: dict[str, str | bytes] = {
        "raw.csv": "timestamp,price,size,id,maker,note\n" + rows + "\n\n"
    }
    columns = {"trade_id": "id", "buyer_maker": "maker"}
    whole = prepare_files("trades", raw, timestamp_format="ms", columns=columns).manifest
    monkeypatch.setattr("trading_runtime.datasets.raw_files.BLOCK_BYTES", 100)
    monkeypatch.setattr("trading_runtime.datasets.raw_files._HEAD_BYTES", 64)

    prepared = prepare_files("trades", raw, force=True, timestamp_format="ms", columns=columns)

    assert prepared.manifest == whole


def test_times_are_read_when_only_later_blocks_have_fractions_or_none_at_all(
    prepare_files: Prepare, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trading_runtime.datasets.raw_files.BLOCK_BYTES", 100)
    rows = [f"{1704110400000 + step}{'.25' if step > 40 else ''},10,1" for step in range(80)]
    rows[30] = ",10,1"
    text = "\n".join(["timestamp,price,size", *rows, "", "", ""])

    prepared = prepare_files("trades", {"raw.csv": text}, timestamp_format="ms", on_bad_row="drop")

    trades = ParquetDataCatalog(str(prepared.folder)).query_trade_ticks()
    assert [trade.ts_init for trade in trades] == [
        (1704110400000 + step) * 1_000_000 + (250_000 if step > 40 else 0)
        for step in range(80)
        if step != 30
    ]


def test_a_column_of_times_that_holds_the_ids_too_keeps_their_zeros(prepare_files: Prepare) -> None:
    text = "id,price,size\n0001704110400,10,1\n0001704110401,10,1\n"
    columns = {"timestamp": "id", "trade_id": "id"}

    prepared = prepare_files("trades", {"raw.csv": text}, timestamp_format="s", columns=columns)

    trades = ParquetDataCatalog(str(prepared.folder)).query_trade_ticks()
    assert [str(trade.trade_id) for trade in trades] == ["0001704110400", "0001704110401"]


def test_messages_do_not_depend_on_how_many_rows_are_read_at_once(
    prepare_files: Prepare, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = "".join(
        f"{1704110400000 + step},{'x' if step in {50, 99} else 10},1,{step % 90}\n"
        for step in range(120)
    )
    raw: dict[str, str | bytes] = {"raw.csv": "timestamp,price,size,id\n" + rows}
    columns = {"trade_id": "id"}
    messages = []
    for size in (1 << 20, 100):
        monkeypatch.setattr("trading_runtime.datasets.raw_files.BLOCK_BYTES", size)
        with pytest.raises(DataError) as refused:
            prepare_files("trades", raw, timestamp_format="ms", columns=columns)
        messages.append(str(refused.value))

    assert messages[0] == messages[1]
    [price, repeated] = messages[0].splitlines()
    assert "raw.csv:52: price 'x' is not a number (and 1 more like it)" in price
    assert "raw.csv:92: trade_id '0' is already that of" in repeated
    assert "raw.csv:2 (and 28 more like it)" in repeated


def test_a_dataset_does_not_depend_on_the_processes_that_make_it(
    prepare_files: Prepare, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = prepare_files("bars", {"raw.csv": BARS}).manifest
    monkeypatch.setattr("trading_runtime.datasets.series_processes._SMALL", 0)
    monkeypatch.delenv("POLARS_MAX_THREADS", raising=False)
    monkeypatch.setenv("ARROW_DEFAULT_MEMORY_POOL", "mimalloc")
    environment = dict(os.environ)

    assert prepare_files("bars", {"raw.csv": BARS}, force=True).manifest == whole
    assert dict(os.environ) == environment
    with pytest.raises(DataError, match=r"raw.csv:3: close 'ten' is not a number"):
        prepare_files("bars", {"raw.csv": BARS.replace("10.25", "ten")}, force=True)


def test_a_block_without_a_single_row_that_can_be_used_is_told(prepare_files: Prepare) -> None:
    with pytest.raises(DataError, match=r"raw.csv:2: timestamp 'x' is not a time"):
        prepare_files("bars", {"raw.csv": f"{HEADER}x,1,1,1,1,1\n"})
    with pytest.raises(DataError, match="no row can be used; the first is left out because"):
        prepare_files("bars", {"raw.csv": f"{HEADER}x,1,1,1,1,1\n"}, on_bad_row="drop", force=True)


def test_lines_that_end_with_a_carriage_return_alone_are_named(prepare_files: Prepare) -> None:
    with pytest.raises(DataError, match=r"raw.csv: the lines .* end with a carriage return alone"):
        prepare_files("bars", {"raw.csv": BARS.replace("\n", "\r")})
    stray = f"{HEADER}2024-01-01T12:00:00Z,10.00,11.00,9.00\r,10.50,1\n2024-01-01T12:01:00Z,x"
    with pytest.raises(DataError, match=r"raw.csv:3: open 'x' is not a number"):
        prepare_files("bars", {"raw.csv": stray}, force=True)


def test_a_header_that_is_not_utf_8_is_named_when_its_columns_are_looked_for(
    prepare_files: Prepare,
) -> None:
    raw = BARS.replace("timestamp", "\u65f6\u95f4").encode("gbk")

    with pytest.raises(DataError, match=r"raw.csv: the header is not UTF-8; save the file"):
        prepare_files("bars", {"raw.csv": raw})


def test_gaps_are_reported_from_the_length_that_is_said(prepare_files: Prepare) -> None:
    rows = "".join(f"2024-01-01T00:{at}:00Z,1,1,1,1,1\n" for at in ("01", "02", "12", "42"))
    raw: dict[str, str | bytes] = {"a.csv": f"timestamp,open,high,low,close,volume\n{rows}"}

    every = prepare_files("bars", raw).manifest.gaps
    long = prepare_files("bars", raw, force=True, report_gaps_above="20m").manifest.gaps

    lengths = [
        [(gap.before - gap.after) // 60_000_000_000 for gap in gaps] for gaps in (every, long)
    ]
    assert lengths == [[10, 30], [30]]


def test_a_blank_side_cannot_be_that_of_the_row_above_in_any_order(prepare_files: Prepare) -> None:
    with pytest.raises(UsageError, match="'blank_side: unchanged' needs rows in order of time"):
        prepare_files("quotes", {"a.csv": "timestamp,bid,ask\n"}, blank_side="unchanged", sort=True)
