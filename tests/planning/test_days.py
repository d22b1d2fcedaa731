"""How many days a plan says count, from row groups alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from trading_runtime.planning.days import planned_days
from trading_runtime.records.plan import ReturnDays
from trading_runtime.units import DAY

if TYPE_CHECKING:
    from trading_runtime.planning.partitions import Partition

HOUR = DAY // 24
MONDAY = 18_995


class Group:
    """What a row group says of its rows."""

    def __init__(self, first: int, last: int) -> None:
        self.first, self.last = first, last


class Window:
    """A partition of one series."""

    def __init__(self, start: int, end: int, *groups: Group) -> None:
        self.start, self.end = start, end
        self.row_groups = [(None, group) for group in groups]


def days(*windows: Window, every_day: bool = False) -> ReturnDays:
    return planned_days(cast("list[Partition]", cast("Any", windows)), every_day=every_day)


def group(day: int, first: int = 9, last: int = 17) -> Group:
    return Group((MONDAY + day) * DAY + first * HOUR, (MONDAY + day) * DAY + last * HOUR)


def test_row_groups_of_a_day_each_give_the_exact_number() -> None:
    week = Window(MONDAY * DAY, (MONDAY + 14) * DAY, *(group(day) for day in (0, 1, 4, 7, 8)))
    assert days(week) == ReturnDays(5, 5)
    assert days(week, every_day=True) == ReturnDays(9, 9)


def test_a_day_counts_once_however_many_windows_see_it() -> None:
    morning = Window(MONDAY * DAY, MONDAY * DAY + 12 * HOUR, group(0, 1, 11))
    evening = Window(MONDAY * DAY + 12 * HOUR, (MONDAY + 1) * DAY, group(0, 12, 23))
    assert days(morning, evening) == ReturnDays(1, 1)


def test_daily_closes_have_one_return_less_than_rows() -> None:
    closes = [group(day, 21, 21) for day in range(5)]
    assert days(Window(MONDAY * DAY, (MONDAY + 5) * DAY, *closes)) == ReturnDays(4, 4)


def test_of_a_row_group_over_several_days_only_the_ends_are_sure() -> None:
    start = MONDAY * DAY
    adopted = Window(start, start + 10 * DAY, Group(start + HOUR, start + 5 * DAY + HOUR))
    # The first row itself is no day: Monday is not sure. Six days at most.
    assert days(adopted) == ReturnDays(1, 6)


def test_rows_of_the_warm_up_do_not_count() -> None:
    window = Window((MONDAY + 1) * DAY, (MONDAY + 2) * DAY, group(0), group(1))
    assert days(window) == ReturnDays(1, 1)
