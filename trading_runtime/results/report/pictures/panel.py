"""One plot of a picture: a rectangle with two axes, its grid, title and legend."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from trading_runtime.results.report.pictures.canvas import Canvas, text_width
from trading_runtime.results.report.pictures.scales import Scale, ticks
from trading_runtime.results.report.pictures.style import (
    FONT_SIZE,
    INK,
    QUIET,
    RULE,
    TITLE_SIZE,
    WIDTH,
    tick,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

EDGE = 8.0
"""Points that stay empty around everything."""
TITLE_HEIGHT = 24.0
TICKS_HEIGHT = 18.0
NAME_HEIGHT = 15.0
DASHES = "4 3"
_GAP = 6.0
_TICK_DISTANCE = 24.0
_SAMPLE = 16.0


@dataclass(frozen=True)
class Panel:
    """A rectangle of a canvas, given by its edges in points, and the axes along them."""

    canvas: Canvas
    x: Scale
    y: Scale

    def places(self, xs: Iterable[float], ys: Iterable[float]) -> list[tuple[float, float]]:
        """Return where pairs of values lie."""
        return [(self.x.place(x), self.y.place(y)) for x, y in zip(xs, ys, strict=True)]

    def level(self, value: float, colour: str, width: float, dashes: str = "") -> None:
        """Draw a line at one value, from the left to the right."""
        y = self.y.place(value)
        self.canvas.line((self.x.start, y), (self.x.end, y), colour, width, dashes)

    def title(self, text: str) -> None:
        """Write the title above the upper left corner."""
        place = (self.x.start, self.y.end - 8)
        self.canvas.text(place, text, size=TITLE_SIZE, is_bold=True)

    def write_below(self, texts: Iterable[tuple[float, str]], name: str = "") -> None:
        """Write texts below values, and the axis' name below them; what would overlap is left."""
        end = 0.0
        for value, text in texts:
            place, half = self.x.place(value), text_width(text) / 2
            middle = min(max(place, half), WIDTH - half)
            if middle - half >= end:
                self._quiet((middle, self.y.start + TICKS_HEIGHT - 5), text, "middle")
                end = middle + half + _GAP
        if name:
            middle = (self.x.start + self.x.end) / 2
            base = self.y.start + TICKS_HEIGHT + NAME_HEIGHT - 5
            self._quiet((middle, base), name, "middle")

    def write_slanted(self, texts: Iterable[tuple[float, str]]) -> None:
        """Write long texts below values, each ending there."""
        for value, text in texts:
            place = (self.x.place(value) + 3, self.y.start + 11)
            self.canvas.text(place, text, QUIET, anchor="end", turned=-30)

    def write_beside(self, texts: Iterable[tuple[float, str]]) -> None:
        """Write texts to the left of values."""
        for value, text in texts:
            place = (self.x.start - _GAP, self.y.place(value) + FONT_SIZE * 0.36)
            self._quiet(place, text, "end")

    def write_name_beside(self, name: str) -> None:
        """Write the upright axis' name along it."""
        place = (EDGE + FONT_SIZE, (self.y.start + self.y.end) / 2)
        self.canvas.text(place, name, QUIET, anchor="middle", turned=-90)

    def grid(self, values: Iterable[float], *, upright: bool = False) -> None:
        """Draw the grid at values of one axis."""
        for value in values:
            if upright:
                x = self.x.place(value)
                self.canvas.line((x, self.y.start), (x, self.y.end), RULE, 0.7)
            else:
                self.level(value, RULE, 0.7)

    def legend(self, entries: Sequence[tuple[str, Callable[[float, float], None]]]) -> None:
        """Write what is what in the title's line, from the right; each has a sample drawn."""
        x = self.x.end
        for text, draw in reversed(entries):
            x -= text_width(text)
            self.canvas.text((x, self.y.end - 8), text, INK)
            draw(x - _SAMPLE / 2 - 4, self.y.end - 8 - FONT_SIZE * 0.36)
            x -= _SAMPLE + 18

    def sample_line(self, colour: str, width: float, dashes: str = "") -> Callable[..., None]:
        """Return what draws a short line in a legend."""
        return lambda x, y: self.canvas.line(
            (x - _SAMPLE / 2, y), (x + _SAMPLE / 2, y), colour, width, dashes
        )

    def sample_dot(self, colour: str, radius: float) -> Callable[..., None]:
        """Return what draws a dot in a legend."""
        return lambda x, y: self.canvas.dot((x, y), radius, colour)

    def sample_box(self, colour: str) -> Callable[..., None]:
        """Return what draws a coloured box in a legend."""
        return lambda x, y: self.canvas.box((x - _SAMPLE / 2, y - 4), (_SAMPLE, 8), colour)

    def _quiet(self, place: tuple[float, float], text: str, anchor: str) -> None:
        self.canvas.text(place, text, QUIET, anchor=anchor)


def value_ticks(low: float, high: float, length: float, form: str) -> list[tuple[float, str]]:
    """Return the values to show along an axis of that many points, and their texts."""
    most = max(4, int(length / _TICK_DISTANCE))
    return [(value, tick(value, form)) for value in ticks(low, high, most)]


def left_of(texts: Iterable[str]) -> float:
    """Return where a plot begins whose upright axis has these texts beside it."""
    return EDGE + _GAP + max((text_width(text) for text in texts), default=0.0)
