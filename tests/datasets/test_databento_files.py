"""Databento's own files, written by its own library, become what its CSV becomes."""

from __future__ import annotations

import datetime as dt
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from tests.datasets.vendor_samples import SAMPLES
from trading_runtime.cli.data import data
from trading_runtime.datasets.manifest import load_manifest
from trading_runtime.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

dbn = pytest.importorskip(
    "databento_dbn", reason="the packages of requirements-data.txt are not installed"
)

OPEN = 1_704_205_800 * 10**9


def encoded(schema: Any, records: list[Any]) -> bytes:
    """A file with a header that maps instrument 32 to AAPL."""
    day = dt.date(2024, 1, 2)
    interval = SimpleNamespace(start_date=day, end_date=day + dt.timedelta(days=1), symbol="32")
    metadata = dbn.Metadata(
        dataset="XNAS.ITCH", start=OPEN, schema=schema, symbols=["AAPL"],
        stype_in=dbn.SType.RAW_SYMBOL, stype_out=dbn.SType.INSTRUMENT_ID,
        mappings=[SimpleNamespace(raw_symbol="AAPL", intervals=[interval])],
    )  # fmt: skip
    header: bytes = metadata.encode()
    return header + b"".join(bytes(record) for record in records)


def bars() -> bytes:
    """The rows of the sample in CSV."""
    first = (187_150_000_000, 187_250_000_000, 187_100_000_000, 187_200_000_000, 4930)
    second = (187_200_000_000, 187_250_000_000, 187_100_000_000, 187_200_000_000, 4931)
    kind = dbn.RType.OHLCV_1M
    return encoded(
        dbn.Schema.OHLCV_1M,
        [
            dbn.OHLCVMsg(kind, 2, 32, OPEN, *first),
            dbn.OHLCVMsg(kind, 2, 32, OPEN + 60 * 10**9, *second),
        ],
    )


def orders() -> bytes:
    """The rows of the sample in CSV: a cleared book, and an order."""
    nothing, price = 9_223_372_036_854_775_807, 187_150_000_000
    received = OPEN + 165_000
    none, bid = dbn.Side.NONE, dbn.Side.BID
    clear, add = dbn.Action.CLEAR, dbn.Action.ADD
    return encoded(
        dbn.Schema.MBO,
        [
            dbn.MBOMsg(2, 32, OPEN, 0, nothing, 0, clear, none, received, 8, 0, 0, 0),
            dbn.MBOMsg(2, 32, OPEN, 647_784_973_705, price, 100, add, bid, received, 130, 0,
                       165_000, 5),
        ],
    )  # fmt: skip


def digest(raw: Path, form: str, to: Path) -> str:
    arguments = ["import", str(raw), "--format", form, "--instrument", "AAPL.XNAS",
                 "--to", str(to), "--tick", "0.01"]  # fmt: skip
    result = CliRunner().invoke(data, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    return load_manifest(to).digest


def compressed(content: bytes) -> bytes:
    import pyarrow as pa

    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(content)
    found: bytes = sink.getvalue().to_pybytes()
    return found


@pytest.mark.parametrize(("form", "content"), [("databento", bars), ("databento-mbo", orders)])
@pytest.mark.parametrize("is_compressed", [False, True])
def test_a_file_of_records_becomes_the_dataset_that_its_csv_becomes(
    form: str, content: Any, tmp_path: Path, *, is_compressed: bool
) -> None:
    [sample] = [item for item in SAMPLES if item.format == form]
    (tmp_path / "raw.csv").write_bytes(sample.content())
    raw = tmp_path / ("raw.dbn.zst" if is_compressed else "raw.dbn")
    raw.write_bytes(compressed(content()) if is_compressed else content())

    assert digest(raw, form, tmp_path / "dbn") == digest(
        tmp_path / "raw.csv", form, tmp_path / "csv"
    )


def test_a_file_of_another_schema_says_which_columns_it_has(tmp_path: Path) -> None:
    raw = tmp_path / "raw.dbn"
    raw.write_bytes(orders())

    with pytest.raises(DataError, match=r"no column 'open' .*'order_id'[\s\S]* databento-mbo"):
        digest(raw, "databento", tmp_path / "made")


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    raw = tmp_path / "raw.dbn"
    raw.write_bytes(bars()[:40] + b"\xff" * 100)

    with pytest.raises(DataError, match=r"raw\.dbn"):
        digest(raw, "databento", tmp_path / "made")


@pytest.mark.parametrize("rounding", ["refuse", "round"])
def test_the_number_that_stands_for_no_price_is_no_price(rounding: str, tmp_path: Path) -> None:
    [sample] = [item for item in SAMPLES if item.format == "databento-trades"]
    text = sample.content().decode().splitlines()
    column = text[0].split(",").index("price")
    fields = text[2].split(",")
    fields[column] = "9223372036854775807"
    (tmp_path / "raw.csv").write_text("\n".join([*text[:2], ",".join(fields), *text[3:]]) + "\n")

    with pytest.raises(DataError, match=r"raw\.csv:3: price has no value"):
        CliRunner().invoke(
            data,
            ["import", str(tmp_path / "raw.csv"), "--format", "databento-trades", "--instrument",
             "AAPL.XNAS", "--tick", "0.01", "--set", f"off_tick={rounding}",
             "--to", str(tmp_path / "made")],
            catch_exceptions=False,
        )  # fmt: skip
