"""The kill switch over pods: none begins while it is on, what runs ends, the summary says so."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

from tests.execution.processes import PATIENCE, wait_for
from trading_runtime.control.kill_switch import KillSwitch
from trading_runtime.results.store import Store

if TYPE_CHECKING:
    from tests.argo.pods import Pods
    from tests.small_experiment import SmallExperiment


def test_a_pod_that_runs_is_ended_and_the_summary_is_killed(
    small: SmallExperiment, pods: Pods
) -> None:
    small.hold(tasks=12, free=1)
    plan = pods.step("plan", "--config", str(small.path), "--run-id", "one")
    assert plan.code == 0, plan.errors
    run = ["--results", plan.outputs["results"], "--run-id", "one"]
    command, environment, folder = pods.command("batch", *run, "--batch", "0")
    process = subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.PIPE)
    wait_for(lambda: any((small.results / "tasks").glob("??/*/manifest.json")))
    switch = KillSwitch(Store(small.results))
    switch.activate("a trial")
    _, errors = process.communicate(timeout=PATIENCE)

    assert process.returncode == 10, errors.decode()
    again = pods.step("batch", *run, "--batch", "0")
    assert again.code == 10
    assert "is not started: the kill switch is on" in again.errors
    assert pods.step("check", *run).outputs["batches"] == "0"
    summary = pods.step("summary", *run)
    assert summary.code == 10, summary.errors
    assert json.loads(small.run_file("one", "metadata.json").read_text())["status"] == "killed"
    stored = len(list((small.results / "tasks").glob("??/*/manifest.json")))
    counts = json.loads(small.run_file("one", "result.json").read_text())["counts"]
    assert counts["ok"] == stored == 1

    refused = pods.step("plan", "--config", str(small.path), "--run-id", "two")
    assert refused.code == 10
    switch.clear("a trial")
    small.gate.touch()
    assert pods.run(str(small.path), "one").code == 0
