"""Which days count as returns, and how many of them make a year."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from trading_runtime.datasets.observed_days import Observed
from trading_runtime.results.exact import EXACT
from trading_runtime.units import format_instant, parse_instant

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

type Interval = tuple[int, int]
"""Start and end in nanoseconds since the epoch; the end is excluded."""


def union(intervals: Iterable[Interval]) -> list[Interval]:
    """Return the union of the intervals, in order, without overlaps or touching neighbours."""
    merged: list[Interval] = []
    for start, end in sorted(interval for interval in intervals if interval[0] < interval[1]):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def common_length(left: Sequence[Interval], right: Sequence[Interval]) -> int:
    """Return the total length that two ordered lists of separate intervals have in common."""
    total = i = j = 0
    while i < len(left) and j < len(right):
        total += max(0, min(left[i][1], right[j][1]) - max(left[i][0], right[j][0]))
        if left[i][1] <= right[j][1]:
            i += 1
        else:
            j += 1
    return total


DAYS_OF_A_YEAR = 365
_EPOCH = dt.date(1970, 1, 1).toordinal()


class Calendar(NamedTuple):
    """The setting ``statistics``: which days are returns, and how they are annualised."""

    every_day: bool = False
    """Whether days without data count as returns of zero, or not at all."""
    periods_per_year: int | None = None
    """Returns per year; when not given, it is derived from the days that count."""

    @classmethod
    def of(cls, common: Mapping[str, Any]) -> Self:
        """Return the calendar that a plan's common inputs state."""
        return cls(common["calendar"] == "every_day", common["periods_per_year"])

    def days(self, observed: Iterable[Interval]) -> list[Interval]:
        """Return the days that count, given the observed ones, in one window or several."""
        days = union(observed)
        return [(days[0][0], days[-1][1])] if self.every_day and days else days

    def year(self, days: Sequence[Interval]) -> Decimal | None:
        """Return how many returns a year has; ``None`` when no day counts.

        When not given, it is 365 x the days that count / the days from the first of them to the
        last: 365 for every day, about 252 for a stock exchange.
        """
        if self.periods_per_year is not None:
            return Decimal(self.periods_per_year)
        if not days:
            return None
        return EXACT.divide(
            Decimal(DAYS_OF_A_YEAR * day_count(days)), Decimal(days[-1][1] - days[0][0])
        )


def day_count(days: Iterable[Interval]) -> int:
    """Return the number of days in stretches of days."""
    return sum(end - start for start, end in days)


def observed_facts(observed: Observed | None) -> dict[str, Any]:
    """Return what ``summary.json`` states of the data: first and last row, stretches of days."""
    if observed is None:
        return {"first_row": None, "last_row": None, "observed_days": []}
    return {
        "first_row": format_instant(observed.first),
        "last_row": format_instant(observed.last),
        "observed_days": [f"{_date(start)}/{_date(end - 1)}" for start, end in observed.days],
    }


def observed_of(summary: Mapping[str, Any]) -> Observed | None:
    """Return the argument of ``observed_facts``."""
    if summary["first_row"] is None:
        return None
    return Observed(
        parse_instant(summary["first_row"]),
        parse_instant(summary["last_row"]),
        tuple(map(_stretch, summary["observed_days"])),
    )


def _date(day: int) -> str:
    return dt.date.fromordinal(_EPOCH + day).isoformat()


def _stretch(text: str) -> Interval:
    first, last = (dt.date.fromisoformat(each).toordinal() - _EPOCH for each in text.split("/"))
    return first, last + 1
