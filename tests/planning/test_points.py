"""The parameter space expanded to points."""

from __future__ import annotations

import time
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trading_runtime.config.experiment import Experiment
from trading_runtime.errors import UsageError
from trading_runtime.planning.points import MAX_POINTS, expand_points, points


def experiment(parameters: dict[str, Any], *constraints: str, **more: Any) -> Experiment:
    return Experiment.model_validate(
        {
            "name": "x",
            "seed": 1,
            "dataset": {"path": "data"},
            "strategy": {"path": "package.module:Class"},
            "venue": {
                "account_type": "cash",
                "balances": ["1 USD"],
                "fees": {"model": "none"},
            },
            "parameters": parameters,
            "constraints": list(constraints),
            **more,
        }
    )


def sampling(n: int, seed: int = 1) -> dict[str, Any]:
    return {"method": "random", "n": n, "seed": seed}


def keys(found: list[dict[str, Any]]) -> set[tuple[tuple[str, Any], ...]]:
    return {tuple(point.items()) for point in found}


def test_an_experiment_without_parameters_has_one_point() -> None:
    assert points(experiment({})) == [{}]


def test_a_grid_goes_through_the_first_parameter_slowest() -> None:
    assert points(experiment({"slow": [30, 20], "fast": [1, 2]})) == [
        {"slow": 30, "fast": 1},
        {"slow": 30, "fast": 2},
        {"slow": 20, "fast": 1},
        {"slow": 20, "fast": 2},
    ]


def test_lists_keep_their_values_and_types() -> None:
    values = [1, Decimal("0.5"), "x", True, None, [1, 2]]

    found = [point["a"] for point in points(experiment({"a": values}))]

    assert found == values
    assert [type(value) for value in found] == [type(value) for value in values]


def test_ranges_are_exact_and_whole_numbers_stay_ints() -> None:
    found = points(
        experiment(
            {
                "a": {"start": 1, "stop": 3, "step": 2},
                "b": {"start": Decimal("0.1"), "stop": Decimal("0.3"), "step": Decimal("0.1")},
            }
        )
    )

    assert [(point["a"], point["b"]) for point in found] == [
        (a, b) for a in (1, 3) for b in (Decimal("0.1"), Decimal("0.2"), Decimal("0.3"))
    ]
    assert type(found[0]["a"]) is int


def test_constraints_leave_points_out() -> None:
    found = points(experiment({"fast": [1, 2, 3], "slow": [2, 3]}, "fast < slow", "slow % 2 == 1"))

    assert found == [{"fast": 1, "slow": 3}, {"fast": 2, "slow": 3}]


def test_no_point_left_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match=r"none of the 2 combinations .* 'fast > 5'"):
        points(experiment({"fast": [1, 2]}, "fast > 5"))


def test_a_longer_list_keeps_the_other_points() -> None:
    few = points(experiment({"fast": [1, 2], "slow": [10, 20]}))
    more = points(experiment({"fast": [1, 2, 3], "slow": [10, 20]}))

    assert keys(few) < keys(more)


def test_a_grid_that_is_too_large_is_refused_before_it_is_made() -> None:
    values = {"start": 1, "stop": 100_000, "step": 1}

    with pytest.raises(UsageError, match=f"at most {MAX_POINTS:,} are accepted"):
        points(experiment({"a": values, "b": values, "c": values}))


def test_a_hundred_thousand_points_take_less_than_a_second() -> None:
    wide = experiment(
        {
            "fast": {"start": 1, "stop": 400, "step": 1},
            "slow": {"start": 401, "stop": 650, "step": 1},
        },
        "fast < slow",
    )

    started = time.process_time()
    found = points(wide)

    assert len(found) == 100_000
    assert time.process_time() - started < 1


def test_random_draws_are_different_allowed_and_the_same_every_time() -> None:
    space = {
        "fast": {"start": 1, "stop": 50, "step": 1},
        "slow": {"low": 10, "high": 100_000, "step": 10, "scale": "log"},
        "mode": ["a", "b"],
    }
    wanted = experiment(space, "fast < slow", sampling=sampling(300))

    found = points(wanted)

    assert len(keys(found)) == len(found) == 300
    assert all(point["fast"] < point["slow"] for point in found)
    assert all(1 <= point["fast"] <= 50 for point in found)
    assert all(10 <= point["slow"] <= 100_000 and point["slow"] % 10 == 0 for point in found)
    assert points(wanted) == found


def test_draws_follow_the_published_rule() -> None:
    """Index = floor(size * h / 2**128), with h the first 16 bytes of sha256("seed/name/attempt").

    ``printf 5/a/0 | sha256sum`` begins with 57ba5706eedd686e904c027f9df7c492, and ``bc`` gives 342
    for a thousand times that over 2**128; likewise d625dc16... 836 and 5f39537a... 371.
    """
    found = points(experiment({"a": list(range(1000))}, sampling=sampling(3, seed=5)))

    assert [point["a"] for point in found] == [342, 836, 371]


def test_another_seed_draws_other_points() -> None:
    space = {"a": {"low": 0, "high": 10**9, "step": 1}}

    one = points(experiment(space, sampling=sampling(20, seed=1)))
    two = points(experiment(space, sampling=sampling(20, seed=2)))

    assert not keys(one) & keys(two)


@given(few=st.integers(1, 40), more=st.integers(0, 40), seed=st.integers(0, 3))
@settings(max_examples=40, deadline=None)
def test_asking_for_more_draws_keeps_those_before(few: int, more: int, seed: int) -> None:
    space = {"a": list(range(7)), "b": list(range(9))}

    small = points(experiment(space, "a != b", sampling=sampling(few, seed)))
    large = points(experiment(space, "a != b", sampling=sampling(few + more, seed)))

    assert large[: len(small)] == small


def test_when_fewer_points_exist_all_are_used_and_it_is_said() -> None:
    expanded = expand_points(experiment({"a": [1, 2, 3], "b": [1, 2]}, sampling=sampling(50)))

    assert keys(expanded.points) == {(("a", a), ("b", b)) for a in (1, 2, 3) for b in (1, 2)}
    assert expanded.notes == ("50 points are asked for; only 6 exist, all are used",)


def test_rare_points_of_a_finite_space_are_found() -> None:
    space = {"a": list(range(300)), "b": list(range(300))}

    expanded = expand_points(experiment(space, "a * 1000 + b == 123045", sampling=sampling(1)))

    assert expanded.points == [{"a": 123, "b": 45}]
    assert expanded.notes == ()


def test_a_huge_space_is_never_laid_out() -> None:
    space = {
        name: {"low": 0, "high": 10**15, "step": 1, "scale": "linear"} for name in ("a", "b", "c")
    }

    started = time.process_time()
    found = points(experiment(space, "a < b < c", sampling=sampling(100)))

    assert len(found) == 100
    assert time.process_time() - started < 1


def test_a_huge_space_without_allowed_points_is_given_up() -> None:
    space = {name: {"low": 0, "high": 10**15, "step": 1} for name in ("a", "b")}

    with pytest.raises(UsageError, match="narrow the parameters"):
        points(experiment(space, "a + b < 0", sampling=sampling(1)))


def test_linear_draws_are_spread_evenly_and_log_draws_over_magnitudes() -> None:
    """Of 3,000 draws a third falls in each part; 4 standard deviations are 103."""
    linear = {"a": {"low": 0, "high": 999_999_999, "step": 1}}
    log = {"a": {"low": 1, "high": 10**9, "step": Decimal("0.001"), "scale": "log"}}

    evenly = points(experiment(linear, sampling=sampling(3000)))
    by_magnitude = points(experiment(log, sampling=sampling(3000)))

    for third in range(3):
        low, high = third * 333_333_333, (third + 1) * 333_333_333
        assert abs(sum(low <= point["a"] < high for point in evenly) - 1000) < 103
        low, high = 1000**third, 1000 ** (third + 1)
        assert abs(sum(low <= point["a"] < high for point in by_magnitude) - 1000) < 103


def test_drawn_values_lie_on_their_grid() -> None:
    space = {"a": {"low": Decimal("0.05"), "high": Decimal("0.95"), "step": Decimal("0.1")}}

    found = points(experiment(space, sampling=sampling(100)))

    assert sorted(point["a"] for point in found) == [
        Decimal("0.05") + Decimal("0.1") * index for index in range(10)
    ]
