"""A picture as SVG, shape by shape, in one style; the same calls give the same bytes.

Texts stay texts, in a font of the reader's machine, so the file is small and searchable.
"""

from __future__ import annotations

import html
import math
from typing import TYPE_CHECKING, NamedTuple

from trading_runtime.report.formatting import METRICS, number
from trading_runtime.text import for_line

if TYPE_CHECKING:
    from collections.abc import Sequence


INK = "#1d2733"
QUIET = "#66717e"
RULE = "#e3e7ec"
BLUE = "#1f5fa8"
RED = "#b8402f"
GOLD = "#d99100"
BAND = "#c9d4e1"
EMPTY = "#f1f3f6"
SEAM = "#ccd4dd"

WIDTH = 720.0
"""In points; every picture is as wide as the page's column."""
FONT = "DejaVu Sans, Verdana, Helvetica, Arial, sans-serif"
FONT_SIZE = 9.0
TITLE_SIZE = 10.0


def form_of(metric: str) -> str:
    """Return the form of a statistic, for ``tick``."""
    return METRICS[metric].form if metric in METRICS else "plain"


def tick(value: float, form: str, *, places: int | None = None) -> str:
    """Return a short text for a value on an axis, or with ``places`` decimals in a cell."""
    shown, unit = (value * 100, "%") if form == "percent" else (value, "")
    if places is not None:
        return number(shown, places) + unit
    for decimals, least in enumerate((100, 10, 1, 0.1, 0.01)):
        if abs(shown) >= least:
            text = number(shown, decimals)
            break
    else:
        text = f"{shown:.2g}".replace("-", "\N{MINUS SIGN}") if shown else "0"
    if "." in text and "e" not in text:
        text = text.rstrip("0").rstrip(".")
    return text + unit


def cell_places(values: Sequence[float], form: str) -> int:
    """Return how many decimals the cells of one table need to show about three digits."""
    largest = max((abs(value) for value in values), default=0) * (100 if form == "percent" else 1)
    if largest == 0:
        return 0
    return min(8, max(0, 2 - math.floor(math.log10(largest))))


if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    type Place = tuple[float, float]

_USUAL, _NARROW, _WIDE = 0.62, 0.36, 0.95
_NARROW_CHARACTERS = frozenset(" .,:;'|!ijlt()[]/-")
_WIDE_CHARACTERS = frozenset("%mwMW@\N{MINUS SIGN}")


class Canvas:
    """A white sheet of ``WIDTH`` by ``height`` points; the origin is the upper left corner."""

    def __init__(self, height: float) -> None:
        self.height = height
        self._shapes: list[str] = []

    def line(self, start: Place, end: Place, colour: str, width: float, dashes: str = "") -> None:
        """Draw a straight line; ``dashes`` are lengths of line and gap, such as ``"4 3"``."""
        dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
        self._shapes.append(
            f'<path d="M{_place(start)}L{_place(end)}" stroke="{colour}" stroke-width="{width:g}"'
            f"{dashed}/>"
        )

    def polyline(self, places: Iterable[Place], colour: str, width: float) -> None:
        """Draw a line through points."""
        self._shapes.append(
            f'<path d="M{"L".join(map(_place, places))}" fill="none" stroke="{colour}" '
            f'stroke-width="{width:g}" stroke-linejoin="round"/>'
        )

    def area(self, places: Iterable[Place], colour: str, opacity: float) -> None:
        """Fill the area enclosed by a line through points."""
        self._shapes.append(
            f'<path d="M{"L".join(map(_place, places))}Z" fill="{colour}" opacity="{opacity:g}"/>'
        )

    def box(
        self,
        corner: Place,
        size: Place,
        fill: str,
        outline: str = "none",
        outline_width: float = 0,
    ) -> None:
        """Draw a rectangle from its upper left corner."""
        self._shapes.append(
            f'<rect x="{_number(corner[0])}" y="{_number(corner[1])}" width="{_number(size[0])}" '
            f'height="{_number(size[1])}" fill="{fill}"{_outlined(outline, outline_width)}/>'
        )

    def dot(
        self,
        centre: Place,
        radius: float,
        fill: str,
        outline: str = "none",
        outline_width: float = 0,
    ) -> None:
        """Draw a circle."""
        self._shapes.append(
            f'<circle cx="{_number(centre[0])}" cy="{_number(centre[1])}" r="{radius:g}" '
            f'fill="{fill}"{_outlined(outline, outline_width)}/>'
        )

    def gradient(self, corner: Place, size: Place, colours: Sequence[str]) -> None:
        """Draw a rectangle with a colour gradient from bottom to top."""
        stops = "".join(
            f'<stop offset="{number / (len(colours) - 1):g}" stop-color="{colour}"/>'
            for number, colour in enumerate(colours)
        )
        self._shapes.append(
            f'<linearGradient id="fade" x1="0" y1="1" x2="0" y2="0">{stops}</linearGradient>'
        )
        self.box(corner, size, "url(#fade)")

    def text(  # noqa: PLR0913 - keyword-only choices of one call
        self,
        place: Place,
        content: str,
        colour: str = INK,
        *,
        anchor: str = "start",
        size: float = FONT_SIZE,
        is_bold: bool = False,
        turned: float = 0,
    ) -> None:
        """Write a line whose baseline starts, ends or is centred at ``place``, per ``anchor``."""
        anchored = "" if anchor == "start" else f' text-anchor="{anchor}"'
        sized = "" if size == FONT_SIZE else f' font-size="{size:g}"'
        written = html.escape(for_line(content), quote=False)
        bold = ' font-weight="bold"' if is_bold else ""
        rotated = f' transform="rotate({turned:g} {_place(place)})"' if turned else ""
        self._shapes.append(
            f'<text x="{_number(place[0])}" y="{_number(place[1])}" fill="{colour}"'
            f"{anchored}{sized}{bold}{rotated}>{written}</text>"
        )

    def svg(self) -> bytes:
        """Return the file."""
        width, height = f"{WIDTH:g}", _number(self.height)
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
            f'width="{width}pt" height="{height}pt" font-family="{FONT}" font-size="{FONT_SIZE:g}">'
        )
        sheet = f'<rect width="{width}" height="{height}" fill="white"/>'
        return "\n".join([head, sheet, *self._shapes, "</svg>\n"]).encode()


def text_width(content: str, size: float = FONT_SIZE) -> float:
    """Return an upper estimate of a text's width: the font that shows it is not known."""
    narrow = sum(each in _NARROW_CHARACTERS for each in content)
    wide = sum(each in _WIDE_CHARACTERS for each in content)
    return size * (narrow * _NARROW + wide * _WIDE + (len(content) - narrow - wide) * _USUAL)


def shortened(content: str, room: float) -> str:
    """Return a text cut to about this many points, with an ellipsis if something is missing."""
    most = int(room / (FONT_SIZE * _NARROW)) + 1
    if len(content) <= most and text_width(content) <= room:
        return content
    content = content[:most]  # no more can fit, however narrow
    while content and text_width(content) > room - FONT_SIZE:
        content = content[:-1]
    return content + "\N{HORIZONTAL ELLIPSIS}"


def _place(place: Place) -> str:
    return f"{_number(place[0])} {_number(place[1])}"


def _outlined(colour: str, width: float) -> str:
    return f' stroke="{colour}" stroke-width="{width:g}"' if width else ""


def _number(value: float) -> str:
    # A hundredth of a point is too small to see.
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


_BOTH_SIDES = ("#7d2418", "#c96a58", "#f2cfc7", "#f7f7f7", "#c6daec", "#5b94c8", "#153f74")
_GAINS = ("#e4edf6", "#a9c8e2", "#5b94c8", "#153f74")
_LOSSES = ("#7d2418", "#c96a58", "#eab3a8", "#f9e7e3")
_DARK = 0.55


class Colours(NamedTuple):
    """A gradient of ``colours`` from ``low`` to ``high``."""

    low: float
    high: float
    colours: Sequence[str]

    def of(self, value: float) -> str:
        """Return the colour of a value."""
        last = len(self.colours) - 1
        place = (value - self.low) / (self.high - self.low) * last
        before = min(max(int(place), 0), last - 1)
        pairs = zip(_parts(self.colours[before]), _parts(self.colours[before + 1]), strict=True)
        mixed = (round(one + (other - one) * (place - before)) for one, other in pairs)
        return "#" + "".join(f"{part:02x}" for part in mixed)


def colours_for(values: Sequence[float]) -> Colours:
    """Return the gradient for values: zero is pale, and losses are red."""
    low, high = min(values), max(values)
    if low < 0 < high:
        reach = max(-low, high)
        return Colours(-reach, reach, _BOTH_SIDES)
    if low == high:
        return Colours(low - 1, high + 1, _GAINS)
    return Colours(low, high, _GAINS if low >= 0 else _LOSSES)


def is_dark(colour: str) -> bool:
    """Return whether white is more readable on ``colour`` than ink."""
    red, green, blue = _parts(colour)
    return (0.299 * red + 0.587 * green + 0.114 * blue) / 255 < _DARK


def _parts(colour: str) -> tuple[int, ...]:
    return tuple(bytes.fromhex(colour[1:]))
