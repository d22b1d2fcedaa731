"""Settings guessed from a raw file: what is seen, what is asked for, and that they then work."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
from click.testing import CliRunner

from tests.datasets.conftest import INSTRUMENT
from tests.datasets.vendor_samples import SAMPLES
from trading_runtime.cli.data import data
from trading_runtime.datasets.guessing import guess
from trading_runtime.datasets.manifest import load_manifest
from trading_runtime.errors import DataError, UsageError
from trading_runtime.units import parse_instant

if TYPE_CHECKING:
    from pathlib import Path

GERMAN = "Datum der Firma\nDate;Time;Open;High;Low;Close;Volume\n" + "".join(
    f"0{day}.01.2024;12:0{minute}:00;1,5;2;1;1,25;1,5K\n" for day in (2, 1) for minute in (1, 0)
)
TRADES = "time,price,qty,isBuyerMaker\n1704110400123,42000.10,0.250,true\n"


def seen(path: Path, text: str) -> tuple[dict[str, Any], list[str]]:
    path.write_text(text)
    found = guess(path, None)
    return found.series, [name for name, _ in found.asks]


def test_what_can_be_seen_is_filled_in_and_the_rest_is_asked_for(tmp_path: Path) -> None:
    series, asks = seen(tmp_path / "raw.csv", GERMAN)

    assert series == {
        "type": "bars", "files": "raw.csv", "instrument": "?", "separator": ";", "skip_rows": 1,
        "columns": {"timestamp": ["Date", "Time"], "open": "Open", "high": "High", "low": "Low",
                    "close": "Close", "volume": "Volume"},
        "timestamp_format": "%d.%m.%Y %H:%M:%S%.f", "time_zone": "?", "sort": True,
        "timestamp_marks": "?", "bar": "1-MINUTE-LAST", "decimal": ",", "suffixes": True,
    }  # fmt: skip
    assert asks == ["instrument", "time_zone", "timestamp_marks"]


def test_a_time_since_1970_needs_no_zone(tmp_path: Path) -> None:
    series, asks = seen(tmp_path / "raw.csv", TRADES)

    assert (series["type"], series["timestamp_format"]) == ("trades", "epoch")
    assert series["columns"] == {"timestamp": "time", "size": "qty", "buyer_maker": "isBuyerMaker"}
    assert asks == ["instrument"]


def test_columns_that_are_read_only_when_they_are_named_are_named(tmp_path: Path) -> None:
    text = "timestamp,price,size,trade_id,buyer_maker\n1704110400123,42000.10,0.250,7,true\n"

    series, _ = seen(tmp_path / "raw.csv", text)

    assert series["columns"] == {"trade_id": "trade_id", "buyer_maker": "buyer_maker"}


def test_a_day_that_may_be_a_month_is_asked_for(tmp_path: Path) -> None:
    text = "date,open,high,low,close,volume\n01/02/2024,1,2,1,1,5\n01/03/2024,1,2,1,1,5\n"

    series, asks = seen(tmp_path / "raw.csv", text)

    assert series["timestamp_format"] == "?"
    assert "timestamp_format" in asks


def test_the_settings_are_refused_until_all_is_said_and_then_make_a_dataset(
    tmp_path: Path,
) -> None:
    (tmp_path / "raw.csv").write_text(TRADES)
    (tmp_path / "instruments.json").write_text(json.dumps(INSTRUMENT))
    settings = tmp_path / "raw.csv.data.json"

    CliRunner().invoke(data, ["guess", str(tmp_path / "raw.csv")], catch_exceptions=False)

    with pytest.raises(UsageError, match="'\\?' is not defined"):
        CliRunner().invoke(data, ["prepare", str(settings)], catch_exceptions=False)
    settings.write_text(settings.read_text().replace('"?"', json.dumps(INSTRUMENT["id"])))
    result = CliRunner().invoke(data, ["prepare", str(settings), "--json"], catch_exceptions=False)
    assert json.loads(result.stdout)["rows"] == 1


def test_an_import_without_a_format_asks_for_what_the_file_does_not_show(tmp_path: Path) -> None:
    raw, target = tmp_path / "raw.csv", tmp_path / "made"
    rows = ["2024-01-01 00:00,1.5,1.5,1.5,1.5,1", "2024-01-01 01:00,1.5,1.5,1.5,1.5,1"]
    raw.write_text("\n".join(["Time,Open,High,Low,Close,Volume", *rows]))
    words = ["import", str(raw), "--instrument", "ETH/USDT.SIM", "--to", str(target), "--json"]

    with pytest.raises(UsageError) as refused:
        CliRunner().invoke(data, words, catch_exceptions=False)
    told = str(refused.value).splitlines()
    assert [line.rpartition("; ")[2] for line in told] == [
        "give time_zone, for example '--time-zone UTC'",
        "give timestamp_marks, for example '--set timestamp_marks=open'",
    ]
    words += ["--time-zone", "Europe/Berlin", "--set", "timestamp_marks=open"]
    CliRunner().invoke(data, words, catch_exceptions=False)

    manifest = load_manifest(target)
    # The first bar opens at midnight in Berlin, 23:00 UTC, and closes an hour later.
    assert manifest.files[0].row_groups[0].first == parse_instant("2024-01-01T00:00:00Z")
    [instrument] = manifest.instruments
    assert (instrument.id, instrument.type) == ("ETH/USDT.SIM", "CurrencyPair")
    assert manifest.rows == 2


def test_sizes_beside_their_step_are_refused_with_the_options_that_help(tmp_path: Path) -> None:
    raw, target = tmp_path / "raw.csv", tmp_path / "made"
    rows = ["1704067200,1.5,1.5,1.5,1.5,1.0004", "1704070800,1.5,1.5,1.5,1.5,2"]
    raw.write_text("\n".join(["time,open,high,low,close,volume", *rows]))
    words = ["import", str(raw), "--instrument", "ETH/USDT.SIM", "--to", str(target)]
    words += ["--lot", "0.001", "--set", "timestamp_marks=open"]

    with pytest.raises(
        DataError, match=r"raw.csv:2: volume '1.0004' .* \(--set off_tick=round_sizes\)"
    ):
        CliRunner().invoke(data, words, catch_exceptions=False)
    rounded = CliRunner().invoke(
        data, [*words, "--set", "off_tick=round_sizes"], catch_exceptions=False
    )
    assert "rounded    1 volume" in rounded.stdout


def made_as(raw: Path, instrument: str, *more: str) -> tuple[str, str, str]:
    """Import daily bars; return type and id of the instrument that was made, and what was said."""
    target = raw.parent / "made"
    words = ["import", str(raw), "--instrument", instrument, "--to", str(target), *more]
    words += ["--set", "timestamp_marks=open", "--bar", "1-DAY-LAST"]
    result = CliRunner().invoke(data, words, catch_exceptions=False)
    [definition] = load_manifest(target).instruments
    return str(definition.type), definition.id, result.stdout


@pytest.mark.parametrize(
    ("instrument", "kind"),
    [("ACME.XNAS", "Equity"), ("BRK.B.XNYS", "Equity"), ("BTCUSDT.SIM", "CurrencyPair")],
)
def test_what_is_no_pair_of_currencies_is_imported_as_a_stock(
    instrument: str, kind: str, tmp_path: Path
) -> None:
    raw = tmp_path / "raw.csv"
    raw.write_text("date,open,high,low,close,volume\n2024-01-02T00:00Z,9,9,9,9,1\n")

    made, name, said = made_as(raw, instrument)

    assert (made, name) == (kind, instrument)
    assert ("is taken for a stock in USD" in said) == (kind == "Equity")


_RECOGNISED = {
    "bybit-spot-trades", "databento-mbo", "databento-mbp-10", "databento-pretty",
    "dukascopy-jforex", "dukascopy-local", "dukascopy-web", "metatrader", "stooq", "tardis-trades",
    "tradingview-iso",
}  # fmt: skip


@pytest.mark.parametrize(
    "sample",
    [item for item in SAMPLES if item.format in _RECOGNISED],
    ids=lambda item: item.format,
)
def test_a_vendors_file_is_recognised(sample: Any, tmp_path: Path) -> None:
    path = tmp_path / sample.file
    path.write_bytes(sample.content())

    told = dict(guess(path, sample.instrument).seen)

    assert told["format"].startswith(f"as {sample.format} has it")


@pytest.mark.parametrize("name", ["binance-trades", "binance-aggtrades"])
def test_trades_without_a_header_are_not_taken_for_bars(name: str, tmp_path: Path) -> None:
    [sample] = [item for item in SAMPLES if item.format == name][:1]
    rows = sample.content() if name == "binance-trades" else (
        b"2875680000,42283.58,0.00146,3345,3345,1704110400005,False,True\n" * 2
    )  # fmt: skip
    (tmp_path / "raw.csv").write_bytes(rows)

    with pytest.raises(DataError, match="name its format with --format"):
        guess(tmp_path / "raw.csv", None)


ROWS = "date,open,high,low,close,volume\n2024-01-30,{0},{0},{0},{0},{1}\n"


@pytest.mark.parametrize(
    ("price", "volume", "expected"),
    [
        ("1.5", "1000", {}),
        ('"1,5"', "1000", {"decimal": ","}),
        ('"1.234,5"', '"1.000"', {"decimal": ",", "thousands": "."}),
        ('"1,234.5"', '"1,000"', {"thousands": ","}),
        ("12.5", '"1,000"', {"thousands": ","}),
        ("1'234.5", "1000", {"thousands": "'"}),
        ('"1 234,5"', "1000", {"decimal": ",", "thousands": " "}),
        ('"12,5"', "1.000", {"decimal": ",", "thousands": "."}),
        ("1.234", "1.000", {}),
        ("1.5", "58.41K", {"suffixes": True}),
        ('"1,234"', "1000", {"decimal": "?"}),
        ("110'165", "10'000", {"thousands": "?"}),  # a bond at 110 and 16.5 32nds?
    ],
)
def test_what_separates_decimals_and_thousands_is_seen_where_it_is_clear(
    price: str, volume: str, expected: dict[str, Any], tmp_path: Path
) -> None:
    series, _ = seen(tmp_path / "raw.csv", ROWS.format(price, volume))

    keys = ("decimal", "thousands", "suffixes")
    assert {key: series[key] for key in keys if key in series} == expected


def test_the_price_beside_open_high_and_low_is_the_close(tmp_path: Path) -> None:
    text = (
        '"Date","Price","Open","High","Low","Vol.","Change %"\n'
        '"01/31/2024","42,582.6","42,952.6","43,740.6","42,297.1","58.41K","-0.86%"\n'
    )

    series, _ = seen(tmp_path / "raw.csv", text)

    assert (series["type"], series["columns"]["close"]) == ("bars", "Price")


@pytest.mark.parametrize(
    ("time", "form"),
    [
        ("Jan 30, 2024", "%b %d, %Y"),
        ("30-Jan-24", "%d-%b-%y"),
        ("01/30/24", "%m/%d/%y"),
        ("30.01.24", "%d.%m.%y"),
        ("01/30/2024 12:05 PM", "%m/%d/%Y %I:%M %p"),
        # Not seconds, milliseconds and microseconds in the years 1970 and 1976.
        ("20240130", "%Y%m%d"),
        ("202401300930", "%Y%m%d%H%M"),
        ("20240130093000", "%Y%m%d %H%M%S"),
    ],
)
def test_times_as_people_write_them_are_read(time: str, form: str, tmp_path: Path) -> None:
    series, _ = seen(tmp_path / "raw.csv", f'time,price,size\n"{time}",1.5,2\n')

    assert series["timestamp_format"] == form
    assert series["time_zone"] == "?"


@pytest.mark.parametrize(
    ("numbers", "asked"),
    [
        (("42.283", "1.012"), True),
        (("145.123", "0"), False),
        (("42.283", "1.5"), False),
        (("", ""), False),
    ],
)
def test_three_digits_behind_every_point_may_be_thousands_beside_semicolons(
    numbers: tuple[str, str], tmp_path: Path, *, asked: bool
) -> None:
    text = ROWS.format(*numbers).replace(",", ";")

    series, asks = seen(tmp_path / "raw.csv", text)

    assert ("decimal" in asks, series.get("decimal")) == (asked, "?" if asked else None)


def test_a_column_of_adjusted_closes_is_said_to_be_left_aside(tmp_path: Path) -> None:
    (tmp_path / "raw.csv").write_text(
        "Date,Open,High,Low,Close,Adj Close,Volume\n2024-01-03,2,2,2,2,1.9,5\n"
    )

    found = guess(tmp_path / "raw.csv", None)

    [said] = [value for name, value in found.seen if name == "adjusted"]
    assert said.startswith("'Adj Close' is left aside")
    assert found.series["columns"]["close"] == "Close"


def test_whole_and_high_prices_of_a_stock_are_asked_about(tmp_path: Path) -> None:
    """LEAN's daily files have ten-thousandths of a dollar and no header."""
    (tmp_path / "aapl.csv").write_text(
        "20240102 00:00,1871500,1884400,1838900,1856400,82488700\n"
        "20240103 00:00,1842200,1858800,1834300,1842500,58414500\n"
    )
    words = ["import", str(tmp_path / "aapl.csv"), "--instrument", "AAPL.XNAS", "--time-zone",
             "America/New_York", "--set", "timestamp_marks=open", "--to", str(tmp_path / "made"),
             "--tick", "0.01"]  # fmt: skip

    with pytest.raises(
        UsageError, match=r"1871500 are whole and high .* 'scale=\{\"prices\": .* --currency"
    ):
        CliRunner().invoke(data, words, catch_exceptions=False)
    scale = 'scale={"prices": "0.0001"}'
    CliRunner().invoke(data, [*words, "--set", scale], catch_exceptions=False)

    [file] = load_manifest(tmp_path / "made").files
    first = pl.read_parquet(tmp_path / "made" / file.path).row(0, named=True)
    assert (first["open"], first["close"]) == (Decimal("187.15"), Decimal("185.64"))


@pytest.mark.parametrize("odd", ["Total,,,,,4", "date,open,high,low,close,volume"])
def test_a_line_that_is_no_row_is_named_and_can_be_left_out(odd: str, tmp_path: Path) -> None:
    raw = tmp_path / "raw.csv"
    raw.write_text(ROWS.format(1.5, 2) + "2024-01-31,1.5,1.5,1.5,1.5,2\n" + odd + "\n")

    with pytest.raises(DataError, match=rf"raw.csv: the row '{odd}' has no time such as"):
        made_as(raw, "ACME.XNAS", "--time-zone", "UTC")
    said = made_as(raw, "ACME.XNAS", "--time-zone", "UTC", "--set", "on_bad_row=drop")[2]
    assert "left out   1 row: timestamp is not a time" in said


@pytest.mark.parametrize("day", ["45292", "45292.5"])
def test_days_that_excel_counts_are_named(day: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=f"'{day}' look like the days that Excel counts"):
        seen(tmp_path / "raw.csv", f"date,open,high,low,close,volume\n{day},1,1,1,1,1\n")


def test_a_symbol_of_ccxt_is_no_stock(tmp_path: Path) -> None:
    raw = tmp_path / "raw.csv"
    raw.write_text(ROWS.format(1.5, 2))

    with pytest.raises(UsageError, match="has a colon; write BTC/USDT-PERP for a perpetual"):
        made_as(raw, "BTC/USDT:USDT.BINANCE", "--time-zone", "UTC")


@pytest.mark.parametrize("text", ["", "a,b\n1,2\n", "1,2\n3,4\n"])
def test_a_file_without_prices_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "raw.csv").write_text(text)

    with pytest.raises(DataError):
        guess(tmp_path / "raw.csv", None)
