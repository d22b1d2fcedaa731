"""From values to places on a picture, and which values an axis shows."""

from __future__ import annotations

import datetime as dt
import math
from typing import TYPE_CHECKING, NamedTuple

from trading_runtime.time_units import DAY, NANOSECONDS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_SECOND, _MINUTE, _HOUR = (NANOSECONDS[unit] for unit in "smh")
_STEPS = (1, 2, 2.5, 5, 10, 20, 25, 50, 100)
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
"""Written out: what ``strftime`` gives depends on the locale."""
_DAYS_OF_MONDAY = 4
"""Day 4 since the epoch was a Monday, from which steps of weeks are counted."""
_TIME_STEPS = tuple(
    count * unit
    for unit, counts in (
        (_SECOND, (1, 5, 15, 30)),
        (_MINUTE, (1, 5, 15, 30)),
        (_HOUR, (1, 3, 6, 12)),
        (DAY, (1, 2, 7, 14)),
    )
    for count in counts
)
_MONTH_STEPS = (1, 3, 6, 12, 24, 60, 120, 240)


class Scale(NamedTuple):
    """A straight axis: ``low`` lies at ``start``, ``high`` at ``end``, both in points."""

    low: float
    high: float
    start: float
    end: float

    def place(self, value: float) -> float:
        """Return where a value lies."""
        share = (value - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)


def widened(values: Sequence[float], share: float = 0.05) -> tuple[float, float]:
    """Return the bounds of ``values`` with some room beyond them, and never of no width."""
    low, high = min(values), max(values)
    room = (high - low) * share
    if room <= abs(high) * 1e-12:
        room = abs(high) * share or 1.0
    return low - room, high + room


def ticks(low: float, high: float, most: int, *, whole: bool = False) -> list[float]:
    """Return at most ``most`` round values from ``low`` to ``high``."""
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    for factor in _STEPS:
        step = factor * power
        first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
        if last - first < most and (not whole or step == int(step)):
            return [number * step for number in range(first, last + 1)]
    return [low]


def time_ticks(start: int, end: int, most: int) -> list[tuple[int, str]]:
    """Return at most ``most`` round moments from ``start`` to ``end``, with what to write there.

    Moments are nanoseconds since the epoch. A date stands where it changes, a year likewise.
    """
    for step in _TIME_STEPS:
        offset = _DAYS_OF_MONDAY * DAY if step >= 7 * DAY else 0
        first, last = -((offset - start) // step), (end - offset) // step
        if last - first < most:
            moments = [offset + number * step for number in range(first, last + 1)]
            return list(zip(moments, _written(moments, with_time=step < DAY), strict=True))
    for months in _MONTH_STEPS:
        moments = list(_months(start, end, months))
        if len(moments) <= most:
            dates = map(_date, moments)
            texts = [
                f"{date.year}" if months >= len(_MONTHS) else f"{_month(date)} {date.year}"
                for date in dates
            ]
            return list(zip(moments, texts, strict=True))
    return []


def thinned(values: Sequence[float], buckets: int = 1_200) -> list[int]:
    """Return the indexes that keep the look of a long line: each bucket's ends and extremes."""
    count = len(values)
    if count <= 4 * buckets:
        return list(range(count))
    kept: set[int] = set()
    for bucket in range(buckets):
        span = range(bucket * count // buckets, (bucket + 1) * count // buckets)
        kept |= {
            span[0],
            span[-1],
            min(span, key=values.__getitem__),
            max(span, key=values.__getitem__),
        }
    return sorted(kept)


def _written(moments: Sequence[int], *, with_time: bool) -> Iterator[str]:
    before: dt.datetime | None = None
    for moment in moments:
        date = _date(moment)
        is_new_day = before is None or before.date() != date.date()
        is_new_year = before is None or before.year != date.year
        before = date
        if with_time and not is_new_day:
            yield date.strftime("%H:%M:%S").removesuffix(":00")
            continue
        day = f"{date.day} {_month(date)}" + (f" {date.year}" if is_new_year else "")
        is_midnight = moment % DAY == 0
        yield day if is_midnight or not with_time else f"{day} {date:%H:%M}"


def _months(start: int, end: int, step: int) -> Iterator[int]:
    first = _date(start)
    number = -(-(first.year * 12 + first.month - 1) // step) * step
    while True:
        year, month = divmod(number, 12)
        moment = round(dt.datetime(year, month + 1, 1, tzinfo=dt.UTC).timestamp()) * _SECOND
        if moment > end:
            return
        if moment >= start:
            yield moment
        number += step


def _month(date: dt.datetime) -> str:
    return _MONTHS[date.month - 1]


def _date(moment: int) -> dt.datetime:
    return dt.datetime.fromtimestamp(moment // _SECOND, dt.UTC)
