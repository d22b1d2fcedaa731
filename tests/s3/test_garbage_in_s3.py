"""Only what no plan refers to, bears one of our names, and is old enough, can go from S3 too."""

from __future__ import annotations

import json
import time

import pytest

from tests.plans import made_up_plan
from trading_runtime.canonical import digest
from trading_runtime.cli.main import invoke, root
from trading_runtime.errors import DataError
from trading_runtime.records.plan import Task
from trading_runtime.results.garbage import What, delete, find_garbage
from trading_runtime.results.store import Store
from trading_runtime.storage.s3 import S3Folder

DAY = 86_400 * 1_000_000_000
WANTED, UNWANTED, HALF = "a" * 64, "ab" + "c" * 62, "ef" + "0" * 62


def tomorrow() -> int:
    """A day and an hour after what a test has written: the storage's clock cannot be set."""
    return time.time_ns() + DAY + DAY // 24


@pytest.fixture
def results(bucket: str) -> S3Folder:
    """A run of one task, a task without a run, half a task, a damaged one, and others' objects."""
    results = S3Folder(f"{bucket}/results")
    for task_id in (WANTED, UNWANTED):
        for name in ("orders.parquet", "manifest.json"):
            results.write(f"tasks/{task_id[:2]}/{task_id}/{name}", b"x" * 50)
    results.write(f"tasks/{HALF[:2]}/{HALF}/orders.parquet", b"x" * 50)
    results.write(f"tasks/{WANTED[:2]}/{WANTED}.damaged/manifest.json", b"x" * 50)
    for name in (
        "tasks/notes",
        "tasks/ab/notes/one",
        f"tasks/cd/{UNWANTED}/manifest.json",
        f"tasks/ab/{UNWANTED}.saved/manifest.json",
        f"tasks/ab/{UNWANTED}/deeper/manifest.json",
        f"code/{UNWANTED}.tar",
    ):
        results.write(name, b"x")
    plan(results, "one", WANTED)
    return results


def plan(results: S3Folder, run_id: str, *ids: str) -> None:
    """Write the plan of a run of these tasks."""
    tasks = [Task(identity, 0, 0, cached=False, seconds=None) for identity in ids]
    results.write(f"runs/{run_id}/plan.json", made_up_plan(tasks).to_json().encode())


def collected(results: S3Folder, now: int) -> list[tuple[What, str]]:
    found = find_garbage(Store(results.url), now, DAY)
    return [(item.what, item.place.removeprefix(f"{results.url}/tasks/")) for item in found.items]


def test_what_no_plan_refers_to_goes_and_all_else_stays(results: S3Folder) -> None:
    before = results.sizes()
    found = find_garbage(Store(results.url), tomorrow(), DAY)
    assert results.sizes() == before

    delete(Store(results.url), found)

    assert [(item.what, item.place, item.bytes) for item in found.items] == [
        (What.DAMAGED, f"{results.url}/tasks/aa/{WANTED}.damaged", 50),
        (What.TASK, f"{results.url}/tasks/ab/{UNWANTED}", 100),
        (What.STAGING, f"{results.url}/tasks/ef/{HALF}", 50),
    ]
    assert (found.bytes, found.kept, found.young) == (200, 1, 0)
    assert set(before) - set(results.sizes()) == {
        f"tasks/aa/{WANTED}.damaged/manifest.json",
        f"tasks/ab/{UNWANTED}/orders.parquet",
        f"tasks/ab/{UNWANTED}/manifest.json",
        f"tasks/ef/{HALF}/orders.parquet",
    }
    assert find_garbage(Store(results.url), tomorrow(), DAY).items == []


def test_packs_go_with_the_last_run_of_their_plan(results: S3Folder) -> None:
    packs = [f"packs/{digest(ids)}/{'0' * 64}" for ids in ([WANTED], [UNWANTED])]
    for name in (*packs, f"packs/{digest([UNWANTED])}/notes", "packs/notes"):
        results.write(name, b"x")

    found = find_garbage(Store(results.url), tomorrow(), DAY)

    assert [item.place for item in found.items if item.what is What.PACK] == [
        f"{results.url}/{packs[1]}"
    ]
    assert found.kept == 1


def test_what_is_young_stays(results: S3Folder) -> None:
    found = find_garbage(Store(results.url), time.time_ns(), DAY)

    assert (found.items, found.kept, found.young) == ([], 1, 3)


def test_every_run_counts_also_one_that_is_running(results: S3Folder) -> None:
    plan(results, "two", UNWANTED, HALF)

    assert [what for what, _ in collected(results, tomorrow())] == [What.DAMAGED]


def test_a_run_that_never_began_refers_to_nothing(results: S3Folder) -> None:
    results.write("runs/never/lock", b"{}")

    assert len(collected(results, tomorrow())) == 3


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("plan.json", b"{", r"results/runs/two/plan\.json.*\n.*the results that the run refers to"),
        ("metadata.json", b"{}", r"results/runs/two/plan\.json: the run's plan is gone"),
    ],
)
def test_a_plan_that_cannot_be_read_keeps_everything(
    name: str, content: bytes, words: str, results: S3Folder
) -> None:
    results.write(f"runs/two/{name}", content)

    with pytest.raises(DataError, match=words) as raised:
        collected(results, tomorrow())

    assert str(raised.value).startswith(results.url)


def test_gc_shows_first_and_removes_when_told_to(
    results: S3Folder, capsys: pytest.CaptureFixture[str]
) -> None:
    time.sleep(1.1)  # the storage stamps whole seconds
    command = ["gc", "--results", results.url, "--older-than", "1s"]

    assert invoke(root, command) == 0
    shown = capsys.readouterr()
    assert f"{results.url}/tasks/ab/{UNWANTED}" in shown.out
    assert "3 can go, 200 bytes; 1 results are of runs" in shown.out
    assert "nothing was removed; --delete removes it" in shown.err
    assert invoke(root, [*command, "--delete", "--json"]) == 0
    removed = json.loads(capsys.readouterr().out)

    assert (removed["deleted"], len(removed["items"])) == (True, 3)
    assert set(results.sizes("tasks/ab")) == {
        "tasks/ab/notes/one",
        f"tasks/ab/{UNWANTED}.saved/manifest.json",
        f"tasks/ab/{UNWANTED}/deeper/manifest.json",
    }
    assert results.sizes(f"tasks/aa/{WANTED}") != {}


@pytest.mark.usefixtures("storage")
def test_a_bucket_that_is_not_there_is_said_to_be_missing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert invoke(root, ["gc", "--results", "s3://no-such-bucket/results"]) == 8
    assert "no such bucket" in capsys.readouterr().err
