"""Columns of times, in any form that raw files have them, as nanoseconds since 1970."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum

import polars as pl

from trading_runtime.datasets.bar_lengths import instants_of_local
from trading_runtime.datasets.columns import Fault, Increment, read_ticks
from trading_runtime.datasets.time_formats import (
    EPOCH,
    EPOCH_DIGITS,
    ISO,
    chrono_pattern,
    has_time_of_day,
    with_minutes,
)
from trading_runtime.errors import UsageError
from trading_runtime.units import DAY

_OFFSET = r" ?(?:Z|z|UTC|GMT|[+-][0-9]{2}(?::?[0-9]{2})?)$"
_UTC_OFFSETS = ["Z", "UTC", "GMT"]
_BASIC = (
    r"^([0-9]{4})([0-9]{2})([0-9]{2})[T ]([0-9]{2}):?([0-9]{2})(?::?([0-9]{2}(?:[.,][0-9]+)?))?"
)
_ISO = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[T ][0-9]{2}:[0-9]{2}(?::[0-5][0-9](?:[.,][0-9]{1,9})?)?)?$"
_ISO_PATTERN = "%Y-%m-%d %H:%M:%S%.f"
_DATE_LENGTH = len("2022-01-31")
_MINUTE_LENGTH = len("2022-01-31 12:30")
_FIRST_YEAR = 1970
_LAST_YEAR = 2261
_LATEST = 9_223_372_036_854_775_807 // 10**9 * 10**9


class TimeFault(StrEnum):
    """Why a value is not a usable time."""

    MISSING = "missing"
    UNREADABLE = "unreadable"
    OUT_OF_RANGE = "out of range"
    UNUSUAL = "unusual"
    NO_SUCH_TIME = "no such local time"
    AMBIGUOUS = "ambiguous local time"


def read_times(
    values: pl.Series, timestamp_format: str, zone: str, *, midnights_are_days: bool = False
) -> pl.DataFrame:
    """Return ``ns`` (Int64, null with a fault) and ``fault`` (a ``TimeFault`` or null).

    ``values`` are texts, or the types of a Parquet file: timestamps, dates, numbers since 1970.
    A date is the first instant of its day, and so is a midnight with ``midnights_are_days``, also
    where the clocks skip midnight or show it twice.
    Raises ``UsageError`` when numbers come without an epoch unit to read them in.
    """
    found = _read(values, timestamp_format, zone)
    odd = found["fault"].is_in([TimeFault.NO_SUCH_TIME.value, TimeFault.AMBIGUOUS.value])
    if zone == "UTC" or not odd.any():
        return found
    local = _read(pl.select(pl.when(odd).then(values)).to_series(), timestamp_format, "UTC")["ns"]
    is_day = (local % DAY == 0) if midnights_are_days else dates_alone(values, timestamp_format)
    is_day = (is_day & odd).fill_null(value=False)
    firsts = instants_of_local(local.cast(pl.Datetime("ns")), zone)
    return found.with_columns(
        ns=pl.when(is_day).then(firsts).otherwise(pl.col("ns")),
        fault=pl.when(~is_day).then(pl.col("fault")),
    )


def _read(  # noqa: PLR0911 - one for each kind of column
    values: pl.Series, timestamp_format: str, zone: str
) -> pl.DataFrame:
    kind = values.dtype
    if isinstance(kind, pl.Datetime) or kind == pl.Date:
        moments = values.cast(pl.Datetime("us")) if kind == pl.Date else values
        in_range = moments.dt.year().is_between(_FIRST_YEAR, _LAST_YEAR)
        known = pl.select(pl.when(in_range).then(moments)).to_series().dt.cast_time_unit("ns")
        frame = pl.DataFrame({"missing": values.is_null(), "odd": ~in_range})
        if getattr(kind, "time_zone", None):
            return _verdicts(frame, known.dt.epoch("ns"))
        return _from_local(frame, known, zone)
    if timestamp_format == EPOCH or timestamp_format in EPOCH_DIGITS:
        exact = _from_whole_epoch(values, timestamp_format)
        if exact is not None:
            return exact
        if values.dtype == pl.String:
            # A spreadsheet's 1.70407E+12 has lost digits; such a text is not a time.
            has_exponent = values.str.contains(r"[eE]").fill_null(value=False)
            values = values.set(has_exponent, "?") if has_exponent.any() else values
        if timestamp_format == EPOCH:
            return _from_any_epoch(values)
        return _from_epoch(values, EPOCH_DIGITS[timestamp_format])
    if kind != pl.String:
        raise UsageError(
            f"the times are numbers ({kind}); say with 'timestamp_format' whether they count "
            "s, ms, us or ns since 1970"
        )
    texts = values.str.strip_chars()
    frame = pl.DataFrame({"missing": texts.is_null() | (texts == "")})
    if timestamp_format == ISO:
        return _from_iso(texts, frame, zone)
    pattern = chrono_pattern(timestamp_format)
    moments = with_minutes(timestamp_format, texts, " 00").str.to_datetime(  # type: ignore[attr-defined]
        pattern, time_unit="ns", strict=False
    )
    if getattr(moments.dtype, "time_zone", None):
        return _verdicts(frame, moments.dt.epoch("ns"))
    return _from_local(frame, moments, zone)


def dates_alone(values: pl.Series, timestamp_format: str) -> pl.Series:
    """Return which values are dates without a time of day."""
    if values.dtype == pl.Date:
        return values.is_not_null()
    if values.dtype == pl.String and timestamp_format == ISO:
        alone = values.str.strip_chars().str.contains(r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$")
        return alone.fill_null(value=False)
    if values.dtype == pl.String and not has_time_of_day(timestamp_format):
        return values.is_not_null()
    return pl.Series([False]).new_from_index(0, len(values))


def with_and_without_offset(values: pl.Series) -> tuple[str | None, str | None]:
    """Return the first text in ISO 8601 with an offset from UTC, and the first without one."""
    texts = values.str.strip_chars()
    texts = texts.filter(texts != "")
    has_offset = texts.str.slice(_DATE_LENGTH).str.contains(_OFFSET)
    return next(iter(texts.filter(has_offset)), None), next(iter(texts.filter(~has_offset)), None)


def _from_whole_epoch(values: pl.Series, timestamp_format: str) -> pl.DataFrame | None:
    """Return the times of whole numbers of one unit; None for any others."""
    if values.dtype != pl.String and not values.dtype.is_integer():
        return None
    whole = values.cast(pl.Int64, strict=False)
    if not len(whole) or whole.null_count():
        return None
    least, most = int(whole.min()), int(whole.max())  # type: ignore[arg-type]
    if timestamp_format == EPOCH:
        units = {
            next(unit for beyond, unit in _UNIT_BY_DIGITS if number < 10 ** (beyond - 1))
            for number in (least, most)
        }
        if len(units) > 1:
            return None
        timestamp_format = units.pop()
    unit = 10 ** EPOCH_DIGITS[timestamp_format]
    if least < 0 or most > _LATEST // unit:
        return None
    fault = pl.Series("fault", [None], pl.String).new_from_index(0, len(whole))
    return pl.DataFrame([pl.Series("ns", whole.to_numpy() * unit), fault])


def _from_epoch(values: pl.Series, digits: int) -> pl.DataFrame:
    numbers = read_ticks(values, Increment.of(Decimal(1).scaleb(-digits)))
    fault = pl.col("fault")
    return numbers.select(
        ns=pl.when(fault.is_null() | (fault == Fault.ZERO)).then(pl.col("ticks")),
        fault=pl.when(fault.is_in([Fault.NEGATIVE, Fault.TOO_LARGE]))
        .then(pl.lit(TimeFault.OUT_OF_RANGE.value))
        .when(fault == Fault.MISSING).then(pl.lit(TimeFault.MISSING.value))
        .when(fault.is_not_null() & (fault != Fault.ZERO))
        .then(pl.lit(TimeFault.UNREADABLE.value)),
    )  # fmt: skip


_UNIT_BY_DIGITS = ((11, "s"), (14, "ms"), (17, "us"), (20, "ns"))
"""A time with fewer whole digits than this is in this unit: unambiguous from 1973 to 2286."""


def _from_any_epoch(values: pl.Series) -> pl.DataFrame:
    """Read every number in the unit that its number of digits implies."""
    texts = values.cast(pl.String).str.strip_chars()
    length = texts.str.extract(r"^[+-]?([0-9]*)").str.len_bytes().fill_null(0)
    lengths = length.unique().to_list()
    least = 0
    found: pl.DataFrame | None = None
    for beyond, unit in _UNIT_BY_DIGITS:
        if any(least <= value < beyond for value in lengths) or found is None:
            read = _from_epoch(values, EPOCH_DIGITS[unit])
            if found is None:
                found = read
            is_unit = (length >= least) & (length < beyond)
            found = pl.select(
                ns=pl.when(is_unit).then(read["ns"]).otherwise(found["ns"]),
                fault=pl.when(is_unit).then(read["fault"]).otherwise(found["fault"]),
            )
        least = beyond
    return found if found is not None else _from_epoch(values, 0)


def _from_iso(texts: pl.Series, frame: pl.DataFrame, zone: str) -> pl.DataFrame:
    is_basic = texts.str.contains(_BASIC).fill_null(value=False)
    if is_basic.any():
        # 20240102T093000Z, the basic format of ISO 8601.
        texts = texts.str.replace(_BASIC, "$1-$2-$3 $4:$5:$6").str.replace(r":($| ?[Z+-])", ":00$1")
    has_offset = texts.str.slice(_DATE_LENGTH).str.contains(_OFFSET).fill_null(value=False)
    plain = texts.str.replace(_OFFSET, "") if has_offset.any() else texts
    length = plain.str.len_bytes()
    full = pl.select(
        pl.when(plain.str.contains(_ISO)).then(
            pl.when(length == _DATE_LENGTH).then(pl.concat_str(plain, pl.lit(" 00:00:00")))
            .when(length == _MINUTE_LENGTH).then(pl.concat_str(plain, pl.lit(":00")))
            .otherwise(plain).str.replace("T", " ", literal=True)
            .str.replace(",", ".", literal=True)
        )
    ).to_series()  # fmt: skip
    local = full.str.to_datetime(_ISO_PATTERN, time_unit="ns", strict=False)
    if not has_offset.any():
        return _from_local(frame, local, zone)
    offset = texts.str.extract(f"({_OFFSET})").str.strip_chars().str.to_uppercase()
    minutes = pl.select(
        pl.when(offset.is_in(_UTC_OFFSETS)).then(0).otherwise(
            (60 * offset.str.slice(1, 2).cast(pl.Int64, strict=False)
             + offset.str.slice(3).str.strip_chars_start(":").replace("", "0")
             .cast(pl.Int64, strict=False))
            * pl.when(offset.str.starts_with("-")).then(-1).otherwise(1)
        )
    ).to_series()  # fmt: skip
    exact = local.dt.epoch("ns") - minutes * 60_000_000_000
    if has_offset.all():
        return _verdicts(frame, exact)
    by_zone = _from_local(frame, local, zone)
    with_offset = _verdicts(frame, exact)
    return pl.select(
        ns=pl.when(has_offset).then(with_offset["ns"]).otherwise(by_zone["ns"]),
        fault=pl.when(has_offset).then(with_offset["fault"]).otherwise(by_zone["fault"]),
    )


def _from_local(frame: pl.DataFrame, local: pl.Series, zone: str) -> pl.DataFrame:
    if zone == "UTC":
        return _verdicts(frame, local.dt.epoch("ns"))
    moments = local.dt.replace_time_zone(zone, ambiguous="null", non_existent="null")
    either = local.dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null")
    frame = frame.with_columns(
        ambiguous=moments.is_null() & either.is_not_null(),
        nowhere=local.is_not_null() & either.is_null(),
    )
    return _verdicts(frame, moments.dt.epoch("ns"))


def _verdicts(frame: pl.DataFrame, ns: pl.Series) -> pl.DataFrame:
    def flag(name: str) -> pl.Expr:
        return pl.col(name) if name in frame.columns else pl.lit(value=False)

    def says(fault: TimeFault) -> pl.Expr:
        return pl.lit(fault.value)

    frame = frame.with_columns(ns=ns)
    in_range = pl.col("ns").is_between(0, _LATEST)
    return frame.select(
        ns=pl.when(in_range).then(pl.col("ns")),
        fault=pl.when(flag("missing")).then(says(TimeFault.MISSING))
        .when(flag("odd")).then(says(TimeFault.OUT_OF_RANGE))
        .when(flag("ambiguous")).then(says(TimeFault.AMBIGUOUS))
        .when(flag("nowhere")).then(says(TimeFault.NO_SUCH_TIME))
        .when(pl.col("ns").is_null()).then(says(TimeFault.UNREADABLE))
        .when(~in_range).then(says(TimeFault.OUT_OF_RANGE)),
    )  # fmt: skip
