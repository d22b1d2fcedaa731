"""How a deployment is kept up: restarts, times, limits, and whom to tell."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, WithJsonSchema

from trading_runtime.config.fields import Duration, Model, TimeZone

_FIELDS = ("minute", "hour", "day of month", "month", "day of week")
_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_DAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]
_NUMBERS = {
    "month": {name: str(number) for number, name in enumerate(_MONTHS, 1)},
    "day of week": {name: str(number) for number, name in enumerate(_DAYS)},
}
_CRON_FIELD = re.compile(r"[0-9*/,-]+")
_CRON = r"^\S+( +\S+){4}$"
_VARIABLE = r"^[A-Za-z_][A-Za-z0-9_]*$"


def _check_cron(text: str) -> str:
    parts = text.split()
    if len(parts) != len(_FIELDS):
        raise ValueError(
            f"{text!r} has {len(parts)} fields; a cron expression here has five: "
            f"{', '.join(_FIELDS)}, such as '30 9 * * mon-fri'"
        )
    numbered = []
    for name, part in zip(_FIELDS, parts, strict=True):
        numbers = _NUMBERS.get(name, {})
        found = part.lower()
        for word, number in numbers.items():
            found = found.replace(word, number)  # Argo takes no names
        if not _CRON_FIELD.fullmatch(found):
            names = f", names such as {next(iter(numbers))!r}" if numbers else ""
            raise ValueError(
                f"{text!r}: {part!r} is no {name}; accepted are numbers{names}, '*', '/', ',' and "
                "'-'"
            )
        if name == "day of week" and "7" in found:
            raise ValueError(f"{text!r}: {part!r} is no day of week; Sunday is 0 or 'sun'")
        numbered.append(found)
    return " ".join(numbered)


def _check_variable(name: str) -> str:
    if not re.fullmatch(_VARIABLE, name):
        raise ValueError(
            f"{name!r} is not the name of a variable; accepted are letters, digits and '_'"
        )
    return name


Cron = Annotated[
    str,
    AfterValidator(_check_cron),
    WithJsonSchema({"type": "string", "pattern": _CRON, "examples": ["30 9 * * mon-fri"]}),
]
"""A cron expression of five fields."""

Variable = Annotated[
    str, AfterValidator(_check_variable), WithJsonSchema({"type": "string", "pattern": _VARIABLE})
]
"""The name of an environment variable."""

Processors = Annotated[Decimal, Field(strict=False, gt=0, le=1_024)]
"""A number of processors, such as 0.5."""


class RestartSettings(Model):
    """When a deployment that ended although it should run is started again."""

    backoff: Duration = "5s"
    """Wait before the first restart; it doubles with each further one within an hour, to five
    minutes at most."""
    most_in_an_hour: Annotated[int, Field(ge=0, le=1_000)] = 10
    """After so many restarts within an hour it is given up."""


class SessionHours(Model):
    """When a deployment runs: from each start to the next stop."""

    start: Cron
    """When it starts."""
    stop: Cron
    """When it stops."""
    time_zone: TimeZone
    """Where both are read."""


class NotifySettings(Model):
    """A webhook that is notified of a failure, a crash loop and a missed start."""

    url_from: Variable
    """The environment variable that holds the address; a file never does."""
    form: Literal["json", "slack"] = "json"
    """``json``: a plain object; ``slack``: an incoming webhook of Slack."""
