"""A bundle that was made to look right again after a change is seen through all the same."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

import pytest

from tests.evidence.test_bundle import bundled
from trading_runtime.errors import DataError
from trading_runtime.evidence import bundle as bundles
from trading_runtime.evidence.checking import check_evidence
from trading_runtime.records.metadata import read_metadata
from trading_runtime.records.run_files import RunFiles
from trading_runtime.records.seal import sealed, write_metadata
from trading_runtime.records.status import Status

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.damages_journals


def again(source: Path, target: Path, change: Callable[[Path], object]) -> Path:
    """Unpack a bundle, change files in it, and list and pack them as ``evidence bundle`` does."""
    folder = target.with_suffix("")
    listing = bundles.unpack(source, folder)
    change(folder)
    found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*")}
    paths = {name: path for name, path in sorted(found.items()) if path.is_file()}
    listed = {
        name: bundles.ListedFile(path.stat().st_size, hashlib.sha256(path.read_bytes()).hexdigest())
        for name, path in paths.items()
    }
    files = {name: asdict(facts) for name, facts in listed.items()}
    text = json.dumps({**listing.content, "files": files}, indent=1, ensure_ascii=False) + "\n"
    bundles._write(target, text.encode(), paths, listed)
    return target


@pytest.fixture
def whole(results: Path, tmp_path: Path) -> Path:
    return bundled(results, "whole", tmp_path / "whole.zip").path


def test_what_is_packed_again_without_a_change_is_sound(whole: Path, tmp_path: Path) -> None:
    same = again(whole, tmp_path / "same.zip", lambda _: None)

    assert same.read_bytes() == whole.read_bytes()
    assert check_evidence(same).findings == []


def test_a_byte_in_any_file_that_was_listed_anew_is_noticed(whole: Path, tmp_path: Path) -> None:
    names = list(bundles.unpack(whole, tmp_path / "names").files)
    unnoticed = []
    for number, name in enumerate(names):

        def change(folder: Path, name: str = name) -> None:
            content = (folder / name).read_bytes()
            at = len(content) // 2
            changed = content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]
            (folder / name).write_bytes(changed)

        forged = again(whole, tmp_path / f"{number}.zip", change)
        found = check_evidence(forged).findings
        unnoticed += [] if any(is_about(str(item), name) for item in found) else [(name, found)]

    assert unnoticed == []


def is_about(finding: str, name: str) -> bool:
    """Return whether a finding names a file of a bundle: by its run, its chain, or its task."""
    parts = name.split("/")
    if parts[0] == "tasks":
        return finding.startswith(f"tasks/{parts[2][:12]}")
    within = "/".join(parts[2:])
    place = finding.partition(":")[0].partition(",")[0]
    return within == place or within.startswith(f"{place}/")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("runs/whole/notes.txt", "notes.txt: it was added after the run had ended"),
        ("tasks/ab/more", "tasks/ab/more: it belongs to no part of a bundle"),
        *(
            (f"runs/whole/{name}", f"runs/whole/{name}: it belongs to no part of a bundle")
            for name in ("logs/output.log", "logs/a/b", "stop", "alive", "lock")
        ),
        ("tasks/{task}/more.json", "/more.json: it is no file of the result"),
        (f"tasks/ab/{'ab' * 32}/x", f"tasks/{'ab' * 6}: the plan has no such task"),
    ],
)
def test_a_file_that_was_added_and_listed_is_noticed(
    whole: Path, tmp_path: Path, name: str, message: str
) -> None:
    def add(folder: Path) -> None:
        [task] = (folder / "tasks").glob("*/*")
        path = folder / name.format(task=f"{task.parent.name}/{task.name}")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}")

    found = check_evidence(again(whole, tmp_path / "forged.zip", add)).findings
    assert any(message in str(item) for item in found), found


def test_any_file_that_was_taken_out_is_noticed(whole: Path, tmp_path: Path) -> None:
    names = list(bundles.unpack(whole, tmp_path / "names").files)
    unnoticed = []
    for number, name in enumerate(names):

        def remove(folder: Path, name: str = name) -> None:
            (folder / name).unlink()

        forged = again(whole, tmp_path / f"{number}.zip", remove)
        unnoticed += [] if check_evidence(forged).findings else [name]

    assert unnoticed == []


def test_what_the_listing_says_of_the_run_follows_from_its_files(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = bundles.unpack

    def other_image(path: Path, target: Path) -> bundles.EvidenceListing:
        listing = original(path, target)
        listing.content["environment"]["python"] = "2.7"
        return listing

    monkeypatch.setattr(bundles, "unpack", other_image)
    forged = again(whole, tmp_path / "forged.zip", lambda _: None)

    assert [str(item) for item in check_evidence(forged).findings] == [
        "evidence.json: environment is not what follows from the files of the run"
    ]


def test_a_byte_that_no_file_accounts_for_is_noticed(whole: Path, tmp_path: Path) -> None:
    content = whole.read_bytes()
    changed = tmp_path / "changed.zip"
    changed.write_bytes(b"#!/bin/sh\n" + content)
    assert is_noticed(changed)
    unnoticed = []
    headers = [at for at in range(len(content) - 4) if content[at : at + 2] == b"PK"]
    for place in (*(at + 10 for at in headers), *range(0, len(content), len(content) // 40)):
        changed.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        unnoticed += [] if is_noticed(changed) else [place]

    assert unnoticed == []


def is_noticed(path: Path) -> bool:
    try:
        return bool(check_evidence(path).findings)
    except DataError:
        return True


def test_a_damaged_result_of_a_run_without_a_summary_is_named(whole: Path, tmp_path: Path) -> None:
    """A run that was stopped has results, and no summary that they could contradict."""
    damaged: list[str] = []

    def change(folder: Path) -> None:
        files = RunFiles(folder / "runs" / "whole")
        metadata = read_metadata(files)
        assert metadata is not None
        stopped = replace(metadata, status=Status.STOPPED)
        write_metadata(files, sealed(stopped, metadata.files or {}))
        [task] = (folder / "tasks").glob("*/*")
        (task / "equity.parquet").write_bytes(b"changed")
        damaged.append(f"tasks/{task.name[:12]}")

    found = check_evidence(again(whole, tmp_path / "forged.zip", change)).findings

    about = [str(item) for item in found if str(item).startswith(damaged[0])]
    assert len(about) == 1
    assert "the stored result is damaged" in about[0]
