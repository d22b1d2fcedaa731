"""A run may be stopped or killed at any moment: finished tasks stay, and the same id goes on."""

from __future__ import annotations

import json
import os
import signal
from typing import TYPE_CHECKING

import pytest

from tests.execution.processes import PATIENCE, processes_of, wait_for
from trading_runtime import api
from trading_runtime.cli.main import invoke, root

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path

    from tests.small_experiment import SmallExperiment


@pytest.fixture
def held(small: SmallExperiment) -> SmallExperiment:
    """Twelve tasks, of which two end; the others wait until the gate is opened."""
    small.hold(tasks=12, free=2)
    return small


@pytest.fixture
def endless(small: SmallExperiment) -> SmallExperiment:
    """One task that never ends."""
    small.use("failing.py:Failing", way=["endless"])
    return small


def finished(experiment: SmallExperiment) -> int:
    return len(list((experiment.results / "tasks").glob("??/*/manifest.json")))


@pytest.fixture
def running(held: SmallExperiment) -> Iterator[subprocess.Popen[str]]:
    """A run of the held experiment, of which two tasks are finished, and no other one ends."""
    process = held.start("--run-id", "run", "--workers", "2")
    wait_for(lambda: finished(held) == 2)
    yield process
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["SIGINT", "SIGTERM"]
)
def test_a_signal_ends_the_run_and_the_same_id_goes_on(
    held: SmallExperiment, running: subprocess.Popen[str], number: signal.Signals, code: int
) -> None:
    # To the whole group, as a terminal and a service manager do.
    os.killpg(running.pid, number)
    _, errors = running.communicate(timeout=PATIENCE)
    kept = finished(held)
    metadata = json.loads(held.run_file("run", "metadata.json").read_text())

    assert running.returncode == code
    assert errors.splitlines()[-1] == (
        f"stopped: run 'run' with {12 - kept} of 12 tasks left; finished ones are kept: "
        "give --run-id run again to resume"
    )
    assert processes_of(running.pid) == []
    assert metadata["status"] == "stopped"
    assert not list((held.results / "tasks").glob(".new-*"))
    assert not list(held.run_file("run", "failures").glob("*"))
    held.gate.touch()
    summary = held.summary("--run-id", "run")
    assert summary["computed"] == 12 - kept
    assert summary["complete"] is True
    history = json.loads(held.run_file("run", "metadata.json").read_text())["history"]
    assert [entry["status"] for entry in history] == ["running", "stopped", "running", "complete"]


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["SIGINT", "SIGTERM"]
)
def test_a_signal_while_a_run_is_planned_ends_it_at_once(
    small: SmallExperiment, number: signal.Signals, code: int
) -> None:
    # The strategy's module is imported to check the points, and takes its time.
    marker = small.folder / "importing"
    with (small.folder / "counting.py").open("a") as file:
        file.write(f"\nimport time\nopen({str(marker)!r}, 'w').close()\ntime.sleep(120)\n")
    process = small.start("--run-id", "run")
    wait_for(marker.exists)
    os.killpg(process.pid, number)
    output, errors = process.communicate(timeout=PATIENCE)

    assert process.returncode == code
    assert output == ""
    assert errors == (
        "stopped: before the first task was started; finished tasks are kept: the same command and "
        "run id resume the run\n"
    )
    assert processes_of(process.pid) == []
    assert not small.results.exists()


def test_a_run_is_stopped_by_its_id(
    held: SmallExperiment, running: subprocess.Popen[str], capsys: pytest.CaptureFixture[str]
) -> None:
    stop = ["runs", "stop", "run", "--results", str(held.results)]

    assert invoke(root, stop) == 0
    running.communicate(timeout=PATIENCE)
    assert running.returncode == 130
    assert processes_of(running.pid) == []
    assert invoke(root, stop) == 2
    assert "is not running" in capsys.readouterr().err


def test_an_id_that_is_running_is_refused(
    held: SmallExperiment, running: subprocess.Popen[str]
) -> None:
    second = held.run("--run-id", "run")

    assert second.returncode == 2
    assert "run 'run' is running already" in second.stderr
    assert running.poll() is None


def test_two_runs_at_once_over_one_folder_share_tasks_and_both_complete(
    held: SmallExperiment, running: subprocess.Popen[str]
) -> None:
    process = held.start("--run-id", "second", "--workers", "1", "--json")
    journals = held.run_file("second", "journal")
    wait_for(lambda: any(b"task_started" in p.read_bytes() for p in journals.rglob("*.jsonl")))
    held.gate.touch()
    output, errors = process.communicate(timeout=PATIENCE)
    running.communicate(timeout=PATIENCE)

    assert running.returncode == 0
    assert process.returncode == 0, errors
    second = json.loads(output)
    assert second["counts"]["ok"] == 12
    assert (
        second["run_digest"]
        == json.loads(held.run_file("run", "result.json").read_text())["run_digest"]
    )


@pytest.mark.damages_journals
def test_a_killed_run_leaves_nothing_that_is_in_the_way(
    held: SmallExperiment, running: subprocess.Popen[str], capsys: pytest.CaptureFixture[str]
) -> None:
    running.kill()
    running.wait()
    wait_for(lambda: not processes_of(running.pid))
    kept = finished(held)
    # What a writer leaves that was killed while it wrote a result, a file, and a journal's line.
    stale = held.results / "tasks" / ".new-stale"
    stale.mkdir()
    (stale / "orders.parquet").touch()
    os.utime(stale, (0, 0))
    held.run_file("run", ".results.parquet.1").write_bytes(b"half")
    [journal] = held.run_file("run", "journal").rglob("*.jsonl")
    with journal.open("ab") as file:
        file.write(b'{"sequence":9,"time":"20')

    assert invoke(root, ["runs", "list", "--results", str(held.results)]) == 0
    assert "died" in capsys.readouterr().out
    held.gate.touch()
    summary = held.summary("--run-id", "run")
    assert summary["complete"] is True
    assert summary["computed"] == 12 - kept
    assert not stale.exists()
    lines = held.run_file("run", "journal.jsonl").read_text().splitlines()
    assert [json.loads(line)["event"] for line in lines][-1] == "run_completed"


@pytest.mark.parametrize("way", ["endless", "endless native"])
def test_workers_end_with_a_parent_that_was_killed_even_in_an_endless_task(
    endless: SmallExperiment, way: str
) -> None:
    endless.write(parameters={"way": [way]})
    process = endless.start("--run-id", "run", "--workers", "1")
    journals = endless.run_file("run", "journal")
    wait_for(lambda: any(b"task_started" in p.read_bytes() for p in journals.rglob("*.jsonl")))
    process.kill()
    process.communicate()

    wait_for(lambda: not processes_of(process.pid))


def test_no_scratch_folder_is_left_even_after_a_task_that_was_ended(
    endless: SmallExperiment, tmp_path: Path
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    endless.write(limits={"task_seconds": 1}, parameters={"way": ["none", "endless"]})
    ended = endless.run("--run-id", "run", environment={"TMPDIR": str(scratch)})

    assert ended.returncode == 5
    assert list(scratch.iterdir()) == []


def test_an_id_with_another_plan_is_refused_and_its_run_left_as_it_is(
    small: SmallExperiment,
) -> None:
    small.write(parameters={"every": [30]})
    api.run(small.path, run_id="run", workers=1)
    folder = small.results / "runs" / "run"
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    small.write(parameters={"every": [20]})
    ended = small.run("--run-id", "run")

    assert ended.returncode == 2
    assert ended.stderr == (
        "error: run 'run' exists with another plan (other tasks); choose another --run-id, or "
        "leave it out to get a new one\n"
    )
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    "run_id", ["../x", "A", "", "a" * 64, "run\n", "-a", "a.", "a/b", "ä", ".."], ids=repr
)
def test_what_is_no_run_id_is_refused_before_anything_is_written(
    small: SmallExperiment, run_id: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code = invoke(root, ["run", str(small.path), "--run-id", run_id])

    assert code == 2
    assert capsys.readouterr().err.startswith("error: run id ")
    assert not small.results.exists()
