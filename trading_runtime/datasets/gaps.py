"""The gaps of a series: stretches between rows that are longer than usual."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from trading_runtime.datasets.manifest_entries import Gap
from trading_runtime.units import NANOSECONDS

NO_GAP = 2**63 - 1
"""Longer than any gap: for rows without a usual spacing."""
DEFAULT_TICK_GAP = NANOSECONDS["h"]
"""Ticks have no usual spacing: gaps of an hour are reported."""
MOST_LISTED = 1_000
"""How many gaps of a series the manifest lists: the longest ones; all are counted."""


@dataclass(frozen=True)
class Gaps:
    """The gaps of one series."""

    count: int
    longest: int
    """Nanoseconds; 0 when there is none."""
    total: int
    """Nanoseconds."""
    listed: tuple[Gap, ...]
    """The longest ``MOST_LISTED``, in time order."""


class GapFinder:
    """Finds the stretches between rows that are longer than ``usual`` nanoseconds."""

    def __init__(self, identifier: str, usual: int, last: int | None = None) -> None:
        self._identifier = identifier
        self._usual = usual
        self._last = last
        self._count = self._total = self._longest = 0
        self._listed: pl.DataFrame | None = None

    def add(self, ts_init: pl.Series) -> None:
        """Add the times of more rows, in order, nanoseconds."""
        if not len(ts_init):
            return
        times = ts_init.to_numpy()
        before = times[:1] if self._last is None else np.array([self._last])
        lengths = np.diff(times, prepend=before)
        self._last = int(times[-1])
        rows = np.flatnonzero(lengths > self._usual)
        if not len(rows):
            return
        lengths, times = lengths[rows], times[rows]
        found = pl.DataFrame({"length": lengths, "after": times - lengths, "before": times})
        self._count += len(rows)
        self._total += int(found["length"].sum())
        self._longest = max(self._longest, int(found["length"].max()))  # type: ignore[arg-type]
        if self._listed is not None:
            found = pl.concat([self._listed, found])
        self._listed = found.sort("length", "after", descending=[True, False]).head(MOST_LISTED)

    def found(self) -> Gaps:
        """Return the gaps between all rows."""
        if self._listed is None:
            return Gaps(0, 0, 0, ())
        listed = self._listed.sort("after").select("after", "before").iter_rows()
        return Gaps(
            count=self._count,
            longest=self._longest,
            total=self._total,
            listed=tuple(
                Gap(identifier=self._identifier, after=after, before=before)
                for after, before in listed
            ),
        )
