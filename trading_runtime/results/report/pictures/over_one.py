"""The objective over one parameter: a line over numbers, bars over names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trading_runtime.results.report.formatting import label
from trading_runtime.results.report.pictures.canvas import Canvas, shortened
from trading_runtime.results.report.pictures.panel import (
    EDGE,
    NAME_HEIGHT,
    TICKS_HEIGHT,
    TITLE_HEIGHT,
    Panel,
    left_of,
    value_ticks,
)
from trading_runtime.results.report.pictures.scales import Scale, thinned, widened
from trading_runtime.results.report.pictures.style import BLUE, GOLD, INK, WIDTH, form_of

if TYPE_CHECKING:
    from collections.abc import Sequence

_HEIGHT = 145.0
_MOST_TICKS = 20
_MOST_DOTS = 150
_LEAST_ROOM = 40.0


def over_one(
    dots: Sequence[tuple[float, float, bool]],
    texts: Sequence[tuple[float, str]],
    name: str,
    metric: str,
    *,
    as_bars: bool,
) -> bytes:
    """Return the picture; a dot is its place, its value, and whether it is the best.

    ``texts`` are the parameter's values as they are written, by their places.
    """
    dots = sorted(dots)
    places, heights = [dot[0] for dot in dots], [dot[1] for dot in dots]
    low, high = widened([0, *heights] if as_bars else heights)
    shown = value_ticks(low, high, _HEIGHT, form_of(metric))
    head, left = EDGE + TITLE_HEIGHT, left_of(text for _, text in shown)
    bounds = (-0.7, len(texts) - 0.3) if as_bars else widened(places, 0.03)
    canvas = Canvas(head + _HEIGHT + TICKS_HEIGHT + NAME_HEIGHT + EDGE)
    panel = Panel(
        canvas, Scale(*bounds, left, WIDTH - EDGE), Scale(low, high, head + _HEIGHT, head)
    )
    width = panel.x.place(1) - panel.x.place(0)
    if as_bars:
        texts = [(place, shortened(text, max(width, _LEAST_ROOM))) for place, text in texts]
    elif len(texts) > _MOST_TICKS:
        texts = value_ticks(*bounds, (panel.x.end - left) / 2, "plain")
    panel.grid(value for value, _ in shown)
    panel.write_beside(shown)
    panel.write_below(texts, name)
    if as_bars:
        half = 0.3 * width
        zero = panel.y.place(0)
        for place, height, _ in dots:
            x, y = panel.x.place(place), panel.y.place(height)
            canvas.box((x - half, min(y, zero)), (2 * half, abs(y - zero)), BLUE)
    else:
        panel.grid((place for place, _ in texts), upright=True)
        kept = thinned(heights)
        line = panel.places((places[i] for i in kept), (heights[i] for i in kept))
        canvas.polyline(line, BLUE, 1.3)
        if len(dots) <= _MOST_DOTS:
            for centre in line:
                canvas.dot(centre, 2, BLUE)
    if low < 0 < high:
        panel.level(0, INK, 0.7)
    for place, height, is_best in dots:
        if is_best:
            canvas.dot((panel.x.place(place), panel.y.place(height)), 4, GOLD)
    panel.title(f"{label(metric)} over {name}")
    return canvas.svg()
