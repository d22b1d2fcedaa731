"""Points without seams: the continuous task is the one that a run over the whole time has."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from trading_runtime import api
from trading_runtime.cli.main import invoke, root
from trading_runtime.errors import Kind

if TYPE_CHECKING:
    from tests.small_experiment import SmallExperiment


def printed(
    capsys: pytest.CaptureFixture[str], experiment: SmallExperiment, *command: str
) -> dict[str, Any]:
    """Return what a command on the results of an experiment prints as JSON."""
    capsys.readouterr()
    words = ["results", *command, "--results", str(experiment.results), "--json"]
    assert invoke(root, words) == 0
    content: dict[str, Any] = json.loads(capsys.readouterr().out)
    return content


def test_seams_are_measured_against_the_task_of_a_run_over_the_whole_time(
    small: SmallExperiment, capsys: pytest.CaptureFixture[str]
) -> None:
    small.write(parameters={"every": [20, 50]})
    days = api.run(small.path, run_id="days", workers=1)
    found = printed(capsys, small, "seams", "days", "--point", "1", "--point", "0")
    assert found["computed"] == 2
    assert [each["point"] for each in found["points"]] == [1, 0]

    # The same by hand: an experiment over the same time that is not cut.
    small.write(partitions={"by": "whole"})
    whole = api.run(small.path, run_id="whole", workers=1)
    for each in found["points"]:
        for run, name in ((days, "windows"), (whole, "continuous")):
            row = run.points.filter(pl.col("point") == each["point"]).row(0, named=True)
            assert float(each[name]["net_profit"]) == float(row["net_profit"])
            assert each[name]["trades"] == row["trades"]
    again = printed(capsys, small_again(small), "seams", "days", "--point", "1", "--point", "0")
    assert again == found | {"computed": 0}


def small_again(experiment: SmallExperiment) -> SmallExperiment:
    """Write the experiment as it was cut into days."""
    experiment.write(partitions={"by": "day"})
    return experiment


def test_a_chosen_path_is_run_with_a_task_for_each_stretch_of_one_point(
    small: SmallExperiment, capsys: pytest.CaptureFixture[str]
) -> None:
    small.write(validation={"method": "walk-forward", "train_size": 1, "test_size": 1})
    run = api.run(small.path, run_id="days", workers=1)
    profits = {
        (row["point"], row["partition"]): float(row["net_profit"])
        for row in run.results.iter_rows(named=True)
    }
    found = printed(capsys, small, "walk-forward", "days")

    chosen = [max(range(4), key=lambda point: profits[point, day]) for day in (0, 1)]
    assert [each["point"] for each in found["splits"]] == chosen
    assert [each["tested"] for each in found["splits"]] == [
        pytest.approx(profits[point, day + 1]) for day, point in enumerate(chosen)
    ]
    assert [each["test"] for each in found["splits"]] == [
        ["2024-01-02T00:00:00Z", "2024-01-03T00:00:00Z"],
        ["2024-01-03T00:00:00Z", "2024-01-04T00:00:00Z"],
    ]
    summed = sum(profits[point, day + 1] for day, point in enumerate(chosen))
    assert float(found["windows"]["net_profit"]) == pytest.approx(summed)
    assert found["stability"]["splits"] == 2
    assert not found["seen_by_search"]
    # With one point both days are one task; with two, each has the window's own task.
    stretches = len(set(chosen))
    assert found["computed"] == (1 if stretches == 1 else 0)
    if stretches > 1:
        assert found["continuous"]["net_profit"] == found["windows"]["net_profit"]


def test_tests_that_an_adaptive_search_has_seen_are_told(
    small: SmallExperiment, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its later points follow from the results of the first ones on all days."""
    small.write(
        search={"method": "tpe", "points": 3, "generation": 2},
        validation={"method": "walk-forward", "train_size": 1, "test_size": 1},
        promotion={"min_out_of_sample_return": "-1"},
    )
    run = api.run(small.path, run_id="days", workers=1)
    said = "points by their results on all windows, those of the tests included"

    assert printed(capsys, small, "walk-forward", "days")["seen_by_search"]
    results = ["--results", str(small.results)]
    assert invoke(root, ["results", "walk-forward", "days", *results]) == 0
    assert f"note: the search proposed its {said}" in capsys.readouterr().out
    assert f"The search proposed its {said}" in run.report.read_text()

    deployment = small.folder / "deployment.yaml"
    target = ["--point", "0", "--to", str(deployment)]
    assert invoke(root, ["promote", "days", *target, *results]) == Kind.USAGE.exit_code
    assert f"cannot be judged: the search proposed its {said}" in capsys.readouterr().err
    assert not deployment.exists()


def test_combinatorial_splits_are_chosen_and_not_run(
    small: SmallExperiment, capsys: pytest.CaptureFixture[str]
) -> None:
    small.write(validation={"method": "combinatorial-purged", "n_folds": 3, "n_test_folds": 1})
    run = api.run(small.path, run_id="days", workers=1)
    assert "results walk-forward days" in run.report.read_text()
    found = printed(capsys, small, "walk-forward", "days")

    assert len(found["splits"]) == 3
    assert found["continuous"] is None
    assert found["computed"] == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["seams", "run", "--point", "7"], "--point 7: the run's points are 0 to 1"),
        (["walk-forward", "run"], "give --train-size and --test-size"),
        (["walk-forward", "run", "--train-size", "2"], "give both --train-size and --test-size"),
        (
            ["walk-forward", "run", "--train-size", "2", "--test-size", "1"],
            "1 windows are too few for these sizes",
        ),
    ],
)
def test_what_cannot_be_is_refused(
    small: SmallExperiment, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    small.write(partitions={"by": "day", "end": "2024-01-02"}, parameters={"every": [20, 30]})
    api.run(small.path, run_id="run", workers=1)
    code = invoke(root, ["results", *words, "--results", str(small.results)])

    assert code == Kind.USAGE.exit_code
    assert said in capsys.readouterr().err


def test_an_experiment_that_changed_since_is_refused(
    small: SmallExperiment, capsys: pytest.CaptureFixture[str]
) -> None:
    small.write(parameters={"every": [20]})
    api.run(small.path, run_id="run", workers=1)
    small.write(seed=2)
    code = invoke(root, ["results", "seams", "run", "--results", str(small.results)])

    assert code == Kind.USAGE.exit_code
    assert "its experiment, code or versions are not those of the run any more" in (
        capsys.readouterr().err
    )
