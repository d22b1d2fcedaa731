"""Runs of one experiment by every executor, told and asked the same things."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from typing import TYPE_CHECKING, Any, Protocol

from tests.argo.pods import Pods
from tests.execution.processes import PATIENCE, processes_of, wait_for
from trading_runtime.argo.batch_step import BatchOrder, run_batch_step
from trading_runtime.argo.plan_step import PodSettings, run_plan_step
from trading_runtime.argo.summary_step import run_summary_step
from trading_runtime.cli.main import invoke, root
from trading_runtime.errors import TradingRuntimeError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.small_experiment import SmallExperiment

RUN_ID = "run"
ONE_BATCH = PodSettings(most_batches=1)


class Runs(Protocol):
    """One run of an experiment: its process that computes, and what is done around it."""

    experiment: SmallExperiment

    def start(self) -> subprocess.Popen[str]:
        """Start the process that computes, in a session of its own; the run has begun before."""

    def conclude(self, computed: int) -> int:
        """Do what follows after the process ended with ``computed``; return the run's exit code."""

    def run(self) -> int:
        """Run from beginning to end; return the run's exit code."""


class Laptop:
    """One process does all."""

    def __init__(self, experiment: SmallExperiment) -> None:
        self.experiment = experiment

    def start(self) -> subprocess.Popen[str]:
        """Start the entrypoint."""
        return self.experiment.start("--run-id", RUN_ID, "--workers", "1")

    def conclude(self, computed: int) -> int:
        """Nothing follows."""
        return computed

    def run(self) -> int:
        """Run the command."""
        return invoke(
            root, ["run", str(self.experiment.path), "--run-id", RUN_ID, "--workers", "1"]
        )


class PodSteps:
    """A pod for each step; one computes everything."""

    def __init__(self, experiment: SmallExperiment) -> None:
        self.experiment = experiment
        self._pods = Pods(experiment.folder / "pods")
        self._run = ["--results", str(experiment.results), "--run-id", RUN_ID]

    def start(self) -> subprocess.Popen[str]:
        """Plan, and start the pod that computes."""
        assert run_plan_step(str(self.experiment.path), RUN_ID, ONE_BATCH).batches == 1
        command, environment, folder = self._pods.command("batch", *self._run, "--batch", "0")
        return subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def conclude(self, computed: int) -> int:  # noqa: ARG002 - the store says what was computed
        """Judge the run by the store."""
        try:
            run_summary_step(str(self.experiment.results), RUN_ID).check_complete()
        except TradingRuntimeError as error:
            return error.exit_code
        return 0

    def run(self) -> int:
        """Run all steps, one after another; a plan that is refused ends the run."""
        try:
            plan = run_plan_step(str(self.experiment.path), RUN_ID, ONE_BATCH)
        except TradingRuntimeError as error:
            return error.exit_code
        for number in range(plan.batches):
            run_batch_step(plan.results, RUN_ID, BatchOrder(number))
        return self.conclude(0)


EXECUTORS: dict[str, Callable[[SmallExperiment], Runs]] = {"laptop": Laptop, "pods": PodSteps}


def end(process: subprocess.Popen[str]) -> int:
    """Wait for a process to end, and for those that it started; return its exit code."""
    process.communicate(timeout=PATIENCE)
    wait_for(lambda: not processes_of(process.pid))
    return process.returncode


def kill(process: subprocess.Popen[str]) -> None:
    """Let a process vanish, as with ``kill -9``."""
    process.send_signal(signal.SIGKILL)
    end(process)


def clear_away(process: subprocess.Popen[str]) -> None:
    """End a process that a failed test left, with all that it started."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def finished(experiment: SmallExperiment) -> int:
    """Return how many results are stored."""
    return len(list((experiment.results / "tasks").glob("??/*/manifest.json")))


def status(experiment: SmallExperiment) -> str:
    """Return the status that the run's metadata state."""
    return str(document(experiment.run_file(RUN_ID, "metadata.json"))["status"])


def result(experiment: SmallExperiment) -> dict[str, Any]:
    """Return the content of the run's ``result.json``."""
    return document(experiment.run_file(RUN_ID, "result.json"))


def failures(experiment: SmallExperiment) -> list[dict[str, Any]]:
    """Return the failures that the run has stored."""
    found = experiment.run_file(RUN_ID, "failures").glob("*.json")
    return [document(path) for path in sorted(found)]


def events(experiment: SmallExperiment, name: str) -> list[dict[str, Any]]:
    """Return what the run's journal says in all events of this name, in order of time."""
    chains = experiment.run_file(RUN_ID, "journal").rglob("*.jsonl")
    # What has no end of line yet is still being written.
    whole = [path.read_text().rpartition("\n")[0] for path in chains]
    lines = [json.loads(line) for text in whole for line in text.splitlines()]
    lines.sort(key=lambda line: line["time"])
    return [line["payload"] for line in lines if line["event"] == name]


def document(path: Path) -> dict[str, Any]:
    """Return what a JSON file says."""
    content: dict[str, Any] = json.loads(path.read_text())
    return content
