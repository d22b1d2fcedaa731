"""What a search asks next depends on the search and on results by number, and on nothing else."""

from __future__ import annotations

import hashlib
import json
import math
import os
import random
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from trading_runtime.errors import UsageError
from trading_runtime.search.asking import (
    Asked,
    Evaluated,
    SearchInputs,
    Space,
    ask,
    check_search_plan,
)

pytest.importorskip("optuna")
pytest.importorskip("cmaes")
ROOT = Path(__file__).resolve().parents[2]
METHODS = ("random", "tpe", "cma-es", "nsga-ii")
NUMBERS: dict[str, Any] = {
    "fast": {"start": 5, "stop": 60, "step": 1},
    "slow": [20, 30, 50, 80, 120, 180, 250, 300],
    "stop": {"low": 0.001, "high": 0.1, "step": 0.001, "scale": "log"},
}


def inputs_of(method: str, **changes: Any) -> SearchInputs:
    """Return a search of 48 points in generations of eight."""
    content = {
        "parameters": NUMBERS,
        "constraints": ["fast < slow"],
        "objective": {"metric": "net_profit"},
        "further_objectives": [{"metric": "fees", "direction": "minimize"}],
        "search": {"method": method, "points": 48, "generation": 8, "seed": 42},
    }
    return SearchInputs.model_validate(content | changes)


def value(point: dict[str, Any]) -> float | None:
    """Stand for a backtest; 13 fails. The optimum is 0.2, at 20, 120, 0.02 and 'both'."""
    if point["fast"] == 13:
        return None
    return float(
        0.2 * (point.get("side", "both") == "both")
        - ((point["fast"] - 20) / 30) ** 2
        - ((point["slow"] - 120) / 100) ** 2
        - (math.log10(float(point["stop"])) + 1.7) ** 2
    )


def other_value(point: dict[str, Any]) -> float:
    """Stand for a second objective, which is minimised: the optimum has a slow of 20."""
    return float((point["slow"] - 20) / 100 + abs(math.log10(float(point["stop"])) + 1.7))


def searched(method: str, arrival: int = 0, **changes: Any) -> list[list[Asked]]:
    """Return all generations, the results of each arriving in an order of their own."""
    inputs = inputs_of(method, **changes)
    space = Space.of(inputs)
    check_search_plan(space, inputs.search)
    order = random.Random(arrival)  # noqa: S311 - any order
    evaluated: list[Evaluated] = []
    generations: list[list[Asked]] = []
    while len(evaluated) < 48:
        asked = ask(space, inputs, len(generations), evaluated)
        if not asked:
            break
        arrived = {}
        for number in order.sample(range(len(asked)), len(asked)):
            point = space.point(asked[number].indices)
            others = (other_value(point),) if method == "nsga-ii" else ()
            arrived[number] = value(point), others
        # What is left after a kill is what is stored: numbers as JSON has them.
        stored = json.loads(json.dumps([[each.indices, each.inner] for each in asked]))
        evaluated += [
            Evaluated(Asked(tuple(indices), tuple(inner)), *arrived[number])
            for number, (indices, inner) in enumerate(stored)
        ]
        generations.append(asked)
    return generations


def digest(generations: list[list[Asked]]) -> str:
    """Return the sha256 over everything that was asked for."""
    content = [[[each.indices, each.inner] for each in asked] for asked in generations]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


@pytest.mark.parametrize("method", METHODS)
def test_the_same_is_asked_for_whatever_the_order_of_arrival_and_the_hash_seed(
    method: str,
) -> None:
    expected = digest(searched(method))
    assert digest(searched(method, arrival=7)) == expected
    code = f"from tests.search.test_asking import *; print(digest(searched({method!r}, 3)))"
    for seed in ("1", "2"):
        ended = subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | {"PYTHONHASHSEED": seed},
            cwd=ROOT,
            check=True,
            capture_output=True,
            text=True,
        )
        assert ended.stdout.strip() == expected


@pytest.mark.parametrize("method", METHODS)
def test_points_are_new_allowed_and_on_the_values_of_the_parameters(method: str) -> None:
    space = Space.of(inputs_of(method))
    points = [space.point(each.indices) for asked in searched(method) for each in asked]

    assert len(points) == 48
    assert len({json.dumps(point, default=str) for point in points}) == 48
    for point in points:
        assert point["fast"] in range(5, 61)
        assert point["slow"] in NUMBERS["slow"]
        assert point["fast"] < point["slow"]
        thousandths = point["stop"] * 1000
        assert thousandths == int(thousandths)
        assert 1 <= thousandths <= 100


@pytest.mark.parametrize("method", ["tpe", "cma-es"])
def test_an_adaptive_search_comes_closer_than_a_random_one(method: str) -> None:
    def best(of: str) -> float:
        space = Space.of(inputs_of(of))
        values = [value(space.point(each.indices)) for asked in searched(of) for each in asked]
        return max(each for each in values if each is not None)

    assert best(method) > best("random")


def test_nsga_ii_finds_more_of_the_front_of_two_objectives_than_chance_does() -> None:
    def results(method: str) -> list[tuple[float, float]]:
        space = Space.of(inputs_of(method))
        points = [space.point(each.indices) for asked in searched(method) for each in asked]
        known = [(value(point), other_value(point)) for point in points]
        return [(one, other) for one, other in known if one is not None]

    # The area that a front dominates, as seen from a point that all of them beat.
    def area(found: list[tuple[float, float]]) -> float:
        total, reached = 0.0, 10.0
        for gain, cost in sorted(found, reverse=True):
            total += max(reached - cost, 0.0) * (gain + 10)
            reached = min(reached, cost)
        return total

    assert area(results("nsga-ii")) > area(results("random"))


def test_the_first_generation_is_drawn_at_random_for_every_method() -> None:
    first = [[each.indices for each in searched(method)[0]] for method in METHODS]

    assert first.count(first[0]) == len(METHODS)


def test_values_without_an_order_can_be_searched_by_tpe_alone() -> None:
    parameters = NUMBERS | {"side": ["long", "short", "both"]}
    generations = searched("tpe", parameters=parameters)

    assert {each.indices[3] for asked in generations for each in asked} == {0, 1, 2}
    with pytest.raises(UsageError, match="'side' has values of another kind; use tpe"):
        searched("cma-es", parameters=parameters)


def test_the_inputs_of_a_search_are_read_as_they_were_written() -> None:
    inputs = inputs_of("tpe", parameters=NUMBERS | {"size": [Decimal("0.1"), Decimal("0.25"), "x"]})

    assert SearchInputs.from_document(json.loads(json.dumps(inputs.to_document()))) == inputs


def test_a_small_space_is_asked_for_once() -> None:
    generations = searched("tpe", parameters={"fast": [1, 2, 3], "slow": [2, 3], "stop": [1]})

    points = [each.indices for asked in generations for each in asked]
    assert sorted(points) == [(0, 0, 0), (0, 1, 0), (1, 1, 0)]


@pytest.mark.parametrize("method", METHODS)
def test_all_of_the_few_allowed_of_a_large_space_are_asked_for(method: str) -> None:
    """Two of 10,000: draws do not meet them, and nor does a sampler."""
    large = {name: {"low": 1, "high": 100, "step": 1} for name in ("fast", "slow")}
    generations = searched(
        method,
        parameters=large | {"stop": [1]},
        constraints=["fast == 77 or fast == 90", "slow == 80"],
        search={"method": method, "points": 48, "generation": 4, "seed": 42},
    )

    found = sorted(each.indices for asked in generations for each in asked)
    assert found == [(76, 79, 0), (89, 79, 0)]


def test_what_a_sampler_does_not_find_is_drawn() -> None:
    """Of the pairs, one in fifty is allowed, and CMA-ES needs whole generations."""
    generations = searched(
        "cma-es",
        parameters=NUMBERS | {"slow": {"low": 1, "high": 1_000, "step": 1}, "stop": [1]},
        constraints=["slow % 50 == 0"],
    )

    assert [len(asked) for asked in generations] == [8] * 6
    assert {len(each.inner) for asked in generations[1:] for each in asked} == {2}


def test_less_is_better_where_the_objective_is_minimised() -> None:
    def mean_of_fast(direction: str) -> float:
        inputs = inputs_of("tpe", objective={"metric": "net_profit", "direction": direction})
        space = Space.of(inputs)
        evaluated: list[Evaluated] = []
        for generation in range(5):
            asked = ask(space, inputs, generation, evaluated)
            evaluated += [
                Evaluated(each, float(space.point(each.indices)["fast"])) for each in asked
            ]
        last = [float(space.point(each.asked.indices)["fast"]) for each in evaluated[-8:]]
        return sum(last) / len(last)

    assert mean_of_fast("minimize") < 15
    assert mean_of_fast("maximize") > 40
