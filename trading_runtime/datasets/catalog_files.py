"""Writing rows as the files of a Nautilus v2 catalog: names, schema, row groups by UTC day."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from trading_runtime.datasets.data_file import BarSeries
from trading_runtime.datasets.exact_numbers import DECIMAL, decimals
from trading_runtime.datasets.manifest import DataType
from trading_runtime.time_units import DAY

if TYPE_CHECKING:
    from pathlib import Path

    from trading_runtime.datasets.series_rows import SeriesRows

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
