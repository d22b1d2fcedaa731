"""What a run keeps of its tasks' summaries: a row of statistics for each, and counted incidents.

Parsed, a summary takes 7 kB of memory; its row takes less than a twentieth of that.
"""

from __future__ import annotations

import re
from collections import Counter
from decimal import Decimal
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import polars as pl

from trading_runtime.config.statistic_names import COUNTS_WHERE_CHARGED, MONEY_WHERE_CHARGED
from trading_runtime.message_kinds import counted_kinds
from trading_runtime.results.exact import EXACT, MONEY_STEP

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

MONEY = pl.Decimal(38, 16)
DECIMAL_TEXT = re.compile(r"(?!-0$)-?(0|[1-9][0-9]{0,21})(\.[0-9]{0,15}[1-9])?")

TASK_STATISTICS: dict[str, pl.DataType] = {
    "rows": pl.Int64(),
    "warmup_rows": pl.Int64(),
    "warmup_short": pl.Boolean(),
    "currency": pl.String(),
    "initial_equity": MONEY,
    "final_equity": MONEY,
    "net_profit": MONEY,
    "fees": MONEY,
    "funding": MONEY,
    "traded_value": MONEY,
    "days": pl.Int64(),
    "periods_per_year": pl.Float64(),
    "return": pl.Float64(),
    "volatility": pl.Float64(),
    "sharpe": pl.Float64(),
    "sortino": pl.Float64(),
    "max_drawdown": pl.Float64(),
    "max_drawdown_seconds": pl.Float64(),
    "exposure": pl.Float64(),
    "turnover": pl.Float64(),
    "orders": pl.Int64(),
    "partly_filled_orders": pl.Int64(),
    "fills": pl.Int64(),
    "trades": pl.Int64(),
    "win_rate": pl.Float64(),
    "profit_factor": pl.Float64(),
    "expectancy": MONEY,
    "denied_orders": pl.Int64(),
    "warmup_denied_orders": pl.Int64(),
    "funding_settlements": pl.Int64(),
    "open_positions": pl.Int64(),
    "ruined": pl.Boolean(),
}
"""The statistics of a task, in the order of ``summary.json``, with their column types."""

_WHERE_CHARGED: dict[str, pl.DataType] = {
    **dict.fromkeys(MONEY_WHERE_CHARGED, MONEY),
    **dict.fromkeys(COUNTS_WHERE_CHARGED, pl.Int64()),
}
_COUNTED = ("denied_by_reason", "rejected_by_reason", "engine_warnings", "unfed_subscriptions")
_COUNTED_WHERE_GIVEN = (
    "liquidations_by_instrument",
    "queued_requests",
    "files_read",
    "bars_without_volume",
)
"""Only of venues that liquidate, experiments with a queue, strategies that read files, and data
with bars that move nothing."""


class TaskTable:
    """The statistics of tasks that are ok, and what went wrong without failing them."""

    def __init__(self) -> None:
        self._tables: list[pl.DataFrame] = []
        self._incidents: dict[str, Counter[str]] = {}

    def add(self, summaries: Mapping[str, Mapping[str, Any]]) -> None:
        """Keep what is needed of the content of ``summary.json`` of some tasks, by task id."""
        rows = list(summaries.values())
        self._tables.append(
            pl.DataFrame(
                [
                    pl.Series("task_id", list(summaries), pl.String),
                    *map(column, TASK_STATISTICS, _values(rows), TASK_STATISTICS.values()),
                    *where_charged(rows),
                ]
            )
        )
        for name in (*_COUNTED, *_COUNTED_WHERE_GIVEN):
            for row in rows:
                if name in row:
                    self._incidents.setdefault(name, Counter()).update(row[name])

    def merge(self, other: TaskTable) -> None:
        """Add what another process kept of other tasks."""
        self._tables += other._tables
        for name, counted in other._incidents.items():
            self._incidents.setdefault(name, Counter()).update(counted)

    def statistics(self) -> pl.DataFrame:
        """Return ``task_id`` and statistics, a row for each task."""
        table = pl.concat(self._tables or [_NO_TASKS], how="diagonal")
        charged = [name for name in _WHERE_CHARGED if name in table.columns]
        return table.select("task_id", *TASK_STATISTICS, *charged)

    def incidents(self) -> dict[str, dict[str, int]]:
        """Return what went wrong without failing a task: counts over all tasks, by kind."""
        names = [*_COUNTED, *(name for name in _COUNTED_WHERE_GIVEN if name in self._incidents)]
        return {name: counted_kinds(self._incidents.get(name, {})) for name in names}


_NO_TASKS = pl.DataFrame(schema={"task_id": pl.String(), **TASK_STATISTICS})


def _values(rows: Sequence[Mapping[str, Any]]) -> Iterator[Sequence[Any]]:
    """Return the values of each of a task's statistics; there are millions in a large run."""
    of_all = itemgetter(*TASK_STATISTICS)

    def of_row(row: Mapping[str, Any]) -> tuple[Any, ...]:
        try:
            found: tuple[Any, ...] = of_all(row)
        except KeyError:
            return tuple(map(row.get, TASK_STATISTICS))
        return found

    # Without rows, each has no values.
    return zip(*map(of_row, rows), strict=True) if rows else iter([()] * len(TASK_STATISTICS))


def where_charged(rows: Sequence[Mapping[str, Any]]) -> Iterator[pl.Series]:
    """Yield the columns of what venues of this experiment charge for."""
    for name, dtype in _WHERE_CHARGED.items():
        if any(name in row for row in rows):
            yield column(name, [row.get(name) for row in rows], dtype)


def column(name: str, values: Sequence[Any], dtype: pl.DataType) -> pl.Series:
    """Return a column of statistics; amounts may be given as text."""
    if dtype == MONEY:
        # Amounts with more decimal places than the column are rounded as money is. As strings: for
        # ``Decimal`` objects polars imports numpy, which takes longer than a small table.
        exact = [
            value
            if value is None or (type(value) is str and DECIMAL_TEXT.fullmatch(value))
            else format(Decimal(value).quantize(MONEY_STEP, context=EXACT), "f")
            for value in values
        ]
        return pl.Series(name, exact, pl.String).cast(MONEY)
    return pl.Series(name, values, dtype)
