"""The one look of all pictures, and how they become files."""

from __future__ import annotations

import contextlib
import io
import math
import re
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from trading_runtime.results.report.formatting import METRICS, number

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from matplotlib.axes import Axes

INK = "#1d2733"
QUIET = "#66717e"
RULE = "#e3e7ec"
BLUE = "#1f5fa8"
RED = "#b8402f"
GOLD = "#d99100"
BAND = "#c9d4e1"
EMPTY = "#f1f3f6"
SEAM = "#ccd4dd"

WIDTH = 10.0
"""Inches; every picture is as wide as the page's column."""

_STYLE: dict[str, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 9.0,
    "text.color": INK,
    "text.parse_math": False,
    "axes.edgecolor": RULE,
    "axes.labelcolor": QUIET,
    "axes.titlesize": 10.0,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "axes.titlepad": 8.0,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "grid.color": RULE,
    "grid.linewidth": 0.7,
    "xtick.color": QUIET,
    "ytick.color": QUIET,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "legend.frameon": False,
    "svg.fonttype": "path",
    "svg.hashsalt": "trading-runtime",
    "figure.facecolor": "white",
    "timezone": "UTC",
}
_NO_METADATA = dict.fromkeys(("Date", "Creator", "Format", "Type"))


@contextlib.contextmanager
def drawing(height: float) -> Iterator[Figure]:
    """Give an empty figure in the report's look, ``height`` inches high; settings last inside."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_STYLE)  # type: ignore[arg-type]  # its stub lists every name
        yield Figure(figsize=(WIDTH, height), layout="constrained")


def svg(figure: Figure) -> bytes:
    """Return ``figure`` as SVG: the same bytes for the same picture, nothing outside it needed."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", metadata=_NO_METADATA)
    return re.sub(rb"<!DOCTYPE[^>]*>\s*", b"", buffer.getvalue(), count=1)


def write_values(axes: Axes, metric: str, axis: str = "y") -> None:
    """Write the ticks of one axis in the form of a statistic: percent, thousands, plain."""
    form = METRICS[metric].form if metric in METRICS else "plain"
    target = axes.yaxis if axis == "y" else axes.xaxis
    target.set_major_formatter(FuncFormatter(lambda value, _: tick(value, form)))


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
