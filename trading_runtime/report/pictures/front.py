"""The front of two objectives: what more of the one costs of the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trading_runtime.report.formatting import label
from trading_runtime.report.pictures.canvas import BAND, GOLD, WIDTH, form_of
from trading_runtime.report.pictures.panel import (
    single_panel,
    value_ticks,
    widened,
)

if TYPE_CHECKING:
    import polars as pl

    from trading_runtime.records.result import Front

_HEIGHT = 240.0
_FEWEST = 2


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
