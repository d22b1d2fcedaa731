"""One plot of a picture: a rectangle with two axes, their scales, its grid, title and legend."""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from trading_runtime.report.pictures.canvas import (
    FONT_SIZE,
    INK,
    QUIET,
    RULE,
    TITLE_SIZE,
    WIDTH,
    Canvas,
    text_width,
    tick,
)
from trading_runtime.units import DAY, NANOSECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence


_SECOND, _MINUTE, _HOUR = (NANOSECONDS[unit] for unit in "smh")
_STEPS = (1, 2, 2.5, 5, 10, 20, 25, 50, 100)
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
"""Written out: the output of ``strftime`` depends on the locale."""
_DAYS_OF_MONDAY = 4
"""Day 4 since the epoch was a Monday, from which steps of weeks are counted."""
_TIME_STEPS = tuple(
    count * unit
    for unit, counts in (
        (_SECOND, (1, 5, 15, 30)),
        (_MINUTE, (1, 5, 15, 30)),
        (_HOUR, (1, 3, 6, 12)),
        (DAY, (1, 2, 7, 14)),
    )
    for count in counts
)
_MONTH_STEPS = (1, 3, 6, 12, 24, 60, 120, 240)


class AxisScale(NamedTuple):
    """A straight axis: ``low`` is at ``start``, ``high`` at ``end``, both in points."""

    low: float
    high: float
    start: float
    end: float

    def place(self, value: float) -> float:
        """Return the position of a value."""
        share = (value - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)


def widened(values: Sequence[float], share: float = 0.05) -> tuple[float, float]:
    """Return the bounds of ``values`` with some margin, and never of zero width."""
    low, high = min(values), max(values)
    room = (high - low) * share
    if room <= abs(high) * 1e-12:
        room = abs(high) * share or 1.0
    return low - room, high + room


def ticks(low: float, high: float, most: int, *, whole: bool = False) -> list[float]:
    """Return at most ``most`` round values from ``low`` to ``high``."""
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    for factor in _STEPS:
        step = factor * power
        first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
        if last - first < most and (not whole or step == int(step)):
            return [number * step for number in range(first, last + 1)]
    return [low]


def time_ticks(start: int, end: int, most: int) -> list[tuple[int, str]]:
    """Return at most ``most`` round moments from ``start`` to ``end``, with their labels.

    Moments are nanoseconds since the epoch. Dates and years are shown where they change.
    """
    for step in _TIME_STEPS:
        offset = _DAYS_OF_MONDAY * DAY if step >= 7 * DAY else 0
        first, last = -((offset - start) // step), (end - offset) // step
        if last - first < most:
            moments = [offset + number * step for number in range(first, last + 1)]
            return list(zip(moments, _written(moments, with_time=step < DAY), strict=True))
    for months in _MONTH_STEPS:
        moments = list(_months(start, end, months))
        if len(moments) <= most:
            dates = map(_date, moments)
            texts = [
                f"{date.year}" if months >= len(_MONTHS) else f"{_month(date)} {date.year}"
                for date in dates
            ]
            return list(zip(moments, texts, strict=True))
    return []


def thinned(values: Sequence[float], buckets: int = 1_200) -> list[int]:
    """Return the indexes that keep the shape of a long line: each bucket's ends and extremes."""
    count = len(values)
    if count <= 4 * buckets:
        return list(range(count))
    kept: set[int] = set()
    for bucket in range(buckets):
        span = range(bucket * count // buckets, (bucket + 1) * count // buckets)
        kept |= {
            span[0],
            span[-1],
            min(span, key=values.__getitem__),
            max(span, key=values.__getitem__),
        }
    return sorted(kept)


def _written(moments: Sequence[int], *, with_time: bool) -> Iterator[str]:
    before: dt.datetime | None = None
    for moment in moments:
        date = _date(moment)
        is_new_day = before is None or before.date() != date.date()
        is_new_year = before is None or before.year != date.year
        before = date
        if with_time and not is_new_day:
            yield date.strftime("%H:%M:%S").removesuffix(":00")
            continue
        day = f"{date.day} {_month(date)}" + (f" {date.year}" if is_new_year else "")
        is_midnight = moment % DAY == 0
        yield day if is_midnight or not with_time else f"{day} {date:%H:%M}"


def _months(start: int, end: int, step: int) -> Iterator[int]:
    first = _date(start)
    number = -(-(first.year * 12 + first.month - 1) // step) * step
    while True:
        year, month = divmod(number, 12)
        moment = round(dt.datetime(year, month + 1, 1, tzinfo=dt.UTC).timestamp()) * _SECOND
        if moment > end:
            return
        if moment >= start:
            yield moment
        number += step


def _month(date: dt.datetime) -> str:
    return _MONTHS[date.month - 1]


def _date(moment: int) -> dt.datetime:
    return dt.datetime.fromtimestamp(moment // _SECOND, dt.UTC)


EDGE = 8.0
"""Margins in points."""
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
    x: AxisScale
    y: AxisScale

    def places(self, xs: Iterable[float], ys: Iterable[float]) -> list[tuple[float, float]]:
        """Return the positions of pairs of values."""
        return [(self.x.place(x), self.y.place(y)) for x, y in zip(xs, ys, strict=True)]

    def level(self, value: float, colour: str, width: float, dashes: str = "") -> None:
        """Draw a line at one value, from left to right."""
        y = self.y.place(value)
        self.canvas.line((self.x.start, y), (self.x.end, y), colour, width, dashes)

    def title(self, text: str) -> None:
        """Write the title above the upper left corner."""
        place = (self.x.start, self.y.end - 8)
        self.canvas.text(place, text, size=TITLE_SIZE, is_bold=True)

    def write_below(self, texts: Iterable[tuple[float, str]], name: str = "") -> None:
        """Write texts below values, and the axis' name below them; leave out overlapping texts."""
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
        """Write the vertical axis' name along it."""
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
        """Write the legend in the title's line, from the right; each entry has a drawn sample."""
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


def single_panel(
    across: tuple[float, float], along: tuple[float, float], height: float, form: str
) -> tuple[Panel, list[tuple[float, str]]]:
    """Return the only panel of a new canvas, with room for names, and what to write beside it.

    ``across`` and ``along`` are the bounds of the axes; ``form`` is that of values ``along``.
    """
    beside = value_ticks(*along, height, form)
    head = EDGE + TITLE_HEIGHT
    panel = Panel(
        Canvas(head + height + TICKS_HEIGHT + NAME_HEIGHT + EDGE),
        AxisScale(*across, left_of(text for _, text in beside), WIDTH - EDGE),
        AxisScale(*along, head + height, head),
    )
    return panel, beside


def value_ticks(low: float, high: float, length: float, form: str) -> list[tuple[float, str]]:
    """Return the values to show along an axis of that many points, and their texts."""
    most = max(4, int(length / _TICK_DISTANCE))
    return [(value, tick(value, form)) for value in ticks(low, high, most)]


def left_of(texts: Iterable[str]) -> float:
    """Return the left edge of a plot whose vertical axis has these texts beside it."""
    return EDGE + _GAP + max((text_width(text) for text in texts), default=0.0)
