"""A store on disk and one in S3 keep results and runs alike: one suite runs over both."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import pytest

from trading_runtime.canonical import canonical_json, digest
from trading_runtime.errors import DataError, NondeterministicError
from trading_runtime.planning.identity import task_id
from trading_runtime.results.store import open_store

if TYPE_CHECKING:
    from pathlib import Path

    from trading_runtime.results.store import Store

INPUTS: dict[str, Any] = {"common": {"seed": 1}, "config": {"fast": 5}, "partition": {"start": 0}}
TASK = task_id(digest(INPUTS["common"]), INPUTS["config"], digest(INPUTS["partition"]))
OTHER = "ab" * 32
TABLES = ("equity.parquet", "fills.parquet", "orders.parquet", "positions.parquet")


def result(summary: bytes = b'{"net_profit": "1"}\n') -> dict[str, bytes]:
    """Return the six files of a result of ``TASK``, the manifest last."""
    files = {name: name.encode() for name in TABLES} | {"summary.json": summary}
    facts = {
        name: {
            "bytes": len(content),
            "sha256": hashlib.sha256(content).hexdigest(),
            "rows": 1 if name in TABLES else None,
        }
        for name, content in files.items()
    }
    manifest = {"task_id": TASK, "inputs": INPUTS, "files": facts}
    manifest["digest"] = digest(manifest)
    return files | {"manifest.json": canonical_json(manifest) + b"\n"}


@pytest.fixture(params=["disk", "S3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A new place for results on disk, and one in S3."""
    if request.param == "disk":
        return str(tmp_path / "results")
    return f"{request.getfixturevalue('bucket')}/results"


@pytest.fixture
def stored(place: str) -> Store:
    """A store with one result, as another process sees it."""
    open_store(place).write_task(TASK, result())
    return open_store(place)


def test_an_empty_store_has_nothing(place: str) -> None:
    store = open_store(place)

    assert not store.has_task(TASK)
    assert not store.has_manifest(TASK)
    assert (store.run_ids(), store.stored_of([TASK])) == ([], set())
    assert list(store.planned_runs()) == list(store.ended_runs()) == []
    with pytest.raises(DataError, match="the stored result is"):
        store.read_task_file(TASK, "summary.json")


def test_a_result_that_was_stored_is_read_back_by_another_process(stored: Store) -> None:
    assert stored.has_task(TASK)
    assert stored.has_manifest(TASK)
    assert stored.stored_of([OTHER, TASK]) == {TASK}
    assert stored.read_task(TASK) == result()
    assert stored.read_task_file(TASK, "orders.parquet") == b"orders.parquet"
    assert {path.name: path.read_bytes() for path in stored.task(TASK).iterdir()} == result()
    manifest = result()["manifest.json"]
    assert stored.manifest_digest(TASK) == hashlib.sha256(manifest).hexdigest()


def test_the_same_bytes_may_be_stored_again_and_other_bytes_may_not(stored: Store) -> None:
    stored.write_task(TASK, result())
    with pytest.raises(NondeterministicError, match=r"summary\.json: a repeat of the task gave"):
        stored.write_task(TASK, result(summary=b'{"net_profit": "2"}\n'))

    assert open_store(stored.place).read_task(TASK) == result()


def test_a_result_without_its_manifest_is_none_until_it_is_stored_again(stored: Store) -> None:
    stored.objects.remove(f"tasks/{TASK[:2]}/{TASK}/manifest.json")
    later = open_store(stored.place)
    assert not later.has_task(TASK)
    assert later.stored_of([TASK]) == set()

    later.write_task(TASK, result())
    later.refresh([TASK])
    later.fetch_results([TASK], "plan")

    assert later.has_task(TASK)
    assert later.read_task(TASK) == result()


def test_a_damaged_result_is_reported_quarantined_and_kept(stored: Store) -> None:
    name = f"tasks/{TASK[:2]}/{TASK}/summary.json"
    stored.objects.write(name, b'{"net_profit": "9"}\n')
    with pytest.raises(DataError, match="the stored result is damaged"):
        stored.read_task(TASK)

    stored.quarantine(TASK)

    later = open_store(stored.place)
    assert not later.has_task(TASK)
    kept = [name for name in later.objects.sizes("tasks") if f"{TASK}.damaged" in name]
    assert len(kept) == len(result())
    later.write_task(TASK, result())
    assert open_store(stored.place).read_task(TASK) == result()


def test_what_is_published_of_a_run_is_what_others_see(place: str) -> None:
    store = open_store(place)
    files = store.run("one")
    for path in (files.plan, files.metrics, files.report_page, files.failure(TASK)):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(path.name)
    store.publish_run(files)
    open_store(place).objects.write("runs/two/metrics.json", b"of two")

    others = open_store(place)
    assert others.run_ids() == ["one", "two"]
    assert others.run("one").plan.read_text() == "plan.json"
    assert others.run("one").failure(TASK).read_text() == f"{TASK}.json"
    others.fetch("runs/one/report/")
    assert others.run("one").report_page.read_text() == "index.html"
    found = others.newest_run_files("metrics.json", 5)
    assert sorted(path.read_bytes() for path in found) == [b"metrics.json", b"of two"]
    assert [run.plan.exists() for run in open_store(place).planned_runs()] == [True, False]

    others.remove(others.run("one").failure(TASK))

    assert not open_store(place).run("one").failure(TASK).exists()
    assert not others.run("one").failure(TASK).exists()
