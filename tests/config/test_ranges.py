"""Ranges of values: exact, with both ends."""

from __future__ import annotations

from decimal import Decimal

import pytest

from trading_runtime.config.ranges import MAX_VALUES, range_problem, range_values


def values(start: str, stop: str, step: str, scale: str = "linear") -> list[int | Decimal]:
    return range_values(Decimal(start), Decimal(stop), Decimal(step), scale)


def test_both_ends_are_included_where_a_step_falls_on_them() -> None:
    assert values("1", "10", "3") == [1, 4, 7, 10]
    assert values("1", "9", "3") == [1, 4, 7]
    assert values("5", "5", "1") == [5]


def test_tenths_add_up_exactly() -> None:
    assert values("0.1", "0.5", "0.1") == [Decimal(f"0.{digit}") for digit in range(1, 6)]


def test_whole_numbers_stay_ints_and_one_fraction_makes_all_decimals() -> None:
    assert [type(value) for value in values("1.0", "3", "1")] == [int, int, int]
    assert [type(value) for value in values("1", "2", "0.5")] == [Decimal, Decimal, Decimal]


def test_a_log_range_multiplies_by_its_step() -> None:
    assert values("1", "1000", "10", "log") == [1, 10, 100, 1000]
    assert values("0.001", "0.1", "10", "log") == [
        Decimal("0.001"),
        Decimal("0.01"),
        Decimal("0.1"),
    ]


def test_a_log_range_with_a_fractional_step_has_twelve_digits() -> None:
    # 1.1 to the power of 20 is 6.72749994932560009201: rounded once, not at every step.
    assert values("1", "7", "1.1", "log")[20] == Decimal("6.72749994933")


def test_nothing_is_wrong_with_a_range_of_the_largest_size() -> None:
    assert range_problem(Decimal(1), Decimal(MAX_VALUES), Decimal(1), "linear") is None
    assert range_problem(Decimal(0), Decimal(MAX_VALUES), Decimal(1), "linear") is not None


@pytest.mark.parametrize(
    ("start", "stop", "step", "scale", "key"),
    [
        ("2", "1", "1", "linear", "stop"),
        ("1", "2", "0", "linear", "step"),
        ("1", "2", "-1", "linear", "step"),
        ("0", "2", "2", "log", "start"),
        ("1", "2", "1", "log", "step"),
        ("1", "2", "1.000000001", "log", "step"),
    ],
)
def test_a_range_without_sense_is_refused_at_the_key_at_fault(
    start: str, stop: str, step: str, scale: str, key: str
) -> None:
    problem = range_problem(Decimal(start), Decimal(stop), Decimal(step), scale)

    assert problem is not None
    assert problem[0] == key
