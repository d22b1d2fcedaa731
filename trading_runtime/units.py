"""Units of time and memory: how durations, instants and sizes are read and shown."""

from __future__ import annotations

import datetime as dt
import re
from decimal import Decimal
from typing import Annotated, Any

from pydantic import AfterValidator, WithJsonSchema

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
    """Return nanoseconds since the epoch of an ISO 8601 date or time; without a zone it is UTC.

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
    """Return the number since the epoch of the UTC day whose end, at the latest, is ``instant``.

    A bar that closes at midnight belongs to the day that ends there, and so does all that is known
    at that very instant: a day begins after its first midnight and ends with the next.
    """
    return (instant - 1) // DAY


def format_instant(nanoseconds: int) -> str:
    """Return ``nanoseconds`` since the epoch as ISO 8601 in UTC, with the digits it needs."""
    seconds, fraction = divmod(nanoseconds, 1_000_000_000)
    moment = _EPOCH + dt.timedelta(seconds=seconds)
    text = moment.strftime("%Y-%m-%dT%H:%M:%S")
    if fraction:
        text += f".{fraction:09d}".rstrip("0")
    return text + "Z"


_UNITS = {
    "B": 1,
    "kB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
    "TiB": 2**40,
}
_SIZE = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,9})?) ?([A-Za-z]+)")
_LEAST = 256 * 2**20
_MOST = 2**50


def parse_size(value: int | str) -> int:
    """Return the bytes of ``value``: ``"2 GiB"`` is 2,147,483,648.

    Raises ``ValueError`` when it is a text without one of the known units.
    """
    if isinstance(value, int):
        return value
    match = _SIZE.fullmatch(value)
    if match is None or match[2] not in _UNITS:
        raise ValueError(_refusal(repr(value)))
    return int(Decimal(match[1]) * _UNITS[match[2]])


def _refusal(found: str) -> str:
    return (
        f"{found} is not an amount of memory; write bytes as a whole number, or a text such as "
        f"'2 GiB' or '500 MB' (units: {', '.join(_UNITS)})"
    )


def _check_task_memory(value: Any) -> int | str:
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise ValueError(_refusal(str(value)))  # noqa: TRY004 - pydantic takes these
    size = parse_size(value)
    if size < _LEAST:
        raise ValueError(
            f"{value!r} is too little: the engine alone takes nearly as much; write 256 MiB or more"
        )
    if size > _MOST:
        raise ValueError(f"{value!r} is more than any machine has")
    return value


TaskMemory = Annotated[
    Any,
    AfterValidator(_check_task_memory),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": _LEAST, "maximum": _MOST},
                {"type": "string", "pattern": rf"^[0-9]+(\.[0-9]+)? ?({'|'.join(_UNITS)})$"},
            ],
            "examples": ["2 GiB", 2147483648],
        }
    ),
]
"""Memory for one task: bytes, or a text such as ``2 GiB``."""
