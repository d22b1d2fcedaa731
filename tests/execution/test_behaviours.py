"""What every executor does alike: tasks fail, workers die, runs are stopped, killed and resumed."""

from __future__ import annotations

import shutil
import signal
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from tests.execution import executors
from tests.execution.executors import (
    EXECUTORS,
    RUN_ID,
    events,
    failures,
    finished,
    result,
    status,
)
from tests.execution.processes import wait_for
from trading_runtime.cli.main import invoke, root

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

    from tests.execution.executors import Runs
    from tests.small_experiment import SmallExperiment

TASKS, FREE = 4, 1
STOPPED = {"SIGINT": 130, "SIGTERM": 143, "runs stop": 130}


@pytest.fixture(params=EXECUTORS)
def runs(request: pytest.FixtureRequest, small: SmallExperiment) -> Runs:
    """A run of the small experiment by one of the executors."""
    return EXECUTORS[request.param](small)


@pytest.fixture
def computing(runs: Runs) -> Iterator[subprocess.Popen[str]]:
    """The run's process, which has finished one task of four; the next waits for the gate."""
    runs.experiment.hold(tasks=TASKS, free=FREE)
    process = runs.start()
    wait_for(lambda: len(events(runs.experiment, "task_started")) == FREE + 1)
    yield process
    executors.clear_away(process)


def command(runs: Runs, *words: str) -> int:
    """Run a command on the run's results; return its exit code."""
    return invoke(root, [*words, "--results", str(runs.experiment.results)])


def assert_is_sound(runs: Runs) -> None:
    """Fail unless journal, metadata, plan and tables of the run belong together."""
    assert command(runs, "runs", "check", RUN_ID) == 0


def assert_resumes(runs: Runs) -> None:
    """Open the gate and run again: only what was not finished is computed."""
    before = [payload["task_id"] for payload in events(runs.experiment, "task_completed")]
    begun = len(events(runs.experiment, "task_started"))
    runs.experiment.gate.touch()

    assert runs.run() == 0
    assert status(runs.experiment) == "complete"
    assert finished(runs.experiment) == TASKS
    assert len(before) == FREE
    again = [payload["task_id"] for payload in events(runs.experiment, "task_started")[begun:]]
    assert len(set(again)) == len(again) == TASKS - FREE
    assert not {*again} & {*before}
    assert len(events(runs.experiment, "run_resumed")) == 1
    assert events(runs.experiment, "run_completed")[-1]["complete"] is True
    assert_is_sound(runs)


def test_a_run_without_trouble_is_complete(runs: Runs) -> None:
    runs.experiment.write(parameters={"every": [20, 30]}, partitions={"by": "day"})

    assert runs.run() == 0
    assert status(runs.experiment) == "complete"
    assert result(runs.experiment)["counts"] == {
        "planned": 6, "ok": 6, "failed": 0, "missing": 0,
    }  # fmt: skip
    assert len(events(runs.experiment, "task_completed")) == finished(runs.experiment) == 6
    assert [batch["ok"] for batch in events(runs.experiment, "batch_completed")][-1] > 0
    assert runs.experiment.run_file(RUN_ID, "metrics.prom").exists()
    assert runs.experiment.run_file(RUN_ID, "report.md").exists()
    assert_is_sound(runs)


def test_a_task_that_fails_fails_alone(runs: Runs) -> None:
    runs.experiment.use("failing.py:Failing", way=["raise", "none"])

    assert runs.run() == 5
    assert status(runs.experiment) == "incomplete"
    assert finished(runs.experiment) == 1
    [failure] = failures(runs.experiment)
    assert failure["kind"] == "strategy"
    assert failure["message"].startswith("ValueError: the tenth bar")
    assert [event["kind"] for event in events(runs.experiment, "task_failed")] == ["strategy"]
    assert result(runs.experiment)["failed_by_kind"] == {"strategy": 1}
    assert_is_sound(runs)


def test_a_task_that_failed_is_tried_again_by_the_same_id_and_the_others_are_not(
    runs: Runs,
) -> None:
    runs.experiment.use("failing.py:Failing", way=["raise", "none"])
    assert runs.run() == 5
    assert runs.run() == 5

    [failure] = failures(runs.experiment)
    begun = Counter(event["task_id"] for event in events(runs.experiment, "task_started"))
    assert begun.pop(failure["task_id"]) == 2
    assert list(begun.values()) == [1]
    assert [event["kind"] for event in events(runs.experiment, "task_retried")] == ["strategy"]
    assert_is_sound(runs)


@pytest.mark.parametrize(("way", "kind"), [("os exit", "crash"), ("endless", "timeout")])
def test_a_worker_that_dies_costs_its_task_alone(runs: Runs, way: str, kind: str) -> None:
    runs.experiment.use("failing.py:Failing", way=[way, "none"])
    runs.experiment.write(limits={"task_seconds": 3})

    assert runs.run() == 5
    assert status(runs.experiment) == "incomplete"
    assert finished(runs.experiment) == 1
    assert [failure["kind"] for failure in failures(runs.experiment)] == [kind]
    assert result(runs.experiment)["counts"]["failed"] == 1
    assert_is_sound(runs)


@pytest.mark.parametrize("asked", STOPPED)
def test_a_run_that_is_stopped_keeps_what_is_finished_and_resumes(
    runs: Runs, computing: subprocess.Popen[str], asked: str
) -> None:
    if asked == "runs stop":
        assert command(runs, "runs", "stop", RUN_ID) == 0
    else:
        computing.send_signal(getattr(signal, asked))
    code = executors.end(computing)
    ended = runs.conclude(code)

    assert code == STOPPED[asked]
    assert ended in {code, 5}
    assert finished(runs.experiment) == FREE
    assert failures(runs.experiment) == []
    if asked == "runs stop":
        assert status(runs.experiment) == "stopped"
        assert len(events(runs.experiment, "run_stopped")) == 1
        assert command(runs, "runs", "stop", RUN_ID) == 2
    assert_is_sound(runs)
    assert_resumes(runs)


def test_the_kill_switch_ends_a_run_and_lets_none_begin_until_it_is_cleared(
    runs: Runs, computing: subprocess.Popen[str]
) -> None:
    assert command(runs, "kill", "activate", "--reason", "a trial") == 0
    code = executors.end(computing)

    assert (code, runs.conclude(code)) == (10, 10)
    assert status(runs.experiment) == "killed"
    assert finished(runs.experiment) == FREE
    assert result(runs.experiment)["counts"]["ok"] == FREE
    assert [failure["kind"] for failure in failures(runs.experiment)] == ["killed"]
    assert "(a trial)" in events(runs.experiment, "run_killed")[-1]["message"]
    assert_is_sound(runs)
    assert runs.run() == 10
    assert status(runs.experiment) == "killed"
    assert command(runs, "kill", "clear", "--reason", "it was a trial") == 0
    assert_resumes(runs)


def test_a_process_that_vanishes_costs_nothing_that_was_finished(
    runs: Runs, computing: subprocess.Popen[str]
) -> None:
    executors.kill(computing)

    assert finished(runs.experiment) == FREE
    assert status(runs.experiment) == "running"
    assert_resumes(runs)


def test_a_stored_result_that_is_lost_is_computed_again(runs: Runs) -> None:
    runs.experiment.write(parameters={"every": [20, 30]}, partitions={"by": "day"})
    assert runs.run() == 0
    digest = result(runs.experiment)["run_digest"]
    [lost, *_] = sorted((runs.experiment.results / "tasks").glob("??/*"))
    shutil.rmtree(lost)

    assert runs.run() == 0
    assert result(runs.experiment)["run_digest"] == digest
    begun = Counter(event["task_id"] for event in events(runs.experiment, "task_started"))
    assert [task for task, times in begun.items() if times == 2] == [lost.name]
    assert_is_sound(runs)
