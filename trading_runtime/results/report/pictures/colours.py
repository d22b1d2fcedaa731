"""From values to colours: pale to dark, and red to blue where values lie on both sides of zero."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

_BOTH_SIDES = ("#7d2418", "#c96a58", "#f2cfc7", "#f7f7f7", "#c6daec", "#5b94c8", "#153f74")
_GAINS = ("#e4edf6", "#a9c8e2", "#5b94c8", "#153f74")
_LOSSES = ("#7d2418", "#c96a58", "#eab3a8", "#f9e7e3")
_DARK = 0.55


class Colours(NamedTuple):
    """A fade of ``colours`` from ``low`` to ``high``."""

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
    """Return the fade for values: zero is pale, and losses are red."""
    low, high = min(values), max(values)
    if low < 0 < high:
        reach = max(-low, high)
        return Colours(-reach, reach, _BOTH_SIDES)
    if low == high:
        return Colours(low - 1, high + 1, _GAINS)
    return Colours(low, high, _GAINS if low >= 0 else _LOSSES)


def is_dark(colour: str) -> bool:
    """Return whether white is read better on ``colour`` than ink."""
    red, green, blue = _parts(colour)
    return (0.299 * red + 0.587 * green + 0.114 * blue) / 255 < _DARK


def _parts(colour: str) -> tuple[int, ...]:
    return tuple(bytes.fromhex(colour[1:]))
