"""A result is stored whole or not at all, never changed, and verified when it is read."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from trading_runtime.canonical import canonical_json, digest
from trading_runtime.errors import DataError, NondeterministicError, StorageError
from trading_runtime.planning.identity import task_id
from trading_runtime.results.store import Store
from trading_runtime.storage.files import read_json, write_file

if TYPE_CHECKING:
    from collections.abc import Mapping

INPUTS: dict[str, Any] = {"common": {"seed": 1}, "config": {"fast": 5}, "partition": {"start": 0}}


def id_of(inputs: Mapping[str, Any]) -> str:
    """Return the id of the task with these inputs."""
    return task_id(digest(inputs["common"]), inputs["config"], digest(inputs["partition"]))


TASK = id_of(INPUTS)


def result(
    summary: bytes = b'{"net_profit": "1"}\n', inputs: Mapping[str, Any] = INPUTS
) -> dict[str, bytes]:
    """Return the files of a result of ``TASK``, or of the task with other inputs."""
    files = {"orders.parquet": b"orders", "summary.json": summary}
    facts = {
        name: {"bytes": len(content), "rows": None, "sha256": hashlib.sha256(content).hexdigest()}
        for name, content in files.items()
    }
    manifest = {"format": 1, "task_id": id_of(inputs), "inputs": inputs, "files": facts}
    manifest["digest"] = digest(manifest)
    return files | {"manifest.json": canonical_json(manifest) + b"\n"}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """An empty store in a folder that is not there yet."""
    return Store(tmp_path / "results")


@pytest.fixture
def stored(store: Store) -> Store:
    """A store with one result."""
    store.write_task(TASK, result())
    return store


def test_what_was_stored_is_read_back(stored: Store) -> None:
    assert stored.has_task(TASK)
    assert stored.read_task(TASK) == result()
    assert stored.read_task_file(TASK, "orders.parquet") == b"orders"
    manifest = result()["manifest.json"]
    assert stored.manifest_digest(TASK) == hashlib.sha256(manifest).hexdigest()


def test_a_task_lies_below_the_first_two_digits_of_its_id(stored: Store) -> None:
    folder = stored.root / "tasks" / TASK[:2] / TASK

    assert sorted(path.name for path in folder.iterdir()) == [
        "manifest.json",
        "orders.parquet",
        "summary.json",
    ]


def test_nothing_is_there_before_it_was_stored(store: Store) -> None:
    assert not store.has_task(TASK)
    assert store.run_ids() == []
    assert not store.root.exists()


def test_the_same_bytes_may_be_stored_again(stored: Store) -> None:
    stored.write_task(TASK, result())

    assert stored.read_task(TASK) == result()
    assert not list((stored.root / "tasks").glob(".*"))


def test_other_bytes_are_refused_and_the_stored_ones_stay(stored: Store) -> None:
    with pytest.raises(NondeterministicError, match=r"summary\.json: a repeat of the task gave"):
        stored.write_task(TASK, result(summary=b'{"net_profit": "2"}\n'))

    assert stored.read_task(TASK) == result()
    assert not list((stored.root / "tasks").glob(".*"))


@pytest.mark.parametrize("missing", ["orders.parquet", "summary.json", "manifest.json"])
def test_a_result_with_a_missing_file_is_none_and_is_quarantined_for_a_new_one(
    stored: Store, missing: str
) -> None:
    (stored.task(TASK) / missing).unlink()
    assert not stored.has_task(TASK)
    stored.write_task(TASK, result())

    assert stored.read_task(TASK) == result()
    assert len(list(stored.task(TASK).parent.glob("*.damaged-1"))) == 1


def test_a_file_of_another_size_makes_it_no_result(stored: Store) -> None:
    (stored.task(TASK) / "orders.parquet").write_bytes(b"order")

    assert not stored.has_task(TASK)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b'{"files": 3}', b"\xff"])
def test_a_manifest_that_is_none_makes_it_no_result(stored: Store, content: bytes) -> None:
    (stored.task(TASK) / "manifest.json").write_bytes(content)

    assert not stored.has_task(TASK)
    with pytest.raises(DataError, match="the stored result is damaged"):
        stored.read_task(TASK)


def test_every_flipped_bit_of_every_file_is_noticed(stored: Store) -> None:
    noticed = 0
    for path in stored.task(TASK).iterdir():
        content = path.read_bytes()
        for place in range(len(content)):
            changed = bytearray(content)
            changed[place] ^= 1
            path.write_bytes(changed)
            with pytest.raises(DataError, match="the stored result is damaged"):
                stored.read_task(TASK)
            noticed += 1
        path.write_bytes(content)
    assert noticed == sum(len(content) for content in result().values())


@pytest.mark.parametrize(
    "inputs",
    [
        INPUTS,
        # The names of the parts, where the parts end and within them.
        {
            "common": {"a": {}, "config": {"b": 1}, "z": {}},
            "config": {"a": {}, "config": {}, "partition": {"start": 0}, "z": {}},
            "partition": {"a": {}, "config": {}, "partition": {"start": 0}},
        },
        {"common": {}, "config": {"text": '},"partition":{'}, "partition": {}},
    ],
)
def test_a_result_is_that_of_its_inputs_whatever_they_contain(
    store: Store, inputs: Mapping[str, Any]
) -> None:
    store.write_task(id_of(inputs), result(inputs=inputs))
    other = {**inputs, "config": {**inputs["config"], "fast": 6}}
    store.write_task(id_of(other), result(inputs=inputs))

    assert store.read_task(id_of(inputs)) == result(inputs=inputs)
    with pytest.raises(DataError, match="it is not the manifest of this task"):
        store.read_task(id_of(other))


def test_damaged_results_are_kept_under_numbered_names(stored: Store) -> None:
    stored.quarantine(TASK)
    stored.write_task(TASK, result())
    stored.quarantine(TASK)
    stored.quarantine(TASK)

    names = sorted(path.name for path in stored.task(TASK).parent.iterdir())
    assert names == [f"{TASK}.damaged-1", f"{TASK}.damaged-2"]


def test_what_a_killed_writer_left_is_removed_when_it_is_old(stored: Store) -> None:
    old, new = (stored.root / "tasks" / f".new-{name}" for name in ("old", "new"))
    for folder in (old, new):
        folder.mkdir()
        (folder / "orders.parquet").touch()
    os.utime(old, (0, 0))
    stored.clear_staging()

    assert not old.exists()
    assert new.exists()
    assert stored.has_task(TASK)


def test_a_file_in_place_of_the_results_folder_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "results").write_text("in the way")
    store = Store(tmp_path / "results")

    with pytest.raises(StorageError, match=r"results.*: cannot be read: .*set 'results'"):
        store.run_ids()
    with pytest.raises(StorageError, match=r"results.*: cannot be written: .*set 'results'"):
        store.write_task(TASK, result())


def test_a_full_disk_is_a_storage_error_and_leaves_no_half_file(tmp_path: Path) -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("this system has no /dev/full")
    path = tmp_path / "metadata.json"
    path.write_text("before")
    (tmp_path / f".{path.name}.{os.getpid()}").symlink_to(full)

    with pytest.raises(StorageError, match=r"No space left on device; free space"):
        write_file(path, "after")
    assert [item.name for item in tmp_path.iterdir()] == ["metadata.json"]
    assert path.read_text() == "before"


def test_a_json_file_that_is_not_there_is_none_and_a_damaged_one_an_error(tmp_path: Path) -> None:
    path = tmp_path / "metadata.json"
    assert read_json(path) is None
    path.write_text(json.dumps({"a": 1}))
    assert read_json(path) == {"a": 1}
    path.write_text('{"a": ')

    with pytest.raises(DataError, match=r"metadata\.json: cannot be read"):
        read_json(path)
