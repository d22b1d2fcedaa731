"""A point over its partitions: the results of its tasks, combined."""

from __future__ import annotations

import dataclasses
import decimal
import functools
import itertools
from array import array
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

from trading_runtime.config.statistic_names import (
    COUNTS_WHERE_CHARGED,
    MONEY_WHERE_CHARGED,
    POINT_STATISTICS,
)
from trading_runtime.results.calendar import observed_of
from trading_runtime.results.exact import EXACT, money_text, rounded
from trading_runtime.results.statistics import (
    Trade,
    clipped,
    curve_statistics,
    daily_returns,
    exposure,
    trade_statistics,
    turnover,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from trading_runtime.datasets.observed_days import Observed
    from trading_runtime.results.calendar import Calendar, Interval
    from trading_runtime.results.statistics import Samples

_ZERO = Decimal(0)
_FIFTY_DIGITS = decimal.Context(prec=50, rounding=decimal.ROUND_HALF_EVEN)

DAILY_RETURNS = "daily_returns"
"""Key in a row besides the columns of ``points.parquet``: the returns of all its days."""

OK = "ok"
MISSING = "missing"

SUMMED_MONEY = ("net_profit", "fees", "funding", "traded_value")
SUMMED_COUNTS = (
    "orders",
    "partly_filled_orders",
    "fills",
    "denied_orders",
    "warmup_denied_orders",
    "funding_settlements",
    "open_positions",
)
COUNTED_FLAGS = ("warmup_short", "ruined")


_OBSERVED = ("first_row", "last_row", "observed_days")
_WINDOWS_KEPT = 1 << 14
_POINTS_KEPT = 16


@functools.lru_cache(_WINDOWS_KEPT)
def _observed(*facts: Any) -> Observed | None:
    """Return the times that a summary states; the points of a window have them in common."""
    return observed_of(dict(zip(_OBSERVED, facts, strict=True)))


@functools.lru_cache(_POINTS_KEPT)
def _counted_days(calendar: Calendar, stretches: tuple[Interval, ...]) -> list[Interval]:
    return calendar.days(stretches)


@dataclasses.dataclass(frozen=True, slots=True)
class TaskOutcome:
    """The outcome of one task of a point.

    ``status`` is ``ok``, ``missing`` or the kind of the failure. ``summary``, ``equity``
    (nanoseconds since the epoch, amount) and ``trades`` are those of its artifacts when it is ok.
    """

    partition: int
    start: int
    end: int
    instruments: tuple[str, ...]
    status: str
    summary: Mapping[str, Any] | None = None
    equity: Samples = ()
    trades: Sequence[Trade] = ()

    @property
    def observed(self) -> Observed | None:
        """The times of the task's rows; ``None`` without any, or without a result."""
        if self.summary is None:
            return None
        first, last, days = (self.summary[name] for name in _OBSERVED)
        return _observed(first, last, tuple(days))


class CurvePoint(NamedTuple):
    """A moment of a point's chained equity.

    ``growth`` is what one unit of money became with everything reinvested, ``equity`` the initial
    equity and the profits since, in the statistics currency.
    """

    ts: int
    growth: Decimal
    equity: Decimal


def aggregate_point(
    point: int,
    parameters: Mapping[str, Any],
    outcomes: Iterable[TaskOutcome],
    calendar: Calendar,
) -> dict[str, Any]:
    """Return one row of ``points.parquet``: counts of the point's tasks, and its statistics.

    Money and counts are summed. Returns, ratios and drawdown are those of ``chained_curve``, trades
    are pooled, exposure is the share of the time of all windows together (each clipped to its
    data), and turnover is all traded value / the initial equity. A day counts once if any task
    observed it; between windows the account is idle. Where an account was ruined there are no
    returns to chain: return and ratios are ``None``. While a task is missing or failed, everything
    but the counts is ``None``. Besides the columns of the table, the row has ``DAILY_RETURNS``.
    """
    outcomes = list(outcomes)
    ok = sum(outcome.status == OK for outcome in outcomes)
    missing = sum(outcome.status == MISSING for outcome in outcomes)
    row: dict[str, Any] = {
        "point": point,
        "parameters": dict(parameters),
        "tasks": len(outcomes),
        "ok": ok,
        "failed": len(outcomes) - ok - missing,
        "missing": missing,
    }
    if not outcomes or ok < len(outcomes):
        return row | dict.fromkeys((*POINT_STATISTICS, DAILY_RETURNS))
    return row | _statistics(outcomes, calendar)


def chained_curve(outcomes: Iterable[TaskOutcome]) -> list[CurvePoint]:
    """Return the equity of a point over all its partitions, which must all be ok.

    Successive partitions follow each other: growth is multiplied, money added. Partitions that
    overlap in time (each instrument by itself) are accounts side by side: their equity is summed on
    one clock, where each account has its initial equity before its window and its final equity
    after it. At a seam the curve has one sample at the end of the earlier window and one at the
    start of the later one. Each window is clipped to its data. The list is empty when there are no
    outcomes.
    """
    shorter = _FIFTY_DIGITS.plus
    with decimal.localcontext(EXACT):
        return [
            CurvePoint(ts, shorter(unit), stretch.before + value)
            for stretch in _stretches(outcomes)
            for (ts, value), unit in zip(stretch.samples, stretch.grown, strict=True)
        ]


class _Stretch(NamedTuple):
    """A window, or several that overlap, as part of a point's curve."""

    samples: Samples
    grown: list[Decimal]
    """Growth at each of the samples, in all digits that are carried."""
    before: Decimal
    """What earlier profits add to the equity."""


def _stretches(outcomes: Iterable[TaskOutcome]) -> list[_Stretch]:
    """Return the stretches of a point's curve, in order (see ``chained_curve``)."""
    found: list[_Stretch] = []
    growth, equity = Decimal(1), None
    with decimal.localcontext(EXACT):
        for group in _overlapping(outcomes):
            samples = _one_clock(group)
            start, end = samples[0][1], samples[-1][1]
            before = _ZERO if equity is None else equity - start
            # What was lost cannot be reinvested: after a ruin the growth stays where it fell to.
            unit = growth / start if start > 0 and growth > 0 else None
            grown = [growth if unit is None else unit * value for _, value in samples]
            found.append(_Stretch(samples, grown, before))
            growth, equity = grown[-1], before + end
    return found


def _growth(stretches: Iterable[_Stretch]) -> list[tuple[int, Decimal]]:
    # Fewer digits than are carried, so that growth that returns to a peak equals it.
    shorter = _FIFTY_DIGITS.plus
    return [
        (ts, shorter(unit))
        for stretch in stretches
        for (ts, _), unit in zip(stretch.samples, stretch.grown, strict=True)
    ]


def point_days(outcomes: Iterable[TaskOutcome], calendar: Calendar) -> list[Interval]:
    """Return the days since the epoch that count as returns of a point."""
    observed = (outcome.observed for outcome in outcomes)
    return [
        *_counted_days(
            calendar,
            tuple(stretch for each in observed if each is not None for stretch in each.days),
        )
    ]


def point_returns(
    curve: Sequence[CurvePoint], days: Sequence[Interval]
) -> list[tuple[int, Decimal | None]]:
    """Return each day that counts, since the epoch, with its simple return.

    ``curve`` is the point's ``chained_curve``. A return after a ruin is ``None``.
    """
    growth = [(moment.ts, moment.growth) for moment in curve]
    each = itertools.chain.from_iterable(itertools.starmap(range, days))
    return list(zip(each, daily_returns(growth, days), strict=True))


def _statistics(outcomes: Sequence[TaskOutcome], calendar: Calendar) -> dict[str, Any]:
    summaries = [outcome.summary or {} for outcome in outcomes]
    stretches = _stretches(outcomes)
    initial = stretches[0].samples[0][1]
    trades = [trade for outcome in outcomes for trade in _within_window(outcome)]
    observed = [found for outcome in outcomes if (found := outcome.observed) is not None]
    days = point_days(outcomes, calendar)
    ruined = sum(bool(summary["ruined"]) for summary in summaries)
    growth = _growth(stretches)
    returns = daily_returns(growth, days)
    statistics: dict[str, Any] = curve_statistics(growth, returns, days, calendar)
    if ruined:
        statistics |= dict.fromkeys(("return", "volatility", "sharpe", "sortino"))
    charged = [name for name in MONEY_WHERE_CHARGED if name in summaries[0]]
    counted = [name for name in COUNTS_WHERE_CHARGED if name in summaries[0]]
    with decimal.localcontext(EXACT):
        for name in (*SUMMED_MONEY, *charged):
            statistics[name] = sum((Decimal(each[name]) for each in summaries), _ZERO)
        statistics["turnover"] = rounded(turnover(statistics["traded_value"], initial))
    for name in (*SUMMED_MONEY, *charged):
        statistics[name] = money_text(statistics[name])
    statistics["exposure"] = rounded(
        exposure(trades, [(each.first, each.last) for each in observed])
    )
    # A position open at a window's end continues in no other: cut off there, it is not a trade.
    closed = (trade for outcome in outcomes for trade in outcome.trades)
    statistics |= trade_statistics(closed)
    for name in (*SUMMED_COUNTS, *counted):
        statistics[name] = sum(int(each[name]) for each in summaries)
    for name in COUNTED_FLAGS:
        statistics[name] = sum(bool(each[name]) for each in summaries)
    known = [] if ruined else [value for value in returns if value is not None]
    return {name: statistics[name] for name in (*POINT_STATISTICS, *charged, *counted)} | {
        DAILY_RETURNS: array("d", map(float, known)) if len(known) == len(returns) else None
    }


def _clipped(outcome: TaskOutcome) -> Samples:
    return clipped(outcome.equity, outcome.observed)


def _within_window(outcome: TaskOutcome) -> list[Trade]:
    end = outcome.end
    return [
        trade if trade.ts_closed is not None else trade._replace(ts_closed=end)
        for trade in outcome.trades
    ]


def _overlapping(outcomes: Iterable[TaskOutcome]) -> list[list[TaskOutcome]]:
    """Return the outcomes in order of time, grouping those that overlap (also through others)."""
    groups: list[list[TaskOutcome]] = []
    end = 0
    for outcome in sorted(outcomes, key=lambda each: (each.start, each.end, each.partition)):
        if groups and outcome.start < end:
            groups[-1].append(outcome)
        else:
            groups.append([outcome])
        end = max(end, outcome.end) if len(groups[-1]) > 1 else outcome.end
    return groups


def _one_clock(group: Sequence[TaskOutcome]) -> Samples:
    """Return the summed equity of accounts side by side, at every instant that any of them has."""
    if len(group) == 1:
        return _clipped(group[0])
    accounts: dict[tuple[str, ...], list[TaskOutcome]] = {}
    for outcome in group:
        accounts.setdefault(outcome.instruments, []).append(outcome)
    curves = [_one_account(successive) for successive in accounts.values()]
    total = sum((curve[0][1] for curve in curves), _ZERO)
    changes = sorted(
        (ts, after - before)
        for curve in curves
        for (_, before), (ts, after) in itertools.pairwise([curve[0], *curve])
    )
    clock: list[tuple[int, Decimal]] = []
    for ts, moved in itertools.groupby(changes, key=lambda change: change[0]):
        total += sum((amount for _, amount in moved), _ZERO)
        clock.append((ts, total))
    return clock


def _one_account(successive: Sequence[TaskOutcome]) -> list[tuple[int, Decimal]]:
    """Return the equity of one account over its windows: initial equity and the profits since."""
    curve: list[tuple[int, Decimal]] = []
    for samples in map(_clipped, successive):
        shift = curve[-1][1] - samples[0][1] if curve else _ZERO
        curve += ((ts, value + shift) for ts, value in samples)
    return curve
