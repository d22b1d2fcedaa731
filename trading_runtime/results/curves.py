"""Equity, daily returns, and the splits of a walk-forward, as tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from trading_runtime.results.calendar import Calendar
from trading_runtime.results.exact import money_text
from trading_runtime.results.frames import MONEY, TIME, parameter_columns
from trading_runtime.results.points import chained_curve, point_days, point_returns
from trading_runtime.results.task_reader import stored_outcomes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trading_runtime.records.plan import Plan
    from trading_runtime.results.points import CurvePoint
    from trading_runtime.results.store import Store
    from trading_runtime.results.validation import Walked


def equity_frame(plan: Plan, store: Store, point: int) -> pl.DataFrame:
    """Return ``ts``, ``equity`` and ``growth`` of a point; raises as ``stored_outcomes`` does."""
    return curve_frame(chained_curve(stored_outcomes(plan, store, point)))


def curve_frame(curve: Sequence[CurvePoint]) -> pl.DataFrame:
    """Return ``ts``, ``equity`` and ``growth`` of a chained curve."""
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


def splits_frame(plan: Plan, walked: Walked) -> pl.DataFrame:
    """Return a row for each split: its times, the point and parameters chosen, trained, tested."""
    choices = walked.choices
    spans = {
        "train": [walked.span(choice.split.train) for choice in choices],
        "test": [walked.span(choice.split.test) for choice in choices],
    }
    times = {
        f"{name}_{end}": [span[place] for span in of_split]
        for name, of_split in spans.items()
        for place, end in enumerate(("start", "end"))
    }
    parameters = [
        {} if choice.point is None else plan.points[choice.point].parameters for choice in choices
    ]
    return pl.DataFrame(
        [
            pl.Series("split", range(len(choices)), pl.Int32),
            *(pl.Series(name, each, pl.Int64).cast(TIME) for name, each in times.items()),
            pl.Series("point", [choice.point for choice in choices], pl.Int32),
            *parameter_columns(parameters),
            pl.Series("trained", [choice.trained for choice in choices], pl.Float64),
            pl.Series("tested", [choice.tested for choice in choices], pl.Float64),
        ]
    )
