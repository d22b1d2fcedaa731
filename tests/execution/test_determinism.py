"""The same tasks give the same bytes, whoever computes them, wherever, and in whatever order."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from tests.small_experiment import STRATEGIES, SmallExperiment, make_dataset
from trading_runtime import api

if TYPE_CHECKING:
    from pathlib import Path

RUN_FILES = ("results.parquet", "points.parquet", "result.json")


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory, small_dataset: Path) -> SmallExperiment:
    """The experiment that all others are compared with, run by one worker."""
    experiment = SmallExperiment(tmp_path_factory.mktemp("first"), small_dataset)
    assert experiment.summary("--run-id", "run", "--workers", "1")["computed"] == 12
    return experiment


def assert_same_bytes(one: SmallExperiment, other: SmallExperiment) -> None:
    assert one.tasks() == other.tasks()
    for name in RUN_FILES:
        assert one.run_file("run", name).read_bytes() == other.run_file("run", name).read_bytes()


def test_the_strategy_trades_differently_at_each_point(first: SmallExperiment) -> None:
    points = pl.read_parquet(first.run_file("run", "points.parquet"))

    assert points["orders"].to_list() == [36, 24, 18, 12]
    assert points["net_profit"].n_unique() == 4


def test_two_workers_give_the_bytes_of_one(first: SmallExperiment, small: SmallExperiment) -> None:
    small.summary("--run-id", "run", "--workers", "2")

    assert_same_bytes(first, small)


def test_the_environment_of_the_parent_changes_nothing(
    first: SmallExperiment, small: SmallExperiment
) -> None:
    environment = {
        "PYTHONHASHSEED": "12345",
        "TZ": "Asia/Tokyo",
        "LANG": "tr_TR.UTF-8",
        "LC_ALL": "C",
        "PYTHONOPTIMIZE": "2",
        "PYTHONUTF8": "0",
    }
    small.summary("--run-id", "run", environment=environment)

    assert_same_bytes(first, small)


def test_dataset_strategy_and_results_may_lie_anywhere(
    first: SmallExperiment, small_dataset: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "another place" / "deeper"
    folder.mkdir(parents=True)
    dataset = shutil.copytree(small_dataset, tmp_path / "data elsewhere")
    other = SmallExperiment(folder, dataset)
    (folder / "strategies").mkdir()
    (folder / "counting.py").rename(folder / "strategies" / "counting.py")
    other.results = tmp_path / "kept"
    other.write(
        dataset={"path": "../../data elsewhere"},
        results="../../kept",
        strategy=other.content["strategy"] | {"path": "strategies/counting.py:Counting"},
    )
    other.summary("--run-id", "run")

    assert_same_bytes(first, other)


def test_the_order_of_points_changes_no_task(
    first: SmallExperiment, small: SmallExperiment
) -> None:
    small.write(parameters={"every": [50, 40, 30, 20]})
    summary = small.summary("--run-id", "run", "--workers", "1")

    assert first.tasks() == small.tasks()
    assert (
        summary["run_digest"]
        == json.loads(first.run_file("run", "result.json").read_text())["run_digest"]
    )


def test_a_second_run_computes_nothing_and_has_the_same_digest(small: SmallExperiment) -> None:
    one = api.run(small.path, run_id="one")
    before = small.tasks()
    two = api.run(small.path, run_id="two")

    assert (one.computed, two.computed) == (12, 0)
    assert small.tasks() == before
    for name in RUN_FILES:
        assert small.run_file("one", name).read_bytes() == small.run_file("two", name).read_bytes()


def test_later_runs_compute_only_what_is_new(small: SmallExperiment, tmp_path: Path) -> None:
    first_of_all = api.run(small.path, run_id="first")
    before = small.tasks()

    small.write(parameters={"every": [10, 20, 30, 40, 50]})
    assert api.run(small.path, run_id="wider").computed == 3
    small.write(labels={"asked-by": "Ada"}, notes="again", workers=1, limits={"task_seconds": 77})
    assert api.run(small.path, run_id="relabelled").computed == 0
    changed = make_dataset(tmp_path / "changed", changed_bar=300)
    small.write(dataset={"path": str(changed)}, parameters={"every": [20, 30, 40, 50]})
    assert api.run(small.path, run_id="one-row-changed").computed == 4
    with (small.folder / "counting.py").open("a") as file:
        file.write("# a comment\n")
    commented = api.run(small.path, run_id="commented")

    assert commented.computed == 12
    assert commented.result["run_digest"] != first_of_all.result["run_digest"]
    after = small.tasks()
    assert {name: after[name] for name in before} == before


def test_a_package_on_the_path_of_the_caller_is_found_by_the_workers(
    small: SmallExperiment,
) -> None:
    package = small.folder / "elsewhere" / "mine"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    shutil.copy(STRATEGIES / "counting.py", package)
    small.write(strategy=small.content["strategy"] | {"path": "mine.counting:Counting"})
    summary: dict[str, Any] = small.summary(environment={"PYTHONPATH": "elsewhere"})

    assert summary["counts"]["ok"] == 12
