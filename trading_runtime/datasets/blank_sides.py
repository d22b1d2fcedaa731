"""Quotes in which a blank bid or ask is the one of the row above, over files and appends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from trading_runtime.datasets.manifest_entries import LastSides
from trading_runtime.datasets.time_columns import read_times
from trading_runtime.errors import DataError

if TYPE_CHECKING:
    from trading_runtime.datasets.raw_files import RawFile


@dataclass
class Sides:
    """The last bid and ask while rows are read in order; at first those that a dataset states."""

    last: LastSides | None = None
    _is_begun: bool = False

    def fill(self, file: RawFile, raw: pl.DataFrame, known_until: int | None) -> pl.DataFrame:
        """Return quotes with the bids and asks of the rows above where they are blank.

        Rows without either change nothing, and are left out. So are rows that lack a side and that
        the dataset has: a file that is read again may begin with them. ``known_until`` is the time
        of the last row of the dataset that is added to. Raises ``DataError`` when the row above is
        that one, and the dataset does not state its sides.
        """
        if not raw.height:
            return raw
        sides = raw.select(pl.col("bid", "ask").cast(pl.String).str.strip_chars().replace("", None))
        if not self._is_begun:
            self._begin(file, raw, sides, known_until)
        above = sides.clear()
        if self.last is not None:
            above = pl.DataFrame(
                {"bid": [self.last.bid], "ask": [self.last.ask]}, schema=sides.schema
            )
        filled = pl.concat([above, sides]).select(pl.all().forward_fill())
        before = 0 if self.last is None else self.last.at
        [last] = times_of(file, raw.tail(1))
        self.last = LastSides(before if last is None else last, *filled.row(-1))
        filled = filled.slice(above.height)
        kept = sides.select(pl.any_horizontal(pl.all().is_not_null())).to_series()
        lacking = filled.select(pl.any_horizontal(pl.all().is_null())).to_series()
        if known_until is not None and lacking.any():
            role = "received" if "received" in raw.columns else "timestamp"
            is_known = times_of(file, raw, role) <= known_until
            kept &= ~(lacking & is_known).fill_null(value=False)
        return raw.with_columns(filled).filter(kept)

    def _begin(
        self,
        file: RawFile,
        raw: pl.DataFrame,
        sides: pl.DataFrame,
        known_until: int | None,
    ) -> None:
        times = times_of(file, raw)
        if times.null_count() == len(times):
            return
        self._is_begun = True
        at = int(times.is_not_null().arg_max() or 0)
        first = int(times[at])
        if self.last is not None and first < self.last.at:
            self.last = None  # a file that is read again
        elif self.last is None and known_until is not None and known_until < first:
            blank = [name for name in sides.columns if sides[name][at] is None]
            if len(blank) == 1:
                raise DataError(
                    f"{file.where(int(raw['row'][at]))}: {blank[0]} is blank, and the dataset is "
                    "of an earlier version, which does not state the one above it; make it again "
                    "in another folder"
                )


def times_of(file: RawFile, rows: pl.DataFrame, role: str = "timestamp") -> pl.Series:
    """Return the times of raw rows, null for those that cannot be read."""
    settings = file.settings
    return read_times(rows[role], settings.timestamp_format, settings.time_zone)["ns"]
