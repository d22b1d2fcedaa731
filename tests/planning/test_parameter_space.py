"""The parameter space against a slow reckoning in whole numbers and fractions."""

from __future__ import annotations

import itertools
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.planning.test_points import experiment, keys, sampling
from trading_runtime.config.ranges import MAX_VALUES, range_problem, range_values
from trading_runtime.errors import UsageError
from trading_runtime.planning.points import points

if TYPE_CHECKING:
    from collections.abc import Callable

CONSTRAINTS: dict[str, Callable[[dict[str, int]], bool]] = {
    "a < b": lambda at: at["a"] < at["b"],
    "a + b <= 2 * c": lambda at: at["a"] + at["b"] <= 2 * at["c"],
    "a % 2 == 0 or b > c": lambda at: at["a"] % 2 == 0 or at["b"] > at["c"],
    "not a == b": lambda at: at["a"] != at["b"],
    "a <= b <= c": lambda at: at["a"] <= at["b"] <= at["c"],
    "(a - b) * c > -5": lambda at: (at["a"] - at["b"]) * at["c"] > -5,
    "a * a <= 25 and b != c": lambda at: at["a"] ** 2 <= 25 and at["b"] != at["c"],
}
VALUES = st.lists(st.integers(-9, 9), min_size=1, max_size=5, unique=True)
DECIMALS = st.decimals(min_value=-1000, max_value=1000, places=3)


@given(VALUES, VALUES, VALUES, st.sets(st.sampled_from(sorted(CONSTRAINTS)), max_size=3))
def test_a_grid_holds_the_combinations_that_every_constraint_allows_and_each_once(
    a: list[int], b: list[int], c: list[int], constraints: set[str]
) -> None:
    grid = [{"a": x, "b": y, "c": z} for x, y, z in itertools.product(a, b, c)]
    expected = [at for at in grid if all(CONSTRAINTS[text](at) for text in constraints)]
    wanted = experiment({"a": a, "b": b, "c": c}, *sorted(constraints))

    if expected:
        assert points(wanted) == expected
    else:
        with pytest.raises(UsageError, match="combinations"):
            points(wanted)


@given(DECIMALS, st.integers(0, 60), st.decimals("0.001", "50", places=3), st.integers(0, 999))
def test_a_linear_range_goes_in_equal_steps_as_far_as_the_next_would_pass_the_end(
    start: Decimal, count: int, step: Decimal, share: int
) -> None:
    stop = start + step * count + step * share / 1000

    found = range_values(start, stop, step, "linear")

    expected = [Fraction(start) + Fraction(step) * number for number in range(count + 1)]
    assert [Fraction(value) for value in found] == expected


@given(st.integers(1, 1000), st.integers(2, 10), st.integers(1, 10**9))
def test_a_log_range_of_whole_numbers_is_exact(start: int, step: int, stop: int) -> None:
    assume(start <= stop)
    expected = [start * step**power for power in range(64) if start * step**power <= stop]

    assert range_values(Decimal(start), Decimal(stop), Decimal(step), "log") == expected


@given(
    st.decimals("0.0001", "10", places=4),
    st.decimals("1.05", "5", places=2),
    st.integers(0, 25),
)
def test_a_log_range_has_every_power_of_its_step_to_twelve_digits(
    start: Decimal, step: Decimal, count: int
) -> None:
    assume(start > 0)
    stop = start * step**count * Decimal("1.01")

    found = range_values(start, stop, step, "log")

    expected = [Fraction(start) * Fraction(step) ** power for power in range(count + 1)]
    assert len(found) == count + 1
    for value, exact in zip(found, expected, strict=True):
        assert abs(Fraction(value) / exact - 1) <= Fraction(1, 10**11)


@given(DECIMALS, DECIMALS, DECIMALS, st.sampled_from(["linear", "log"]))
def test_a_range_is_refused_or_lies_between_its_ends(
    start: Decimal, stop: Decimal, step: Decimal, scale: str
) -> None:
    if range_problem(start, stop, step, scale) is not None:
        smallest = 1 if scale == "log" else 0
        too_many = step > 0 and (stop - start) / step >= MAX_VALUES
        is_near_one = scale == "log" and step < Decimal("1.01")
        no_log = scale == "log" and start <= 0
        assert stop < start or step <= smallest or too_many or is_near_one or no_log
        return
    found = range_values(start, stop, step, scale)

    assert found[0] == start
    assert found == sorted(set(found))
    assert found[-1] <= stop


@settings(max_examples=40)
@given(
    low=st.integers(1, 50),
    steps=st.integers(1, 200),
    step=st.integers(1, 7),
    scale=st.sampled_from(["linear", "log"]),
    seed=st.integers(0, 5),
)
def test_draws_lie_on_their_grid_fulfil_the_constraint_and_come_once(
    low: int, steps: int, step: int, scale: str, seed: int
) -> None:
    high = low + steps * step
    space: dict[str, Any] = {
        "a": {"low": low, "high": high, "step": step, "scale": scale},
        "b": [0, low, high],
    }
    wanted = experiment(space, "a >= b", sampling=sampling(12, seed))

    found = points(wanted)

    assert found == points(wanted)
    assert len(keys(found)) == len(found) <= 12
    for point in found:
        assert low <= point["a"] <= high
        assert (point["a"] - low) % step == 0
        assert point["a"] >= point["b"]
