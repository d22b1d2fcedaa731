"""The objective over two parameters as coloured cells, with a bar that says what colours mean."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from trading_runtime.results.report.formatting import label
from trading_runtime.results.report.pictures.canvas import Canvas, shortened, text_width
from trading_runtime.results.report.pictures.colours import Colours, colours_for, is_dark
from trading_runtime.results.report.pictures.panel import (
    EDGE,
    NAME_HEIGHT,
    TICKS_HEIGHT,
    TITLE_HEIGHT,
    Panel,
    left_of,
    value_ticks,
)
from trading_runtime.results.report.pictures.scales import Scale
from trading_runtime.results.report.pictures.style import (
    EMPTY,
    GOLD,
    INK,
    QUIET,
    WIDTH,
    cell_places,
    form_of,
    tick,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST_CELLS = 60
"""Values on one axis of a heat map; with more, or with most cells empty, points are scattered."""
_MOST_NUMBERS = 180
_MOST_TICKS = 20
_LEAST_ROOM = 40.0
_CELL_HEIGHT = 30.0
_LEAST_HEIGHT, _MOST_HEIGHT = 110.0, 460.0
_LONGEST_TEXT = 120.0
_BAR_WIDTH = 11.0
_BAR_TEXT_WIDTH = 46.0


class Cell(NamedTuple):
    """A value at a column and a line, both counted from the lower left."""

    column: int
    line: int
    value: float
    is_best: bool


def heat_map(
    cells: Sequence[Cell],
    names: tuple[str, str],
    texts: tuple[Sequence[str], Sequence[str]],
    metric: str,
) -> bytes:
    """Return the picture; ``names`` and ``texts`` are those of the columns and of the lines."""
    lines = [shortened(text, _LONGEST_TEXT) for text in texts[1]]
    height = min(_MOST_HEIGHT, max(_LEAST_HEIGHT, _CELL_HEIGHT * len(lines)))
    columns = texts[0]
    head, left = EDGE + TITLE_HEIGHT, left_of(lines) + NAME_HEIGHT
    foot, right = head + height, right_of_plot()
    canvas = Canvas(foot + TICKS_HEIGHT + NAME_HEIGHT + EDGE)
    panel = Panel(canvas, Scale(0, len(columns), left, right), Scale(0, len(lines), foot, head))
    colours = colours_for([cell.value for cell in cells])
    canvas.box((left, head), (right - left, height), EMPTY)
    has_numbers = len(columns) * len(lines) <= _MOST_NUMBERS
    gap = 1.2 if max(len(columns), len(lines)) <= MOST_CELLS // 2 else 0.5
    width, tall = panel.x.place(1) - left, foot - panel.y.place(1)
    places = cell_places([cell.value for cell in cells], form_of(metric))
    for cell in cells:
        corner = (panel.x.place(cell.column), panel.y.place(cell.line + 1))
        colour = colours.of(cell.value)
        canvas.box(corner, (width, tall), colour, "white", gap)
        if has_numbers:
            text = tick(cell.value, form_of(metric), places=places)
            middle = (corner[0] + width / 2, corner[1] + tall / 2 + 2.9)
            size = min(8.0, 8.0 * (width - 2) / text_width(text, 8.0))
            written = "white" if is_dark(colour) else INK
            canvas.text(middle, text, written, anchor="middle", size=round(size, 1))
    for cell in cells:
        if cell.is_best:
            corner = (panel.x.place(cell.column), panel.y.place(cell.line + 1))
            canvas.box(corner, (width, tall), "none", GOLD, 2.6)
    room = max(width, _LEAST_ROOM)
    below = [(place, shortened(text, room)) for place, text in _middles(columns)]
    panel.write_below(below, names[0])
    panel.write_beside(_middles(lines))
    panel.write_name_beside(names[1])
    panel.title(f"{label(metric)} over {names[0]} and {names[1]}")
    draw_colour_bar(panel, colours, metric)
    return canvas.svg()


def draw_colour_bar(panel: Panel, colours: Colours, metric: str) -> None:
    """Draw what the colours mean, to the right of a panel that leaves room for it."""
    left, head, foot = panel.x.end + _BAR_WIDTH, panel.y.end, panel.y.start
    panel.canvas.gradient((left, head), (_BAR_WIDTH, foot - head), colours.colours)
    along = Scale(colours.low, colours.high, foot, head)
    for value, text in value_ticks(colours.low, colours.high, foot - head, form_of(metric)):
        panel.canvas.text((left + _BAR_WIDTH + 4, along.place(value) + 3.2), text, QUIET)


def right_of_plot() -> float:
    """Return where a plot ends that has a colour bar to its right."""
    return WIDTH - EDGE - _BAR_TEXT_WIDTH - 2 * _BAR_WIDTH


def _middles(texts: Sequence[str]) -> list[tuple[float, str]]:
    step = -(-len(texts) // _MOST_TICKS)
    return [(place + 0.5, texts[place]) for place in range(0, len(texts), step)]
