"""The formats that times in a raw file may have, by how they look."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trading_runtime.datasets.time_columns import read_times

if TYPE_CHECKING:
    import polars as pl

_PATTERNS = (
    "%Y.%m.%d %H:%M:%S", "%Y.%m.%d %H:%M", "%Y.%m.%d %H:%M:%S%.f", "%Y.%m.%d", "%Y%m%d %H%M%S",
    "%Y%m%d %H%M%S%3f", "%Y%m%d%H%M%S", "%Y%m%d%H%M", "%Y%m%d", "%d.%m.%Y %H:%M:%S%.f",
    "%d.%m.%Y %H:%M:%S%.f GMT%z", "%d.%m.%Y %H:%M", "%d.%m.%Y", "%d.%m.%y", "%d.%m.%y %H:%M",
    "%Y/%m/%d %H:%M:%S", "%Y/%m/%d", "%m/%d/%Y %H:%M:%S", "%m/%d/%Y %H:%M", "%m/%d/%Y",
    "%d/%m/%Y %H:%M:%S", "%d/%m/%Y %H:%M", "%d/%m/%Y", "%m/%d/%y", "%d/%m/%y", "%m/%d/%y %H:%M",
    "%d/%m/%y %H:%M", "%m/%d/%Y %I:%M %p", "%m/%d/%Y %I:%M:%S %p", "%d/%m/%Y %I:%M %p",
    "%d/%m/%Y %I:%M:%S %p", "%Y-%m-%d %I:%M %p", "%Y-%m-%d %I:%M:%S %p", "%Y-%m-%d %I-%p",
    "%b %d, %Y", "%d %b %Y", "%d-%b-%Y", "%d-%b-%y",
)  # fmt: skip
EXCEL_DAYS = (20_000, 80_000)
"""Days since 1900, as Excel counts them: 1954 to 2119."""
_DIGITS_OF_DATE = (
    r"^(19|20)[0-9]{2}(0[1-9]|1[0-2])(0[1-9]|[12][0-9]|3[01])"
    r"(([01][0-9]|2[0-3])[0-5][0-9]([0-5][0-9])?)?$"
)
"""A date in digits alone, with or without a time of day; no number since 1970 is meant."""
_MOST_ODD = 0.5


def fitting_formats(texts: pl.Series) -> dict[str, pl.Series]:
    """Return the formats in which all ``texts`` are times, the likeliest first, with the times."""
    fitting = {}
    are_dates = texts.str.contains(_DIGITS_OF_DATE).all()
    for form in ("iso", "epoch", *_PATTERNS):
        if form == "epoch" and are_dates:
            continue
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
