"""The one look of all pictures: colours, sizes, and how values are written on them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from trading_runtime.results.report.formatting import METRICS, number

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
"""Points; every picture is as wide as the page's column."""
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
