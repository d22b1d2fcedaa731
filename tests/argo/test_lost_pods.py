"""A pod that is deleted ends within its grace period, in a way that Argo takes for a loss."""

from __future__ import annotations

import signal
import subprocess
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.argo.pods import Pods, ended_step
from tests.execution.processes import PATIENCE, wait_for
from trading_runtime.argo import batch_step, summary_step
from trading_runtime.argo import outputs as step_outputs
from trading_runtime.argo.plan_step import PodSettings, run_plan_step
from trading_runtime.cli import step as step_command
from trading_runtime.cli.main import invoke

if TYPE_CHECKING:
    from tests.small_experiment import SmallExperiment


def holds_sigterm(pid: int) -> bool:
    """Return whether a process does not end by SIGTERM: it holds it back, or has a handler."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    masks = [int(line.split()[1], 16) for line in lines if line.startswith(("SigBlk", "SigCgt"))]
    return any(mask >> signal.SIGTERM - 1 & 1 for mask in masks)


def test_a_plan_that_is_told_to_end_while_it_begins_is_finished(
    small: SmallExperiment, pods: Pods
) -> None:
    command, environment, folder = pods.command(
        "plan", "--config", str(small.path), "--run-id", "one"
    )
    with subprocess.Popen(
        command, env=environment, cwd=folder, stderr=subprocess.PIPE, text=True
    ) as process:
        wait_for(lambda: holds_sigterm(process.pid))
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=PATIENCE)
    ended = ended_step(process.returncode, errors, folder)

    assert (ended.code, ended.outputs["run_id"]) == (0, "one"), errors


def told_to_end(*_: object, **__: object) -> int:
    """Stand in for the work of a step whose pod is deleted, and which is not done soon."""
    signal.raise_signal(signal.SIGTERM)
    threading.Event().wait()
    return 0


@pytest.fixture
def planned(small: SmallExperiment) -> list[str]:
    """The run that the steps of a test are about, as options."""
    place = run_plan_step(str(small.path), "one", PodSettings()).results
    return ["--results", place, "--run-id", "one"]


@pytest.fixture
def outputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder where Argo finds what a step has put out; beside it is the last message."""
    monkeypatch.setenv("TRADING_RUNTIME_OUTPUTS", str(tmp_path / "outputs"))
    monkeypatch.setenv("TRADING_RUNTIME_TERMINATION_LOG", str(tmp_path / "message"))
    monkeypatch.setattr(step_command, "_SOON", 0.01)
    return tmp_path / "outputs"


def test_a_batch_that_has_not_begun_ends_as_one_that_was_told_to(
    planned: list[str], outputs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Argo tries what ends with 143 again, and not what ends with 130, as after an interruption.
    monkeypatch.setattr(batch_step, "open_planned_run", told_to_end)

    code = invoke(step_command.step, ["--step", "batch", *planned, "--batch", "0"])

    assert code == 143
    assert "told to end" in outputs.with_name("message").read_text()


def test_a_summary_that_is_told_to_end_leaves_no_outputs_and_has_not_failed(
    planned: list[str], outputs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # For Argo its pod has an error then, and only errors of the summary are tried again.
    monkeypatch.setattr(summary_step, "_summarised", told_to_end)

    assert invoke(step_command.step, ["--step", "summary", *planned]) == 0
    assert not outputs.exists()


def test_a_summary_of_a_failed_run_that_is_told_to_end_after_its_outputs_takes_them_back(
    planned: list[str], outputs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # With them and exit code 0, the workflow of a run without a single result would succeed.
    def told_to_end_then(*_: object) -> int:
        assert (outputs / "counts").exists()
        return told_to_end()

    monkeypatch.setattr(step_outputs, "output_report", told_to_end_then)

    assert invoke(step_command.step, ["--step", "summary", *planned]) == 0
    assert not outputs.exists()
