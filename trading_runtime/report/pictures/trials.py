"""What the points of a search show together: progress, importance of parameters, overfitting."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from trading_runtime.report.formatting import in_sentence, label, number
from trading_runtime.report.pictures.canvas import (
    BAND,
    BLUE,
    INK,
    QUIET,
    RED,
    WIDTH,
    Canvas,
    form_of,
    shortened,
    tick,
)
from trading_runtime.report.pictures.panel import (
    EDGE,
    TICKS_HEIGHT,
    TITLE_HEIGHT,
    AxisScale,
    Panel,
    left_of,
    single_panel,
    ticks,
    widened,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trading_runtime.results.importance import Importance, Step

_HEIGHT = 160.0
_BAR_HEIGHT = 20.0
_THINNEST_BAR = 1.5
_FEWEST = 2
_MOST_DOTS = 500
_MOST_TICKS = 11
_LONGEST_TEXT = 160.0
_BINS = 24


def progress_picture(steps: Sequence[Step], metric: str) -> bytes | None:
    """Return the picture of every point's value, and of the best so far, over the points."""
    known = [(step.point, step.value) for step in steps if step.value is not None]
    best = [(step.point, step.best) for step in steps if step.best is not None]
    if len(known) < _FEWEST:
        return None
    last = steps[-1].point
    bounds = widened([value for _, value in known])
    panel, shown = single_panel(widened([0, last], 0.02), bounds, _HEIGHT, form_of(metric))
    canvas = panel.canvas
    numbers = ticks(0, last, _MOST_TICKS, whole=True)
    panel.grid(value for value, _ in shown)
    panel.write_beside(shown)
    panel.write_below(((each, number(each, 0)) for each in numbers), "point")
    kept = known if len(known) <= _MOST_DOTS else known[:: -(-len(known) // _MOST_DOTS)]
    for place in panel.places(*zip(*kept, strict=True)):
        canvas.dot(place, 2, BAND)
    stairs = [best[0]]
    for point, value in best[1:]:
        if value != stairs[-1][1]:
            stairs += [(point, stairs[-1][1]), (point, value)]
    stairs.append((last, best[-1][1]))
    canvas.polyline(panel.places(*zip(*stairs, strict=True)), BLUE, 1.6)
    panel.title(f"{label(metric)} of each point, in the order in which they were asked for")
    panel.legend(
        [("a point", panel.sample_dot(BAND, 2)), ("best so far", panel.sample_line(BLUE, 1.6))]
    )
    return canvas.svg()


def importance_picture(found: Sequence[Importance], metric: str) -> bytes | None:
    """Return the picture of the share of each parameter; ``None`` for fewer than two."""
    known = [(each.parameter, each.share) for each in found if each.share is not None]
    if len(known) < _FEWEST:
        return None
    names = [shortened(name, _LONGEST_TEXT) for name, _ in known]
    head, height = EDGE + TITLE_HEIGHT, _BAR_HEIGHT * len(known)
    canvas = Canvas(head + height + TICKS_HEIGHT + EDGE)
    panel = Panel(
        canvas,
        AxisScale(0, 1, left_of(names), WIDTH - EDGE - 40),
        AxisScale(len(known), 0, head + height, head),
    )
    panel.grid((0, 0.25, 0.5, 0.75, 1), upright=True)
    panel.write_below((value, tick(value, "percent")) for value in (0, 0.25, 0.5, 0.75, 1))
    panel.write_beside((place + 0.5, name) for place, name in enumerate(names))
    for place, (_, share) in enumerate(known):
        corner = (panel.x.start, panel.y.place(place) + 3)
        length = max(panel.x.place(share) - panel.x.start, _THINNEST_BAR)
        canvas.box(corner, (length, _BAR_HEIGHT - 6), BLUE)
        text = tick(share, "percent", places=0) if share else "0%: no more than chance"
        canvas.text((panel.x.place(share) + 5, corner[1] + _BAR_HEIGHT / 2), text, INK)
    panel.title(f"Share of the variance of {in_sentence(metric)} that a parameter explains alone")
    return canvas.svg()


def logits_picture(logits: Sequence[Sequence[float]]) -> bytes | None:
    """Return the histogram of pairs of a rank logit and its count; ``None`` for a single one.

    What is left of zero was chosen on one half of the days, and is below the median on the other.
    """
    if len(logits) < _FEWEST:
        return None
    reach = max(abs(logit) for logit, _ in logits) * (1 + 1e-9)
    width = 2 * reach / _BINS
    total = sum(count for _, count in logits)
    shares = [0.0] * _BINS
    for logit, count in logits:
        # A logit of zero counts as overfit: bins are closed on the right.
        shares[min(max(math.ceil((logit + reach) / width) - 1, 0), _BINS - 1)] += count / total
    bounds = (0, max(shares) * 1.05)
    panel, shown = single_panel((-reach, reach), bounds, _HEIGHT, "percent")
    canvas = panel.canvas
    panel.grid(value for value, _ in shown)
    panel.write_beside(shown)
    panel.write_below(
        ((each, tick(each, "plain")) for each in ticks(-reach, reach, _MOST_TICKS)),
        "logit of the rank on the other half",
    )
    for place, share in enumerate(shares):
        left = panel.x.place(-reach + place * width)
        top = panel.y.place(share)
        size = (panel.x.place(-reach + (place + 1) * width) - left - 1, panel.y.start - top)
        canvas.box((left, top), size, RED if place < _BINS // 2 else BLUE)
    middle = panel.x.place(0)
    canvas.line((middle, panel.y.start), (middle, panel.y.end), QUIET, 0.9)
    panel.title("The best point of one half of the days, ranked on the other half")
    panel.legend([("worse half", panel.sample_box(RED)), ("better half", panel.sample_box(BLUE))])
    return canvas.svg()
