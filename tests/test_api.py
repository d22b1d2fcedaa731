"""From Python: plan, run, and results as polars frames."""

from __future__ import annotations

import doctest
import importlib.util
import math
import re
import shutil
import statistics
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from tests.small_experiment import SmallExperiment
from trading_runtime import api
from trading_runtime.errors import Kind, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def test_a_run_gives_its_tables_as_frames(small: SmallExperiment) -> None:
    run = api.run(small.path, run_id="run", workers=2)

    assert (run.kind, run.computed, run.run_id) == (Kind.OK, 12, "run")
    assert isinstance(run.results, pl.DataFrame)
    assert run.results.select("point", "partition").rows() == [
        (point, partition) for point in range(4) for partition in range(3)
    ]
    assert run.points["param.every"].to_list() == [20, 30, 40, 50]
    assert run.failures == []
    assert run.report.is_file()
    # Money of successive partitions is summed.
    of_point = run.results.filter(pl.col("point") == 2)
    assert run.points["net_profit"][2] == of_point["net_profit"].sum()


def test_a_stored_run_is_opened_by_its_id(small: SmallExperiment) -> None:
    run = api.run(small.path, run_id="run", workers=2)
    opened = api.open_run("run", small.results)

    assert opened.result == run.result
    assert opened.results.equals(run.results)
    assert opened.points.equals(run.points)


def test_a_run_without_a_name_gets_one_from_the_experiment(small: SmallExperiment) -> None:
    small.write(parameters={"every": [20]})
    names = [api.run(small.path).run_id for _ in range(2)]

    assert len(set(names)) == 2
    assert all(name.startswith("small-2") for name in names)


@pytest.mark.parametrize("run_id", ["none", "../none"])
def test_a_run_that_is_not_there_cannot_be_opened(small: SmallExperiment, run_id: str) -> None:
    with pytest.raises(UsageError, match="none"):
        api.open_run(run_id, small.results)


def test_failed_tasks_do_not_raise(small: SmallExperiment) -> None:
    small.use("failing.py:Failing", way=["none", "raise"])
    run = api.run(small.path, run_id="run", workers=1)

    assert run.kind is Kind.INCOMPLETE
    assert [failure["kind"] for failure in run.failures] == ["strategy"]


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory, small_dataset: Path) -> SmallExperiment:
    """A run ``first`` of the best by Sharpe ratio; not to be changed."""
    experiment = SmallExperiment(tmp_path_factory.mktemp("first"), small_dataset)
    experiment.write(objective={"metric": "sharpe"}, results="results")
    (experiment.folder / "experiment.yaml").write_text(experiment.path.read_text())
    api.run(experiment.folder / "experiment.yaml", run_id="first", workers=2)
    return experiment


def examples() -> list[doctest.DocTest]:
    finder = doctest.DocTestFinder(exclude_empty=True)
    return [found for found in finder.find(api, "api", globs={"api": api}) if found.examples]


@pytest.mark.parametrize("example", examples(), ids=lambda example: example.name)
def test_each_example_in_the_docstrings_gives_what_it_says(
    example: doctest.DocTest,
    first: SmallExperiment,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shutil.copytree(first.folder, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    if "to_pandas" in example.name and importlib.util.find_spec("pandas") is None:
        pytest.skip("pandas is not installed")
    example.globs["run"] = api.open_run("first")
    said: list[str] = []

    failed, tried = doctest.DocTestRunner().run(example, out=said.append)

    assert (failed, tried) == (0, len(example.examples)), "".join(said)


def test_what_the_module_exports_is_exported_by_name() -> None:
    public = {
        name
        for name, item in vars(api).items()
        if getattr(item, "__module__", "") == api.__name__ and not name.startswith("_")
    }
    assert public | {"PreparedRun"} == set(api.__all__)


def test_an_experiment_is_given_as_a_mapping_too(
    small: SmallExperiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(small.folder)
    content = small.content | {"parameters": {"every": range(20, 60, 10)}}

    run = api.run(content, run_id="mapping", workers=2)

    assert run.files.folder == small.results / "runs" / "mapping"
    assert run.result["run_digest"] == api.run(small.path, run_id="file").result["run_digest"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"partitons": {}}, "experiment: partitons: unknown key; did you mean 'partitions'?"),
        ({"venue": None}, "experiment: venue: "),
        ({"seed": object()}, "experiment: cannot be written as JSON: a object has no form in JSON"),
        ({"strategy": {"path": "gone.py:Gone"}}, "experiment: strategy.path: "),
    ],
)
def test_what_is_wrong_with_a_mapping_is_said_without_lines_and_columns(
    small: SmallExperiment, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any], message: str
) -> None:
    monkeypatch.chdir(small.folder)
    with pytest.raises(UsageError) as refused:
        api.run(small.content | change)
    assert message in str(refused.value)
    assert not re.search(r":\d+:\d+:", str(refused.value))


def test_the_tables_of_a_task_are_those_that_it_stored(first: SmallExperiment) -> None:
    run = api.open_run("first", first.results)
    task = run.task(1, partition=2)
    stored = first.results / "tasks" / task.task.task_id[:2] / task.task.task_id

    for name in ("orders", "fills", "positions", "equity"):
        assert getattr(task, name).equals(pl.read_parquet(stored / f"{name}.parquet"))
    assert task.summary["task_id"] == task.task.task_id
    row = run.results.filter(pl.col("task_id") == task.task.task_id)
    assert row.select("point", "partition").row(0) == (1, 2)
    assert run.task().task.point == run.best_point


def test_the_equity_of_a_point_adds_up_what_its_tasks_made(first: SmallExperiment) -> None:
    run = api.open_run("first", first.results)
    equity = run.equity(2)

    parts = [run.task(2, partition).equity["equity"] for partition in range(3)]
    profit = sum(part[-1] - part[0] for part in parts)
    assert equity["equity"][-1] - equity["equity"][0] == profit
    assert equity["equity"][0] == Decimal(100000)
    growth = math.prod(float(part[-1] / part[0]) for part in parts)
    assert equity["growth"][-1] == pytest.approx(growth, rel=1e-12)


def test_the_sharpe_ratio_of_a_point_is_that_of_its_returns(first: SmallExperiment) -> None:
    run = api.open_run("first", first.results)
    values = run.returns(3)["return"].to_list()

    assert len(values) == 3
    ratio = statistics.mean(values) / statistics.stdev(values) * math.sqrt(365)
    assert run.points["sharpe"][3] == pytest.approx(ratio, rel=1e-9)


def test_the_log_of_a_task_is_what_the_engine_says_when_it_runs_again(
    first: SmallExperiment,
) -> None:
    log = api.open_run("first", first.results).task(0).log

    assert "BacktestEngine" in log
    assert "INFO" in log


def test_a_notebook_shows_status_best_points_and_curve(first: SmallExperiment) -> None:
    shown = api.open_run("first", first.results)._repr_html_()

    assert "first: complete, 12 of 12 tasks ok" in shown
    assert shown.count("<tr>") == 5
    assert "<svg" in shown


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda run: run.task(4), "point 4: the run's points are 0 to 3"),
        (lambda run: run.task(0, 3), "partition 3: the run's partitions are 0 to 2"),
        (lambda run: run.equity(-1), "point -1: the run's points are 0 to 3"),
    ],
)
def test_a_point_or_partition_that_is_not_there_is_refused(
    first: SmallExperiment, ask: Callable[[api.Run], object], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        ask(api.open_run("first", first.results))


def test_a_task_that_failed_has_no_tables(ended: SmallExperiment) -> None:
    run = api.open_run("partly", ended.results)
    (failed,) = [
        point for point in range(2) if run.results.filter(point=point)["status"][0] != "ok"
    ]

    with pytest.raises(UsageError, match="has no result for partition 0"):
        _ = run.task(failed).fills
    with pytest.raises(UsageError, match="has no result for partition 0"):
        run.equity(failed)
    with pytest.raises(UsageError, match="names no best point"):
        run.equity()


def test_the_runs_of_a_folder_are_listed_the_oldest_first(ended: SmallExperiment) -> None:
    listed = api.runs(ended.results)

    assert listed.select("run_id", "status", "planned", "failed").rows() == [
        ("partly", "incomplete", 2, 1),
        ("whole", "complete", 1, 0),
    ]
    assert api.open_run(results=ended.results).run_id == "whole"
