"""The tables that a point's statistics are made from, decoded for many results at once."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

import polars as pl

from trading_runtime.errors import DataError
from trading_runtime.results.exact import amounts
from trading_runtime.results.statistics import Trade

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from decimal import Decimal


def equities(tables: Sequence[bytes], rows: Sequence[int]) -> Iterator[list[tuple[int, Decimal]]]:
    """Yield the samples (nanoseconds since the epoch, amount) of each ``equity.parquet``.

    ``rows`` are the rows of each, as its manifest states them. Raises ``DataError`` when the tables
    have others.
    """
    table = _read(tables, rows, ["ts", "equity"])
    return _parted(
        zip(_numbers(table["ts"]), amounts(_numbers(table["equity"])), strict=True), rows
    )


def trades(tables: Sequence[bytes], rows: Sequence[int]) -> Iterator[list[Trade]]:
    """Yield the trades of each ``positions.parquet``; otherwise like ``equities``."""
    table = _read(tables, rows, ["realized_pnl", "ts_opened", "ts_closed"])
    profits = amounts(_numbers(table["realized_pnl"]))
    return _parted(
        map(Trade, profits, _numbers(table["ts_opened"]), _numbers(table["ts_closed"])), rows
    )


def _read(tables: Sequence[bytes], rows: Sequence[int], columns: list[str]) -> pl.DataFrame:
    if not tables:
        return pl.DataFrame(schema=dict.fromkeys(columns, pl.Int64))
    table = pl.read_parquet(list(tables), columns=columns)
    if table.height != sum(rows):
        raise DataError(
            f"stored results hold tables of {table.height:,} rows where their manifests state "
            f"{sum(rows):,}; run 'trading-runtime runs check' to see which are damaged"
        )
    return table


def _numbers(column: pl.Series) -> list[Any]:
    """Return times as nanoseconds, and amounts as whole numbers of 1e-16."""
    return column.to_physical().to_list()


def _parted[Item](items: Iterable[Item], rows: Sequence[int]) -> Iterator[list[Item]]:
    left = iter(items)
    return (list(islice(left, count)) for count in rows)
