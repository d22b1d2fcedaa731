"""A warning of a run, as ``plan.json`` and ``result.json`` have it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from trading_runtime.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping


class WarningKind(StrEnum):
    """What a warning is about."""

    FEWER_POINTS = "fewer_points"
    NO_MARGIN = "no_margin"
    INSTRUMENT_NOT_FED = "instrument_not_fed"
    BARS_NOT_FED = "bars_not_fed"
    NEVER_FILLS = "never_fills"
    NOT_SETTLED = "not_settled"
    DAY_CLOSES = "day_closes"
    STATED_SIZE = "stated_size"
    OUTSIDE_THE_DATA = "outside_the_data"
    HIGH_RATE = "high_rate"
    HELD_OUT = "held_out"
    SHORT_EMBARGO = "short_embargo"
    NO_ORDERS = "no_orders"
    NO_FILLS = "no_fills"


@dataclass(frozen=True, slots=True)
class RunWarning:
    """One thing to know before trusting the results of a run."""

    kind: WarningKind
    message: str
    """A sentence: the fact, its consequence, and how to change it."""
    where: str
    """The key of the experiment, or whatever else it is about."""

    def __str__(self) -> str:
        """Return it as a line for the terminal."""
        return f"{self.where}: {self.message}"

    def document(self) -> dict[str, str]:
        """Return it as ``plan.json`` and ``result.json`` have it."""
        return {"kind": self.kind.value, "where": self.where, "message": self.message}


def read_warnings(content: Mapping[str, Any]) -> list[RunWarning]:
    """Return the warnings of a ``plan.json`` or ``result.json``; earlier versions have none.

    Raises ``DataError`` when they are damaged.
    """
    try:
        return [
            RunWarning(WarningKind(item["kind"]), str(item["message"]), str(item["where"]))
            for item in content.get("warnings", ())
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            "warnings: damaged in the run's plan or result; run the experiment again"
        ) from error
