"""A plan with many row groups has them as columns: the same tasks, data, days and results."""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest

from tests.small_experiment import SmallExperiment, make_dataset
from trading_runtime import api
from trading_runtime.canonical import canonical_json, digest
from trading_runtime.config.experiment import DatasetSettings, PartitionSettings
from trading_runtime.datasets.instrument_facts import StatedInstrument
from trading_runtime.datasets.manifest import (
    MANIFEST_FORMAT,
    MANIFEST_NAME,
    Manifest,
    load_manifest,
)
from trading_runtime.datasets.manifest_entries import DataFile, Gap, RowGroup, file_order
from trading_runtime.engine.instruments.files import define_instrument
from trading_runtime.planning.days import planned_days
from trading_runtime.planning.identity import (
    partition_digest,
    partition_digests,
    partition_inputs,
)
from trading_runtime.planning.partitions import Partition, choose_series, partitions
from trading_runtime.planning.plan import _planned
from trading_runtime.records.plan import EmptyWindow, Plan, ReturnDays, plan_from_document
from trading_runtime.records.planned_data import PlannedSeries, TabledData, canonical_jsons
from trading_runtime.runs.run_check import plan_contradictions
from trading_runtime.units import DAY

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from trading_runtime.planning.piece_table import Piece

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


def many_series(folder: Path) -> Manifest:
    """Bars, funding rates and custom rows of three instruments: a row group a day, with gaps."""
    names = ["A.X", "B.X", "C.X"]
    definitions = [
        define_instrument(
            StatedInstrument(type="Equity", id=name, currency="USD", price_increment="0.01")
        ).definition
        for name in names
    ]
    files = [
        made_file(kind, name, [day + number for day in days if (day + number) % 5])
        for number, name in enumerate(names)
        for kind, days in (
            ("bars", range(20)), ("funding_rates", range(3, 17, 3)), ("custom", range(30)),
        )
        if (kind, name) != ("bars", "B.X")
    ]  # fmt: skip
    gaps = (Gap(identifier="A.X-bars", after=4 * DAY + 9, before=6 * DAY + 1),)
    manifest, tables = Manifest(
        format=MANIFEST_FORMAT, instruments=tuple(definitions), instrument_files=(),
        files=tuple(sorted(files, key=file_order)), gaps=gaps,
    ).to_store()  # fmt: skip
    for name, content in (tables | {MANIFEST_NAME: manifest.to_json().encode()}).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return load_manifest(folder)


def made_file(kind: str, name: str, days: list[int]) -> DataFile:
    """A file with rows from 00:00 and a nanosecond to nine nanoseconds later of each day."""
    path = f"data/{kind}/{name}-{kind}/file.parquet"
    groups = tuple(
        RowGroup(
            index=index, rows=4 + day % 3, offset=4 + 100 * index, bytes=100, first=day * DAY + 1,
            last=day * DAY + 9, sha256=digest([path, day]),
        )
        for index, day in enumerate(days)
    )  # fmt: skip
    return DataFile(
        path=path, type=kind, identifier=f"{name}-{kind}", instrument_id=name, bytes=9_000,
        sha256=digest(path), footer_offset=8_000, footer_sha256=digest([path, "footer"]),
        schema_sha256=digest(kind), rows=sum(group.rows for group in groups), row_groups=groups,
    )  # fmt: skip


@dataclass(frozen=True)
class Cut:
    """What the windows of a dataset are, and what is made of them."""

    partitions: list[Partition]
    row_groups: list[list[Piece]]
    empty: tuple[EmptyWindow, ...]
    data: list[tuple[PlannedSeries, ...]]
    is_tabled: list[bool]
    digests: list[str]
    days: list[ReturnDays]


@pytest.mark.parametrize("instruments", ["together", "each"])
@pytest.mark.parametrize(
    "settings",
    [
        {"by": "whole"},
        {"by": "day"},
        {"by": "day", "count": 3, "warmup": "25h"},
        {"by": "duration", "length": "7h", "start": "1970-01-05", "end": "1970-01-08"},
        {"by": "rows", "count": 9},
        {"by": "bytes", "count": 250},
        {"by": "whole", "start": "1970-01-20"},
    ],
    ids=str,
)
def test_windows_cut_out_of_a_table_are_those_of_listed_row_groups(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any], instruments: str
) -> None:
    cut = PartitionSettings.model_validate({**settings, "instruments": instruments})
    found = []
    monkeypatch.setattr("trading_runtime.planning.identity.ROWS_AT_ONCE", 7)
    monkeypatch.setattr("trading_runtime.planning.days._ROWS_AT_ONCE", 7)
    for most in (0, 10**6):
        monkeypatch.setattr(LARGE, most)
        manifest = many_series(tmp_path / str(most))
        chosen = choose_series(manifest, DatasetSettings(path="."), cut)
        plan = partitions(chosen, cut)
        definitions = {item.id: item for item in manifest.instruments}
        planned = [
            _planned(number, item, is_charged=True) for number, item in enumerate(plan.partitions)
        ]
        found.append(
            Cut(
                partitions=[item._replace(row_groups=()) for item in plan.partitions],
                row_groups=[list(item.row_groups) for item in plan.partitions],
                empty=plan.empty,
                data=[tuple(item.data) for item in planned],
                is_tabled=[isinstance(item.data, TabledData) for item in planned],
                digests=list(partition_digests(planned, definitions)),
                days=[planned_days(plan.partitions, every_day=each) for each in (False, True)],
            )
        )
    tabled, listed = found

    # A file's record has those of its row groups that are near the windows.
    groups, theirs = (
        [[(file.path, group) for file, group in item] for item in plan.row_groups] for plan in found
    )
    assert groups == theirs
    assert replace(tabled, row_groups=[], is_tabled=[]) == replace(
        listed, row_groups=[], is_tabled=[]
    )
    assert (all(tabled.is_tabled), any(listed.is_tabled)) == (True, False)


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

    assert canonical_jsons([renamed]) == [canonical_json(inputs)]
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
