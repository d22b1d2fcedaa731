"""Cut one partition out of a dataset: a small catalog with exactly the warm-up and the window."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from trading_runtime.errors import DataError
from trading_runtime.time_units import format_instant

if TYPE_CHECKING:
    from collections.abc import Mapping

_TIME = pa.timestamp("ns", tz="UTC")


@dataclass(frozen=True)
class Slice:
    """How many rows a partition turned out to have."""

    rows: int
    """In the window itself."""
    warmup_rows: int
    """In front of it."""


def cut_partition(partition: Mapping[str, Any], dataset: Path, catalog: Path) -> Slice:
    """Write the rows of ``partition`` from ``dataset`` to the new folder ``catalog``.

    ``partition`` has ``warmup_start``, ``start``, ``end`` (nanoseconds since the epoch),
    ``rows_min`` and ``rows_max``, and ``data``: the series with the row groups that can have rows.
    Every row group is verified before it is used.

    Raises ``DataError`` when a file is missing, its bytes are not those of the manifest, or the
    rows are fewer or more than the plan allows.
    """
    rows = warmup_rows = 0
    for series in partition["data"]:
        table = _read(series, dataset)
        times = table["ts_init"]
        before = _count(pc.less(times, _instant(partition["start"])))
        inside = pc.and_(
            pc.greater_equal(times, _instant(partition["warmup_start"])),
            pc.less(times, _instant(partition["end"])),
        )
        # Rows are in order of time, so what is inside is one stretch: a slice copies nothing.
        first = _count(pc.less(times, _instant(partition["warmup_start"])))
        kept = table.slice(first, _count(inside))
        warmup_rows += max(before - first, 0)
        rows += kept.num_rows - max(before - first, 0)
        if kept.num_rows:
            # The engine's own name of the folder: it drops characters that an identifier may have.
            name = Path(series["row_groups"][0]["path"]).parent.name
            _write(kept, catalog / "data" / series["type"] / name)
    if not partition["rows_min"] <= rows <= partition["rows_max"]:
        raise DataError(
            f"{dataset}: {rows} rows from {format_instant(partition['start'])} to "
            f"{format_instant(partition['end'])}, but the manifest says {partition['rows_min']} to "
            f"{partition['rows_max']}; run 'trading-runtime data verify {dataset}'"
        )
    return Slice(rows, warmup_rows)


def _read(series: Mapping[str, Any], dataset: Path) -> pa.Table:
    by_file: dict[str, list[Mapping[str, Any]]] = {}
    for group in series["row_groups"]:
        by_file.setdefault(group["path"], []).append(group)
    tables = []
    for name, groups in by_file.items():
        path = dataset / name
        try:
            _verify(path, groups)
            with pq.ParquetFile(path) as file:
                table = file.read_row_groups([group["index"] for group in groups])
                # Reading by row group loses what the engine needs to decode the columns.
                tables.append(table.replace_schema_metadata(file.schema_arrow.metadata))
        except FileNotFoundError as error:
            raise DataError(
                f"{path}: the file is gone; restore it, or adopt the dataset again"
            ) from error
        except (OSError, pa.ArrowException) as error:
            raise DataError(f"{path}: cannot be read: {error}") from error
    return pa.concat_tables(tables)


def _verify(path: Path, groups: list[Mapping[str, Any]]) -> None:
    with path.open("rb") as file:
        for group in groups:
            file.seek(group["offset"])
            content = file.read(group["bytes"])
            if hashlib.sha256(content).hexdigest() != group["sha256"]:
                raise DataError(
                    f"{path}: row group {group['index']} is not what the manifest says (sha256 "
                    "differs): the file was changed or damaged; restore it, or prepare it again"
                )


def _write(table: pa.Table, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    times = table["ts_init"].cast(pa.int64())
    name = f"{_file_time(times[0].as_py())}_{_file_time(times[-1].as_py())}.parquet"
    # Read once or a few times and thrown away: light compression is faster than none or much.
    pq.write_table(table, folder / name, compression="lz4", write_statistics=["ts_init"])


def _file_time(nanoseconds: int) -> str:
    """Return an instant as the engine writes it in file names: 2022-01-01T00-00-00-000000000Z."""
    seconds, fraction = divmod(nanoseconds, 1_000_000_000)
    text = format_instant(seconds * 1_000_000_000).removesuffix("Z").replace(":", "-")
    return f"{text}-{fraction:09d}Z"


def _instant(nanoseconds: int) -> pa.Scalar:
    return pa.scalar(nanoseconds, pa.int64()).cast(_TIME)


def _count(mask: pa.ChunkedArray) -> int:
    return int(pc.sum(mask).as_py() or 0)
