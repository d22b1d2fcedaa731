"""A run's records are whole, or it is said which line or file is not."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from trading_runtime.cli.main import invoke, root
from trading_runtime.records.events import RunStarted
from trading_runtime.records.journal import Journal, whole_lines
from trading_runtime.results.store import Store
from trading_runtime.runs.run_check import check_run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from trading_runtime.records.run_files import RunFiles

pytestmark = pytest.mark.damages_journals


@pytest.fixture
def files(results: Path) -> RunFiles:
    """The files of a run that ended, to change."""
    return Store(results).run("whole")


@pytest.fixture
def chain(files: RunFiles) -> Path:
    """The one file of the run's one chain."""
    [path] = files.journals.rglob("*.jsonl")
    return path


def lines_of(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines(keepends=True)


def drop_a_line(lines: list[bytes]) -> list[bytes]:
    return lines[:2] + lines[3:]


def alter_a_line(lines: list[bytes]) -> list[bytes]:
    return [lines[0], lines[1].replace(b'"points":1', b'"points":2'), *lines[2:]]


def cut_off(lines: list[bytes]) -> list[bytes]:
    return lines[:-1]


def cut_off_within_a_line(lines: list[bytes]) -> list[bytes]:
    return [*lines[:-1], lines[-1][:20]]


def swap(lines: list[bytes]) -> list[bytes]:
    return [lines[0], lines[2], lines[1], *lines[3:]]


def empty(_lines: list[bytes]) -> list[bytes]:
    return []


def add_a_line(lines: list[bytes]) -> list[bytes]:
    return [*lines, lines[-1]]


def garble(lines: list[bytes]) -> list[bytes]:
    return [lines[0], b"\xff\xfe not a line\n", *lines[2:]]


CHANGES = [drop_a_line, alter_a_line, cut_off, cut_off_within_a_line, swap, empty, add_a_line]


def test_a_run_that_ended_is_sound(results: Path) -> None:
    for run_id in ("whole", "partly"):
        found = check_run(Store(results).run(run_id))

        assert (found.findings, found.notes, found.writers) == ([], [], 1)
        assert found.lines == len(lines_of(Store(results).run(run_id).journal))


@pytest.mark.parametrize("change", [*CHANGES, garble])
def test_a_change_to_a_chain_shows(
    files: RunFiles, chain: Path, change: Callable[[list[bytes]], list[bytes]]
) -> None:
    chain.write_bytes(b"".join(change(lines_of(chain))))

    assert str(check_run(files).findings[0]).startswith(f"journal/{chain.parent.name}")


@pytest.mark.parametrize("change", [*CHANGES, garble])
def test_a_change_to_the_merged_journal_shows(
    files: RunFiles, change: Callable[[list[bytes]], list[bytes]]
) -> None:
    files.journal.write_bytes(b"".join(change(lines_of(files.journal))))

    [finding] = check_run(files).findings
    assert str(finding).startswith("journal.jsonl")


@pytest.mark.parametrize("change", [drop_a_line, alter_a_line, cut_off, swap, empty])
def test_a_change_to_chain_and_merged_journal_alike_shows(
    files: RunFiles, chain: Path, change: Callable[[list[bytes]], list[bytes]]
) -> None:
    for path in (chain, files.journal):
        path.write_bytes(b"".join(change(lines_of(path))))

    assert check_run(files).findings


def test_the_altered_line_is_named(files: RunFiles, chain: Path) -> None:
    chain.write_bytes(b"".join(alter_a_line(lines_of(chain))))
    name = f"journal/{chain.parent.name}"

    assert [str(item) for item in check_run(files).findings] == [
        f"{name}, line 3: it does not follow from the line before: one of them was altered",
        "journal.jsonl, line 2: it is not the line of the chains",
    ]


def test_a_chain_that_is_gone_or_was_added_shows(files: RunFiles, chain: Path) -> None:
    chain.parent.rename(files.journals / "other-1")
    found = [str(item) for item in check_run(files).findings]

    assert f"journal/{chain.parent.name}: the chain is gone" in found
    assert "journal/other-1, line 1: it was written by " + chain.parent.name in found
    assert (
        "journal/other-1: the metadata do not name this chain: it was added, or never sealed"
        in (found)
    )


def test_a_torn_last_line_of_a_killed_run_is_told_and_no_fault(
    files: RunFiles, chain: Path
) -> None:
    content = json.loads(files.metadata.read_bytes())
    files.metadata.write_text(json.dumps(content | {"status": "running", "journal": {}}))
    chain.write_bytes(b"".join(cut_off_within_a_line(lines_of(chain))))
    found = check_run(files)
    name = f"journal/{chain.parent.name}"

    assert found.findings == []
    assert [str(item) for item in found.notes] == [
        f"{name}: the last line is torn (20 bytes): its writer was killed; it is left out",
        f"{name}: its end is not sealed: the run has not ended",
    ]


def test_what_a_run_writes_that_goes_on_is_no_fault(files: RunFiles) -> None:
    content = json.loads(files.metadata.read_bytes())
    files.metadata.write_text(json.dumps(content | {"status": "running"}))
    with Journal(files.journals, "local-2") as journal:
        journal.write(RunStarted(tasks=1, pending=1))

    assert check_run(files, running=True).findings == []


@pytest.mark.parametrize(
    ("name", "before", "after", "message"),
    [
        ("plan.json", '"point":0', '"point":9', "plan.json: tasks[0].point is of the wrong form"),
        ("plan.json", '"dataset_digest":"', '"dataset_digest":"0', "plan.json: dataset_digest"),
        ("experiment.json", '\n "seed": ', '\n "seed": 1', "experiment.json: its content is not"),
        ("results.parquet", "PAR1", "PAR2", "results.parquet: its sha256 is not that of result"),
        ("points.parquet", "PAR1", "PAR2", "points.parquet: its sha256 is not that of result"),
        ("metadata.json", "{", "", "metadata.json: damaged: it is no JSON"),
        ("result.json", "{", "", "result.json: damaged: it is no JSON"),
    ],
)
def test_a_file_that_was_changed_is_named(
    files: RunFiles, name: str, before: str, after: str, message: str
) -> None:
    path = files.folder / name
    content = path.read_bytes()
    assert before.encode() in content
    path.write_bytes(content.replace(before.encode(), after.encode(), 1))

    found = [str(item) for item in check_run(files).findings]
    assert any(item.startswith(message) for item in found), found


@pytest.mark.parametrize("name", ["plan.json", "experiment.json", "metadata.json"])
def test_a_file_that_is_gone_is_named(files: RunFiles, name: str) -> None:
    (files.folder / name).unlink()

    assert f"{name}: it is gone" in [str(item) for item in check_run(files).findings]


def test_nothing_that_the_metadata_may_say_breaks_the_check(files: RunFiles) -> None:
    content = json.loads(files.metadata.read_bytes())
    wrong: list[Any] = [7, [], {"a": 1}, {"a": {"lines": "1", "last": 2}}, None]
    for ends in wrong:
        files.metadata.write_text(json.dumps(content | {"journal": ends}))
        assert check_run(files).findings
    for text in ("[]", "7", "null", '"x"'):
        files.metadata.write_text(text)
        assert check_run(files).findings


@pytest.mark.parametrize(
    ("before", "after"),
    [('"tasks":', '"task":'), ('"time":"2', '"time":"x'), ('"pending":', '"pending":"x","y":')],
)
def test_a_line_of_the_wrong_form_is_named_and_nothing_is_learnt_from_it(
    files: RunFiles, before: str, after: str, capsys: pytest.CaptureFixture[str]
) -> None:
    [chain] = files.journals.rglob("*.jsonl")
    content = chain.read_bytes()
    assert before.encode() in content
    chain.write_bytes(content.replace(before.encode(), after.encode()))

    assert "is no line of a journal" in str(check_run(files).findings[0])
    for command in ("runs show whole", "runs watch whole", "runs list", "results list"):
        invoke(root, [*command.split(), "--results", str(files.folder.parent.parent)])
        assert "internal error" not in capsys.readouterr().err


def test_entries_of_a_chain_are_read_back(chain: Path) -> None:
    entries = [entry for _, entry in whole_lines(chain.read_bytes())]

    assert [entry.event for entry in entries] == [
        "run_initialised",
        "run_planned",
        "run_started",
        "run_completed",
    ]
