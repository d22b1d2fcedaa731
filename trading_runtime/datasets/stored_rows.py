"""The rows that a dataset has of a series, to compare new rows with."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import polars as pl
import pyarrow.parquet as pq

from trading_runtime.datasets.catalog_files import table_of
from trading_runtime.datasets.data_file import TradeSeries
from trading_runtime.units import format_instant

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from trading_runtime.datasets.manifest_entries import DataFile
    from trading_runtime.datasets.row_checks import RowProblems
    from trading_runtime.datasets.series_rows import SeriesSource
    from trading_runtime.storage.object_store import ObjectStore


class StoredRows:
    """What a dataset has of one series, and how far new rows match it."""

    def __init__(
        self, source: SeriesSource, dataset: ObjectStore, files: Sequence[DataFile]
    ) -> None:
        self.last = files[-1].row_groups[-1].last
        """``ts_init`` of the last row."""
        self.rows = sum(file.rows for file in files)
        self.known = 0
        """New rows that the dataset already has."""
        self._source = source
        self._dataset = dataset
        self._files = files
        self._rest: Iterator[pl.DataFrame] | None = None
        self._buffer: pl.DataFrame | None = None

    def only_new(self, frame: pl.DataFrame, problems: RowProblems) -> pl.DataFrame:
        """Return the rows after the last stored one.

        Rows up to there are compared with the stored ones, one by one; the first difference is
        recorded: the row came late, or was changed.
        """
        if int(frame["ts"][0]) > self.last:
            return frame
        end = int(frame["ts"].search_sorted(self.last, side="right"))
        old, new = frame.head(end), frame.slice(end)
        ours = self._comparable(pl.DataFrame(pl.from_arrow(table_of(self._source, old))))
        stored = self._next(int(old["ts"][0]), old.height).select(ours.columns)
        same = stored.height == ours.height and stored.equals(ours)
        if same:
            self.known += old.height
            return new
        at = _first_difference(stored, ours)
        here = int(old["ts"][at])
        is_there = at < stored.height and stored["ts_init"][at] == ours["ts_init"][at]
        what = (
            f"is not the row of {format_instant(here)} that the dataset has: it was changed"
            if is_there
            else f"of {format_instant(here)} came late: the dataset goes to "
            f"{format_instant(self.last)} and has no such row"
        )
        problems.add(
            "late", int(old["file"][at]), old["row"].slice(at, 1), f"the row {what}",
            "rebuild the dataset with 'data prepare --force', or append only newer rows",
        )  # fmt: skip
        return new

    def _comparable(self, rows: pl.DataFrame) -> pl.DataFrame:
        series = self._source.series
        if isinstance(series, TradeSeries) and series.columns.trade_id is None:
            rows = rows.drop("trade_id", strict=False)
        return rows.with_columns(pl.col(pl.Categorical).cast(pl.String))

    def _next(self, first: int, count: int) -> pl.DataFrame:
        """Return the next ``count`` stored rows; the first call starts at ``first``."""
        if self._rest is None:
            self._rest = self._from(first)
        parts = [] if self._buffer is None else [self._buffer]
        while sum(part.height for part in parts) < count:
            part = next(self._rest, None)
            if part is None:
                break
            parts.append(part)
        if not parts:
            empty = next(self._from(self.last))
            return empty.clear()
        rows = pl.concat(parts)
        self._buffer = rows.slice(count)
        return rows.head(count)

    def _from(self, first: int) -> Iterator[pl.DataFrame]:
        for entry in self._files:
            if entry.row_groups[-1].last < first:
                continue
            with pq.ParquetFile(io.BytesIO(self._dataset.read(entry.path))) as file:
                for group in entry.row_groups:
                    if group.last < first:
                        continue
                    rows = pl.DataFrame(pl.from_arrow(file.read_row_group(group.index)))
                    times = rows["ts_init"].dt.epoch("ns")
                    yield self._comparable(rows.slice(int(times.search_sorted(first, "left"))))


def _first_difference(stored: pl.DataFrame, ours: pl.DataFrame) -> int:
    """Return the first place at which the frames differ, as rows of the second."""
    shared = min(stored.height, ours.height)
    one, other = stored.head(shared), ours.head(shared)
    for at in range(shared):
        if one.row(at) != other.row(at):
            return at
    return min(shared, ours.height - 1)
