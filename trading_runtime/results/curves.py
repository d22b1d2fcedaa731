"""The equity and the daily returns of a point over its partitions, as tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from trading_runtime.results.calendar import Calendar
from trading_runtime.results.exact import money_text
from trading_runtime.results.frames import MONEY, TIME
from trading_runtime.results.points import chained_curve, point_days, point_returns
from trading_runtime.results.task_reader import stored_outcomes

if TYPE_CHECKING:
    from trading_runtime.records.plan import Plan
    from trading_runtime.results.store import Store


def equity_frame(plan: Plan, store: Store, point: int) -> pl.DataFrame:
    """Return ``ts``, ``equity`` and ``growth`` of a point; raises as ``stored_outcomes`` does."""
    curve = chained_curve(stored_outcomes(plan, store, point))
    equity = [money_text(moment.equity) for moment in curve]
    return pl.DataFrame(
        [
            pl.Series("ts", [moment.ts for moment in curve], pl.Int64).cast(TIME),
            pl.Series("equity", equity, pl.String).cast(MONEY),
            pl.Series("growth", [float(moment.growth) for moment in curve], pl.Float64),
        ]
    )


def returns_frame(plan: Plan, store: Store, point: int) -> pl.DataFrame:
    """Return ``day`` and ``return`` of a point; raises as ``stored_outcomes`` does."""
    outcomes = stored_outcomes(plan, store, point)
    days = point_days(outcomes, Calendar.of_plan(plan))
    found = point_returns(chained_curve(outcomes), days)
    values = [None if value is None else float(value) for _, value in found]
    return pl.DataFrame(
        [
            pl.Series("day", [day for day, _ in found], pl.Int32).cast(pl.Date),
            pl.Series("return", values, pl.Float64),
        ]
    )
