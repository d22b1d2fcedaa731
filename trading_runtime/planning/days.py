"""How many daily returns a plan has, from the manifest's index alone: no row is read."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from trading_runtime.planning.piece_table import TablePieces
from trading_runtime.records.plan import ReturnDays
from trading_runtime.records.planned_data import NUMBER, PART, numbered
from trading_runtime.sequences import in_batches
from trading_runtime.units import day_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from trading_runtime.planning.partitions import Partition

_ROWS_AT_ONCE = 100_000
"""Row groups of several partitions whose days are found together."""


def planned_days(partitions: Sequence[Partition], *, every_day: bool) -> ReturnDays:
    """Return how many days count in ``partitions``, each once.

    Exact if row groups are within one UTC day, like those that ``data prepare`` writes.
    """
    known: set[int] = set()
    possible: set[int] = set()
    listed = [item for item in partitions if not isinstance(item.row_groups, TablePieces)]
    tabled = ((item, item.row_groups) for item in partitions)
    of_tables = [(item, rows) for item, rows in tabled if isinstance(rows, TablePieces)]
    # A dataset without an index needs no polars, which takes long to import.
    found = _days_of_tables(of_tables) if of_tables else ()
    for in_part, maybe in itertools.chain(map(_days, listed), found):
        known |= in_part
        possible |= maybe
    if every_day:
        return ReturnDays(_span(known), _span(possible))
    return ReturnDays(len(known), len(possible))


def _days(partition: Partition) -> tuple[set[int], set[int]]:
    start, last_instant = partition.start, partition.end - 1
    groups = [
        (max(group.first, start), min(group.last, last_instant), group)
        for _, group in partition.row_groups
        if group.last >= start and group.first <= last_instant
    ]
    # Equity starts at the first row: a day needs a row after it.
    begin = min((first for first, _, _ in groups), default=start)
    known = {
        day_of(ts)
        for first, last, group in groups
        for ts, bound in ((first, group.first), (last, group.last))
        if ts == bound and ts > begin
    }
    possible = {
        day
        for first, last, _ in groups
        if last > begin
        for day in range(day_of(max(first, begin + 1)), day_of(last) + 1)
    }
    return known, possible


def _days_of_tables(
    partitions: Sequence[tuple[Partition, TablePieces]],
) -> Iterator[tuple[set[int], set[int]]]:
    """Yield the days of some partitions at a time; equal stretches of equal windows count once."""
    import polars as pl

    first, last, end = pl.col("first"), pl.col("last"), pl.col("end")
    for some in in_batches(partitions, lambda item: len(item[1]), _ROWS_AT_ONCE):
        windows = pl.DataFrame(
            [(number, item.start, item.end - 1) for number, (item, _) in enumerate(some)],
            schema={PART: pl.UInt32, "start": pl.Int64, "end": pl.Int64},
            orient="row",
        )
        groups = numbered([rows.numbers for _, rows in some])
        table = some[0][1].table.frame
        groups = groups.select(
            PART, *(table[name].gather(groups[NUMBER]) for name in ("first", "last"))
        )
        groups = groups.join(windows, on=PART).filter(last >= pl.col("start"), first <= end)
        begin = pl.max_horizontal(first.min().over(PART), "start").alias("begin")
        bounds = groups.select(first, last, end, begin).unique().rows()
        yield (
            {day_of(ts) for *ends, stop, begin in bounds for ts in ends if begin < ts <= stop},
            {
                day
                for early, late, stop, begin in bounds
                if min(late, stop) > begin
                for day in range(day_of(max(early, begin + 1)), day_of(min(late, stop)) + 1)
            },
        )


def _span(days: set[int]) -> int:
    return max(days) - min(days) + 1 if days else 0
