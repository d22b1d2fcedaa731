"""Units of time: how durations and instants are read and shown, as nanoseconds; a steady clock."""

from __future__ import annotations

import datetime as dt
import functools
import re
import time

NANOSECONDS = {
    "ns": 1,
    "us": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60 * 1_000_000_000,
    "h": 3_600 * 1_000_000_000,
    "d": 86_400 * 1_000_000_000,
    "w": 7 * 86_400 * 1_000_000_000,
}
DAY = NANOSECONDS["d"]
_DURATION = re.compile(r"(?:[0-9]+(?:ns|us|ms|s|m|h|d|w))+")
_PART = re.compile(r"([0-9]+)(ns|us|ms|s|m|h|d|w)")
_FRACTION = re.compile(r"(?<=[0-9])[.,]([0-9]+)")
_MOST_DIGITS = 9
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_STEADY = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def steady_ns() -> int:
    """Return the nanoseconds of a clock that cannot be set and that runs while a machine sleeps."""
    return time.clock_gettime_ns(_STEADY)


def steady_seconds() -> float:
    """Return the seconds of that clock."""
    return time.clock_gettime(_STEADY)


def parse_duration(text: str) -> int:
    """Return the nanoseconds of a duration such as ``90s``, ``1h30m`` or ``7d``.

    Raises ``ValueError`` when the text is not a sequence of whole numbers with units.
    """
    if not _DURATION.fullmatch(text):
        raise ValueError(
            f"{text!r} is not a duration; write whole numbers with units "
            "ns, us, ms, s, m, h, d or w, such as '30s', '1h30m' or '7d'"
        )
    return sum(int(count) * NANOSECONDS[unit] for count, unit in _PART.findall(text))


def format_duration(nanoseconds: int) -> str:
    """Return the shortest text that ``parse_duration`` reads back as ``nanoseconds``."""
    if nanoseconds == 0:
        return "0s"
    parts = []
    for unit in ("d", "h", "m", "s", "ms", "us", "ns"):
        count, nanoseconds = divmod(nanoseconds, NANOSECONDS[unit])
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts)


def parse_instant(text: str) -> int:
    """Return nanoseconds since the epoch of an ISO 8601 date or time, in UTC if it has no zone.

    Up to nine digits of a second are read. Raises ``ValueError`` when the text is neither a date
    nor a time.
    """
    found = _FRACTION.search(text)
    if found and len(found[1]) > _MOST_DIGITS:
        raise ValueError(f"{text!r}: a second has at most {_MOST_DIGITS} digits")
    moment = dt.datetime.fromisoformat(_FRACTION.sub("", text, count=1))
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=dt.UTC)
    delta = moment - _EPOCH
    fraction = int(found[1].ljust(9, "0")) if found else 0
    return (delta.days * 86_400 + delta.seconds) * 1_000_000_000 + fraction


def day_of(instant: int) -> int:
    """Return the number since the epoch of the UTC day that ends at or after ``instant``.

    A bar that closes at midnight belongs to the day that ends there, and so does everything known
    at that very instant: a day begins after its first midnight and ends with the next.
    """
    return (instant - 1) // DAY


def format_instant(nanoseconds: int) -> str:
    """Return ``nanoseconds`` since the epoch as ISO 8601 in UTC, with the digits it needs."""
    return f"{instant_text(nanoseconds)[:-1].rstrip('0').rstrip('.')}Z"


def instant_text(nanoseconds: int) -> str:
    """Return the same, always with nine digits: such texts sort in the order of their instants."""
    seconds, fraction = divmod(nanoseconds, 1_000_000_000)
    return f"{_second(seconds)}.{fraction:09d}Z"


@functools.lru_cache(maxsize=4)
def _second(seconds: int) -> str:
    """Return the text of a second, which is often that of the instant before."""
    moment = _EPOCH + dt.timedelta(seconds=seconds)
    return moment.isoformat()[: len("1970-01-01T00:00:00")]
