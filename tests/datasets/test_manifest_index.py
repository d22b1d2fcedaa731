"""Large datasets, whose manifests have their lists in tables: the same content, read in part."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from trading_runtime.cli.data import data
from trading_runtime.config.experiment import DatasetSettings, PartitionSettings
from trading_runtime.datasets.inspection import as_text
from trading_runtime.datasets.manifest import Manifest, load_manifest
from trading_runtime.datasets.manifest_entries import DataFile, Gap, RowGroup, file_order
from trading_runtime.datasets.verify import verify
from trading_runtime.errors import DataError
from trading_runtime.planning.partitions import choose_series, partitions

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.datasets.conftest import Grow, Prepare

NOON_OF_MARCH = 1_709_294_400_000_000_000
MINUTE = 60_000_000_000
HEADER = "timestamp,open,high,low,close,volume\n"
DAYS: dict[str, str | bytes] = {
    f"{day}.csv": HEADER
    + "".join(f"2024-{day}T12:{minute:02}:00Z,10,11,9,10,1\n" for minute in (0, 1, 2, 9))
    for day in ("01-01", "01-02", "02-01", "02-02", "03-01")
}


@pytest.fixture
def in_tables(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Return a function after which datasets are large, and tables small."""

    def run() -> None:
        monkeypatch.setattr("trading_runtime.datasets.manifest.MOST_ENTRIES", 0)
        monkeypatch.setattr("trading_runtime.datasets.manifest_index._ROWS_OF_A_TABLE", 2)
        monkeypatch.setattr("trading_runtime.datasets.manifest_index._MOST_SMALL_TABLES", 2)

    return run


def planned(manifest: Manifest, **asked: str | None) -> list[tuple[object, ...]]:
    """Return what a plan takes from each partition."""
    cut = PartitionSettings.model_validate({"by": "day", "warmup": "1h"} | asked)
    chosen = choose_series(manifest, DatasetSettings.model_validate({"path": "data"}), cut)
    found = partitions(chosen, cut)
    return [
        *(
            (
                item.start, item.end, item.warmup_start, item.rows_min, item.rows_max, item.bytes,
                item.warmup_short, [(file.path, group) for file, group in item.row_groups],
            )
            for item in found.partitions
        ),
        found.empty,
    ]  # fmt: skip


def test_a_dataset_with_an_index_is_the_one_without(
    prepare_files: Prepare, in_tables: Callable[[], None]
) -> None:
    listed = prepare_files("bars", DAYS)
    listed_text = as_text(listed.manifest)
    shutil.rmtree(listed.folder)
    in_tables()

    indexed = prepare_files("bars", DAYS)

    manifest = load_manifest(indexed.folder)
    assert "files" not in json.loads((indexed.folder / "manifest.json").read_text())
    assert manifest.digest == listed.manifest.digest == manifest.computed_digest()
    assert (list(manifest.files), list(manifest.gaps)) == (
        list(listed.manifest.files),
        list(listed.manifest.gaps),
    )
    assert manifest.with_raw_files().source == listed.manifest.source
    assert as_text(manifest) == listed_text
    for asked in ({}, {"last": "30d"}, {"start": "2024-01-02", "end": "2024-02-02T12:02:00Z"}):
        assert planned(manifest, **asked) == planned(listed.manifest, **asked)
    assert manifest.files_of(
        [series.key for series in manifest.series()], (NOON_OF_MARCH, NOON_OF_MARCH + 1)
    ) == [manifest.files[-1]]
    assert verify(indexed.folder).damages == ()


SPANS = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 5)), min_size=1, max_size=6)
"""Of the row groups of a series: minutes after the one before, and minutes long."""


@given(st.lists(st.tuples(st.booleans(), SPANS), min_size=1, max_size=4), st.integers(0, 4))
@settings(max_examples=60, deadline=None)
def test_windows_of_any_row_groups_are_the_same_from_an_index(
    series: list[tuple[bool, list[tuple[int, int]]]], warmup: int
) -> None:
    files: list[DataFile] = []
    gaps: list[Gap] = []
    for number, (is_funding, spans) in enumerate(series):
        kind, name = ("funding_rates" if is_funding else "quotes"), f"S{number}.X"
        at = NOON_OF_MARCH
        for index, (wait, length) in enumerate(spans):
            first = at + wait * MINUTE
            if wait > 3:
                gaps.append(Gap(identifier=name, after=at, before=first))
            at = first + length * MINUTE
            files.append(data_file(kind, name, index, first, at, rows=length + 1))
    listed = Manifest(
        format=2,
        instruments=(),
        instrument_files=(),
        files=tuple(sorted(files, key=file_order)),
        gaps=tuple(gaps),
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("trading_runtime.datasets.manifest.MOST_ENTRIES", 0)
        indexed, _ = listed.to_store()
        for each in ("2m", "7m"):
            cut: dict[str, str | None] = {"by": "duration", "length": each}
            cut["warmup"] = f"{warmup}m" if warmup else None
            assert planned(indexed, **cut) == planned(listed, **cut)


def data_file(  # noqa: PLR0913 - what row groups differ in
    kind: str, name: str, index: int, first: int, last: int, *, rows: int
) -> DataFile:
    """A file with one row group."""
    digests = dict.fromkeys(("sha256", "footer_sha256", "schema_sha256"), f"{index:064x}")
    group = RowGroup(
        index=0, rows=rows, offset=4, bytes=9, first=first, last=last, sha256=f"{index:064x}"
    )
    return DataFile(
        path=f"data/{kind}/{name}/{index}.parquet", type=kind, identifier=name, instrument_id=name,
        bytes=20, footer_offset=13, rows=rows, row_groups=(group,), **digests,
    )  # fmt: skip


def test_days_added_to_an_index_make_it_the_dataset_prepared_at_once(
    prepare_files: Prepare, grow: Grow, in_tables: Callable[[], None]
) -> None:
    in_tables()
    whole = prepare_files("bars", DAYS)
    files = list(whole.manifest.files)
    [entry] = whole.manifest.with_raw_files().source["series"]
    shutil.rmtree(whole.folder)
    names = list(DAYS)
    first = prepare_files("bars", {names[0]: DAYS[names[0]]})
    earlier = {path.name: path.read_bytes() for path in (first.folder / "manifests").iterdir()}

    for count in range(2, len(names) + 1):
        grown = grow("bars", {name: DAYS[name] for name in names[:count]}).manifest

    assert list(grown.files) == list(load_manifest(first.folder).files)
    groups = [group.sha256 for file in files for group in file.row_groups]
    assert [group.sha256 for file in grown.files for group in file.row_groups] == groups
    assert grown.with_raw_files().source["series"] == [entry]
    assert [item.model_dump() for item in grown.series()] == [
        item.model_dump() | {"files": 5, "bytes": sum(file.bytes for file in grown.files)}
        for item in whole.manifest.series()
    ]
    assert verify(first.folder).damages == ()
    assert (
        earlier.items()
        <= {path.name: path.read_bytes() for path in (first.folder / "manifests").iterdir()}.items()
    )
    again = grow("bars", DAYS)
    assert (again.rows, again.manifest.digest) == (0, grown.digest)


def test_a_table_that_is_damaged_or_gone_is_named(
    prepare_files: Prepare, in_tables: Callable[[], None]
) -> None:
    in_tables()
    made = prepare_files("bars", DAYS)
    assert made.manifest.index is not None
    path = made.folder / made.manifest.index.files[-1].path
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)

    with pytest.raises(DataError, match=f"{path.name}: is not what the manifest says"):
        planned(load_manifest(made.folder))
    [damage] = verify(made.folder).damages
    assert path.name in damage
    path.unlink()
    [damage] = verify(made.folder).damages
    assert "cannot be read: No such file" in damage


def test_an_index_that_was_edited_by_hand_is_refused(
    prepare_files: Prepare, in_tables: Callable[[], None]
) -> None:
    in_tables()
    path = prepare_files("bars", DAYS).folder / "manifest.json"
    content = json.loads(path.read_text())
    content["index"]["series"][0]["rows"] += 1
    path.write_text(json.dumps(content))

    with pytest.raises(DataError, match="edited by hand or damaged"):
        load_manifest(path.parent)


def test_gc_removes_a_table_that_no_manifest_names(
    prepare_files: Prepare, grow: Grow, in_tables: Callable[[], None]
) -> None:
    in_tables()
    names = list(DAYS)
    made = prepare_files("bars", {name: DAYS[name] for name in names[:4]})
    grow("bars", DAYS)
    left = made.folder / "manifests" / f"{'0' * 64}.parquet"
    left.write_bytes(b"left by a killed append")
    assert left.name in "".join(verify(made.folder).damages)

    CliRunner().invoke(data, ["gc", str(made.folder), "--delete"], catch_exceptions=False)

    assert not left.exists()
    assert verify(made.folder).damages == ()
