"""Workers are replaced when they die; a run whose workers cannot work at all ends."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from trading_runtime.errors import CrashError
from trading_runtime.execution.executor import TaskEnded
from trading_runtime.execution.preparation import prepare_run
from trading_runtime.execution.workers import memory
from trading_runtime.execution.workers.pool import WorkerPool
from trading_runtime.execution.workers.processes import Job, worker_environment

if TYPE_CHECKING:
    from pathlib import Path

    from tests.small_experiment import SmallExperiment


def job_of(
    experiment: SmallExperiment,
    plan: Path,
    task_memory: int | None = None,
    most_growth: int = 1 << 30,
) -> Job:
    prepared = prepare_run(experiment.path)
    plan.write_text(prepared.plan.to_json())
    return Job(
        plan=prepared.plan,
        plan_file=plan,
        folder=experiment.folder,
        dataset=prepared.loaded.dataset_place,
        results=str(experiment.results),
        task_seconds=60,
        task_memory=task_memory,
        most_growth=most_growth,
    )


def test_workers_that_cannot_begin_end_the_run_with_what_they_said(
    small: SmallExperiment, tmp_path: Path
) -> None:
    job = job_of(small, tmp_path / "plan.json")
    job.plan_file.unlink()

    with (
        pytest.raises(CrashError, match=r"worker processes cannot work: .*plan\.json"),
        WorkerPool(job, 1, lambda: False) as pool,
    ):
        list(pool.run([[0, 1]]))


def test_a_worker_that_was_killed_between_tasks_is_replaced(
    small: SmallExperiment, tmp_path: Path
) -> None:
    job = job_of(small, tmp_path / "plan.json")
    ended: list[TaskEnded] = []
    with WorkerPool(job, 1, lambda: False) as pool:
        for event in pool.run([[0], [1], [2, 3]]):
            if isinstance(event, TaskEnded):
                ended.append(event)
                if event.task == 0:
                    worker = pool._workers[0]
                    assert worker is not None
                    worker._process.kill()
                    worker._process.wait()

    assert [(event.task, event.status) for event in ended] == [(task, "ok") for task in range(4)]


def test_asking_to_stop_ends_between_events(small: SmallExperiment, tmp_path: Path) -> None:
    job = job_of(small, tmp_path / "plan.json")
    ended: list[int] = []
    with WorkerPool(job, 1, lambda: len(ended) >= 2) as pool:
        ended.extend(
            event.task for event in pool.run([[0], [1], [2], [3]]) if isinstance(event, TaskEnded)
        )

    assert ended == [0, 1]


def test_a_pool_without_batches_starts_nothing(small: SmallExperiment, tmp_path: Path) -> None:
    with WorkerPool(job_of(small, tmp_path / "plan.json"), 2, lambda: False) as pool:
        assert list(pool.run([])) == []
        assert pool._workers == [None, None]


def test_the_environment_of_workers_is_fixed_where_it_can_change_a_result(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, value in {
        "PYTHONHASHSEED": "5",
        "PYTHONOPTIMIZE": "2",
        "PYTHONWARNINGS": "error",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONPATH": f"here{os.pathsep}/there",
        "TZ": "Asia/Tokyo",
        "MINE": "not kept",
        "TMPDIR": "/kept",
    }.items():
        monkeypatch.setenv(name, value)
    found = worker_environment()

    assert (found["PYTHONHASHSEED"], found["TZ"], found["LC_ALL"]) == ("0", "UTC", "C.UTF-8")
    assert "PYTHONOPTIMIZE" not in found
    assert "PYTHONWARNINGS" not in found
    assert "MINE" not in found
    assert (found["PYTHONDONTWRITEBYTECODE"], found["TMPDIR"]) == ("1", "/kept")
    assert found["PYTHONPATH"].split(os.pathsep)[1:] == [str(tmp_path / "here"), "/there"]


def tasks_by_process(pool: WorkerPool, batches: list[list[int]]) -> dict[int, list[TaskEnded]]:
    """Run the batches on the pool's one worker, and return which process ended which tasks."""
    ended: dict[int, list[TaskEnded]] = {}
    process = 0
    for event in pool.run(batches):
        if isinstance(event, TaskEnded):
            ended.setdefault(process, []).append(event)
        elif (worker := pool._workers[0]) is not None:
            process = worker._process.pid
    return ended


def test_a_worker_that_has_grown_too_much_is_replaced_between_two_tasks(
    small: SmallExperiment, tmp_path: Path
) -> None:
    small.use("keeping.py:Keeping", mebibytes=[0, 1, 90, 91, 2])
    job = job_of(small, tmp_path / "plan.json", most_growth=70 << 20)
    with WorkerPool(job, 1, lambda: False) as pool:
        found = list(tasks_by_process(pool, [[0, 1, 2, 3, 4]]).values())

    # The third and the fourth each leave more behind than a worker may keep.
    assert [[event.task for event in events] for events in found] == [[0, 1, 2], [3, 4]]
    assert {event.status for events in found for event in events} == {"ok"}


def test_a_task_is_not_blamed_for_the_memory_that_others_left_behind(
    small: SmallExperiment, tmp_path: Path
) -> None:
    small.use("keeping.py:Keeping", mebibytes=[300, 301, 302])
    job = job_of(small, tmp_path / "plan.json", task_memory=(300 + 400) << 20)
    with WorkerPool(job, 1, lambda: False) as pool:
        found = list(tasks_by_process(pool, [[0, 1, 2]]).values())

    # Two of them do not fit into one process, and each fits into one of its own.
    assert [[event.task for event in events] for events in found] == [[0], [1], [2]]
    assert {event.status for events in found for event in events} == {"ok"}


def test_a_process_that_the_system_ended_for_want_of_memory_is_said_to_be_so(
    small: SmallExperiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What the kernel counts, which no test can have it do on demand.
    counters = tmp_path / "vmstat"
    counters.write_text("pgfault 7\noom_kill 4\n")
    monkeypatch.setattr(memory, "_EVENTS", counters)
    job = job_of(small, tmp_path / "plan.json")
    ended = []
    with WorkerPool(job, 1, lambda: False) as pool:
        for event in pool.run([[0]]):
            if isinstance(event, TaskEnded):
                ended.append(event)
                continue
            counters.write_text("pgfault 9\noom_kill 5\n")
            worker = pool._workers[0]
            assert worker is not None
            worker.kill()

    [event] = ended
    assert event.out_of_memory
    assert "out of memory: the task's process died: it was ended by signal SIGKILL" in event.message
