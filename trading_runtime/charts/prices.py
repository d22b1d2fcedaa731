"""The market data of one partition as candles."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from trading_runtime.datasets.fetching import fetched_dataset
from trading_runtime.datasets.slices import cut_partition
from trading_runtime.errors import DataError, UsageError
from trading_runtime.storage.s3 import is_s3
from trading_runtime.storage.scratch import Scratch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trading_runtime.records.plan import Plan, PlannedPartition
    from trading_runtime.records.planned_data import PlannedSeries

_TYPES = ("bars", "trades", "quotes")
"""In the order of preference."""
_MOST_TICK_CANDLES = 100_000
CANDLE = ("ts", "open", "high", "low", "close", "volume")


def candles(plan: Plan, dataset: str, partition: int, instrument: str | None) -> pl.DataFrame:
    """Return the bars of an instrument in a window, or candles of its trades or quotes.

    Columns are those of ``CANDLE``: milliseconds since the epoch, and floats. The instrument is the
    first of the partition unless one is named. Raises ``UsageError`` when it has no such data,
    ``DataError`` when the dataset is gone or was changed.
    """
    window = plan.partitions[partition]
    series = _series(window, instrument)
    with _rows(window, dataset, series) as files:
        return _candles(pl.read_parquet(files), series.type, window.start)


def merged(rows: pl.DataFrame, most: int) -> pl.DataFrame:
    """Return at most ``most`` candles: neighbours become one."""
    if rows.height <= most:
        return rows
    size = -(-rows.height // most)
    return (
        rows.with_row_index("group")
        .group_by(pl.col("group") // size, maintain_order=True)
        .agg(*_AS_ONE)
        .select(CANDLE)
    )


_AS_ONE = (
    pl.col("ts").first(),
    pl.col("open").first(),
    pl.col("high").max(),
    pl.col("low").min(),
    pl.col("close").last(),
    pl.col("volume").sum(),
)


def _series(window: PlannedPartition, instrument: str | None) -> PlannedSeries:
    named = instrument or window.instruments[0]
    found = [
        series
        for kind in _TYPES
        for series in window.data
        if (series.type, series.instrument_id) == (kind, named)
    ]
    if not found:
        known = sorted({each.instrument_id for each in window.data if each.type in _TYPES})
        raise UsageError(
            f"{named}: the partition has no bars, trades or quotes of it; accepted are "
            f"{', '.join(known) or 'none'}"
        )
    return found[0]


@contextmanager
def _rows(window: PlannedPartition, dataset: str, series: PlannedSeries) -> Iterator[list[Path]]:
    """Yield files with the rows of a series in a window, each verified against the plan."""
    alone = replace(window, data=(series,), rows_min=0)
    if not is_s3(dataset) and not Path(dataset).is_dir():
        raise DataError(f"{dataset}: the run's dataset is gone; a chart needs its prices")
    with Scratch() as scratch:
        folder = fetched_dataset(dataset, [alone], scratch.path / "dataset")
        cut_partition(alone, Path(folder), scratch.path / "catalog")
        yield sorted((scratch.path / "catalog").rglob("*.parquet"))


def _candles(rows: pl.DataFrame, kind: str, start: int) -> pl.DataFrame:
    rows = rows.sort("ts_init", maintain_order=True)
    ms = pl.col("ts_init").to_physical().cast(pl.Float64) / 1e6
    if kind == "bars":
        prices = [pl.col(name).cast(pl.Float64) for name in CANDLE[1:]]
        found = rows.select(ms.alias("ts"), *prices)
    else:
        if kind == "trades":
            price, size = (pl.col(name).cast(pl.Float64) for name in ("price", "size"))
        else:
            price = pl.mean_horizontal(pl.col("bid_price", "ask_price").cast(pl.Float64))
            size = pl.lit(0.0)
        ticks = rows.select(
            ms.alias("ts"),
            *(price.alias(name) for name in CANDLE[1:5]),
            size.alias("volume"),
        )
        found = merged(ticks, _MOST_TICK_CANDLES)
    return found.filter(pl.col("ts") >= start / 1e6)
