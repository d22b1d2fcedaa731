"""Which days are returns, and what makes a year, against a reckoning by fractions alone."""

from __future__ import annotations

import datetime as dt
import itertools
import math
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

from tests.plans import COMMON
from tests.results.quantstats_opinion import fridays, month_ends, weekdays
from trading_runtime.datasets.observed_days import Observed, RowTimes
from trading_runtime.records.inputs import CommonInputs
from trading_runtime.records.instruments import InstrumentDefinition
from trading_runtime.results.calendar import Calendar, observed_facts, observed_of
from trading_runtime.results.statistics import Fills, task_statistics
from trading_runtime.units import DAY

HOUR = DAY // 24
MONDAY = 18_995  # 2022-01-03
QUANTSTATS = {
    "days": {
        "return": 0.01599999999999757,
        "volatility": 0.12463235554969371,
        "sharpe": 0.18801294909486482,
        "sortino": 0.20813618185008692,
        "max_drawdown": 0.022535763276503973,
    },
    "weeks": {
        "return": 0.01939999999999853,
        "volatility": 0.054959501443227476,
        "sharpe": 0.38371777503985155,
        "sortino": 0.4320684003669509,
        "max_drawdown": 0.020282186948853642,
    },
    "months": {
        "return": 0.0004999999999986127,
        "volatility": 0.027873263810261794,
        "sharpe": 0.022808646560800748,
        "sortino": 0.02573861136358207,
        "max_drawdown": 0.019694297472075295,
    },
}
"""What QuantStats 0.0.86 says of the same closes: the output of ``quantstats_opinion.py``."""


def root(value: Fraction) -> Fraction:
    """Return the square root to 40 digits."""
    scale = 10**40
    return Fraction(math.isqrt(value.numerator * scale**2 // value.denominator), scale)


def stock_year() -> list[tuple[int, Fraction]]:
    """Closes at 21:00 UTC of the weekdays of 2022 but three holidays, of a made-up course."""
    return closes_on(weekdays())


def closes_on(opened: list[dt.date]) -> list[tuple[int, Fraction]]:
    """Return closes of a made-up course at 21:00 UTC of some days."""
    ordinal = dt.date(1970, 1, 1).toordinal()
    return [
        ((day.toordinal() - ordinal) * DAY + 21 * HOUR, Fraction(100_00 + 37 * i % 211 - i // 9))
        for i, day in enumerate(opened)
    ]


def found_for(
    rows: list[tuple[int, Fraction]], calendar: Calendar, overhang: int = 0
) -> dict[str, Any]:
    """Statistics of an account that is worth each close, sampled every hour of a longer window."""
    seen = RowTimes()
    seen.add([ts for ts, _ in rows])
    start, end = rows[0][0] // DAY * DAY - overhang, (rows[-1][0] // DAY + 1) * DAY + overhang
    equity, place = [], 0
    for ts in range(start, end + 1, HOUR):
        while place + 1 < len(rows) and rows[place + 1][0] <= ts:
            place += 1
        equity.append((ts, Decimal(int(rows[place][1]))))
    return task_statistics(equity, seen.observed(), Fills(), [], calendar)


def by_hand(rows: list[tuple[int, Fraction]], periods: Fraction) -> tuple[float, float, float]:
    """Return volatility, Sharpe and Sortino from the closes alone.

    Sharpe (1994): mean / s; Sortino and Price (1994): mean / d; both times the root of the periods.
    """
    returns = [after / before - 1 for (_, before), (_, after) in itertools.pairwise(rows)]
    mean = sum(returns, Fraction(0)) / len(returns)
    nothing = Fraction(0)
    squares = sum(((one - mean) * (one - mean) for one in returns), nothing)
    deviation = root(squares / (len(returns) - 1))
    below = [min(one, nothing) for one in returns]
    losses = root(sum((one * one for one in below), nothing) / len(returns))
    year = root(periods)
    return float(deviation * year), float(mean / deviation * year), float(mean / losses * year)


@pytest.mark.parametrize("overhang", [0, 40 * DAY])
@pytest.mark.parametrize("given", [252, None])
def test_a_year_of_stock_closes_has_the_ratios_of_a_reckoning_by_hand(
    given: int | None, overhang: int
) -> None:
    rows = stock_year()
    # 260 weekdays less 3 holidays; the first close is where returns begin. From Tuesday 2022-01-04
    # to Friday 2022-12-30 there are 51 Mondays, 48 of them without a holiday.
    assert len(rows) == 257
    periods = Fraction(given) if given else Fraction(365, 7) * (4 + Fraction(48, 51))
    found = found_for(rows, Calendar(periods_per_year=given), overhang)
    assert found["days"] == 256
    assert found["periods_per_year"] == pytest.approx(float(periods), rel=1e-11)
    assert (found["volatility"], found["sharpe"], found["sortino"]) == pytest.approx(
        by_hand(rows, periods), rel=1e-11
    )


@pytest.mark.parametrize(
    ("series", "opened", "periods"),
    [("days", weekdays(), 252), ("weeks", fridays(), 52), ("months", month_ends(), 12)],
)
def test_closes_of_days_weeks_and_months_have_the_statistics_of_quantstats(
    series: str, opened: list[dt.date], periods: int
) -> None:
    rows = closes_on(opened)
    found = found_for(rows, Calendar(periods_per_year=periods), overhang=40 * DAY)
    opinion = QUANTSTATS[series]
    assert {name: found[name] for name in opinion} == pytest.approx(opinion, rel=1e-9)

    # Without the factor, a year of such rows has nearly as many returns, and ratios follow it.
    derived = found_for(rows, Calendar(open_on_weekends=False), overhang=40 * DAY)
    year = derived["periods_per_year"]
    assert year == pytest.approx(periods, rel=0.04)
    for name in ("volatility", "sharpe", "sortino"):
        assert derived[name] == pytest.approx(opinion[name] * math.sqrt(year / periods), rel=1e-9)


def test_with_every_day_weekends_are_returns_of_zero_and_a_year_has_365() -> None:
    rows = stock_year()
    carried = [rows[0]]
    for row in rows[1:]:
        while row[0] - carried[-1][0] > DAY:
            carried.append((carried[-1][0] + DAY, carried[-1][1]))
        carried.append(row)
    found = found_for(rows, Calendar(every_day=True))
    assert (found["days"], found["periods_per_year"]) == (361, 365)
    assert (found["volatility"], found["sharpe"], found["sortino"]) == pytest.approx(
        by_hand(carried, Fraction(365)), rel=1e-11
    )


def test_data_of_every_day_has_365_returns_a_year_whatever_the_calendar() -> None:
    days = [(MONDAY, MONDAY + 10)]
    for calendar in (Calendar(), Calendar(every_day=True)):
        assert calendar.year(days, MONDAY) == calendar.year(days, MONDAY - 1) == 365


@pytest.mark.parametrize(
    ("days", "open_on_weekends", "in_a_week"),
    [
        # Monday to Friday alone do not show whether weekends are open: the instruments tell.
        ([(MONDAY, MONDAY + 5)], False, 5),
        ([(MONDAY, MONDAY + 5)], True, 7),
        # Two working weeks show it, whatever the instruments are.
        ([(MONDAY, MONDAY + 5), (MONDAY + 7, MONDAY + 12)], True, 5),
        ([(MONDAY + 4, MONDAY + 5), (MONDAY + 7, MONDAY + 8)], True, 5),
        # One day, and a week of a currency pair that opens on Sunday evening.
        ([(MONDAY, MONDAY + 1)], False, 5),
        ([(MONDAY, MONDAY + 1)], True, 7),
        ([(MONDAY - 1, MONDAY + 5)], False, 6),
        # Four weeks with one holiday on a Monday: three of four Mondays.
        ([(MONDAY, MONDAY + 5), *((MONDAY + i, MONDAY + i + 4) for i in (8, 15, 22))], False, 4.25),
        ([(MONDAY + 5, MONDAY + 7)], True, 7),
    ],
)
def test_a_year_has_365_sevenths_of_the_days_that_count_in_a_week(
    days: list[tuple[int, int]], in_a_week: float, *, open_on_weekends: bool
) -> None:
    # The first day has more than the first row.
    year = Calendar(open_on_weekends=open_on_weekends).year(days, days[0][0])
    assert float(year or 0) == pytest.approx(365 * in_a_week / 7, rel=1e-12)


def ends_of_months(first: dt.date, months: int, every: int) -> list[int]:
    """Return 21:00 UTC on the last day of each ``every``-th month, beginning with ``first``."""
    found = []
    for number in range(0, months + 1, every):
        year, month = divmod(first.year * 12 + first.month - 1 + number + 1, 12)
        end = dt.date(year, month + 1, 1).toordinal() - 1 - dt.date(1970, 1, 1).toordinal()
        found.append(end * DAY + 21 * HOUR)
    return found


@pytest.mark.parametrize(
    ("closes", "returns", "year"),
    [
        # From the end of 2021 to that of 2022, 365 days.
        (ends_of_months(dt.date(2021, 12, 31), 12, 1), 12, Fraction(12)),
        (ends_of_months(dt.date(2021, 12, 31), 12, 3), 4, Fraction(4)),
        (ends_of_months(dt.date(2021, 12, 31), 12, 12), 1, Fraction(1)),
        # Five years, two of them leap years: 1,827 days.
        (ends_of_months(dt.date(2019, 12, 31), 60, 1), 60, Fraction(365 * 60, 1827)),
        # Fridays: one more after a week, after four, and after a year.
        ([(MONDAY + 4 + 7 * i) * DAY + 21 * HOUR for i in range(2)], 1, Fraction(365, 7)),
        ([(MONDAY + 4 + 7 * i) * DAY + 21 * HOUR for i in range(5)], 4, Fraction(365, 7)),
        ([(MONDAY + 4 + 7 * i) * DAY + 21 * HOUR for i in range(53)], 52, Fraction(365, 7)),
        # Tuesdays and Thursdays of four weeks, from a Thursday on.
        (
            [(MONDAY - 4 + 7 * w + d) * DAY + HOUR for w in range(4) for d in (0, 5)],
            7,
            Fraction(365, 7) * 2,
        ),
        # A working day after a Friday.
        ([(MONDAY + 4) * DAY + HOUR, (MONDAY + 7) * DAY + HOUR], 1, Fraction(365, 7) * 5),
    ],
)
def test_rows_that_are_a_week_or_more_apart_have_as_many_returns_a_year_as_they_span(
    closes: list[int], returns: int, year: Fraction
) -> None:
    rows = [(ts, Fraction(100 + 7 * i % 5)) for i, ts in enumerate(closes)]
    found = found_for(rows, Calendar(open_on_weekends=False), overhang=40 * DAY)
    assert found["days"] == returns
    assert found["periods_per_year"] == pytest.approx(float(year), rel=1e-11)
    if returns > 1:
        assert (found["volatility"], found["sharpe"]) == pytest.approx(
            by_hand(rows, year)[:2], rel=1e-11
        )


@pytest.mark.parametrize(
    ("currencies", "is_open"),
    [
        (["USD"], False),
        (["EUR", "JPY"], False),
        (["XAU", "USD"], False),
        (["BTC", "USD"], True),
        (["NEAR", "USDT"], True),
    ],
)
def test_weekends_that_the_data_does_not_show_are_open_for_crypto_currencies(
    currencies: list[str], *, is_open: bool
) -> None:
    keys = ("quote_currency", "base_currency")
    instrument = {"id": "A.SIM"} | dict(zip(keys, reversed(currencies), strict=False))
    definition = InstrumentDefinition.from_document(instrument)
    calendar = Calendar.of(CommonInputs.from_document(COMMON), [definition])
    assert calendar.open_on_weekends is is_open


def test_a_row_at_midnight_belongs_to_the_day_that_it_ends() -> None:
    seen = RowTimes()
    # Daily bars of Monday to Friday, stamped where they close; returns begin with the first close.
    seen.add([(MONDAY + i) * DAY for i in range(1, 6)])
    assert seen.observed() == Observed(
        (MONDAY + 1) * DAY, (MONDAY + 5) * DAY, ((MONDAY + 1, MONDAY + 5),)
    )


def test_days_do_not_depend_on_how_rows_are_cut_into_pieces() -> None:
    times = sorted((i * 7919 * HOUR // 3) % (30 * DAY) for i in range(60))
    whole = RowTimes()
    whole.add(times)
    for size in (1, 7, 25):
        pieces = RowTimes()
        for place in reversed(range(0, len(times), size)):
            pieces.add(times[place : place + size])
        assert pieces.observed() == whole.observed()
    by_hand = {(ts - 1) // DAY for ts in times if ts > times[0]}
    observed = whole.observed()
    assert observed is not None
    assert {day for start, end in observed.days for day in range(start, end)} == by_hand


def test_a_window_without_rows_or_with_one_instant_has_no_day() -> None:
    seen = RowTimes()
    assert seen.observed() is None
    seen.add([5, 5])
    assert seen.observed() == Observed(5, 5, ())
    assert Calendar(every_day=True).days(()) == []
    assert Calendar().year([], 0) is None


def test_what_the_summary_says_of_the_data_reads_back() -> None:
    seen = Observed(
        MONDAY * DAY + 1, (MONDAY + 9) * DAY, ((MONDAY, MONDAY + 1), (MONDAY + 3, MONDAY + 9))
    )
    facts = observed_facts(seen)
    assert facts["observed_days"] == ["2022-01-03/2022-01-03", "2022-01-06/2022-01-11"]
    assert observed_of(facts) == seen
    assert observed_of(observed_facts(None)) is None
