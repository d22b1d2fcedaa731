"""Pods without a cluster: each step a process of its own, with a folder of its own for outputs."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.execution.processes import pod_environment
from tests.small_experiment import ENTRYPOINT
from trading_runtime.execution.workers.processes import FIXED_ENVIRONMENT

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class EndedStep:
    """What a pod left."""

    code: int
    errors: str
    outputs: dict[str, str]
    message: str
    """What Kubernetes would show."""
    progress: str


class Pods:
    """Runs steps as the templates do, in a current folder that is not the experiment's."""

    def __init__(self, folder: Path, environment: dict[str, str] = FIXED_ENVIRONMENT) -> None:
        """``environment`` is what the template gives to pods of work."""
        self.folder = folder
        self._environment = pod_environment(environment)
        self._started = 0

    def command(self, step: str, *options: str) -> tuple[list[str], dict[str, str], Path]:
        """Return command, environment and folder of a pod that is to be started."""
        self._started += 1
        folder = self.folder / f"pod-{self._started}"
        folder.mkdir(parents=True)
        environment = self._environment | {
            "TRADING_RUNTIME_OUTPUTS": str(folder / "outputs"),
            "TRADING_RUNTIME_TERMINATION_LOG": str(folder / "termination-log"),
            "ARGO_PROGRESS_FILE": str(folder / "progress"),
        }
        return [sys.executable, str(ENTRYPOINT), "--step", step, *options], environment, folder

    def step(self, step: str, *options: str) -> EndedStep:
        """Run one step to its end."""
        command, environment, folder = self.command(step, *options)
        ended = subprocess.run(
            command,
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )
        return ended_step(ended.returncode, ended.stderr, folder)

    def run(self, experiment: str, run_id: str, *options: str) -> EndedStep:
        """Run all steps, one pod after another, and return how the summary ended."""
        plan = self.step("plan", "--config", experiment, "--run-id", run_id, *options)
        assert plan.code == 0, plan.errors
        run = ["--results", plan.outputs["results"], "--run-id", plan.outputs["run_id"]]
        batches = int(plan.outputs["batches"])
        for number in range(batches):
            # As Argo names the step.
            name = f"batch({number}:{number})"
            assert self.step("batch", *run, "--batch", name).code == 0
        assert self.step("check", *run).outputs == {"batches": "0", "missing_tasks": ""}
        return self.step("summary", *run)


def ended_step(code: int, errors: str, folder: Path) -> EndedStep:
    """Return what a process left that ran in ``folder``."""
    outputs = folder / "outputs"
    return EndedStep(
        code,
        errors,
        {path.name: path.read_text() for path in outputs.glob("*") if path.is_file()},
        _text(folder / "termination-log"),
        _text(folder / "progress"),
    )


def counts(ended: EndedStep) -> dict[str, Any]:
    """Return the counts that a summary gave out."""
    content: dict[str, Any] = json.loads(ended.outputs["counts"])
    return content


def _text(path: Path) -> str:
    return path.read_text() if path.exists() else ""
