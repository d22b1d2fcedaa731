"""The rows that a dataset has of a series, to compare new rows with."""

from __future__ import annotations

import csv
import io
import itertools
import re
from operator import itemgetter
from typing import TYPE_CHECKING, NamedTuple, Self

import polars as pl
import pyarrow.parquet as pq

from trading_runtime.datasets.catalog_files import table_of
from trading_runtime.datasets.data_file import (
    BookDeltaSeries,
    BookDepthSeries,
    CustomSeries,
    QuoteSeries,
    StatusSeries,
    TradeSeries,
)
from trading_runtime.datasets.quality_gate import gate_day
from trading_runtime.datasets.row_checks import shown
from trading_runtime.units import format_instant

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from trading_runtime.datasets.manifest_entries import DataFile, RowGroup
    from trading_runtime.datasets.row_checks import RowProblems
    from trading_runtime.datasets.series_rows import SeriesSource
    from trading_runtime.storage.object_store import ObjectStore


_SHARING = (
    TradeSeries, QuoteSeries, BookDeltaSeries, BookDepthSeries, StatusSeries, CustomSeries,
)  # fmt: skip
"""Series that may have several rows of one time, in different files."""


class StoredRows:
    """What a dataset has of one series, and how far new rows match it."""

    def __init__(
        self,
        source: SeriesSource,
        dataset: ObjectStore,
        files: Sequence[DataFile],
        excluded: Collection[str] = (),
        dropped: int = 0,
    ) -> None:
        """``excluded`` are the days that the quality gate has kept out so far.

        ``dropped`` is how many rows were left out so far.
        """
        self.last = files[-1].row_groups[-1].last
        """``ts_init`` of the last row."""
        self.rows = sum(file.rows for file in files)
        self.known = 0
        """New rows that the dataset already has."""
        self._source = source
        self._dataset = dataset
        self._files = files
        self._excluded = excluded
        self._dropped = dropped
        self._rest: Iterator[pl.DataFrame] | None = None
        self._buffer: list[pl.DataFrame] = []
        self._ids: _KnownIds | None = None

    def left_out(self, folder: str, name: str) -> set[tuple[str, ...]]:
        """Return what the ``folder`` of the dataset keeps of rows that were left out.

        Empty when these are not as many as were counted: a killed append may have left some.
        """
        form = re.compile(re.escape(f"{folder}/{name}") + r"(-[0-9a-f]{12})?\.csv")
        rows: list[tuple[str, ...]] = []
        for path in filter(form.fullmatch, self._dataset.sizes(folder)):
            text = self._dataset.read(path).decode()
            rows += list(map(tuple, csv.reader(io.StringIO(text, newline=""))))[1:]
        return set(rows) if len(rows) == self._dropped else set()

    def only_new(self, frame: pl.DataFrame, problems: RowProblems) -> pl.DataFrame:
        """Return the rows after the last stored one.

        Rows up to there are compared with the stored ones, one by one; the first difference is
        recorded: the row came late, or was changed. Further rows of the very last time are new
        where a series may have several of one time, as they are when files are prepared at once.
        """
        if int(frame["ts"][0]) > self.last:
            return frame
        end = int(frame["ts"].search_sorted(self.last, side="right"))
        old, new = frame.head(end), frame.slice(end)
        ours = self._comparable(pl.DataFrame(pl.from_arrow(table_of(self._source, old))))
        if self._rest is None:
            self._rest = self._from(int(old["ts"][0]))
            self._begin(int(old["ts"][0]), ours, self._rest)
        stored = self._next(old.height, self._rest).select(ours.columns)
        count = stored.height
        if stored.equals(ours.head(count)) and self._may_follow(ours.slice(count)):
            self.known += count
            return frame.slice(count)
        at = _first_difference(stored, ours)
        here = int(old["ts"][at])
        is_there = at < stored.height and stored["ts_init"][at] == ours["ts_init"][at]
        is_excluded = gate_day(self._source.series, here) in self._excluded
        what = (
            f"is not the row of {format_instant(here)} that the dataset has: it was changed"
            if is_there
            else f"of {format_instant(here)} came late: the dataset goes to "
            f"{format_instant(self.last)} and has no such row"
            f"{', since the quality gate kept its day out' if is_excluded else ''}"
        )
        problems.add(
            "late", int(old["file"][at]), old["row"].slice(at, 1), f"the row {what}",
            "make the dataset again in another folder, or append only newer rows",
        )  # fmt: skip
        return new

    def check_ids(self, frame: pl.DataFrame, problems: RowProblems) -> None:
        """Record new trades with an id of the last stored file; older files are not looked at."""
        series = self._source.series
        if not isinstance(series, TradeSeries) or series.columns.trade_id is None:
            return
        if self._ids is None:
            self._ids = _KnownIds.of(pl.concat(self._groups(self._files[-1]))["trade_id"])
        if self._ids.are_below(frame["trade_id"]):
            return
        again = frame.filter(pl.col("trade_id").is_in(self._ids.texts.implode()))
        for index in again["file"].unique(maintain_order=True):
            rows = again.filter(pl.col("file") == index)
            problems.add(
                "duplicate", int(index), rows["row"],
                f"trade_id {shown(rows['trade_id'][0])} is already that of a row of the dataset",
                "keep one of them",
            )  # fmt: skip

    def before(self, first: int, since: int) -> pl.DataFrame:
        """Return the stored rows from ``since`` to before ``first``, at least the last before it.

        All times are ``ts_init``, nanoseconds.
        """
        earlier = [
            (entry, group)
            for entry in self._files
            for group in entry.row_groups
            if group.first < first
        ]
        near = [item for item in earlier if item[1].last >= since] or earlier[-1:]
        parts = [
            rows
            for entry, of_file in itertools.groupby(near, key=itemgetter(0))
            for rows in self._groups(entry, [group for _, group in of_file])
        ]
        rows = pl.concat(parts) if parts else next(self._from(self.last)).clear()
        rows = rows.filter(pl.col("ts_init").dt.epoch("ns") < first)
        within = rows.filter(pl.col("ts_init").dt.epoch("ns") >= since)
        return within if within.height else rows.tail(1)

    def has_rows(self, first: int, end: int) -> bool:
        """Return whether there is a stored row from ``first`` to before ``end``."""
        if first > self.last:
            return False
        times = self.before(end, first)["ts_init"].dt.epoch("ns")
        return bool((times >= first).any())

    def _begin(self, first: int, ours: pl.DataFrame, stored: Iterator[pl.DataFrame]) -> None:
        """Find the stored row with which new rows begin, among those from ``first`` on."""
        parts: list[pl.DataFrame] = []
        count = 0
        for part in stored:
            parts.append(part)
            count += int((part["ts_init"].dt.epoch("ns") == first).sum())
            if sum(each.height for each in parts) >= count + ours.height:
                break
        rows = pl.concat(parts)
        same = rows.head(count).select(ours.columns)
        places = [at for at, row in enumerate(same.iter_rows()) if row == ours.row(0)]
        for at in places:
            shared = min(rows.height - at, ours.height)
            if rows.slice(at, shared).select(ours.columns).equals(ours.head(shared)):
                self._buffer = [rows.slice(at)]
                return
        goes_on = first == self.last and self._may_follow(ours)
        self._buffer = [rows.slice(count) if goes_on else rows]

    def _may_follow(self, rows: pl.DataFrame) -> bool:
        """Whether rows up to the last stored time may come after all stored ones."""
        if not rows.height:
            return True
        if int(rows["ts_init"].dt.epoch("ns")[0]) != self.last:
            return False
        series = self._source.series
        if not isinstance(series, _SHARING):
            return False
        if isinstance(series, TradeSeries) and series.columns.trade_id is not None:
            known = pl.concat(self._from(self.last))["trade_id"]
            return not rows["trade_id"].is_in(known.implode()).any()
        return True

    def _comparable(self, rows: pl.DataFrame) -> pl.DataFrame:
        series = self._source.series
        if isinstance(series, TradeSeries) and series.columns.trade_id is None:
            rows = rows.drop("trade_id", strict=False)
        return rows.with_columns(pl.col(pl.Categorical).cast(pl.String))

    def _next(self, count: int, rest: Iterator[pl.DataFrame]) -> pl.DataFrame:
        """Return the next ``count`` stored rows, fewer at their end."""
        while sum(part.height for part in self._buffer) < count:
            part = next(rest, None)
            if part is None:
                break
            self._buffer.append(part)
        rows = pl.concat(self._buffer)
        self._buffer = [rows.slice(count)]
        return rows.head(count)

    def _from(self, first: int) -> Iterator[pl.DataFrame]:
        for entry in self._files:
            groups = [group for group in entry.row_groups if group.last >= first]
            for rows in self._groups(entry, groups) if groups else ():
                times = rows["ts_init"].dt.epoch("ns")
                yield rows.slice(int(times.search_sorted(first, "left")))

    def _groups(
        self, entry: DataFile, groups: Iterable[RowGroup] | None = None
    ) -> Iterator[pl.DataFrame]:
        """Yield the rows of some row groups of a file, of all when none are given."""
        with pq.ParquetFile(io.BytesIO(self._dataset.read(entry.path))) as file:
            for group in entry.row_groups if groups is None else groups:
                rows = pl.DataFrame(pl.from_arrow(file.read_row_group(group.index)))
                yield self._comparable(rows)


class _KnownIds(NamedTuple):
    """The ids of stored trades."""

    texts: pl.Series
    last: int | None
    """The largest, when all are whole numbers."""

    @classmethod
    def of(cls, texts: pl.Series) -> Self:
        numbers = texts.cast(pl.Int64, strict=False)
        return cls(texts, None if numbers.null_count() else int(numbers.max()))  # type: ignore[arg-type]

    def are_below(self, texts: pl.Series) -> bool:
        """Whether all of ``texts`` are numbers above the ids, none of which they can be then."""
        if self.last is None:
            return False
        numbers = texts.cast(pl.Int64, strict=False)
        return not numbers.null_count() and int(numbers.min()) > self.last  # type: ignore[arg-type]


def _first_difference(stored: pl.DataFrame, ours: pl.DataFrame) -> int:
    """Return the first place at which the frames differ, as rows of the second."""
    shared = min(stored.height, ours.height)
    one, other = stored.head(shared), ours.head(shared)
    for at in range(shared):
        if one.row(at) != other.row(at):
            return at
    return min(shared, ours.height - 1)
