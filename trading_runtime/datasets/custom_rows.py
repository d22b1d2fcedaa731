"""Rows of the user's own: their values in raw files, and in the files of a catalog."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import polars as pl
import pyarrow as pa

from trading_runtime.datasets.bar_lengths import local_offset
from trading_runtime.datasets.book_rows import YES_OR_NO
from trading_runtime.datasets.columns import NumberFormat, read_words
from trading_runtime.datasets.row_checks import shown
from trading_runtime.datasets.time_columns import dates_alone
from trading_runtime.units import DAY, parse_duration

if TYPE_CHECKING:
    from trading_runtime.datasets.data_file import CustomSeries, FieldType
    from trading_runtime.datasets.row_checks import RowProblems

SET_DELAY = (
    "set 'delay: 1d' for values of a whole day, 'delay: none' for those that are known by then"
)
_ARROW = {"float": pa.float64(), "int": pa.int64(), "str": pa.string(), "bool": pa.bool_()}


def arrow_fields(series: CustomSeries) -> dict[str, Any]:
    """Return the Arrow types of the fields, in the order of the data file."""
    return {name: _ARROW[kind] for name, kind in series.field_types.items()}


def file_metadata(series: CustomSeries, identifier: str) -> dict[str, str]:
    """Return what the schema of a file says of the rows, besides their instrument."""
    return {
        "custom_series": identifier,
        "type_name": series.name,
        "fields": json.dumps(list(series.fields)),
    }


def known_at(times: pl.Series, series: CustomSeries) -> pl.Series:
    """Return when rows of these times are known: after whole days, as a day ends in local time."""
    if series.delay in {None, "none"}:
        return times
    delay = parse_duration(series.delay)
    if delay % DAY or series.time_zone == "UTC":
        return times + delay
    return local_offset(times, f"{delay // DAY}d", series.time_zone)


def refuse_dates(
    series: CustomSeries, index: int, raw: pl.DataFrame, problems: RowProblems
) -> None:
    """Record dates of rows that are not said to be known later, or at once."""
    if series.delay is not None:
        return
    alone = dates_alone(raw["timestamp"], series.timestamp_format)
    if alone.any():
        problems.add(
            "date alone", index, raw["row"].filter(alone),
            f"timestamp {shown(raw['timestamp'].filter(alone)[0])} is a date: a strategy "
            "would see the row as its day begins",
            SET_DELAY,
        )  # fmt: skip


def read_fields(
    series: CustomSeries, index: int, raw: pl.DataFrame, problems: RowProblems
) -> dict[str, pl.Series]:
    """Return the values by field; null for those that are recorded as wrong."""
    return {
        name: _read(series, name, kind, index, raw, problems)
        for name, kind in series.field_types.items()
    }


def _read(  # noqa: PLR0913, PLR0917 - a column and its place
    series: CustomSeries,
    name: str,
    kind: FieldType,
    index: int,
    raw: pl.DataFrame,
    problems: RowProblems,
) -> pl.Series:
    column = raw[name]
    texts = column.cast(pl.String)
    if kind == "str":
        return texts.fill_null("")
    if kind == "bool":
        words = read_words(index, raw, name, YES_OR_NO, problems)
        return (words == "yes").alias(name)
    texts = texts.str.strip_chars()
    missing = texts.is_null() | (texts == "")
    form = NumberFormat(series.decimal, series.thousands, series.suffixes, negative=True)
    plain = texts if form.is_plain else form.plain(texts)
    if kind == "int":
        # A table with gaps keeps whole numbers as floating-point ones: 10.0.
        plain = plain.str.replace(r"^([+-]?[0-9]+)\.0+$", "$1")
    dtype: Any = pl.Float64 if kind == "float" else pl.Int64
    # The text of a number of a Parquet file is its shortest, which reads as the same number.
    numbers = column.cast(dtype) if column.dtype == dtype else plain.cast(dtype, strict=False)
    wrong = numbers.is_null()
    what = "is not a number" if kind == "float" else "is not a whole number of 64 bits"
    if kind == "float":
        wrong |= ~numbers.is_finite()
        what = "is not a finite number"
    wrong = wrong.fill_null(value=True)
    for rows, fault in ((missing, "has no value"), (wrong & ~missing, what)):
        if rows.any():
            value = "" if rows is missing else f" {shown(column.filter(rows)[0])}"
            problems.add(
                f"{name} {fault}", index, raw["row"].filter(rows), f"{name}{value} {fault}",
                reason=f"{name} {fault}",
            )  # fmt: skip
    return numbers.set(wrong, None) if wrong.any() else numbers
