"""The manifest's entry of a catalog file: its sha256 and row groups, from the file itself."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from trading_runtime.canonical import digest
from trading_runtime.datasets.manifest import DataFile, InstrumentFile, RowGroup
from trading_runtime.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

_BLOCK = 1 << 20


@dataclass(frozen=True)
class CatalogFile:
    """A Parquet file of a catalog, opened."""

    path: Path
    parquet: Any
    metadata: dict[str, str]
    """Of the schema, as the engine's writer fills it."""

    @classmethod
    def open(cls, path: Path) -> CatalogFile:
        """Open ``path``; raises ``DataError`` when it is not a Parquet file."""
        try:
            parquet = pq.ParquetFile(path)
            schema = parquet.schema_arrow
        except (OSError, pa.ArrowException) as error:
            first = str(error).splitlines()[0]
            raise DataError(f"{path}: not a Parquet file that can be read: {first}") from error
        metadata = {
            key.decode(): value.decode(errors="replace")
            for key, value in (schema.metadata or {}).items()
        }
        return cls(path, parquet, metadata)

    @property
    def type_name(self) -> str:
        """The engine's class of the rows, such as ``TradeTick``; empty when it is not said."""
        return self.metadata.get("type_name", "")

    def check_order(self) -> None:
        """Raise ``DataError`` when ``ts_init`` is missing somewhere or goes back."""
        row = 0
        last: int | None = None
        try:
            for batch in self.parquet.iter_batches(batch_size=_BLOCK, columns=["ts_init"]):
                times = batch.column(0).cast(pa.timestamp("ns", tz="UTC")).cast(pa.int64())
                if times.null_count:
                    raise DataError(f"{self.path}: ts_init has no value in some rows")
                chained = pa.concat_arrays([pa.array([last or 0], pa.int64()), times])
                back = pc.less(chained[1:], chained[:-1])
                at = pc.index(back, value=True).as_py()
                if at >= 0:
                    raise DataError(
                        f"{self.path}, row {row + at + 1}: ts_init goes back; rows must be in "
                        "order of ts_init: write the file again, sorted"
                    )
                row += len(times)
                last = times[-1].as_py() if len(times) else last
        except (OSError, pa.ArrowException) as error:
            first = str(error).splitlines()[0]
            raise DataError(f"{self.path}: ts_init cannot be read: {first}") from error


def index_file(file: CatalogFile, dataset: Path, kind: str) -> DataFile:
    """Return the manifest's entry of a file with market data; ``kind`` is its folder's name.

    Raises ``DataError`` when the file has no rows or no ``ts_init``.
    """
    path = file.path
    if "ts_init" not in file.parquet.schema_arrow.names:
        raise DataError(f"{path}: has no column ts_init, so it is not market data of a catalog")
    metadata = file.parquet.metadata
    content = path.read_bytes()
    groups = []
    for index in range(metadata.num_row_groups):
        group = metadata.row_group(index)
        if not group.num_rows:
            continue
        offset, size = _byte_range(path, group)
        first, last = _time_range(file, index)
        groups.append(
            RowGroup(
                index=index,
                rows=group.num_rows,
                offset=offset,
                bytes=size,
                first=first,
                last=last,
                sha256=hashlib.sha256(memoryview(content)[offset : offset + size]).hexdigest(),
            )
        )
    if not groups:
        raise DataError(f"{path}: the file holds no rows; remove it from the catalog")
    instrument_id = file.metadata.get("instrument_id", path.parent.name)
    footer = max(group.offset + group.bytes for group in groups)
    return DataFile(
        path=path.relative_to(dataset).as_posix(),
        type=kind,
        identifier=file.metadata.get("bar_type", instrument_id),
        instrument_id=instrument_id,
        bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        footer_offset=footer,
        footer_sha256=hashlib.sha256(memoryview(content)[footer:]).hexdigest(),
        schema_sha256=_schema_digest(file),
        rows=metadata.num_rows,
        row_groups=tuple(groups),
    )


def index_instrument_file(path: Path, dataset: Path) -> InstrumentFile:
    """Return the manifest's entry of a file with instrument definitions."""
    content = path.read_bytes()
    return InstrumentFile(
        path=path.relative_to(dataset).as_posix(),
        bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
    )


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _schema_digest(file: CatalogFile) -> str:
    columns = [
        [column.name, str(column.type), column.nullable] for column in file.parquet.schema_arrow
    ]
    return digest({"columns": columns, "metadata": file.metadata})


def _byte_range(path: Path, group: Any) -> tuple[int, int]:
    """Return the offset and size of a row group's column chunks, which lie one after another."""
    chunks = []
    for index in range(group.num_columns):
        chunk = group.column(index)
        offsets = [chunk.data_page_offset]
        if chunk.dictionary_page_offset:
            offsets.append(chunk.dictionary_page_offset)
        chunks.append((min(offsets), chunk.total_compressed_size))
    chunks.sort()
    start = chunks[0][0]
    end = max(offset + size for offset, size in chunks)
    if start < 0 or end > path.stat().st_size:
        raise DataError(f"{path}: a row group lies outside the file; the file is damaged")
    return start, end - start


def _time_range(file: CatalogFile, index: int) -> tuple[int, int]:
    """Return the first and last ``ts_init`` of a row group in order: its least and greatest."""
    group = file.parquet.metadata.row_group(index)
    columns = (group.column(place) for place in range(group.num_columns))
    statistics = next(column.statistics for column in columns if column.path_in_schema == "ts_init")
    has_range = statistics is not None and statistics.has_min_max
    if has_range and "nanoseconds" in str(statistics.logical_type):
        return int(statistics.min_raw), int(statistics.max_raw)
    times = file.parquet.read_row_group(index, columns=["ts_init"]).column(0)
    times = times.cast(pa.timestamp("ns", tz="UTC")).cast(pa.int64())
    return times[0].as_py(), times[-1].as_py()
