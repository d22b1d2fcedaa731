"""The points from best to worst, the best one by partition, the front of two objectives."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

import polars as pl

from trading_runtime.report.formatting import instant, label, number
from trading_runtime.report.pictures.canvas import (
    BAND,
    BLUE,
    GOLD,
    INK,
    QUIET,
    RED,
    WIDTH,
    Canvas,
    form_of,
    text_width,
)
from trading_runtime.report.pictures.panel import (
    DASHES,
    EDGE,
    TICKS_HEIGHT,
    TITLE_HEIGHT,
    AxisScale,
    Panel,
    left_of,
    single_panel,
    thinned,
    ticks,
    value_ticks,
    widened,
)
from trading_runtime.results.frames import ranked
from trading_runtime.results.points import OK

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    type Legend = list[tuple[str, Callable[[float, float], None]]]

    from trading_runtime.records.result import Front


_FEWEST = 2
_MOST_DOTS = 150
_RANKING_HEIGHT = 130.0
_MOST_RANKS = 11


def ranking_picture(
    points: pl.DataFrame, metric: str, direction: str, best_point: int | None
) -> bytes | None:
    """Return the picture of the objective over the ranks; ``None`` for fewer than two values."""
    order = ranked(points, metric, direction).drop_nulls(metric)
    if order.height < _FEWEST:
        return None
    values = [float(value) for value in order[metric]]
    across = widened([1, len(values)], 0.02)
    panel, shown = single_panel(across, widened(values), _RANKING_HEIGHT, form_of(metric))
    canvas = panel.canvas
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


MOST_BOXES = 45
_MOST_LABELS = 14
_BOXES_HEIGHT = 185.0
_SLANTED_HEIGHT = 44.0
_WHISKER = 1.5
"""Values further from the box than this many of its heights are drawn as dots."""


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
    shown = value_ticks(*bounds, _BOXES_HEIGHT, "percent")
    head = EDGE + TITLE_HEIGHT
    canvas = Canvas(head + _BOXES_HEIGHT + (_SLANTED_HEIGHT if is_slanted else TICKS_HEIGHT) + EDGE)
    left = max(left_of(text for _, text in shown), _SLANTED_HEIGHT if is_slanted else 0.0)
    panel = Panel(
        canvas,
        AxisScale(-0.7, len(partitions) - 0.3, left, WIDTH - EDGE),
        AxisScale(*bounds, head + _BOXES_HEIGHT, head),
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
    # If there is nothing beyond zero, zero is the edge.
    return (low if min(values) < 0 else 0.0), (high if max(values) > 0 else 0.0)


def _draw_band(panel: Panel, all_points: Sequence[Sequence[float]]) -> Legend:
    deciles = [
        statistics.quantiles(values, n=10, method="inclusive") if len(values) > 1 else [*values] * 9
        for values in all_points
    ]
    across = range(len(deciles))
    low, middle, high = (
        panel.places(across, (each[position] for each in deciles)) for position in (0, 4, 8)
    )
    panel.canvas.area([*high, *reversed(low)], BAND, 0.7)
    panel.canvas.polyline(middle, QUIET, 0.9)
    return [
        ("all points, 10% to 90%", panel.sample_box(BAND)),
        ("their median", panel.sample_line(QUIET, 0.9)),
    ]


def _draw_boxes(panel: Panel, all_points: Sequence[Sequence[float]]) -> Legend:
    half = 0.275 * (panel.x.place(1) - panel.x.place(0))
    for position, values in enumerate(all_points):
        x = panel.x.place(position)
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
    for position, value in enumerate(values):
        if value is None:
            continue
        colour = BLUE if value >= 0 else RED
        found.add(colour)
        x, y, zero = panel.x.place(position), panel.y.place(value), panel.y.place(0)
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


_HEIGHT = 240.0


def front_picture(points: pl.DataFrame, front: Front | None) -> bytes | None:
    """Return the picture of all points by the first two objectives; ``None`` for fewer than two.

    Of further objectives the picture shows nothing, so its front has points that look dominated.
    """
    if front is None:
        return None
    across, along = (each.metric for each in front.objectives[1::-1])
    known = points.drop_nulls([across, along])
    if known.height < _FEWEST:
        return None
    xs, ys = ([float(value) for value in known[name]] for name in (across, along))
    panel, shown = single_panel(widened(xs), widened(ys), _HEIGHT, form_of(along))
    canvas = panel.canvas
    below = value_ticks(*widened(xs), WIDTH / 3, form_of(across))
    panel.grid(value for value, _ in shown)
    panel.grid((value for value, _ in below), upright=True)
    panel.write_beside(shown)
    panel.write_below(below, label(across))
    for place in panel.places(xs, ys):
        canvas.dot(place, 2, BAND)
    numbers = {each.point for each in front.points}
    chosen = sorted(
        (x, y) for point, x, y in zip(known["point"], xs, ys, strict=True) if point in numbers
    )
    places = panel.places(*zip(*chosen, strict=True))
    if len(front.objectives) == 2:  # noqa: PLR2004 - of more, neighbours here are no neighbours
        canvas.polyline(places, GOLD, 1)
    for place in places:
        canvas.dot(place, 3.5, GOLD)
    panel.title(f"{label(along)} over {label(across).lower()}")
    panel.legend(
        [
            ("all points", panel.sample_dot(BAND, 2)),
            ("not dominated", panel.sample_dot(GOLD, 3.5)),
        ]
    )
    return canvas.svg()
