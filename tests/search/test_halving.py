"""Successive halving: which points go on follows from the windows that a rung has seen."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import polars as pl
import pytest

from trading_runtime import api
from trading_runtime.cli.main import invoke, root
from trading_runtime.errors import Kind, UsageError
from trading_runtime.records.plan import read_plan
from trading_runtime.search.halving import Rung, rungs_of, window_order

if TYPE_CHECKING:
    from tests.small_experiment import SmallExperiment

SEARCH = {"method": "successive-halving", "points": 6, "eta": 2, "seed": 3}


@pytest.fixture
def halving(small: SmallExperiment) -> SmallExperiment:
    """Six of eight points, two rungs: on two of three days, then on all."""
    small.write(parameters={"every": [15, 20, 25, 30, 35, 40, 45, 50]}, search=SEARCH)
    return small


def chosen(run: api.Run) -> list[int]:
    """Return the parameter of each point of a run."""
    return [point.parameters["every"] for point in read_plan(run.files.plan).points]


@pytest.mark.parametrize(
    ("points", "windows", "eta", "expected"),
    [
        (27, 9, 3, [(27, 1), (9, 3), (3, 9)]),
        (6, 3, 2, [(6, 2), (3, 3)]),
        (100, 20, 4, [(100, 2), (25, 5), (7, 20)]),
        (5, 1, 3, [(5, 1)]),
        (2, 50, 3, [(2, 50)]),
    ],
)
def test_each_rung_has_one_point_in_eta_on_eta_times_the_windows(
    points: int, windows: int, eta: int, expected: list[tuple[int, int]]
) -> None:
    assert rungs_of(points, windows, eta) == [Rung(*each) for each in expected]


def test_the_first_windows_of_any_rung_are_spread_over_all() -> None:
    # The binary digits of 0 to 7 read backwards.
    assert window_order(8) == [0, 4, 2, 6, 1, 5, 3, 7]
    assert window_order(3) == [0, 2, 1]
    assert window_order(1) == [0]


def test_the_best_points_of_a_rung_go_on_and_the_run_has_them_on_all_windows(
    halving: SmallExperiment, capsys: pytest.CaptureFixture[str]
) -> None:
    run = api.run(halving.path, run_id="run", workers=2)
    content = dict(halving.content)

    # By hand: all points on all days; the first rung sees the first and the third day.
    del halving.content["search"]
    halving.write(sampling={"method": "random", "n": 6, "seed": 3})
    whole = api.run(halving.path, run_id="whole", workers=2)
    seen = whole.results.filter(pl.col("start").dt.day() != 2)
    sums = seen.group_by("point").agg(pl.col("net_profit").sum()).sort("net_profit")
    best = sorted(sums["point"].to_list()[-3:])
    assert chosen(run) == [chosen(whole)[point] for point in best]
    assert run.search == "successive-halving: points on windows: 6 on 2, 3 on 3"
    assert run.computed == 6 * 2 + 3
    profits = whole.points.sort("point")["net_profit"]
    assert run.points.sort("point")["net_profit"].to_list() == [profits[point] for point in best]

    halving.content.pop("sampling")
    halving.write(**content)
    again = api.run(halving.path, run_id="run", workers=1)
    assert again.result == run.result
    assert again.computed == 0

    place = ["--results", str(halving.results)]
    assert invoke(root, ["verify", "run", "--search", *place]) == 0
    assert "asked for the same again: 9 points of 2 generations" in capsys.readouterr().out
    path = halving.results / "runs" / "run" / "search" / "001.json"
    stored = json.loads(path.read_bytes())
    stored["points"].reverse()
    path.write_text(json.dumps(stored))
    assert invoke(root, ["verify", "run", "--search", *place]) == Kind.DATA.exit_code
    assert "001.json: damaged: its points are not those that the run computed" in (
        capsys.readouterr().err
    )
    path.unlink()
    assert invoke(root, ["verify", "run", "--search", *place]) == Kind.DATA.exit_code
    assert "001.json: is missing: the search has 2 rungs" in capsys.readouterr().err


def test_a_budget_that_the_rungs_exceed_is_refused(halving: SmallExperiment) -> None:
    halving.write(search=SEARCH | {"budget": 14})

    with pytest.raises(UsageError, match="14 tasks, and successive-halving of 6 points takes 15"):
        api.run(halving.path, run_id="run", workers=1)
