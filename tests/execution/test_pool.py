"""Workers are replaced when they die; a run whose workers cannot work at all ends."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from trading_runtime.errors import CrashError
from trading_runtime.execution.pool import Job, TaskEnded, WorkerPool, worker_environment
from trading_runtime.execution.preparation import prepare

if TYPE_CHECKING:
    from pathlib import Path

    from tests.small_experiment import SmallExperiment


def job_of(experiment: SmallExperiment, plan: Path) -> Job:
    prepared = prepare(experiment.path)
    plan.write_text(prepared.plan.to_json())
    return Job(
        plan=plan,
        folder=experiment.folder,
        dataset=prepared.loaded.dataset_place,
        results=str(experiment.results),
        task_seconds=60,
    )


def test_workers_that_cannot_begin_end_the_run_with_what_they_said(
    small: SmallExperiment, tmp_path: Path
) -> None:
    job = job_of(small, tmp_path / "plan.json")
    job.plan.unlink()

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
        "MINE": "kept",
    }.items():
        monkeypatch.setenv(name, value)
    found = worker_environment()

    assert (found["PYTHONHASHSEED"], found["TZ"], found["LC_ALL"]) == ("0", "UTC", "C.UTF-8")
    assert "PYTHONOPTIMIZE" not in found
    assert "PYTHONWARNINGS" not in found
    assert (found["PYTHONDONTWRITEBYTECODE"], found["MINE"]) == ("1", "kept")
    assert found["PYTHONPATH"].split(os.pathsep)[1:] == [str(tmp_path / "here"), "/there"]
