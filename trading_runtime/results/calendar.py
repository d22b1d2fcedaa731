"""Which days count as returns, and how many of them make a year."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from trading_runtime.currency_codes import is_crypto
from trading_runtime.datasets.observed_days import Observed
from trading_runtime.results.exact import EXACT
from trading_runtime.units import format_instant, parse_instant

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from trading_runtime.records.inputs import CommonInputs
    from trading_runtime.records.instruments import InstrumentDefinition
    from trading_runtime.records.plan import Plan

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
_WEEK, _WORKDAYS = 7, 5


class Calendar(NamedTuple):
    """The setting ``statistics``: which days are returns, and how they are annualised."""

    every_day: bool = False
    """Whether days without data count as returns of zero, or not at all."""
    periods_per_year: int | None = None
    """Returns per year; when not given, it is derived from the days that count."""
    open_on_weekends: bool = True
    """What is assumed of Saturdays and Sundays when the days do not show it."""

    @classmethod
    def of(cls, common: CommonInputs, instruments: Iterable[InstrumentDefinition]) -> Self:
        """Return the calendar that a task's inputs state."""
        return cls(
            common.every_day, common.periods_per_year, any(map(_trades_on_weekends, instruments))
        )

    @classmethod
    def of_plan(cls, plan: Plan) -> Self:
        """Return the calendar of all tasks of a plan."""
        traded = {name for partition in plan.partitions for name in partition.instruments}
        return cls.of(plan.common, (plan.instruments[name] for name in traded))

    def days(self, observed: Iterable[Interval]) -> list[Interval]:
        """Return the days that count, given the observed ones, in one window or several."""
        days = union(observed)
        return [(days[0][0], days[-1][1])] if self.every_day and days else days

    def year(self, days: Sequence[Interval], since: int) -> Decimal | None:
        """Return how many returns a year has; ``None`` when no day counts.

        ``since`` is the day of the first row, from which the first return is counted. When not
        given, a year has 365 returns for ``every_day``. Else, where there is one a week or fewer,
        it is 365 x their number / the days from ``since`` to the last return: 12 for month ends.
        Otherwise it is 365 / 7 x the sum, over the days of the week, of the share of such days that
        count, after ``since`` up to the last return. A day of the week that is not among them
        counts as the mean of the others from Monday to Friday, or, on a weekend, as open or closed.
        So it is about 261 for working days, in any stretch.
        """
        if self.periods_per_year is not None:
            return Decimal(self.periods_per_year)
        if not days:
            return None
        if self.every_day:
            return Decimal(DAYS_OF_A_YEAR)
        span = min(days[0][0], since + 1), days[-1][1]
        length, count = day_count([span]), day_count(days)
        if count * _WEEK <= length:
            return EXACT.divide(Decimal(DAYS_OF_A_YEAR * count), Decimal(length))
        in_span = _by_weekday([span])
        counting = _by_weekday(days)
        shares = [
            Fraction(some, of) if of else None for some, of in zip(counting, in_span, strict=True)
        ]
        known = [share for share in shares[:_WORKDAYS] if share is not None]
        usual = sum(known, Fraction(0)) / len(known) if known else Fraction(1)
        weekend = usual if self.open_on_weekends else Fraction(0)
        week = sum(
            (weekend if place >= _WORKDAYS else usual) if share is None else share
            for place, share in enumerate(shares)
        )
        year = Fraction(DAYS_OF_A_YEAR, _WEEK) * week
        return EXACT.divide(Decimal(year.numerator), Decimal(year.denominator))


def _by_weekday(days: Iterable[Interval]) -> list[int]:
    """Return how many of the days are a Monday, a Tuesday, and so on."""
    counts = [0] * _WEEK
    for start, end in days:
        weeks, rest = divmod(end - start, _WEEK)
        counts = [count + weeks for count in counts]
        for day in range(start, start + rest):
            # Day 0, 1970-01-01, was a Thursday.
            counts[(day + 3) % _WEEK] += 1
    return counts


def _trades_on_weekends(instrument: InstrumentDefinition) -> bool:
    """Return whether an instrument involves a crypto currency, which no exchange closes for."""
    return any(map(is_crypto, instrument.currencies))


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
