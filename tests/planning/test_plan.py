"""A plan lists every task with its id before anything is started, from the manifest alone."""

from __future__ import annotations

import copy
import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from tests.small_experiment import BAR_TYPE, INSTRUMENT, make_dataset
from trading_runtime import api
from trading_runtime.errors import UsageError
from trading_runtime.planning import distributions, environment
from trading_runtime.planning.plan import batches
from trading_runtime.records.plan import plan_from_document

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.small_experiment import SmallExperiment


def ids(experiment: SmallExperiment) -> list[str]:
    return api.plan(experiment.path).plan.task_ids


def test_tasks_are_ordered_by_partition_then_by_point(small: SmallExperiment) -> None:
    plan = api.plan(small.path).plan

    assert [(task.partition, task.point) for task in plan.tasks] == [
        (partition, point) for partition in range(3) for point in range(4)
    ]
    assert len(set(plan.task_ids)) == 12
    assert [point.parameters for point in plan.points] == [
        {"every": every} for every in (20, 30, 40, 50)
    ]


def test_a_partition_states_its_window_and_rows(small: SmallExperiment) -> None:
    small.write(partitions={"by": "day", "warmup": "1d"})
    partitions = api.plan(small.path).plan.to_document()["partitions"]

    assert [
        (item["warmup_start"], item["start"], item["end"], item["rows_max"], item["warmup_short"])
        for item in partitions
    ] == [
        (f"{start}T00:00:00Z", f"{day}T00:00:00Z", f"{end}T00:00:00Z", 240, short)
        for start, day, end, short in [
            ("2023-12-31", "2024-01-01", "2024-01-02", True),
            ("2024-01-01", "2024-01-02", "2024-01-03", False),
            ("2024-01-02", "2024-01-03", "2024-01-04", False),
        ]
    ]
    assert all(item["instruments"] == [INSTRUMENT] for item in partitions)


CHANGES: dict[str, Callable[[dict[str, Any]], Any]] = {
    "an account": lambda e: e["venue"].update(balances=["100001 USDT"]),
    "leverage": lambda e: e["venue"].update(leverage="2"),
    "a fee": lambda e: e["venue"]["fees"].update(taker="0.0006"),
    "the fill model": lambda e: e["venue"].update(
        fill={"model": "default", "prob_slippage": "0.5"}
    ),
    "latency": lambda e: e["venue"].update(latency={"base": "1ms"}),
    "the seed": lambda e: e.update(seed=2),
    "the equity interval": lambda e: e.update(equity={"interval": "30m"}),
    "calendar": lambda e: e.update(statistics={"calendar": "every_day"}),
    "periods per year": lambda e: e.update(statistics={"periods_per_year": 252}),
    "what happens at the end": lambda e: e.update(at_end="close"),
    "a config value": lambda e: e["strategy"]["config"].update(size_step=2),
    "the warm-up": lambda e: e.update(partitions={"by": "day", "warmup": "1h"}),
    "the windows": lambda e: e.update(partitions={"by": "hour"}),
    "a required package": lambda e: e["strategy"].update(requirements=["pytest"]),
}


@pytest.mark.parametrize("what", CHANGES)
def test_what_can_change_a_result_changes_every_id(small: SmallExperiment, what: str) -> None:
    before = ids(small)
    CHANGES[what](small.content)
    small.write()

    assert not set(before) & set(ids(small))


FREE_CHANGES: dict[str, Callable[[dict[str, Any]], Any]] = {
    "labels": lambda e: e.update(labels={"by": "Ada"}),
    "notes": lambda e: e.update(notes="again"),
    "the name": lambda e: e.update(name="other"),
    "the results folder": lambda e: e.update(results="elsewhere"),
    "limits": lambda e: e.update(limits={"task_seconds": 5, "task_memory": "2 GiB"}),
    "workers": lambda e: e.update(workers=7),
    "the objective": lambda e: e.update(objective={"metric": "fees", "direction": "minimize"}),
    "a default made explicit": lambda e: e.update(at_end="mark", equity={"interval": "60m"}),
    "a trailing zero": lambda e: e["venue"]["fees"].update(taker="0.00050"),
    "the currency that is the only one": lambda e: e.update(statistics={"currency": "USDT"}),
}


@pytest.mark.parametrize("what", FREE_CHANGES)
def test_what_changes_no_result_changes_no_id(small: SmallExperiment, what: str) -> None:
    before = ids(small)
    FREE_CHANGES[what](small.content)
    small.write()

    assert ids(small) == before


def test_a_file_that_the_strategy_does_not_import_changes_no_id(small: SmallExperiment) -> None:
    before = ids(small)
    (small.folder / "notebook.py").write_text("import counting\n")

    assert ids(small) == before


@pytest.mark.parametrize(
    ("name", "is_used"), [("jinja2", False), ("click", False), ("numpy", True)]
)
def test_an_upgrade_changes_ids_where_a_task_imports_the_package(
    small: SmallExperiment, monkeypatch: pytest.MonkeyPatch, name: str, *, is_used: bool
) -> None:
    assert name in environment.pinned_packages()
    before = ids(small)
    installed = distributions.installed_version
    monkeypatch.setattr(
        environment, "installed_version", lambda asked: "99" if asked == name else installed(asked)
    )

    assert bool(set(before) - set(ids(small))) is is_used


def test_where_the_data_ends_is_an_input_only_where_holding_is_charged(
    small: SmallExperiment,
) -> None:
    def ends() -> list[str | None]:
        plan = api.plan(small.path).plan
        assert plan_from_document(json.loads(json.dumps(plan.to_document()))) == plan
        return [item.get("data_end") for item in plan.to_document()["partitions"]]

    # Four hours of bars on each of three days.
    assert ends() == [None, None, None]
    rates = {INSTRUMENT: {"long": "-0.0001", "short": "0"}}
    small.content["venue"]["swap"] = {"rates": rates, "per": "day", "time": "22:00"}
    small.write()
    assert ends() == [None, None, "2024-01-03T04:00:00Z"]
    small.write(partitions={"by": "whole"})
    assert ends() == ["2024-01-03T04:00:00Z"]
    # The data goes on: what is held then is held over the end of the window.
    small.write(partitions={"by": "whole", "end": "2024-01-02T12:00:00Z"})
    assert ends() == [None]


def test_extending_the_grid_keeps_the_ids_that_were_there(small: SmallExperiment) -> None:
    before = ids(small)
    small.write(parameters={"every": [10, 20, 30, 40, 50]})
    after = ids(small)

    assert set(before) < set(after)
    assert len(after) == 15


def test_a_value_is_the_same_fixed_or_varied(small: SmallExperiment) -> None:
    before = ids(small)
    config = {"bar_type": BAR_TYPE, "every": 20}
    small.write(
        strategy={"path": "counting.py:Counting", "config": config},
        parameters={},
    )

    assert ids(small) == before[::4]


def test_one_changed_row_changes_only_the_ids_of_its_day(
    small: SmallExperiment, tmp_path: Path
) -> None:
    before = ids(small)
    small.write(dataset={"path": str(make_dataset(tmp_path / "changed", changed_bar=300))})
    after = ids(small)

    assert [one == other for one, other in zip(before, after, strict=True)] == [
        *[True] * 4,
        *[False] * 4,
        *[True] * 4,
    ]


def test_planning_reads_no_row_and_writes_nothing(
    small: SmallExperiment, small_dataset: Path, tmp_path: Path
) -> None:
    bare = tmp_path / "manifest only"
    bare.mkdir()
    shutil.copy(small_dataset / "manifest.json", bare)
    before = ids(small)
    files = sorted(small.folder.rglob("*.json"))
    small.write(dataset={"path": str(bare)})

    assert ids(small) == before
    assert sorted(small.folder.rglob("*.json")) == files
    assert not small.results.exists()


def test_what_is_stored_is_marked_and_the_rest_estimated_by_what_was_measured(
    small: SmallExperiment,
) -> None:
    assert api.plan(small.path).plan.seconds is None
    api.run(small.path, run_id="one", workers=1)
    small.write(parameters={"every": [20, 25]})
    prepared = api.plan(small.path)
    metrics = json.loads(small.run_file("one", "metrics.json").read_text())
    each = max(metrics["task_seconds_median"] * 0.1, 240 / metrics["rows_per_second"])

    assert [task.cached for task in prepared.plan.tasks] == [True, False] * 3
    assert metrics["tasks_computed"] == 12
    assert metrics["rows"] == 12 * 240
    assert prepared.plan.seconds == pytest.approx(3 * each, rel=0.01)
    # A run that computes nothing measures nothing, and hides no measurement.
    small.write(parameters={"every": [20]})
    api.run(small.path, run_id="two", workers=1)
    small.write(parameters={"every": [20, 25]})
    assert api.plan(small.path).plan.seconds == pytest.approx(3 * each, rel=0.01)


def test_a_plan_reads_back_from_its_file(small: SmallExperiment) -> None:
    plan = api.plan(small.path).plan
    text = plan.to_json()

    assert plan_from_document(json.loads(text)) == plan
    assert copy.copy(plan).to_json() == text


def test_the_digest_of_a_plan_is_that_of_its_tasks_in_any_order(small: SmallExperiment) -> None:
    one = api.plan(small.path).plan
    small.write(parameters={"every": [50, 40, 30, 20]}, notes="other order")
    other = api.plan(small.path).plan
    small.write(parameters={"every": [50, 40, 30]})

    assert one.digest == other.digest
    assert api.plan(small.path).plan.digest != one.digest


@pytest.mark.parametrize(
    ("cached", "workers", "expected"),
    [
        ([False] * 4, 1, [[0, 1], [1, 2], [2, 3], [3, 4]]),
        ([False] * 8, 1, [[0, 2], [2, 4], [4, 6], [6, 8]]),
        ([True] * 3, 2, [[0, 3]]),
        ([False] * 7, 2, [[0, 1], [1, 2], [2, 3], [3, 4], [4, 5], [5, 6], [6, 7]]),
        ([False] * 9, 2, [[0, 2], [2, 4], [4, 6], [6, 7], [7, 8], [8, 9]]),
        ([False, True, False], 2, [[0, 1], [1, 3]]),
        ([True, False, True, False], 1, [[0, 2], [2, 4]]),
        ([False, True, True], 1, [[0, 1], [1, 3]]),
        ([], 2, []),
    ],
)
def test_batches_are_consecutive_and_four_per_worker_but_smaller_at_the_end(
    cached: list[bool], workers: int, expected: list[list[int]]
) -> None:
    assert [list(batch) for batch in batches(cached, workers)] == expected


def test_a_batch_is_never_larger_than_can_be_lost() -> None:
    found = batches([False] * 10_000, 2)

    assert max(last - first for first, last in found) == 256


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"partitions": {"by": "day", "warmup": "1d"}}, r"partitions\.warmup: a builtin strategy"),
        ({"at_end": "close"}, "at_end.*runs inside the engine"),
    ],
)
def test_what_cannot_be_enforced_on_a_builtin_strategy_is_refused(
    changes: dict[str, Any], words: str, small: SmallExperiment
) -> None:
    small.write(strategy={"path": "builtin:EmaCross"}, parameters={}, **changes)

    with pytest.raises(UsageError, match=words):
        api.plan(small.path)
