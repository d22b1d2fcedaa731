"""All parameters of all points side by side: each point is a line, coloured by its objective."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trading_runtime.report.formatting import label, value_text
from trading_runtime.report.pictures.canvas import (
    GOLD,
    INK,
    RULE,
    Canvas,
    colours_for,
    shortened,
    text_width,
)
from trading_runtime.report.pictures.panel import (
    EDGE,
    TICKS_HEIGHT,
    TITLE_HEIGHT,
    AxisScale,
    Panel,
)
from trading_runtime.report.pictures.parameters import draw_colour_bar, right_of_plot
from trading_runtime.results.frames import PARAMETER_PREFIX, ranked, varied_parameters

if TYPE_CHECKING:
    import polars as pl

_HEIGHT = 240.0
_FEWEST = 3
_MOST_LINES = 400
_MOST_TEXTS = 9
_LEFT = 70.0
_LONGEST_TEXT = 60.0


def parallel_picture(
    points: pl.DataFrame, metric: str, direction: str, best_point: int | None
) -> bytes | None:
    """Return the picture; ``None`` for fewer than three parameters that vary.

    Better points are drawn over worse ones. Of many points some are left out, evenly by rank.
    """
    names = varied_parameters(points)
    known = ranked(points.drop_nulls(metric), metric, direction)
    if len(names) < _FEWEST or not known.height:
        return None
    kept = known.gather_every(-(-known.height // _MOST_LINES)).reverse()
    values = [float(value) for value in kept[metric]]
    colours = colours_for(values)
    head = EDGE + TITLE_HEIGHT
    canvas = Canvas(head + _HEIGHT + 2 * TICKS_HEIGHT + EDGE)
    panel = Panel(
        canvas,
        AxisScale(0, len(names) - 1, _LEFT, right_of_plot() - _LEFT / 2),
        AxisScale(0, 1, head + _HEIGHT, head),
    )
    scales = [_heights(points[PARAMETER_PREFIX + name]) for name in names]
    for row, value in zip(kept.iter_rows(named=True), values, strict=True):
        heights = [
            scale[row[PARAMETER_PREFIX + name]] for name, scale in zip(names, scales, strict=True)
        ]
        places = panel.places(range(len(names)), heights)
        if row["point"] != best_point:
            canvas.polyline(places, colours.of(value), 0.9)
        else:
            best = places
    legend = []
    if best_point is not None and best_point in kept["point"]:
        canvas.polyline(best, GOLD, 2.4)
        legend.append((f"best: point {best_point}", panel.sample_line(GOLD, 2.4)))
    for place, (name, scale) in enumerate(zip(names, scales, strict=True)):
        x = panel.x.place(place)
        canvas.line((x, panel.y.start), (x, panel.y.end), RULE, 1)
        step = -(-len(scale) // _MOST_TEXTS)
        for value, height in [*scale.items()][::step]:
            text = shortened(value_text(value), _LONGEST_TEXT)
            y, width = panel.y.place(height), text_width(text)
            canvas.box((x - width - 5, y - 6), (width + 3, 12), "white")
            canvas.text((x - 4, y + 3), text, INK, anchor="end")
        canvas.text((x, panel.y.start + TICKS_HEIGHT), name, INK, anchor="middle")
    panel.title(f"{label(metric)} of points, by their parameters")
    panel.legend(legend)
    draw_colour_bar(panel, colours, metric)
    return canvas.svg()


def _heights(column: pl.Series) -> dict[Any, float]:
    """Return where each value is on its axis, from 0 to 1; values in their order, evenly spaced."""
    values = column.unique().sort().to_list()
    return {value: place / (len(values) - 1) for place, value in enumerate(values)}
