"""Manifests of datasets that are damaged, forged, or lead elsewhere: refused before any is read."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.bad_inputs.harness import assert_refused
from trading_runtime.cli.main import invoke, root

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

USAGE, DATA = 2, 3
type Damage = bytes | Callable[[dict[str, Any]], object]


def of_file(**changes: Any) -> Damage:
    """Change the manifest's only file of market data."""
    return lambda content: content["files"][0].update(changes)


def of_group(**changes: Any) -> Damage:
    """Change the first of its row groups."""
    return lambda content: content["files"][0]["row_groups"][0].update(changes)


def of_instruments(**changes: Any) -> Damage:
    """Change the manifest's only file of instruments."""
    return lambda content: content["instrument_files"][0].update(changes)


OUTSIDE = "must lead to a file in the dataset's folder 'data'"
CASES: dict[str, tuple[Damage, list[str]]] = {
    "empty": (b"", ["not a dataset manifest"]),
    "garbage": (b"\xff\xfe\0 garbage", ["cannot be read", "utf-8"]),
    "half-a-document": (b'{"format": 1, "instruments": [', ["not a dataset manifest"]),
    "a-list": (b"[]", ["not a dataset manifest"]),
    "a-text": (b'"manifest"', ["not a dataset manifest"]),
    "null": (b"null", ["not a dataset manifest"]),
    "too-deep": (b"[" * 100_000, ["not a dataset manifest"]),
    "no-keys": (b"{}", ["not a dataset manifest", "format"]),
    "format-of-tomorrow": (lambda content: content.update(format=99), ["format 99 is not"]),
    "format-is-text": (lambda content: content.update(format="1"), ["format"]),
    "no-digest": (lambda content: content.pop("digest"), ["digest", "edited by hand"]),
    "wrong-digest": (lambda content: content.update(digest="0" * 64), ["digest"]),
    "digest-is-a-number": (lambda content: content.update(digest=1), ["digest"]),
    "files-changed": (of_file(sha256="0" * 64), ["digest"]),
    "rows-changed": (of_file(rows=1), ["digest"]),
    "unknown-key": (lambda content: content.update(more=1), ["more"]),
    "no-files": (lambda content: content.pop("files"), ["files"]),
    "files-are-text": (lambda content: content.update(files="x"), ["files"]),
    "path-upwards": (of_file(path="data/../../../etc/passwd"), [OUTSIDE]),
    "path-upwards-at-once": (of_file(path="../data/x.parquet"), [OUTSIDE]),
    "path-absolute": (of_file(path="/etc/passwd"), [OUTSIDE]),
    "path-of-windows": (of_file(path="data\\..\\x"), [OUTSIDE]),
    "path-empty": (of_file(path=""), [OUTSIDE]),
    "path-is-the-folder": (of_file(path="data"), [OUTSIDE]),
    "path-elsewhere": (of_file(path="manifest.json"), [OUTSIDE]),
    "path-is-a-number": (of_file(path=1), ["path"]),
    "instruments-upwards": (of_instruments(path="data/../../x"), [OUTSIDE]),
    "instruments-absolute": (of_instruments(path="/etc/passwd"), [OUTSIDE]),
    "instrument-without-an-id": (
        lambda content: content["instruments"][0].pop("id"),
        ["instruments.0", "instrument.id is missing"],
    ),
    "negative-bytes": (of_file(bytes=-1), ["bytes", "greater than or equal to 0"]),
    "negative-rows": (of_group(rows=-1), ["rows", "greater than or equal to 0"]),
    "negative-offset": (of_group(offset=-5), ["offset", "greater than or equal to 0"]),
    "bytes-with-a-fraction": (of_file(bytes=1.5), ["bytes"]),
    "rows-are-text": (of_file(rows="720"), ["rows"]),
    "row-groups-gone": (lambda content: content["files"][0].pop("row_groups"), ["row_groups"]),
}


def write_damaged(here: Path, damage: Damage) -> None:
    path = here / "dataset" / "manifest.json"
    if isinstance(damage, bytes):
        path.write_bytes(damage)
        return
    content = json.loads(path.read_text())
    damage(content)
    path.write_text(json.dumps(content))


@pytest.mark.parametrize("command", ["data inspect dataset", "run small.json"])
@pytest.mark.parametrize("name", CASES)
def test_a_bad_manifest_is_refused(
    name: str, command: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    damage, words = CASES[name]
    write_damaged(here, damage)

    assert_refused(command.split(), DATA, ["dataset/manifest.json", *words], here, capsys)


def test_a_manifest_that_is_a_folder_is_refused(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "dataset" / "manifest.json").unlink()
    (here / "dataset" / "manifest.json").mkdir()

    words = ["dataset/manifest.json: cannot be read", "Is a directory"]
    assert_refused(["data", "verify", "dataset"], DATA, words, here, capsys)


@pytest.mark.parametrize("name", ["gone", "shorter", "flipped", "a-folder", "one-too-many"])
def test_files_that_are_not_what_the_manifest_says_are_named(
    name: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    [path] = (here / "dataset" / "data" / "bars").rglob("*.parquet")
    content = path.read_bytes()
    words = {
        "gone": "the file is missing",
        "shorter": f"bytes {len(content) - 9}, the manifest says {len(content)}",
        "flipped": "sha256",
        "a-folder": "the manifest says",
        "one-too-many": "is not in the manifest",
    }[name]
    if name in {"gone", "a-folder"}:
        path.unlink()
    if name == "a-folder":
        path.mkdir()
    elif name == "shorter":
        path.write_bytes(content[:-9])
    elif name == "flipped":
        path.write_bytes(content[:100] + bytes([content[100] ^ 1]) + content[101:])
    elif name == "one-too-many":
        path.with_name("more.parquet").write_bytes(content)

    named = ["dataset/data/bars/", words]
    assert_refused(["data", "verify", "dataset"], DATA, named, here, capsys)


@pytest.mark.parametrize(
    "damage",
    [of_group(sha256="0" * 64), of_group(offset=10**9), of_group(bytes=1)],
    ids=["sha256", "offset", "bytes"],
)
def test_a_forged_row_group_fails_the_tasks_that_read_it_and_is_no_result(
    damage: Damage, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_damaged(here, damage)
    experiment = json.loads((here / "small.json").read_text())
    (here / "small.json").write_text(json.dumps(experiment | {"results": "others"}))
    command = ["run", "small.json", "--run-id", "three", "--json", "--workers", "1"]

    code = invoke(root, command)

    output, errors = capsys.readouterr()
    assert "Traceback" not in errors
    assert (code, json.loads(output)["failed_by_kind"]) == (5, {"data": 2})
    assert not list((here / "others").glob("tasks/*/*"))
