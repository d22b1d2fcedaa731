"""Formats of times in raw files, and their zones."""

from __future__ import annotations

import re
import zoneinfo

from trading_runtime.config.messages import nearest

EPOCH_DIGITS = {"s": 9, "ms": 6, "us": 3, "ns": 0}
"""Units since 1970, and how many decimals make one of them nanoseconds."""
ISO = "iso"
EPOCH = "epoch"
"""Any unit since 1970, detected from the number of digits."""

_DIRECTIVES = frozenset("YyCmbBhdejaAHkIlMSpPznt%DFTRx")
_ADVICE = {
    "f": "%f does not say how many digits there are; write %3f, %6f or %9f, or %.f for a point "
    "with digits",
    "Z": "%Z would drop the zone; read offsets with %z, or write the zone's name as it is in "
    "the file and set 'time_zone'",
    "s": "%s is not read in a pattern; for seconds since 1970 the format is 's'",
}
_PARTS = {
    "B": "m", "b": "m", "h": "m", "e": "d", "k": "H", "l": "I", "P": "p", "A": "a",
    "D": "mdy", "x": "mdy", "F": "Ymd", "T": "HMS", "R": "HM",
}  # fmt: skip
_ONCE = frozenset("YymdjHIMSp")
_DAY_AND_MONTH = frozenset("dem")
_HOURS = frozenset("HkIlTR")
_MINUTES = frozenset("MTR")
_ABBREVIATIONS = frozenset({
    "Z", "ET", "CT", "MT", "PT", "EDT", "CST", "CDT", "MDT", "PST", "PDT", "AST", "AKST",
    "CEST", "BST", "WEST", "EEST", "MSK", "IST", "JST", "KST", "HKT", "SGT", "AEST",
    "AEDT", "NZST", "NZDT",
})  # fmt: skip
UTC_NAMES = frozenset({"Z", "UTC", "GMT", "Etc/UTC", "Zulu", "+00:00", "+0000"})
"""Spellings of UTC in texts."""
_OFFSET = re.compile(r"(?:(?:UTC|GMT) ?[+-][0-9]{1,2}(?::?[0-9]{2})?|[+-][0-9]{2}:?[0-9]{2})$")
_DIRECTIVE = re.compile(r"%([-_0]?)(\.[369]?f|[369]?f|:?z|[A-Za-z%])")


def check_timestamp_format(text: str) -> str:
    """Return ``text`` when times can be read with it.

    Raises ``ValueError`` otherwise.
    """
    if text in {ISO, EPOCH} or text in EPOCH_DIGITS:
        return text
    if "%" not in text:
        raise ValueError(
            f"{text!r} is not a timestamp format; accepted are iso, s, ms, us, ns, epoch, or a "
            "pattern such as '%Y%m%d %H%M%S%3f'"
        )
    rest = _DIRECTIVE.sub("", text)
    if "%" in rest:
        raise ValueError(f"{text!r} has a '%' that has no meaning; write '%%' for the sign")
    directives = [match.group(2) for match in _DIRECTIVE.finditer(chrono_pattern(text))]
    for directive in directives:
        if directive in _ADVICE:
            raise ValueError(f"{text!r}: {_ADVICE[directive]}")
        if len(directive) == 1 and directive not in _DIRECTIVES:
            raise ValueError(f"{text!r}: %{directive} is not a part of a time")
    parts = [part for directive in directives for part in _PARTS.get(directive, directive)]
    for part in parts:
        if part in _ONCE and parts.count(part) > 1:
            raise ValueError(
                f"{text!r} reads %{part} more than once; %m is the month, %M the minute"
            )
    has_day = {"j"} & set(parts) or {"W", "U"} & set(parts)
    if not {"Y", "y"} & set(parts) or ("d" in parts and "m" not in parts and not has_day):
        raise ValueError(f"{text!r} gives no whole date; a pattern needs %Y, %m and %d")
    _try(text)
    return text


def exchanged_pattern(text: str) -> str | None:
    """Return the pattern with day and month swapped.

    ``None`` when there is no doubt: a pattern with the month's name, one that starts with the year,
    or no pattern at all.
    """
    if "%" not in text:
        return None
    text = text.replace("%D", "%m/%d/%y").replace("%x", "%m/%d/%y")
    found = [match for match in _DIRECTIVE.finditer(text) if match.group(2) in _DAY_AND_MONTH]
    if [match.group(2) == "m" for match in found] not in ([True, False], [False, True]):
        return None
    first, second = found
    if any(match.group(2) == "Y" for match in _DIRECTIVE.finditer(text[: first.start()])):
        return None
    between = text[first.end() : second.start()]
    return text[: first.start()] + second[0] + between + first[0] + text[second.end() :]


def has_time_of_day(text: str) -> bool:
    """Return whether times in the format ``text`` are more than dates, judging by the format."""
    directives = {match.group(2) for match in _DIRECTIVE.finditer(text)}
    return text != ISO and (text == EPOCH or text in EPOCH_DIGITS or bool(directives & _HOURS))


def literal_zone(text: str) -> str | None:
    """Return the zone in a pattern as plain text, such as ``EST``, ``Z``, ``+00:00``, ``UTC+1``."""
    if text in {ISO, EPOCH} or text in EPOCH_DIGITS:
        return None
    rest = _DIRECTIVE.sub("\0", text)
    if (offset := _OFFSET.search(rest)) is not None:
        return offset[0]
    words = re.findall(r"[A-Za-z]+(?:[/_][A-Za-z]+)*", rest)
    known = zoneinfo.available_timezones() | _ABBREVIATIONS
    return next((word for word in words if word in known), None)


def _try(text: str) -> None:
    import polars as pl

    try:
        pl.Series(["-"]).str.to_datetime(chrono_pattern(text), time_unit="ns", strict=False)
    except pl.exceptions.PolarsError as error:
        reason = str(error).splitlines()[0].removeprefix("Invalid format string: ")
        raise ValueError(f"{text!r} cannot be read: {reason}") from error


def chrono_pattern(text: str) -> str:
    """Return the pattern for Polars, where a point with digits is one directive."""
    return with_minutes(text, text.replace(".%f", "%.f"), " %M")


def with_minutes[Value](text: str, value: Value, minutes: Value) -> Value:
    """Return ``value`` followed by ``minutes`` when the pattern has hours but no minutes.

    Polars reads hours and minutes together or not at all, so both pattern and texts get them.
    """
    directives = {match.group(2) for match in _DIRECTIVE.finditer(text)}
    return value + minutes if directives & _HOURS and not directives & _MINUTES else value  # type: ignore[operator]


def check_time_zone(name: str) -> str:
    """Return ``name`` when it is a time zone of the IANA database; else raises ``ValueError``."""
    import polars as pl

    try:
        pl.Series([], dtype=pl.Datetime("ns")).dt.replace_time_zone(name or "?")
    except pl.exceptions.ComputeError as error:
        hint = nearest(name, zoneinfo.available_timezones())
        raise ValueError(
            f"{name!r} is not an IANA time zone{hint}; write such as 'UTC' or 'America/New_York'"
        ) from error
    return name


_CENTURY = 946_684_800 * 10**9
"""2000-01-01; three times as much is 2059."""


def fitting_unit(value: object) -> str:
    """Return a hint about the unit in which a number is a time in this century, if there is one."""
    text = str(value).partition(".")[0]
    if not text.isdecimal():
        return "see 'timestamp_format' in the data file"
    for unit, digits in EPOCH_DIGITS.items():
        if _CENTURY <= int(text) * 10**digits < _CENTURY * 3:
            return f"see 'timestamp_format': the numbers may count {unit}"
    return "see 'timestamp_format' in the data file"
