"""Calendar windows in UTC: which window an instant falls in, and where that window begins.

Windows of n hours or n days are counted from 1970-01-01T00:00Z, of n weeks from the ISO week that
holds it (Monday 1969-12-29), of n months from January 1970, of a duration from 1970-01-01T00:00Z.
So the windows of an experiment never depend on where its data begins.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trading_runtime.config.experiment import PartitionUnit
from trading_runtime.time_units import DAY, NANOSECONDS, parse_duration

if TYPE_CHECKING:
    from trading_runtime.config.experiment import PartitionSettings

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MONDAY = -3 * DAY
_UNITS = {
    PartitionUnit.HOUR: (NANOSECONDS["h"], 0),
    PartitionUnit.DAY: (DAY, 0),
    PartitionUnit.WEEK: (7 * DAY, _MONDAY),
}


@dataclass(frozen=True, slots=True)
class FixedWindows:
    """Windows of one length, in nanoseconds, counted from ``origin``."""

    length: int
    origin: int = 0

    def index(self, instant: int) -> int:
        """Return the number of the window that holds ``instant``."""
        return (instant - self.origin) // self.length

    def start(self, index: int) -> int:
        """Return where window ``index`` begins; it ends where the next begins."""
        return self.origin + index * self.length


@dataclass(frozen=True, slots=True)
class MonthWindows:
    """Windows of ``count`` calendar months."""

    count: int

    def index(self, instant: int) -> int:
        """Return the number of the window that holds ``instant``."""
        day = _EPOCH + dt.timedelta(days=instant // DAY)
        return ((day.year - 1970) * 12 + day.month - 1) // self.count

    def start(self, index: int) -> int:
        """Return where window ``index`` begins; it ends where the next begins."""
        years, months = divmod(index * self.count, 12)
        first = dt.datetime(1970 + years, months + 1, 1, tzinfo=dt.UTC)
        return (first - _EPOCH).days * DAY


Windows = FixedWindows | MonthWindows


def calendar_windows(settings: PartitionSettings) -> Windows | None:
    """Return the windows of ``settings``; None when they are not cut by the calendar."""
    if settings.by is PartitionUnit.MONTH:
        return MonthWindows(settings.count)
    if settings.by is PartitionUnit.DURATION and settings.length is not None:
        return FixedWindows(parse_duration(settings.length))
    if settings.by in _UNITS:
        length, origin = _UNITS[settings.by]
        return FixedWindows(length * settings.count, origin)
    return None


def floor_day(instant: int) -> int:
    """Return the UTC midnight at or before ``instant``."""
    return instant // DAY * DAY


def ceil_day(instant: int) -> int:
    """Return the UTC midnight at or after ``instant``."""
    return -(-instant // DAY) * DAY
