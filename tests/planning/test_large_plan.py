"""A plan with many row groups has them as columns: the same tasks, data, days and results."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.small_experiment import SmallExperiment, make_dataset
from trading_runtime import api
from trading_runtime.canonical import canonical_json
from trading_runtime.planning.identity import partition_digest, partition_inputs
from trading_runtime.records.plan import Plan, plan_from_document
from trading_runtime.records.planned_data import TabledData
from trading_runtime.runs.run_check import plan_contradictions

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LARGE = "trading_runtime.datasets.manifest.MOST_ENTRIES"


@pytest.fixture(scope="module")
def indexed_dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The dataset ``small_dataset``, as if three row groups were many."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LARGE, 0)
        return make_dataset(tmp_path_factory.mktemp("indexed") / "data")


@pytest.fixture
def large(tmp_path: Path, indexed_dataset: Path, monkeypatch: pytest.MonkeyPatch) -> Plan:
    """A plan over that dataset, with a warm-up that puts row groups into two windows each."""
    monkeypatch.setattr(LARGE, 0)
    folder = tmp_path / "large"
    folder.mkdir()
    experiment = SmallExperiment(folder, indexed_dataset)
    experiment.write(partitions={"by": "day", "warmup": "1d"}, parameters={})
    return api.plan(experiment.path).plan


def test_a_large_plan_is_the_small_one(small: SmallExperiment, large: Plan) -> None:
    small.write(partitions={"by": "day", "warmup": "1d"}, parameters={})
    listed = api.plan(small.path).plan

    assert all(isinstance(partition.data, TabledData) for partition in large.partitions)
    assert large.task_ids == listed.task_ids
    assert [tuple(partition.data) for partition in large.partitions] == [
        partition.data for partition in listed.partitions
    ]
    assert (large.days, large.digest) == (listed.days, listed.digest)
    assert [len(series.row_groups) for item in large.partitions for series in item.data] == [
        1, 2, 2,
    ]  # fmt: skip


def test_a_large_plan_that_is_read_is_written_with_the_same_bytes(large: Plan) -> None:
    text = large.to_json()

    read = plan_from_document(json.loads(text))

    assert read.to_json() == text
    assert list(plan_contradictions(read)) == []
    assert '"sha256"' not in text
    [first, *_] = read.partitions
    assert partition_digest(partition_inputs(first, read.instruments)) == partition_digest(
        partition_inputs(large.partitions[0], large.instruments)
    )


def test_names_with_any_character_are_written_as_in_other_plans(large: Plan) -> None:
    import polars as pl

    data = large.partitions[1].data
    assert isinstance(data, TabledData)
    odd = '"\\/\b\n\x1f\x7fé☃𝄞\u2028'
    renamed = TabledData(
        data.table.with_columns(pl.lit(odd).alias("identifier")),
        data.numbers,
    )
    inputs = [
        {
            "type": series.type,
            "identifier": series.identifier,
            "instrument_id": series.instrument_id,
            "schemas": series.schemas,
            "row_groups": [group.sha256 for group in series.row_groups],
        }
        for series in renamed
    ]

    assert renamed.canonical_json().encode() == canonical_json(inputs)
    assert [item["identifier"] for item in inputs] == [odd]


def test_workers_compute_what_a_large_plan_asks_for(
    small: SmallExperiment, indexed_dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LARGE, 0)
    here = small.content["dataset"]
    small.write(
        dataset={"path": str(indexed_dataset)},
        partitions={"by": "day", "warmup": "1d"},
        parameters={},
    )

    ended = api.run(small.path, workers=1)

    assert ended.result["complete"]
    assert ended.computed == 3
    assert "tables" in json.loads(ended.files.plan.read_text())
    small.write(dataset=here)
    assert api.plan(small.path).plan.uncached == []


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda plan: plan.pop("tables"), r"partitions\[0\].data.table is of the wrong form"),
        (lambda plan: plan["tables"][0].update(numbers="AAAA"), r"tables\[0\] cannot be read"),
        (lambda plan: plan["tables"][0].pop("row_groups"), r"tables\[0\].row_groups is missing"),
        (lambda plan: data(plan).update(first=99), r"partitions\[0\].data.first is of the wrong"),
        (lambda plan: data(plan).pop("row_groups"), r"partitions\[0\].data.row_groups is missing"),
    ],
)
def test_damaged_tables_are_refused_by_their_place(
    large: Plan, damage: Callable[[dict[str, Any]], Any], words: str
) -> None:
    content = copy.deepcopy(json.loads(large.to_json()))
    damage(content)

    with pytest.raises(ValueError, match=words):
        plan_from_document(content)


def data(plan: dict[str, Any]) -> dict[str, Any]:
    """What the document of a plan says of its first partition's data."""
    found: dict[str, Any] = plan["partitions"][0]["data"]
    return found
