"""Cut one partition out of a dataset: a small catalog with exactly the warm-up and the window.

Arrow is imported where rows are decoded: a session copies files as they are, and starts without it.
"""

from __future__ import annotations

import contextlib
import hashlib
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from trading_runtime.datasets.observed_days import Observed, RowTimes
from trading_runtime.errors import DataError
from trading_runtime.units import format_instant

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pyarrow as pa
    import pyarrow.parquet as pq

    from trading_runtime.records.plan import PlannedPartition
    from trading_runtime.records.planned_data import PlannedFile, PlannedRowGroup, PlannedSeries


_PARQUET_MARK = b"PAR1"
_FUNDING = "funding_rates"
CUSTOM = "custom"
"""The type of the user's own rows, which no market makes."""
_DUE = "next_funding_ns"


@dataclass(frozen=True)
class Slice:
    """How many rows a partition turned out to have."""

    rows: int
    """In the window itself."""
    warmup_rows: int
    """Before it."""
    observed: Observed | None = None
    """When those in the window are; ``None`` when there are none."""


def cut_partition(partition: PlannedPartition, dataset: Path, catalog: Path) -> Slice:
    """Write the rows of ``partition`` from ``dataset`` to the new folder ``catalog``.

    Every row group is verified before it is used, and so is the footer that says how to decode it.

    Funding that is settled at a seam is due from positions held until then. So a rate that is sent
    at ``end`` and settles there counts as a row of this partition, and rates that settle at
    ``start``, where it begins flat, settle nothing.

    Raises ``DataError`` when a file is missing, its bytes are not those of the manifest, or the
    rows are fewer or more than the plan allows.
    """
    rows = warmup_rows = 0
    seen = RowTimes()
    for series in partition.data:
        is_funding = series.type == _FUNDING
        # A day on which nothing but custom rows came is no day of trading.
        times_seen = RowTimes() if series.type == CUSTOM else seen
        whole = None if is_funding else _whole_files(series, dataset, partition, times_seen)
        if whole is not None:
            _copy(series, dataset, catalog)
            rows += whole.rows
            warmup_rows += whole.warmup_rows
            continue
        with _SeriesFile(catalog / series.folder) as file:
            for table in _row_groups(series, dataset):
                kept, before, times = _inside(table, partition)
                times_seen.add(times)
                if is_funding:
                    kept = _due_inside(kept, table, partition)
                file.write(kept)
                warmup_rows += before
                rows += kept.num_rows - before
    if not partition.rows_min <= rows <= partition.rows_max:
        raise DataError(
            f"{dataset}: {rows} rows from {format_instant(partition.start)} to "
            f"{format_instant(partition.end)}, but the manifest says {partition.rows_min} to "
            f"{partition.rows_max}; run 'trading-runtime data verify {dataset}'"
        )
    return Slice(rows, warmup_rows, seen.observed())


def _whole_files(
    series: PlannedSeries, dataset: Path, partition: PlannedPartition, seen: RowTimes
) -> Slice | None:
    """Return a series' rows if none of its files has any outside the partition, else ``None``.

    Also ``None`` when a file cannot be read: the code that cuts it says why. ``seen`` collects the
    times in the window.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = warmup_rows = 0
    last = partition.warmup_start
    for name, groups in _by_file(series).items():
        try:
            with pq.ParquetFile(dataset / name) as file:
                if file.metadata.num_row_groups != len(groups):
                    return None
                for group in groups:
                    times = instants_of(file.read_row_group(group.index, ["ts_init"]))
                    # Files that overlap are merged into one, with rows in the order of the plan.
                    if not times or times[0] < last or times[-1] >= partition.end:
                        return None
                    last = times[-1]
                    before = bisect_left(times, partition.start)
                    seen.add(times[before:])
                    warmup_rows += before
                    rows += len(times) - before
        except (OSError, pa.ArrowException):
            return None
    return Slice(rows, warmup_rows)


def copy_partition(partition: PlannedPartition, dataset: Path, catalog: Path) -> None:
    """Copy the files of ``partition`` as they are, with whatever row groups it needs of them.

    Each is verified, as ``cut_partition`` does, which can cut the partition out of the copy. Raises
    ``DataError`` when a file is missing, or its bytes are not those of the manifest.
    """
    for series in partition.data:
        _copy(series, dataset, catalog)


def _copy(series: PlannedSeries, dataset: Path, catalog: Path) -> None:
    """Copy the files of a series as they are, except for what the manifest does not cover."""
    files = {file.path: file for file in series.files}
    for name, groups in _by_file(series).items():
        (catalog / name).parent.mkdir(parents=True, exist_ok=True)
        with (catalog / name).open("wb") as copy:
            copy.write(_PARQUET_MARK)
            for offset, content in _verified(dataset / name, groups, files[name]):
                copy.seek(offset)
                copy.write(content)


def _row_groups(series: PlannedSeries, dataset: Path) -> Iterator[pa.Table]:
    """Yield the verified row groups of a series one by one, however large the series is."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    files = {file.path: file for file in series.files}
    for name, groups in _by_file(series).items():
        path = dataset / name
        for _ in _verified(path, groups, files[name]):
            pass
        with _reading(path, (OSError, pa.ArrowException)), pq.ParquetFile(path) as file:
            for group in groups:
                table = file.read_row_group(group.index)
                # Reading by row group loses what the engine needs to decode the columns.
                yield table.replace_schema_metadata(file.schema_arrow.metadata)


def _by_file(series: PlannedSeries) -> dict[str, list[PlannedRowGroup]]:
    by_file: dict[str, list[PlannedRowGroup]] = {}
    for group in series.row_groups:
        by_file.setdefault(group.path, []).append(group)
    return by_file


@contextlib.contextmanager
def _reading(path: Path, errors: tuple[type[Exception], ...] = (OSError,)) -> Iterator[None]:
    """Raise ``DataError`` when a file of the dataset is gone, or cannot be read by ``errors``."""
    try:
        yield
    except FileNotFoundError as error:
        raise DataError(
            f"{path}: the file is gone; restore it, or adopt the dataset again"
        ) from error
    except errors as error:
        raise DataError(f"{path}: cannot be read: {error}") from error


def _inside(table: pa.Table, partition: PlannedPartition) -> tuple[pa.Table, int, memoryview[int]]:
    """Return the rows of warm-up and window, how many are warm-up, and the others' times."""
    times = instants_of(table)
    # Rows are in time order, so those inside are contiguous: a slice copies nothing.
    first, start, end = (
        bisect_left(times, instant)
        for instant in (partition.warmup_start, partition.start, partition.end)
    )
    return table.slice(first, end - first), start - first, times[start:end]


def _due_inside(kept: pa.Table, table: pa.Table, partition: PlannedPartition) -> pa.Table:
    """Return ``kept``, the funding rates inside, with what settles at the partition's two ends."""
    import pyarrow as pa

    start, end = partition.start, partition.end
    times = instants_of(table)
    first, last = bisect_left(times, end), bisect_right(times, end)
    sent_at_end = table.slice(first, last - first)
    at_end = [place for place, due in enumerate(_dues(sent_at_end)) if due == end]
    kept = pa.concat_tables([kept, *(sent_at_end.slice(place, 1) for place in at_end)])
    column = kept.schema.get_field_index(_DUE)
    dues = [None if due == start else due for due in _dues(kept)]
    return kept.set_column(
        column,
        kept.schema.field(column),
        pa.array(dues, pa.int64()).cast(kept.schema.field(column).type),
    )


def _dues(rates: pa.Table) -> list[int | None]:
    """Return when each rate settles, nanoseconds since the epoch."""
    import pyarrow as pa

    found: list[int | None] = rates[_DUE].cast(pa.int64()).to_pylist()
    return found


def _verified(
    path: Path, groups: list[PlannedRowGroup], planned: PlannedFile
) -> Iterator[tuple[int, bytes]]:
    """Yield offset and bytes of each row group, and of the footer, after checking their sha256."""
    with _reading(path), path.open("rb") as file:
        for group in groups:
            file.seek(group.offset)
            content = file.read(group.bytes)
            if hashlib.sha256(content).hexdigest() != group.sha256:
                raise DataError(
                    f"{path}: row group {group.index} is not what the manifest says (sha256 "
                    "differs): the file was changed or damaged; restore it, or prepare it again"
                )
            yield group.offset, content
        file.seek(planned.footer_offset)
        footer = file.read()
        if hashlib.sha256(footer).hexdigest() != planned.footer_sha256:
            raise DataError(
                f"{path}: the footer is not what the manifest says (sha256 differs): the file was "
                "changed or damaged; restore it, or prepare it again"
            )
        yield planned.footer_offset, footer


class _SeriesFile:
    """A file of the small catalog, written piece by piece and named by the time of its rows."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / ".new"
        self._writer: pq.ParquetWriter | None = None
        self._first = self._last = 0

    def __enter__(self) -> Self:
        return self

    def write(self, table: pa.Table) -> None:
        """Add rows; if there are none, no file is made."""
        if not table.num_rows:
            return
        times = instants_of(table)
        if self._writer is None:
            import pyarrow.parquet as pq

            self._folder.mkdir(parents=True, exist_ok=True)
            self._first = times[0]
            # The file is read a few times and thrown away: light compression is faster than none.
            self._writer = pq.ParquetWriter(
                self._path, table.schema, compression="lz4", write_statistics=["ts_init"]
            )
        self._last = times[-1]
        self._writer.write_table(table)

    def __exit__(self, kind: object, *_: object) -> None:
        if self._writer is not None:
            self._writer.close()
            if kind is None:
                name = f"{_file_time(self._first)}_{_file_time(self._last)}.parquet"
                self._path.rename(self._folder / name)


def _file_time(nanoseconds: int) -> str:
    """Return an instant as the engine writes it in file names: 2022-01-01T00-00-00-000000000Z."""
    seconds, fraction = divmod(nanoseconds, 1_000_000_000)
    text = format_instant(seconds * 1_000_000_000).removesuffix("Z").replace(":", "-")
    return f"{text}-{fraction:09d}Z"


def folder_name(identifier: str) -> str:
    """Return the name of a series' folder, like the engine's writer, which leaves out slashes."""
    return identifier.replace("/", "")


def instants_of(table: pa.Table) -> memoryview:
    """Return ``ts_init`` in nanoseconds since the epoch, without a copy where it is one chunk.

    Importing ``pyarrow.compute`` would take a worker as long as importing the engine.
    """
    if not table.num_rows:
        return memoryview(b"").cast("q")
    column = table["ts_init"].combine_chunks()
    start = column.offset
    return memoryview(column.buffers()[1]).cast("b").cast("q")[start : start + len(column)]
