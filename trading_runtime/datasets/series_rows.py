"""From the raw files of one series to checked rows in whole ticks, or to all that is wrong."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import polars as pl

from trading_runtime.datasets.columns import (
    LARGEST_PRICE,
    LARGEST_SIZE,
    Fault,
    Increment,
    TimeFault,
    local_offset,
    read_aggressors,
    read_ticks,
    read_times,
    read_trade_ids,
)
from trading_runtime.datasets.data_file import (
    EPOCH_DIGITS,
    ISO,
    BarSeries,
    QuoteSeries,
    Series,
    TradeSeries,
    column_roles,
    has_time_of_day,
)
from trading_runtime.datasets.row_checks import RowProblems, shown
from trading_runtime.errors import DataError, UsageError
from trading_runtime.units import DAY, NANOSECONDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trading_runtime.datasets.instrument_facts import InstrumentFacts
    from trading_runtime.datasets.raw_files import RawFile


_FIXED = {
    "MILLISECOND": NANOSECONDS["ms"],
    "SECOND": NANOSECONDS["s"],
    "MINUTE": NANOSECONDS["m"],
    "HOUR": NANOSECONDS["h"],
}
# On the clock of a zone a day can have 25 hours, and a month 28 to 31 days.
_CALENDAR = {
    "DAY": ("d", DAY, 3_600 * 10**9),
    "WEEK": ("w", 7 * DAY, 3_600 * 10**9),
    "MONTH": ("mo", 28 * DAY, 3 * DAY + 3_600 * 10**9),
    "YEAR": ("y", 365 * DAY, DAY + 3_600 * 10**9),
}


@dataclass(frozen=True)
class BarLength:
    """The length of bars over time."""

    shortest: int
    """Nanoseconds."""
    longest: int
    """Nanoseconds; more than the shortest for calendar units."""
    calendar_step: str | None
    """For days and longer: the step on the clock of the bars' zone, such as ``1d`` or ``1mo``."""


def bar_length(specification: str, zone: str) -> BarLength | None:
    """Return the length of bars, or None when they are not cut by time (ticks, volume, ...)."""
    step_text, unit, _ = specification.split("-")
    step = int(step_text)
    if unit in _FIXED:
        length = step * _FIXED[unit]
        return BarLength(length, length, None)
    if unit in _CALENDAR:
        sign, shortest, slack = _CALENDAR[unit]
        if zone == "UTC" and unit in {"DAY", "WEEK"}:
            slack = 0
        change = 3_600 * 10**9 if zone != "UTC" else 0
        return BarLength(step * shortest - change, step * (shortest + slack), f"{step}{sign}")
    return None


_USUAL_FIRST = 31 * 86_400 * 10**9
_CENTURY = 946_684_800 * 10**9
"""2000-01-01; three times as much is 2059."""

PRICES = {
    "bars": ("open", "high", "low", "close"),
    "trades": ("price",),
    "quotes": ("bid", "ask"),
}
SIZES = {"bars": ("volume",), "trades": ("size",), "quotes": ("bid_size", "ask_size")}


@dataclass
class SeriesRows:
    """The rows of one series, in order of time.

    ``frame`` has ``ts`` (Int64, nanoseconds: for bars the close), the prices and sizes in whole
    ticks (Int64, or Int128 where one needs it), for trades ``trade_id`` (text) and ``aggressor``
    (BUY, SELL or NO_AGGRESSOR), and ``file`` and ``row``: where a row comes from.
    """

    series: Series
    instrument: InstrumentFacts
    files: list[RawFile]
    frame: pl.DataFrame = field(default_factory=pl.DataFrame)
    rounded: dict[str, int] = field(default_factory=dict)
    """Values that were rounded to the tick, by column."""

    @property
    def identifier(self) -> str:
        """The catalog's name of the series."""
        if isinstance(self.series, BarSeries):
            return f"{self.instrument.id}-{self.series.bar}-EXTERNAL"
        return self.instrument.id

    @property
    def length(self) -> BarLength | None:
        """How long a bar is; None for ticks, and for bars that are not cut by time."""
        if isinstance(self.series, BarSeries):
            return bar_length(self.series.bar, self.series.time_zone)
        return None

    @property
    def increments(self) -> dict[str, Increment]:
        """The tick of every column."""
        price = Increment.of(self.instrument.price_increment)
        size = Increment.of(self.instrument.size_increment)
        kind = self.series.type
        return dict.fromkeys(PRICES[kind], price) | dict.fromkeys(SIZES[kind], size)


def read_series(
    series: Series, instrument: InstrumentFacts, files: list[RawFile], problems: RowProblems
) -> SeriesRows:
    """Return the rows of ``files``, in order of the files' first times.

    Records in ``problems`` what is wrong with single rows. Raises ``DataError`` for a file that
    cannot be read or holds no rows, ``UsageError`` for settings that do not fit.
    """
    rows = SeriesRows(series, instrument, files)
    if isinstance(series, BarSeries) and series.timestamp_marks == "open" and not rows.length:
        raise UsageError(
            f"bars of {series.bar} are not cut by time, so their close does not follow from "
            "their open; use a file that has the time of the close ('timestamp_marks: close')"
        )
    if series.mixed_symbols == "refuse":
        _refuse_several_symbols(rows)
    frames = [_read_file(rows, index, file, problems) for index, file in enumerate(files)]
    order = sorted(range(len(files)), key=lambda index: (_first(frames[index]), index))
    rows.frame = pl.concat([frames[index] for index in order], how="vertical_relaxed", rechunk=True)
    if not rows.frame.height:
        problems.refuse()
    if isinstance(series, TradeSeries) and series.columns.trade_id is None:
        numbers = pl.int_range(1, pl.len() + 1, dtype=pl.Int64).cast(pl.String)
        rows.frame = rows.frame.with_columns(trade_id=numbers)
    return rows


def _refuse_several_symbols(rows: SeriesRows) -> None:
    """Raise ``DataError`` when a column of symbols holds more than one, in all files together."""
    found: dict[str, dict[str, None]] = {}
    own = _plain(rows.instrument.id.rpartition(".")[0])
    for file in rows.files:
        for name, is_named, column in file.symbols(column_roles(rows.series)):
            values = found.setdefault(name, {})
            values |= dict.fromkeys(column.drop_nulls().unique(maintain_order=True))
            values.pop("", None)
            is_symbol = is_named or own in {_plain(value) for value in values}
            if is_symbol and len(values) > 1:
                listed = ", ".join(shown(value) for value in list(values)[:3])
                raise DataError(
                    f"{file.path}: column {name} holds {len(values)} symbols ({listed}"
                    f"{', ...' if len(values) > 3 else ''}), but a series is of one instrument; "  # noqa: PLR2004 - as listed
                    "split the rows by it, or set 'mixed_symbols: accept' if all are "
                    f"{rows.instrument.id}"
                )


def _plain(symbol: str) -> str:
    return "".join(sign for sign in symbol.upper() if sign.isalnum())


def _first(frame: pl.DataFrame) -> int:
    return int(frame["ts"][0]) if frame.height else 0


def _read_file(rows: SeriesRows, index: int, file: RawFile, problems: RowProblems) -> pl.DataFrame:
    series = rows.series
    raw = _read_columns(series, file)
    _refuse_dates_as_closes(rows, file, raw["timestamp"], problems)
    try:
        times = read_times(raw["timestamp"], series.timestamp_format, series.time_zone)
    except UsageError as error:
        raise UsageError(f"{file.path}: {error}") from error
    if series.unusual_times == "refuse":
        times = _refuse_unusual(times)
    _report_times(series, file, raw["timestamp"], times["fault"], problems)
    columns = {"ts": times["ns"]}
    if isinstance(series, BarSeries) and series.timestamp_marks == "open":
        columns["ts"] = _closes(times["ns"], series, rows.length)
    for name, increment in rows.increments.items():
        constant = _constant(rows, name)
        if constant is not None:
            columns[name] = pl.repeat(
                constant,
                raw.height,
                dtype=pl.Int64() if constant < 2**63 else pl.Int128(),
                eager=True,
            )
            continue
        largest = LARGEST_PRICE if name in PRICES[series.type] else LARGEST_SIZE
        numbers = read_ticks(raw[name], increment, largest)
        columns[name] = numbers["ticks"]
        _report_numbers(rows, name, file, raw[name], numbers=numbers, problems=problems)
    if isinstance(series, TradeSeries):
        columns["aggressor"] = read_aggressors(series, file, raw, problems)
        if "trade_id" in raw.columns:
            columns["trade_id"] = read_trade_ids(file, raw["trade_id"], problems)
    frame = pl.DataFrame(columns).with_columns(
        file=pl.lit(index, dtype=pl.UInt32), row=pl.int_range(pl.len(), dtype=pl.UInt32)
    )
    return frame.drop_nulls()


def _read_columns(series: Series, file: RawFile) -> pl.DataFrame:
    raw = file.read(column_roles(series))
    if not raw.height:
        raise DataError(f"{file.path}: the file holds no rows")
    for role in raw.columns:
        if raw[role].dtype.is_nested() or raw[role].dtype == pl.Binary:
            raise DataError(f"{file.path}: '{role}' is of type {raw[role].dtype}; expected numbers")
    return raw


def _refuse_dates_as_closes(
    rows: SeriesRows, file: RawFile, raw: pl.Series, problems: RowProblems
) -> None:
    """Record dates alone that should mark the close of a day's bar: the day has just begun then."""
    series = rows.series
    if not isinstance(series, BarSeries) or series.timestamp_marks != "close":
        return
    if rows.length is None or rows.length.longest < DAY:
        return
    if raw.dtype == pl.Date:
        alone = raw.is_not_null()
    elif raw.dtype != pl.String or series.timestamp_format in EPOCH_DIGITS:
        return
    elif series.timestamp_format == ISO:
        alone = raw.str.strip_chars().str.contains(r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$")
    elif has_time_of_day(series.timestamp_format):
        return
    else:
        alone = raw.is_not_null()
    wrong = alone.fill_null(value=False).arg_true()
    if len(wrong):
        problems.add(
            "date alone", file, wrong,
            f"timestamp {shown(raw[int(wrong[0])])} is a date alone: taken as a close, the bar is "
            "seen as its day begins",
            "set 'timestamp_marks: open', or give the times of the closes",
        )  # fmt: skip


def _refuse_unusual(times: pl.DataFrame) -> pl.DataFrame:
    beyond = int(dt.datetime(_next_year() + 1, 1, 1, tzinfo=dt.UTC).timestamp()) * 10**9
    is_unusual = ~pl.col("ns").is_between(_USUAL_FIRST, beyond, closed="left")
    return times.with_columns(
        fault=pl.when(pl.col("fault").is_null() & is_unusual)
        .then(pl.lit(TimeFault.UNUSUAL.value))
        .otherwise(pl.col("fault"))
    )


def _next_year() -> int:
    return dt.datetime.now(dt.UTC).year + 1


def _fitting_unit(value: object) -> str:
    """Return advice on the unit in which a number is a time of this century, if there is one."""
    text = str(value).partition(".")[0]
    if not text.isdecimal():
        return "see 'timestamp_format' in the data file"
    for unit, digits in EPOCH_DIGITS.items():
        if _CENTURY <= int(text) * 10**digits < _CENTURY * 3:
            return f"see 'timestamp_format': the numbers may count {unit}"
    return "see 'timestamp_format' in the data file"


def _closes(opens: pl.Series, series: BarSeries, length: BarLength | None) -> pl.Series:
    if length is None:
        return opens
    if length.calendar_step is None:
        return opens + length.longest
    return local_offset(opens, length.calendar_step, series.time_zone)


def _constant(rows: SeriesRows, column: str) -> int | None:
    """Return the ticks of a size that the data file gives for all rows."""
    series = rows.series
    if isinstance(series, BarSeries) and column == "volume":
        value = series.volume
    elif isinstance(series, QuoteSeries) and column in SIZES["quotes"]:
        value = series.size
    else:
        value = None
    if value is None:
        return None
    increment = rows.instrument.size_increment
    if value > LARGEST_SIZE:
        raise UsageError(
            f"the size {value} of every row is above {LARGEST_SIZE:,}, the largest that the "
            "engine holds"
        )
    if value % increment:
        key = "volume" if isinstance(series, BarSeries) else "size"
        raise UsageError(
            f"{key}: {value} is not a multiple of {increment}, the size increment of "
            f"{rows.instrument.id}"
        )
    return int(value / increment)


def _report_times(
    series: Series, file: RawFile, raw: pl.Series, faults: pl.Series, problems: RowProblems
) -> None:
    meanings = {
        TimeFault.MISSING: ("has no value", ""),
        TimeFault.UNREADABLE: (
            f"is not a time in the format {series.timestamp_format}",
            "see 'timestamp_format' in the data file",
        ),
        TimeFault.OUT_OF_RANGE: ("is outside the years 1970 to 2261", ""),
        TimeFault.UNUSUAL: (
            f"read as {series.timestamp_format} is outside 1970-02-01 to {_next_year()}-12-31",
            "or set 'unusual_times: accept'",
        ),
        TimeFault.NO_SUCH_TIME: (
            f"does not exist in {series.time_zone} (the clock was put forward)",
            "see 'time_zone' in the data file",
        ),
        TimeFault.AMBIGUOUS: (
            f"came twice in {series.time_zone} (the clock was put back)",
            "use times in UTC or with an offset",
        ),
    }
    for fault, (meaning, advice) in meanings.items():
        wrong = (faults == fault.value).arg_true()
        if len(wrong):
            value = "" if fault is TimeFault.MISSING else f" {shown(raw[int(wrong[0])])}"
            if fault in {TimeFault.OUT_OF_RANGE, TimeFault.UNUSUAL, TimeFault.UNREADABLE}:
                unit = _fitting_unit(raw[int(wrong[0])])
                remedy = f"{unit}, {advice}" if fault is TimeFault.UNUSUAL else unit
            else:
                remedy = advice
            problems.add(f"time {fault}", file, wrong, f"timestamp{value} {meaning}", remedy)


def _report_numbers(  # noqa: PLR0913 - a column, its file and its meaning
    rows: SeriesRows,
    name: str,
    file: RawFile,
    raw: pl.Series,
    *,
    numbers: pl.DataFrame,
    problems: RowProblems,
) -> None:
    is_price = name in PRICES[rows.series.type]
    what = "price" if is_price else "size"
    increment = rows.instrument.price_increment if is_price else rows.instrument.size_increment
    largest = LARGEST_PRICE if is_price else LARGEST_SIZE
    meanings = {
        Fault.MISSING: ("has no value", ""),
        Fault.NOT_FINITE: ("is not finite", ""),
        Fault.UNREADABLE: ("is not a number", "see 'columns' and 'separator' in the data file"),
        Fault.TOO_LARGE: (f"is too large: the engine holds {what}s up to {largest:,}", ""),
        Fault.NEGATIVE: ("is negative", ""),
    }
    rounds = rows.series.off_tick == "round"
    if rounds:
        count = int((numbers["fault"] == Fault.OFF_TICK.value).sum())
        rows.rounded[name] = rows.rounded.get(name, 0) + count
    else:
        meanings[Fault.OFF_TICK] = (
            f"is not a multiple of {increment}, the {what} increment of {rows.instrument.id}",
            "check the instrument file, or set 'off_tick: round'",
        )
    for fault, (meaning, advice) in meanings.items():
        wrong = (numbers["fault"] == fault.value).arg_true()
        if len(wrong):
            value = "" if fault is Fault.MISSING else f" {shown(raw[int(wrong[0])])}"
            kind = f"{fault} {what}" if fault is Fault.OFF_TICK else fault.value
            problems.add(kind, file, wrong, f"{name}{value} {meaning}", advice)
    if name == "volume":
        return
    usable = numbers["fault"].is_null() | numbers["fault"].is_in(_with_ticks(rounds=rounds))
    zeros = (usable & (numbers["ticks"] == 0)).arg_true()
    if len(zeros):
        advice = ""
        if isinstance(rows.series, QuoteSeries) and not is_price:
            advice = "for a file without real sizes give the 'size' of every quote instead"
        value = shown(raw[int(zeros[0])])
        problems.add(f"zero {what}", file, zeros, f"{name} {value} is zero", advice)


def _with_ticks(*, rounds: bool) -> Sequence[str]:
    return [Fault.ZERO.value, Fault.OFF_TICK.value] if rounds else [Fault.ZERO.value]
