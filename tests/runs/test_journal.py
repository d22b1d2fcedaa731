"""The journal is a chain of whole lines that nobody can change unnoticed, whoever is killed."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import pytest

from trading_runtime.results.store import RunFiles
from trading_runtime.runs.journal import Journal, merge_journals

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def files(tmp_path: Path) -> RunFiles:
    """The files of a run that has none yet."""
    return RunFiles(tmp_path / "run")


def test_each_line_holds_the_hash_of_the_line_before_it(files: RunFiles) -> None:
    with Journal(files, "local-1") as journal:
        journal.write("run_started", tasks=2)
        journal.write("task_completed", task_id="äöü\n", rows=5)
        journal.write("run_completed")
    lines = (files.journals / "local-1.jsonl").read_bytes().splitlines()
    entries = [json.loads(line) for line in lines]

    assert [entry["sequence"] for entry in entries] == [0, 1, 2]
    assert [entry["event"] for entry in entries] == [
        "run_started",
        "task_completed",
        "run_completed",
    ]
    assert entries[1]["payload"] == {"task_id": "äöü\n", "rows": 5}
    assert [entry["previous"] for entry in entries] == [
        hashlib.sha256(line).hexdigest() for line in (b"", *lines[:-1])
    ]
    assert [entry["time"] for entry in entries] == sorted(entry["time"] for entry in entries)


def test_the_lines_of_all_writers_are_merged_by_time_and_unchanged(files: RunFiles) -> None:
    with Journal(files, "local-1") as one, Journal(files, "local-2") as two:
        one.write("a")
        two.write("b")
        one.write("c")
    merge_journals(files)
    merged = files.journal.read_text().splitlines()

    assert [json.loads(line)["event"] for line in merged] == ["a", "b", "c"]
    assert set(merged) == {
        line for path in files.journals.iterdir() for line in path.read_text().splitlines()
    }


@pytest.mark.parametrize("half", [b'{"sequence":1,"ti', b"{}", b"7", b"\xff\xfe", b"null", b"[]"])
def test_what_a_killed_writer_did_not_finish_is_passed_over(files: RunFiles, half: bytes) -> None:
    with Journal(files, "local-1") as journal:
        journal.write("run_started")
    with (files.journals / "local-1.jsonl").open("ab") as file:
        file.write(half)
    with Journal(files, "local-2") as journal:
        journal.write("run_completed")
    merge_journals(files)
    events = [json.loads(line)["event"] for line in files.journal.read_text().splitlines()]

    assert events == ["run_started", "run_completed"]


def test_a_journal_without_writers_is_empty(files: RunFiles) -> None:
    merge_journals(files)

    assert files.journal.read_text() == ""
