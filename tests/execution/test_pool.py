"""Workers are replaced when they die; a run whose workers cannot work at all ends."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from trading_runtime.errors import CrashError
from trading_runtime.execution.executor import TaskEnded
from trading_runtime.execution.preparation import prepare_run
from trading_runtime.execution.workers import memory
from trading_runtime.execution.workers.pool import WorkerPool
from trading_runtime.execution.workers.prestarted import PrestartedWorker
from trading_runtime.execution.workers.processes import Job, worker_environment
from trading_runtime.results.store import Store

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


def pid_of(pool: WorkerPool, batches: list[list[int]]) -> int:
    """Run the batches on the pool's one worker, all well, and return its process id."""
    [(pid, ended)] = tasks_by_process(pool, batches).items()
    assert {event.status for event in ended} == {"ok"}
    return pid


def test_a_worker_that_is_kept_computes_for_the_next_plan_what_a_fresh_one_computes(
    small: SmallExperiment, tmp_path: Path
) -> None:
    one_day = {"by": "day", "end": "2024-01-02"}
    small.write(parameters={"every": [30, 60]}, partitions=one_day)
    first = job_of(small, tmp_path / "first.json")
    small.write(parameters={"every": [20, 90, 45]})
    second = job_of(small, tmp_path / "second.json")
    small.write(partitions={"by": "day", "start": "2024-01-02"})
    next_day = job_of(small, tmp_path / "next-day.json")
    code = small.folder / "counting.py"
    code.write_text(code.read_text() + "\n# edited\n")
    edited = job_of(small, tmp_path / "edited.json")
    code.write_text(code.read_text().removesuffix("\n# edited\n"))

    pids = []
    with PrestartedWorker() as waiting:
        waiting.keeps = True
        for job in (first, second, next_day):
            with WorkerPool(job, 1, lambda: False, waiting) as pool:
                pids.append(pid_of(pool, [[0], [1]]))
        code.write_text(code.read_text() + "\n# edited\n")
        with WorkerPool(edited, 1, lambda: False, waiting) as pool:
            pids.append(pid_of(pool, [[0]]))
        assert waiting.pids == {pids[-1]}
    assert pids[0] == pids[1] == pids[2]
    assert pids[3] != pids[0]

    code.write_text(code.read_text().removesuffix("\n# edited\n"))
    for job in (second, next_day):
        fresh = replace(job, results=str(tmp_path / "fresh"))
        with WorkerPool(fresh, 1, lambda: False) as pool:
            pid_of(pool, [[0], [1]])
        for task in job.plan.task_ids[:2]:
            kept, alone = Store(job.results).task(task), Store(fresh.results).task(task)
            names = sorted(path.name for path in kept.iterdir())
            assert names == sorted(path.name for path in alone.iterdir())
            assert all((kept / name).read_bytes() == (alone / name).read_bytes() for name in names)


def test_what_failed_in_a_worker_that_was_kept_is_tried_again_in_a_fresh_one(
    small: SmallExperiment, tmp_path: Path
) -> None:
    job = job_of(small, tmp_path / "plan.json")
    with PrestartedWorker() as waiting:
        waiting.keeps = True
        with WorkerPool(job, 2, lambda: False, waiting) as pool:
            assert len([event for event in pool.run([[0], [1]]) if event.worker == 1]) > 1
        kept = waiting.pids
        assert len(kept) == 2

        replaced = None
        with WorkerPool(job, 1, lambda: False, waiting) as pool:
            for event in pool.run([[2, 3]]):
                worker = pool._workers[0]
                if worker is None:
                    continue
                if replaced is None:
                    # A signal from outside is no fault of the task.
                    replaced = worker.pid
                    worker._process.kill()
                elif isinstance(event, TaskEnded):
                    assert event.status == "ok"
                    assert worker.pid not in kept
        assert replaced in kept
