"""A walk-forward split by split: the parameters that were chosen, and the equity of the tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trading_runtime.report.formatting import value_text
from trading_runtime.report.pictures.canvas import (
    BLUE,
    GOLD,
    INK,
    RULE,
    WIDTH,
    Canvas,
    shortened,
)
from trading_runtime.report.pictures.panel import (
    EDGE,
    TICKS_HEIGHT,
    TITLE_HEIGHT,
    AxisScale,
    Panel,
    left_of,
    thinned,
    time_ticks,
    value_ticks,
    widened,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trading_runtime.results.validation import Walked

_EQUITY_HEIGHT = 180.0
_STRIP_HEIGHT = 64.0
_GAP = 26.0
_MOST_STRIPS = 6
_MOST_DATES = 9
_LONGEST_TEXT = 70.0


def splits_picture(walked: Walked, currency: str) -> bytes | None:
    """Return the picture; ``None`` when no point was chosen.

    Parameters that never change are left out.
    """
    if len(walked.curve) < 2:  # noqa: PLR2004 - a line has two ends
        return None
    chosen = [
        (*walked.span(choice.split.test), walked.points[choice.point].parameters)
        for choice in walked.choices
        if choice.point is not None
    ]
    names = [
        name for name in chosen[0][2] if len({value_text(each[name]) for _, _, each in chosen}) > 1
    ][:_MOST_STRIPS]
    values = {name: _in_order([each[name] for _, _, each in chosen]) for name in names}
    equity = [float(each.equity) for each in walked.curve]
    amounts = value_ticks(*widened(equity), _EQUITY_HEIGHT, "money")
    texts = [text for _, text in amounts]
    texts += [shortened(value_text(each), _LONGEST_TEXT) for name in names for each in values[name]]
    head, left = EDGE + TITLE_HEIGHT, left_of(texts)
    foot = head + _EQUITY_HEIGHT
    canvas = Canvas(foot + len(names) * (_GAP + _STRIP_HEIGHT) + TICKS_HEIGHT + EDGE)
    across = AxisScale(walked.curve[0].ts, walked.curve[-1].ts, left, WIDTH - EDGE)
    panel = Panel(canvas, across, AxisScale(*widened(equity), foot, head))
    for start, _, _ in chosen[1:]:
        place = across.place(start)
        canvas.line((place, foot), (place, head), RULE, 0.7)
    panel.grid(value for value, _ in amounts)
    panel.write_beside(amounts)
    kept = thinned(equity)
    places = panel.places((walked.curve[each].ts for each in kept), (equity[each] for each in kept))
    canvas.polyline(places, BLUE, 1.3)
    panel.title(f"Equity of the tests, one after the other, in {currency}")
    for name in names:
        head = foot + _GAP
        foot = head + _STRIP_HEIGHT
        panel = Panel(canvas, across, AxisScale(-0.5, len(values[name]) - 0.5, foot, head))
        step = -(-len(values[name]) // 5)
        levels = [*enumerate(values[name])][::step]
        panel.grid(place for place, _ in levels)
        panel.write_beside(
            (place, shortened(value_text(value), _LONGEST_TEXT)) for place, value in levels
        )
        for start, end, point in chosen:
            level = values[name].index(point[name])
            ends = panel.places((start, min(end, across.high)), (level, level))
            canvas.line(ends[0], ends[1], GOLD, 3)
        canvas.text((left, head - 6), f"{name} chosen for each test", INK)
    panel.write_below(time_ticks(walked.curve[0].ts, walked.curve[-1].ts, _MOST_DATES))
    return canvas.svg()


def _in_order(values: Sequence[Any]) -> list[Any]:
    """Return the different values, sorted as numbers if they are numbers."""
    different = list({value_text(value): value for value in values}.values())
    try:
        return sorted(different, key=float)
    except (TypeError, ValueError):
        return sorted(different, key=value_text)
