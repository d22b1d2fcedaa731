"""Tables of an earlier run are taken over only when making them anew would give the same bytes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from trading_runtime import api
from trading_runtime.results import reuse, task_places
from trading_runtime.results.store import Store

if TYPE_CHECKING:
    from tests.small_experiment import SmallExperiment

_FILES = ("result.json", "results.parquet", "points.parquet")


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many results are read: the reuse of tables, for small runs too, makes it fewer."""
    monkeypatch.setattr(reuse, "FEWEST_TASKS", 1)
    return counted(monkeypatch, Store, "read_reduced")


@pytest.fixture
def verified(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many manifests are verified by themselves, without the files of the result."""
    return counted(monkeypatch, task_places, "sound_digest")


def counted(monkeypatch: pytest.MonkeyPatch, owner: object, name: str) -> list[int]:
    """A list that grows with every call."""
    calls: list[int] = []
    original = getattr(owner, name)

    def call(*arguments: object) -> object:
        calls.append(1)
        return original(*arguments)

    monkeypatch.setattr(owner, name, call)
    return calls


def run(small: SmallExperiment, run_id: str) -> tuple[api.Run, list[bytes]]:
    ended = api.run(small.path, run_id=run_id, workers=1)
    return ended, [(small.results / "runs" / run_id / name).read_bytes() for name in _FILES]


def test_a_run_with_the_same_results_takes_the_tables_over(
    small: SmallExperiment, reads: list[int]
) -> None:
    small.write(parameters={"every": [20, 30]})
    _, first = run(small, "first")
    reads.clear()
    again, second = run(small, "second")

    assert second == first
    assert again.computed == 0
    # The six tasks' results are not read, but for the three of the best point, for its curve.
    assert len(reads) == 3


def test_tables_that_were_damaged_are_made_anew(small: SmallExperiment, reads: list[int]) -> None:
    small.write(parameters={"every": [20, 30]})
    _, first = run(small, "first")
    table = small.results / "runs" / "first" / "points.parquet"
    content = bytearray(table.read_bytes())
    content[len(content) // 2] ^= 1
    table.write_bytes(content)
    reads.clear()
    _, second = run(small, "second")

    assert second == first
    assert len(reads) > 3


def test_another_objective_makes_other_tables(small: SmallExperiment, reads: list[int]) -> None:
    small.write(parameters={"every": [20, 30]})
    run(small, "first")
    document = json.loads(small.path.read_text())
    document["objective"] = {"metric": "fees", "direction": "minimize"}
    small.path.write_text(json.dumps(document))
    reads.clear()
    ended, _ = run(small, "second")

    assert ended.result["objective"]["metric"] == "fees"
    assert len(reads) > 3


def test_a_result_that_is_gone_is_computed_again(small: SmallExperiment, reads: list[int]) -> None:
    small.write(parameters={"every": [20, 30]})
    _, first = run(small, "first")
    next((small.results / "tasks").glob("??/*/fills.parquet")).unlink()
    reads.clear()
    ended, second = run(small, "second")

    assert ended.computed == 1
    assert second == first


def test_a_run_that_computes_nothing_verifies_every_manifest_once(
    small: SmallExperiment, reads: list[int], verified: list[int]
) -> None:
    small.write(parameters={"every": [20, 30]})
    run(small, "first")
    verified.clear()
    run(small, "second")

    assert len(verified) == 6
    assert reads


def test_after_tasks_have_run_every_manifest_is_verified_anew(
    small: SmallExperiment, reads: list[int], verified: list[int]
) -> None:
    small.write(parameters={"every": [20, 30]})
    _, first = run(small, "first")
    next((small.results / "tasks").glob("??/*/fills.parquet")).unlink()
    verified.clear()
    _, second = run(small, "second")

    # Five of six for the plan, the one that was computed as it is stored, then all for the summary.
    assert len(verified) == 5 + 1 + 6
    assert second == first
    assert reads


def test_a_manifest_that_was_damaged_is_no_reason_to_take_tables_over(
    small: SmallExperiment, reads: list[int]
) -> None:
    small.write(parameters={"every": [20, 30]})
    _, first = run(small, "first")
    manifest = next((small.results / "tasks").glob("??/*/manifest.json"))
    content = manifest.read_bytes()
    manifest.write_bytes(content.replace(b'"seed":', b'"seed": '))
    reads.clear()
    ended, second = run(small, "second")

    assert ended.computed == 1
    assert second == first
    assert len(reads) > 6
    assert manifest.read_bytes() == content
