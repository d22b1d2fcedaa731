"""Times that were read without an error but still look misread, over all rows of a series."""

from __future__ import annotations

import datetime as dt
import math
from typing import TYPE_CHECKING

import polars as pl

from trading_runtime.datasets.custom_rows import SET_DELAY
from trading_runtime.datasets.data_file import BarSeries, CloseSeries, CustomSeries
from trading_runtime.datasets.row_checks import shown
from trading_runtime.datasets.time_columns import TimeFault, read_times, with_and_without_offset
from trading_runtime.datasets.time_formats import EPOCH, EPOCH_DIGITS, ISO, exchanged_pattern
from trading_runtime.errors import DataError
from trading_runtime.units import DAY, format_duration, parse_instant

if TYPE_CHECKING:
    from trading_runtime.datasets.bar_lengths import BarLength
    from trading_runtime.datasets.data_file import Series
    from trading_runtime.datasets.raw_files import RawFile

_FIRST, _FIRST_WITHIN_DAYS = "1970-02-01", "1993-01-01"
"""Earlier times are mostly numbers in another unit: minutes, 100 ns since the year 1, 20240102."""
_FEWEST_BARS = 10
_FEWEST_BARS_OF_FILE = 20
_FEWEST_DAYS = 5
_FEWEST_DATES = 2
_MONDAY, _SATURDAY = 1, 6
_LATEST_MONTH = 12
_TIMES_AS_LONG = 3
"""A reading whose days span this many times the other reading's is the wrong one."""


def first_usual_day(series: Series, *, has_days: bool) -> str:
    """Return the first day of usual times; ``has_days`` for bars of a day or longer."""
    is_number = series.timestamp_format == EPOCH or series.timestamp_format in EPOCH_DIGITS
    if is_number and not has_days and not isinstance(series, CloseSeries | CustomSeries):
        return _FIRST_WITHIN_DAYS
    return _FIRST


def next_year() -> int:
    """Return the last year of usual times."""
    return dt.datetime.now(dt.UTC).year + 1


def refuse_unusual(times: pl.DataFrame, first_day: str) -> pl.DataFrame:
    """Return times as ``read_times`` does, with a fault before a day and after next year."""
    first = parse_instant(first_day)
    beyond = parse_instant(f"{next_year() + 1}-01-01")
    least, most = times["ns"].min(), times["ns"].max()
    if least is not None and least >= first and most < beyond:  # type: ignore[operator]
        return times
    is_unusual = ~pl.col("ns").is_between(first, beyond, closed="left")
    return times.with_columns(
        fault=pl.when(pl.col("fault").is_null() & is_unusual)
        .then(pl.lit(TimeFault.UNUSUAL.value))
        .otherwise(pl.col("fault"))
    )


class TimeDoubts:
    """Checks the rows of a series block by block; reports doubts at the end."""

    def __init__(self, length: BarLength | None) -> None:
        self._spacing = None if length is None else _Spacing(length)
        self._midnights = None
        if length is not None and DAY <= length.longest < 2 * DAY:
            self._midnights = _Midnights()
        is_long = length is not None and length.longest >= 7 * DAY
        self._exchange = None if is_long else _Exchange()
        self._offsets = _Offsets()
        self._dates = _Dates()

    def take(self, file: RawFile, raw: pl.Series, times: pl.Series) -> None:
        """Add a block: the ``raw`` values of its times, and the times read from the usable ones."""
        series = file.settings
        if not len(times):
            return
        if isinstance(series, CustomSeries) and series.is_known_at_once:
            self._dates.take(file, times)
        if series.unusual_times != "refuse":
            return
        self._offsets.take(file, raw)
        if self._spacing is not None:
            self._spacing.take(file, times)
        if isinstance(series, BarSeries) and self._midnights is not None:
            if series.timestamp_marks == "close":
                self._midnights.take(file, times, series.time_zone)
            else:
                self._midnights = None
        if self._exchange is not None:
            self._exchange.take(file, raw)
            if self._exchange.is_settled:
                self._exchange = None

    def check(self) -> None:
        """Raise ``DataError`` for the first doubt."""
        if found := self._dates.found():
            raise DataError(found)
        for doubt in (self._offsets, self._exchange, self._midnights, self._spacing):
            if doubt is not None and (found := doubt.found()):
                raise DataError(f"{found}, or set 'unusual_times: accept'")


class _Offsets:
    """Times of one file, some with an offset from UTC and some without."""

    def __init__(self) -> None:
        self._file: RawFile | None = None
        self._with: str | None = None
        self._without: str | None = None

    def take(self, file: RawFile, raw: pl.Series) -> None:
        if file.settings.timestamp_format != ISO or raw.dtype != pl.String or self.found():
            return
        if file is not self._file:
            self._file, self._with, self._without = file, None, None
        aware, naive = with_and_without_offset(raw)
        self._with, self._without = self._with or aware, self._without or naive

    def found(self) -> str | None:
        if self._file is None or self._with is None or self._without is None:
            return None
        return (
            f"{self._file.name}: some times have an offset from UTC ({shown(self._with)}) and "
            f"others none ({shown(self._without)}), which are read in "
            f"{self._file.settings.time_zone}; write all in one way"
        )


class _Spacing:
    """Bars that never come as often as their length lets them, in all files or in one."""

    def __init__(self, length: BarLength) -> None:
        self._length = length
        self._file: RawFile | None = None
        self._last: int | None = None
        self._all = _Steps()
        self._one = _Steps()
        self._doubt: str | None = None

    def take(self, file: RawFile, times: pl.Series) -> None:
        steps = times.diff().drop_nulls()
        if file is not self._file:
            self._end_file()
        elif self._last is not None:
            steps = pl.concat([pl.Series([int(times[0]) - self._last]), steps])
        self._file, self._last = file, int(times[-1])
        self._all.take(steps, len(times))
        self._one.take(steps, len(times))

    def _end_file(self) -> None:
        """Note a file whose bars all are apart by a multiple of more than their length."""
        one, self._one = self._one, _Steps()
        # Bars of seldom trades are any number of lengths apart.
        is_far = one.are_far(one.common, self._length, _FEWEST_BARS_OF_FILE)
        if self._doubt is None and self._file is not None and is_far:
            self._doubt = self._told(self._file, one.common)

    def _told(self, file: RawFile, step: int) -> str:
        series = file.settings
        bar = series.bar if isinstance(series, BarSeries) else ""
        return (
            f"{file.name}: no two bars are less than {format_duration(step)} apart, "
            f"but 'bar' says {bar}: with a length that is too short they are seen too early; "
            "correct 'bar'"
        )

    def found(self) -> str | None:
        if self._file is None:
            return None
        shortest = self._all.shortest or 0
        if self._all.are_far(shortest, self._length, _FEWEST_BARS):
            return self._told(self._file, shortest)
        self._end_file()
        return self._doubt


class _Steps:
    """The distances of bars."""

    def __init__(self) -> None:
        self.shortest: int | None = None
        self.common = 0
        """The greatest common divisor."""
        self._bars = 0
        self._directions: set[bool] = set()

    def take(self, steps: pl.Series, bars: int) -> None:
        self._bars += bars
        steps = steps.filter(steps != 0)
        if len(steps):
            self._directions |= set((steps > 0).unique())
            shortest = int(steps.abs().min())  # type: ignore[arg-type]
            self.shortest = min(shortest, self.shortest or shortest)
            self.common = math.gcd(self.common, *steps.unique().to_list())

    def are_far(self, step: int, length: BarLength, fewest: int) -> bool:
        """Tell whether ``fewest`` bars or more that come ``step`` apart are too far for them."""
        # Unordered rows say nothing about how often they come.
        is_told = self._bars >= fewest and len(self._directions) == 1
        return is_told and step >= 2 * length.longest


class _Midnights:
    """Day closes that look like the dates of the days."""

    def __init__(self) -> None:
        self._file: RawFile | None = None
        self._days = 0
        self._weekdays: set[int] = set()
        self._all_at_midnight = True

    def take(self, file: RawFile, times: pl.Series, zone: str) -> None:
        local = _local(times, zone)
        self._all_at_midnight &= _at_midnight(local)
        self._file = file
        self._days += len(times)
        self._weekdays |= set(local.dt.weekday().unique())

    def found(self) -> str | None:
        if not self._all_at_midnight or self._days < _FEWEST_DAYS or self._file is None:
            return None
        # A Friday's bar closes on Saturday at midnight, and no day of a working week on Monday.
        if _MONDAY not in self._weekdays or _SATURDAY in self._weekdays:
            return None
        return (
            f"{self._file.name}: bars close at 00:00 on Mondays and never on a Saturday, as the "
            "dates of working days do: taken as closes, they are seen as their days begin; set "
            "'timestamp_marks: open'"
        )


class _Dates:
    """Times of custom rows that may be the dates of days."""

    def __init__(self) -> None:
        self._file: RawFile | None = None
        self._rows = 0
        self._all_at_midnight = True

    def take(self, file: RawFile, times: pl.Series) -> None:
        zones = {"UTC", file.settings.time_zone}
        self._all_at_midnight &= any(_at_midnight(_local(times, zone)) for zone in zones)
        self._file = self._file or file
        self._rows += len(times)

    def found(self) -> str | None:
        if not self._all_at_midnight or self._rows < _FEWEST_DATES or self._file is None:
            return None
        return (
            f"{self._file.name}: all rows are at midnight, as dates are: a strategy would see each "
            f"row as its day begins; {SET_DELAY}"
        )


class _Exchange:
    """Dates that can also be read with day and month swapped."""

    def __init__(self) -> None:
        self.is_settled = False
        self._file: RawFile | None = None
        self._pattern = ""
        self._own: tuple[int, int] | None = None
        self._other: tuple[int, int] | None = None

    def take(self, file: RawFile, raw: pl.Series) -> None:
        series = file.settings
        pattern = exchanged_pattern(series.timestamp_format)
        if pattern is None or raw.dtype != pl.String:
            self.is_settled = True
            return
        own = read_times(raw, series.timestamp_format, series.time_zone)
        # A day after the twelfth cannot be a month: nothing more has to be read.
        days = own["ns"].cast(pl.Datetime("ns", "UTC")).dt.convert_time_zone(series.time_zone)
        if own["fault"].is_not_null().any() or (days.dt.day() > _LATEST_MONTH).any():
            self.is_settled = True
            return
        other = read_times(raw, pattern, series.time_zone)
        if other["fault"].is_not_null().any():
            self.is_settled = True
            return
        self._file, self._pattern = file, pattern
        self._own = _wider(self._own, own["ns"])
        self._other = _wider(self._other, other["ns"])

    def found(self) -> str | None:
        if self._own is None or self._other is None or self._file is None:
            return None
        own, other = (last - first for first, last in (self._own, self._other))
        if own <= _TIMES_AS_LONG * max(other, DAY):
            return None
        return (
            f"{self._file.name}: the dates span {own // DAY:,} days as "
            f"{self._file.settings.timestamp_format!r}, and {other // DAY:,} with day and month "
            f"exchanged; set 'timestamp_format' to {self._pattern!r}"
        )


def _local(times: pl.Series, zone: str) -> pl.Series:
    return times.cast(pl.Datetime("ns", "UTC")).dt.convert_time_zone(zone)


def _at_midnight(local: pl.Series) -> bool:
    return bool((local == local.dt.truncate("1d")).all())


def _wider(known: tuple[int, int] | None, times: pl.Series) -> tuple[int, int]:
    first, last = int(times.min()), int(times.max())  # type: ignore[arg-type]
    return (first, last) if known is None else (min(first, known[0]), max(last, known[1]))
