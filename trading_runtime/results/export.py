"""Tables as plain values and as CSV: amounts keep all their digits, times all their nanoseconds."""

from __future__ import annotations

import csv
import io
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import polars as pl

from trading_runtime.canonical import decimal_text
from trading_runtime.time_units import format_instant

if TYPE_CHECKING:
    from collections.abc import Mapping


def plain_rows(frame: pl.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of ``frame`` as JSON has them: decimals and instants are texts."""
    times = [name for name, dtype in frame.schema.items() if isinstance(dtype, pl.Datetime)]
    counted = frame.with_columns(pl.col(times).dt.epoch("ns")) if times else frame
    return [
        {name: _plain(value, is_time=name in times) for name, value in row.items()}
        for row in counted.iter_rows(named=True)
    ]


def csv_text(frame: pl.DataFrame) -> str:
    """Return ``frame`` as CSV with a header; undefined is empty, a flag is true or false."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(frame.columns)
    writer.writerows(map(_cells, plain_rows(frame)))
    return buffer.getvalue()


def _cells(row: Mapping[str, Any]) -> list[Any]:
    return [str(value).lower() if isinstance(value, bool) else value for value in row.values()]


def _plain(value: Any, *, is_time: bool) -> Any:
    if isinstance(value, Decimal):
        return decimal_text(value)
    return format_instant(value) if is_time and value is not None else value
