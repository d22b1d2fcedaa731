"""The kinds of values in an experiment file that pydantic does not know: how each is checked."""

from __future__ import annotations

import datetime as dt
import re
import zoneinfo
from decimal import Decimal
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, WithJsonSchema

from trading_runtime.units import parse_duration, parse_instant

MAX_DIGITS = 38
"""Digits of a number before and after the point that fit the engine's 128-bit decimals."""

_MOST_OF_A_LABEL = 63

_MONEY = r"^[0-9]+(\.[0-9]+)? [A-Z0-9]{0,11}[A-Z][A-Z0-9]{0,11}$"
_CURRENCY = r"^[A-Z0-9]{0,11}[A-Z][A-Z0-9]{0,11}$"
_NAME = r"^[a-z0-9]([a-z0-9.-]{0,40}[a-z0-9])?$"
_DURATION = r"^([0-9]+(ns|us|ms|s|m|h|d|w))+$"
_CLASS = r"^[^:]+:[A-Za-z_][A-Za-z0-9_]*$"
_MODULE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*")
_INSTRUMENT = r"^[^\s,]+\.[^\s,.]+$"
_VENUE = r"^[^\s,.]+$"
_TIME = r"^([01][0-9]|2[0-3]):[0-5][0-9]$"
_LONGEST_DURATION = 100 * 366 * parse_duration("1d")


class Model(BaseModel):
    """Base of all parts of an experiment: no unknown keys, no silent conversions, no changes.

    An optional part defaults to ``model_construct()``. Made in the ordinary way, it would build its
    own validator at every program start, although the whole model's validator covers it.
    ``plain`` is there for the same reason.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, defer_build=True)

    def plain(self, *, by_alias: bool = False) -> dict[str, Any]:
        """Return what ``model_dump`` does, without building a serializer for this part alone."""
        return {
            (field.serialization_alias or name) if by_alias else name: _plain(
                getattr(self, name), by_alias=by_alias
            )
            for name, field in type(self).model_fields.items()
        }


def _plain(value: Any, *, by_alias: bool) -> Any:
    if isinstance(value, Model):
        return value.plain(by_alias=by_alias)
    if isinstance(value, dict):
        return {key: _plain(item, by_alias=by_alias) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_plain(item, by_alias=by_alias) for item in value)
    return value


def _check_duration(text: str) -> str:
    if len(text) > MAX_DIGITS:
        raise ValueError(f"{text[:20]!r}... is too long for a duration")
    length = parse_duration(text)
    if length <= 0:
        raise ValueError(f"{text!r} is not longer than nothing")
    if length > _LONGEST_DURATION:
        raise ValueError(f"{text!r} is longer than 100 years")
    return text


def _check_instant(text: str) -> str:
    try:
        parse_instant(text)
    except (ValueError, OverflowError) as error:
        raise ValueError(
            f"{text!r} is not a date or time; write ISO 8601 such as '2022-01-31' or "
            "'2022-01-31T12:30:00Z'"
        ) from error
    if re.search(r"[.,][0-9]{7}", text):
        raise ValueError(f"{text!r} has more than six digits of a second")
    if not "1970" <= text[:4] <= "2261":
        raise ValueError(f"{text!r} is outside the years 1970 to 2261")
    return text


def _check_money(text: str) -> str:
    if not re.fullmatch(_MONEY, text):
        raise ValueError(
            f"{text!r} is not an amount with a currency code; write it like '100000 USDT'"
        )
    check_number(Decimal(text.partition(" ")[0]))
    return text


def _check_currency(text: str) -> str:
    if not re.fullmatch(_CURRENCY, text):
        raise ValueError(f"{text!r} is not a currency code; write it like 'USDT'")
    return text


def _check_name(text: str) -> str:
    if not re.fullmatch(_NAME, text):
        raise ValueError(
            f"{text!r} is not a name; accepted are 1 to 42 lower-case letters, digits, '.' and "
            "'-', with a letter or digit at both ends"
        )
    return text


def _check_label(text: str) -> str:
    if len(text) > _MOST_OF_A_LABEL:
        raise ValueError(
            f"{text[:20]!r}... has {len(text):,} characters; at most {_MOST_OF_A_LABEL} are "
            "accepted in the name and in the value of a label; longer text belongs into notes"
        )
    return text


def _check_instrument(text: str) -> str:
    if not re.fullmatch(_INSTRUMENT, text):
        raise ValueError(
            f"{text!r} is not an instrument id; write SYMBOL.VENUE, such as 'BTCUSDT-PERP.SIM'"
        )
    return text


def _check_venue(text: str) -> str:
    if not re.fullmatch(_VENUE, text):
        raise ValueError(
            f"{text!r} is not the name of a venue; write what follows the point in the ids of its "
            "instruments, such as 'SIM'"
        )
    return text


def _check_time(text: str) -> str:
    if not re.fullmatch(_TIME, text):
        raise ValueError(f"{text!r} is not a time of day; write hours and minutes like '22:00'")
    return text


def _check_zone(name: str) -> str:
    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(
            f"{name!r} is not a time zone; write a name such as 'UTC' or 'America/New_York'"
        ) from error
    return name


def _check_day(text: str) -> str:
    try:
        is_day = dt.date.fromisoformat(text).isoformat() == text
    except ValueError:
        is_day = False
    if not is_day:
        raise ValueError(f"{text!r} is not a day; write it like '2020-08-31'")
    return text


def _check_class(text: str) -> str:
    where, _, _ = text.partition(":")
    is_class = re.fullmatch(_CLASS, text) is not None
    if is_class and (where.endswith(".py") or _MODULE.fullmatch(where)):
        return text
    raise ValueError(
        f"{text!r} does not name a class; accepted are 'package.module:Class', "
        "'path/to/file.py:Class' and 'builtin:Name'"
    )


def check_number(value: Decimal) -> Decimal:
    """Return ``value`` when it fits the engine's decimals; else raise ``ValueError``."""
    if not value.is_finite():
        raise ValueError(f"{value} is not a number that can be computed with")
    exponent = value.as_tuple().exponent
    smallest = exponent if isinstance(exponent, int) else 0
    if value and (value.adjusted() >= MAX_DIGITS or smallest < -MAX_DIGITS):
        raise ValueError(
            f"the number has too many digits; at most {MAX_DIGITS} are accepted before and after "
            "the point"
        )
    return value


Duration = Annotated[
    str,
    AfterValidator(_check_duration),
    WithJsonSchema({"type": "string", "pattern": _DURATION, "examples": ["30s", "1h30m", "7d"]}),
]
"""Whole numbers with units: ``30s``, ``1h30m``, ``7d``."""

Instant = Annotated[
    str,
    AfterValidator(_check_instant),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": r"^[0-9]{4}-?(W?[0-9]{2}-?[0-9]{1,2})",
            "examples": ["2022-01-31", "2022-01-31T12:30:00Z"],
        }
    ),
]
"""An ISO 8601 date or time; UTC when it has no zone."""

MoneyText = Annotated[
    str,
    AfterValidator(_check_money),
    WithJsonSchema({"type": "string", "pattern": _MONEY, "examples": ["100000 USDT"]}),
]
"""An amount and a currency code: ``100000 USDT``."""

Currency = Annotated[
    str, AfterValidator(_check_currency), WithJsonSchema({"type": "string", "pattern": _CURRENCY})
]
"""A currency code: ``USDT``."""

Name = Annotated[
    str, AfterValidator(_check_name), WithJsonSchema({"type": "string", "pattern": _NAME})
]
"""Lower-case letters, digits, dots and hyphens: it becomes part of a run id."""

LabelText = Annotated[
    str,
    AfterValidator(_check_label),
    WithJsonSchema({"type": "string", "maxLength": _MOST_OF_A_LABEL}),
]
"""The name of a label, or its value: as much as Kubernetes accepts."""

InstrumentName = Annotated[
    str,
    AfterValidator(_check_instrument),
    WithJsonSchema({"type": "string", "pattern": _INSTRUMENT}),
]
"""An instrument id: ``SYMBOL.VENUE``."""

VenueName = Annotated[
    str, AfterValidator(_check_venue), WithJsonSchema({"type": "string", "pattern": _VENUE})
]
"""The name of a venue: the part after the point in the ids of its instruments."""

TimeOfDay = Annotated[
    str, AfterValidator(_check_time), WithJsonSchema({"type": "string", "pattern": _TIME})
]
"""A time of day in hours and minutes: ``22:00``."""

TimeZone = Annotated[
    str,
    AfterValidator(_check_zone),
    WithJsonSchema({"type": "string", "examples": ["UTC", "America/New_York"]}),
]
"""A time zone's name in the IANA database."""

ClassPath = Annotated[
    str, AfterValidator(_check_class), WithJsonSchema({"type": "string", "pattern": _CLASS})
]
"""Where a class is: ``package.module:Class``, ``file.py:Class`` or ``builtin:Name``."""

Day = Annotated[
    str,
    AfterValidator(_check_day),
    WithJsonSchema({"type": "string", "pattern": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"}),
]
"""A day: ``2024-02-09``."""

Number = Annotated[Decimal, Field(strict=False), AfterValidator(check_number)]
"""An exact decimal number, or its text."""
