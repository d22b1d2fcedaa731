"""A task that fails is a typed fact of its own; its siblings finish, and the run says so."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from tests.small_experiment import STRATEGIES, SmallExperiment

if TYPE_CHECKING:
    from pathlib import Path

WAYS = {
    "none": "ok",
    "raise": "strategy",
    "exit": "strategy",
    "exit while made": "strategy",
    "interrupt": "strategy",
    "os exit": "crash",
    "segmentation fault": "crash",
    "endless": "timeout",
    "endless native": "timeout",
    "no memory": "crash",
    "abort of an allocator": "crash",
    "hoard": "crash",
    "killed": "crash",
    "thread": "strategy",
}
EXIT_CODES = {"strategy": 4, "crash": 7, "timeout": 9}


@pytest.fixture(scope="module")
def failing(tmp_path_factory: pytest.TempPathFactory, small_dataset: Path) -> SmallExperiment:
    """A run of one task for each way to fail, and one that does not; ended with 5."""
    experiment = SmallExperiment(tmp_path_factory.mktemp("failing"), small_dataset)
    experiment.use("failing.py:Failing", way=list(WAYS))
    experiment.write(limits={"task_seconds": 3, "task_memory": "400 MiB"})
    ended = experiment.run("--run-id", "run", "--json", "--workers", "2")
    assert ended.returncode == 5, ended.stderr
    return experiment


def result(experiment: SmallExperiment) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(experiment.run_file("run", "result.json").read_text())
    return content


def failures(experiment: SmallExperiment) -> dict[str, dict[str, Any]]:
    """Return the content of every failure file by the way in which its task failed."""
    rows = pl.read_parquet(experiment.run_file("run", "results.parquet"))
    ways = dict(rows.select("task_id", "param.way").iter_rows())
    return {
        ways[path.stem]: json.loads(path.read_text())
        for path in experiment.run_file("run", "failures").glob("*.json")
    }


def test_every_way_to_fail_has_its_kind_in_the_table_of_tasks(failing: SmallExperiment) -> None:
    rows = pl.read_parquet(failing.run_file("run", "results.parquet"))

    assert dict(rows.select("param.way", "status").iter_rows()) == WAYS
    assert rows.filter(pl.col("status") != "ok")["net_profit"].null_count() == 13


def test_the_counts_tell_the_failed_ones_apart_by_kind(failing: SmallExperiment) -> None:
    found = result(failing)

    assert found["counts"] == {"planned": 14, "ok": 1, "failed": 13, "missing": 0}
    assert found["failed_by_kind"] == {"crash": 6, "strategy": 5, "timeout": 2}
    assert found["complete"] is False
    assert found["best"] is None


def test_a_failure_file_holds_kind_exit_code_message_and_traceback(
    failing: SmallExperiment,
) -> None:
    found = failures(failing)

    assert {way: facts["kind"] for way, facts in found.items()} == {
        way: kind for way, kind in WAYS.items() if kind != "ok"
    }
    assert all(facts["exit_code"] == EXIT_CODES[facts["kind"]] for facts in found.values())
    source = (STRATEGIES / "failing.py").read_text().splitlines()
    line = 1 + source.index('            raise ValueError("the tenth bar")')
    assert found["raise"]["message"] == f"ValueError: the tenth bar (failing.py:{line}, fail)"
    assert 'raise ValueError("the tenth bar")' in found["raise"]["traceback"]
    assert "SystemExit" in found["exit"]["message"]
    assert "SystemExit" in found["exit while made"]["message"]
    assert "KeyboardInterrupt" in found["interrupt"]["message"]
    assert found["os exit"]["message"] == (
        "the task's process died: it left with exit code 3; it last said: leaving for good"
    )
    assert found["thread"]["message"].startswith("a thread of the strategy called the engine")
    assert "signal SIGSEGV" in found["segmentation fault"]["message"]
    assert "limits.task_seconds (3 s)" in found["endless"]["message"]
    assert "limits.task_seconds (3 s)" in found["endless native"]["message"]
    assert found["killed"]["message"] == (
        "the task's process died: it was ended by signal SIGKILL from someone outside this run"
    )


def test_a_task_that_ran_out_of_memory_is_told_apart(failing: SmallExperiment) -> None:
    found = failures(failing)
    out_of_memory = {way for way, facts in found.items() if facts["out_of_memory"]}
    had = re.search(r"had ([0-9,]+) MiB", found["hoard"]["message"])

    assert out_of_memory == {"no memory", "abort of an allocator", "hoard"}
    assert found["no memory"]["message"].startswith("out of memory: MemoryError: ")
    assert (
        "signal SIGABRT; it last said: memory allocation of"
        in (found["abort of an allocator"]["message"])
    )
    assert "more than limits.task_memory (400 MiB)" in found["hoard"]["message"]
    # It grows by gigabytes a second, and would have the machine's memory before its three seconds.
    assert had is not None
    assert 400 < int(had[1].replace(",", "")) < 3_000


def test_the_report_is_written_and_names_what_failed(failing: SmallExperiment) -> None:
    page = failing.run_file("run", "report/index.html").read_text()

    assert "the tenth bar" in page


def test_again_only_the_failed_ones_run_and_fail_the_same_way(failing: SmallExperiment) -> None:
    before = result(failing), failures(failing)
    ended = failing.run("--run-id", "run", "--json", "--workers", "1")
    journal = failing.run_file("run", "journal.jsonl").read_text().splitlines()
    events = [json.loads(line) for line in journal]
    resumed = [event["event"] for event in events].index("run_resumed")
    again = [
        event["payload"]["task_id"]
        for event in events[resumed:]
        if event["event"] == "task_started"
    ]
    retried = {
        event["payload"]["task_id"]: event["payload"]["kind"]
        for event in events[resumed:]
        if event["event"] == "task_retried"
    }

    assert ended.returncode == 5
    assert "1 of 14 tasks are stored already" in ended.stderr
    # The one that is killed is tried more than once: it might have been from outside.
    assert set(again) == {facts["task_id"] for facts in before[1].values()}
    assert retried == {facts["task_id"]: facts["kind"] for facts in before[1].values()}
    after = failures(failing)
    assert result(failing) == before[0]
    for way in ("raise", "exit", "exit while made", "interrupt"):
        assert after[way]["message"] == before[1][way]["message"]
    assert {way: facts["kind"] for way, facts in after.items()} == {
        way: facts["kind"] for way, facts in before[1].items()
    }


def test_a_point_is_best_among_incomplete_ones_only_when_that_is_asked_for(
    failing: SmallExperiment,
) -> None:
    failing.write(parameters={"way": ["none", "raise"]})
    asked = failing.summary("--run-id", "asked", "--allow-incomplete")
    not_asked = failing.summary("--run-id", "not-asked")

    assert asked["best"]["parameters"] == {"way": "none"}
    assert not_asked["best"] is None
