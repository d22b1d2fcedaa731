"""Stretches of time: what several cover together, and what two lists of them have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

type Interval = tuple[int, int]
"""Start and end in nanoseconds since the epoch; the end is excluded."""


def union(intervals: Iterable[Interval]) -> list[Interval]:
    """Return the same time as intervals in order that neither overlap nor touch."""
    merged: list[Interval] = []
    for start, end in sorted(interval for interval in intervals if interval[0] < interval[1]):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def common_length(left: Sequence[Interval], right: Sequence[Interval]) -> int:
    """Return how long two ordered lists of separate intervals have in common."""
    total = i = j = 0
    while i < len(left) and j < len(right):
        total += max(0, min(left[i][1], right[j][1]) - max(left[i][0], right[j][0]))
        if left[i][1] <= right[j][1]:
            i += 1
        else:
            j += 1
    return total
