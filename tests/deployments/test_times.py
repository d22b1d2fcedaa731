"""Hours in a time zone, across both changes of daylight saving.

New York's clocks went from 02:00 to 03:00 on 2024-03-10, and from 02:00 back to 01:00 on
2024-11-03; the instants are computed by hand from its offsets, UTC-5 and UTC-4.
"""

from __future__ import annotations

import datetime as dt
import json
from typing import TYPE_CHECKING, Any

import pytest

from trading_runtime.config.program import load_program
from trading_runtime.config.supervision import SessionHours
from trading_runtime.deployments.times import (
    ClockOfSchedules,
    is_within_hours,
    time_after,
    time_before,
)
from trading_runtime.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

NEW_YORK = "America/New_York"
MARKET = SessionHours(start="30 9 * * mon-fri", stop="0 16 * * mon-fri", time_zone=NEW_YORK)


def at(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        ("2024-03-08 14:29:59", False),  # Friday before the change: opens at 14:30 UTC
        ("2024-03-08 14:30:00", True),
        ("2024-03-08 20:59:59", True),
        ("2024-03-08 21:00:00", False),
        ("2024-03-10 15:00:00", False),  # Sunday
        ("2024-03-11 13:29:59", False),  # Monday after it: opens at 13:30 UTC
        ("2024-03-11 13:30:00", True),
        ("2024-03-11 19:59:59", True),
        ("2024-03-11 20:00:00", False),
        ("2024-11-01 13:30:00", True),  # Friday before the clocks go back
        ("2024-11-01 20:00:00", False),
        ("2024-11-04 13:30:00", False),  # Monday after it
        ("2024-11-04 14:30:00", True),
        ("2024-11-04 20:59:59", True),
        ("2024-11-04 21:00:00", False),
    ],
)
def test_market_hours_follow_the_clocks_of_their_place(now: str, expected: bool) -> None:  # noqa: FBT001
    assert is_within_hours(MARKET, at(now)) is expected


def test_hours_over_midnight_and_a_weekend_stay_open() -> None:
    week = SessionHours(start="0 18 * * sun", stop="0 17 * * fri", time_zone=NEW_YORK)

    assert is_within_hours(week, at("2024-11-06 05:00:00"))
    assert is_within_hours(week, at("2024-11-08 21:59:00"))
    assert not is_within_hours(week, at("2024-11-08 22:00:00"))
    assert not is_within_hours(week, at("2024-11-10 22:59:00"))
    assert is_within_hours(week, at("2024-11-10 23:00:00"))


def test_a_time_that_the_spring_skips_comes_right_after_the_gap() -> None:
    # 02:30 does not exist on that day: 03:00 there is 07:00 UTC.
    found = time_after("30 2 * * *", NEW_YORK, at("2024-03-10 00:00:00"))

    assert found == at("2024-03-10 07:00:00")
    assert time_before("30 2 * * *", NEW_YORK, at("2024-03-09 12:00:00")) == at(
        "2024-03-09 07:30:00"
    )


def test_a_time_that_the_autumn_repeats_comes_once() -> None:
    # 01:30 is there twice, at 05:30 and at 06:30 UTC.
    first = time_after("30 1 * * *", NEW_YORK, at("2024-11-03 00:00:00"))
    assert first == at("2024-11-03 05:30:00")
    assert time_after("30 1 * * *", NEW_YORK, first) == at("2024-11-04 06:30:00")


def test_a_time_is_found_in_the_minute_that_it_names() -> None:
    assert time_before("15 12 * * *", "UTC", at("2024-01-02 12:15:00")) == at("2024-01-02 12:15:00")
    assert time_before("15 12 * * *", "UTC", at("2024-01-02 12:14:59")) == at("2024-01-01 12:15:00")
    assert time_after("15 12 * * *", "UTC", at("2024-01-02 12:15:00")) == at("2024-01-03 12:15:00")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"start": "0 30 9 * * *"}, "has 6 fields; a cron expression here has five"),
        ({"start": "@daily"}, "has 1 fields"),
        ({"stop": "0 16 ? * *"}, "'?' is no day of month"),
        ({"stop": "0 16 * * 5-7"}, "Sunday is 0 or 'sun'"),
        ({"stop": "0 16 * * funday"}, "'funday' is no day of week"),
        ({"time_zone": "Mars/Olympus"}, "'Mars/Olympus' is not a time zone"),
    ],
)
def test_what_is_no_schedule_is_refused_with_its_place(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    schedule = {"start": "30 9 * * *", "stop": "0 16 * * *", "time_zone": "UTC"} | changes
    path = tmp_path / "one.json"
    content = {"name": "one", "program": {"command": ["x"]}, "schedule": schedule}
    path.write_text(json.dumps(content))
    with pytest.raises(UsageError) as caught:
        load_program(path)

    assert message in str(caught.value)
    assert f": schedule.{next(iter(changes))}: " in str(caught.value)


def test_five_fields_that_make_no_sense_are_refused_when_they_are_used() -> None:
    with pytest.raises(UsageError, match=r"'99 9 \* \* \*' is not a cron expression: Bad minute"):
        time_after("99 9 * * *", "UTC", at("2024-01-01 00:00:00"))


def test_names_become_the_numbers_that_argo_takes_as_well() -> None:
    hours = SessionHours(start="0 9 * jan-MAR mon,wed", stop="0 16 * * sun", time_zone="UTC")

    assert (hours.start, hours.stop) == ("0 9 * 1-3 1,3", "0 16 * * 0")


class SetClock:
    """A clock of schedules over a wall clock that the test sets; it began at 14:00 UTC."""

    def __init__(self) -> None:
        self.wall = at("2024-03-08 14:00:00").timestamp()
        self.steady = 100.0
        self.told: list[str] = []
        self.clock = ClockOfSchedules(self.told.append, lambda: self.wall, lambda: self.steady)

    def after(self, seconds: float, *, set_by: float = 0.0) -> dt.datetime:
        """Let time pass, and somebody set the clock meanwhile."""
        self.steady += seconds
        self.wall += seconds + set_by
        return dt.datetime.fromtimestamp(self.clock.now(), dt.UTC)


def test_a_clock_that_is_set_back_stops_nothing_that_has_just_opened() -> None:
    clock = SetClock()
    opened = clock.after(1801)  # 14:30:01 UTC, a second after the opening
    then = [clock.after(60, set_by=-120), clock.after(30), clock.after(600)]

    assert opened == then[0] == then[1] == at("2024-03-08 14:30:01")
    assert then[2] == at("2024-03-08 14:39:31")
    assert all(is_within_hours(MARKET, now) for now in then)
    assert clock.told == ["warning: the clock of this machine was set back by 120 s"]


def test_a_clock_that_was_wrong_by_hours_is_followed() -> None:
    clock = SetClock()
    forward = clock.after(1, set_by=86_400)
    back = clock.after(1, set_by=-86_400)

    assert forward == at("2024-03-09 14:00:01")
    assert back == at("2024-03-08 14:00:02")
    assert [line.partition("was ")[2] for line in clock.told] == [
        "set forward by 86400 s",
        "set back by 86400 s",
    ]


def test_a_machine_that_slept_did_not_set_its_clock() -> None:
    clock = SetClock()

    assert clock.after(30_000) == at("2024-03-08 22:20:00")
    assert clock.told == []
