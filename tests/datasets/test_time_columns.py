"""Times of raw files become nanoseconds since the epoch, UTC."""

from __future__ import annotations

import datetime as dt
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
import pytest

from trading_runtime.datasets.bar_lengths import local_offset
from trading_runtime.datasets.time_columns import read_times
from trading_runtime.errors import UsageError

S = 1_000_000_000


def seconds(*parts: int, zone: str = "UTC") -> int:
    moment = dt.datetime(*parts, tzinfo=ZoneInfo(zone))  # type: ignore[misc, arg-type]
    return int(moment.timestamp()) * S


def read(
    values: pl.Series | list[Any], timestamp_format: str = "iso", zone: str = "UTC"
) -> list[object]:
    found = read_times(pl.Series(values), timestamp_format, zone)
    return [fault or ns for ns, fault in found.iter_rows()]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2021-12-31 23:01:00.000000", seconds(2021, 12, 31, 23, 1)),
        ("2021-12-31T23:01:00Z", seconds(2021, 12, 31, 23, 1)),
        ("2021-12-31T23:01", seconds(2021, 12, 31, 23, 1)),
        ("2021-12-31", seconds(2021, 12, 31)),
        ("2021-12-31T23:01:00.123456789", seconds(2021, 12, 31, 23, 1) + 123_456_789),
        ("2021-12-31 23:01:00,5", seconds(2021, 12, 31, 23, 1) + S // 2),
        ("2021-12-31T23:01:00+01:00", seconds(2021, 12, 31, 22, 1)),
        ("2021-12-31T23:01:00-0530", seconds(2022, 1, 1, 4, 31)),
        ("2021-02-29", "unreadable"),
        ("2021-12-31 24:00:00", "unreadable"),
        ("2021-12-31 23:59:60", "unreadable"),
        ("yesterday", "unreadable"),
        ("1969-12-31", "out of range"),
        ("", "missing"),
    ],
)
def test_iso_times_are_read_in_utc_unless_they_say_otherwise(text: str, expected: object) -> None:
    assert read([text]) == [expected]


def test_one_column_may_hold_iso_times_with_and_without_offset() -> None:
    assert read(["2021-06-01 12:00:00", "2021-06-01 12:00:00Z"], zone="Europe/Berlin") == [
        seconds(2021, 6, 1, 10),
        seconds(2021, 6, 1, 12),
    ]


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [
        ("1609459200", "s", seconds(2021, 1, 1)),
        ("1609459200.123456789", "s", seconds(2021, 1, 1) + 123_456_789),
        (1609459200123, "ms", seconds(2021, 1, 1) + 123_000_000),
        ("1609459200123456", "us", seconds(2021, 1, 1) + 123_456_000),
        (1609459200123456789, "ns", seconds(2021, 1, 1) + 123_456_789),
        ("0", "s", 0),
        ("1.5", "ns", "unreadable"),
        ("-1", "s", "out of range"),
        ("99999999999", "s", "out of range"),
    ],
)
def test_numbers_are_read_in_the_unit_that_is_named(
    value: object, unit: str, expected: object
) -> None:
    assert read([value], unit) == [expected or 0]


def test_a_pattern_reads_milliseconds_without_a_separator() -> None:
    assert read(["20200101 170000065", "20200101 17000006"], "%Y%m%d %H%M%S%3f") == [
        seconds(2020, 1, 1, 17) + 65_000_000,
        "unreadable",
    ]


def test_local_times_that_came_twice_or_never_are_told_apart() -> None:
    texts = ["2024-03-31 02:30:00", "2024-10-27 02:30:00", "2024-10-27 03:00:00"]

    assert read(texts, zone="Europe/Berlin") == [
        "no such local time",
        "ambiguous local time",
        seconds(2024, 10, 27, 3, zone="Europe/Berlin"),
    ]


def test_parquet_timestamps_need_no_format() -> None:
    naive = pl.Series([dt.datetime(2024, 1, 1, 9)]).cast(pl.Datetime("ms"))  # noqa: DTZ001
    aware = naive.dt.replace_time_zone("Asia/Tokyo")

    assert read(naive, zone="America/New_York") == [seconds(2024, 1, 1, 14)]
    assert read(aware, zone="America/New_York") == [seconds(2024, 1, 1, 0)]
    assert read(pl.Series([dt.date(2024, 1, 1)])) == [seconds(2024, 1, 1)]


def test_numbers_without_a_unit_are_refused() -> None:
    with pytest.raises(UsageError, match="timestamp_format"):
        read([1609459200])


def test_a_day_on_the_clock_of_a_zone_may_have_23_hours() -> None:
    opened = pl.Series([seconds(2024, 3, 31, zone="Europe/Berlin")])

    closed = local_offset(opened, "1d", "Europe/Berlin")

    assert closed[0] - opened[0] == 23 * 3600 * S
    assert closed[0] == seconds(2024, 4, 1, zone="Europe/Berlin")


MIDNIGHTS = [
    # The clocks are put forward from 00:00 to 01:00.
    ("America/Sao_Paulo", dt.date(2018, 11, 4), (2018, 11, 4, 3), 23),
    ("Asia/Beirut", dt.date(2024, 3, 31), (2024, 3, 30, 22), 23),
    ("Africa/Cairo", dt.date(2024, 4, 26), (2024, 4, 25, 22), 23),
    ("America/Santiago", dt.date(2024, 9, 8), (2024, 9, 8, 4), 23),
    # They are put back from 01:00 to 00:00.
    ("America/Havana", dt.date(2018, 11, 4), (2018, 11, 4, 4), 25),
    ("America/Sao_Paulo", dt.date(2018, 2, 17), (2018, 2, 17, 2), 25),
]
"""Days, their first instants in UTC, and how many hours they have."""


@pytest.mark.parametrize(("zone", "day", "first", "hours"), MIDNIGHTS)
def test_a_date_is_the_first_instant_of_its_day_though_the_clocks_skip_midnight(
    zone: str, day: dt.date, first: tuple[int, ...], hours: int
) -> None:
    begins = seconds(*first)

    assert read([day.isoformat()], zone=zone) == [begins]
    assert read([f"{day:%d.%m.%Y}"], "%d.%m.%Y", zone=zone) == [begins]
    assert read(pl.Series([day]), zone=zone) == [begins]
    midnight = pl.Series([f"{day} 00:00:00"])
    assert read_times(midnight, "iso", zone, midnights_are_days=True)["ns"].to_list() == [begins]
    # The day before ends when this one begins, and this one when its hours are over.
    eve = read([(day - dt.timedelta(days=1)).isoformat()], zone=zone)
    assert local_offset(pl.Series(eve), "1d", zone).to_list() == [begins]
    assert local_offset(pl.Series([begins]), "1d", zone).to_list() == [begins + hours * 3600 * S]


def test_a_midnight_that_the_clocks_skip_is_no_time_of_a_row_within_the_day() -> None:
    assert read(["2018-11-04 00:00:00", "2018-11-04 00:30:00"], zone="America/Sao_Paulo") == [
        "no such local time",
        "no such local time",
    ]


@pytest.mark.parametrize(
    ("text", "pattern"),
    [
        ("2020-05-01 07-PM", "%Y-%m-%d %I-%p"),
        ("2020-05-01T19", "%Y-%m-%dT%H"),
        ("2020050119", "%Y%m%d%H"),
        ("2020-05-01 20 +0100", "%Y-%m-%d %H %z"),
    ],
)
def test_a_pattern_may_have_hours_without_minutes(text: str, pattern: str) -> None:
    assert read([text], pattern) == [seconds(2020, 5, 1, 19)]
