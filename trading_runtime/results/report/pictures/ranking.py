"""All points from best to worst by the objective: how special the best one is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trading_runtime.results.frames import ranked
from trading_runtime.results.report.formatting import label, number
from trading_runtime.results.report.pictures.canvas import Canvas
from trading_runtime.results.report.pictures.panel import (
    DASHES,
    EDGE,
    NAME_HEIGHT,
    TICKS_HEIGHT,
    TITLE_HEIGHT,
    Panel,
    left_of,
    value_ticks,
)
from trading_runtime.results.report.pictures.scales import Scale, thinned, ticks, widened
from trading_runtime.results.report.pictures.style import BLUE, GOLD, INK, QUIET, WIDTH, form_of

if TYPE_CHECKING:
    import polars as pl

_FEWEST = 2
_MOST_DOTS = 150
_HEIGHT = 130.0
_MOST_RANKS = 11


def ranking_picture(
    points: pl.DataFrame, metric: str, direction: str, best_point: int | None
) -> bytes | None:
    """Return the picture of the objective over the ranks; ``None`` for fewer than two values."""
    order = ranked(points, metric, direction).drop_nulls(metric)
    if order.height < _FEWEST:
        return None
    values = [float(value) for value in order[metric]]
    bounds = widened(values)
    shown = value_ticks(*bounds, _HEIGHT, form_of(metric))
    head = EDGE + TITLE_HEIGHT
    canvas = Canvas(head + _HEIGHT + TICKS_HEIGHT + NAME_HEIGHT + EDGE)
    panel = Panel(
        canvas,
        Scale(*widened([1, len(values)], 0.02), left_of(text for _, text in shown), WIDTH - EDGE),
        Scale(*bounds, head + _HEIGHT, head),
    )
    ranks = ticks(1, len(values), _MOST_RANKS, whole=True)
    panel.grid(value for value, _ in shown)
    panel.grid(ranks, upright=True)
    panel.write_beside(shown)
    panel.write_below(((rank, number(rank, 0)) for rank in ranks), "rank")
    if min(values) < 0 < max(values):
        panel.level(0, INK, 0.7)
    median = (values[(len(values) - 1) // 2] + values[len(values) // 2]) / 2
    panel.level(median, QUIET, 0.9, DASHES)
    kept = thinned(values)
    places = panel.places((rank + 1 for rank in kept), (values[rank] for rank in kept))
    canvas.polyline(places, BLUE, 1.3)
    if len(values) <= _MOST_DOTS:
        for place in places:
            canvas.dot(place, 2, BLUE)
    legend = [("median", panel.sample_line(QUIET, 0.9, DASHES))]
    if best_point is not None and order["point"][0] == best_point:
        canvas.dot(places[0], 4, GOLD)
        legend.append((f"best: point {best_point}", panel.sample_dot(GOLD, 4)))
    panel.title(f"{label(metric)} of all points")
    panel.legend(legend)
    return canvas.svg()
