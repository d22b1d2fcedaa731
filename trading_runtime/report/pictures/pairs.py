"""The objective over all pairs of parameters: small heat maps in rows and columns."""

from __future__ import annotations

import math
import statistics
from itertools import combinations
from typing import TYPE_CHECKING, Any, NamedTuple

from trading_runtime.report.formatting import label, value_text
from trading_runtime.report.pictures.canvas import (
    EMPTY,
    GOLD,
    INK,
    QUIET,
    Canvas,
    colours_for,
    shortened,
)
from trading_runtime.report.pictures.panel import (
    EDGE,
    NAME_HEIGHT,
    TICKS_HEIGHT,
    TITLE_HEIGHT,
    AxisScale,
    Panel,
)
from trading_runtime.report.pictures.parameters import draw_colour_bar, right_of_plot
from trading_runtime.results.frames import PARAMETER_PREFIX
from trading_runtime.results.importance import importances

if TYPE_CHECKING:
    import polars as pl

_FEWEST = 3
MOST_PARAMETERS = 6
"""Of more, those that explain most are shown."""
_FEWEST_CELLS, _MOST_CELLS = 4, 12
"""Numbers with more values are put into ranges of equal width: fewer for few points."""
_LEFT = 84.0
_GAP = 10.0
_WIDEST, _FLATTEST = 190.0, 0.7


class _Axis(NamedTuple):
    """A parameter: how many cells it has, the cell of each point, and the ends of its axis."""

    name: str
    cells: int
    places: list[int]
    first: str
    last: str


def pairs_picture(points: pl.DataFrame, metric: str, best_point: int | None) -> bytes | None:
    """Return the picture; ``None`` for fewer than three parameters that vary.

    A cell has the median of all points with its two values, whatever their other parameters are.
    """
    known = points.drop_nulls(metric)
    names = [each.parameter for each in importances(points, metric)][:MOST_PARAMETERS]
    if len(names) < _FEWEST or not known.height:
        return None
    values = [float(value) for value in known[metric]]
    axes = [_axis(name, known[PARAMETER_PREFIX + name]) for name in names]
    maps = {
        (across, up): _medians(axes[across], axes[up], values)
        for across, up in combinations(range(len(axes)), 2)
    }
    best = known["point"].to_list().index(best_point) if best_point in known["point"] else None

    rows = len(axes) - 1
    width = min(_WIDEST, (right_of_plot() - _LEFT - _GAP * (rows - 1)) / rows)
    height = width * _FLATTEST
    head = EDGE + TITLE_HEIGHT
    foot = head + rows * height + _GAP * (rows - 1)
    right = _LEFT + rows * width + _GAP * (rows - 1)
    canvas = Canvas(foot + TICKS_HEIGHT + NAME_HEIGHT + EDGE)
    colours = colours_for([value for cells in maps.values() for value in cells.values()])
    for (across, up), cells in maps.items():
        left, top = _LEFT + across * (width + _GAP), head + (up - 1) * (height + _GAP)
        panel = Panel(
            canvas,
            AxisScale(0, axes[across].cells, left, left + width),
            AxisScale(0, axes[up].cells, top + height, top),
        )
        size = width / axes[across].cells, height / axes[up].cells
        canvas.box((left, top), (width, height), EMPTY)
        for (column, line), value in cells.items():
            corner = panel.x.place(column), panel.y.place(line + 1)
            canvas.box(corner, size, colours.of(value), "white", 0.4)
        if best is not None:
            column, line = axes[across].places[best], axes[up].places[best]
            canvas.box((panel.x.place(column), panel.y.place(line + 1)), size, "none", GOLD, 1.8)
        if across == 0:
            _write_beside(panel, axes[up])
        if up == rows:
            _write_below(panel, axes[across])
    whole = Panel(canvas, AxisScale(0, 1, _LEFT, right), AxisScale(0, 1, foot, head))
    whole.title(f"{label(metric)} over all pairs of parameters, medians")
    draw_colour_bar(whole, colours, metric)
    return canvas.svg()


def _axis(name: str, column: pl.Series) -> _Axis:
    values = column.unique(maintain_order=True).to_list()
    is_numeric = column.dtype.is_numeric()
    if is_numeric:
        values.sort()
    ends = value_text(values[0]), value_text(values[-1])
    # As many as there are about two points for each cell of a map.
    most = min(_MOST_CELLS, max(_FEWEST_CELLS, math.isqrt(len(column) // 2)))
    if is_numeric and len(values) > most:
        low, high = float(values[0]), float(values[-1])
        width = (high - low) / most
        places = [min(most - 1, int((float(each) - low) / width)) for each in column]
        return _Axis(name, most, places, *ends)
    cells: dict[Any, int] = {value: place for place, value in enumerate(values)}
    return _Axis(name, len(values), [cells[each] for each in column], *ends)


def _medians(across: _Axis, up: _Axis, values: list[float]) -> dict[tuple[int, int], float]:
    """Return the median of the values in each cell that has some."""
    found: dict[tuple[int, int], list[float]] = {}
    for column, line, value in zip(across.places, up.places, values, strict=True):
        found.setdefault((column, line), []).append(value)
    return {cell: statistics.median(of_cell) for cell, of_cell in found.items()}


def _write_below(panel: Panel, axis: _Axis) -> None:
    left, right, base = panel.x.start, panel.x.end, panel.y.start + TICKS_HEIGHT - 5
    room = (right - left) / 2 - 2
    panel.canvas.text((left, base), shortened(axis.first, room), QUIET)
    panel.canvas.text((right, base), shortened(axis.last, room), QUIET, anchor="end")
    name = shortened(axis.name, right - left)
    panel.canvas.text(((left + right) / 2, base + NAME_HEIGHT), name, INK, anchor="middle")


def _write_beside(panel: Panel, axis: _Axis) -> None:
    right, room = panel.x.start - 5, _LEFT - EDGE - 5
    for y, text, colour in (
        (panel.y.end + 8, axis.last, QUIET),
        ((panel.y.start + panel.y.end) / 2 + 3, axis.name, INK),
        (panel.y.start - 1, axis.first, QUIET),
    ):
        panel.canvas.text((right, y), shortened(text, room), colour, anchor="end")
