"""Bars without volume, which do not move the simulated market."""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING

import numpy as np
import pyarrow.parquet as pq

from trading_runtime.datasets.slices import instants_of

if TYPE_CHECKING:
    from pathlib import Path

    from trading_runtime.records.plan import PlannedPartition


def bars_without_volume(partition: PlannedPartition, catalog: Path) -> dict[str, int]:
    """Return how many bars of a window that was cut to ``catalog`` have no volume, by series."""
    counts = {
        series.identifier: _without_volume(catalog / series.folder, partition.start)
        for series in partition.data
        if series.type == "bars"
    }
    return {identifier: count for identifier, count in counts.items() if count}


def _without_volume(folder: Path, start: int) -> int:
    """Return how many bars from ``start`` on have no volume."""
    count = 0
    for path in folder.glob("*.parquet"):
        with pq.ParquetFile(path) as file:
            for group in range(file.metadata.num_row_groups):
                table = file.read_row_group(group, ["ts_init", "volume"], use_threads=False)
                before = bisect_left(instants_of(table), start)
                for chunk in table["volume"].slice(before).chunks:
                    # A decimal is a whole number of 16 bytes.
                    words = np.frombuffer(chunk.buffers()[1], np.uint64).reshape(-1, 2)
                    mine = words[chunk.offset : chunk.offset + len(chunk)]
                    count += int((~mine.any(axis=1)).sum())
    return count
