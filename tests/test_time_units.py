"""Durations and instants are whole nanoseconds, and read back as they were written."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_runtime.units import format_duration, format_instant, parse_duration, parse_instant

LAST = int(dt.datetime(9999, 12, 31, tzinfo=dt.UTC).timestamp()) * 10**9


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("1ns", 1),
        ("2us", 2_000),
        ("3ms", 3_000_000),
        ("90s", 90_000_000_000),
        ("1h30m", 5_400_000_000_000),
        ("7d", 604_800_000_000_000),
        ("1w", 604_800_000_000_000),
        ("0s", 0),
    ],
)
def test_a_duration_is_a_sum_of_whole_numbers_with_units(text: str, nanoseconds: int) -> None:
    assert parse_duration(text) == nanoseconds


@pytest.mark.parametrize(
    "text", ["", "1", "s", "1.5h", "-1s", "1 h", "1h ", "1M", "1s\n", "\u0661s"]
)
def test_what_is_no_duration_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="'1h30m'"):
        parse_duration(text)


@given(st.integers(0, 10**19))
def test_a_duration_reads_back(nanoseconds: int) -> None:
    assert parse_duration(format_duration(nanoseconds)) == nanoseconds


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("1970-01-01", 0),
        ("2024-01-01", 1_704_067_200_000_000_000),
        ("2024-01-01T00:00:00Z", 1_704_067_200_000_000_000),
        ("2024-01-01T01:00:00+01:00", 1_704_067_200_000_000_000),
        ("2024-01-01 00:00:00.5", 1_704_067_200_500_000_000),
        ("2024-01-01T00:00:00,5", 1_704_067_200_500_000_000),
        ("2024-01-01T00:00:00.000000001Z", 1_704_067_200_000_000_001),
        ("1969-12-31T23:59:59.999999999Z", -1),
    ],
)
def test_an_instant_is_utc_unless_it_says_otherwise(text: str, nanoseconds: int) -> None:
    assert parse_instant(text) == nanoseconds


@pytest.mark.parametrize(
    "text", ["", "yesterday", "2024-13-01", "2024-01-01T25:00:00", "2024-01-01T00:00:00.0000000001"]
)
def test_what_is_no_instant_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_instant(text)


@given(st.integers(0, LAST))
def test_an_instant_reads_back(nanoseconds: int) -> None:
    assert parse_instant(format_instant(nanoseconds)) == nanoseconds


def test_an_instant_shows_the_digits_it_needs() -> None:
    assert format_instant(1_704_067_200_000_000_000) == "2024-01-01T00:00:00Z"
    assert format_instant(1_704_067_200_120_000_000) == "2024-01-01T00:00:00.12Z"
