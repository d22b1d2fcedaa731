"""Each vendor's format: one command makes a dataset of a file in that vendor's layout."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner
from nautilus_trader.model import NautilusDataType
from nautilus_trader.persistence import ParquetDataCatalog

from tests.datasets.vendor_samples import NOON, SAMPLES, Sample
from trading_runtime.cli.data import data
from trading_runtime.datasets.formats import formats
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
