"""Only what no plan refers to, bears one of our names, and is old enough, can go."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.plans import made_up_plan
from trading_runtime.errors import DataError
from trading_runtime.records.plan import Task
from trading_runtime.results.garbage import What, delete, find_garbage
from trading_runtime.results.store import Store

SECOND = 1_000_000_000
DAY = 86_400 * SECOND
NOW = 1_800_000_000 * SECOND
WANTED, UNWANTED, YOUNG = "a" * 64, "ab" + "c" * 62, "ef" + "0" * 62


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store with a run of one task, one older task without a run, and a younger one."""
    store = Store(tmp_path / "results")
    put(store.task(WANTED), days=30)
    put(store.task(UNWANTED), days=2)
    put(store.task(YOUNG), days=0.5)
    write_plan(store, "one", WANTED)
    return store


def put(folder: Path, days: float) -> None:
    """Make a folder with 100 bytes in it, so many days old."""
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_bytes(b"x" * 100)
    age(folder, days)


def age(path: Path, days: float) -> None:
    os.utime(path, ns=(NOW, NOW - int(days * DAY)))


def write_plan(store: Store, run_id: str, *ids: str) -> None:
    """Write the plan of a run of these tasks."""
    files = store.run(run_id)
    files.folder.mkdir(parents=True, exist_ok=True)
    tasks = [Task(identity, 0, 0, cached=False, seconds=None) for identity in ids]
    files.plan.write_text(made_up_plan(tasks).to_json())


def collected(store: Store, days: float = 1) -> list[tuple[What, str]]:
    found = find_garbage(store, NOW, int(days * DAY))
    return [(item.what, Path(item.place).name) for item in found.items]


def test_a_task_that_no_plan_refers_to_can_go_when_it_is_old(store: Store) -> None:
    found = find_garbage(store, NOW, DAY)

    assert [(item.what, item.place) for item in found.items] == [
        (What.TASK, str(store.task(UNWANTED)))
    ]
    assert (found.bytes, found.kept, found.young) == (100, 1, 1)


def test_nothing_is_removed_by_looking(store: Store) -> None:
    before = sorted(store.root.rglob("*"))

    find_garbage(store, NOW, 0)

    assert sorted(store.root.rglob("*")) == before


def test_what_was_found_is_removed_and_all_else_stays(store: Store) -> None:
    delete(store, find_garbage(store, NOW, DAY))

    assert not store.task(UNWANTED).exists()
    assert store.task(WANTED).exists()
    assert store.task(YOUNG).exists()
    assert find_garbage(store, NOW, DAY).items == []
    assert list((store.root / "tasks").glob(".new-*")) == []


def test_every_run_counts_also_one_that_is_running(store: Store) -> None:
    write_plan(store, "two", UNWANTED)

    assert collected(store) == []


def test_the_age_is_a_choice(store: Store) -> None:
    assert collected(store, days=3) == []
    assert collected(store, days=0.25) == [(What.TASK, UNWANTED), (What.TASK, YOUNG)]


def test_what_killed_writers_left_can_go(store: Store) -> None:
    tasks = store.root / "tasks"
    put(tasks / ".new-old", days=2)
    put(tasks / ".new-young", days=0)
    put(tasks / "aa" / f"{WANTED}.damaged-1", days=2)
    temporary = store.run("one").folder / ".plan.json.1234"
    temporary.write_text("half")
    age(temporary, days=2)

    found = find_garbage(store, NOW, DAY)
    delete(store, found)

    assert sorted((item.what, Path(item.place).name) for item in found.items) == [
        (What.DAMAGED, f"{WANTED}.damaged-1"),
        (What.STAGING, ".new-old"),
        (What.TASK, UNWANTED),
        (What.TEMPORARY, ".plan.json.1234"),
    ]
    assert not any(Path(item.place).exists() for item in found.items)
    assert (tasks / ".new-young").exists()


def test_what_bears_none_of_our_names_is_left_alone(store: Store, tmp_path: Path) -> None:
    tasks = store.root / "tasks"
    for path in (
        tasks / "notes",
        tasks / "ab" / "notes",
        tasks / "cd" / UNWANTED,
        tasks / "ab" / f"{UNWANTED}.saved",
        store.run("one").folder / "report",
    ):
        put(path, days=9)
    outside = tmp_path / "outside"
    put(outside, days=9)
    (tasks / "ab" / ("ab" + "d" * 62)).symlink_to(outside)

    assert collected(store, days=0) == [(What.TASK, UNWANTED), (What.TASK, YOUNG)]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        (
            b'{"common": {}, "strategy": {}, "instruments": {}, "points": [{}], '
            b'"partitions": [{}], '
            b'"tasks": [{"task_id": "../../elsewhere", "point": 0, "partition": 0}]}'
        ),
    ],
)
def test_a_plan_that_cannot_be_read_keeps_everything(store: Store, content: bytes) -> None:
    write_plan(store, "two")
    store.run("two").plan.write_bytes(content)

    with pytest.raises(DataError, match=r"two/plan\.json.*(\n.*)?results that the run refers to"):
        find_garbage(store, NOW, DAY)


def test_a_plan_that_is_gone_keeps_everything(store: Store) -> None:
    store.run("one").metadata.write_text("{}")
    store.run("one").plan.unlink()

    with pytest.raises(DataError, match="the run's plan is gone"):
        find_garbage(store, NOW, DAY)


def test_a_run_that_never_began_refers_to_nothing(store: Store) -> None:
    store.run("never").folder.mkdir()
    store.run("never").lock.touch()

    assert collected(store) == [(What.TASK, UNWANTED)]


def test_an_empty_folder_has_no_garbage(tmp_path: Path) -> None:
    assert collected(Store(tmp_path)) == []
