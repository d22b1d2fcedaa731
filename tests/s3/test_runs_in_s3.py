"""Runs whose dataset or results lie in S3: the same bytes as on disk, whatever the network does."""

from __future__ import annotations

import json
import os
import shutil
import time
import zipfile
from typing import TYPE_CHECKING

import pytest

from tests.execution.processes import wait_for
from tests.s3.conftest import SECRET
from tests.s3.servers import LOST_ANSWER, Proxy, S3Server
from tests.small_experiment import BAR_TYPE, ROOT
from trading_runtime import api
from trading_runtime.cli.main import invoke, root
from trading_runtime.errors import DataError, LeaseLostError, StorageError, UsageError
from trading_runtime.records.events import KillActivated, KillCleared
from trading_runtime.results.store import open_store
from trading_runtime.runs import lock
from trading_runtime.runs.opening import acquire_run, append_events, is_running, request_stop
from trading_runtime.runs.run_check import check_run
from trading_runtime.storage import s3
from trading_runtime.storage.object_store import version_of
from trading_runtime.storage.s3 import S3Folder

if TYPE_CHECKING:
    from pathlib import Path

    from tests.small_experiment import SmallExperiment


def upload(folder: Path, address: str) -> None:
    """Copy a folder to S3."""
    objects = S3Folder(address)
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            objects.write(path.relative_to(folder).as_posix(), path.read_bytes())


@pytest.fixture
def remote(bucket: str, small_dataset: Path) -> str:
    """A bucket with the small dataset under ``data``."""
    upload(small_dataset, f"{bucket}/data")
    return bucket


def test_any_mix_of_folder_and_s3_has_one_digest(small: SmallExperiment, remote: str) -> None:
    digests: set[str] = set()
    for dataset in (small.content["dataset"]["path"], f"{remote}/data"):
        for results in (f"results-{len(digests)}", f"{remote}/results-{dataset[:2]}"):
            path = small.write(dataset={"path": dataset}, results=results)
            run = api.run(path, run_id="one", workers=2)
            assert run.result["complete"]
            digests.add(run.result["run_digest"])
    assert len(digests) == 1


def test_the_second_run_in_s3_computes_nothing(small: SmallExperiment, remote: str) -> None:
    path = small.write(dataset={"path": f"{remote}/data"}, results=f"{remote}/results")
    first, second = api.run(path, run_id="one"), api.run(path, run_id="two")
    assert (first.computed, second.computed) == (12, 0)
    assert first.result == second.result


def test_the_run_is_in_s3_with_its_report_and_opens_from_there(
    small: SmallExperiment, remote: str
) -> None:
    path = small.write(results=f"{remote}/results")
    run = api.run(path, run_id="one")
    stored = S3Folder(f"{remote}/results").sizes("runs/one/")
    for name in ("result.json", "points.parquet", "journal.jsonl", "report/index.html"):
        assert stored[f"runs/one/{name}"] > 0
    assert not {"runs/one/lock", "runs/one/stop"} & set(stored)
    opened = api.open_run("one", f"{remote}/results")
    assert opened.points.equals(run.points)


def test_a_storage_that_fails_every_third_request_changes_nothing(
    small: SmallExperiment, remote: str, storage: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    local = api.run(small.path, run_id="one")
    path = small.write(dataset={"path": f"{remote}/data"}, results=f"{remote}/results")
    with Proxy(
        storage.port, lambda number: (503, 0)[number % 2] if number % 3 == 0 else None
    ) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
        s3._opened.cache_clear()
        run = api.run(path, run_id="one", workers=2)
        assert proxy.faults > 20
    assert run.result["run_digest"] == local.result["run_digest"]


def test_a_result_that_a_killed_writer_left_half_is_written_whole(
    small: SmallExperiment, remote: str
) -> None:
    path = small.write(results=f"{remote}/results")
    first = api.run(path, run_id="one")
    objects = S3Folder(f"{remote}/results")
    name = next(name for name in objects.sizes("tasks/") if name.endswith("manifest.json"))
    objects.remove(name)
    second = api.run(path, run_id="two")
    assert second.computed == 1
    assert second.result == first.result


def test_a_failure_that_passed_is_gone_from_s3_too(
    small: SmallExperiment, bucket: str, tmp_path: Path
) -> None:
    well = tmp_path / "well"
    shutil.copy(ROOT / "tests" / "argo" / "strategies" / "needing.py", small.folder)
    path = small.write(
        partitions={"by": "day", "end": "2024-01-02"},
        strategy={"path": "needing.py:Needing", "config": {"bar_type": BAR_TYPE}},
        parameters={"storage": [str(well)]},
        results=f"{bucket}/results",
    )
    assert api.run(path, run_id="one").result["failed_by_kind"] == {"transient": 1}
    well.touch()

    assert api.run(path, run_id="one").result["complete"]
    assert api.open_run("one", f"{bucket}/results").failures == []


def test_a_plan_is_estimated_by_the_latest_run_in_s3_and_fetches_its_metrics_alone(
    small: SmallExperiment, remote: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = small.write(dataset={"path": f"{remote}/data"}, results=f"{remote}/results")
    api.run(path, run_id="zzz")
    objects = S3Folder(f"{remote}/results")
    for name, rate in (("aaa", 100.0), ("mmm", 200.0)):
        metrics = {"strategy": "counting.py:Counting", "rows_per_second": rate}
        content = json.dumps(metrics | {"task_seconds_median": 1.0})
        objects.write(f"runs/{name}/metrics.json", content.encode())
        time.sleep(1.1)  # the storage stamps whole seconds
    asked: list[str] = []
    read = S3Folder.read

    def read_and_count(folder: S3Folder, name: str, *part: int) -> bytes:
        asked.append(name)
        return read(folder, name, *part)

    monkeypatch.setattr(S3Folder, "read", read_and_count)

    small.write(parameters={"every": [20, 30, 40, 50, 60]})
    plan = api.plan(path).plan

    # A day has 240 rows; the latest run, whose name is neither first nor last, had 200 a second.
    assert {task.seconds for task in plan.tasks} == {1.2}
    assert not [name for name in asked if "journal" in name or "plan.json" in name]


def test_a_missing_bucket_ends_the_run_before_it_begins(
    small: SmallExperiment, remote: str
) -> None:
    assert remote
    path = small.write(results="s3://no-such-bucket/results")
    with pytest.raises(StorageError, match="no such bucket"):
        api.run(path)
    path = small.write(dataset={"path": "s3://no-such-bucket/data"}, results="results")
    with pytest.raises(StorageError, match="no such bucket"):
        api.run(path)


def test_a_dataset_without_a_manifest_is_refused(small: SmallExperiment, bucket: str) -> None:
    path = small.write(dataset={"path": f"{bucket}/data"})
    with pytest.raises(DataError, match=r"data/manifest\.json: there is none"):
        api.plan(path)


def test_a_file_that_is_gone_fails_the_tasks_that_need_it(
    small: SmallExperiment, remote: str
) -> None:
    objects = S3Folder(f"{remote}/data")
    for name in objects.sizes("data/bars"):
        objects.remove(name)
    path = small.write(dataset={"path": f"{remote}/data"})
    run = api.run(path, run_id="one")
    assert run.result["failed_by_kind"] == {"data": 12}
    assert "the file is gone" in run.failures[0]["message"]


def test_a_run_id_is_one_process_s_alone(bucket: str) -> None:
    store = open_store(f"{bucket}/results")
    with acquire_run(store, "one") as opened:
        assert is_running(store, "one")
        with (
            pytest.raises(UsageError, match="running already"),
            acquire_run(open_store(f"{bucket}/results"), "one"),
        ):
            pass
        assert not opened.stop_requested()
    assert not is_running(store, "one")
    with acquire_run(store, "one") as opened:
        request_stop(store, "one")
        assert opened.stop_requested()


def test_a_lock_is_our_own_also_when_the_answer_that_said_so_was_lost(
    bucket: str, storage: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Proxy(storage.port, lambda number: LOST_ANSWER if number == 1 else None) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
        s3._opened.cache_clear()
        lock.Lease(S3Folder(f"{bucket}/results"), "one").release()
        assert proxy.faults == 1
    s3._opened.cache_clear()


def test_the_lock_of_a_process_that_died_is_taken_over(bucket: str) -> None:
    store = open_store(f"{bucket}/results")
    S3Folder(f"{bucket}/results").write("runs/one/lock", b"{")
    with acquire_run(store, "one"):
        pass


def test_a_lock_is_renewed_while_nothing_happens_in_the_run(
    bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "_RENEWALS", 10_000)
    store = open_store(f"{bucket}/results")
    with acquire_run(store, "one"):
        taken = version_of(store.objects, "runs/one/lock")
        wait_for(lambda: version_of(store.objects, "runs/one/lock") != taken)
        assert is_running(store, "one")
    assert not is_running(store, "one")


def test_a_lock_that_another_process_has_taken_over_is_left_to_it(bucket: str) -> None:
    store = open_store(f"{bucket}/results")
    content = json.dumps({"holder": "another"}).encode()
    with pytest.raises(LeaseLostError), acquire_run(store, "one"):
        S3Folder(f"{bucket}/results").write("runs/one/lock", content)
    assert is_running(store, "one")


def test_runs_in_s3_are_listed_watched_checked_and_bundled_as_on_disk(
    small: SmallExperiment, remote: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = small.write(results=f"{remote}/results", parameters={"every": [20]})
    api.run(path, run_id="one", workers=1)
    where = ["--results", f"{remote}/results"]
    for words, shown in (
        (["runs", "list"], "complete"),
        (["runs", "show", "one"], "all 3 tasks are ok"),
        (["runs", "check", "one"], "one: sound; "),
        (["runs", "watch", "one"], "one: complete; 3/3 tasks"),
    ):
        assert invoke(root, [*words, *where]) == 0, words
        captured = capsys.readouterr()
        assert shown in captured.out + captured.err
    bundle = small.folder / "one.zip"
    assert invoke(root, ["evidence", "bundle", "one", "--to", str(bundle), *where]) == 0
    assert invoke(root, ["evidence", "check", str(bundle)]) == 0
    with zipfile.ZipFile(bundle) as archive:
        assert "runs/one/report/index.html" in archive.namelist()
    small.write(results="results")
    api.run(path, run_id="two", workers=1)
    local = ["--results", str(small.results)]
    assert invoke(root, ["evidence", "compare", "two", str(bundle), *local]) == 0
    S3Folder(f"{remote}/results").remove("runs/one/journal.jsonl")
    assert invoke(root, ["runs", "check", "one", *where]) == 3


def test_a_summary_of_a_run_in_s3_that_died_is_what_others_then_see(
    small: SmallExperiment, bucket: str
) -> None:
    path = small.write(results=f"{bucket}/results", parameters={"every": [20]})
    api.run(path, run_id="one", workers=1)
    objects = S3Folder(f"{bucket}/results")
    metadata = json.loads(objects.read("runs/one/metadata.json")) | {"status": "running"}
    objects.write("runs/one/metadata.json", json.dumps(metadata).encode())
    objects.remove("runs/one/result.json")

    assert invoke(root, ["runs", "summarise", "one", "--results", f"{bucket}/results"]) == 0

    assert json.loads(objects.read("runs/one/metadata.json"))["status"] == "complete"
    assert json.loads(objects.read("runs/one/result.json"))["complete"]
    assert invoke(root, ["runs", "check", "one", "--results", f"{bucket}/results"]) == 0


def test_what_others_write_into_a_run_in_s3_is_in_its_journal(
    small: SmallExperiment, remote: str
) -> None:
    path = small.write(results=f"{remote}/results", parameters={"every": [20]})
    noted = [0]

    def note_once() -> bool:
        """Asked between two events, while the run goes on."""
        if not noted[0]:
            noted[0] = 1
            store = open_store(f"{remote}/results")
            append_events(store, "one", "kill", KillActivated(reason="a test"))
        return False

    api.run(path, run_id="one", workers=1, should_stop=note_once)
    append_events(open_store(f"{remote}/results"), "one", "kill", KillCleared(reason="over"))
    store = open_store(f"{remote}/results")
    files = store.run("one")
    events = [json.loads(line)["event"] for line in files.journal.read_bytes().splitlines()]

    assert [event for event in events if event.startswith("kill_")] == [
        "kill_activated",
        "kill_cleared",
    ]
    store.fetch("runs/one/")
    assert check_run(files).findings == []


def test_an_object_whose_name_leads_elsewhere_is_not_copied_there(
    bucket: str, storage: S3Server
) -> None:
    name = "runs/one/../../../../outside"
    storage.put(f"{bucket.removeprefix('s3://')}/results/{name}", b"x")
    store = open_store(f"{bucket}/results")

    with pytest.raises(DataError, match="in its name is no file; remove it"):
        store.run("one")


def test_no_credential_is_in_anything_that_is_stored(small: SmallExperiment, remote: str) -> None:
    assert os.environ["AWS_SECRET_ACCESS_KEY"] == SECRET
    path = small.write(dataset={"path": f"{remote}/data"}, results=f"{remote}/results")
    api.run(path, run_id="one")
    objects = S3Folder(f"{remote}/results")
    for name in objects.sizes():
        content = objects.read(name)
        assert SECRET.encode() not in content, name
        assert b"canary-key-id" not in content, name
