"""Raw files become a catalog that the engine reads, with exact values."""

from __future__ import annotations

import gzip
import io
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import polars as pl
import pyarrow.parquet as pq
import pytest
from nautilus_trader import model
from nautilus_trader.persistence import ParquetDataCatalog

from trading_runtime.datasets import catalog_files
from trading_runtime.errors import DataError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from tests.datasets.conftest import Prepare
    from trading_runtime.datasets.prepare import Prepared

MINUTE = 60 * 10**9
DAY = 1_440 * MINUTE
BAR_TYPE = "BTC/USDT.SIM-1-MINUTE-LAST-EXTERNAL"
HEADER = "timestamp,open,high,low,close,volume\n"


def bars(*times: str) -> str:
    return HEADER + "".join(f"{time},10.00,11.00,9.00,10.50,1.5\n" for time in times)


def read_back(prepared: Prepared, kind: str) -> list[Any]:
    catalog = ParquetDataCatalog(str(prepared.folder))
    found: list[Any] = getattr(catalog, f"query_{kind}")()
    return found


def test_the_engine_reads_what_was_prepared(prepare_files: Prepare) -> None:
    text = HEADER + "2024-01-01 00:01:00,10.01,11.00,9.5,10,0.125\n"

    prepared = prepare_files("bars", {"raw.csv": text})

    [bar] = read_back(prepared, "bars")
    values = [str(bar.open), str(bar.high), str(bar.low), str(bar.close), str(bar.volume)]
    assert values == ["10.01", "11.00", "9.50", "10.00", "0.125"]
    assert str(bar.bar_type) == BAR_TYPE
    assert bar.ts_event == bar.ts_init == 1_704_067_260_000_000_000


def test_a_bar_whose_time_marks_its_open_is_known_at_its_close(prepare_files: Prepare) -> None:
    raw: dict[str, str | bytes] = {"raw.csv": bars("2024-01-01 00:00:00")}

    opened = prepare_files("bars", raw, timestamp_marks="open")

    [bar] = read_back(opened, "bars")
    assert bar.ts_init == bar.ts_event == 1_704_067_200_000_000_000 + MINUTE


def test_daily_bars_close_on_the_clock_of_their_zone(prepare_files: Prepare) -> None:
    text = bars("2024-03-30", "2024-03-31", "2024-04-01")

    prepared = prepare_files(
        "bars", {"raw.csv": text}, bar="1-DAY-LAST", timestamp_marks="open",
        time_zone="Europe/Berlin",
    )  # fmt: skip

    first, second, third = (bar.ts_init for bar in read_back(prepared, "bars"))
    assert (second - first, third - second) == (23 * 60 * MINUTE, DAY)
    assert prepared.manifest.gaps == ()


def test_quotes_without_sizes_get_the_one_that_is_given(prepare_files: Prepare) -> None:
    raw: dict[str, str | bytes] = {"raw.csv": "20240101 000000065,10.00,10.01,0\n"}

    prepared = prepare_files(
        "quotes", raw, header=False, columns={"timestamp": 1, "bid": 2, "ask": 3},
        timestamp_format="%Y%m%d %H%M%S%3f", size="2.5",
    )  # fmt: skip

    [quote] = read_back(prepared, "quote_ticks")
    found = [quote.bid_price, quote.ask_price, quote.bid_size, quote.ask_size]
    assert [str(value) for value in found] == ["10.00", "10.01", "2.500", "2.500"]
    assert quote.ts_init == 1_704_067_200_065_000_000


def test_floats_of_a_parquet_file_are_rounded_to_the_tick_and_counted(
    prepare_files: Prepare,
) -> None:
    frame = pl.DataFrame(
        {
            "at": pl.Series([1_704_067_200_000] * 2 + [1_704_067_201_000]).cast(
                pl.Datetime("ms", "UTC")
            ),
            "price": [10.1, 10.20, 10.3],
            "qty": [0.1 + 0.2, 0.5, 0.00031099999999999997],
            "id": [5, 6, 7],
            "maker": ["True", "False", "True"],
        }
    )
    buffer = io.BytesIO()
    frame.write_parquet(buffer)
    columns = {"timestamp": "at", "size": "qty", "trade_id": "id", "buyer_maker": "maker"}

    with pytest.raises(DataError, match=r"raw\.parquet, row 3: size '0\.00031099999999999997'"):
        prepare_files("trades", {"raw.parquet": buffer.getvalue()}, columns=columns)
    with pytest.raises(DataError, match=r"raw\.parquet, row 3: size .* is zero"):
        prepare_files(
            "trades", {"raw.parquet": buffer.getvalue()}, columns=columns, off_tick="round"
        )
    buffer = io.BytesIO()
    frame.head(2).write_parquet(buffer)
    prepared = prepare_files(
        "trades", {"raw.parquet": buffer.getvalue()}, columns=columns, off_tick="round"
    )

    trades = read_back(prepared, "trade_ticks")
    assert [str(trade.size) for trade in trades] == ["0.300", "0.500"]
    assert [trade.aggressor_side.name for trade in trades] == ["SELL", "BUY"]
    assert [str(trade.trade_id) for trade in trades] == ["5", "6"]
    [described] = prepared.manifest.source["series"]
    assert (described["rounded"], described["snapped"]) == ({"price": 0, "size": 0}, {"size": 1})


def test_trades_without_ids_are_numbered_and_sides_are_named(prepare_files: Prepare) -> None:
    text = "timestamp,price,size,side\n5,10,1,B\n5,10,1,A\n6,10,1,-\n"
    values = {"B": "BUY", "A": "SELL", "-": "NONE"}

    prepared = prepare_files(
        "trades", {"raw.csv": text}, timestamp_format="s", columns={"aggressor": "side"},
        unusual_times="accept",
        aggressor_values=values,
    )  # fmt: skip

    trades = read_back(prepared, "trade_ticks")
    assert [str(trade.trade_id) for trade in trades] == ["1", "2", "3"]
    sides = [trade.aggressor_side.name for trade in trades]
    assert sides == ["BUY", "SELL", "NO_AGGRESSOR"]


def test_files_of_a_series_are_put_in_the_order_of_their_times(prepare_files: Prepare) -> None:
    raw: dict[str, str | bytes] = {
        "10.csv": bars("2024-01-01 00:03:00"),
        "9.csv.gz": gzip.compress(bars("2024-01-01 00:01:00", "2024-01-01 00:02:00").encode()),
    }

    prepared = prepare_files("bars", raw)

    times = [bar.ts_init for bar in read_back(prepared, "bars")]
    assert times == [1_704_067_200_000_000_000 + minute * MINUTE for minute in (1, 2, 3)]


def test_files_that_overlap_are_refused_with_both_places(prepare_files: Prepare) -> None:
    raw: dict[str, str | bytes] = {
        "a.csv": bars("2024-01-01 00:01:00", "2024-01-01 00:03:00"),
        "b.csv": bars("2024-01-01 00:02:00"),
    }

    with pytest.raises(DataError, match=r"b\.csv:2: timestamp goes back .*a\.csv:3"):
        prepare_files("bars", raw)


def test_the_line_of_a_row_is_right_behind_a_quoted_text_of_two_lines(
    prepare_files: Prepare,
) -> None:
    text = 'note,timestamp,price,size\n"two\nlines",1,10,1\nx,2,-10,1\n'

    with pytest.raises(DataError, match=r"raw\.csv:4: price '-10' is negative"):
        prepare_files("trades", {"raw.csv": text}, timestamp_format="s", unusual_times="accept")


def test_bars_lie_in_files_by_month_and_row_groups_by_day(prepare_files: Prepare) -> None:
    times = [
        "2024-01-30 12:00:00", "2024-01-31 23:59:00", "2024-02-01 00:00:00", "2024-02-01 00:01:00",
    ]  # fmt: skip

    prepared = prepare_files("bars", {"raw.csv": bars(*times)})

    folder = "data/bars/BTCUSDT.SIM-1-MINUTE-LAST-EXTERNAL"
    january = "2024-01-30T12-00-00-000000000Z_2024-01-31T23-59-00-000000000Z.parquet"
    february = "2024-02-01T00-00-00-000000000Z_2024-02-01T00-01-00-000000000Z.parquet"
    found = [
        (file.path, [group.rows for group in file.row_groups]) for file in prepared.manifest.files
    ]
    assert found == [(f"{folder}/{january}", [1, 1]), (f"{folder}/{february}", [2])]


def test_ticks_lie_in_files_by_day(prepare_files: Prepare) -> None:
    text = "timestamp,bid,ask\n2024-01-31 23:59:59.999,10,11\n2024-02-01,10,11\n"

    prepared = prepare_files("quotes", {"raw.csv": text})

    assert [file.rows for file in prepared.manifest.files] == [1, 1]


def test_a_long_day_is_cut_between_rows_of_different_time(
    prepare_files: Prepare, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalog_files, "MOST_GROUP_ROWS", 3)
    times = [1, 2, 3, 3, 3, 3, 3, 4, 5]
    text = "timestamp,price,size\n" + "".join(f"{time},10,1\n" for time in times)

    prepared = prepare_files(
        "trades", {"raw.csv": text}, timestamp_format="s", unusual_times="accept"
    )

    [file] = prepared.manifest.files
    second = 10**9
    found = [(group.rows, group.first // second, group.last // second) for group in file.row_groups]
    assert found == [(2, 1, 2), (5, 3, 3), (2, 4, 5)]


def test_appended_data_changes_no_earlier_row_group(prepare_files: Prepare) -> None:
    january = ["2024-01-30 12:00:00", "2024-01-31 12:00:00"]
    before = prepare_files("bars", {"raw.csv": bars(*january)}).manifest

    after = prepare_files(
        "bars", {"raw.csv": bars(*january, "2024-01-31 12:01:00")}, force=True
    ).manifest

    first, second = before.files[0].row_groups
    assert after.files[0].row_groups[0].sha256 == first.sha256
    assert after.files[0].row_groups[1].sha256 != second.sha256
    assert after.files[0].schema_sha256 == before.files[0].schema_sha256
    assert after.files[0].footer_sha256 != before.files[0].footer_sha256


def test_the_catalog_is_laid_out_as_the_engines_writer_does(
    prepare_files: Prepare, tmp_path: Path
) -> None:
    raw = {
        "bars": bars("2024-01-01 00:01:00"),
        "trades": "timestamp,price,size\n2024-01-01 00:01:00,10.25,1.5\n",
        "quotes": "timestamp,bid,ask\n2024-01-01 00:01:00,10.25,10.26\n",
    }
    queries = {"bars": "bars", "trades": "trade_ticks", "quotes": "quote_ticks"}
    for kind, text in raw.items():
        prepared = prepare_files(kind, {"raw.csv": text}, force=True)
        (tmp_path / kind).mkdir()
        engine = ParquetDataCatalog(str(tmp_path / kind))

        [written] = [getattr(engine, f"write_{queries[kind]}")(read_back(prepared, queries[kind]))]

        [file] = prepared.manifest.files
        assert file.path == written
        ours = pq.ParquetFile(prepared.folder / file.path)
        theirs = pq.ParquetFile(tmp_path / kind / written)
        assert ours.schema_arrow.equals(theirs.schema_arrow, check_metadata=True)
        assert ours.read().equals(theirs.read())
        columns = range(theirs.metadata.num_columns)
        compressions = [
            [file.metadata.row_group(0).column(column).compression for column in columns]
            for file in (ours, theirs)
        ]
        # Both end with two times, which ours has in so few bits that compressing saves little.
        assert compressions[0] == [*compressions[1][:-2], "UNCOMPRESSED", "UNCOMPRESSED"]


def test_a_stretch_without_rows_is_reported_and_counted(prepare_files: Prepare) -> None:
    times = ["2024-01-01 00:01:00", "2024-01-01 00:02:00", "2024-01-01 02:02:00"]

    prepared = prepare_files("bars", {"raw.csv": bars(*times)}, max_gap="2h")

    [gap] = prepared.manifest.gaps
    assert (gap.before - gap.after, gap.identifier) == (120 * MINUTE, BAR_TYPE)


def test_the_same_input_makes_the_same_dataset_anywhere(
    prepare_files: Prepare, tmp_path: Path
) -> None:
    raw: dict[str, str | bytes] = {"raw.csv": bars("2024-01-01 00:01:00")}
    first = prepare_files("bars", raw)
    text = (first.folder / "manifest.json").read_text()
    first.folder.rename(tmp_path / "elsewhere")

    second = prepare_files("bars", raw)

    assert (second.folder / "manifest.json").read_text() == text
    assert str(tmp_path) not in text


def test_a_dataset_that_is_there_already_is_left_as_it_is(prepare_files: Prepare) -> None:
    raw: dict[str, str | bytes] = {"raw.csv": bars("2024-01-01 00:01:00")}

    assert not prepare_files("bars", raw).is_unchanged
    assert prepare_files("bars", raw).is_unchanged


def test_another_dataset_is_replaced_only_when_told_to(prepare_files: Prepare) -> None:
    prepare_files("bars", {"raw.csv": bars("2024-01-01 00:01:00")})
    raw: dict[str, str | bytes] = {"raw.csv": bars("2024-01-01 00:02:00")}

    with pytest.raises(UsageError, match=r"another dataset.*--force"):
        prepare_files("bars", raw)
    prepared = prepare_files("bars", raw, force=True)

    [bar] = read_back(prepared, "bars")
    assert bar.ts_init == 1_704_067_200_000_000_000 + 2 * MINUTE
    leftovers = [path.name for path in prepared.folder.parent.glob(".*")]
    assert leftovers == []


def test_instrument_definitions_are_in_catalog_and_manifest(prepare_files: Prepare) -> None:
    prepared = prepare_files("bars", {"raw.csv": bars("2024-01-01 00:01:00")})

    [instrument] = ParquetDataCatalog(str(prepared.folder)).instruments()
    assert isinstance(instrument, model.CurrencyPair)
    assert [item.content for item in prepared.manifest.instruments] == [instrument.to_dict()]
    assert Decimal(str(instrument.size_increment)) == Decimal("0.001")


def test_volumes_beyond_64_bits_of_ticks_reach_the_engine_exactly(
    prepare_files: Prepare,
) -> None:
    row = "2024-01-01 00:0{}:00,10.00,11.00,9.00,10.50,{}\n"
    raw: dict[str, str | bytes] = {
        "a.csv": HEADER + row.format(1, "34028236692093") + row.format(2, "98765432109.123"),
        "b.csv": HEADER + row.format(3, "1.5"),
    }

    prepared = prepare_files("bars", raw)

    volumes = [str(bar.volume) for bar in read_back(prepared, "bars")]
    assert volumes == ["34028236692093.000", "98765432109.123", "1.500"]


def test_the_manifest_names_later_settings_only_when_they_are_set(
    prepare_files: Prepare,
) -> None:
    raw: dict[str, str | bytes] = {"raw.csv": bars("2024-01-01 00:01:00")}

    usual = prepare_files("bars", raw).manifest.source["series"][0]["settings"]
    other = prepare_files("bars", raw, force=True, mixed_symbols="accept").manifest.source

    assert not {"mixed_symbols", "unusual_times"} & set(usual)
    assert other["series"][0]["settings"]["mixed_symbols"] == "accept"


@pytest.mark.parametrize("column", ["Ticker", "instId", "contract_code", "code"])
def test_files_of_two_symbols_are_not_one_series_unless_that_is_said(
    column: str, prepare_files: Prepare
) -> None:
    head = f"{column},{HEADER}"
    row = "{},2024-01-01 00:0{}:00,10.00,11.00,9.00,10.50,1.5\n"
    raw: dict[str, str | bytes] = {
        "a.csv": head + row.format("ESH4", 1),
        "b.csv": head + row.format("ESM4", 2),
    }

    with pytest.raises(DataError, match=rf"b\.csv: column '{column}' .*'ESH4', 'ESM4'"):
        prepare_files("bars", raw)
    assert prepare_files("bars", raw, mixed_symbols="accept").manifest.rows == 2


SYMBOL = f"symbol,{HEADER}{{}},2024-01-01 00:01:00,10.00,11.00,9.00,10.50,1.5\n"


def test_a_file_of_another_instrument_is_refused_unless_that_is_said(
    prepare_files: Prepare,
) -> None:
    raw: dict[str, str | bytes] = {"a.csv": SYMBOL.format("ETHUSDT")}

    with pytest.raises(DataError, match=r"a\.csv: column 'symbol' says 'ETHUSDT', but .* BTC/USDT"):
        prepare_files("bars", raw)
    assert prepare_files("bars", raw, mixed_symbols="accept").manifest.rows == 1


@pytest.mark.parametrize("symbol", ["BTCUSDT", "XBT-USDT", "BTC", "17"])
def test_a_symbol_that_may_be_the_instruments_is_taken(symbol: str, prepare_files: Prepare) -> None:
    assert prepare_files("bars", {"a.csv": SYMBOL.format(symbol)}).manifest.rows == 1


def test_a_column_of_any_name_that_names_the_instrument_is_one_of_symbols(
    prepare_files: Prepare,
) -> None:
    head, row = f"kind,{HEADER}", "{},2024-01-01 00:0{}:00,10.00,11.00,9.00,10.50,1.5\n"

    with pytest.raises(DataError, match=r"column 'kind' holds 2 symbols \('ETH', 'BTC'\)"):
        prepare_files("bars", {"a.csv": head + row.format("ETH", 1) + row.format("BTC", 2)})
    # What is no part of its name may be anything else.
    other: dict[str, str | bytes] = {
        "b.csv": head + row.format("AUCTION", 1) + row.format("REGULAR", 2)
    }
    assert prepare_files("bars", other, force=True).manifest.rows == 2
