"""The row groups of a large dataset as columns, cut into partitions without a record for each.

The rules are those of ``planning.partitions.Series``, over all series of a window at a time.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from trading_runtime.datasets.manifest_entries import DataFile, DataType, RowGroup
from trading_runtime.datasets.manifest_index import files_in
from trading_runtime.records.planned_data import TabledData, joined, rows_of
from trading_runtime.sequences import LazySequence

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import polars as pl

    from trading_runtime.datasets.manifest_index import SeriesTotals
    from trading_runtime.records.planned_data import Numbers

type Gap = tuple[int, int]
"""A stretch without rows: instants of the rows on both sides."""
type Piece = tuple[DataFile, RowGroup]
"""A row group with the file that contains it."""

_NUMBERS = ("first", "last", "rows", "bytes")
_AT_ONCE = 20_000
"""Row groups whose numbers are turned into lists at once."""
_ORDER = ("type", "identifier", "first", "last", "path", "offset")


class TablePieces(LazySequence[Piece]):
    """Some row groups of a table, as records that are made when they are asked for.

    A file has no other row groups than those that follow one another here.
    """

    def __init__(self, table: PieceTable, numbers: Numbers) -> None:
        self.table = table
        self.numbers = numbers
        """Of the table's rows, ascending."""

    def __len__(self) -> int:  # noqa: D105 - as that of any sequence
        return len(self.numbers)

    def __iter__(self) -> Iterator[Piece]:  # noqa: D105 - as that of any sequence
        for file in files_in(rows_of(self.table.frame, self.numbers)):
            for group in file.row_groups:
                yield file, group

    def at(self, places: Sequence[int]) -> TablePieces:
        """Return those at ascending places."""
        first, last = places[0], places[-1]
        if last - first + 1 == len(places):
            return TablePieces(self.table, self.numbers[first : last + 1])
        return TablePieces(self.table, joined([self.numbers])[places])

    @classmethod
    def joined(cls, parts: Sequence[TablePieces]) -> TablePieces:
        """Return the row groups of several series of a table, in its order."""
        first, *others = parts
        return cls(first.table, joined([part.numbers for part in parts])) if others else first

    def numbers_of_all(self) -> list[list[int]]:
        """Return first, last, rows and bytes of the row groups."""
        if isinstance(self.numbers, range):
            return self.table.numbers_of(self.numbers.start, len(self.numbers))
        found = rows_of(self.table.frame.select(_NUMBERS), self.numbers)
        return [column.to_list() for column in found]

    @property
    def data(self) -> TabledData:
        """The same as a plan has it."""
        return TabledData(self.table.frame, self.numbers)


class _Near(NamedTuple):
    """Numbers of row groups that follow one another."""

    first: int
    """The number of the first of them."""
    columns: list[list[int]]

    def has(self, first: int, count: int) -> bool:
        return self.first <= first and first + count <= self.first + len(self.columns[0])


class TableCut(NamedTuple):
    """What a window has of all series."""

    pieces: TablePieces
    rows_min: int
    rows_max: int
    bytes: int
    begins_late: bool
    """Whether a series begins after the warm-up, by more than its mean spacing."""


@dataclass(frozen=True, eq=False)
class PieceTable:
    """The row groups of the chosen series, by type, identifier and time."""

    frame: pl.DataFrame
    """As the manifest's index has them."""
    series: pl.DataFrame
    """A row for each series: where it begins, and what its type implies."""
    places: list[range]
    """The numbers of the row groups of each series."""
    _near: list[_Near] = field(default_factory=list)
    """The part of the table that was asked for last: most questions follow one another."""

    @classmethod
    def of(cls, frame: pl.DataFrame, chosen: Sequence[SeriesTotals]) -> PieceTable:
        """Return the table of the row groups in ``frame``: those of the series, in their order.

        Raises ``ValueError`` when there are others, or the series are not sorted by type and
        identifier: a row group belongs to a series by its place.
        """
        import polars as pl

        if not _is_in_order(frame):
            frame = frame[frame.select(pl.arg_sort_by(_ORDER)).to_series()]
        firsts = frame.select(_is_other_series().fill_null(value=True).arg_true()).to_series()
        keys = frame.select("type", "identifier")[firsts].rows()
        ends = [*firsts, frame.height]
        found = dict(zip(keys, itertools.starmap(range, itertools.pairwise(ends)), strict=True))
        places = [found.get(item.key, range(0)) for item in chosen]
        if [place.start for place in places if place] != firsts.to_list():
            raise ValueError("the row groups are not those of the series, in their order")
        series = pl.DataFrame(
            [
                # A funding rate that is sent at the end of a window belongs to it, too.
                (
                    item.first - item.spacing,
                    int(item.type == "funding_rates"),
                    item.type != DataType.CUSTOM,
                )
                for item in chosen
            ],
            schema={"begins": pl.Int64, "late": pl.Int64, "is_market": pl.Boolean},
            orient="row",
        )
        return cls(frame, series, places)

    def pieces(self, number: int) -> TablePieces:
        """Return those of a series, which follow one another, by its place among the chosen."""
        return TablePieces(self, self.places[number])

    def numbers_of(self, first: int, count: int) -> list[list[int]]:
        """Return first, last, rows and bytes of ``count`` row groups from number ``first`` on."""
        if not self._near or not self._near[0].has(first, count):
            found = self.frame.select(_NUMBERS).slice(first, max(count, _AT_ONCE))
            self._near[:] = [_Near(first, [column.to_list() for column in found])]
        near = self._near[0]
        at = first - near.first
        return [column[at : at + count] for column in near.columns]


class Cutter:
    """Cuts windows out of a table; ``gaps`` are those of each series."""

    def __init__(self, table: PieceTable, gaps: Sequence[Sequence[Gap]]) -> None:
        import polars as pl

        self._table = table
        known = [
            (series, after, before) for series, found in enumerate(gaps) for after, before in found
        ]
        schema = {"series": pl.UInt32, "after": pl.Int64, "before": pl.Int64}
        self._gaps = pl.DataFrame(known, schema=schema, orient="row")
        counts = pl.DataFrame({"count": list(map(len, table.places))})
        number = pl.int_range(pl.len(), dtype=pl.UInt32).repeat_by("count")
        self._owners = counts.select(number.explode(empty_as_null=False)).to_series()
        first = table.frame["first"]
        self._order = first.arg_sort()
        self._firsts = first[self._order]
        self._longest = table.frame.select((pl.col("last") - pl.col("first")).max()).item()

    def cut(self, start: int, end: int, warmup_start: int) -> TableCut | None:
        """Return what ``[start, end)`` needs from the warm-up on; None when it has no rows."""
        import polars as pl

        low = self._firsts.search_sorted(warmup_start - self._longest)
        numbers = self._order[low : self._firsts.search_sorted(end + 1)].sort()
        owners = self._owners[numbers]
        near = self._table.frame.select(_NUMBERS)[numbers].with_columns(
            owners.alias("series"), numbers.alias("number"), *self._table.series[owners]
        )
        touched = near.filter(self._most(warmup_start, end) > 0)
        facts = touched.select(
            pl.col("bytes").sum(),
            (pl.col("begins") > warmup_start).any(),
            least=self._least(start, end).sum(),
            most=self._most(start, end).sum(),
            has_rows=(pl.col("is_market") & (self._most(start, end, late=False) > 0)).any(),
        ).row(0, named=True)
        if not facts["has_rows"]:
            return None
        return TableCut(
            TablePieces(self._table, touched["number"]),
            facts["least"],
            facts["most"],
            facts["bytes"],
            facts["begins"],
        )

    def _most(self, start: int, end: int, *, late: bool = True) -> pl.Expr:
        import polars as pl

        stop = end + pl.col("late") if late else pl.lit(end)
        rows = pl.col("rows")
        return (
            pl.when(_inside(start, stop))
            .then(rows)
            .when(self._none(start, end, late=late))
            .then(0)
            .otherwise(rows - _outside(start, stop))
        )

    def _least(self, start: int, end: int) -> pl.Expr:
        import polars as pl

        stop = pl.lit(end)
        return (
            pl.when(_inside(start, stop))
            .then(pl.col("rows"))
            .when(self._none(start, end, late=False))
            .then(0)
            .otherwise(2 - _outside(start, stop))
        )

    def _none(self, start: int, end: int, *, late: bool) -> pl.Expr:
        """Whether a row group has no row from ``start`` to before ``end``."""
        import polars as pl

        stop = end + pl.col("late") if late else pl.lit(end)
        gap = self._in_gap(start, end)
        if late:
            gap = pl.when(pl.col("late") == 1).then(self._in_gap(start, end + 1)).otherwise(gap)
        return (pl.col("last") < start) | (stop <= pl.col("first")) | gap

    def _in_gap(self, start: int, end: int) -> pl.Expr:
        """Whether a row group is of a series that is known to have no rows in ``[start, end)``."""
        import polars as pl

        if not self._gaps.height:
            return pl.lit(value=False)
        found = self._gaps.filter(pl.col("after") < start, pl.col("before") >= end)["series"]
        return pl.col("series").is_in(found.to_list())


def _is_in_order(frame: pl.DataFrame) -> bool:
    """Whether the order is known without sorting: row groups of a series begin one by one."""
    import polars as pl

    kind, name, first = (pl.col(column) for column in ("type", "identifier", "first"))
    later = (
        pl.when(~_is_other_series()).then(first > first.shift())
        .when(kind == kind.shift()).then(name > name.shift())
        .otherwise(kind > kind.shift())
    )  # fmt: skip
    return bool(frame.select(later.fill_null(value=True).all()).item())


def _is_other_series() -> pl.Expr:
    """Whether a row group is of another series than the one above; null for the first."""
    import polars as pl

    kind, name = pl.col("type"), pl.col("identifier")
    return (kind != kind.shift()) | (name != name.shift())


def _inside(start: int, stop: pl.Expr) -> pl.Expr:
    import polars as pl

    return (pl.col("first") >= start) & (pl.col("last") < stop)


def _outside(start: int, stop: pl.Expr) -> pl.Expr:
    """How many of a row group's first and last row are known to be outside."""
    import polars as pl

    return (pl.col("first") < start).cast(pl.Int64) + (pl.col("last") >= stop).cast(pl.Int64)
