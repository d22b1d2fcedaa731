"""Hours and times: cron expressions in a time zone, with its daylight saving."""

from __future__ import annotations

import datetime as dt
import zoneinfo
from typing import TYPE_CHECKING

from trading_runtime.errors import UsageError

if TYPE_CHECKING:
    from trading_runtime.config.supervision import SessionHours

INSTALL = "install it with 'pip install -r requirements-terminal.txt'"


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
