"""Which stretches without rows are gaps, and how long a bar is."""

from __future__ import annotations

import polars as pl
import pytest

from trading_runtime.datasets.bar_lengths import bar_length
from trading_runtime.datasets.gaps import MOST_LISTED, GapFinder, Gaps
from trading_runtime.units import NANOSECONDS


def find_gaps(identifier: str, times: pl.Series, usual: int) -> Gaps:
    """Find gaps in times that are given two at once."""
    finder = GapFinder(identifier, usual)
    for start in range(0, len(times), 2):
        finder.add(times.slice(start, 2))
    return finder.found()


HOUR, DAY = NANOSECONDS["h"], NANOSECONDS["d"]


def test_only_what_is_longer_than_usual_is_a_gap() -> None:
    gaps = find_gaps("X", pl.Series([0, 10, 20, 31, 41, 100]), usual=10)

    assert [(gap.after, gap.before) for gap in gaps.listed] == [(20, 31), (41, 100)]
    assert (gaps.count, gaps.longest, gaps.total) == (2, 59, 70)


@pytest.mark.parametrize("times", [[], [5], [1, 2, 3], [1, 1, 1]])
def test_rows_at_their_usual_distance_have_no_gap(times: list[int]) -> None:
    assert find_gaps("X", pl.Series(times, dtype=pl.Int64), usual=1).count == 0


def test_of_very_many_gaps_the_longest_are_listed_and_all_counted() -> None:
    steps = [2 + index % 7 for index in range(MOST_LISTED + 500)]

    gaps = find_gaps("X", pl.Series([0, *steps]).cum_sum(), usual=1)

    assert gaps.count == MOST_LISTED + 500
    assert gaps.total == sum(steps)
    lengths = [gap.before - gap.after for gap in gaps.listed]
    assert sorted(lengths) == sorted(steps)[500:]
    assert list(gaps.listed) == sorted(gaps.listed, key=lambda gap: gap.after)


@pytest.mark.parametrize(
    ("specification", "zone", "shortest", "longest"),
    [
        ("500-MILLISECOND-MID", "UTC", HOUR // 7200, HOUR // 7200),
        ("1-MINUTE-LAST", "Asia/Tokyo", HOUR // 60, HOUR // 60),
        ("4-HOUR-BID", "UTC", 4 * HOUR, 4 * HOUR),
        ("1-DAY-LAST", "UTC", DAY, DAY),
        ("1-DAY-LAST", "Europe/Berlin", DAY - HOUR, DAY + HOUR),
        ("1-WEEK-LAST", "UTC", 7 * DAY, 7 * DAY),
    ],
)
def test_a_bar_is_as_long_as_its_specification_says(
    specification: str, zone: str, shortest: int, longest: int
) -> None:
    length = bar_length(specification, zone)

    assert length is not None
    assert (length.shortest, length.longest) == (shortest, longest)


def test_months_differ_in_length_and_volume_bars_have_none() -> None:
    month = bar_length("1-MONTH-LAST", "UTC")

    assert month is not None
    assert month.shortest == 28 * DAY
    assert 31 * DAY <= month.longest < 32 * DAY
    assert bar_length("1000-VOLUME-LAST", "UTC") is None
