"""A journal tells of each batch when it began, broke off, went on and ended."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from trading_runtime.errors import Kind
from trading_runtime.execution.executor import TaskBegun, TaskEnded
from trading_runtime.execution.recording import BatchRecords
from trading_runtime.records.journal import Journal, chain_bytes

if TYPE_CHECKING:
    from pathlib import Path

    from tests.small_experiment import SmallExperiment
    from trading_runtime.execution.executor import TaskEvent


def told(folder: Path, batches: dict[int, list[int]], happened: list[TaskEvent]) -> list[Any]:
    """Return event, payload and, for shortness, no seconds."""
    with Journal(folder, "local-1") as journal:
        records = BatchRecords(journal, batches)
        for event in happened:
            records.before(event)
            records.after(event)
    entries = [json.loads(line) for line in chain_bytes(folder / "local-1").splitlines()]
    return [
        (
            entry["event"],
            {key: value for key, value in entry["payload"].items() if key != "seconds"},
        )
        for entry in entries
    ]


def ended(task: int, status: str = "ok") -> TaskEnded:
    return TaskEnded(task, 0, status, 0.1, message="why\nin long")


def test_a_batch_begins_with_its_first_task_and_ends_with_its_last(tmp_path: Path) -> None:
    happened: list[TaskEvent] = [
        TaskBegun(4, 1),
        ended(4),
        TaskBegun(5, 1),
        ended(5, "strategy"),
        TaskBegun(9, 0),
        ended(9),
    ]

    assert told(tmp_path, {2: [4, 5], 3: [9]}, happened) == [
        ("batch_started", {"batch": 2, "tasks": 2, "worker": 1}),
        ("batch_completed", {"batch": 2, "worker": 0, "ok": 1, "failed": 1}),
        ("batch_started", {"batch": 3, "tasks": 1, "worker": 0}),
        ("batch_completed", {"batch": 3, "worker": 0, "ok": 1, "failed": 0}),
    ]


def test_a_worker_that_dies_breaks_its_batch_off_and_another_goes_on(tmp_path: Path) -> None:
    happened: list[TaskEvent] = [
        TaskBegun(0, 0),
        ended(0, Kind.CRASH),
        TaskBegun(1, 0),
        ended(1, Kind.TIMEOUT),
        TaskBegun(2, 0),
        ended(2),
    ]

    assert told(tmp_path, {0: [0, 1, 2]}, happened) == [
        ("batch_started", {"batch": 0, "tasks": 3, "worker": 0}),
        ("batch_failed", {"batch": 0, "kind": "crash", "left": 2, "worker": 0, "message": "why"}),
        ("batch_retried", {"batch": 0, "tasks": 2, "attempt": 2}),
        (
            "batch_failed",
            {"batch": 0, "kind": "timeout", "left": 1, "worker": 0, "message": "why"},
        ),
        ("batch_retried", {"batch": 0, "tasks": 1, "attempt": 3}),
        ("batch_completed", {"batch": 0, "worker": 0, "ok": 1, "failed": 2}),
    ]


def test_what_belongs_to_no_batch_is_passed_over(tmp_path: Path) -> None:
    assert told(tmp_path, {}, [TaskBegun(0, 0), ended(0)]) == []


def test_a_run_tells_of_its_batches_whose_workers_die(small: SmallExperiment) -> None:
    # Five tasks and one worker make batches of two, two and one.
    small.use("failing.py:Failing", way=["os exit", "none", "raise", "exit", "interrupt"])
    ended = small.run("--run-id", "run", "--workers", "1")
    lines = small.run_file("run", "journal.jsonl").read_text().splitlines()

    assert ended.returncode == 5
    assert [
        (entry["event"], entry["payload"]["batch"])
        for entry in map(json.loads, lines)
        if entry["event"].startswith("batch_")
    ] == [
        ("batch_started", 0),
        ("batch_failed", 0),
        ("batch_retried", 0),
        ("batch_completed", 0),
        ("batch_started", 1),
        ("batch_completed", 1),
        ("batch_started", 2),
        ("batch_completed", 2),
    ]
