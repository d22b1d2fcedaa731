"""The formats that times in a raw file may have, by how they look."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trading_runtime.datasets.time_columns import read_times

if TYPE_CHECKING:
    import polars as pl

_PATTERNS = (
    "%Y.%m.%d %H:%M:%S", "%Y.%m.%d %H:%M", "%Y.%m.%d %H:%M:%S%.f", "%Y.%m.%d", "%Y%m%d %H%M%S",
    "%Y%m%d %H%M%S%3f", "%Y%m%d%H%M%S", "%Y%m%d", "%d.%m.%Y %H:%M:%S%.f",
    "%d.%m.%Y %H:%M:%S%.f GMT%z", "%d.%m.%Y %H:%M", "%d.%m.%Y", "%d.%m.%y", "%d.%m.%y %H:%M",
    "%Y/%m/%d %H:%M:%S", "%Y/%m/%d", "%m/%d/%Y %H:%M:%S", "%m/%d/%Y %H:%M", "%m/%d/%Y",
    "%d/%m/%Y %H:%M:%S", "%d/%m/%Y %H:%M", "%d/%m/%Y", "%m/%d/%y", "%d/%m/%y", "%m/%d/%y %H:%M",
    "%d/%m/%y %H:%M", "%m/%d/%Y %I:%M %p", "%m/%d/%Y %I:%M:%S %p", "%d/%m/%Y %I:%M %p",
    "%d/%m/%Y %I:%M:%S %p", "%Y-%m-%d %I:%M %p", "%Y-%m-%d %I:%M:%S %p", "%Y-%m-%d %I-%p",
    "%b %d, %Y", "%d %b %Y", "%d-%b-%Y", "%d-%b-%y",
)  # fmt: skip
EXCEL_DAYS = (20_000, 80_000)
"""Days since 1900, as Excel counts them: 1954 to 2119."""
_MOST_ODD = 0.5


def fitting_formats(texts: pl.Series) -> dict[str, pl.Series]:
    """Return the formats in which all ``texts`` are times, the likeliest first, with the times."""
    fitting = {}
    for form in ("iso", "epoch", *_PATTERNS):
        read = read_times(texts, form, "UTC")
        if not read["fault"].drop_nulls().len():
            fitting[form] = read["ns"]
    return fitting


def odd_ones(texts: pl.Series) -> pl.Series | None:
    """Return which texts are no times where the first and most others are times in one format."""
    for form in ("iso", "epoch", *_PATTERNS):
        wrong = read_times(texts, form, "UTC")["fault"].is_not_null()
        if not wrong[0] and 0 < wrong.sum() <= len(texts) * _MOST_ODD:
            return wrong
    return None
