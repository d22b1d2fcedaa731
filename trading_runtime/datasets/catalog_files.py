"""The files of a Nautilus v2 catalog: rows written, and the manifest's entry of each file."""

from __future__ import annotations

import datetime as dt
import hashlib
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from trading_runtime.canonical import decimal_text, digest
from trading_runtime.datasets.books import LAST, LEVELS, levels
from trading_runtime.datasets.columns import AGGRESSORS, DECIMAL, Increment, decimals
from trading_runtime.datasets.custom_rows import arrow_fields, file_metadata
from trading_runtime.datasets.data_file import (
    BarSeries,
    BookDeltaSeries,
    CloseSeries,
    CustomSeries,
    TradeSeries,
)
from trading_runtime.datasets.manifest_entries import DataFile, DataType, InstrumentFile, RowGroup
from trading_runtime.datasets.slices import folder_name
from trading_runtime.errors import DataError
from trading_runtime.storage.files import file_sha256, refuse_irregular
from trading_runtime.units import DAY

if TYPE_CHECKING:
    from pathlib import Path

    from trading_runtime.datasets.series_rows import SeriesSource


_BLOCK = 1 << 20
_LARGEST_TEXTS = 2**31 - 1
"""Bytes that a column of texts may have."""


@dataclass(frozen=True)
class CatalogFile:
    """A Parquet file of a catalog, opened."""

    path: Path
    parquet: Any
    metadata: dict[str, str]
    """Metadata of the schema, as the engine's writer fills it."""

    @classmethod
    def open(cls, path: Path) -> CatalogFile:
        """Open ``path``; raises ``DataError`` when it is not a Parquet file."""
        try:
            refuse_irregular(path)
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
        """The engine's class of the rows, such as ``TradeTick``; empty when not stated."""
        return self.metadata.get("type_name", "")

    @property
    def instrument_id(self) -> str:
        """The instrument that the rows are of."""
        return self.metadata.get("instrument_id", self.path.parent.name)

    @property
    def custom_series(self) -> str | None:
        """The name of a series of custom rows that were prepared here."""
        return self.metadata.get("custom_series")

    @property
    def identifier(self) -> str:
        """The catalog's name of the series."""
        return self.custom_series or self.metadata.get("bar_type", self.instrument_id)

    def check_order(self) -> None:
        """Raise ``DataError`` when ``ts_init`` is missing somewhere or goes back."""
        row = 0
        last: int | None = None
        try:
            for batch in self.parquet.iter_batches(batch_size=_BLOCK, columns=["ts_init"]):
                times = batch.column(0).cast(pa.timestamp("ns", tz="UTC")).cast(pa.int64())
                if times.null_count:
                    raise DataError(f"{self.path}: ts_init has no value in some rows")
                back = np.diff(times.to_numpy(), prepend=last or 0) < 0
                if back.any():
                    at = row + int(back.argmax()) + 1
                    raise DataError(
                        f"{self.path}, row {at}: ts_init goes back; rows must be in order of "
                        "ts_init: write the file again, sorted"
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
                sha256=_sha256_between(path, offset, offset + size),
            )
        )
    if not groups:
        raise DataError(f"{path}: the file holds no rows; remove it from the catalog")
    footer = max(group.offset + group.bytes for group in groups)
    size = path.stat().st_size
    return DataFile(
        path=path.relative_to(dataset).as_posix(),
        type=kind,
        identifier=file.identifier,
        instrument_id=file.instrument_id,
        bytes=size,
        sha256=file_sha256(path),
        footer_offset=footer,
        footer_sha256=_sha256_between(path, footer, size),
        schema_sha256=_schema_digest(file),
        rows=metadata.num_rows,
        row_groups=tuple(groups),
    )


def _sha256_between(path: Path, start: int, end: int) -> str:
    found = hashlib.sha256()
    with path.open("rb") as file:
        file.seek(start)
        while part := file.read(min(_BLOCK, end - start)):
            found.update(part)
            start += len(part)
    return found.hexdigest()


def index_instrument_file(path: Path, dataset: Path) -> InstrumentFile:
    """Return the manifest's entry of a file with instrument definitions."""
    content = path.read_bytes()
    return InstrumentFile(
        path=path.relative_to(dataset).as_posix(),
        bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
    )


def _schema_digest(file: CatalogFile) -> str:
    columns = [
        [column.name, str(column.type), column.nullable] for column in file.parquet.schema_arrow
    ]
    return digest({"columns": columns, "metadata": file.metadata})


def _byte_range(path: Path, group: Any) -> tuple[int, int]:
    """Return the offset and size of a row group's column chunks, which are contiguous."""
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
        raise DataError(f"{path}: a row group is outside the file; the file is damaged")
    return start, end - start


def _time_range(file: CatalogFile, index: int) -> tuple[int, int]:
    """Return the first and last ``ts_init`` of a sorted row group: its lowest and highest."""
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
"""Most rows of a row group, except for rows of equal ``ts_init``: the engine's writer uses this."""

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
    DataType.FUNDING_RATES: {},
    DataType.BOOK_DELTAS: {"price": "price", "size": "size"},
    DataType.BOOK_DEPTHS: {},
    DataType.CUSTOM: {},
    DataType.INSTRUMENT_STATUS: {},
    DataType.INSTRUMENT_CLOSES: {"close_price": "price"},
    DataType.MARK_PRICES: {"value": "value"},
    DataType.INDEX_PRICES: {"value": "value"},
}
_NULLABLE: dict[str, frozenset[str]] = {
    DataType.FUNDING_RATES: frozenset({"interval", "next_funding_ns", "identifier"}),
    DataType.MARK_PRICES: frozenset({"value", "identifier"}),
    DataType.INDEX_PRICES: frozenset({"value", "identifier"}),
    DataType.BOOK_DELTAS: frozenset({"price", "size"}),
    DataType.INSTRUMENT_CLOSES: frozenset({"close_price"}),
    DataType.INSTRUMENT_STATUS: frozenset(
        {"reason", "trading_event", "is_trading", "is_quoting", "is_short_sell_restricted"}
    ),
}
"""Columns that may be null, as the engine's writer has them."""
_FLAGS = dict.fromkeys(("is_trading", "is_quoting", "is_short_sell_restricted"), pa.bool_())
_UPDATES = frozenset({DataType.FUNDING_RATES, DataType.MARK_PRICES, DataType.INDEX_PRICES})
"""Types whose rows name their instrument."""
_WORDS = ("aggressor_side", "action", "side", "close_type")
"""Columns of few texts, each kept once in a row group."""
_REPEATED: dict[str, tuple[str, ...]] = {
    DataType.TRADES: ("price", "size"),
    DataType.QUOTES: ("bid_price", "ask_price", "bid_size", "ask_size"),
}
"""Numbers that repeat within a row group, each kept once."""
_TIMES = ("ts_event", "ts_init")
"""Columns kept as differences in few bits: compressing them takes long and saves little."""
_TYPE_NAMES: dict[str, str] = {
    DataType.BARS: "Bar",
    DataType.TRADES: "TradeTick",
    DataType.QUOTES: "QuoteTick",
    DataType.FUNDING_RATES: "FundingRateUpdate",
    DataType.MARK_PRICES: "MarkPriceUpdate",
    DataType.INDEX_PRICES: "IndexPriceUpdate",
    DataType.BOOK_DELTAS: "OrderBookDelta",
    DataType.BOOK_DEPTHS: "OrderBookDepth",
    DataType.INSTRUMENT_STATUS: "InstrumentStatus",
    DataType.INSTRUMENT_CLOSES: "InstrumentClose",
}


def file_name(first: int, last: int) -> str:
    """Return the name of a file from its first and last ``ts_init``, nanoseconds."""
    return f"{_name_part(first)}_{_name_part(last)}.parquet"


class SeriesWriter:
    """Writes the rows of a series into ``dataset``, in time order, in batches.

    Ticks start a new file every UTC day, bars and custom rows every month; every UTC day starts a
    new row group. The files do not depend on how many rows are written at once.
    """

    def __init__(self, source: SeriesSource, dataset: Path, rows_before: int = 0) -> None:
        self.paths: list[Path] = []
        """The finished files, in time order."""
        self.rows = 0
        self._rows_before = rows_before
        self._source = source
        self._folder = dataset / "data" / source.series.type / folder_name(source.identifier)
        self._is_monthly = isinstance(source.series, BarSeries | CustomSeries)
        self._numbers_ids = isinstance(source.series, TradeSeries) and not (
            source.series.columns.trade_id
        )
        self._schema = _schema(source)
        self._partial = self._folder / "partial"
        self._writer: Any = None
        self._file_key: object = None
        self._day: int | None = None
        self._pending: list[pl.DataFrame] = []
        self._pending_rows = 0
        self._first: int | None = None
        self._last = 0

    def add(self, frame: pl.DataFrame) -> None:
        """Add the next rows."""
        if not frame.height:
            return
        if self._numbers_ids:
            first = self._rows_before + self.rows + 1
            numbers = pl.int_range(first, first + pl.len(), dtype=pl.Int64)
            frame = frame.with_columns(trade_id=numbers.cast(pl.String))
        self.rows += frame.height
        frame = frame.drop("file", "row")
        times = frame["ts"]
        starts = [0]
        if times[0] // DAY != times[-1] // DAY:
            days = times // DAY
            starts = [0, *(days != days.shift()).fill_null(value=False).arg_true()]
        for start, end in zip(starts, [*starts[1:], frame.height], strict=True):
            day = int(times[start]) // DAY
            if day != self._day:
                self._finish_day()
                self._begin_day(day)
            self._pending.append(frame.slice(start, end - start))
            self._pending_rows += end - start
            if self._pending_rows > MOST_GROUP_ROWS:
                self._write_full_groups()

    def close(self) -> list[Path]:
        """Finish the last file and return all."""
        self._finish_day()
        self._finish_file()
        return self.paths

    def _begin_day(self, day: int) -> None:
        key: object = day
        if self._is_monthly:
            moment = dt.datetime.fromtimestamp(day * DAY // 10**9, dt.UTC)
            key = (moment.year, moment.month)
        if key != self._file_key:
            self._finish_file()
            self._folder.mkdir(parents=True, exist_ok=True)
            self._writer = _writer(self._partial, self._schema, self._source.series.type)
            self._file_key = key
        self._day = day

    def _write_full_groups(self) -> None:
        """Write all row groups that no later row of the day can belong to."""
        frame = self._taken()
        times = frame["ts"]
        at = 0
        while frame.height - at > MOST_GROUP_ROWS:
            here = times[at + MOST_GROUP_ROWS]
            cut = int(times.search_sorted(here, side="left"))
            if cut <= at:
                cut = int(times.search_sorted(here, side="right"))
                if cut >= frame.height:
                    break
            self._write(frame.slice(at, cut - at))
            at = cut
        self._pending = [frame.slice(at)]
        self._pending_rows = frame.height - at

    def _finish_day(self) -> None:
        if self._pending_rows:
            self._write(self._taken())
        self._day = None

    def _taken(self) -> pl.DataFrame:
        frame = pl.concat(self._pending, how="vertical_relaxed", rechunk=True)
        self._pending, self._pending_rows = [], 0
        return frame

    def _write(self, frame: pl.DataFrame) -> None:
        if self._first is None:
            self._first = int(frame["ts"][0])
        self._last = int(frame["ts"][-1])
        table = table_of(self._source, frame)
        self._writer.write_table(table, row_group_size=frame.height)

    def _finish_file(self) -> None:
        if self._writer is None or self._first is None:
            return
        self._writer.close()
        self._writer = None
        path = self._folder / file_name(self._first, self._last)
        self._partial.rename(path)
        self.paths.append(path)
        self._first = None


def _types(kind: str) -> dict[str, Any]:
    """Return the columns of a file, in its order, by type of data."""
    numbers = {"flags": pa.uint8(), "sequence": pa.uint64()}
    ticks: dict[str, Any] = dict.fromkeys(_COLUMNS[kind], DECIMAL)
    times = {"ts_event": _TIME, "ts_init": _TIME}
    before: dict[str, dict[str, Any]] = {
        DataType.FUNDING_RATES: {
            "rate": pa.string(), "interval": pa.uint64(), "next_funding_ns": _TIME,
        },
        DataType.BOOK_DELTAS: {"action": _SIDE, "side": _SIDE},
        DataType.BOOK_DEPTHS: {"bids": LEVELS, "asks": LEVELS, **numbers},
        DataType.INSTRUMENT_STATUS: {"action": _SIDE},
    }  # fmt: skip
    behind: dict[str, dict[str, Any]] = {
        DataType.TRADES: {"aggressor_side": _SIDE, "trade_id": pa.string()},
        DataType.BOOK_DELTAS: {"order_id": pa.uint64(), **numbers},
        DataType.INSTRUMENT_CLOSES: {"close_type": _SIDE},
    }
    last: dict[str, Any] = {"identifier": pa.string()} if kind in _UPDATES else {}
    if kind == DataType.INSTRUMENT_STATUS:
        last = dict.fromkeys(("reason", "trading_event"), pa.string()) | _FLAGS
    return before.get(kind, {}) | ticks | behind.get(kind, {}) | times | last


def _custom_types(series: CustomSeries) -> dict[str, Any]:
    return arrow_fields(series) | {"ts_event": _TIME, "ts_init": _TIME}


def _schema(source: SeriesSource) -> pa.Schema:
    kind: str = source.series.type
    if isinstance(source.series, CustomSeries):
        fields = [pa.field(*item, nullable=False) for item in _custom_types(source.series).items()]
        metadata = file_metadata(source.series, source.identifier)
        return pa.schema(fields, metadata={"instrument_id": source.instrument.id} | metadata)
    types = _types(kind)
    metadata = {
        "instrument_id": source.instrument.id,
        "price_precision": str(source.instrument.price_precision),
        "size_precision": str(source.instrument.size_precision),
        "type_name": _TYPE_NAMES[kind],
    }
    if kind == DataType.BARS:
        metadata = {"bar_type": source.identifier, **metadata}
    if kind in {DataType.FUNDING_RATES, DataType.INSTRUMENT_STATUS}:
        metadata = {key: metadata[key] for key in ("instrument_id", "type_name")}
    if kind == DataType.INSTRUMENT_CLOSES:
        del metadata["size_precision"]
    fields = [
        pa.field(name, held, nullable=name in _NULLABLE.get(kind, ()))
        for name, held in types.items()
    ]
    return pa.schema(fields, metadata=metadata)


def table_of(source: SeriesSource, frame: pl.DataFrame) -> pa.Table:
    """Return the rows of ``frame`` as they are in a file of the catalog."""
    kind: str = source.series.type
    increments = source.increments
    arrays: dict[str, Any] = {
        name: decimals(frame[column], increments[column]) for name, column in _COLUMNS[kind].items()
    }
    if kind == DataType.TRADES:
        # Encoded by row group: a dictionary of the whole series would make a day's bytes depend on
        # others.
        arrays["aggressor_side"] = _aggressors(frame["aggressor"])
        if "trade_id" not in frame.columns:
            frame = frame.with_columns(trade_id=pl.lit(""))
        arrays["trade_id"] = _texts(frame["trade_id"])
    if kind == DataType.FUNDING_RATES:
        rates = [_plain(rate) for rate in frame["rate"]]
        arrays |= {
            "rate": pa.array(rates, pa.string()),
            "interval": frame["interval"].to_arrow(),
            "next_funding_ns": frame["next_funding"].to_arrow().cast(_TIME),
        }
    if kind in {DataType.BOOK_DELTAS, DataType.BOOK_DEPTHS}:
        arrays |= _book(source, frame)
    if kind == DataType.INSTRUMENT_STATUS:
        empty = pa.nulls(frame.height)
        arrays["action"] = _texts(frame["action"]).dictionary_encode().cast(_SIDE)
        arrays["reason"] = _texts(frame["reason"]) if "reason" in frame.columns else empty
        arrays |= dict.fromkeys(("trading_event", *_FLAGS), empty)
    if isinstance(source.series, CustomSeries):
        types = arrow_fields(source.series).items()
        arrays |= {
            name: _texts(frame[name]) if pa.types.is_string(held) else frame[name].to_arrow()
            for name, held in types
        }
    if isinstance(source.series, CloseSeries):
        kinds = pa.repeat(pa.scalar("END_OF_SESSION"), frame.height)
        arrays["close_type"] = kinds.dictionary_encode().cast(_SIDE)
    known = frame["ts"].to_arrow().view(_TIME)
    has_both = "ts_event" in frame.columns
    arrays["ts_event"] = frame["ts_event"].to_arrow().view(_TIME) if has_both else known
    arrays["ts_init"] = known
    if kind in _UPDATES:
        arrays["identifier"] = pa.repeat(pa.scalar(source.instrument.id), frame.height)
    schema = _schema(source)
    ordered = [
        arrays[field.name].cast(field.type) if pa.types.is_null(arrays[field.name].type)
        else arrays[field.name]
        for field in schema
    ]  # fmt: skip
    return pa.Table.from_arrays(ordered, schema=schema)


def _book(source: SeriesSource, frame: pl.DataFrame) -> dict[str, Any]:
    """Return the columns of deltas or of levels."""
    if isinstance(source.series, BookDeltaSeries):
        words = {
            name: _texts(frame[name]).dictionary_encode().cast(_SIDE) for name in ("action", "side")
        }
        numbers = ("order_id", "flags", "sequence")
        return words | {name: frame[name].to_arrow() for name in numbers}
    price = Increment.of(source.instrument.price_increment)
    size = Increment.of(source.instrument.size_increment)
    zero = pl.Series([0], dtype=pl.UInt64).new_from_index(0, frame.height)
    sequence = frame["sequence"] if "sequence" in frame.columns else zero
    return {
        "bids": levels(frame, "bid", price, size),
        "asks": levels(frame, "ask", price, size),
        "flags": pa.array([LAST] * frame.height, pa.uint8()),
        "sequence": sequence.to_arrow(),
    }


def _aggressors(sides: pl.Series) -> Any:
    """Return the sides of trades, each text kept once, in the order of the first rows."""
    codes = sides.to_physical().to_numpy()
    every = range(len(AGGRESSORS))
    firsts = {code: int((codes == code).argmax()) for code in every if (codes == code).any()}
    found = sorted(firsts, key=firsts.__getitem__)
    places = np.array([found.index(code) if code in firsts else 0 for code in every], np.int8)
    return pa.DictionaryArray.from_arrays(
        pa.array(places[codes]), pa.array([AGGRESSORS[code] for code in found], pa.string())
    )


def _texts(texts: pl.Series) -> Any:
    # Arrow takes long to cast the texts' newer form, and to import what casts the older one.
    found = texts.to_arrow(compat_level=pl.CompatLevel.oldest())
    validity, offsets, data = found.buffers()
    if found.offset or len(data) > _LARGEST_TEXTS:
        return found.cast(pa.string())
    shorter = np.frombuffer(offsets, np.int64).astype(np.int32)
    return pa.Array.from_buffers(pa.string(), len(found), [validity, pa.py_buffer(shorter), data])


def _plain(rate: int) -> str:
    """Return a rate in units of the catalog's last digit as a decimal text."""
    return decimal_text(Decimal(rate).scaleb(-DECIMAL.scale))


def _writer(path: Path, schema: pa.Schema, kind: str) -> Any:
    compression: Any = "zstd"
    if kind != DataType.BOOK_DEPTHS:
        compression = dict.fromkeys(schema.names, "zstd") | dict.fromkeys(_TIMES, "none")
    return pq.ParquetWriter(
        path,
        schema,
        version="2.6",
        compression=compression,
        use_dictionary=[*_WORDS, *_REPEATED.get(kind, ())],
        column_encoding=dict.fromkeys(_TIMES, "DELTA_BINARY_PACKED"),
        # The engine and a plan ask for the times of a row group, and for nothing else.
        write_statistics=["ts_init"],
    )


def _name_part(nanoseconds: int) -> str:
    seconds, fraction = divmod(nanoseconds, 1_000_000_000)
    moment = dt.datetime.fromtimestamp(seconds, dt.UTC)
    return f"{moment:%Y-%m-%dT%H-%M-%S}-{fraction:09d}Z"
