"""``runs``: what ran and how it stands, whether its records are whole, and how to end one."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import click
import pytest

from tests.small_experiment import ROOT
from trading_runtime import api
from trading_runtime.cli.main import invoke, root
from trading_runtime.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.small_experiment import SmallExperiment

PATIENCE = 240.0


def wait_for_events(journals: Path, event: str, count: int) -> None:
    """Wait until a run has written this event so often."""
    deadline = time.monotonic() + PATIENCE
    while sum(path.read_text().count(event) for path in journals.rglob("*.jsonl")) < count:
        assert time.monotonic() < deadline, f"waited in vain for {event}"
        time.sleep(0.02)


def printed(capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    """Run a command that prints JSON, and return what it says."""
    assert invoke(root, [*words, "--json"]) in {0, 3}
    return json.loads(capsys.readouterr().out)


@pytest.fixture
def endless(small: SmallExperiment) -> Iterator[subprocess.Popen[str]]:
    """A run called ``run`` with one finished task, and one that never ends."""
    small.use("failing.py:Failing", way=["none", "endless"])
    process = small.start("--run-id", "run", "--workers", "1")
    wait_for_events(small.run_file("run", "journal"), "task_started", 2)
    yield process
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def test_an_empty_folder_has_no_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(root, ["runs", "list", "--results", str(tmp_path / "none")]) == 0
    assert "no runs in" in capsys.readouterr().err
    assert invoke(root, ["runs", "list", "--results", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == []


@pytest.mark.damages_journals
def test_runs_are_listed_with_status_and_counts(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = results / "runs" / "damaged"
    folder.mkdir()
    (folder / "metadata.json").write_text("{")
    listing = ["runs", "list", "--results", str(results)]

    found = printed(capsys, *listing)
    assert [(facts["run_id"], facts["status"], facts["ok"]) for facts in found] == [
        ("damaged", "unknown", None),
        ("partly", "incomplete", 1),
        ("whole", "complete", 1),
    ]
    assert found[1]["age_seconds"] >= found[2]["age_seconds"] >= 0
    assert invoke(root, listing) == 0
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.split()[:4] == ["run", "status", "tasks", "ok"]
    assert lines[0].split() == ["damaged", "unknown"]
    assert lines[1].split()[:4] == ["partly", "incomplete", "1/2", "1"]
    assert lines[2].split()[:3] == ["whole", "complete", "1/1"]


def test_a_run_is_shown_with_its_inputs_and_what_to_do(
    results: Path, ended: SmallExperiment, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = printed(capsys, "runs", "show", "partly", "--results", str(results))
    metadata = json.loads((results / "runs" / "partly" / "metadata.json").read_bytes())

    assert shown["why"].startswith(
        "of 2 tasks 1 failed and 0 are missing; the first: strategy: ValueError: the tenth bar"
    )
    [step] = shown["next"]
    assert f"trading-runtime run {ended.path} --run-id partly" in step
    for key in ("experiment_file", "config_digest", "dataset_digest", "plan_digest", "code"):
        assert shown["inputs"][key] == metadata[key]
    assert shown["where"] == {
        "user": metadata["user"],
        "host": metadata["host"],
        "executor": "local",
        "image": None,
    }
    assert [step["status"] for step in shown["history"]] == ["running", "incomplete"]
    assert invoke(root, ["runs", "show", "latest", "--results", str(results)]) == 0
    text = capsys.readouterr().out
    assert "all 1 tasks are ok" in text
    assert "trading-runtime evidence bundle whole" in text


def test_a_run_that_goes_on_is_running_and_a_killed_one_has_died(
    small: SmallExperiment,
    endless: subprocess.Popen[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    where = ["--results", str(small.results)]
    [listed] = printed(capsys, "runs", "list", *where)
    assert (listed["status"], listed["ok"], listed["missing"]) == ("running", 1, 1)
    assert printed(capsys, "runs", "check", "run", *where)["sound"]
    endless.kill()
    endless.wait()

    [listed] = printed(capsys, "runs", "list", *where)
    assert (listed["status"], listed["ok"], listed["missing"]) == ("died", 1, 1)
    shown = printed(capsys, "runs", "show", "run", *where)
    assert shown["why"] == (
        "its process is gone without having ended it, with 1 tasks left; "
        "its last event was task_started"
    )
    checked = printed(capsys, "runs", "check", "run", *where)
    assert checked["sound"]
    assert [note["message"] for note in checked["notes"]] == [
        "its end is not sealed: the run has not ended"
    ]
    # The same files as those of a good run, but for what only an end can bring.
    assert {path.name for path in small.run_file("run", ".").iterdir()} == {
        "experiment.json", "journal", "lock", "metadata.json", "plan.json",
    }  # fmt: skip


def test_a_run_that_died_can_be_summarised(
    small: SmallExperiment, endless: subprocess.Popen[str], capsys: pytest.CaptureFixture[str]
) -> None:
    summarise = ["runs", "summarise", "run", "--results", str(small.results)]
    assert invoke(root, summarise) == 2
    assert "is running already" in capsys.readouterr().err
    endless.kill()
    endless.wait()

    assert invoke(root, summarise) == 5
    assert "run: 2 tasks planned: 1 ok, 0 failed, 1 missing" in capsys.readouterr().out
    assert {path.name for path in small.run_file("run", ".").iterdir()} >= {
        "experiment.json", "journal", "journal.jsonl", "metadata.json", "metrics.json",
        "metrics.prom", "plan.json", "points.parquet", "report", "report.md", "result.json",
        "results.parquet",
    }  # fmt: skip
    shown = printed(capsys, "runs", "show", "run", "--results", str(small.results))
    assert (shown["status"], shown["ok"], shown["missing"]) == ("incomplete", 1, 1)
    assert printed(capsys, "runs", "check", "run", "--results", str(small.results))["sound"]


def test_a_run_that_died_can_be_run_again(
    small: SmallExperiment, endless: subprocess.Popen[str], capsys: pytest.CaptureFixture[str]
) -> None:
    endless.kill()
    endless.wait()
    small.write(limits={"task_seconds": 1})
    again = small.run("--run-id", "run", "--workers", "1")

    assert again.returncode == 5, again.stderr
    assert printed(capsys, "runs", "check", "run", "--results", str(small.results))["sound"]
    report = small.run_file("run", "report.md").read_text()
    timeline = report.partition("## Timeline")[2].partition("\n## ")[0].strip()
    told = [line.split("|")[2].partition(":")[0].strip() for line in timeline.splitlines()]
    assert told[2:] == [
        "run initialised",
        "run planned",
        "run started",
        "1 tasks completed",
        "run resumed",
        "run planned",
        "run started",
        "task failed",
        "1 tasks failed",
        "status incomplete",
    ]


def test_a_run_is_watched_until_it_ends_with_its_exit_code(
    small: SmallExperiment, endless: subprocess.Popen[str]
) -> None:
    watching = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "trading_runtime.cli.main",
            "runs",
            "watch",
            "run",
            "--every",
            "0.1",
        ],
        cwd=small.folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert watching.stderr is not None
    assert watching.stderr.readline().rstrip().endswith("run initialised")
    assert invoke(root, ["runs", "stop", "run", "--results", str(small.results)]) == 0
    _, text = watching.communicate(timeout=PATIENCE)
    endless.communicate(timeout=PATIENCE)

    assert watching.returncode == endless.returncode == 130
    lines = text.splitlines()
    assert any(line.endswith("run stopped") for line in lines)
    assert lines[-1].startswith("run: stopped; 1/2 tasks")


@pytest.mark.parametrize(("run_id", "code"), [("whole", 0), ("partly", 5)])
def test_watching_a_run_that_has_ended_says_how(
    results: Path, run_id: str, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert invoke(root, ["runs", "watch", run_id, "--results", str(results)]) == code
    lines = capsys.readouterr().err.splitlines()

    assert lines[0].endswith("run initialised")
    assert ("failed: strategy: ValueError: the tenth bar" in " ".join(lines)) == (code == 5)
    assert lines[-1].startswith(f"{run_id}: ")


@pytest.mark.damages_journals
def test_a_broken_journal_is_exit_code_3(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    check = ["runs", "check", "whole", "--results", str(results)]
    assert invoke(root, check) == 0
    assert capsys.readouterr().out == "whole: sound; 4 lines of 1 writers\n"
    journal = results / "runs" / "whole" / "journal.jsonl"
    journal.write_bytes(journal.read_bytes().splitlines(keepends=True)[0])

    assert invoke(root, check) == 3
    first, last = capsys.readouterr().out.splitlines()
    assert first.startswith("broken: journal.jsonl: 1 lines, and the chains have ")
    assert last.startswith("whole: broken; ")


def test_a_run_that_is_not_there_cannot_be_stopped_and_the_latest_are_named(
    small: SmallExperiment, capsys: pytest.CaptureFixture[str]
) -> None:
    (small.results / "runs" / "mine").mkdir(parents=True)

    assert invoke(root, ["runs", "stop", "other", "--results", str(small.results)]) == 2
    assert "no run 'other'" in (shown := capsys.readouterr().err)
    assert "mine" in shown
    assert invoke(root, ["runs", "stop", "mine", "--results", str(small.results)]) == 2
    assert "is not running" in capsys.readouterr().err


NO_RESULTS = {
    "a file": (2, "is a file; --results takes the folder of the results"),
    "a link to a file": (2, "is a file; --results takes the folder of the results"),
    "a path below a file": (2, "is below a file; --results takes the folder of the results"),
    "a link that leads nowhere": (2, "is a link to nowhere, which is not there; put it back, or"),
    "a link to itself": (8, "the results cannot be read: "),
    "a file for its runs": (8, "/runs: cannot be read: Not a directory"),
    "a link to itself for its runs": (8, "/runs: cannot be read: "),
}


@pytest.mark.parametrize("kind", NO_RESULTS)
@pytest.mark.parametrize("words", ["runs list", "runs show latest", "results list"])
def test_a_place_that_is_no_folder_of_results_is_told_in_one_line(
    words: str, kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = place = tmp_path / "results"
    if kind.endswith("its runs"):
        folder.mkdir()
        place = folder / "runs"
    if "link" not in kind:
        place.touch()
    elif kind == "a link to a file":
        place.symlink_to(__file__)
    else:
        place.symlink_to("nowhere" if "nowhere" in kind else place)
    below = "/below" if "below" in kind else ""
    code, said = NO_RESULTS[kind]

    assert invoke(root, [*words.split(), "--results", f"{folder}{below}"]) == code
    shown = capsys.readouterr()
    assert said in shown.err
    assert (shown.out, shown.err.count("\n")) == ("", 1)


RUN_COMMANDS = [
    ["runs", "show", "RUN"],
    ["runs", "watch", "RUN"],
    ["runs", "check", "RUN"],
    ["runs", "stop", "RUN"],
    ["runs", "logs", "RUN"],
    ["runs", "summarise", "RUN"],
    ["evidence", "bundle", "RUN"],
    ["evidence", "compare", "whole", "RUN"],
    ["metrics", "export", "RUN"],
    ["results", "show", "RUN"],
    ["results", "export", "RUN", "--to", "csv"],
    ["verify", "RUN"],
    ["replay", "RUN", "0000"],
    ["reconcile", "RUN", "--against", "snapshot.json"],
    ["kill", "activate", "--reason", "a test", "--run", "RUN"],
    ["promote", "RUN", "--point", "0", "--to", "deployment.yaml"],
    ["results", "walk-forward", "RUN"],
    ["results", "seams", "RUN"],
    ["results", "robustness", "RUN"],
    ["results", "chart", "RUN"],
    ["results", "explore", "RUN"],
    ["lookahead", "check", "RUN"],
    ["warmup", "check", "RUN"],
]


@pytest.mark.parametrize("command", RUN_COMMANDS, ids=" ".join)
@pytest.mark.parametrize("run_id", ["../../x", "../whole", "..", "", "a/b", "whole/", "/whole"])
def test_a_run_id_never_leads_out_of_the_results_folder(
    results: Path,
    command: list[str],
    run_id: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    # What the id would lead to is there, and is a run.
    for place in (results.parent / "x", results / "x"):
        shutil.copytree(results / "runs" / "whole", place)
    before = {path: path.stat().st_mtime_ns for path in results.parent.rglob("*")}
    monkeypatch.chdir(results.parent)
    words = [run_id if word == "RUN" else word for word in command]

    assert invoke(root, [*words, "--results", str(results)]) == 2
    error = capsys.readouterr().err
    assert "run id" in error or "there is no such file" in error
    assert {path: path.stat().st_mtime_ns for path in results.parent.rglob("*")} == before


def commands(command: click.Command, path: list[str]) -> Iterator[tuple[list[str], click.Command]]:
    """Yield every command below this one with its words."""
    if isinstance(command, click.Group):
        for name in command.list_commands(click.Context(command)):
            inner = command.get_command(click.Context(command), name)
            assert inner is not None
            yield from commands(inner, [*path, name])
    else:
        yield path, command


def test_every_command_that_takes_a_run_is_tried_with_one_that_leads_out() -> None:
    takers = [
        " ".join(path)
        for path, command in commands(root, [])
        if any(
            isinstance(item, click.Argument) and item.name in {"run", "run_id"}
            for item in command.params
        )
    ]
    tried = [" ".join(words).partition(" RUN")[0] for words in RUN_COMMANDS]

    assert "runs show" in takers
    assert set(takers) <= set(tried)


def test_a_run_that_failed_as_a_whole_can_be_run_again(
    small: SmallExperiment, capsys: pytest.CaptureFixture[str]
) -> None:
    small.write(parameters={"every": [20]})
    api.run(small.path, run_id="run", workers=1)
    # Its report cannot be written: that fails the run, not a task.
    report = small.run_file("run", "report")
    shutil.rmtree(report)
    report.write_text("in the way")
    with pytest.raises(StorageError):
        api.run(small.path, run_id="run", workers=1)
    where = ["--results", str(small.results)]
    shown = printed(capsys, "runs", "show", "run", *where)
    assert shown["status"] == "failed"
    assert shown["why"].startswith("StorageError: ")
    assert printed(capsys, "runs", "check", "run", *where)["sound"]
    report.unlink()

    assert api.run(small.path, run_id="run", workers=1).result["complete"]
    assert printed(capsys, "runs", "show", "run", *where)["status"] == "complete"


def test_runs_are_listed_by_their_labels(
    small: SmallExperiment, capsys: pytest.CaptureFixture[str]
) -> None:
    small.write(parameters={"every": [20]}, partitions={"by": "week"})
    for run_id, labels in (("one", {"team": "a"}), ("two", {"team": "b"}), ("three", {})):
        small.write(labels=labels)
        api.run(small.path, run_id=run_id, workers=1)

    def listed(*wanted: str) -> list[str]:
        capsys.readouterr()
        options = [word for label in wanted for word in ("--label", label)]
        command = ["runs", "list", "--results", str(small.results), "--json", *options]
        assert invoke(root, command) == 0
        return [each["run_id"] for each in json.loads(capsys.readouterr().out)]

    assert listed() == ["one", "two", "three"]
    assert listed("team") == ["one", "two"]
    assert listed("team=b") == ["two"]
    assert listed("team=b", "team=a") == []
