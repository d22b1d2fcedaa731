"""Packs spare a summary in S3 its requests, and never change what it finds."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.argo.test_steps import download
from tests.s3.test_lying_storage import lying
from tests.small_experiment import SmallExperiment
from trading_runtime import api
from trading_runtime.argo.batch_step import BatchOrder, run_batch_step
from trading_runtime.argo.check_step import run_check_step
from trading_runtime.argo.plan_step import PodSettings, run_plan_step
from trading_runtime.argo.summary_step import run_summary_step
from trading_runtime.errors import TransientError
from trading_runtime.records.plan import read_plan
from trading_runtime.records.task_manifest import ResultFile, parse_manifest
from trading_runtime.results.packs import PackedTask, UnpackedTasks, write_packs
from trading_runtime.results.store import open_store
from trading_runtime.runs.run_check import check_run
from trading_runtime.storage import s3
from trading_runtime.storage.s3 import S3Folder

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from tests.s3.servers import S3Server
    from trading_runtime.results.store import Store

MADE = ("result.json", "results.parquet", "points.parquet")
ONE_BATCH = PodSettings(most_batches=1)


class Computed(NamedTuple):
    """A run whose pods have computed all, and what a laptop makes of the same experiment."""

    objects: Mapping[str, bytes]
    laptop: Mapping[str, bytes]


@pytest.fixture(scope="module")
def computed(
    tmp_path_factory: pytest.TempPathFactory, small_dataset: Path, server: S3Server
) -> Computed:
    """The objects that the pods of one batch leave, its four points over three days."""
    small = SmallExperiment(tmp_path_factory.mktemp("packs") / "small", small_dataset)
    api.run(small.path, run_id="one")
    laptop = {name: small.run_file("one", name).read_bytes() for name in MADE}
    server.put("computed")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (("ACCESS_KEY_ID", "k"), ("SECRET_ACCESS_KEY", "s")):
            patch.setenv(f"AWS_{name}", value)
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        patch.setenv("AWS_ENDPOINT_URL", server.endpoint)
        s3._opened.cache_clear()
        results = run_plan_step(
            str(small.write(results="s3://computed/results")), "one", ONE_BATCH
        ).results
        assert run_batch_step(results, "one", BatchOrder(0)) == 0
        objects = download(results)
    s3._opened.cache_clear()
    return Computed(objects, laptop)


@pytest.fixture
def results(computed: Computed, bucket: str) -> S3Folder:
    """The same objects in a bucket of the test."""
    results = S3Folder(f"{bucket}/results")
    for name, content in computed.objects.items():
        results.write(name, content)
    return results


def summarised(results: S3Folder) -> dict[str, bytes]:
    """Summarise the run, and return what it is judged by."""
    run_summary_step(results.url, "one")
    return {name: results.read(f"runs/one/{name}") for name in MADE}


def packed(store: Store) -> list[PackedTask]:
    """Return the content of all packs in a store."""
    plan = read_plan(store.run("one").plan)
    store.refresh(plan.task_ids)
    unpacked = UnpackedTasks(store.root / "of-test")
    unpacked.fetch(store.objects, plan.digest, store._tasks.stamp)
    return [
        PackedTask(task_id, str(store._tasks.stamp(task_id)), unpacked.read(task_id))
        for task_id in plan.task_ids
    ]


def replace_packs(results: S3Folder, change: Callable[[PackedTask], PackedTask]) -> None:
    """Put packs of changed tasks in the place of those that the batch made."""
    store = open_store(results.url)
    changed = list(map(change, packed(store)))
    plan = read_plan(store.run("one").plan)
    results.remove_all(list(results.sizes("packs")))
    write_packs(results, plan.digest, changed)
    assert len(results.sizes("packs")) == 1


def test_a_summary_of_packs_gives_the_laptops_bytes_and_reads_no_object_of_a_task(
    computed: Computed, results: S3Folder, storage: S3Server
) -> None:
    asked = []

    def note(method: str, path: str, content: bytes) -> bytes:
        asked.append((method, path))
        return content

    with lying(storage, note):
        assert summarised(results) == computed.laptop
    assert [path for method, path in asked if "/tasks/" in path] == []
    assert [path for method, path in asked if method == "GET" and "/packs/" in path]


def with_other_profit(task: PackedTask) -> PackedTask:
    """Return a task whose summary states another profit."""
    summary = json.loads(task.files["summary.json"]) | {"net_profit": "999999"}
    return task._replace(files={**task.files, "summary.json": json.dumps(summary).encode()})


def with_forged_manifest(task: PackedTask) -> PackedTask:
    """Return a task whose summary states another profit, and a manifest that agrees with it."""
    changed = with_other_profit(task)
    content = changed.files["summary.json"]
    manifest = parse_manifest(task.files["manifest.json"])
    stated = ResultFile(len(content), None, hashlib.sha256(content).hexdigest())
    forged = dataclasses.replace(manifest, files={**manifest.files, "summary.json": stated})
    return changed._replace(files={**changed.files, "manifest.json": forged.to_bytes()})


def of_another_time(task: PackedTask) -> PackedTask:
    """Return a sound task with another profit, made when other objects were stored."""
    return with_forged_manifest(task)._replace(stamp="0" * 64)


@pytest.mark.parametrize("change", [with_other_profit, of_another_time])
def test_a_pack_that_says_something_else_changes_no_byte(
    change: Callable[[PackedTask], PackedTask], computed: Computed, results: S3Folder
) -> None:
    replace_packs(results, change)

    assert summarised(results) == computed.laptop


@pytest.mark.parametrize("content", [b"", b"no pack", None])
def test_a_damaged_pack_or_none_changes_no_byte(
    content: bytes | None, computed: Computed, results: S3Folder
) -> None:
    for name in results.sizes("packs"):
        if content is None:
            results.remove(name)
        else:
            results.write(name, content)

    assert summarised(results) == computed.laptop


def test_a_pack_that_agrees_with_itself_alone_is_noticed_by_the_check(results: S3Folder) -> None:
    replace_packs(results, with_forged_manifest)
    run_summary_step(results.url, "one")

    store = open_store(results.url)
    found = check_run(store.run("one"), store=store).findings

    assert [
        each.place
        for each in found
        if each.message.endswith("what the stored results of the tasks give")
    ].count("result.json") >= 1


def test_what_happened_to_a_result_after_it_was_packed_counts(
    computed: Computed, results: S3Folder
) -> None:
    gone, damaged = sorted(name for name in computed.objects if name.endswith("/summary.json"))[:2]
    results.remove_all(list(results.sizes(gone.rpartition("/")[0])))
    results.write(damaged, computed.objects[damaged].replace(b"USDT", b"USDC"))

    counts = run_summary_step(results.url, "one").counts

    assert (counts["ok"], counts["missing"], counts["failed_by_kind"]) == (10, 1, {"data": 1})


def test_a_result_that_was_stored_damaged_is_noticed_by_its_batch_and_computed_again(
    computed: Computed, results: S3Folder
) -> None:
    damaged = min(name for name in computed.objects if name.endswith("/orders.parquet"))
    results.write(damaged, computed.objects[damaged][:-1] + b"?")

    with pytest.raises(TransientError, match="1 of 12 results of this batch were damaged"):
        run_batch_step(results.url, "one", BatchOrder(0))

    assert run_batch_step(results.url, "one", BatchOrder(0)) == 0
    assert run_check_step(results.url, "one") == []
    assert summarised(results) == computed.laptop


def test_a_result_damaged_after_its_batch_is_noticed_by_the_check_and_computed_again(
    computed: Computed, results: S3Folder
) -> None:
    name = next(name for name in computed.objects if name.endswith("/fills.parquet"))
    results.write(name, results.read(name)[:-1] + b"x")

    assert run_check_step(results.url, "one") == [1]
    assert not results.has(name)
    assert run_batch_step(results.url, "one", BatchOrder(0, 2)) == 0
    assert summarised(results) == computed.laptop
    assert results.read(name) == computed.objects[name]
