"""Pods fail, are stopped, and vanish: what was finished stays, and only the rest is done again."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.argo.pods import counts, ended_step
from tests.execution.processes import PATIENCE, processes_of, wait_for
from tests.execution.test_stopping import finished
from tests.small_experiment import BAR_TYPE
from trading_runtime import api
from trading_runtime.argo.batch_step import BatchOrder, run_batch_step
from trading_runtime.argo.check_step import run_check_step
from trading_runtime.argo.plan_step import PodSettings, run_plan_step
from trading_runtime.argo.pod_log import kept_log, stored_logs
from trading_runtime.argo.summary_step import run_summary_step
from trading_runtime.cli.main import invoke, root
from trading_runtime.cli.step import step
from trading_runtime.errors import Kind
from trading_runtime.execution.executors import pods as pods_executor
from trading_runtime.execution.workers.processes import KEPT_OUTPUT, OUTPUT_KEPT_IN
from trading_runtime.records.failures import TaskFailure
from trading_runtime.results.store import open_store

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.argo.pods import Pods
    from tests.small_experiment import SmallExperiment

ONE_BATCH = PodSettings(most_batches=1)
ONE_TASK_A_BATCH = ("--batch-seconds", "0.001")


@pytest.fixture
def needing(small: SmallExperiment) -> SmallExperiment:
    """One day of a strategy that needs this or that; no points yet."""
    (small.folder / "counting.py").unlink()
    shutil.copy(Path(__file__).parent / "strategies" / "needing.py", small.folder)
    small.write(
        partitions={"by": "day", "end": "2024-01-02"},
        strategy={"path": "needing.py:Needing", "config": {"bar_type": BAR_TYPE}},
    )
    return small


@pytest.fixture
def held(small: SmallExperiment) -> SmallExperiment:
    """Six tasks, of which one ends; the others wait until the gate is opened."""
    small.hold(tasks=6, free=1)
    return small


def run_of(experiment: SmallExperiment) -> list[str]:
    return ["--results", str(experiment.results), "--run-id", "one"]


def test_what_pods_said_is_kept_with_their_run(
    small: SmallExperiment,
    pods: Pods,
    capsys: pytest.CaptureFixture[str],
) -> None:
    # One task of each batch prints a number at each order, the other ends its process as well.
    small.use("wayward.py:Wayward", way=["sound", "os exit"])
    planned = pods.step("plan", *run_of(small)[2:], "--config", str(small.path), *ONE_TASK_A_BATCH)
    assert planned.outputs["tasks"] == "1 1"
    # The second pod is given the name of its step, as in a workflow.
    codes = [
        pods.step("batch", *run_of(small), "--batch", name).code for name in ("0", "batch(1:1)")
    ]
    assert codes == [0, 0]
    assert pods.step("check", *run_of(small)).outputs == {"batches": "0", "missing_tasks": ""}
    pods.step("summary", *run_of(small))

    named = ["one", "--results", str(small.results)]
    assert invoke(root, ["runs", "logs", *named, "--batch", "0"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"==> batch-1-0-[a-z0-9]+\.log <==", lines[0])
    assert lines[1].endswith("  run one: batch 0 of round 1: ended")
    assert "order number 1" in lines
    assert "order number 3" in lines
    assert invoke(root, ["runs", "logs", *named]) == 0
    heads = [line for line in capsys.readouterr().out.splitlines() if line.startswith("==>")]
    assert [head.split("-")[:3][-1].split(" ")[0] for head in heads][:2] == ["0", "1"]
    assert heads[2].startswith("==> check-")
    # They are no part of its sealed end, which a log may follow.
    assert invoke(root, ["runs", "check", *named]) == 0
    assert invoke(root, ["runs", "logs", *named, "--batch", "7"]) == 2
    assert "there are no logs of batch 7" in capsys.readouterr().err


def test_the_end_of_what_workers_printed_is_kept_without_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("API_TOKEN", "qX7-uN3tR-88aLk0")
    with kept_log(str(tmp_path), "one", "batch-1-0") as note:
        note("said qX7-uN3tR-88aLk0")
        printed = [f"line {number:07}" for number in range(40_000)]
        Path(os.environ[OUTPUT_KEPT_IN]).write_text("\n".join(printed) + "\n")
    [(_, text)] = stored_logs(open_store(str(tmp_path)).objects, "one", 0)
    said, cut, first, *_, last = text.splitlines()
    assert said.endswith("  said [hidden]")
    assert cut == "... the beginning of what workers printed is not kept ..."
    assert (len(text) - len(said) - len(cut)) <= KEPT_OUTPUT < len(text) + 20
    assert (first in printed, last) == (True, printed[-1])


def test_the_log_of_a_pod_that_meets_our_own_defect_says_so(tmp_path: Path) -> None:
    with pytest.raises(KeyError), kept_log(str(tmp_path), "one", "batch-1-0"):
        raise KeyError("ours")

    [(_, text)] = stored_logs(open_store(str(tmp_path)).objects, "one", 0)
    assert text.endswith("  internal: 'ours'\n")
    assert OUTPUT_KEPT_IN not in os.environ


@pytest.mark.parametrize("words", [["--step=batch", "--batch=0"], ["--step=check"]])
def test_no_log_is_written_for_what_is_no_run_id(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = ["--results", str(tmp_path / "results"), "--run-id", "../../elsewhere"]

    assert invoke(step, [*words, *place]) == 2
    assert "run id '../../elsewhere': accepted are" in capsys.readouterr().err

    assert not (tmp_path / "elsewhere").exists()


def failures(experiment: SmallExperiment) -> dict[str, dict[str, Any]]:
    """Return the stored failures by task id."""
    found = experiment.run_file("one", "failures").glob("*.json")
    return {path.stem: json.loads(path.read_text()) for path in found}


def started(experiment: SmallExperiment) -> list[str]:
    """Return the ids of all tasks that a pod began, one for each time."""
    chains = experiment.run_file("one", "journal").rglob("*.jsonl")
    lines = [json.loads(line) for path in chains for line in path.read_text().splitlines()]
    return [line["payload"]["task_id"] for line in lines if line["event"] == "task_started"]


def test_a_task_that_raises_fails_alone_and_is_not_tried_again(
    needing: SmallExperiment, pods: Pods
) -> None:
    path = needing.write(parameters={"raises": [False, True], "megabytes": [0, 1]})
    assert run_plan_step(str(path), "one", ONE_BATCH).batches == 1

    first = pods.step("batch", *run_of(needing), "--batch", "0")
    again = pods.step("batch", *run_of(needing), "--batch", "0")
    check = pods.step("check", *run_of(needing))
    summary = pods.step("summary", *run_of(needing))

    assert (first.code, again.code) == (0, 0)
    assert (first.progress, again.progress) == ("4/4\n", "")
    assert len(started(needing)) == 4
    assert check.outputs["batches"] == "0"
    assert summary.code == 5
    assert counts(summary) == {
        "planned": 4, "ok": 2, "failed": 2, "missing": 0, "failed_by_kind": {"strategy": 2},
    }  # fmt: skip
    assert summary.message.startswith("incomplete: 2 of 4 tasks are ok, 2 strategy; first: ")
    assert "ValueError: no such luck" in summary.message
    assert (pods.folder / "pod-4" / "outputs" / "report" / "index.html").is_file()


def test_out_of_memory_is_told_and_a_retry_with_more_computes_the_rest(
    needing: SmallExperiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = needing.write(parameters={"megabytes": [400, 0, 1]})
    plan = run_plan_step(str(path), "one", ONE_BATCH)
    monkeypatch.setattr(pods_executor, "memory_limit", lambda: 600 << 20)

    assert run_batch_step(plan.results, "one", BatchOrder(0)) == 137

    (failure,) = failures(needing).values()
    assert (failure["kind"], failure["out_of_memory"]) == ("crash", True)
    assert "more than what the pod has for it (405 MiB)" in failure["message"]
    assert finished(needing) == 2
    assert len(run_check_step(plan.results, "one")) == 1

    # As the template does it: the same batch with twice the memory, or in the second round.
    monkeypatch.setattr(pods_executor, "memory_limit", lambda: 1200 << 20)
    assert run_batch_step(plan.results, "one", BatchOrder(0, 2)) == 0

    assert failures(needing) == {}
    assert sorted(started(needing).count(task) for task in set(started(needing))) == [1, 1, 2]
    assert run_summary_step(plan.results, "one").result.complete


def test_less_memory_than_the_pod_has_is_the_experiment_s_to_ask(
    needing: SmallExperiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = needing.write(parameters={"megabytes": [400]}, limits={"task_memory": "300 MiB"})
    plan = run_plan_step(str(path), "one", ONE_BATCH)
    monkeypatch.setattr(pods_executor, "memory_limit", lambda: 4 << 30)

    assert run_batch_step(plan.results, "one", BatchOrder(0)) == 137

    (failure,) = failures(needing).values()
    assert "more than limits.task_memory (300 MiB)" in failure["message"]


def test_a_storage_that_is_away_for_a_task_is_tried_again(
    needing: SmallExperiment, tmp_path: Path
) -> None:
    well = tmp_path / "well"
    path = needing.write(parameters={"storage": ["", str(well)]})
    plan = run_plan_step(str(path), "one", ONE_BATCH)

    assert run_batch_step(plan.results, "one", BatchOrder(0)) == 75
    assert run_batch_step(plan.results, "one", BatchOrder(0)) == 75
    assert [failure["kind"] for failure in failures(needing).values()] == ["transient"]
    well.touch()
    assert run_batch_step(plan.results, "one", BatchOrder(0)) == 0

    assert failures(needing) == {}
    assert run_summary_step(plan.results, "one").result.complete


def test_a_failure_that_passed_in_a_pod_which_then_was_killed_is_forgotten(
    needing: SmallExperiment,
) -> None:
    path = needing.write(parameters={"megabytes": [1]})
    plan = run_plan_step(str(path), "one", ONE_BATCH)
    assert run_batch_step(plan.results, "one", BatchOrder(0)) == 0
    (task_id,) = started(needing)
    stale = needing.run_file("one", f"failures/{task_id}.json")
    stale.parent.mkdir(exist_ok=True)
    failure = TaskFailure.of(task_id, Kind.TRANSIENT, "away")
    stale.write_text(json.dumps(failure.to_document()))

    assert run_check_step(plan.results, "one") == []
    assert run_summary_step(plan.results, "one").result.complete
    assert failures(needing) == {}


@pytest.fixture
def running(held: SmallExperiment, pods: Pods) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """A batch of the held experiment, of which one task is finished, and no other; its folder."""
    run_plan_step(str(held.path), "one", ONE_BATCH)
    command, environment, folder = pods.command("batch", *run_of(held), "--batch", "0")
    process = subprocess.Popen(
        command,
        env=environment,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    wait_for(lambda: finished(held) == 1)
    yield process, folder
    if process.poll() is None:
        process.kill()
    process.communicate()


def test_sigterm_ends_a_batch_and_its_retry_computes_what_is_left(
    held: SmallExperiment, pods: Pods, running: tuple[subprocess.Popen[str], Path]
) -> None:
    process, folder = running
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=PATIENCE)
    kept = finished(held)
    ended = ended_step(process.returncode, errors, folder)

    assert ended.code == 143
    assert "finished ones are kept" in ended.message
    assert kept == 1
    held.gate.touch()
    again = pods.step("batch", *run_of(held), "--batch", "0")
    assert (again.code, again.progress) == (0, "6/6\n")
    assert finished(held) == 6
    assert pods.step("summary", *run_of(held)).code == 0


def test_a_pod_that_vanishes_is_made_up_for_by_the_check(
    held: SmallExperiment, pods: Pods, running: tuple[subprocess.Popen[str], Path]
) -> None:
    process, _ = running
    process.kill()
    process.wait()
    wait_for(lambda: not processes_of(process.pid))  # the worker goes after its parent
    left = 5
    assert finished(held) == 1
    held.gate.touch()

    check = pods.step("check", *run_of(held))
    assert check.outputs["batches"] == "1"
    summary = pods.step("summary", *run_of(held))
    assert summary.code == 5
    assert counts(summary)["missing"] == left
    again = pods.step("batch", *run_of(held), "--round", "2", "--batch", "0")
    assert (again.code, again.progress) == (0, f"{left}/{left}\n")
    summary = pods.step("summary", *run_of(held))

    assert summary.code == 0
    laptop = api.run(held.write(results="laptop"), run_id="laptop")
    assert summary.outputs["run_digest"] == laptop.result["run_digest"]


def test_runs_stop_ends_a_batch_and_nothing_is_sent_again(
    held: SmallExperiment, pods: Pods, running: tuple[subprocess.Popen[str], Path]
) -> None:
    process, _ = running
    assert invoke(root, ["runs", "stop", "one", "--results", str(held.results)]) == 0
    process.communicate(timeout=PATIENCE)

    assert process.returncode == 130
    assert finished(held) == 1
    assert run_check_step(str(held.results), "one") == []
    assert pods.step("summary", *run_of(held)).code == 5
    metadata = json.loads(held.run_file("one", "metadata.json").read_text())
    assert metadata["status"] == "stopped"
    assert invoke(root, ["runs", "stop", "one", "--results", str(held.results)]) == 2
    # The same id goes on.
    assert run_plan_step(str(held.path), "one", ONE_BATCH).batches == 1
    assert not held.run_file("one", "stop").exists()


def test_the_same_id_again_tries_failed_tasks_again_and_computes_nothing_else(
    needing: SmallExperiment, pods: Pods, tmp_path: Path
) -> None:
    well = tmp_path / "well"
    path = str(needing.write(parameters={"storage": ["", str(well)]}))
    plan = run_plan_step(path, "one", ONE_BATCH)
    run_batch_step(plan.results, "one", BatchOrder(0))
    assert pods.step("summary", *run_of(needing)).code == 5
    well.touch()

    plan = run_plan_step(path, "one", ONE_BATCH)
    assert (plan.tasks, plan.pending, plan.batches) == (2, 1, 1)
    assert failures(needing) == {}
    run_batch_step(plan.results, "one", BatchOrder(0))
    assert pods.step("summary", *run_of(needing)).code == 0
    third = run_plan_step(path, "two", ONE_BATCH)
    assert (third.tasks, third.pending, third.batches) == (2, 0, 0)
    assert run_summary_step(plan.results, "two").result.complete


def test_a_batch_that_is_none_is_refused(needing: SmallExperiment, pods: Pods) -> None:
    path = needing.write(parameters={"megabytes": [1]})
    run_plan_step(str(path), "one", ONE_BATCH)

    first = pods.step("batch", *run_of(needing), "--batch", "1")
    second = pods.step("batch", *run_of(needing), "--batch", "0", "--round", "2")

    assert (first.code, second.code) == (2, 2)
    assert "there is no batch 1 in round 1; it has 1, counted from 0" in first.message
    assert "there is no batch 0 in round 2; it has 0" in second.message
