"""The journal is a chain of whole lines that nobody can change unnoticed, whoever is killed."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import time
from typing import TYPE_CHECKING

import pytest

from trading_runtime.errors import DataError, Kind, StorageError
from trading_runtime.records.events import (
    RunFailed,
    RunInitialised,
    RunResumed,
    RunStarted,
    RunStopped,
    TaskCompleted,
    TaskStarted,
)
from trading_runtime.records.journal import (
    Journal,
    chain_bytes,
    check_journal,
    encode_line,
    entries_of,
    merge_journals,
    new_writer,
    whole_lines,
)
from trading_runtime.records.metadata import ChainEnd
from trading_runtime.records.run_files import RunFiles
from trading_runtime.records.session_events import OrderEnded

if TYPE_CHECKING:
    from pathlib import Path

STARTED = RunStarted(tasks=2, pending=1)


@pytest.fixture
def files(tmp_path: Path) -> RunFiles:
    """The files of a run that has none yet."""
    return RunFiles(tmp_path / "run")


def part(files: RunFiles, writer: str, number: int = 1) -> Path:
    """The path of a part of a chain."""
    return files.journals / writer / f"{number:06d}.jsonl"


def test_each_line_holds_the_hash_of_the_line_before_it(files: RunFiles) -> None:
    with Journal(files.journals, "local-1") as journal:
        journal.write(STARTED)
        journal.write(TaskCompleted(task_id="äöü\n", seconds=1.5, rows=5))
        journal.write(RunStopped())
    lines = part(files, "local-1").read_bytes().splitlines()
    entries = [json.loads(line) for line in lines]

    assert [entry["sequence"] for entry in entries] == [0, 1, 2]
    assert [entry["event"] for entry in entries] == ["run_started", "task_completed", "run_stopped"]
    assert entries[0]["payload"] == {"tasks": 2, "pending": 1}
    assert entries[1]["payload"] == {"task_id": "äöü\n", "seconds": 1.5, "rows": 5}
    assert [entry["previous"] for entry in entries] == [
        hashlib.sha256(line).hexdigest() for line in (b"", *lines[:-1])
    ]


def test_times_have_nanoseconds_and_go_forward_though_the_clock_does_not(
    files: RunFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    instants = iter([1_700_000_000_000_000_005, 1_699_999_999_000_000_000])
    monkeypatch.setattr(time, "time_ns", lambda: next(instants))
    with Journal(files.journals, "local-1") as journal:
        journal.write(STARTED)
        journal.write(RunStopped())
    entries = [json.loads(line) for line in part(files, "local-1").read_bytes().splitlines()]

    # 1,700,000,000 s after 1970 is 2023-11-14 22:13:20.
    assert [entry["time"] for entry in entries] == [
        "2023-11-14T22:13:20.000000005Z",
        "2023-11-14T22:13:20.000000006Z",
    ]


def test_a_line_is_in_the_file_as_soon_as_it_is_written(files: RunFiles) -> None:
    with Journal(files.journals, "local-1") as journal:
        journal.write(STARTED)
        assert part(files, "local-1").read_bytes().count(b"\n") == 1
        journal.write(RunStopped())
        assert part(files, "local-1").read_bytes().endswith(b"}\n")


def test_a_chain_in_parts_is_one_sequence(files: RunFiles) -> None:
    with Journal(files.journals, "pod-1") as journal:
        assert journal.end_part() is None
        journal.write(STARTED)
        assert journal.end_part() == part(files, "pod-1")
        journal.write(RunStopped())
        journal.write(RunResumed(run_id="run", earlier="stopped"))
        assert journal.end_part() == part(files, "pod-1", 2)
        journal.write(RunStopped())
    assert journal.end_part() == part(files, "pod-1", 3)
    assert journal.end_part() is None
    entries = [json.loads(line) for line in chain_bytes(files.journals / "pod-1").splitlines()]
    first = part(files, "pod-1").read_bytes().removesuffix(b"\n")

    assert [entry["sequence"] for entry in entries] == [0, 1, 2, 3]
    assert entries[1]["previous"] == hashlib.sha256(first).hexdigest()


def test_the_lines_of_all_writers_are_merged_by_time_and_unchanged(files: RunFiles) -> None:
    with Journal(files.journals, "local-1") as one, Journal(files.journals, "local-2") as two:
        one.write(RunInitialised(run_id="run"))
        two.write(STARTED)
        one.write(RunStopped())
    ends = merge_journals(files)
    merged = files.journal.read_bytes().splitlines()

    assert [json.loads(line)["event"] for line in merged] == [
        "run_initialised",
        "run_started",
        "run_stopped",
    ]
    assert set(merged) == {
        line for path in files.journals.rglob("*.jsonl") for line in path.read_bytes().splitlines()
    }
    assert ends == {
        "local-1": ChainEnd(lines=2, last=hashlib.sha256(merged[2]).hexdigest()),
        "local-2": ChainEnd(lines=1, last=hashlib.sha256(merged[1]).hexdigest()),
    }


@pytest.mark.damages_journals
@pytest.mark.parametrize("half", [b'{"sequence":1,"ti', b"{}", b"7", b"\xff\xfe", b"null", b"[]"])
def test_what_a_killed_writer_did_not_finish_is_passed_over(files: RunFiles, half: bytes) -> None:
    with Journal(files.journals, "local-1") as journal:
        journal.write(STARTED)
    with part(files, "local-1").open("ab") as file:
        file.write(half)
    with Journal(files.journals, "local-2") as journal:
        journal.write(RunStopped())
    merge_journals(files)
    events = [json.loads(line)["event"] for line in files.journal.read_text().splitlines()]

    assert events == ["run_started", "run_stopped"]


def test_a_full_disk_leaves_no_half_of_a_line(
    files: RunFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.write

    def fill_up(descriptor: int, content: bytes) -> int:
        """Take half of a long text, and then nothing any more, as a disk does that gets full."""
        if len(content) < 400:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(descriptor, content[: len(content) // 2])

    with Journal(files.journals, "local-1") as journal:
        journal.write(STARTED)
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", fill_up)
            with pytest.raises(StorageError, match="No space left on device"):
                journal.write(RunFailed(kind=Kind.STORAGE, message="x" * 600))
        assert part(files, "local-1").read_bytes().count(b"\n") == 1
        journal.write(RunStopped())
    lines = part(files, "local-1").read_bytes().splitlines()

    assert [json.loads(line)["event"] for line in lines] == ["run_started", "run_stopped"]
    assert json.loads(lines[1])["previous"] == hashlib.sha256(lines[0]).hexdigest()


def test_a_text_that_has_no_utf_8_is_written_all_the_same(files: RunFiles) -> None:
    with Journal(files.journals, "local-1") as journal:
        journal.write(RunStopped(message="half a character: \ud83d"))
    [line] = part(files, "local-1").read_text(encoding="utf-8").splitlines()

    assert json.loads(line)["payload"] == {"message": "half a character: \ud83d"}


def test_a_journal_without_writers_is_empty(files: RunFiles) -> None:
    files.folder.mkdir(parents=True)

    assert merge_journals(files) == {}
    assert files.journal.read_text() == ""


def test_a_chain_is_written_by_one_writer_only(files: RunFiles) -> None:
    with (
        Journal(files.journals, "local-1"),
        pytest.raises(StorageError, match="File exists"),
    ):
        Journal(files.journals, "local-1")
    assert new_writer("local") != new_writer("local")


@pytest.mark.parametrize("writer", ["../x", "a/b", "", "A", "a\n", "x" * 201])
def test_the_name_of_a_writer_leads_nowhere_else(files: RunFiles, writer: str) -> None:
    with pytest.raises(ValueError, match="no name for a writer"):
        Journal(files.journals, writer)


def test_held_events_are_written_at_once_and_as_single_ones_are(files: RunFiles) -> None:
    with Journal(files.journals, "run-1") as journal:
        journal.hold(TaskStarted(task_id="a"))
        journal.hold(RunInitialised(run_id="one"))
        before = part(files, "run-1").read_bytes(), journal.lines
        journal.flush()
        journal.hold(TaskStarted(task_id="b"))
        journal.write(TaskStarted(task_id="c"))
    lines = whole_lines(part(files, "run-1").read_bytes())

    assert before == (b"", 0)
    assert [entry.event for _, entry in lines] == [
        "task_started",
        "run_initialised",
        "task_started",
        "task_started",
    ]
    assert [line for line, entry in lines if encode_line(entry) != line] == []
    assert not check_journal(files, {}, ended=False).findings


@pytest.mark.parametrize("message", ["a},0,{b", "a\x7fb", "h\u202eidden", 'a"b'])
def test_no_text_changes_how_held_events_are_written(files: RunFiles, message: str) -> None:
    with Journal(files.journals, "run-1") as journal:
        journal.hold(RunStopped())
        journal.hold(RunStopped(message=message))
    lines = whole_lines(part(files, "run-1").read_bytes())

    assert [entry.payload for _, entry in lines] == [{}, {"message": message}]
    assert [line for line, entry in lines if encode_line(entry) != line] == []


def test_closing_a_journal_writes_what_is_held(files: RunFiles) -> None:
    with Journal(files.journals, "run-1") as journal:
        journal.hold(RunInitialised(run_id="one"))

    assert len(whole_lines(part(files, "run-1").read_bytes())) == 1


def test_a_secret_is_hidden_however_json_writes_it(
    files: RunFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VENUE_SECRET", 'se"cr\\et-value')
    with Journal(files.journals, "run-1") as journal:
        journal.write(RunStopped(message='it was se"cr\\et-value, and more'))

    [(_, entry)] = whole_lines(part(files, "run-1").read_bytes())
    assert entry.payload == {"message": "it was [hidden], and more"}


def test_a_text_that_was_written_before_is_hidden_once_it_is_a_secret(
    files: RunFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Journal(files.journals, "run-1") as journal:
        journal.write(RunStopped(message="a value: 5f3a9c-0b17"))
        monkeypatch.setenv("VENUE_SECRET", "5f3a9c-0b17")
        journal.write(RunStopped(message="a value: 5f3a9c-0b17"))

    lines = whole_lines(part(files, "run-1").read_bytes())
    assert [entry.payload["message"] for _, entry in lines] == [
        "a value: 5f3a9c-0b17",
        "a value: [hidden]",
    ]


def test_a_line_becomes_the_event_that_was_written_and_none_of_another_type(
    files: RunFiles,
) -> None:
    written = TaskCompleted(task_id="a", seconds=1.5, rows=5, worker=2)
    with Journal(files.journals, "run-1") as journal:
        journal.write(written)
    [entry] = entries_of(files.journals)

    assert entry.as_event(TaskCompleted) == written
    assert entry.as_event(TaskStarted) is None


def test_a_payload_that_is_not_its_events_is_named_by_line_and_field(files: RunFiles) -> None:
    with Journal(files.journals, "run-1") as journal:
        journal.write(RunStopped())
        journal.write(OrderEnded(order_id="a", how="canceled"))
    ended = entries_of(files.journals)[1]._replace(payload={"order_id": 7, "how": "canceled"})

    with pytest.raises(
        DataError, match=r"journal/run-1, line 2: order_ended: order_id is of the wrong type; see"
    ):
        ended.as_event(OrderEnded)
