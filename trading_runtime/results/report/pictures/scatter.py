"""The objective over two parameters as coloured dots, where cells would be too many or empty."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trading_runtime.results.report.formatting import label
from trading_runtime.results.report.pictures.canvas import Canvas
from trading_runtime.results.report.pictures.colours import colours_for
from trading_runtime.results.report.pictures.heat_map import draw_colour_bar, right_of_plot
from trading_runtime.results.report.pictures.panel import (
    EDGE,
    NAME_HEIGHT,
    TICKS_HEIGHT,
    TITLE_HEIGHT,
    Panel,
    left_of,
    value_ticks,
)
from trading_runtime.results.report.pictures.scales import Scale, widened
from trading_runtime.results.report.pictures.style import GOLD, QUIET

if TYPE_CHECKING:
    from collections.abc import Sequence

_HEIGHT = 230.0


def scatter(
    dots: Sequence[tuple[float, float, float, bool]], names: tuple[str, str], metric: str
) -> bytes:
    """Return the picture; a dot is its two parameters, its value, and whether it is the best."""
    across, up = (widened([dot[axis] for dot in dots]) for axis in (0, 1))
    beside = value_ticks(*up, _HEIGHT, "plain")
    head, left = EDGE + TITLE_HEIGHT, left_of(text for _, text in beside) + NAME_HEIGHT
    canvas = Canvas(head + _HEIGHT + TICKS_HEIGHT + NAME_HEIGHT + EDGE)
    panel = Panel(canvas, Scale(*across, left, right_of_plot()), Scale(*up, head + _HEIGHT, head))
    below = value_ticks(*across, (panel.x.end - left) / 2, "plain")
    panel.grid(value for value, _ in beside)
    panel.grid((value for value, _ in below), upright=True)
    panel.write_beside(beside)
    panel.write_below(below, names[0])
    panel.write_name_beside(names[1])
    colours = colours_for([value for _, _, value, _ in dots])
    for x, y, value, _ in dots:
        canvas.dot((panel.x.place(x), panel.y.place(y)), 2.5, colours.of(value), QUIET, 0.4)
    for x, y, _, is_best in dots:
        if is_best:
            canvas.dot((panel.x.place(x), panel.y.place(y)), 5.2, "none", GOLD, 2.2)
    panel.title(f"{label(metric)} over {names[0]} and {names[1]}")
    draw_colour_bar(panel, colours, metric)
    return canvas.svg()
