"""Points without seams: the continuous task is the one that a run over the whole time has."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from tests.small_experiment import SmallExperiment
from trading_runtime import api
from trading_runtime.cli.main import invoke, root
from trading_runtime.errors import Kind

if TYPE_CHECKING:
    from pathlib import Path


def printed(
    capsys: pytest.CaptureFixture[str], experiment: SmallExperiment, *command: str
) -> dict[str, Any]:
    """Return what a command on the results of an experiment prints as JSON."""
    capsys.readouterr()
    words = ["results", *command, "--results", str(experiment.results), "--json"]
    assert invoke(root, words) == 0
    content: dict[str, Any] = json.loads(capsys.readouterr().out)
    return content


def terminal(capsys: pytest.CaptureFixture[str], experiment: SmallExperiment, *command: str) -> str:
    """Return what a command on the results of an experiment prints."""
    capsys.readouterr()
    assert invoke(root, ["results", *command, "--results", str(experiment.results)]) == 0
    return capsys.readouterr().out


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


@pytest.fixture(scope="module")
def partly(tmp_path_factory: pytest.TempPathFactory, small_dataset: Path) -> SmallExperiment:
    """A run with three points, of which the first divides by zero; not to be changed."""
    experiment = SmallExperiment(tmp_path_factory.mktemp("partly"), small_dataset)
    experiment.write(
        parameters={"every": [0, 20, 40]},
        validation={"method": "walk-forward", "train_size": 1, "test_size": 1},
    )
    api.run(experiment.path, run_id="partly", workers=1, allow_incomplete=True)
    return experiment


def test_a_point_that_failed_is_refused_with_its_failure_and_no_other_point_is(
    partly: SmallExperiment, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["partly", "--results", str(partly.results), "--json", "--point"]
    for command in ("results seams", "results robustness", "lookahead check", "warmup check"):
        assert invoke(root, [*command.split(), *options, "0"]) == Kind.USAGE.exit_code
        said = capsys.readouterr().err
        assert "run 'partly', point 0: 3 tasks failed: strategy: " in said
        assert "ZeroDivisionError" in said

    found = printed(capsys, partly, "seams", "partly", "--point", "1")
    points = api.open_run("partly", partly.results).points
    net_profit = points.filter(pl.col("point") == 1)["net_profit"].item()
    assert Decimal(found["points"][0]["windows"]["net_profit"]) == net_profit
    assert invoke(root, ["warmup", "check", *options, "1"]) in {0, Kind.DIFFERS.exit_code}
    assert json.loads(capsys.readouterr().out)["point"] == 1


def test_points_that_failed_are_not_chosen_in_a_walk_forward_and_counted(
    partly: SmallExperiment, capsys: pytest.CaptureFixture[str]
) -> None:
    run = api.open_run("partly", partly.results)
    profits = {
        (row["point"], row["partition"]): row["net_profit"]
        for row in run.results.iter_rows(named=True)
    }
    chosen = [max((1, 2), key=lambda point: float(profits[point, day])) for day in (0, 1)]
    found = printed(capsys, partly, "walk-forward", "partly")
    assert [each["point"] for each in found["splits"]] == chosen
    assert [each["left_out"] for each in found["splits"]] == [1, 1]
    assert [each["failed"] for each in found["splits"]] == [False, False]
    assert found["continuous"]["net_profit"] is not None
    said = terminal(capsys, partly, "walk-forward", "partly")
    assert "note: up to 1 of 3 points failed on windows that a split trains on" in said
    assert "Up to 1 of 3 points failed on windows that a split" in run.report.read_text()
    assert run.walk_forward(1, 1).splits["left_out"].to_list() == [1, 1]


def test_a_point_that_fails_on_its_test_leaves_nothing_known_of_all_tests(
    small: SmallExperiment, capsys: pytest.CaptureFixture[str]
) -> None:
    """The second point trades, so it is chosen by the first day; it fails on the second."""
    fail(small, "self.settings.every == 50 and bar.ts_event >= 1_704_153_600_000_000_000")
    small.write(
        parameters={"every": [1_000, 50]},
        objective={"metric": "trades"},
        validation={"method": "walk-forward", "train_size": 1, "test_size": 1},
    )
    run = api.run(small.path, run_id="days", workers=1, allow_incomplete=True)
    found = printed(capsys, small, "walk-forward", "days")
    assert [each["point"] for each in found["splits"]] == [1, 0]
    assert [each["left_out"] for each in found["splits"]] == [0, 1]
    assert [each["failed"] for each in found["splits"]] == [True, False]
    assert [each["tested"] for each in found["splits"]] == [None, 0]
    assert found["windows"]["net_profit"] is None
    assert found["continuous"] is None
    assert found["run"] is None
    said = terminal(capsys, small, "walk-forward", "days")
    assert "trades 1 trained, failed when it was tested" in said
    assert "note: in 1 split the chosen point failed on its test" in said
    page = run.report.read_text()
    assert "Where a chosen point failed on its test, nothing is known of it." in page
    assert run.walk_forward(1, 1).equity.is_empty()


def test_a_point_that_fails_without_seams_is_told_with_its_failure(
    small: SmallExperiment, capsys: pytest.CaptureFixture[str]
) -> None:
    """A day has 240 bars."""
    fail(small, "self.bars == 241")
    small.write(
        parameters={"every": [50]},
        validation={"method": "walk-forward", "train_size": 1, "test_size": 1},
    )
    api.run(small.path, run_id="days", workers=1)
    words = ["results", "seams", "days", "--results", str(small.results)]
    assert invoke(root, words) == Kind.INCOMPLETE.exit_code
    said = capsys.readouterr().err
    assert "run 'days', point 0: has results on all windows, and fails when they are one" in said
    assert "ValueError: late" in said
    found = printed(capsys, small, "walk-forward", "days")
    assert "ValueError: late" in found["continuous_failure"]
    assert found["windows"]["net_profit"] is not None
    assert found["continuous"]["net_profit"] is None


def fail(experiment: SmallExperiment, when: str) -> None:
    """Let the strategy fail at bars of which something holds."""
    path = experiment.folder / "counting.py"
    line = "        self.bars += 1\n"
    changed = f"{line}        if {when}:\n            raise ValueError('late')\n"
    path.write_text(path.read_text().replace(line, changed))


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
    assert found["paths"] == [found["windows"]]

    # The other way round: each day is chosen by, and tests what is chosen by another day, twice.
    small.write(validation={"method": "combinatorial-purged", "n_folds": 3, "n_test_folds": 2})
    found = printed(capsys, small, "walk-forward", "days")
    profits = {
        (row["point"], row["partition"]): float(row["net_profit"])
        for row in run.results.iter_rows(named=True)
    }
    # Split 0 tests days 0 and 1, split 1 days 0 and 2, split 2 days 1 and 2.
    first, second, third = (
        max(range(4), key=lambda point: profits[point, day]) for day in (2, 1, 0)
    )
    assert [each["point"] for each in found["splits"]] == [first, second, third]
    # As skfolio has them: the first split that tests a day is of the first path.
    for path, chosen in zip(
        found["paths"], [(first, first, second), (second, third, third)], strict=True
    ):
        expected = sum(profits[point, day] for day, point in enumerate(chosen))
        assert float(path["net_profit"]) == pytest.approx(expected)
    assert found["windows"] is None
    said = terminal(capsys, small, "walk-forward", "days")
    assert "tests: 2 paths, since each window is tested in 2 splits" in said
    assert "split 1: test 2024-01-01T00:00:00Z to 2024-01-02T00:00:00Z and 2024-01-03T" in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["seams", "run", "--point", "7"], "--point 7: the run's points are 0 to 1"),
        (["walk-forward", "run"], "give --train-size and --test-size"),
        (["walk-forward", "run", "--train-size", "2"], "give both --train-size and --test-size"),
        (
            ["walk-forward", "run", "--train-size", "2", "--test-size", "1"],
            "1 window is too few for these sizes",
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
