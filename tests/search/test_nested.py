"""Searches inside splits: each sees its training windows alone, and is a search of its own."""

from __future__ import annotations

import contextlib
import copy
import html
import io
import itertools
import json
import re
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

import polars as pl
import pytest

from tests.execution.processes import processes_of, wait_for
from tests.small_experiment import SmallExperiment
from trading_runtime import api
from trading_runtime.cli.main import invoke, root
from trading_runtime.errors import Kind, UsageError
from trading_runtime.records.plan import read_plan
from trading_runtime.results.nested import split_id
from trading_runtime.runs.opening import check_run_id

pytest.importorskip("optuna")
if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from trading_runtime.api import Run

DAYS = ("2024-01-01", "2024-01-02", "2024-01-03", "2024-01-04")
SEARCH = {"method": "tpe", "points": 6, "generation": 3, "seed": 5}
PARAMETERS = {"every": {"low": 2, "high": 60, "step": 1}, "size_step": [1, 2, 3]}
VALIDATION = {"method": "walk-forward", "train_size": 1, "test_size": 1, "nested": True}
COMMAND = [sys.executable, "-m", "trading_runtime.cli.main", "results", "walk-forward", "run"]


class Walked(NamedTuple):
    """A search over three days, and the searches inside two splits of it."""

    experiment: SmallExperiment
    run: Run
    found: dict[str, Any]


def searching(folder: Path, dataset: Path) -> SmallExperiment:
    """Return a search of six points in two generations over three days."""
    experiment = SmallExperiment(folder, dataset)
    experiment.write(
        parameters=PARAMETERS,
        constraints=["every > size_step"],
        search=SEARCH,
        validation=VALIDATION,
        promotion={"min_out_of_sample_return": "-1"},
    )
    return experiment


def walk(experiment: SmallExperiment, *options: str) -> dict[str, Any]:
    """Return what ``results walk-forward`` prints as JSON."""
    printed = io.StringIO()
    words = ["results", "walk-forward", "run", "--results", str(experiment.results), "--json"]
    with contextlib.redirect_stdout(printed):
        assert invoke(root, [*words, *options]) == 0
    content: dict[str, Any] = json.loads(printed.getvalue())
    return content


@pytest.fixture(scope="module")
def walked(tmp_path_factory: pytest.TempPathFactory, small_dataset: Path) -> Walked:
    """The run and its validation; not to be changed."""
    experiment = searching(tmp_path_factory.mktemp("nested"), small_dataset)
    run = api.run(experiment.path, run_id="run", workers=1)
    return Walked(experiment, run, walk(experiment, "--workers", "1"))


def beside(experiment: SmallExperiment) -> SmallExperiment:
    """Return an experiment in the same folder, with a file of its own."""
    other = copy.copy(experiment)
    other.content = dict(experiment.content)
    other.path = experiment.folder / "other.json"
    return other


def plans(experiment: SmallExperiment, of: str) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Yield the ids of the runs whose ids begin so, each with the windows of its plan."""
    for folder in sorted((experiment.results / "runs").glob(f"{of}*")):
        plan = json.loads((folder / "plan.json").read_bytes())
        yield folder.name, [(item["start"][:10], item["end"][:10]) for item in plan["partitions"]]


def test_the_search_inside_a_split_reads_no_window_but_those_it_trains_on(walked: Walked) -> None:
    for number, split in enumerate(walked.found["splits"]):
        assert split["train"][0].startswith(DAYS[number])
        assert split["test"][0].startswith(DAYS[number + 1])
        found = dict(plans(walked.experiment, split["run"]))
        assert found.keys() == {split["run"], f"{split['run']}-g00", f"{split['run']}-g01"}
        assert all(windows == [(DAYS[number], DAYS[number + 1])] for windows in found.values())
        # No row group that ends later than the training window is named by the plan.
        folder = walked.experiment.results / "runs" / split["run"]
        for item in read_plan(folder / "plan.json").partitions:
            assert item.rows_max == 240


def test_the_search_inside_a_split_is_that_of_an_experiment_over_the_same_days(
    walked: Walked,
) -> None:
    experiment, _, found = walked
    experiment = beside(experiment)
    for number, split in enumerate(found["splits"]):
        experiment.write(
            partitions={"by": "day", "start": DAYS[number], "end": DAYS[number + 1]},
            validation=None,
            promotion=None,
        )
        alone = api.run(experiment.path, run_id=f"alone-{number}", workers=1)
        assert alone.computed == 0
        assert alone.best_point == split["run_point"]
        assert alone.result["best"]["parameters"] == split["parameters"]
        assert float(alone.result["best"]["value"]) == split["trained"]
        here, there = (
            [
                (experiment.run_file(name, "search") / f"{generation:03}.json").read_bytes()
                for generation in range(2)
            ]
            for name in (f"alone-{number}", split["run"])
        )
        assert here == there
        # The point that it chose, in an experiment over the day of the test.
        experiment.write(
            partitions={"by": "day", "start": DAYS[number + 1], "end": DAYS[number + 2]},
            parameters={name: [value] for name, value in split["parameters"].items()},
            search=None,
        )
        tested = api.run(experiment.path, run_id=f"tested-{number}", workers=1)
        assert tested.computed == 0
        assert float(tested.result["best"]["value"]) == pytest.approx(split["tested"])
        experiment.write(parameters=PARAMETERS, search=SEARCH)


def test_no_task_is_computed_twice(walked: Walked) -> None:
    stored = [*(walked.experiment.results / "tasks").glob("*/*/manifest.json")]
    computed = walked.found["computed_inside"] + walked.found["computed"]
    assert len(stored) == walked.run.computed + computed
    sizes = ("--train-size", "1", "--test-size", "1", "--nested")
    again = walk(walked.experiment, *sizes, "--workers", "4")
    assert again == walked.found | {"computed_inside": 0, "computed": 0}


def test_points_of_all_splits_are_counted_as_tried(walked: Walked) -> None:
    found = walked.found
    assert not found["seen_by_search"]
    assert [each["tried"] for each in found["splits"]] == [6, 6]
    assert found["tried"] == 12


def test_report_notebook_and_promotion_judge_by_the_searches_inside_the_splits(
    walked: Walked, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    experiment, run, found = walked
    assert "split 0 has not been searched" in run.report.read_text()
    table = experiment.run_file(found["splits"][0]["run"], "points.parquet")
    sound = table.read_bytes()
    table.write_bytes(sound[1:])
    damaged = api.run(experiment.path, run_id="run", workers=1)
    assert f"{table}: damaged" in html.unescape(damaged.report.read_text())
    assert walk(experiment) == found | {"computed_inside": 0, "computed": 0}
    assert table.read_bytes() == sound

    run = api.run(experiment.path, run_id="run", workers=1)
    page = run.report.read_text()
    assert "The search was run anew in each split" in page
    assert "12 points in 2 splits" in page
    assert "splits.svg" in page
    # Every point that was tried in any split is a trial by now.
    tried = {
        values
        for table in (experiment.results / "runs").glob("run*/points.parquet")
        for values in pl.read_parquet(table).select("^param.*$").iter_rows()
    }
    assert run.trials["trials"] == found["trials"] == len(tried) > 6

    frames = run.walk_forward(1, 1, nested=True)
    assert frames.splits["run"].to_list() == [each["run"] for each in found["splits"]]
    assert frames.splits["tried"].to_list() == [6, 6]
    assert frames.splits["tested"].to_list() == [each["tested"] for each in found["splits"]]
    for name in PARAMETERS:
        shown = frames.splits[f"param.{name}"].to_list()
        assert shown == [each["parameters"][name] for each in found["splits"]]
    gained = frames.equity["equity"][-1] - frames.equity["equity"][0]
    assert float(gained) == pytest.approx(sum(each["tested"] for each in found["splits"]))

    target = tmp_path / "deployment.yaml"
    words = ["promote", "run", "--point", str(run.best_point), "--to", str(target)]
    assert invoke(root, [*words, "--results", str(experiment.results)]) == 0, capsys.readouterr()

    # A gate just above what the tests returned, which started with 100,000 USDT.
    tested = found["windows"]["return"]
    content = json.loads(run.files.experiment.read_text())
    content["promotion"]["min_out_of_sample_return"] = str(tested + 1e-6)
    kept = run.files.experiment.read_bytes()
    run.files.experiment.write_text(json.dumps(content))
    try:
        target.unlink()
        code = invoke(root, [*words, "--results", str(experiment.results)])
    finally:
        run.files.experiment.write_bytes(kept)
    assert code == Kind.USAGE.exit_code
    assert f"an out-of-sample return of {tested}" in capsys.readouterr().err


def test_searches_inside_splits_are_asked_again_with_the_same_points(
    walked: Walked, capsys: pytest.CaptureFixture[str]
) -> None:
    for split in walked.found["splits"]:
        words = ["verify", split["run"], "--search", "--results", str(walked.experiment.results)]
        assert invoke(root, words) == 0
        assert "asked for the same again: 6 points of 2 generations" in capsys.readouterr().out


def test_the_terminal_names_the_run_and_the_points_of_each_search(
    walked: Walked, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    words = ["results", "walk-forward", "run", "--results", str(walked.experiment.results)]
    assert invoke(root, words) == 0
    said = capsys.readouterr().out
    for number, split in enumerate(walked.found["splits"]):
        assert f"search {number}: run {split['run']}, 6 points tried\n" in said
    assert "searches: 12 points tried in 2 splits, each on its training windows alone" in said
    assert f"luck: These are {walked.found['trials']} trials on this data." in said
    assert "note: the search proposed its points" not in said


def test_a_killed_validation_goes_on_where_it_ended(
    walked: Walked, tmp_path: Path, small_dataset: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    experiment = searching(tmp_path / "again", small_dataset)
    api.run(experiment.path, run_id="run", workers=2)
    place = ["--results", str(experiment.results)]
    target = ["--point", "0", "--to", str(tmp_path / "deployment.yaml")]
    assert invoke(root, ["promote", "run", *target, *place]) == Kind.USAGE.exit_code
    said = "min_out_of_sample_return cannot be judged: run 'run': split 0 has not been searched"
    assert said in capsys.readouterr().err
    words = [*COMMAND, "--results", str(experiment.results), "--workers", "4"]
    first, second = (each["run"] for each in walked.found["splits"])
    started = subprocess.Popen(words, start_new_session=True, stdout=subprocess.DEVNULL)
    wait_for((experiment.run_file(second, "search") / "000.json").exists)
    started.send_signal(signal.SIGKILL)
    started.wait()
    wait_for(lambda: not processes_of(started.pid))
    assert experiment.run_file(first, "result.json").exists()
    assert not experiment.run_file(second, "result.json").exists()

    counts = {"computed_inside": 0, "computed": 0}
    assert walk(experiment, "--workers", "2") | counts == walked.found | counts
    assert experiment.tasks().keys() == walked.experiment.tasks().keys()


def test_rungs_inside_a_split_are_on_its_training_windows_and_none_is_held_out(
    small: SmallExperiment,
) -> None:
    """Of eight hours, four are trained on: 4 points on 1 of them, 2 on 2, 1 on 4."""
    small.write(
        parameters=PARAMETERS,
        partitions={"by": "hour"},
        holdout={"start": DAYS[2]},
        search={"method": "successive-halving", "points": 4, "eta": 2, "seed": 3},
        validation=VALIDATION | {"train_size": 4, "test_size": 4},
    )
    api.run(small.path, run_id="run", workers=2)
    [split] = walk(small)["splits"]
    found = dict(plans(small, split["run"]))
    assert [len(windows) for windows in found.values()] == [4, 1, 2]
    assert split["tried"] == 4
    assert all(start == DAYS[0] for windows in found.values() for start, _ in windows)
    assert all(end <= DAYS[2] for _, windows in plans(small, "run") for _, end in windows)


def test_combinatorial_splits_are_searched_on_windows_before_and_after_their_tests(
    small: SmallExperiment,
) -> None:
    small.write(
        parameters=PARAMETERS,
        search={"method": "tpe", "points": 2, "generation": 1},
        validation={"method": "combinatorial-purged", "n_folds": 3, "n_test_folds": 1}
        | {"nested": True},
    )
    api.run(small.path, run_id="run", workers=2)
    # The results are not where the experiment says, as when they were moved.
    small.write(results=str(small.folder / "elsewhere"))
    found = walk(small)
    assert not (small.folder / "elsewhere").exists()
    windows = [dict(plans(small, split["run"]))[split["run"]] for split in found["splits"]]
    first, second, third = itertools.pairwise(DAYS)
    assert windows == [[second, third], [first, third], [first, second]]
    assert found["continuous"] is None


@pytest.mark.parametrize(
    ("limits", "of_run"), [({"patience": 2}, 9), ({"budget": 9}, 3)], ids=["patience", "budget"]
)
def test_patience_and_budget_hold_for_each_split(
    small: SmallExperiment, limits: dict[str, int], of_run: int
) -> None:
    """No point trades, so none is better than the first three.

    A split trains on one day of three: nine tasks are nine points there, and three of the run.
    """
    small.write(
        parameters={"every": {"low": 5_000, "high": 9_000, "step": 1}},
        objective={"metric": "trades"},
        search={"method": "tpe", "points": 30, "generation": 3} | limits,
        validation=VALIDATION,
    )
    run = api.run(small.path, run_id="run", workers=1)
    assert run.points.height == of_run
    assert [each["tried"] for each in walk(small)["splits"]] == [9, 9]


@pytest.mark.parametrize("method", ["cma-es", "nsga-ii"])
def test_other_methods_search_inside_splits_as_over_the_same_days_alone(
    small: SmallExperiment, method: str
) -> None:
    further = [{"metric": "max_drawdown", "direction": "minimize"}] if method == "nsga-ii" else []
    small.write(
        parameters={"every": {"low": 2, "high": 60, "step": 1}, "size_step": [1, 2, 3]},
        partitions={"by": "day", "end": DAYS[2]},
        further_objectives=further,
        search={"method": method, "points": 8, "generation": 4},
        validation=VALIDATION,
    )
    api.run(small.path, run_id="run", workers=1)
    [split] = walk(small)["splits"]
    assert split["tried"] == 8
    small.write(partitions={"by": "day", "end": DAYS[1]}, validation=None)
    alone = api.run(small.path, run_id="alone", workers=1)
    assert alone.computed == 0
    assert alone.best_point == split["run_point"]
    assert alone.result["best"]["parameters"] == split["parameters"]
    words = ["verify", split["run"], "--search", "--results", str(small.results)]
    assert invoke(root, words) == 0


def test_points_that_fail_inside_a_split_are_told_and_not_chosen(
    small: SmallExperiment, capsys: pytest.CaptureFixture[str]
) -> None:
    # The strategy divides by zero where ``every`` is 0. All of four points are tried.
    small.write(
        parameters={"every": {"low": 0, "high": 3, "step": 1}},
        search={"method": "tpe", "points": 4, "generation": 2},
        validation=VALIDATION | {"train_size": 2},
    )
    api.run(small.path, run_id="run", workers=2, allow_incomplete=True)
    capsys.readouterr()
    assert invoke(root, ["results", "walk-forward", "run", "--results", str(small.results)]) == 0
    said = capsys.readouterr().out
    assert re.search(r"search 0: run run-s00-[0-9a-f]{4}, 4 points tried, 1 of them failed\n", said)
    assert re.search(r"split 0: .* point 0 \(every [123]\)", said)
    assert f"'trading-runtime run {small.path} --run-id run' adds this to" in said


@pytest.mark.parametrize(
    ("changes", "options", "said"),
    [
        (
            {"search": None, "validation": None},
            ("--train-size", "1", "--test-size", "1", "--nested"),
            "run 'run' has no search that follows results (tpe, cma-es, nsga-ii",
        ),
        (
            {"validation": VALIDATION | {"train_size": 3}},
            (),
            "validation: 3 windows are too few for these sizes",
        ),
    ],
)
def test_what_cannot_be_searched_inside_splits_is_refused(
    small: SmallExperiment,
    capsys: pytest.CaptureFixture[str],
    changes: dict[str, Any],
    options: tuple[str, ...],
    said: str,
) -> None:
    small.write(**{"search": SEARCH | {"points": 2, "generation": 1}} | changes)
    api.run(small.path, run_id="run", workers=1)
    words = ["results", "walk-forward", "run", "--results", str(small.results), *options]
    assert invoke(root, words) == Kind.USAGE.exit_code
    assert said in capsys.readouterr().err


def test_an_experiment_with_other_windows_searches_nothing(
    walked: Walked, capsys: pytest.CaptureFixture[str]
) -> None:
    experiment = beside(walked.experiment)
    experiment.write(partitions={"by": "hour"})
    runs = sorted((experiment.results / "runs").iterdir())
    words = ["results", "walk-forward", "run", "--results", str(experiment.results), "--nested"]
    sizes = ["--train-size", "2", "--test-size", "1", "--experiment", str(experiment.path)]
    assert invoke(root, [*words, *sizes]) == Kind.USAGE.exit_code
    assert "its windows or their data are not those of the experiment" in capsys.readouterr().err
    assert sorted((experiment.results / "runs").iterdir()) == runs


def test_a_chosen_point_that_fails_in_its_test_is_told(walked: Walked) -> None:
    [path] = (walked.experiment.results / "runs").glob("run-tests-*/result.json")
    sound = path.read_bytes()
    path.write_text(json.dumps(json.loads(sound) | {"complete": False}))
    try:
        with pytest.raises(
            UsageError, match=f"fail in their tests; .* show {path.parent.name}' says why"
        ):
            walked.run.walk_forward(1, 1, nested=True)
    finally:
        path.write_bytes(sound)


def test_a_split_is_searched_by_an_experiment_that_names_it(
    walked: Walked, capsys: pytest.CaptureFixture[str]
) -> None:
    experiment = beside(walked.experiment)
    experiment.write(validation=VALIDATION | {"split": 1})
    run = api.run(experiment.path, run_id="by-name", workers=1)
    assert run.computed == 0
    assert run.best_point == walked.found["splits"][1]["run_point"]
    for changes, said in (
        ({"validation": VALIDATION | {"split": 2}}, "the splits of 3 windows are 0 to 1"),
        ({"search": None}, "validation.split: is about a search that follows results"),
    ):
        experiment.write(**changes)
        assert invoke(root, ["plan", str(experiment.path)]) == Kind.USAGE.exit_code
        assert said in capsys.readouterr().err
        experiment.write(validation=VALIDATION | {"split": 1, "nested": False})


def test_splits_of_runs_with_long_ids_that_begin_alike_have_ids_of_their_own() -> None:
    alike = "a-long-name-of-an-experiment-that-many-runs-share-and-then"
    trained = [(0, 1)]
    first, second = (split_id(f"{alike}-{run}", 0, trained) for run in (1, 2))

    assert first != second
    assert first.startswith("a-long-name-of-an-experiment-that-many-runs")
    assert check_run_id(f"{first}-g00") == f"{first}-g00"
    assert split_id("short", 0, trained).startswith("short-s00-")
