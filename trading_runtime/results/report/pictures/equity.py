"""Equity and drawdown of one point over time, with the seams between its partitions."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

from trading_runtime.results.report.formatting import percent
from trading_runtime.results.report.pictures.style import (
    BLUE,
    INK,
    RED,
    SEAM,
    drawing,
    svg,
    write_values,
)
from trading_runtime.time_units import DAY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from trading_runtime.results.points import CurvePoint

MOST_SEAMS = 60
_BUCKETS = 1_200


def equity_picture(curve: Sequence[CurvePoint], seams: Sequence[int], currency: str) -> bytes:
    """Return the picture of a chained curve; ``seams`` are starts of partitions in nanoseconds."""
    days = [_day(each.ts) for each in curve]
    equity = [float(each.equity) for each in curve]
    falls = _drawdowns([float(each.growth) for each in curve])
    with drawing(4.6) as figure:
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1.15])
        for axes in (above, below):
            if len(seams) <= MOST_SEAMS:
                for seam in seams:
                    axes.axvline(_day(seam), color=SEAM, linewidth=0.8, zorder=0.5)
            axes.grid(visible=False, axis="x")
        kept = _thinned(equity)
        shown = [days[i] for i in kept]
        above.plot(shown, [equity[i] for i in kept], color=BLUE, linewidth=1.4)
        above.axhline(equity[0], color=INK, linewidth=0.7, linestyle=(0, (4, 3)))
        above.set_title(f"Equity ({currency})")
        write_values(above, "net_profit")
        kept = _thinned(falls)
        shown = [days[i] for i in kept]
        below.fill_between(shown, [falls[i] for i in kept], 0, color=RED, alpha=0.22, linewidth=0)
        below.plot(shown, [falls[i] for i in kept], color=RED, linewidth=0.9)
        below.set_title(f"Drawdown (deepest {percent(min(falls))})" if min(falls) else "Drawdown")
        write_values(below, "return")
        below.set_ylim(top=0, bottom=min(falls) * 1.08 or -0.01)
        _mark_deepest(below, days, falls)
        _write_dates(below, days)
        return svg(figure)


def _write_dates(axes: Axes, days: Sequence[float]) -> None:
    locator = AutoDateLocator(minticks=4, maxticks=9)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator, tz=dt.UTC))  # type: ignore[no-untyped-call]
    if days[0] < days[-1]:
        axes.set_xlim(days[0], days[-1])


def _mark_deepest(axes: Axes, days: Sequence[float], falls: Sequence[float]) -> None:
    deepest = min(falls)
    if deepest == 0:
        return
    at = falls.index(deepest)
    axes.plot([days[at]], [deepest], "o", color=RED, markersize=4)


def _drawdowns(growth: Sequence[float]) -> list[float]:
    falls, peak = [], growth[0]
    for value in growth:
        peak = max(peak, value)
        falls.append(value / peak - 1 if peak > 0 else 0.0)
    return falls


def _thinned(values: Sequence[float]) -> list[int]:
    """Return the indexes that keep the look of a long line: each bucket's ends and extremes."""
    count = len(values)
    if count <= 4 * _BUCKETS:
        return list(range(count))
    kept: set[int] = set()
    for bucket in range(_BUCKETS):
        span = range(bucket * count // _BUCKETS, (bucket + 1) * count // _BUCKETS)
        kept |= {
            span[0],
            span[-1],
            min(span, key=values.__getitem__),
            max(span, key=values.__getitem__),
        }
    return sorted(kept)


def _day(nanoseconds: int) -> float:
    """Return a moment as matplotlib counts them: days since the epoch."""
    return nanoseconds / DAY
