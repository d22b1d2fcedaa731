"""Equity and drawdown of one point over time, with the seams between its partitions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trading_runtime.report.formatting import percent
from trading_runtime.report.pictures.canvas import BLUE, INK, RED, SEAM, WIDTH, Canvas
from trading_runtime.report.pictures.panel import (
    DASHES,
    EDGE,
    TICKS_HEIGHT,
    TITLE_HEIGHT,
    AxisScale,
    Panel,
    left_of,
    thinned,
    time_ticks,
    value_ticks,
    widened,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trading_runtime.results.points import CurvePoint

MOST_SEAMS = 60
_EQUITY_HEIGHT = 190.0
_DRAWDOWN_HEIGHT = 73.0
_MOST_DATES = 9


def equity_picture(curve: Sequence[CurvePoint], seams: Sequence[int], currency: str) -> bytes:
    """Return the picture of a chained curve; ``seams`` are starts of partitions in nanoseconds."""
    times = [each.ts for each in curve]
    equity = [float(each.equity) for each in curve]
    falls = _drawdowns([float(each.growth) for each in curve])
    deepest = min(falls)
    above, below = widened(equity), (deepest * 1.08 or -0.01, 0.0)
    amounts = value_ticks(*above, _EQUITY_HEIGHT, "money")
    shares = value_ticks(*below, _DRAWDOWN_HEIGHT, "percent")
    head = EDGE + TITLE_HEIGHT
    middle = head + _EQUITY_HEIGHT + TITLE_HEIGHT + 6
    foot = middle + _DRAWDOWN_HEIGHT
    canvas = Canvas(foot + TICKS_HEIGHT + EDGE)
    left = left_of(text for _, text in (*amounts, *shares))
    end = times[-1] if times[-1] > times[0] else times[0] + 1
    x = AxisScale(times[0], end, left, WIDTH - EDGE)
    upper = Panel(canvas, x, AxisScale(*above, head + _EQUITY_HEIGHT, head))
    lower = Panel(canvas, x, AxisScale(*below, foot, middle))
    for panel, shown in ((upper, amounts), (lower, shares)):
        if len(seams) <= MOST_SEAMS:
            for seam in seams:
                at = x.place(seam)
                canvas.line((at, panel.y.start), (at, panel.y.end), SEAM, 0.8)
        panel.grid(value for value, _ in shown)
        panel.write_beside(shown)
    kept = thinned(equity)
    upper.level(equity[0], INK, 0.7, DASHES)
    canvas.polyline(upper.places((times[i] for i in kept), (equity[i] for i in kept)), BLUE, 1.4)
    upper.title(f"Equity ({currency})")
    kept = thinned(falls)
    places = lower.places((times[i] for i in kept), (falls[i] for i in kept))
    canvas.area([(x.start, lower.y.end), *places, (places[-1][0], lower.y.end)], RED, 0.22)
    canvas.polyline(places, RED, 0.9)
    lower.title(f"Drawdown (deepest {percent(deepest)})" if deepest else "Drawdown")
    if deepest:
        at = falls.index(deepest)
        canvas.dot((x.place(times[at]), lower.y.place(deepest)), 2, RED)
    lower.write_below(time_ticks(times[0], end, _MOST_DATES))
    return canvas.svg()


def _drawdowns(growth: Sequence[float]) -> list[float]:
    falls, peak = [], growth[0]
    for value in growth:
        peak = max(peak, value)
        falls.append(value / peak - 1 if peak > 0 else 0.0)
    return falls
