"""Why two tasks or two runs differ: their inputs first, then what came out of them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from trading_runtime.canonical import canonical_json
from trading_runtime.errors import DataError
from trading_runtime.planning.identity import partition_inputs
from trading_runtime.results.differences import (
    FileDifference,
    InputDifference,
    first_difference,
    input_differences,
)
from trading_runtime.results.files import read_json
from trading_runtime.results.store import MANIFEST

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trading_runtime.results.store import Store

_SUMMARY = "summary.json"
_IGNORED = frozenset({"task_id", "files", "inputs", "digest"})
"""Keys of summary and manifest that say which task it is, or what other files hold."""


@dataclass(frozen=True)
class TaskComparison:
    """Two stored results, and what differs between them."""

    first: str
    second: str
    """Their task ids."""
    inputs: list[InputDifference]
    result: FileDifference | None

    @property
    def same(self) -> bool:
        """Whether neither inputs nor results differ."""
        return not self.inputs and self.result is None


@dataclass(frozen=True)
class RunComparison:
    """Two planned runs, and what differs between them."""

    inputs: list[InputDifference]
    """Of what all tasks share, of the objective, and of the data of windows that both have."""
    points: tuple[list[dict[str, Any]], list[dict[str, Any]]]
    """Parameters of the points that only the first, and only the second run has."""
    windows: tuple[list[str], list[str]]
    """Partitions that only the first, and only the second run has."""
    shared: int
    """Tasks with the same id in both."""
    equal: int
    """Pairs (same parameters, same window) with the same result."""
    different: int
    missing: tuple[int, int]
    """Pairs of which only the second, and only the first result is stored."""
    first_pair: TaskComparison | None
    """The first pair with different results, in order of the first run's plan."""

    @property
    def same(self) -> bool:
        """Whether nothing differs."""
        return not (
            self.inputs
            or any(self.points)
            or any(self.windows)
            or self.different
            or any(self.missing)
        )


@dataclass(frozen=True)
class PlannedRun:
    """A run's plan and the store that has its results."""

    store: Store
    plan: Mapping[str, Any]

    def windows(self) -> dict[str, int]:
        """Return the index of each partition by its window and instruments."""
        return {_window(item): item["index"] for item in self.plan["partitions"]}

    def partition_inputs(self, index: int) -> dict[str, Any]:
        """Return the inputs of a partition; its instants are texts, as a plan shows them."""
        return partition_inputs(self.plan["partitions"][index], self.plan["instruments"])

    def points(self) -> dict[bytes, dict[str, Any]]:
        """Return the parameters of each point by their canonical form."""
        return {_key(item): item["parameters"] for item in self.plan["points"]}

    def tasks(self) -> dict[tuple[bytes, str], str]:
        """Return each task's id by its parameters and window, in the plan's order."""
        points, partitions = self.plan["points"], self.plan["partitions"]
        keys = [_key(point) for point in points]
        names = [_window(partition) for partition in partitions]
        return {
            (keys[task["point"]], names[task["partition"]]): task["task_id"]
            for task in self.plan["tasks"]
        }


def compare_tasks(first: Store, first_id: str, second: Store, second_id: str) -> TaskComparison:
    """Compare two stored results: all inputs, then rows and statistics up to the first difference.

    Raises ``DataError`` when one of them is damaged.
    """
    pairs = ((first, first_id), (second, second_id))
    result, other_result = (store.read_task(identity) for store, identity in pairs)
    inputs, other_inputs = (
        json.loads(files[MANIFEST])["inputs"] for files in (result, other_result)
    )
    return TaskComparison(
        first_id,
        second_id,
        input_differences(inputs, other_inputs),
        first_difference(result, other_result, ignored=_IGNORED),
    )


def compare_runs(first: PlannedRun, second: PlannedRun) -> RunComparison:
    """Compare two runs: what was asked for, then the results of tasks that answer each other.

    Tasks answer each other when they have the same parameters and the same window. Raises
    ``DataError`` when a result that differs is damaged.
    """
    points = first.points(), second.points()
    tasks = first.tasks(), second.tasks()
    equal = different = 0
    missing = [0, 0]
    first_pair = None
    for key in [key for key in tasks[0] if key in tasks[1]]:
        ids = tasks[0][key], tasks[1][key]
        stored = first.store.has_task(ids[0]), second.store.has_task(ids[1])
        if not all(stored):
            if any(stored):
                missing[stored.index(False)] += 1
        elif _is_same(first.store, ids[0], second.store, ids[1]):
            equal += 1
        else:
            different += 1
            first_pair = first_pair or compare_tasks(first.store, ids[0], second.store, ids[1])
    windows = first.windows(), second.windows()
    return RunComparison(
        inputs=[
            *input_differences(_shared_inputs(first), _shared_inputs(second)),
            *_data_differences(first, second),
        ],
        points=(
            [value for key, value in points[0].items() if key not in points[1]],
            [value for key, value in points[1].items() if key not in points[0]],
        ),
        windows=(
            [name for name in windows[0] if name not in windows[1]],
            [name for name in windows[1] if name not in windows[0]],
        ),
        shared=len(set(tasks[0].values()) & set(tasks[1].values())),
        equal=equal,
        different=different,
        missing=(missing[0], missing[1]),
        first_pair=first_pair,
    )


def _is_same(first: Store, first_id: str, second: Store, second_id: str) -> bool:
    """Tell by the manifests, which hold the sha256 of every file, without reading the files."""
    if first_id == second_id:
        if first.root.absolute() == second.root.absolute():
            return True
        return first.manifest_digest(first_id) == second.manifest_digest(second_id)
    files, other_files = (
        {name: facts for name, facts in _files(*pair).items() if name != _SUMMARY}
        for pair in ((first, first_id), (second, second_id))
    )
    if files != other_files:
        return False
    # The summary holds the task's id; so it is never the same file in two tasks.
    summary, other_summary = (
        {_SUMMARY: store.read_task_file(identity, _SUMMARY)}
        for store, identity in ((first, first_id), (second, second_id))
    )
    return first_difference(summary, other_summary, ignored=_IGNORED) is None


def _files(store: Store, identity: str) -> dict[str, Any]:
    path = store.task(identity) / MANIFEST
    try:
        return dict(read_json(path)["files"])
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path}: damaged: it names no files; run the experiment again") from error


def _shared_inputs(run: PlannedRun) -> dict[str, Any]:
    return {
        "common": run.plan["common"],
        "config": run.plan["strategy"]["config"],
        "objective": run.plan["objective"],
    }


def _data_differences(first: PlannedRun, second: PlannedRun) -> list[InputDifference]:
    """Return what differs in the data of windows that both runs have."""
    other = second.windows()
    return [
        found
        for name, index in first.windows().items()
        if name in other
        for found in input_differences(
            first.partition_inputs(index),
            second.partition_inputs(other[name]),
            f"partition[{index}]",
        )
    ]


def _window(partition: Mapping[str, Any]) -> str:
    instruments = ", ".join(partition["instruments"])
    return f"{partition['start']} to {partition['end']} of {instruments}"


def _key(point: Mapping[str, Any]) -> bytes:
    return canonical_json(point["parameters"])


def as_document(comparison: TaskComparison | RunComparison) -> dict[str, Any]:
    """Return a comparison as JSON content."""
    if isinstance(comparison, TaskComparison):
        return {
            "first": comparison.first,
            "second": comparison.second,
            "same": comparison.same,
            "inputs": [vars(item) for item in comparison.inputs],
            "result": None if comparison.result is None else vars(comparison.result),
        }
    pair = comparison.first_pair
    return {
        "same": comparison.same,
        "inputs": [vars(item) for item in comparison.inputs],
        "points_only_in": list(comparison.points),
        "windows_only_in": list(comparison.windows),
        "tasks": {
            "shared": comparison.shared,
            "same": comparison.equal,
            "different": comparison.different,
            "missing_in": list(comparison.missing),
        },
        "first_different_pair": None if pair is None else as_document(pair),
    }
