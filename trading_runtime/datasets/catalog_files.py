"""The files of a Nautilus v2 catalog: rows written, and the manifest's entry of each file."""

from __future__ import annotations

import datetime as dt
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from trading_runtime.canonical import digest
from trading_runtime.datasets.columns import DECIMAL, decimals
from trading_runtime.datasets.data_file import BarSeries
from trading_runtime.datasets.manifest import DataFile, DataType, InstrumentFile, RowGroup
from trading_runtime.errors import DataError
from trading_runtime.units import DAY

if TYPE_CHECKING:
    from pathlib import Path

    from trading_runtime.datasets.series_rows import SeriesRows


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


MOST_GROUP_ROWS = 131_072
"""Rows of a row group at most, rows of equal ``ts_init`` apart: what the engine's writer takes."""

_SIDE = pa.dictionary(pa.int8(), pa.string())
_TIME = pa.timestamp("ns", tz="UTC")
_COLUMNS: dict[str, dict[str, str]] = {
    DataType.BARS: {name: name for name in ("open", "high", "low", "close", "volume")},
    DataType.TRADES: {"price": "price", "size": "size"},
    DataType.QUOTES: {
        "bid_price": "bid",
        "ask_price": "ask",
        "bid_size": "bid_size",
        "ask_size": "ask_size",
    },
}
_TYPE_NAMES: dict[str, str] = {
    DataType.BARS: "Bar",
    DataType.TRADES: "TradeTick",
    DataType.QUOTES: "QuoteTick",
}


def folder_name(identifier: str) -> str:
    """Return the name of a series' folder: as the engine's writer, which leaves out slashes."""
    return identifier.replace("/", "")


def file_name(first: int, last: int) -> str:
    """Return the name of a file from its first and last ``ts_init``, nanoseconds."""
    return f"{_name_part(first)}_{_name_part(last)}.parquet"


def write_series(rows: SeriesRows, dataset: Path) -> list[Path]:
    """Write rows into ``dataset`` and return the files, in order of time.

    Ticks start a new file every UTC day, bars every month; every UTC day starts a new row group.
    """
    folder = dataset / "data" / rows.series.type / folder_name(rows.identifier)
    folder.mkdir(parents=True)
    table = _table(rows)
    times = rows.frame["ts"]
    starts = _group_starts(times)
    file_keys = times.gather(starts) // DAY
    if isinstance(rows.series, BarSeries):
        file_keys = file_keys.cast(pl.Int32).cast(pl.Date).dt.strftime("%Y-%m")
    paths: list[Path] = []
    ends = [*starts[1:], len(times)]
    begins_file = [True, *(file_keys != file_keys.shift()).to_list()[1:]]
    firsts = [index for index, begins in enumerate(begins_file) if begins]
    for first, beyond in zip(firsts, [*firsts[1:], len(starts)], strict=True):
        path = folder / file_name(times[starts[first]], times[ends[beyond - 1] - 1])
        with _writer(path, table.schema) as writer:
            for group in range(first, beyond):
                size = ends[group] - starts[group]
                writer.write_table(table.slice(starts[group], size), row_group_size=size)
        paths.append(path)
    return paths


def _table(rows: SeriesRows) -> pa.Table:
    kind: str = rows.series.type
    increments = rows.increments
    arrays: dict[str, Any] = {
        name: decimals(rows.frame[column], increments[column])
        for name, column in _COLUMNS[kind].items()
    }
    types: dict[str, Any] = dict.fromkeys(arrays, DECIMAL)
    if kind == DataType.TRADES:
        sides = rows.frame["aggressor"].to_arrow().cast(pa.string())
        arrays["aggressor_side"] = sides.dictionary_encode().cast(_SIDE)
        arrays["trade_id"] = rows.frame["trade_id"].to_arrow().cast(pa.string())
        types |= {"aggressor_side": _SIDE, "trade_id": pa.string()}
    times = rows.frame["ts"].to_arrow().cast(_TIME)
    arrays |= {"ts_event": times, "ts_init": times}
    types |= {"ts_event": _TIME, "ts_init": _TIME}
    metadata = {
        "instrument_id": rows.instrument.id,
        "price_precision": str(rows.instrument.price_precision),
        "size_precision": str(rows.instrument.size_precision),
        "type_name": _TYPE_NAMES[kind],
    }
    if kind == DataType.BARS:
        metadata = {"bar_type": rows.identifier, **metadata}
    fields = [pa.field(name, held, nullable=False) for name, held in types.items()]
    return pa.Table.from_arrays(list(arrays.values()), schema=pa.schema(fields, metadata=metadata))


def _writer(path: Path, schema: pa.Schema) -> Any:
    return pq.ParquetWriter(
        path,
        schema,
        version="2.6",
        compression="zstd",
        use_dictionary=["aggressor_side"],
        column_encoding={"ts_event": "DELTA_BINARY_PACKED", "ts_init": "DELTA_BINARY_PACKED"},
    )


def _group_starts(times: pl.Series) -> list[int]:
    """Return the first row of every row group: never between rows of equal time."""
    days = times // DAY
    day_starts = [0, *(days != days.shift()).fill_null(value=False).arg_true()]
    starts: list[int] = []
    for start, end in zip(day_starts, [*day_starts[1:], len(times)], strict=True):
        at = start
        while at < end:
            starts.append(at)
            at += MOST_GROUP_ROWS
            if at < end:
                at = int(times.search_sorted(times[at], side="left"))
                if at <= starts[-1]:
                    at = int(times.search_sorted(times[at], side="right"))
    return starts


def _name_part(nanoseconds: int) -> str:
    seconds, fraction = divmod(nanoseconds, 1_000_000_000)
    moment = dt.datetime.fromtimestamp(seconds, dt.UTC)
    return f"{moment:%Y-%m-%dT%H-%M-%S}-{fraction:09d}Z"
