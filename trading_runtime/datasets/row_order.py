"""Rows sorted by time in bounded memory, one UTC day at a time."""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING

import polars as pl

from trading_runtime.units import DAY

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path


def in_order_of_time(frames: Iterable[pl.DataFrame], folder: Path) -> Iterator[pl.DataFrame]:
    """Yield the rows of ``frames`` in the order of ``ts``, one frame per UTC day.

    Rows of equal time keep the order of files and of rows; those of a file with the newest row
    first come in reverse, as they happened. The rows are kept in ``folder`` meanwhile.
    """
    folder.mkdir(parents=True)
    days: dict[int, list[Path]] = {}
    rises: dict[int, bool] = {}
    falls: dict[int, bool] = {}
    last: dict[int, int] = {}
    for number, frame in enumerate(frames):
        if not frame.height:
            continue
        file, times = int(frame["file"][0]), frame["ts"]
        if file in last:
            times = pl.concat([pl.Series([last[file]], dtype=pl.Int64), times])
        last[file] = int(times[-1])
        steps = times.diff()
        rises[file] = rises.get(file, False) or bool((steps > 0).any())
        falls[file] = falls.get(file, False) or bool((steps < 0).any())
        by_day = frame.with_columns(day=pl.col("ts") // DAY).partition_by(
            "day", as_dict=True, include_key=False
        )
        for (day,), rows in by_day.items():
            path = folder / f"{day}.{number}.arrow"
            rows.write_ipc(path)
            days.setdefault(int(day), []).append(path)
    reverse = [file for file, has_fallen in falls.items() if has_fallen and not rises[file]]
    for day in sorted(days):
        frame = pl.concat(map(pl.read_ipc, days[day]), how="vertical_relaxed")
        place = pl.col("row").cast(pl.Int64)
        place = pl.when(pl.col("file").is_in(reverse)).then(-place).otherwise(place)
        yield frame.sort("ts", "file", place)
        for path in days[day]:
            path.unlink()
    shutil.rmtree(folder)


def rows_until(last: int, frame: pl.DataFrame, before: range | None) -> range | None:
    """Return which rows of a file are not after the time ``last``; None when all are.

    ``frame`` is a block of its usable rows, and ``before`` what the blocks above it gave. Rows that
    cannot be used count with those around them: in a file with the newest row first, the rows from
    the first one found on are not after ``last``; else those up to the last one are.
    """
    rows = frame.filter(pl.col("ts") <= last)["row"]
    if not len(rows):
        return None
    times = frame["ts"]
    if times[0] > times[-1] and not (times.diff() > 0).any():
        return before or range(int(rows[0]), sys.maxsize)
    return range(int(rows.max()) + 1)  # type: ignore[arg-type]
