"""Rows with which a raw file repeats the end of the files before it."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import polars as pl

from trading_runtime.units import format_instant

if TYPE_CHECKING:
    from trading_runtime.datasets.raw_files import RawFile
    from trading_runtime.datasets.row_checks import RowProblems

_MOST_REPEATED = 100_000
"""How many rows a file may repeat, at least; more are refused as rows that go back in time."""


class RepeatedRows:
    """Leaves out and counts rows that repeat the end of the files before, over blocks of rows.

    Rows are known by all their values. A row that is not the one of its time there is refused.
    """

    def __init__(self, files: list[RawFile], problems: RowProblems, *, at_one_time: bool) -> None:
        """Prepare to compare files.

        ``at_one_time``: a file that begins at the very time at which the one before ends repeats
        its rows, too. Without it they are further rows of that time.
        """
        self._files = files
        self._problems = problems
        self._at_one_time = at_one_time
        self._file: int | None = None
        self._before: deque[pl.DataFrame] = deque()
        """The last rows so far."""
        self._expected: pl.DataFrame | None = None
        """Rows of the files before that this file has yet to repeat."""

    def take(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return the rows of a block that no file before has."""
        if not frame.height or len(self._files) == 1:
            return frame
        file = int(frame["file"][0])
        if file != self._file:
            self._file, self._expected = file, self._start(frame)
        if self._expected is not None and self._expected.height:
            count = _shared(self._expected, frame)
            if count is None:
                frame = self._refuse_changed(frame, self._expected)
                self._expected = None
            else:
                self._problems.repeated += count
                self._expected = self._expected.slice(count)
                frame = frame.slice(count)
        if frame.height:
            self._before.append(frame)
            while sum(each.height for each in self._before) - self._before[0].height >= (
                _MOST_REPEATED
            ):
                self._before.popleft()
        return frame

    def _start(self, frame: pl.DataFrame) -> pl.DataFrame | None:
        """Return the rows before from those on with which a file begins."""
        if not self._before:
            return None
        before = pl.concat(self._before, how="vertical_relaxed")
        first, last = int(frame["ts"][0]), int(before["ts"][-1])
        if first > last or (first == last and not self._at_one_time):
            return None
        for at in before.select((pl.col("ts") == first).arg_true()).to_series():
            rest = before.slice(int(at))
            if _shared(rest, frame) is not None:
                return rest
        return before.filter(pl.col("ts") >= first) if first < last else None

    def _refuse_changed(self, frame: pl.DataFrame, before: pl.DataFrame) -> pl.DataFrame:
        """Record the first row that differs from the row of the same time in the files before."""
        again = frame.filter(pl.col("ts") <= before["ts"][-1])
        both = pl.concat([before, again], how="vertical_relaxed")
        before, here = both.head(before.height), both.slice(before.height)
        values = _values(frame)
        changed = here.join(before.select("ts").unique(), on="ts", how="semi").join(
            before, on=values, how="anti", nulls_equal=True, maintain_order="left"
        )
        if not changed.height:
            return frame
        row = changed.row(0, named=True)
        there = before.filter(pl.col("ts") == row["ts"]).row(0, named=True)
        other, file = (self._files[at["file"]] for at in (there, row))
        place = other.where(there["row"])
        is_archive = bool(file.member) and file.path == other.path
        self._problems.add(
            "changed", row["file"], changed["row"].head(1),
            f"the row is not the one of {format_instant(row['ts'])} that the file before has "
            f"({place}): it was changed",
            f"choose files of the archive with 'members: {file.member}'" if is_archive
            else "give one of the two files",
        )  # fmt: skip
        return frame.slice(again.height)


def _shared(before: pl.DataFrame, frame: pl.DataFrame) -> int | None:
    """Return how many rows both begin with when these are all of one; None when they differ."""
    count = min(before.height, frame.height)
    names = _values(frame)
    same = all(before[name].head(count).eq_missing(frame[name].head(count)).all() for name in names)
    return count if same else None


def _values(frame: pl.DataFrame) -> list[str]:
    return [name for name in frame.columns if name not in {"file", "row"}]
