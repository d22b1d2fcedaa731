"""The kill switch ends what runs, keeps what was finished, lets nothing start."""

from __future__ import annotations

import json
import os
import signal
import time
from typing import TYPE_CHECKING

import pytest

from tests.execution.processes import PATIENCE, processes_of, wait_for
from trading_runtime.cli.main import invoke, root
from trading_runtime.units import parse_instant

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.small_experiment import SmallExperiment


@pytest.fixture
def start(small: SmallExperiment) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start the small experiment, and see to it that nothing of it is left."""
    started = []

    def starting(*options: str) -> subprocess.Popen[str]:
        started.append(small.start(*options))
        return started[-1]

    yield starting
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log.txt"


@pytest.fixture
def resting(small: SmallExperiment, log: Path) -> SmallExperiment:
    """One task that leaves an order at every bar, and waits at one for the kill switch."""
    small.use("resting.py:Resting", seconds=[0.02], log=[str(log)], stubborn=[False])
    return small


def finished(experiment: SmallExperiment) -> int:
    return len(list((experiment.results / "tasks").glob("??/*/manifest.json")))


def kill(experiment: SmallExperiment, *options: str) -> int:
    """Switch it on, and return the moment in nanoseconds."""
    command = ["kill", "activate", "--reason", "a trial", "--results", str(experiment.results)]
    assert invoke(root, [*command, *options]) == 0
    return time.time_ns()


def noted(log: Path) -> list[str]:
    """What the strategy noted, in order."""
    return log.read_text().splitlines() if log.exists() else []


def test_no_more_orders_go_out_and_open_ones_are_cancelled(
    resting: SmallExperiment, start: Callable[..., subprocess.Popen[str]], log: Path
) -> None:
    process = start("--run-id", "one", "--workers", "1")
    wait_for(lambda: len(noted(log)) >= 10)
    kill(resting)
    _, errors = process.communicate(timeout=PATIENCE)

    assert process.returncode == 10, errors
    assert "was killed with 0 of 1 tasks finished" in errors
    accepted = {what.split()[1] for what in noted(log) if what.startswith("accepted")}
    cancelled = {what.split()[1] for what in noted(log) if what.startswith("cancelled")}
    assert len(accepted) >= 5
    assert cancelled == accepted
    words = [what.split()[0] for what in noted(log)]
    after = words[words.index("refused") :]
    assert not {"sent", "accepted"} & set(after)
    assert processes_of(process.pid) == []


def test_a_killed_run_has_what_it_had_and_its_task_is_no_result(
    resting: SmallExperiment, start: Callable[..., subprocess.Popen[str]], log: Path
) -> None:
    process = start("--run-id", "one", "--workers", "1")
    wait_for(lambda: len(noted(log)) >= 4)
    kill(resting, "--run", "one")
    process.communicate(timeout=PATIENCE)

    assert finished(resting) == 0
    metadata = json.loads(resting.run_file("one", "metadata.json").read_text())
    assert metadata["status"] == "killed"
    assert "was killed with 0 of 1 tasks finished" in metadata["error"]
    [failure] = resting.run_file("one", "failures").iterdir()
    assert json.loads(failure.read_text())["kind"] == "killed"
    result = json.loads(resting.run_file("one", "result.json").read_text())
    assert result["failed_by_kind"] == {"killed": 1}
    assert resting.run_file("one", "results.parquet").exists()
    assert resting.run_file("one", "report.md").exists()
    lines = resting.run_file("one", "journal.jsonl").read_text().splitlines()
    events = {entry["event"]: entry["payload"] for entry in map(json.loads, lines)}
    assert events["kill_activated"]["reason"] == "a trial"
    assert events["task_failed"]["kind"] == "killed"
    assert "(a trial)" in events["run_killed"]["message"]


def test_tasks_finished_before_stay_and_the_others_are_missing(
    small: SmallExperiment, start: Callable[..., subprocess.Popen[str]]
) -> None:
    small.hold(tasks=12, free=2)
    process = start("--run-id", "one", "--workers", "2")
    wait_for(lambda: finished(small) == 2)
    kill(small)
    process.communicate(timeout=PATIENCE)

    counts = json.loads(small.run_file("one", "result.json").read_text())["counts"]
    assert process.returncode == 10
    assert counts["planned"] == 12
    assert counts["ok"] == finished(small) == 2
    assert counts["failed"] <= 2 <= counts["missing"]


def test_a_task_that_does_not_come_back_is_ended_with_its_process(
    small: SmallExperiment, start: Callable[..., subprocess.Popen[str]]
) -> None:
    small.use("failing.py:Failing", way=["endless"])
    process = start("--run-id", "one", "--workers", "1")
    journals = small.run_file("one", "journal")
    wait_for(lambda: any("task_started" in path.read_text() for path in journals.glob("*/*")))
    moment = kill(small)
    process.communicate(timeout=PATIENCE)

    assert process.returncode == 10
    [line] = [
        json.loads(line)
        for line in small.run_file("one", "journal.jsonl").read_text().splitlines()
        if '"task_failed"' in line
    ]
    assert line["payload"]["kind"] == "killed"
    assert parse_instant(line["time"]) > moment
    assert processes_of(process.pid) == []


def test_a_strategy_that_never_returns_sends_no_more_orders_either(
    small: SmallExperiment, start: Callable[..., subprocess.Popen[str]], log: Path
) -> None:
    small.use("resting.py:Resting", seconds=[0.02], log=[str(log)], stubborn=[True])
    process = start("--run-id", "one", "--workers", "1")
    wait_for(lambda: len(noted(log)) >= 10)
    kill(small)
    process.communicate(timeout=PATIENCE)

    words = noted(log)
    assert process.returncode == 10
    assert words.count("sent") >= 5
    if "refused" in words:
        assert "sent" not in words[words.index("refused") :]


def test_nothing_starts_while_it_is_on_and_the_same_id_goes_on_after_it_is_cleared(
    small: SmallExperiment,
) -> None:
    small.results.mkdir()
    kill(small)
    refused = small.run("--run-id", "one")
    assert refused.returncode == 10
    assert "is not started: the kill switch is on for all runs" in refused.stderr
    assert not small.run_file("one", "metadata.json").exists()

    clear = ["kill", "clear", "--reason", "it was a trial", "--results", str(small.results)]
    assert invoke(root, clear) == 0
    assert small.run("--run-id", "one").returncode == 0


def test_on_for_one_run_lets_others_start(small: SmallExperiment) -> None:
    small.results.mkdir()
    kill(small, "--run", "one")

    assert small.run("--run-id", "one").returncode == 10
    assert small.run("--run-id", "two").returncode == 0
