"""The best point partition by partition, against what all points made of the same partitions."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

import polars as pl

from trading_runtime.results.points import OK
from trading_runtime.results.report.formatting import instant, label
from trading_runtime.results.report.pictures.style import (
    BAND,
    BLUE,
    INK,
    QUIET,
    RED,
    drawing,
    svg,
    write_values,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

MOST_BOXES = 45
_MOST_LABELS = 14
_FEWEST = 2


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
    with drawing(3.4) as figure:
        axes = figure.subplots()
        spread = max(len(values) for values in all_points) > 1
        if spread:
            _draw_spread(axes, all_points)
        _draw_best(axes, [best.get(each) for each in partitions], as_bars=not spread)
        axes.axhline(0, color=INK, linewidth=0.7)
        axes.set_title(f"{label('return')} by partition")
        axes.grid(visible=False, axis="x")
        write_values(axes, "return")
        _write_starts(axes, [int(start) for start in order["start"].dt.epoch("ns")])
        if spread or len(axes.get_legend_handles_labels()[0]) > 1:
            axes.legend(loc="upper right", bbox_to_anchor=(1, 1.14), ncols=3, borderaxespad=0)
        return svg(figure)


def _draw_spread(axes: Axes, all_points: Sequence[Sequence[float]]) -> None:
    places = list(range(len(all_points)))
    if len(places) > MOST_BOXES:
        deciles = [
            statistics.quantiles(values, n=10, method="inclusive")
            if len(values) > 1
            else [values[0]] * 9
            for values in all_points
        ]
        low, middle, high = ([each[k] for each in deciles] for k in (0, 4, 8))
        axes.fill_between(
            places, low, high, color=BAND, alpha=0.7, linewidth=0, label="all points, 10% to 90%"
        )
        axes.plot(places, middle, color=QUIET, linewidth=0.9, label="their median")
        return
    boxes = axes.boxplot(
        [list(values) for values in all_points],
        positions=places,
        widths=0.55,
        patch_artist=True,
        manage_ticks=False,
        boxprops={"facecolor": BAND, "edgecolor": "none"},
        medianprops={"color": QUIET, "linewidth": 1.2},
        whiskerprops={"color": BAND, "linewidth": 1.2},
        capprops={"visible": False},
        flierprops={
            "marker": ".",
            "markersize": 3,
            "markerfacecolor": BAND,
            "markeredgecolor": BAND,
        },
    )
    boxes["boxes"][0].set_label("all points")


def _draw_best(axes: Axes, values: Sequence[float | None], *, as_bars: bool) -> None:
    gains = [
        (place, value) for place, value in enumerate(values) if value is not None and value >= 0
    ]
    losses = [
        (place, value) for place, value in enumerate(values) if value is not None and value < 0
    ]
    for name, colour, chosen in (("gain", BLUE, gains), ("loss", RED, losses)):
        if not chosen:
            continue
        places, heights = [place for place, _ in chosen], [height for _, height in chosen]
        if as_bars:
            axes.bar(places, heights, color=colour, width=0.7)
        else:
            axes.plot(places, heights, "o", color=colour, markersize=5, label=f"best point, {name}")


def _write_starts(axes: Axes, starts: Sequence[int]) -> None:
    step = -(-len(starts) // _MOST_LABELS)
    shown = list(range(0, len(starts), step))
    texts = [instant(starts[place]) for place in shown]
    axes.set_xticks(shown, texts)
    if sum(len(text) for text in texts) > 100:  # noqa: PLR2004
        axes.tick_params(axis="x", rotation=30)
        for text in axes.get_xticklabels():
            text.set_horizontalalignment("right")
    axes.set_xlim(-0.7, len(starts) - 0.3)
