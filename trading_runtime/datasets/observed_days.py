"""When a window has rows: the first, the last, and the UTC days with any."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, NamedTuple

from trading_runtime.units import DAY, day_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

type Days = tuple[tuple[int, int], ...]
"""Numbers of days since the epoch, as ordered ranges, each with its end excluded."""


class Observed(NamedTuple):
    """The part of a window that has data, and the days on which equity could move."""

    first: int
    """``ts_init`` of the first row."""
    last: int
    """``ts_init`` of the last row."""
    days: Days
    """Days with a row after the first one, from which returns are counted (see ``day_of``)."""


class RowTimes:
    """Collects the times of a window's rows, piece by piece, with the pieces in any order."""

    def __init__(self) -> None:
        self._firsts: set[int] = set()
        self._last = 0
        self._days: set[int] = set()

    def add(self, times: Sequence[int]) -> None:
        """Add the times of some rows, which are in order; the cost is one search per day."""
        if not times:
            return
        first = times[0]
        self._firsts.add(first)
        self._last = max(self._last, times[-1])
        place = bisect_right(times, first)
        while place < len(times):
            day = day_of(times[place])
            self._days.add(day)
            place = bisect_right(times, (day + 1) * DAY, place)

    def observed(self) -> Observed | None:
        """Return the result for all rows; ``None`` when there were none."""
        if not self._firsts:
            return None
        first = min(self._firsts)
        later = {day_of(ts) for ts in self._firsts if ts > first}
        return Observed(first, self._last, stretches(self._days | later))


def stretches(days: Iterable[int]) -> Days:
    """Return days as ordered ranges that neither overlap nor touch."""
    found: list[tuple[int, int]] = []
    for day in sorted(set(days)):
        if found and found[-1][1] == day:
            found[-1] = (found[-1][0], day + 1)
        else:
            found.append((day, day + 1))
    return tuple(found)
