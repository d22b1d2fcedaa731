"""The formats that times in a raw file may have, by how they look."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trading_runtime.datasets.time_columns import read_times

if TYPE_CHECKING:
    import polars as pl

_PATTERNS = (
    "%Y.%m.%d %H:%M:%S", "%Y.%m.%d %H:%M", "%Y.%m.%d %H:%M:%S%.f", "%Y.%m.%d", "%Y%m%d %H%M%S",
    "%Y%m%d %H%M%S%3f", "%Y%m%d%H%M%S", "%Y%m%d", "%d.%m.%Y %H:%M:%S%.f",
    "%d.%m.%Y %H:%M:%S%.f GMT%z", "%d.%m.%Y %H:%M", "%d.%m.%Y",
    "%Y/%m/%d %H:%M:%S", "%Y/%m/%d", "%m/%d/%Y %H:%M:%S", "%m/%d/%Y %H:%M", "%m/%d/%Y",
    "%d/%m/%Y %H:%M:%S", "%d/%m/%Y %H:%M", "%d/%m/%Y",
)  # fmt: skip


def fitting_formats(texts: pl.Series) -> dict[str, pl.Series]:
    """Return the formats in which all ``texts`` are times, the likeliest first, with the times."""
    fitting = {}
    for form in ("iso", "epoch", *_PATTERNS):
        read = read_times(texts, form, "UTC")
        if not read["fault"].drop_nulls().len():
            fitting[form] = read["ns"]
    return fitting
