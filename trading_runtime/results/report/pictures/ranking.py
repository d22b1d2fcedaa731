"""All points from best to worst by the objective: how special the best one is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.ticker import MaxNLocator

from trading_runtime.results.frames import ranked
from trading_runtime.results.report.formatting import label
from trading_runtime.results.report.pictures.style import (
    BLUE,
    GOLD,
    INK,
    QUIET,
    drawing,
    svg,
    write_values,
)

if TYPE_CHECKING:
    import polars as pl

_FEWEST = 2
_MOST_DOTS = 150


def ranking_picture(
    points: pl.DataFrame, metric: str, direction: str, best_point: int | None
) -> bytes | None:
    """Return the picture of the objective over the ranks; ``None`` for fewer than two values."""
    order = ranked(points, metric, direction).drop_nulls(metric)
    if order.height < _FEWEST:
        return None
    values = [float(value) for value in order[metric]]
    ranks = list(range(1, len(values) + 1))
    with drawing(2.7) as figure:
        axes = figure.subplots()
        marker = {"marker": "o", "markersize": 4} if len(values) <= _MOST_DOTS else {}
        axes.plot(ranks, values, color=BLUE, linewidth=1.3, **marker)  # type: ignore[arg-type]
        if min(values) < 0 < max(values):
            axes.axhline(0, color=INK, linewidth=0.7)
        median = (values[(len(values) - 1) // 2] + values[len(values) // 2]) / 2
        axes.axhline(median, color=QUIET, linewidth=0.9, linestyle=(0, (4, 3)), label="median")
        if best_point is not None and order["point"][0] == best_point:
            axes.plot(
                [1], values[:1], "o", color=GOLD, markersize=8, label=f"best: point {best_point}"
            )
        axes.set_title(f"{label(metric)} of all points")
        axes.set_xlabel("rank")
        axes.margins(x=0.02)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        write_values(axes, metric)
        axes.legend(loc="upper right")
        return svg(figure)
