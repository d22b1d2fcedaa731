"""Stretches without rows: which are longer than usual."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from trading_runtime.datasets.manifest import Gap
from trading_runtime.time_units import NANOSECONDS

DEFAULT_TICK_GAP = NANOSECONDS["h"]
"""Between ticks there is no usual spacing: an hour is worth a word."""
MOST_LISTED = 1_000
"""Gaps of a series that the manifest lists: the longest ones; all are counted."""


@dataclass(frozen=True)
class Gaps:
    """The gaps of one series."""

    count: int
    longest: int
    """Nanoseconds; 0 when there is none."""
    total: int
    """Nanoseconds."""
    listed: tuple[Gap, ...]
    """The longest ``MOST_LISTED``, in the order of time."""


def find_gaps(identifier: str, ts_init: pl.Series, usual: int) -> Gaps:
    """Return the stretches between rows that are longer than ``usual`` nanoseconds.

    ``ts_init`` is in order, in nanoseconds.
    """
    lengths = ts_init.diff()
    rows = (lengths > usual).arg_true()
    if not len(rows):
        return Gaps(0, 0, 0, ())
    long = pl.DataFrame(
        {"length": lengths.gather(rows), "after": ts_init.gather(rows - 1),
         "before": ts_init.gather(rows)}
    )  # fmt: skip
    listed = long.sort("length", "after", descending=[True, False]).head(MOST_LISTED).sort("after")
    return Gaps(
        count=len(rows),
        longest=int(lengths.gather(rows).max() or 0),  # type: ignore[arg-type]
        total=int(lengths.gather(rows).sum()),
        listed=tuple(
            Gap(identifier=identifier, after=after, before=before)
            for after, before in listed.select("after", "before").iter_rows()
        ),
    )
