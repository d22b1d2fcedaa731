"""The equity of the same trading twice, one curve over the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trading_runtime.report.pictures.canvas import BLUE, RED, WIDTH, Canvas
from trading_runtime.report.pictures.panel import (
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
    from decimal import Decimal

_HEIGHT = 220.0
_MOST_DATES = 9
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
