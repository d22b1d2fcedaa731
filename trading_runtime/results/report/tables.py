"""The tables of a report as text: all points, and the best point's partitions."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import polars as pl

from trading_runtime.results.frames import PARAMETER_PREFIX, parameter_names, ranked
from trading_runtime.results.points import OK
from trading_runtime.results.report.formatting import (
    counted,
    instant,
    label,
    sentence_list,
    statistic,
    value_text,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MOST_POINTS = 50
MOST_PARTITIONS = 60
_POINT_COLUMNS = (
    "net_profit", "return", "sharpe", "sortino", "max_drawdown", "trades", "win_rate",
    "profit_factor", "fees",
)  # fmt: skip
_PARTITION_COLUMNS = (
    "net_profit", "return", "max_drawdown", "exposure", "trades", "win_rate", "fees",
    "open_positions",
)  # fmt: skip


@dataclasses.dataclass(frozen=True, slots=True)
class Table:
    """A table of texts: the note below it, the column it is sorted by, the row that stands out."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    numeric: Sequence[bool]
    note: str = ""
    sorted_by: str = ""
    marked: int | None = None


def points_table(
    points: pl.DataFrame, metric: str, direction: str, best: Mapping[str, Any] | None
) -> Table:
    """Return the first points by the objective."""
    order = ranked(points, metric, direction)
    names = parameter_names(points.columns)
    shown = list(_POINT_COLUMNS) if metric in _POINT_COLUMNS else [metric, *_POINT_COLUMNS]
    incomplete = points.filter(pl.col("ok") < pl.col("tasks")).height > 0
    rows = []
    for row in order.head(MOST_POINTS).iter_rows(named=True):
        cells = [str(row["point"])]
        cells += [value_text(row[PARAMETER_PREFIX + name]) for name in names]
        cells += [statistic(name, row[name]) for name in shown]
        rows.append([*cells, _tasks_text(row)] if incomplete else cells)
    marked = None
    if best is not None and order.height and order["point"][0] == best["point"]:
        marked = 0
    left = order.height - len(rows)
    return Table(
        columns=["Point", *names, *map(label, shown), *(["Tasks"] if incomplete else [])],
        rows=rows,
        numeric=[True, *(_is_number(points, name) for name in names), *[True] * len(shown), False],
        note=f"The first {MOST_POINTS} of {order.height:,} points; all are in points.parquet."
        if left
        else "",
        sorted_by=label(metric),
        marked=marked,
    )


def partitions_table(
    results: pl.DataFrame, best: Mapping[str, Any] | None, metric: str
) -> Table | None:
    """Return the best point's partitions; ``None`` without a best point or a second partition."""
    if best is None:
        return None
    rows = results.filter(pl.col("point") == best["point"]).sort("start", "partition")
    if rows.height <= 1:
        return None
    many = rows["instruments"].n_unique() > 1
    extra = [metric] if metric in rows.columns and metric not in _PARTITION_COLUMNS else []
    shown = [*extra, *_PARTITION_COLUMNS]
    cells = [
        [
            instant(row["start"]),
            instant(row["end"]),
            *([row["instruments"].replace(",", ", ")] if many else []),
            *(statistic(name, row[name]) for name in shown),
        ]
        for row in rows.head(MOST_PARTITIONS)
        .with_columns(pl.col("start", "end").dt.epoch("ns"))
        .iter_rows(named=True)
    ]
    return Table(
        columns=["Start", "End", *(["Instruments"] if many else []), *map(label, shown)],
        rows=cells,
        numeric=[False, False, *([False] if many else []), *[True] * len(shown)],
        note=f"The first {MOST_PARTITIONS} of {counted(rows.height, 'partition')}; all are in "
        "results.parquet."
        if rows.height > MOST_PARTITIONS
        else "",
    )


def _is_number(points: pl.DataFrame, name: str) -> bool:
    return points[PARAMETER_PREFIX + name].dtype.is_numeric()


def _tasks_text(row: Mapping[str, Any]) -> str:
    parts = [f"{row[key]} {key}" for key in (OK, "failed", "missing") if row[key]]
    return sentence_list(parts)
