"""A bundle holds all that proves a run, has one form, and is checked with nothing else at hand."""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from typing import TYPE_CHECKING

import pytest

from trading_runtime.errors import DataError, UsageError
from trading_runtime.evidence.bundle import Bundle, bundle_run
from trading_runtime.evidence.checking import check_evidence
from trading_runtime.results.store import Store

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.damages_journals


def bundled(results: Path, run_id: str, target: Path) -> Bundle:
    store = Store(results)
    return bundle_run(store, store.run(run_id), target)


def test_it_holds_every_file_of_the_run_and_the_results_of_its_tasks(
    results: Path, tmp_path: Path
) -> None:
    written = bundled(results, "whole", tmp_path / "whole.zip")
    run = results / "runs" / "whole"
    expected = {
        path.relative_to(results).as_posix()
        for path in run.rglob("*")
        if path.is_file() and path.name != "lock"
    }
    [task] = json.loads((run / "plan.json").read_bytes())["tasks"]
    folder = results / "tasks" / task["task_id"][:2] / task["task_id"]
    expected |= {path.relative_to(results).as_posix() for path in folder.iterdir()}
    with zipfile.ZipFile(written.path) as archive:
        names = archive.namelist()
        listing = json.loads(archive.read("evidence.json"))
        contents = {name: archive.read(name) for name in names[1:]}

    assert names == ["evidence.json", *sorted(expected)]
    for name, content in contents.items():
        assert content == (results / name).read_bytes()
        assert listing["files"][name] == {
            "bytes": len(content),
            "sha256": hashlib.sha256(content).hexdigest(),
        }
    assert {"run_id", "status", "run_digest", "environment"} < listing.keys()
    assert written.sha256 == hashlib.sha256(written.path.read_bytes()).hexdigest()
    assert (written.files, written.tasks) == (len(expected), 1)


def test_the_same_content_is_the_same_bytes_whenever_it_was_written(
    results: Path, tmp_path: Path
) -> None:
    first = bundled(results, "whole", tmp_path / "1.zip")
    for path in results.rglob("*"):
        os.utime(path, (1, 1))
        if path.is_file():
            path.chmod(0o600)

    assert bundled(results, "whole", tmp_path / "2.zip").sha256 == first.sha256


@pytest.mark.parametrize("run_id", ["whole", "partly"])
def test_it_is_sound_also_of_a_run_with_failures(
    results: Path, tmp_path: Path, run_id: str
) -> None:
    written = bundled(results, run_id, tmp_path / "x.zip")
    found = check_evidence(written.path, written.sha256)

    assert (found.findings, found.run_id, found.sha256) == ([], run_id, written.sha256)
    assert (found.files, found.tasks) == (written.files, 1)


def test_another_archive_than_the_one_that_was_noted_is_refused(
    results: Path, tmp_path: Path
) -> None:
    first = bundled(results, "whole", tmp_path / "1.zip")
    second = bundled(results, "partly", tmp_path / "2.zip")

    with pytest.raises(DataError, match="another file than the one that was noted"):
        check_evidence(second.path, first.sha256)


def test_a_change_in_any_file_shows_without_a_noted_digest(results: Path, tmp_path: Path) -> None:
    path = bundled(results, "whole", tmp_path / "x.zip").path
    sound = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        contents = {entry.filename: archive.read(entry) for entry in archive.infolist()}
    for name, content in contents.items():
        assert sound.count(content) >= 1
        middle = sound.index(content) + len(content) // 2
        path.write_bytes(sound[:middle] + bytes([sound[middle] ^ 1]) + sound[middle + 1 :])
        with pytest.raises(DataError):
            pytest.fail(f"{name} was changed unnoticed: {check_evidence(path)}")


def test_a_bundle_of_a_damaged_run_says_what_is_damaged(results: Path, tmp_path: Path) -> None:
    files = Store(results).run("whole")
    lines = files.journal.read_bytes().splitlines(keepends=True)
    files.journal.write_bytes(b"".join(lines[:-1]))
    found = check_evidence(bundled(results, "whole", tmp_path / "x.zip").path)

    assert [item.place for item in found.findings] == ["journal.jsonl"]


def test_a_complete_run_whose_result_is_gone_shows(results: Path, tmp_path: Path) -> None:
    [manifest] = [
        path
        for path in (results / "tasks").rglob("manifest.json")
        if path.parent.name
        in {
            task["task_id"]
            for task in json.loads((results / "runs/whole/plan.json").read_bytes())["tasks"]
        }
    ]
    manifest.unlink()
    found = check_evidence(bundled(results, "whole", tmp_path / "x.zip").path)

    assert [item.message for item in found.findings] == ["the result of a done task is gone"]


def test_a_damaged_result_is_not_bundled_as_if_it_were_sound(results: Path, tmp_path: Path) -> None:
    for path in (results / "tasks").rglob("fills.parquet"):
        content = path.read_bytes()
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))

    with pytest.raises(DataError, match="damaged"):
        bundled(results, "whole", tmp_path / "x.zip")
    assert not list(tmp_path.glob("*.zip*"))
    assert not list(tmp_path.glob(".*"))


def test_a_run_that_was_not_planned_has_no_evidence(results: Path, tmp_path: Path) -> None:
    (results / "runs" / "none").mkdir()

    with pytest.raises(UsageError, match="there is no plan"):
        bundled(results, "none", tmp_path / "x.zip")
