"""The best point partition by partition, against what all points made of the same partitions."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

import polars as pl

from trading_runtime.results.points import OK
from trading_runtime.results.report.formatting import instant, label
from trading_runtime.results.report.pictures.canvas import Canvas, text_width
from trading_runtime.results.report.pictures.panel import (
    EDGE,
    TICKS_HEIGHT,
    TITLE_HEIGHT,
    Panel,
    left_of,
    value_ticks,
)
from trading_runtime.results.report.pictures.scales import Scale, widened
from trading_runtime.results.report.pictures.style import BAND, BLUE, INK, QUIET, RED, WIDTH

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    type Legend = list[tuple[str, Callable[[float, float], None]]]

MOST_BOXES = 45
_MOST_LABELS = 14
_FEWEST = 2
_HEIGHT = 185.0
_SLANTED_HEIGHT = 44.0
_WHISKER = 1.5
"""Values further from the box than so many of its heights are drawn as dots."""


def partitions_picture(results: pl.DataFrame, best_point: int | None) -> bytes | None:
    """Return the returns of each partition: of the best point, and as boxes over all points.

    With many partitions the boxes become a band from the 10th to the 90th percentile. ``None`` for
    fewer than two partitions with a return, or when all returns are zero.
    """
    known = results.filter((pl.col("status") == OK) & pl.col("return").is_not_null())
    order = known.sort("start", "partition").unique("partition", maintain_order=True)
    if order.height < _FEWEST or (known["return"] == 0).all():
        return None
    partitions = order["partition"].to_list()
    by_partition = known.partition_by("partition", as_dict=True)
    all_points = [by_partition[(each,)]["return"].to_list() for each in partitions]
    best = dict(
        known.filter(pl.col("point") == (-1 if best_point is None else best_point))
        .select("partition", "return")
        .iter_rows()
    )
    has_spread = max(len(values) for values in all_points) > 1
    starts = _starts([int(start) for start in order["start"].dt.epoch("ns")])
    is_slanted = sum(text_width(text) + 8 for _, text in starts) > WIDTH * 0.85
    bounds = _bounds([value for values in all_points for value in values])
    shown = value_ticks(*bounds, _HEIGHT, "percent")
    head = EDGE + TITLE_HEIGHT
    canvas = Canvas(head + _HEIGHT + (_SLANTED_HEIGHT if is_slanted else TICKS_HEIGHT) + EDGE)
    left = max(left_of(text for _, text in shown), _SLANTED_HEIGHT if is_slanted else 0.0)
    panel = Panel(
        canvas,
        Scale(-0.7, len(partitions) - 0.3, left, WIDTH - EDGE),
        Scale(*bounds, head + _HEIGHT, head),
    )
    panel.grid(value for value, _ in shown)
    panel.write_beside(shown)
    (panel.write_slanted if is_slanted else panel.write_below)(starts)
    legend: Legend = []
    if has_spread and len(partitions) > MOST_BOXES:
        legend += _draw_band(panel, all_points)
    elif has_spread:
        legend += _draw_boxes(panel, all_points)
    panel.level(0, INK, 0.7)
    legend += _draw_best(panel, [best.get(each) for each in partitions], as_bars=not has_spread)
    panel.title(f"{label('return')} by partition")
    panel.legend(legend)
    return canvas.svg()


def _bounds(values: Sequence[float]) -> tuple[float, float]:
    low, high = widened([0, *values])
    # Where there is nothing beyond zero, it is the edge.
    return (low if min(values) < 0 else 0.0), (high if max(values) > 0 else 0.0)


def _draw_band(panel: Panel, all_points: Sequence[Sequence[float]]) -> Legend:
    deciles = [
        statistics.quantiles(values, n=10, method="inclusive") if len(values) > 1 else [*values] * 9
        for values in all_points
    ]
    across = range(len(deciles))
    low, middle, high = (
        panel.places(across, (each[number] for each in deciles)) for number in (0, 4, 8)
    )
    panel.canvas.area([*high, *reversed(low)], BAND, 0.7)
    panel.canvas.polyline(middle, QUIET, 0.9)
    return [
        ("all points, 10% to 90%", panel.sample_box(BAND)),
        ("their median", panel.sample_line(QUIET, 0.9)),
    ]


def _draw_boxes(panel: Panel, all_points: Sequence[Sequence[float]]) -> Legend:
    half = 0.275 * (panel.x.place(1) - panel.x.place(0))
    for number, values in enumerate(all_points):
        x = panel.x.place(number)
        low, middle, high = (
            statistics.quantiles(values, n=4, method="inclusive")
            if len(values) > 1
            else [*values] * 3
        )
        reach = _WHISKER * (high - low)
        within = [value for value in values if low - reach <= value <= high + reach]
        foot, lower, median, upper, head = map(
            panel.y.place, (min(within), low, middle, high, max(within))
        )
        panel.canvas.line((x, foot), (x, head), BAND, 1.2)
        panel.canvas.box((x - half, upper), (2 * half, lower - upper), BAND)
        panel.canvas.line((x - half, median), (x + half, median), QUIET, 1.2)
        for value in set(values) - set(within):
            panel.canvas.dot((x, panel.y.place(value)), 1, BAND)
    return [("all points", panel.sample_box(BAND))]


def _draw_best(panel: Panel, values: Sequence[float | None], *, as_bars: bool) -> Legend:
    half = 0.35 * (panel.x.place(1) - panel.x.place(0))
    found = set()
    for number, value in enumerate(values):
        if value is None:
            continue
        colour = BLUE if value >= 0 else RED
        found.add(colour)
        x, y, zero = panel.x.place(number), panel.y.place(value), panel.y.place(0)
        if as_bars:
            panel.canvas.box((x - half, min(y, zero)), (2 * half, abs(y - zero)), colour)
        else:
            panel.canvas.dot((x, y), 2.5, colour)
    names = ((BLUE, "best point, gain"), (RED, "best point, loss"))
    return [
        (name, panel.sample_dot(colour, 2.5))
        for colour, name in names
        if colour in found and not as_bars
    ]


def _starts(starts: Sequence[int]) -> list[tuple[int, str]]:
    step = -(-len(starts) // _MOST_LABELS)
    return [(place, instant(starts[place])) for place in range(0, len(starts), step)]
