"""The objective over the parameters: a heat map over two, a line or bars over one."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from matplotlib.colors import Normalize, TwoSlopeNorm
from matplotlib.patches import Rectangle

from trading_runtime.results.frames import PARAMETER_PREFIX, parameter_names
from trading_runtime.results.report.formatting import METRICS, label, value_text
from trading_runtime.results.report.pictures.style import (
    BLUE,
    EMPTY,
    GOLD,
    INK,
    QUIET,
    cell_places,
    drawing,
    svg,
    tick,
    write_values,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import polars as pl
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable
    from matplotlib.figure import Figure

MOST_CELLS = 60
"""Values on one axis of a heat map; with more, or with most cells empty, points are scattered."""
_MOST_NUMBERS = 180
_LEAST_FILLED = 0.3
_MOST_TICKS = 20
_PAIR = 2


class ParameterPicture(NamedTuple):
    """A picture and what has to be said below it."""

    svg: bytes
    kind: str
    caption: str


def parameters_picture(
    points: pl.DataFrame, metric: str, best_point: int | None
) -> ParameterPicture | None:
    """Return the objective over the parameters that vary; ``None`` when none does.

    Two parameters are taken, those with the most values; the others are held at the best point's
    values (at the first point's when there is none).
    """
    varying = varying_parameters(points)
    rows = [row for row in points.iter_rows(named=True) if row[metric] is not None]
    if not varying or len(rows) < _PAIR:
        return None
    if len(varying) == 1:
        return _over_one(rows, varying[0], metric, best_point)
    across, up = sorted(varying[:_PAIR], key=varying.index)
    anchor = next((row for row in rows if row["point"] == best_point), rows[0])
    held = varying[_PAIR:]
    cut = [row for row in rows if all(_value(row, name) == _value(anchor, name) for name in held)]
    xs, ys = _axis_values(cut, across), _axis_values(cut, up)
    dense = len(cut) >= _LEAST_FILLED * len(xs) * len(ys)
    if len(cut) > 1 and dense and max(len(xs), len(ys)) <= MOST_CELLS:
        fixed = ", ".join(f"{name} = {value_text(_value(anchor, name))}" for name in held)
        caption = _caption(f"Held: {fixed}." if held else "", best_point, "framed")
        return ParameterPicture(
            _heat_map(cut, (across, up), (xs, ys), metric, best_point), "heat map", caption
        )
    if not (_numeric(rows, across) and _numeric(rows, up)):
        return None
    caption = f"Each dot is a point; {', '.join(held)} vary as well." if held else ""
    caption = _caption(caption, best_point, "ringed")
    return ParameterPicture(_scatter(rows, (across, up), metric, best_point), "scatter", caption)


def _caption(text: str, best_point: int | None, how: str) -> str:
    return f"{text} {f'The best point is {how}.' if best_point is not None else ''}".strip()


def varying_parameters(points: pl.DataFrame) -> list[str]:
    """Return the parameters with more than one value, those with the most values first."""
    names = parameter_names(points.columns)
    counts = {name: points[PARAMETER_PREFIX + name].n_unique() for name in names}
    return sorted((name for name in names if counts[name] > 1), key=lambda name: -counts[name])


def _heat_map(
    rows: Sequence[Mapping[str, Any]],
    names: tuple[str, str],
    values: tuple[list[Any], list[Any]],
    metric: str,
    best_point: int | None,
) -> bytes:
    (across, up), (xs, ys) = names, values
    cells = [[math.nan] * len(xs) for _ in ys]
    best_cell = None
    for row in rows:
        column, line = xs.index(_value(row, across)), ys.index(_value(row, up))
        cells[line][column] = float(row[metric])
        if row["point"] == best_point:
            best_cell = (column, line)
    with drawing(min(7.5, max(2.4, 1.3 + 0.42 * len(ys)))) as figure:
        axes = figure.subplots()
        norm, colours = _colours([float(row[metric]) for row in rows])
        axes.set_facecolor(EMPTY)
        axes.grid(visible=False)
        mesh = axes.pcolormesh(
            cells,
            norm=norm,
            cmap=colours,
            edgecolors="white",
            linewidth=1.2,
        )
        if len(xs) * len(ys) <= _MOST_NUMBERS:
            _write_numbers(axes, cells, mesh, metric)
        if best_cell is not None:
            axes.add_patch(Rectangle(best_cell, 1, 1, fill=False, edgecolor=GOLD, linewidth=2.6))
        _write_cells(axes, xs, "x")
        _write_cells(axes, ys, "y")
        axes.set_xlabel(across)
        axes.set_ylabel(up)
        axes.set_title(f"{label(metric)} over {across} and {up}")
        _colour_bar(figure, axes, mesh, metric)
        return svg(figure)


def _scatter(
    rows: Sequence[Mapping[str, Any]], names: tuple[str, str], metric: str, best_point: int | None
) -> bytes:
    across, up = names
    with drawing(4.2) as figure:
        axes = figure.subplots()
        values = [float(row[metric]) for row in rows]
        norm, colours = _colours(values)
        dots = axes.scatter(
            [float(_value(row, across)) for row in rows],
            [float(_value(row, up)) for row in rows],
            c=values,
            norm=norm,
            cmap=colours,
            s=26,
            edgecolors=QUIET,
            linewidths=0.4,
        )
        for row in rows:
            if row["point"] == best_point:
                place = float(_value(row, across)), float(_value(row, up))
                axes.scatter(*place, s=110, facecolors="none", edgecolors=GOLD, linewidths=2.2)
        axes.set_xlabel(across)
        axes.set_ylabel(up)
        axes.set_title(f"{label(metric)} over {across} and {up}")
        _colour_bar(figure, axes, dots, metric)
        return svg(figure)


def _over_one(
    rows: Sequence[Mapping[str, Any]], name: str, metric: str, best_point: int | None
) -> ParameterPicture:
    numeric = _numeric(rows, name)
    values = _axis_values(rows, name)
    with drawing(2.9) as figure:
        axes = figure.subplots()
        places = [
            float(_value(row, name)) if numeric else values.index(_value(row, name)) for row in rows
        ]
        pairs = sorted(zip(places, (float(row[metric]) for row in rows), strict=True))
        across, heights = [place for place, _ in pairs], [height for _, height in pairs]
        if numeric:
            axes.plot(across, heights, color=BLUE, marker="o", markersize=4, linewidth=1.3)
            if len(values) <= _MOST_TICKS:
                axes.set_xticks(
                    [float(value) for value in values], [value_text(value) for value in values]
                )
        else:
            axes.bar(across, heights, color=BLUE, width=0.6)
            axes.set_xticks(range(len(values)), [value_text(value) for value in values])
            axes.grid(visible=False, axis="x")
        for place, row in zip(places, rows, strict=True):
            if row["point"] == best_point:
                axes.plot([place], [float(row[metric])], "o", color=GOLD, markersize=8)
        if min(heights) < 0 < max(heights):
            axes.axhline(0, color=INK, linewidth=0.7)
        axes.set_title(f"{label(metric)} over {name}")
        axes.set_xlabel(name)
        write_values(axes, metric)
        return ParameterPicture(svg(figure), "line" if numeric else "bar chart", "")


def _colours(values: Sequence[float]) -> tuple[Normalize, str]:
    low, high = min(values), max(values)
    if low < 0 < high:
        reach = max(-low, high)
        return TwoSlopeNorm(0, -reach, reach), "RdBu"
    if low == high:
        return Normalize(low - 1, high + 1), "Blues"
    return Normalize(low, high), "Blues" if low >= 0 else "Reds_r"


def _write_numbers(
    axes: Axes, cells: Sequence[Sequence[float]], mesh: ScalarMappable, metric: str
) -> None:
    form = METRICS[metric].form if metric in METRICS else "plain"
    places = cell_places([value for row in cells for value in row if not math.isnan(value)], form)
    size = 8 if len(cells[0]) <= 14 else 6.5  # noqa: PLR2004
    for line, row in enumerate(cells):
        for column, value in enumerate(row):
            if math.isnan(value):
                continue
            red, green, blue, _ = mesh.to_rgba(np.array([value]))[0]
            dark = 0.299 * red + 0.587 * green + 0.114 * blue < 0.55  # noqa: PLR2004
            axes.text(
                column + 0.5,
                line + 0.5,
                tick(value, form, places=places),
                ha="center",
                va="center",
                fontsize=size,
                color="white" if dark else INK,
            )


def _write_cells(axes: Axes, values: Sequence[Any], axis: str) -> None:
    step = -(-len(values) // _MOST_TICKS)
    shown = range(0, len(values), step)
    places, texts = [place + 0.5 for place in shown], [value_text(values[place]) for place in shown]
    if axis == "x":
        axes.set_xticks(places, texts)
    else:
        axes.set_yticks(places, texts)


def _colour_bar(figure: Figure, axes: Axes, mappable: Any, metric: str) -> None:
    bar = figure.colorbar(mappable, ax=axes, pad=0.015, aspect=28)
    # A rasterised bar would be an embedded picture, which the report promises not to hold.
    if bar.solids is not None:
        bar.solids.set_rasterized(False)
        bar.solids.set_edgecolor("face")
    bar.outline.set_visible(False)
    write_values(bar.ax, metric)
    bar.ax.grid(visible=False)


def _value(row: Mapping[str, Any], name: str) -> Any:
    return row[PARAMETER_PREFIX + name]


def _numeric(rows: Sequence[Mapping[str, Any]], name: str) -> bool:
    return all(
        isinstance(_value(row, name), int | float | Decimal)
        and not isinstance(_value(row, name), bool)
        for row in rows
    )


def _axis_values(rows: Sequence[Mapping[str, Any]], name: str) -> list[Any]:
    found = list(dict.fromkeys(_value(row, name) for row in rows))
    return sorted(found) if _numeric(rows, name) else found
