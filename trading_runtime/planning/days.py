"""How many daily returns a plan has, from the manifest's index alone: no row is read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trading_runtime.planning.piece_table import TablePieces
from trading_runtime.records.plan import ReturnDays
from trading_runtime.units import day_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trading_runtime.planning.partitions import Partition


def planned_days(partitions: Sequence[Partition], *, every_day: bool) -> ReturnDays:
    """Return how many days count in ``partitions``, each once.

    Exact if row groups are within one UTC day, like those that ``data prepare`` writes.
    """
    known: set[int] = set()
    possible: set[int] = set()
    for partition in partitions:
        in_part, maybe = _days(partition)
        known |= in_part
        possible |= maybe
    if every_day:
        return ReturnDays(_span(known), _span(possible))
    return ReturnDays(len(known), len(possible))


def _days(partition: Partition) -> tuple[set[int], set[int]]:
    if isinstance(partition.row_groups, TablePieces):
        return _days_of_table(partition.row_groups, partition.start, partition.end - 1)
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


def _days_of_table(pieces: TablePieces, start: int, last_instant: int) -> tuple[set[int], set[int]]:
    import polars as pl

    first, last = pl.col("first"), pl.col("last")
    groups = pieces.table.frame.select("first", "last")[pieces.numbers]
    groups = groups.unique().filter(last >= start, first <= last_instant)
    bounds: list[tuple[int, int]] = groups.rows()
    begin = max(min((early for early, _ in bounds), default=start), start)
    known = {day_of(ts) for bound in bounds for ts in bound if begin < ts <= last_instant}
    possible = {
        day
        for early, late in bounds
        if min(late, last_instant) > begin
        for day in range(day_of(max(early, begin + 1)), day_of(min(late, last_instant)) + 1)
    }
    return known, possible


def _span(days: set[int]) -> int:
    return max(days) - min(days) + 1 if days else 0
