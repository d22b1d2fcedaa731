"""A partition is cut out exactly: warm-up and window, verified, and nothing else."""

from __future__ import annotations

import shutil
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.plans import partition as empty_partition
from tests.small_experiment import BARS_A_DAY, DAY_STARTS
from trading_runtime.datasets.manifest import load_manifest
from trading_runtime.datasets.slices import cut_partition, instants_of
from trading_runtime.errors import DataError
from trading_runtime.records.planned_data import PlannedFile, PlannedRowGroup, PlannedSeries
from trading_runtime.units import DAY

if TYPE_CHECKING:
    from pathlib import Path

    from trading_runtime.records.plan import PlannedPartition

SECOND = 1_000_000_000
MINUTE = 60 * SECOND
DAYS = [start * SECOND for start in DAY_STARTS]


def partition(dataset: Path, warmup_start: int, start: int, end: int) -> PlannedPartition:
    """Return a planned partition that names every row group which can have rows."""
    file = load_manifest(dataset).files[0]
    groups = tuple(
        PlannedRowGroup(file.path, index, group.offset, group.bytes, group.sha256)
        for index, group in enumerate(file.row_groups)
        if group.last >= warmup_start and group.first < end
    )
    series = PlannedSeries(
        file.type,
        file.identifier,
        file.instrument_id,
        schemas=(),
        files=(PlannedFile(file.path, file.footer_offset, file.footer_sha256),),
        row_groups=groups,
    )
    return replace(
        empty_partition(0, start, end),
        warmup_start=warmup_start,
        rows_max=3 * BARS_A_DAY,
        data=(series,) if groups else (),
    )


def times(catalog: Path) -> list[int]:
    """Return ``ts_init`` of all rows that were written, in nanoseconds."""
    paths = sorted(catalog.rglob("*.parquet"))
    return [
        int(time)
        for path in paths
        for time in pl.read_parquet(path, columns=["ts_init"])["ts_init"].dt.epoch("ns")
    ]


def closes(day: int) -> list[int]:
    """Return when the bars of a day close: bars begin at midnight and last a minute."""
    return [DAYS[day] + minute * MINUTE for minute in range(1, BARS_A_DAY + 1)]


def test_a_day_has_its_own_rows_and_no_others(small_dataset: Path, tmp_path: Path) -> None:
    found = cut_partition(
        partition(small_dataset, DAYS[1], DAYS[1], DAYS[2]), small_dataset, tmp_path
    )

    assert (found.rows, found.warmup_rows) == (240, 0)
    assert times(tmp_path) == closes(1)


def test_the_start_is_in_the_window_and_the_end_is_not(small_dataset: Path, tmp_path: Path) -> None:
    start, end = closes(0)[10], closes(0)[20]
    found = cut_partition(partition(small_dataset, start, start, end), small_dataset, tmp_path)

    assert (found.rows, found.warmup_rows) == (10, 0)
    assert times(tmp_path) == closes(0)[10:20]


def test_warm_up_is_what_lies_before_the_start(small_dataset: Path, tmp_path: Path) -> None:
    warmup_start = closes(0)[230]
    found = cut_partition(
        partition(small_dataset, warmup_start, DAYS[1], DAYS[2]), small_dataset, tmp_path
    )

    assert (found.rows, found.warmup_rows) == (240, 10)
    assert times(tmp_path) == closes(0)[230:] + closes(1)


def test_windows_side_by_side_have_every_row_once(
    small_dataset: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    everything = closes(0) + closes(1) + closes(2)

    @settings(max_examples=25)
    @given(st.lists(st.integers(DAYS[0], DAYS[2] + 300 * MINUTE), max_size=4))
    def check(cuts: list[int]) -> None:
        folder = tmp_path_factory.mktemp("cuts")
        bounds = [DAYS[0], *sorted(cuts), DAYS[2] + 300 * MINUTE]
        found: list[int] = []
        for number, (start, end) in enumerate(pairwise(bounds)):
            catalog = folder / str(number)
            catalog.mkdir()
            cut_partition(partition(small_dataset, start, start, end), small_dataset, catalog)
            found += times(catalog)
        shutil.rmtree(folder)
        assert found == everything

    check()


def test_each_row_is_warm_up_or_window_or_neither(
    small_dataset: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    everything = closes(0) + closes(1) + closes(2)
    instants = st.integers(DAYS[0], DAYS[2] + 300 * MINUTE) | st.sampled_from(everything)

    @settings(max_examples=25)
    @given(st.tuples(instants, instants, instants).map(sorted))
    def check(bounds: list[int]) -> None:
        warmup_start, start, end = bounds
        catalog = tmp_path_factory.mktemp("cut")

        found = cut_partition(partition(small_dataset, *bounds), small_dataset, catalog)

        warmup = [instant for instant in everything if warmup_start <= instant < start]
        window = [instant for instant in everything if start <= instant < end]
        assert (found.rows, found.warmup_rows) == (len(window), len(warmup))
        assert times(catalog) == warmup + window
        seen = found.observed
        assert (seen and (seen.first, seen.last)) == ((window and (window[0], window[-1])) or None)
        days = {(instant - 1) // DAY for instant in window[1:]}
        assert {day for start, end in (seen.days if seen else ()) for day in range(start, end)} == (
            days
        )
        shutil.rmtree(catalog)

    check()


def test_the_engine_finds_what_it_needs_to_decode_the_columns(
    small_dataset: Path, tmp_path: Path
) -> None:
    cut_partition(partition(small_dataset, DAYS[0], DAYS[0], DAYS[1]), small_dataset, tmp_path)
    source = pq.read_schema(next((small_dataset / "data" / "bars").rglob("*.parquet")))
    cut = pq.read_schema(next(tmp_path.rglob("*.parquet")))

    assert cut.equals(source, check_metadata=True)


def test_files_that_lie_in_the_partition_are_taken_as_they_are(
    small_dataset: Path, tmp_path: Path
) -> None:
    end = DAYS[2] + 300 * MINUTE
    found = cut_partition(partition(small_dataset, DAYS[0], DAYS[1], end), small_dataset, tmp_path)
    [taken] = tmp_path.rglob("*.parquet")

    assert (found.rows, found.warmup_rows) == (480, 240)
    # Copied whole or cut: the days are those of the window alone.
    assert found.observed is not None
    assert (found.observed.first, found.observed.last) == (closes(1)[0], closes(2)[-1])
    assert taken.name == data_file(small_dataset).name
    assert taken.read_bytes() == data_file(small_dataset).read_bytes()


@pytest.mark.parametrize(
    ("warmup_start", "end"),
    [(closes(0)[0] + 1, closes(2)[-1] + 1), (closes(0)[0], closes(2)[-1])],
    ids=["a first row too many", "a last row too many"],
)
def test_files_with_rows_outside_the_partition_are_cut(
    small_dataset: Path, tmp_path: Path, warmup_start: int, end: int
) -> None:
    planned = partition(small_dataset, warmup_start, DAYS[1], end)
    cut_partition(planned, small_dataset, tmp_path)

    assert len(planned.data[0].row_groups) == 3
    assert len(times(tmp_path)) == 3 * BARS_A_DAY - 1


@pytest.mark.parametrize("where", ["row group", "footer"])
def test_a_flipped_byte_of_a_file_that_is_taken_as_it_is_is_refused(
    copy: Path, tmp_path: Path, where: str
) -> None:
    planned = partition(copy, DAYS[0], DAYS[0], DAYS[2] + 300 * MINUTE)
    content = bytearray(data_file(copy).read_bytes())
    group = planned.data[0].row_groups[2]
    # The precision of prices, which no length depends on.
    footer = content.index(b"price_precision") - 40
    content[group.offset + 40 if where == "row group" else footer] ^= 1
    data_file(copy).write_bytes(content)

    assert "the manifest says (sha256 differs)" in refusal(planned, copy, tmp_path / "catalog")


@pytest.fixture
def copy(small_dataset: Path, tmp_path: Path) -> Path:
    """A dataset that may be damaged."""
    return shutil.copytree(small_dataset, tmp_path / "dataset")


def data_file(dataset: Path) -> Path:
    return next((dataset / "data" / "bars").rglob("*.parquet"))


def refusal(planned: PlannedPartition, dataset: Path, catalog: Path) -> str:
    """Return why cutting is refused."""
    with pytest.raises(DataError) as refused:
        cut_partition(planned, dataset, catalog)
    return str(refused.value)


def test_a_flipped_byte_is_refused_with_file_and_row_group(copy: Path, tmp_path: Path) -> None:
    planned = partition(copy, DAYS[1], DAYS[1], DAYS[2])
    group = planned.data[0].row_groups[0]
    content = bytearray(data_file(copy).read_bytes())
    content[group.offset + group.bytes // 2] ^= 1
    data_file(copy).write_bytes(content)
    message = refusal(planned, copy, tmp_path / "catalog")

    assert message.startswith(f"{data_file(copy)}: row group 1 is not what the manifest says")


@pytest.mark.parametrize("place", ["first", "precision", "last"])
def test_a_flipped_byte_of_the_footer_is_refused(copy: Path, tmp_path: Path, place: str) -> None:
    planned = partition(copy, DAYS[1], DAYS[1], DAYS[2])
    content = bytearray(data_file(copy).read_bytes())
    # The footer ends with its length and a mark of four bytes each.
    first = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    places = {"first": first, "precision": content.index(b"price_precision"), "last": -1}
    content[places[place]] ^= 1
    data_file(copy).write_bytes(content)
    message = refusal(planned, copy, tmp_path / "catalog")

    assert message.startswith(f"{data_file(copy)}: the footer is not what the manifest says")
    assert list((tmp_path / "catalog").rglob("*.parquet")) == []


def test_a_file_that_is_gone_is_refused(copy: Path, tmp_path: Path) -> None:
    planned = partition(copy, DAYS[1], DAYS[1], DAYS[2])
    path = data_file(copy)
    path.unlink()

    assert refusal(planned, copy, tmp_path / "catalog").startswith(f"{path}: the file is gone")


@pytest.mark.parametrize("kept", [0, 4, 5_000, -1])
def test_a_file_that_was_cut_short_is_refused(copy: Path, tmp_path: Path, kept: int) -> None:
    planned = partition(copy, DAYS[2], DAYS[2], DAYS[2] + 300 * MINUTE)
    path = data_file(copy)
    path.write_bytes(path.read_bytes()[:kept])

    assert refusal(planned, copy, tmp_path / "catalog").startswith(f"{path}: ")


def test_fewer_rows_than_planned_are_refused_with_both_counts(
    small_dataset: Path, tmp_path: Path
) -> None:
    planned = replace(partition(small_dataset, DAYS[1], DAYS[1], DAYS[2]), rows_min=241)
    message = refusal(planned, small_dataset, tmp_path)

    assert "240 rows from 2024-01-02T00:00:00Z to 2024-01-03T00:00:00Z" in message
    assert "the manifest says 241 to 720" in message


def test_a_row_group_without_rows_has_no_instants() -> None:
    assert len(instants_of(pa.table({"ts_init": pa.array([], pa.timestamp("ns", tz="UTC"))}))) == 0


def test_instants_of_a_slice_are_those_of_its_rows() -> None:
    times = pa.chunked_array([[5, 6], [7, 8]], pa.timestamp("ns", tz="UTC"))
    table = pa.table({"ts_init": times})
    assert list(instants_of(table.slice(1, 2))) == [6, 7]
    assert list(instants_of(table.slice(3))) == [8]
