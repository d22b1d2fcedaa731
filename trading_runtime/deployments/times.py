"""Hours and times: cron expressions in a time zone, with its daylight saving."""

from __future__ import annotations

import datetime as dt
import time
import zoneinfo
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from trading_runtime.errors import UsageError
from trading_runtime.units import steady_seconds

if TYPE_CHECKING:
    from collections.abc import Callable

    from trading_runtime.config.supervision import SessionHours

INSTALL = "install it with 'pip install \"trading-runtime[terminal]\"'"


_CORRECTION_SECONDS = 3 * 3_600.0
_REPORTED_SECONDS = 1.0


@dataclass
class ClockOfSchedules:
    """The time of day for schedules, which lets no start and no stop happen twice.

    When this machine's clock is set back, it pauses until the clock has caught up; a step of
    three hours or more corrects a clock that was wrong, and is followed.
    """

    tell: Callable[[str], None]
    """Says that the clock was set."""
    wall: Callable[[], float] = time.time
    steady: Callable[[], float] = steady_seconds
    _latest: float = field(init=False)
    _apart: float = field(init=False)
    """How far the wall clock is ahead of the steady one."""

    def __post_init__(self) -> None:
        """Begin with the wall clock."""
        self._latest = self.wall()
        self._apart = self._latest - self.steady()

    def now(self) -> float:
        """Return the time, in seconds since the epoch."""
        wall = self.wall()
        apart = wall - self.steady()
        if abs(step := apart - self._apart) > _REPORTED_SECONDS:
            way = "forward" if step > 0 else "back"
            self.tell(f"warning: the clock of this machine was set {way} by {abs(step):.0f} s")
        self._apart = apart
        is_corrected = self._latest - wall >= _CORRECTION_SECONDS
        self._latest = wall if is_corrected else max(wall, self._latest)
        return self._latest


def time_before(expression: str, time_zone: str, now: dt.datetime) -> dt.datetime | None:
    """Return the latest time of a cron expression at or before ``now``, in UTC.

    Raises ``UsageError`` for an expression that is none.
    """
    # A time is looked for before the next minute, so that one in this minute is found.
    later = now.replace(second=0, microsecond=0) + dt.timedelta(minutes=1)
    return _nearest(expression, time_zone, later, reverse=True)


def time_after(expression: str, time_zone: str, now: dt.datetime) -> dt.datetime | None:
    """Return the first time of a cron expression after ``now``, in UTC; raises ``UsageError``."""
    return _nearest(expression, time_zone, now, reverse=False)


def is_within_hours(hours: SessionHours, now: dt.datetime) -> bool:
    """Return whether ``now`` is between a start and the next stop; raises ``UsageError``.

    A start and a stop at the same time open nothing.
    """
    started = time_before(hours.start, hours.time_zone, now)
    stopped = time_before(hours.stop, hours.time_zone, now)
    return started is not None and (stopped is None or started > stopped)


def _nearest(
    expression: str, time_zone: str, now: dt.datetime, *, reverse: bool
) -> dt.datetime | None:
    try:
        from cronsim import CronSim, CronSimError
    except ImportError as error:
        raise UsageError(f"a schedule needs the package 'cronsim'; {INSTALL}") from error
    here = now.astimezone(zoneinfo.ZoneInfo(time_zone))
    try:
        return next(CronSim(expression, here, reverse=reverse)).astimezone(dt.UTC)
    except StopIteration:
        return None
    except CronSimError as error:
        raise UsageError(
            f"{expression!r} is not a cron expression: {error}; write five fields, such as "
            "'30 9 * * mon-fri'"
        ) from error
