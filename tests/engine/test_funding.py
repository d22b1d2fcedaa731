"""Funding of perpetuals: what is settled, when, and once at a seam."""

from __future__ import annotations

import dataclasses
from decimal import Decimal
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
from nautilus_trader.model import FundingRateUpdate
from nautilus_trader.serialization import get_arrow_schema_bytes

from tests.engine.market import MINUTE, SECOND, T0, Market, bars, perpetual, run_steps
from trading_runtime.datasets.catalog_files import file_name
from trading_runtime.records.inputs import SeriesInputs

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

NAME = "BTCUSDT-PERP.SIM"


def market(catalog: Path, start: int, rates: Sequence[tuple[int, int, str]]) -> Market:
    """Ten bars at 100, a minute apart, and rates of (time, next settlement, rate)."""
    instrument = perpetual()
    written = Market.write(catalog, [instrument], bars(instrument, ["100"] * 10, start))
    write_rates(catalog, rates)
    series = SeriesInputs("funding_rates", NAME, NAME)
    return dataclasses.replace(
        written, rows=written.rows + len(rates), data=[*written.data, series]
    )


def write_rates(catalog: Path, rates: Sequence[tuple[int, int, str]]) -> None:
    """Write rates of (time, next settlement, rate) into a catalog, which the engine cannot."""
    schema = pa.ipc.open_stream(get_arrow_schema_bytes(FundingRateUpdate)).schema
    schema = schema.with_metadata({"instrument_id": NAME})
    rows = [
        {
            "ts_event": ts,
            "ts_init": ts,
            "identifier": NAME,
            "interval": None,
            "rate": rate,
            "next_funding_ns": settled,
        }
        for ts, settled, rate in rates
    ]
    folder = catalog / "data" / "funding_rates" / NAME
    folder.mkdir(parents=True)
    pq.write_table(
        pa.Table.from_pylist(rows, schema), folder / file_name(rates[0][0], rates[-1][0])
    )


def test_a_position_pays_its_value_times_the_rate_at_the_time_that_the_rate_names(
    tmp_path: Path,
) -> None:
    # A long of 2 at 100, a rate of 0.1 %: 0.2. The rate before, 1 %, was an estimate.
    rates = [(T0 + SECOND, T0 + 5 * MINUTE, "0.01"), (T0 + 2 * SECOND, T0 + 5 * MINUTE, "0.001")]
    found = run_steps(market(tmp_path, T0, rates), {"1": ["market BUY 2"]})
    assert found.funding == (Decimal("-0.2"), 1)
    assert found.tables.equity[-1]["equity"] == Decimal("99999.8")


def test_a_short_receives_what_a_long_pays(tmp_path: Path) -> None:
    rates = [(T0 + SECOND, T0 + 5 * MINUTE, "0.001")]
    found = run_steps(market(tmp_path, T0, rates), {"1": ["market SELL 2"]})
    assert found.funding == (Decimal("0.2"), 1)


def test_a_settlement_at_a_seam_is_charged_once_to_the_window_that_ends_there(
    tmp_path: Path,
) -> None:
    seam = T0 + 11 * MINUTE
    before = market(tmp_path / "before", T0, [(T0 + SECOND, seam, "0.001")])
    # The rate that is sent at the seam names the settlement after it.
    after = market(tmp_path / "after", seam, [(seam, seam + 60 * MINUTE, "0.001")])
    buy = {"1": ["market BUY 2"]}
    charged = run_steps(before, buy, end=seam)
    rested = run_steps(after, buy, start=seam, end=seam + 11 * MINUTE)
    assert charged.funding == (Decimal("-0.2"), 1)
    assert charged.tables.equity[-1]["ts"] == seam
    assert charged.tables.equity[-1]["equity"] == Decimal("99999.8")
    assert rested.funding == (Decimal(0), 0)
    assert rested.tables.equity[-1]["equity"] == Decimal(100_000)


def test_a_rate_that_is_sent_when_it_settles_is_charged(tmp_path: Path) -> None:
    at_once = [(T0 + 5 * MINUTE, T0 + 5 * MINUTE, "0.001")]
    found = run_steps(market(tmp_path, T0, at_once), {"1": ["market BUY 2"]})
    assert (found.funding, found.engine_warnings) == ((Decimal("-0.2"), 1), {})


def test_an_account_without_a_position_pays_nothing(tmp_path: Path) -> None:
    found = run_steps(market(tmp_path, T0, [(T0 + SECOND, T0 + 5 * MINUTE, "0.001")]), {})
    assert found.funding == (Decimal(0), 0)


def test_settlements_of_positions_one_after_another_count_once_each(tmp_path: Path) -> None:
    # 2 x 100 x 0.1 % in the first position, 1 x 100 x 0.2 % in the second: 0.2 + 0.2
    rates = [
        (T0 + SECOND, T0 + 150 * SECOND, "0.001"),
        (T0 + 3 * MINUTE, T0 + 390 * SECOND, "0.002"),
    ]
    steps = {"1": ["market BUY 2"], "4": ["market SELL 2"], "6": ["market BUY 1"]}
    found = run_steps(market(tmp_path, T0, rates), steps)
    assert found.funding == (Decimal("-0.4"), 2)
    assert found.tables.equity[-1]["equity"] == Decimal("99999.6")


def test_it_is_settled_on_what_is_open_after_the_rows_of_its_instant(tmp_path: Path) -> None:
    rates = [(T0 + SECOND, T0 + 5 * MINUTE, "0.001")]
    written = market(tmp_path, T0, rates)
    opened = run_steps(written, {"5": ["market BUY 2"]})
    closed = run_steps(written, {"1": ["market BUY 2"], "5": ["market SELL 2"]})
    assert opened.tables.fills[0]["ts"] == closed.tables.fills[1]["ts"] == T0 + 5 * MINUTE
    assert opened.funding == (Decimal("-0.2"), 1)
    assert closed.funding == (Decimal(0), 0)
