"""Each vendor's format: one command makes a dataset of a file in that vendor's layout."""

from __future__ import annotations

import json
import zipfile
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner
from nautilus_trader.model import NautilusDataType
from nautilus_trader.persistence import ParquetDataCatalog

from tests.datasets.vendor_samples import NOON, SAMPLES, Sample
from trading_runtime.cli.data import data
from trading_runtime.datasets.formats import formats
from trading_runtime.datasets.inspection import as_json, as_text
from trading_runtime.datasets.manifest import load_manifest
from trading_runtime.errors import DataError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

TYPES = {
    "bars": NautilusDataType.Bar,
    "trades": NautilusDataType.TradeTick,
    "quotes": NautilusDataType.QuoteTick,
    "mark_prices": NautilusDataType.MarkPriceUpdate,
    "funding_rates": NautilusDataType.FundingRateUpdate,
    "order_book_deltas": NautilusDataType.OrderBookDelta,
    "order_book_depths": NautilusDataType.OrderBookDepth,
}


def run(*arguments: str) -> str:
    result = CliRunner().invoke(data, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


def values(row: Any, kind: str) -> tuple[Any, ...]:
    if kind == "bars":
        return row.open, row.high, row.low, row.close, row.volume
    if kind == "trades":
        return row.price, row.size, row.aggressor_side.name, row.trade_id
    if kind == "quotes":
        return row.bid_price, row.ask_price, row.bid_size, row.ask_size
    if kind == "order_book_deltas":
        return row.action.name, row.order.price, row.order.size
    if kind == "order_book_depths":
        return row.bids[0].price, row.asks[0].price, len(row.bids)
    return (row.rate,) if kind == "funding_rates" else (row.value,)


def as_number(value: object) -> object:
    try:
        return Decimal(str(value))
    except ArithmeticError:
        return str(value)


@pytest.mark.parametrize("sample", SAMPLES, ids=[f"{item.format} {item.file}" for item in SAMPLES])
def test_a_file_of_this_format_becomes_a_dataset_with_one_command(
    sample: Sample, tmp_path: Path
) -> None:
    raw, made = tmp_path / sample.file, tmp_path / "made"
    raw.write_bytes(sample.content())

    run(
        "import", str(raw), "--format", sample.format, "--instrument", sample.instrument,
        "--to", str(made), *sample.options,
    )  # fmt: skip

    rows = ParquetDataCatalog(str(made)).query(TYPES[sample.kind])
    found = [as_number(value) for value in values(rows[0], sample.kind)]
    assert found == [as_number(value) for value in sample.first]
    assert rows[0].ts_init // 10**9 == sample.ts
    # Tardis' samples have a quote with one side, and a price that comes twice.
    has_one = sample.format in {"tardis-quotes", "tardis-derivative-ticker"}
    assert len(rows) == (1 if has_one else 2)


def test_every_format_has_a_sample_and_is_listed() -> None:
    listed = {line.split()[0] for line in run("formats").splitlines()}

    assert listed == set(formats()) == {sample.format for sample in SAMPLES}


def test_a_derivative_ticker_gives_rates_with_their_settlement_and_two_prices(
    tmp_path: Path,
) -> None:
    [sample] = [item for item in SAMPLES if item.format == "tardis-derivative-ticker"]
    raw, made = tmp_path / sample.file, tmp_path / "made"
    raw.write_bytes(sample.content())

    run("import", str(raw), "--format", sample.format, "--instrument", sample.instrument,
        "--to", str(made))  # fmt: skip

    catalog = ParquetDataCatalog(str(made))
    [rate] = catalog.query(NautilusDataType.FundingRateUpdate)
    assert (str(rate.rate), rate.next_funding_ns) == ("0.0001", (NOON + 14_400) * 10**9)
    assert {file.type for file in load_manifest(made).files} == {
        "funding_rates", "index_prices", "mark_prices",
    }  # fmt: skip


def test_a_format_of_ones_own_is_a_file(tmp_path: Path) -> None:
    own = json.loads(run("formats", "kraken-ohlcvt"))
    own["series"][0]["separator"] = ";"
    (tmp_path / "own.json").write_text(json.dumps(own))
    raw = f"{NOON};1.5;2;1;1.5;1;1\n{NOON + 60};1.5;2;1;1.5;1;1\n"
    (tmp_path / "raw.csv").write_text(raw)

    text = run("import", str(tmp_path / "raw.csv"), "--format", str(tmp_path / "own.json"),
               "--instrument", "EURUSD.SIM", "--to", str(tmp_path / "made"))  # fmt: skip

    assert "bar          1-MINUTE-LAST" in text
    assert "tick 0.1, lot 1, from the digits in the files" in text
    assert "rows       2" in text


def test_a_format_with_a_broken_pattern_is_refused(tmp_path: Path) -> None:
    own = json.loads(run("formats", "kraken-ohlcvt")) | {"inverse": "USD_(PERP"}
    (tmp_path / "own.json").write_text(json.dumps(own))

    with pytest.raises(UsageError, match=r"own\.json.*inverse.*is not a regular expression"):
        run("import", "raw.csv", "--format", str(tmp_path / "own.json"), "--instrument", "A.SIM")


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (["--format", "binance-kline"], UsageError, "did you mean 'binance-klines'"),
        (["--format", "metatrader"], UsageError, "--time-zone is missing"),
        (["--format", "kraken-ohlcvt", "--set", "off_tik=round"], UsageError, "off_tik"),
        (["--format", "kraken-ohlcvt", "--tick", "x"], UsageError, "--tick 'x'"),
        (["--format", "histdata"], DataError, "raw.csv"),
        (
            ["--format", "metatrader-4", "--time-zone", "UTC"],
            DataError,
            "timestamp '1704110400 1.5' is not a time in the format %Y",
        ),
    ],
)
def test_what_a_format_does_not_fit_is_refused(
    arguments: list[str], error: type[Exception], message: str, tmp_path: Path
) -> None:
    (tmp_path / "raw.csv").write_text(f"{NOON},1.5,2,1,1.5,1,1\n{NOON + 60},1.5,2,1,1.5,1,1\n")

    with pytest.raises(error, match=message):
        run("import", str(tmp_path / "raw.csv"), "--instrument", "EURUSD.SIM",
            "--to", str(tmp_path / "made"), *arguments)  # fmt: skip
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    ("files", "arguments", "error", "message"),
    [
        (
            {"a.csv": "Etc/UTC,Open,High,Low,Close,Volume\n2024-01-01T00:00:00Z,1,1,1,1,1\n"},
            ["--format", "dukascopy", "--instrument", "EUR/USD.SIM"],
            DataError,
            "no column 'Gmt time'.*\n.*give --format dukascopy-web",
        ),
        (
            {"a.csv": "time,open,high,low,close,Volume\n2024-01-01T00:00:00Z,1,1,1,1,1\n"},
            ["--format", "tradingview", "--instrument", "BTCUSDT.SIM"],
            DataError,
            r"a.csv:2: timestamp .* --set .timestamp_format=iso.[\s\S]*--format tradingview-iso",
        ),
        (
            {"a.csv": f"time,open,high,low,close\n{NOON},1,1,1,1\n{NOON + 60},1,1,1,1\n"},
            ["--format", "tradingview", "--instrument", "EURUSD.SIM"],
            DataError,
            r"no column 'Volume' .* \(--set volume=1000\)",
        ),
        (
            {"a.csv": f"ticker,volume,open,close,high,low,window_start\nAAPL,1,1,1,1,1,{NOON}\n"},
            ["--format", "polygon-flat-files", "--instrument", "APPL.XNAS"],
            DataError,
            "a.csv: no row has ticker 'APPL'; correct the instrument, .* --symbol",
        ),
        (
            {"a.csv": "2024.03.31,03:30,1,1,1,1,5\n2024.03.31,03:31,1,1,1,1,5\n"},
            ["--format", "metatrader-4", "--instrument", "EURUSD.SIM", "--time-zone",
             "Europe/Athens"],
            DataError,
            "a.csv:1: timestamp '2024.03.31 03:30': no such local time in Europe/Athens",
        ),
        (
            {
                "a.csv": "Price,Adj Close,Close,High,Low,Open,Volume\nTicker,A,A,A,A,A,A\n"
                "Date,,,,,,\n2024-01-02,1,2,2,2,2,5\n"
            },
            ["--format", "yfinance", "--instrument", "A.XNYS"],
            DataError,
            "the header names column 4 'High', but 'high' is read from column 3, 'Close'",
        ),
        (
            {"a.csv": "date,open,high,low,close,volume\n"},
            ["--format", "freqtrade", "--instrument", "BTC/USDT:USDT.SIM", "--bar", "1-DAY-LAST"],
            UsageError,
            "'BTC/USDT:USDT' has a colon; write BTC/USDT-PERP for a perpetual",
        ),
        (
            {
                "a.csv": "exchange,symbol,timestamp,local_timestamp,id,side,price,amount\n"
                f"deribit,BTC,{NOON}000000,{NOON}000000,,buy,1,1\n"
            },
            ["--format", "tardis-trades", "--instrument", "BTC-USD-PERP.SIM"],
            DataError,
            r"""a.csv:2: trade_id has no value; .*--set 'columns=\{"trade_id": null\}'""",
        ),
        (
            {
                "a.csv": "instrument_name,trade_id,side,price,size,created_time\n"
                f"BTC-USDT,1,buy,1,1,{NOON}\nETH-USDT,2,buy,1,1,{NOON}\n"
            },
            ["--format", "okx-trades", "--instrument", "BTC-USDT.SIM"],
            DataError,
            r"""2 symbols .*--set 'where=\{"instrument_name": "BTC-USDT"\}'""",
        ),
        (
            {"raw/a.csv": ""},
            ["--format", "kraken-ohlcvt", "--instrument", "XBTUSD.SIM"],
            DataError,
            r"raw: is a folder; name its files, as in '.*raw/\*'",
        ),
    ],
    ids=[
        "another layout of the vendor", "times of another kind", "no volumes", "no such symbol",
        "a time that does not exist", "columns that moved", "a swap's symbol of CCXT", "no ids",
        "several symbols", "a folder",
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_with_the_option_that_helps(
    files: dict[str, str],
    arguments: list[str],
    error: type[Exception],
    message: str,
    tmp_path: Path,
) -> None:
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    first = next(iter(files)).partition("/")[0]

    with pytest.raises(error, match=message):
        run("import", str(tmp_path / first), "--to", str(tmp_path / "made"), *arguments)
    assert not (tmp_path / "made").exists()


def imported(path: Path, *arguments: str) -> tuple[str, list[Any]]:
    """Import bars, and return what was printed and the rows."""
    made = path.parent / "made"
    printed = run("import", str(path), "--to", str(made), *arguments)
    return printed, ParquetDataCatalog(str(made)).query(NautilusDataType.Bar)


def test_a_pair_in_files_of_stocks_keeps_its_fractions(tmp_path: Path) -> None:
    raw = tmp_path / "bars.csv"
    row = "BTC/USD,2024-01-01 12:0{}:00+00:00,67000.1,67001.0,66990.0,67000.0,{},1.0,67000.2\n"
    raw.write_text(
        "symbol,timestamp,open,high,low,close,volume,trade_count,vwap\n"
        + row.format(0, "0.00012")
        + row.format(1, "1.5e-05")
    )

    _, rows = imported(raw, "--format", "alpaca", "--instrument", "BTC/USD.ALPACA")

    assert [str(row.volume) for row in rows] == ["0.000120", "0.000015"]


@pytest.mark.parametrize(
    ("price", "tick", "expected"),
    [
        ("187.14999389648438", "0.01", "187.15"),  # 187.15 in 32 bits
        ("187.1499938964844", "0.01", "187.15"),  # the same with fewer digits
        ("0.30000000000000004", "0.1", "0.3"),  # 0.1 + 0.2 in 64 bits
        ("0.12345678901", "0.00000001", "0.12345679"),
        ("42000.1000000000000000", "0.1", "42000.1"),
        ("187.149994", "0.01", "187.15"),
        ("67000.12345", "0.00001", "67000.12345"),
    ],
)
def test_the_noise_of_binary_numbers_makes_no_tick(
    price: str, tick: str, expected: str, tmp_path: Path
) -> None:
    raw = tmp_path / "raw.csv"
    raw.write_text(
        "time,open,high,low,close,Volume\n"
        f"{NOON},{price},{price},{price},{price},1\n{NOON + 60},{price},{price},{price},{price},1\n"
    )

    printed, rows = imported(raw, "--format", "tradingview", "--instrument", "XAUUSD.SIM")

    assert f"tick {tick}, lot 1" in printed
    assert str(rows[0].open) == expected


def test_increments_are_those_of_numbers_with_commas(tmp_path: Path) -> None:
    raw = tmp_path / "raw.csv"
    raw.write_text("2024-01-02;1.234,5;1.234,5;1.234,5;1.234,5;1.000\n" * 1)
    own = {
        "about": "mine", "instrument": "Equity",
        "series": [{
            "type": "bars", "bar": "1-DAY-LAST", "header": False, "separator": ";", "decimal": ",",
            "thousands": ".", "timestamp_marks": "open",
            "columns": {"timestamp": 1, "open": 2, "high": 3, "low": 4, "close": 5, "volume": 6},
        }],
    }  # fmt: skip
    (tmp_path / "own.json").write_text(json.dumps(own))

    printed, rows = imported(
        raw, "--format", str(tmp_path / "own.json"), "--instrument", "DAX.XETR"
    )

    assert "tick 0.1, lot 1" in printed
    assert (str(rows[0].open), str(rows[0].volume)) == ("1234.5", "1000")


def test_bars_of_which_each_file_has_one_are_as_long_as_files_are_apart(tmp_path: Path) -> None:
    rows = "ticker,volume,open,close,high,low,window_start,transactions\nAAPL,5,1,1,1,1,{},1\n"
    (tmp_path / "2024-01-02.csv").write_text(rows.format(1_704_171_600_000_000_000))
    (tmp_path / "2024-01-03.csv").write_text(rows.format(1_704_258_000_000_000_000))

    printed, _ = imported(
        tmp_path / "*.csv", "--format", "polygon-flat-files", "--instrument", "AAPL.XNAS"
    )

    assert "bar          1-DAY-LAST" in printed


def test_the_shortest_of_distances_that_come_as_often_is_a_bar(tmp_path: Path) -> None:
    raw = tmp_path / "raw.csv"
    raw.write_text("".join(f"{NOON + at},1,1,1,1,1,1\n" for at in (0, 2820, 2880)))

    printed, _ = imported(raw, "--format", "kraken-ohlcvt", "--instrument", "XBTUSD.SIM")

    assert "bar          1-MINUTE-LAST" in printed


@pytest.mark.parametrize(
    ("setting", "expected"), [('columns={"volume": "Vol"}', "7"), ("volume=1000", "1000")]
)
def test_a_setting_replaces_one_column_and_the_others_stay(
    setting: str, expected: str, tmp_path: Path
) -> None:
    raw = tmp_path / "raw.csv"
    raw.write_text(f"time,open,high,low,close,Vol\n{NOON},1,1,1,1,7\n{NOON + 60},1,1,1,1,7\n")

    _, rows = imported(
        raw, "--format", "tradingview", "--instrument", "EURUSD.SIM", "--set", setting
    )

    assert str(rows[0].volume) == expected


@pytest.mark.parametrize("name", ["databento-mbo", "nautilus-1-trades", "nautilus-1-quotes"])
def test_the_tick_is_that_of_prices_and_not_of_their_form(name: str, tmp_path: Path) -> None:
    [sample] = [item for item in SAMPLES if item.format == name]
    (tmp_path / sample.file).write_bytes(sample.content())

    printed, _ = imported(
        tmp_path / sample.file, "--format", name, "--instrument", sample.instrument
    )

    assert f"tick {'0.01' if name == 'databento-mbo' else '0.1'}, " in printed


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("a.csv", "b.csv"), r"choose files .* 'members: b\.csv'"),
        (
            ("ETHUSD_1.csv", "XBTUSD_1.csv"),
            r"its name says 'ETH/USD', .* choose its files in the archive with 'members: XBTUSD\*'",
        ),
    ],
)
def test_files_of_an_archive_that_differ_are_refused_with_the_setting_that_chooses(
    names: tuple[str, str], message: str, tmp_path: Path
) -> None:
    row = f"{NOON},{{0}},{{0}},{{0}},{{0}},1,1\n{NOON + 60},{{0}},{{0}},{{0}},{{0}},1,1\n"
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        for name, price in zip(names, (2000, 42000), strict=True):
            archive.writestr(name, row.format(price))

    with pytest.raises(DataError, match=message):
        imported(tmp_path / "all.zip", "--format", "kraken-ohlcvt", "--instrument", "XBTUSD.KRAKEN",
                 "--bar", "1-MINUTE-LAST")  # fmt: skip


def test_a_file_of_another_number_of_columns_is_no_file_of_trades(tmp_path: Path) -> None:
    raw = tmp_path / "XBTUSD_1.csv"
    raw.write_text(f"{NOON},42000.1,42010,41990.5,42001,1.25,6\n")

    with pytest.raises(DataError, match=r"has 7 columns, .* 3; .*\n.* --format kraken-ohlcvt"):
        imported(raw, "--format", "kraken-trades", "--instrument", "XBTUSD.KRAKEN")


def test_trades_without_a_header_are_named_the_format_for_them(tmp_path: Path) -> None:
    raw = tmp_path / "BTC-USDT-trades-2021-10-01.csv"
    raw.write_text(f"331,buy,0.01,42000.1,{NOON}123\n332,sell,0.02,42000.2,{NOON}223\n")

    with pytest.raises(DataError, match=r"header is a row of data[\s\S]*--format okx-trades-2021"):
        imported(raw, "--format", "okx-trades", "--instrument", "BTC-USDT.OKX")


TICKS = [
    "<DATE>\t<TIME>\t<BID>\t<ASK>\t<LAST>\t<VOLUME>\t<FLAGS>",
    "2024.01.01\t12:00:00.010\t1.10427\t\t\t\t2",  # no ask yet
    "2024.01.01\t12:00:00.020\t\t1.10430\t\t\t4",
    "2024.01.01\t12:00:00.030\t1.10428\t\t\t\t2",
    "2024.01.01\t12:00:00.040\t\t\t\t\t0",  # no change
    "2024.01.01\t12:00:00.050\t1.10429\t1.10431\t\t\t6",
]


@pytest.mark.parametrize("block", [1 << 20, 60], ids=["in one block", "over blocks"])
def test_a_blank_side_of_a_tick_is_the_one_of_the_row_above(
    block: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trading_runtime.datasets.raw_files.BLOCK_BYTES", block)
    # The first 512 bytes are read at once, whatever a block is.
    later = [f"2024.01.01\t12:01:{second}.000\t\t1.104{second}\t\t\t4" for second in range(40, 60)]
    (tmp_path / "a.csv").write_text("\n".join(TICKS + later))

    printed = run(
        "import", str(tmp_path / "a.csv"), "--to", str(tmp_path / "made"), "--time-zone", "UTC",
        "--format", "metatrader-ticks", "--instrument", "EURUSD.SIM",
    )  # fmt: skip

    rows = ParquetDataCatalog(str(tmp_path / "made")).query(NautilusDataType.QuoteTick)
    found = [(str(row.bid_price), str(row.ask_price)) for row in rows]
    assert found[3:] == [("1.10429", f"1.104{second}") for second in range(40, 60)]
    assert found[:3] == [
        ("1.10427", "1.10430"), ("1.10428", "1.10430"), ("1.10429", "1.10431"),
    ]  # fmt: skip
    assert [row.ts_init // 10**6 - NOON * 1000 for row in rows[:3]] == [20, 30, 50]
    assert "left out   1 row: ask has no value" in printed


def test_volumes_of_32_bits_are_rounded_and_prices_are_not(tmp_path: Path) -> None:
    raw = tmp_path / "EURUSD_Candlestick_1_M_BID.csv"
    head = "Gmt time,Open,High,Low,Close,Volume\n"
    row = "01.01.2024 12:0{}:00.000,{},1.2,1.1,1.15,82.93000030517578\n"
    words = ["--format", "dukascopy", "--instrument", "EUR/USD.SIM", "--tick", "0.01"]
    raw.write_text(head + row.format(0, "1.15") + row.format(1, "1.15"))

    printed, rows = imported(raw, *words)

    assert [str(bar.volume) for bar in rows] == ["82930000", "82930000"]
    assert "rounded    2 volume" in printed
    raw.write_text(head + row.format(0, "1.155") + row.format(1, "1.15"))
    with pytest.raises(DataError, match=r"open '1\.155' is not a multiple of 0\.01"):
        run("import", str(raw), "--to", str(tmp_path / "other"), *words)


@pytest.mark.parametrize("name", ["ESH4", "ESZ2024", "ES.FUT", "ES=F", "AAPL240119C00190000"])
def test_a_future_or_option_is_no_stock(name: str, tmp_path: Path) -> None:
    raw = tmp_path / "bars.csv"
    raw.write_text(
        f"symbol,timestamp,open,high,low,close,volume\n{name},2024-01-01 12:00:00Z,1,1,1,1,1\n"
    )

    with pytest.raises(
        UsageError, match=r"looks like a future or an option; .* --instruments FILE"
    ):
        imported(raw, "--format", "alpaca", "--instrument", f"{name}.SIM", "--bar", "1-DAY-LAST")


@pytest.mark.parametrize(
    ("name", "instrument", "expected", "words"),
    [
        ("okx-trades", "BTC-USDT-PERP.OKX", "CryptoPerpetual", "swaps are contracts"),
        ("tardis-trades", "XBTUSD-PERP.BITMEX", "CryptoPerpetual", "sizes are taken to be in XBT"),
        ("tradingview", "AAPL.NASDAQ", "Equity", "AAPL is taken for a stock in USD"),
        ("tradingview", "BTCUSDT.BINANCE", "CurrencyPair", ""),
        ("stooq", "EURUSD.STOOQ", "CurrencyPair", ""),
    ],
)
def test_what_is_not_known_of_an_instrument_is_said(
    name: str, instrument: str, expected: str, words: str, tmp_path: Path
) -> None:
    sample = next(item for item in SAMPLES if item.format == name)
    (tmp_path / "raw").write_bytes(sample.content())

    printed = run("import", str(tmp_path / "raw"), "--format", name, "--instrument", instrument,
                  "--to", str(tmp_path / "made"), "--set", "mixed_symbols=accept")  # fmt: skip

    [definition] = load_manifest(tmp_path / "made").instruments
    assert definition.type == expected
    said = [line for line in printed.splitlines() if line.startswith("instrument   ")]
    assert len(said) == (3 if words else 2)
    assert words in said[1]


BYBIT = (
    "timestamp,symbol,side,size,price,tickDirection,trdMatchID,grossValue,homeNotional,foreignNotional\n"
    "1704110400.5,BTCUSD,Buy,100,42000.0,PlusTick,a1b2,238095.0,100.0,0.00238095\n"
)
BINANCE_COIN = (
    "id,price,qty,base_qty,time,is_buyer_maker\n1,42000.1,3,0.00714284,1704110400000,true\n"
)
OKX = (
    "instrument_name,trade_id,side,price,size,created_time\n"
    "BTC-USD-SWAP,1,buy,42000.1,3,1704110400000\n"
)


@pytest.mark.parametrize(
    ("form", "name", "text", "instrument"),
    [
        ("bybit-trades", "BTCUSD2024-01-01.csv", BYBIT, "BTCUSDT-PERP.BYBIT"),
        ("bybit-trades", "a.csv", BYBIT, "BTCUSDT-PERP.BYBIT"),
        ("bybit-trades", "a.csv", BYBIT, "BTCUSD-PERP.BYBIT"),
        ("bybit-trades", "BTCUSDH24.csv", BYBIT, "BTCUSDT-PERP.BYBIT"),
        ("binance-trades", "BTCUSD_PERP-trades-2024-01.csv", BINANCE_COIN, "BTCUSDT-PERP.BINANCE"),
        ("binance-trades", "BTCUSD_240329-trades.csv", BINANCE_COIN, "BTCUSDT.BINANCE"),
        ("binance-trades", "a.csv", BINANCE_COIN, "BTCUSD-PERP.BINANCE"),
        ("okx-trades", "BTC-USD-SWAP-trades-2024-01-01.csv", OKX, "BTC-USDT-PERP.OKX"),
        ("okx-trades", "allswap-trades-2024-01-01.csv", OKX, "BTC-USDT-PERP.OKX"),
    ],
)  # fmt: skip
def test_an_inverse_contract_is_not_taken_for_a_linear_one(
    form: str, name: str, text: str, instrument: str, tmp_path: Path
) -> None:
    """Its sizes are contracts of USD: 100 of them are 0.0024 BTC, not 100 BTC."""
    (tmp_path / name).write_text(text)

    with pytest.raises(
        (DataError, UsageError), match=r"is of an inverse contract|says 'BTC-?USD(-SWAP)?', but"
    ):
        imported(tmp_path / name, "--format", form, "--instrument", instrument)


def test_a_perpetual_in_busd_is_linear(tmp_path: Path) -> None:
    (tmp_path / "BTCBUSD_PERP.csv").write_text(BINANCE_COIN)

    run("import", str(tmp_path / "BTCBUSD_PERP.csv"), "--format", "binance-trades",
        "--instrument", "BTCBUSD-PERP.BINANCE", "--to", str(tmp_path / "made"))  # fmt: skip

    [trade] = ParquetDataCatalog(str(tmp_path / "made")).query(NautilusDataType.TradeTick)
    assert str(trade.size) == "3"


def test_an_inverse_contract_that_is_defined_is_read_in_contracts(tmp_path: Path) -> None:
    definition = {
        "type": "CryptoPerpetual", "id": "BTCUSD-PERP.BYBIT", "base_currency": "BTC",
        "quote_currency": "USD", "settlement_currency": "BTC", "is_inverse": True,
        "price_increment": "0.5", "size_increment": "1",
    }  # fmt: skip
    (tmp_path / "btc.json").write_text(json.dumps(definition))
    (tmp_path / "BTCUSD2024-01-01.csv").write_text(BYBIT)

    run("import", str(tmp_path / "BTCUSD2024-01-01.csv"), "--format", "bybit-trades",
        "--instrument", "BTCUSD-PERP.BYBIT", "--instruments", str(tmp_path / "btc.json"),
        "--to", str(tmp_path / "made"))  # fmt: skip

    [trade] = ParquetDataCatalog(str(tmp_path / "made")).query(NautilusDataType.TradeTick)
    assert (str(trade.size), str(trade.price)) == ("100", "42000.0")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("yahoo", "adjusted to splits, and not to dividends"),
        ("yfinance", "would pay these a second time"),
        ("polygon-flat-files", "not adjusted"),
    ],
)
def test_how_a_vendor_adjusts_the_prices_of_stocks_is_said(
    name: str, words: str, tmp_path: Path
) -> None:
    sample = next(item for item in SAMPLES if item.format == name)
    (tmp_path / sample.file).write_bytes(sample.content())

    printed, _ = imported(
        tmp_path / sample.file, "--format", name, "--instrument", sample.instrument,
        *sample.options,
    )  # fmt: skip

    [said] = [line for line in printed.splitlines() if line.startswith("note ")]
    assert words in said


def test_bars_of_bids_are_such_that_orders_are_filled_and_that_is_said(tmp_path: Path) -> None:
    [sample] = [item for item in SAMPLES if item.format == "histdata"]
    (tmp_path / sample.file).write_bytes(sample.content())

    printed, _ = imported(
        tmp_path / sample.file, "--format", "histdata", "--instrument", "EURUSD.SIM"
    )

    assert "EURUSD.SIM-1-MINUTE-LAST-EXTERNAL" in printed
    assert "note         prices are bids, and the files have no volumes" in printed
    manifest = load_manifest(tmp_path / "made")
    assert "  volume     1,000,000 for every bar: the files have none\n" in as_text(manifest)
    assert as_json(manifest)["series"][0]["stated"] == {"volume": "1000000"}


def test_tiny_prices_have_ticks_that_keep_their_digits(tmp_path: Path) -> None:
    raw = tmp_path / "raw.csv"
    price = "0.0000000123456789"
    raw.write_text(
        "time,open,high,low,close,Volume\n"
        f"{NOON},{price},{price},{price},{price},1\n{NOON + 60},{price},{price},{price},{price},1\n"
    )

    _, rows = imported(raw, "--format", "tradingview", "--instrument", "PEPEUSDT.SIM")

    assert str(rows[0].open) == price


def test_a_pattern_passes_over_checksums_beside_the_files(tmp_path: Path) -> None:
    row = f"{{}},1,1,1,1,1,{NOON},1,1,1,1,0\n"
    (tmp_path / "BTCUSDT-1m.csv").write_text(row.format(NOON) + row.format(NOON + 60))
    (tmp_path / "BTCUSDT-1m.csv.CHECKSUM").write_text("d41d8cd9  BTCUSDT-1m.csv\n")

    _, rows = imported(
        tmp_path / "BTCUSDT*", "--format", "binance-klines", "--instrument", "BTCUSDT.BINANCE"
    )

    assert len(rows) == 2


def test_increments_of_files_without_prices_are_called_arbitrary(tmp_path: Path) -> None:
    raw = tmp_path / "raw.csv"
    raw.write_text(f"calc_time,funding_interval_hours,last_funding_rate\n{NOON}000,8,0.0001\n")
    words = ["--format", "binance-funding", "--instrument", "BTCUSDT-PERP.SIM"]

    printed, _ = imported(raw, *words)
    stated = run(
        "import", str(raw), *words, "--to", str(tmp_path / "b"), "--tick", "0.1", "--lot", "0.001"
    )

    assert "tick         stays 1 in this dataset: the files have no prices" in printed
    assert "lot          stays 1 in this dataset: the files have no sizes" in printed
    assert "stays 1" not in stated
