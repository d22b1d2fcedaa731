"""The store judges what is done: a damaged result is found, quarantined and computed again."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from trading_runtime import api
from trading_runtime.records.plan import read_plan
from trading_runtime.results import reduction, task_reader
from trading_runtime.results.store import Store
from trading_runtime.results.task_reader import TaskReader

if TYPE_CHECKING:
    from tests.small_experiment import SmallExperiment


@pytest.mark.parametrize(
    "name",
    ["summary.json", "equity.parquet", "orders.parquet", "fills.parquet", "manifest.json"],
)
def test_a_flipped_byte_is_found_by_the_next_run_quarantined_and_computed_again(
    small: SmallExperiment, name: str
) -> None:
    small.write(parameters={"every": [20]})
    sound = api.run(small.path, run_id="sound", workers=1)
    damaged = sorted((small.results / "tasks").glob("??/*"))[1]
    content = bytearray((damaged / name).read_bytes())
    # In the manifest a hexadecimal digit, so that it stays JSON.
    place = content.index(b"sha256") + 20 if name == "manifest.json" else len(content) // 2
    content[place] ^= 1
    (damaged / name).write_bytes(content)

    again = api.run(small.path, run_id="again", workers=1)
    assert again.computed == 1
    assert again.result == sound.result
    assert again.failures == []
    assert (damaged / name).read_bytes() != bytes(content)
    assert damaged.with_name(f"{damaged.name}.damaged-1").is_dir()
    events = [json.loads(line) for line in again.files.journal.read_bytes().splitlines()]
    [retried] = [line for line in events if line["event"] == "task_retried"]
    assert retried["payload"] == {"task_id": damaged.name, "kind": "data"}


def test_a_result_with_a_missing_file_is_computed_again_at_once(small: SmallExperiment) -> None:
    small.write(parameters={"every": [20]})
    sound = api.run(small.path, run_id="sound", workers=1)
    next((small.results / "tasks").glob("??/*/positions.parquet")).unlink()
    again = api.run(small.path, run_id="again", workers=1)

    assert again.computed == 1
    assert again.result == sound.result


def test_the_digest_is_over_tasks_and_manifests_and_nothing_else(small: SmallExperiment) -> None:
    small.write(parameters={"every": [20]})
    run = api.run(small.path, run_id="run", workers=1)
    pairs = [
        [path.parent.name, hashlib.sha256(path.read_bytes()).hexdigest()]
        for path in sorted((small.results / "tasks").glob("??/*/manifest.json"))
    ]
    text = json.dumps(sorted(pairs), separators=(",", ":"))

    assert run.result["run_digest"] == hashlib.sha256(text.encode()).hexdigest()


def test_many_tasks_are_read_by_processes_that_find_what_this_one_finds(
    small: SmallExperiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = api.run(small.path, run_id="run", workers=2).files
    plan, store = read_plan(files.plan), Store(small.results)
    here = reduction.read_points(plan, TaskReader(plan, store, files))

    def read_here(*_: object) -> None:
        raise AssertionError("a process did not read its points")

    monkeypatch.setattr(reduction, "read_points", read_here)
    monkeypatch.setattr(reduction, "_FEWEST_TASKS", 1)
    monkeypatch.setattr("os.cpu_count", lambda: 3)
    parts = reduction.read_in_processes(plan, store, files)

    assert parts is not None
    rows = [row for part in parts for row in part.rows]
    assert [row["point"] for row in rows] == [0, 1, 2, 3]
    assert repr(rows) == repr(here.rows)


def test_results_of_many_rows_are_decoded_in_parts(
    small: SmallExperiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = api.run(small.path, run_id="run", workers=2).files
    plan, store = read_plan(files.plan), Store(small.results)
    together: list[int] = []
    read = pl.read_parquet

    def noted(tables: list[bytes], **how: Any) -> pl.DataFrame:
        together.append(len(tables))
        return read(tables, **how)

    monkeypatch.setattr(pl, "read_parquet", noted)
    at_once = reduction.read_points(plan, TaskReader(plan, store, files))
    assert together == [len(plan.tasks)] * 2

    together.clear()
    monkeypatch.setattr(task_reader, "_ROWS_AT_ONCE", 1)
    assert repr(reduction.read_points(plan, TaskReader(plan, store, files)).rows) == repr(
        at_once.rows
    )
    assert together == [1] * 2 * len(plan.tasks)
