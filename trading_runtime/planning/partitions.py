"""The partitions of a dataset: which time windows the points are tested on, with what data.

A pure function of a manifest and settings; no row of market data is read.

- Calendar units and durations: whole windows of ``planning.windows``, clipped only to
  ``partitions.start`` and ``partitions.end``. They keep their bounds when data is appended.
- ``whole``: from the UTC midnight before the first row to the one after the last row, so that
  equity samples and daily returns fall on its bounds; clipped in the same way.
- ``rows`` and ``bytes``: from the first row on, cut before a row group as soon as the size is
  reached and no row of another series lies on both sides of, or at, the cut. A row group that
  start or end cuts through counts with its whole size.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from trading_runtime.config.experiment import PartitionUnit
from trading_runtime.errors import UsageError
from trading_runtime.planning.series import Piece, Series, choose_series
from trading_runtime.planning.windows import Windows, calendar_windows, ceil_day, floor_day
from trading_runtime.time_units import format_instant, parse_duration, parse_instant

if TYPE_CHECKING:
    from trading_runtime.config.experiment import DatasetSettings, PartitionSettings
    from trading_runtime.datasets.manifest import Manifest

MAX_WINDOWS = 200_000
"""Windows, empty ones included, that one experiment may have."""

Window = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Partition:
    """One window ``[start, end)`` on ``ts_init``; instants are nanoseconds since the epoch."""

    index: int
    """Position in the plan: by start, then by instrument."""
    start: int
    end: int
    warmup_start: int
    """Where the data in front begins; equal to ``start`` without a warm-up."""
    instruments: tuple[str, ...]
    """Instruments of the chosen series that the task sees, sorted."""
    row_groups: tuple[Piece, ...]
    """What can have rows in ``[warmup_start, end)``, by type, identifier and time."""
    rows_min: int
    """Rows in ``[start, end)``, at least."""
    rows_max: int
    """Rows in ``[start, end)``, at most."""
    bytes: int
    """Size of ``row_groups``."""
    warmup_short: bool
    """Whether the data begins after ``warmup_start``, by more than its mean spacing."""


@dataclass(frozen=True, slots=True)
class EmptyWindow:
    """A window without rows: listed, not planned."""

    start: int
    end: int
    instruments: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PartitionList:
    """What a dataset is cut into."""

    partitions: tuple[Partition, ...]
    empty: tuple[EmptyWindow, ...]


def partitions(
    manifest: Manifest, dataset_settings: DatasetSettings, partition_settings: PartitionSettings
) -> PartitionList:
    """Cut the chosen series of a dataset into partitions, as the module's text says.

    Raises ``UsageError`` when the settings name what the dataset does not have, leave no rows,
    or make more than ``MAX_WINDOWS`` windows; ``DataError`` for a dataset without rows.
    """
    chosen = choose_series(manifest, dataset_settings)
    bounds = _Bounds.of(chosen, partition_settings)
    warmup = parse_duration(partition_settings.warmup) if partition_settings.warmup else 0
    planned: list[Partition] = []
    empty: list[EmptyWindow] = []
    for group in _groups(chosen, partition_settings):
        names = tuple(sorted({series.instrument_id for series in group}))
        windows = _windows(group, partition_settings, bounds)
        if not windows:
            empty.append(EmptyWindow(bounds.start, bounds.end, names))
        for window in windows:
            partition = _partition(group, names, window, warmup)
            if partition is None:
                empty.append(EmptyWindow(*window, names))
            else:
                planned.append(partition)
        if len(planned) + len(empty) > MAX_WINDOWS:
            raise _too_many(len(planned) + len(empty))
    if not planned:
        raise UsageError(
            "partitions: no row lies in any window from "
            f"{format_instant(bounds.start)} to {format_instant(bounds.end)}"
        )
    planned.sort(key=lambda item: (item.start, item.instruments))
    empty.sort(key=lambda item: (item.start, item.instruments))
    return PartitionList(
        tuple(replace(item, index=index) for index, item in enumerate(planned)), tuple(empty)
    )


@dataclass(frozen=True, slots=True)
class _Bounds:
    """What is asked for, or the data's own range where nothing is."""

    start: int
    end: int
    clip_start: int | None
    clip_end: int | None

    @classmethod
    def of(cls, chosen: list[Series], settings: PartitionSettings) -> _Bounds:
        first = min(series.first for series in chosen)
        last = max(series.last for series in chosen)
        start = parse_instant(settings.start) if settings.start else None
        end = parse_instant(settings.end) if settings.end else None
        if start is not None and end is not None and end <= start:
            raise UsageError(f"partitions.end: {settings.end} is not after start {settings.start}")
        for key, outside, side in (
            ("start", start is not None and start > last, "after the last row"),
            ("end", end is not None and end <= first, "before the first row"),
        ):
            if outside:
                raise UsageError(
                    f"partitions.{key}: {getattr(settings, key)} is {side}; the chosen data goes "
                    f"from {format_instant(first)} to {format_instant(last)}"
                )
        return cls(
            start=first if start is None else start,
            end=last + 1 if end is None else end,
            clip_start=start,
            clip_end=end,
        )

    def clip(self, start: int, end: int) -> Window:
        if self.clip_start is not None:
            start = max(start, self.clip_start)
        if self.clip_end is not None:
            end = min(end, self.clip_end)
        return start, end


def _groups(chosen: list[Series], settings: PartitionSettings) -> list[list[Series]]:
    if settings.instruments == "together":
        return [chosen]
    by_instrument: dict[str, list[Series]] = defaultdict(list)
    for series in chosen:
        by_instrument[series.instrument_id].append(series)
    return [group for _, group in sorted(by_instrument.items())]


def _windows(group: list[Series], settings: PartitionSettings, bounds: _Bounds) -> list[Window]:
    first = max(bounds.start, min(series.first for series in group))
    last = min(bounds.end - 1, max(series.last for series in group))
    if last < first:
        return []
    if settings.by is PartitionUnit.WHOLE:
        return [bounds.clip(floor_day(first), ceil_day(last + 1))]
    calendar = calendar_windows(settings)
    if calendar is not None:
        return _calendar(calendar, first, last, bounds)
    return _by_size(group, settings, bounds)


def _calendar(calendar: Windows, first: int, last: int, bounds: _Bounds) -> list[Window]:
    low, high = calendar.index(first), calendar.index(last) + 1
    if high - low > MAX_WINDOWS:
        raise _too_many(high - low)
    starts = [calendar.start(index) for index in range(low, high + 1)]
    return [bounds.clip(*window) for window in itertools.pairwise(starts)]


def _by_size(group: list[Series], settings: PartitionSettings, bounds: _Bounds) -> list[Window]:
    row_groups = sorted(
        (piece[1] for series in group for piece in series.touching(bounds.start, bounds.end)),
        key=lambda item: (item.first, item.last),
    )
    if not row_groups:
        return []
    by_rows = settings.by is PartitionUnit.ROWS
    cuts = [max(row_groups[0].first, bounds.start)]
    size = 0
    last = row_groups[0].last
    for row_group in row_groups:
        if size >= settings.count and row_group.first > last:
            cuts.append(row_group.first)
            size = 0
        size += row_group.rows if by_rows else row_group.bytes
        last = max(last, row_group.last)
    cuts.append(min(last + 1, bounds.end))
    return list(itertools.pairwise(cuts))


def _partition(
    group: list[Series], names: tuple[str, ...], window: Window, warmup: int
) -> Partition | None:
    start, end = window
    warmup_start = start - warmup
    pieces: list[Piece] = []
    rows_min = rows_max = 0
    short = False
    for series in group:
        touched = series.touching(warmup_start, end)
        pieces += touched
        for piece in touched:
            fewest, most = series.rows(piece, start, end)
            rows_min += fewest
            rows_max += most
        short |= bool(touched) and series.first - series.spacing > warmup_start
    if not rows_max:
        return None
    return Partition(
        index=0,
        start=start,
        end=end,
        warmup_start=warmup_start,
        instruments=names,
        row_groups=tuple(pieces),
        rows_min=rows_min,
        rows_max=rows_max,
        bytes=sum(row_group.bytes for _, row_group in pieces),
        warmup_short=short and warmup > 0,
    )


def _too_many(count: int) -> UsageError:
    return UsageError(
        f"partitions: {count:,} windows or more; at most {MAX_WINDOWS:,} are accepted: use longer "
        "windows, or a shorter stretch with start and end"
    )
