"""Equity over time: with drawdown and the seams between partitions, or two curves in one plot."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from trading_runtime.report.formatting import percent
from trading_runtime.report.pictures.canvas import BLUE, INK, QUIET, RED, SEAM, WIDTH, Canvas
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
from trading_runtime.results.statistics import sharpe_ratio
from trading_runtime.units import DAY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trading_runtime.results.points import CurvePoint


MOST_SEAMS = 60
_EQUITY_HEIGHT = 190.0
_DRAWDOWN_HEIGHT = 73.0
_MOST_DATES = 9


def equity_picture(
    curve: Sequence[CurvePoint],
    seams: Sequence[int],
    currency: str,
    held: Sequence[tuple[int, Decimal]] = (),
) -> bytes:
    """Return the picture of a chained curve; ``seams`` are starts of partitions in nanoseconds.

    ``held`` is what holding the instruments would have made of the initial equity.
    """
    times = [each.ts for each in curve]
    equity = [float(each.equity) for each in curve]
    falls = _drawdowns([float(each.growth) for each in curve])
    deepest = min(falls)
    above, below = (
        widened([*equity, *(float(value) for _, value in held)]),
        (deepest * 1.08 or -0.01, 0.0),
    )
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
    if held:
        worth = [float(value) for _, value in held]
        kept = thinned(worth)
        places = upper.places((held[i][0] for i in kept), (worth[i] for i in kept))
        canvas.polyline(places, QUIET, 1)
        upper.legend(
            [
                ("Point", upper.sample_line(BLUE, 1.4)),
                ("Buy and hold", upper.sample_line(QUIET, 1)),
            ]
        )
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


ROLLING_DAYS = 30
_ROLLING_HEIGHT = 90.0


def rolling_sharpe_picture(
    returns: Sequence[tuple[int, Decimal | None]], periods_per_year: float | None
) -> bytes | None:
    """Return the Sharpe ratio over the last ``ROLLING_DAYS`` days that count.

    ``None`` with less than twice as many days, or after a ruin.
    """
    values = [value for _, value in returns]
    if len(values) < 2 * ROLLING_DAYS or None in values or periods_per_year is None:
        return None
    year = Decimal(str(periods_per_year))
    points = []
    for end in range(ROLLING_DAYS, len(values) + 1):
        ratio = sharpe_ratio(values[end - ROLLING_DAYS : end], year)
        if ratio is not None:
            points.append(((returns[end - 1][0] + 1) * DAY, float(ratio)))
    if len(points) < 2:  # noqa: PLR2004 - a line has two ends
        return None
    times, ratios = zip(*points, strict=True)
    bounds = widened([*ratios, 0.0])
    shown = value_ticks(*bounds, _ROLLING_HEIGHT, "ratio")
    head = EDGE + TITLE_HEIGHT
    foot = head + _ROLLING_HEIGHT
    canvas = Canvas(foot + TICKS_HEIGHT + EDGE)
    x = AxisScale(times[0], times[-1], left_of(text for _, text in shown), WIDTH - EDGE)
    panel = Panel(canvas, x, AxisScale(*bounds, foot, head))
    panel.grid(value for value, _ in shown)
    panel.write_beside(shown)
    panel.level(0.0, INK, 0.7, DASHES)
    kept = thinned(ratios)
    canvas.polyline(panel.places((times[i] for i in kept), (ratios[i] for i in kept)), BLUE, 1.2)
    panel.title(f"Sharpe ratio over {ROLLING_DAYS} days")
    panel.write_below(time_ticks(times[0], times[-1], _MOST_DATES))
    return canvas.svg()


def _drawdowns(growth: Sequence[float]) -> list[float]:
    falls, peak = [], growth[0]
    for value in growth:
        peak = max(peak, value)
        falls.append(value / peak - 1 if peak > 0 else 0.0)
    return falls


_HEIGHT = 220.0
_LINES = ((BLUE, 3.2), (RED, 1.0))


def two_curves_picture(
    curves: Sequence[tuple[str, Sequence[tuple[int, Decimal]]]], currency: str
) -> bytes:
    """Return the picture of two curves, each a name and (nanoseconds, equity); the first wider."""
    values = [float(value) for _, curve in curves for _, value in curve]
    times = [ts for _, curve in curves for ts, _ in curve]
    bounds = widened(values)
    amounts = value_ticks(*bounds, _HEIGHT, "money")
    head = EDGE + TITLE_HEIGHT
    foot = head + _HEIGHT
    canvas = Canvas(foot + TICKS_HEIGHT + EDGE)
    start, end = min(times), max(*times, min(times) + 1)
    x = AxisScale(start, end, left_of(text for _, text in amounts), WIDTH - EDGE)
    panel = Panel(canvas, x, AxisScale(*bounds, foot, head))
    panel.grid(value for value, _ in amounts)
    panel.write_beside(amounts)
    for (_, curve), (colour, width) in zip(curves, _LINES, strict=True):
        equity = [float(value) for _, value in curve]
        kept = thinned(equity)
        places = panel.places((curve[i][0] for i in kept), (equity[i] for i in kept))
        canvas.polyline(places, colour, width)
    names = " and ".join(
        f"{name} ({colour})" for (name, _), colour in zip(curves, ("blue", "red"), strict=True)
    )
    panel.title(f"Equity in {currency}: {names}")
    panel.write_below(time_ticks(start, end, _MOST_DATES))
    return canvas.svg()
