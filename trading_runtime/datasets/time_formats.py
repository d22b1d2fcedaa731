"""How times are written in raw files: epoch units, ISO 8601, patterns, and time zones."""

from __future__ import annotations

import re
import zoneinfo

from trading_runtime.config.messages import nearest

EPOCH_DIGITS = {"s": 9, "ms": 6, "us": 3, "ns": 0}
"""Units since 1970, and how many decimals make one of them nanoseconds."""
ISO = "iso"

_DIRECTIVES = frozenset("YyCmbBhdejaAHkIlMSpPzZsnt%DFTRx")
_DIRECTIVE = re.compile(r"%([-_0]?)(\.[369]?f|[369]?f|:?z|[A-Za-z%])")


def check_timestamp_format(text: str) -> str:
    """Return ``text`` when times can be read with it.

    Raises ``ValueError`` otherwise.
    """
    if text == ISO or text in EPOCH_DIGITS:
        return text
    if "%" not in text:
        raise ValueError(
            f"{text!r} is not a timestamp format; accepted are iso, s, ms, us, ns, or a pattern "
            "such as '%Y%m%d %H%M%S%3f'"
        )
    rest = _DIRECTIVE.sub("", text)
    if "%" in rest:
        raise ValueError(f"{text!r} has a '%' that stands for nothing; write '%%' for the sign")
    for match in _DIRECTIVE.finditer(chrono_pattern(text)):
        directive = match.group(2)
        if directive == "f":
            raise ValueError(
                f"{text!r}: %f does not say how many digits there are; write %3f, %6f or %9f, "
                "or %.f for a point with digits"
            )
        if len(directive) == 1 and directive not in _DIRECTIVES:
            raise ValueError(f"{text!r}: %{directive} is not a part of a time")
    return text


def chrono_pattern(text: str) -> str:
    """Return the pattern as polars reads it: a point with digits is one directive there."""
    return text.replace(".%f", "%.f")


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
