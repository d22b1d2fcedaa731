"""The partitions of a dataset: which time windows the points are tested on, and with what data.

Windows of n hours or n days are counted from 1970-01-01T00:00Z, of n weeks from the ISO week that
contains it (Monday 1969-12-29), of n months from January 1970, of a duration from
1970-01-01T00:00Z. So the windows of an experiment never depend on where its data begins.

Partitions are a pure function of a manifest and settings. Rows are counted between the bounds of
row groups; no row of market data is read.

- Calendar units and durations: whole windows, clipped only to ``partitions.start`` and
  ``partitions.end``. They keep their bounds when data is appended.
  With ``partitions.last``, the first of them is the one that the asked time begins in.
- ``whole``: from the UTC midnight before the first row to the one after the last row, so that
  equity samples and daily returns fall on its bounds; clipped in the same way.
- ``rows`` and ``bytes``: from the first row on, cut before a row group as soon as the size is
  reached and no row of another series is on both sides of the cut, or at it. A row group that
  start or end cuts through counts with its whole size.
"""

from __future__ import annotations

import bisect
import datetime as dt
import difflib
import itertools
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from trading_runtime.config.experiment import PartitionUnit
from trading_runtime.datasets.manifest_entries import DataType
from trading_runtime.errors import DataError, UsageError
from trading_runtime.planning.piece_table import Cutter, PieceTable, TablePieces
from trading_runtime.records.plan import EmptyWindow
from trading_runtime.units import DAY, NANOSECONDS, format_instant, parse_duration, parse_instant

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from trading_runtime.config.experiment import DatasetSettings, PartitionSettings
    from trading_runtime.datasets.manifest import Manifest
    from trading_runtime.datasets.manifest_entries import DataFile
    from trading_runtime.datasets.manifest_index import SeriesKey, SeriesTotals
    from trading_runtime.planning.piece_table import Gap, Piece


_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MONDAY = -3 * DAY
_UNITS = {
    PartitionUnit.HOUR: (NANOSECONDS["h"], 0),
    PartitionUnit.DAY: (DAY, 0),
    PartitionUnit.WEEK: (7 * DAY, _MONDAY),
}


@dataclass(frozen=True, slots=True)
class FixedWindows:
    """Windows of one length, in nanoseconds, counted from ``origin``."""

    length: int
    origin: int = 0

    def index(self, instant: int) -> int:
        """Return the number of the window that contains ``instant``."""
        return (instant - self.origin) // self.length

    def start(self, index: int) -> int:
        """Return where window ``index`` begins; it ends where the next begins."""
        return self.origin + index * self.length


@dataclass(frozen=True, slots=True)
class MonthWindows:
    """Windows of ``count`` calendar months."""

    count: int

    def index(self, instant: int) -> int:
        """Return the number of the window that contains ``instant``."""
        day = _EPOCH + dt.timedelta(days=instant // DAY)
        return ((day.year - 1970) * 12 + day.month - 1) // self.count

    def start(self, index: int) -> int:
        """Return where window ``index`` begins; it ends where the next begins."""
        years, months = divmod(index * self.count, 12)
        first = dt.datetime(1970 + years, months + 1, 1, tzinfo=dt.UTC)
        return (first - _EPOCH).days * DAY


Windows = FixedWindows | MonthWindows


def calendar_windows(settings: PartitionSettings) -> Windows | None:
    """Return the windows of ``settings``; None when they do not follow the calendar."""
    if settings.by is PartitionUnit.MONTH:
        return MonthWindows(settings.count)
    if settings.by is PartitionUnit.DURATION and settings.length is not None:
        return FixedWindows(parse_duration(settings.length))
    if settings.by in _UNITS:
        length, origin = _UNITS[settings.by]
        return FixedWindows(length * settings.count, origin)
    return None


def floor_day(instant: int) -> int:
    """Return the UTC midnight at or before ``instant``."""
    return instant // DAY * DAY


def ceil_day(instant: int) -> int:
    """Return the UTC midnight at or after ``instant``."""
    return -(-instant // DAY) * DAY


@dataclass(frozen=True)
class Series:
    """The row groups of one type of data of one instrument, in time order.

    Of a large dataset, only those that the partitions can need.
    """

    type: str
    identifier: str
    instrument_id: str
    pieces: Sequence[Piece]
    first: int
    """``ts_init`` of the first row."""
    last: int
    """``ts_init`` of the last row."""
    spacing: int
    """Mean time between rows of the first row group, rounded up; nanoseconds."""
    gaps: tuple[Gap, ...]
    """Gaps known to have no rows: instants of the rows on both sides."""


class Spans:
    """Where the row groups of a series begin and end, and how large they are, in their order."""

    def __init__(self, series: Series) -> None:
        pieces = series.pieces
        if isinstance(pieces, TablePieces):
            self.firsts, self.lasts, self.rows, self.bytes = pieces.numbers_of_all()
        else:
            groups = [group for _, group in pieces]
            self.firsts = [group.first for group in groups]
            self.lasts = [group.last for group in groups]
            self.rows = [group.rows for group in groups]
            self.bytes = [group.bytes for group in groups]
        self._latest = list(itertools.accumulate(self.lasts, max))
        self._rows_before = list(itertools.accumulate(self.rows, initial=0))
        self._gaps = series.gaps

    @property
    def bounds(self) -> list[int]:
        """When their first and last rows are."""
        return [*self.firsts, *self.lasts]

    def touching(self, start: int, end: int) -> Sequence[int]:
        """Return the places of the row groups that can have rows in ``[start, end)``."""
        before, inside, after = self._parted(start, end)
        early, late = (
            [at for at in some if self._counted(at, start, end)[1]] for some in (before, after)
        )
        return [*early, *inside, *late] if early or late else inside

    def counted(self, start: int, end: int) -> tuple[int, int]:
        """Return how many rows are in ``[start, end)``: at least and at most."""
        before, inside, after = self._parted(start, end)
        least = most = self._rows_before[inside.stop] - self._rows_before[inside.start]
        for at in itertools.chain(before, after):
            some, of = self._counted(at, start, end)
            least += some
            most += of
        return least, most

    def _parted(self, start: int, end: int) -> tuple[range, range, range]:
        """Return the places of the row groups wholly in ``[start, end)``, and of those around.

        All others have no row in it.
        """
        first = bisect.bisect_left(self.firsts, start)
        last = max(first, bisect.bisect_left(self._latest, end))
        low = bisect.bisect_left(self._latest, start)
        high = bisect.bisect_left(self.firsts, end)
        return range(low, first), range(first, last), range(last, high)

    def _counted(self, at: int, start: int, end: int) -> tuple[int, int]:
        """Return how many rows of a row group are in ``[start, end)``: at least and at most."""
        first, last, rows = self.firsts[at], self.lasts[at], self.rows[at]
        if start <= first and last < end:
            return rows, rows
        if last < start or end <= first or self._is_gap(start, end):
            return 0, 0
        outside = (first < start) + (last >= end)
        return 2 - outside, rows - outside

    def _is_gap(self, start: int, end: int) -> bool:
        place = bisect.bisect_left(self._gaps, (start, 0)) - 1
        return place >= 0 and end <= self._gaps[place][1]


def choose_series(
    manifest: Manifest, settings: DatasetSettings, cut: PartitionSettings | None = None
) -> list[Series]:
    """Return the series that ``settings`` choose, sorted by type and identifier.

    With ``cut``, they have what can be in partitions of these settings.

    Raises ``UsageError`` for an instrument or type that the dataset does not have, and
    ``DataError`` when the dataset has no rows at all.
    """
    every = manifest.series()
    if not any(series.row_groups for series in every):
        raise DataError(
            "dataset: there are no rows of market data in it; add some with "
            "'trading-runtime data prepare'"
        )
    types = sorted({series.type for series in every})
    instruments = {series.instrument_id for series in every}
    instruments |= {item.id for item in manifest.instruments}
    _check("dataset.types", "type of data", settings.types, types)
    _check("dataset.instruments", "instrument", settings.instruments, sorted(instruments))
    chosen = [
        series
        for series in every
        if (settings.types is None or series.type in settings.types)
        and (settings.instruments is None or series.instrument_id in settings.instruments)
        and series.row_groups
    ]
    _check_all_present(settings, chosen)
    keys = [series.key for series in chosen]
    within = None if cut is None else _needed(chosen, cut)
    frame = None if cut is None else manifest.table_of(keys, within)
    table = None if frame is None else PieceTable.of(frame, chosen)
    files: dict[SeriesKey, list[DataFile]] = defaultdict(list)
    for file in () if table else manifest.files_of(keys, within):
        files[file.type, file.identifier].append(file)
    types_of = Counter(series.identifier for series in every)
    gaps: dict[str, list[Gap]] = defaultdict(list)
    # A gap names its series without the type: with two types it can belong to either.
    alone = {series.identifier for series in chosen if types_of[series.identifier] == 1}
    for gap in manifest.gaps_of(alone):
        gaps[gap.identifier].append((gap.after, gap.before))
    return [
        Series(
            type=series.type,
            identifier=series.identifier,
            instrument_id=series.instrument_id,
            pieces=table.pieces(number) if table else _pieces(files[series.key]),
            first=series.first,
            last=series.last,
            spacing=series.spacing,
            gaps=tuple(sorted(gaps[series.identifier])),
        )
        for number, series in enumerate(chosen)
    ]


def of_market[One: Series | SeriesTotals](chosen: Sequence[One]) -> list[One]:
    """Return the series whose rows a market makes: only these decide where windows are."""
    return [series for series in chosen if series.type != DataType.CUSTOM]


def _needed(chosen: Sequence[SeriesTotals], settings: PartitionSettings) -> Window:
    """Return the stretch in which the rows of all partitions are, warm-up included."""
    bounds = _Bounds.of(chosen, settings)
    warmup = parse_duration(settings.warmup) if settings.warmup else 0
    # A window may begin before the first row of the market and end after the last, and custom rows
    # may be there.
    start = min(series.first for series in chosen) if bounds.clip_start is None else bounds.start
    end = max(series.last for series in chosen) + 1 if bounds.clip_end is None else bounds.end
    # A funding rate that is sent at the end of a window belongs to it, too.
    return start - warmup, end + 1


def _pieces(files: list[DataFile]) -> tuple[Piece, ...]:
    pieces = ((file, group) for file in files for group in file.row_groups)
    return tuple(
        sorted(
            pieces,
            key=lambda piece: (piece[1].first, piece[1].last, piece[0].path, piece[1].offset),
        )
    )


def _check_all_present(settings: DatasetSettings, chosen: list[SeriesTotals]) -> None:
    have = {series.instrument_id for series in chosen}
    kinds = f" of type {', '.join(settings.types)}" if settings.types else ""
    for instrument in settings.instruments or ():
        if instrument not in have:
            raise UsageError(
                f"dataset.instruments: the dataset has no rows{kinds} for {instrument}; choose "
                "other types, or leave the instrument out"
            )
    if not chosen:
        raise UsageError(f"dataset.types: the dataset has no rows{kinds}; choose another type")
    if not of_market(chosen):
        raise UsageError(
            "dataset: custom rows alone make no market; add bars, trades or quotes to them"
        )


def _check(key: str, what: str, asked: Iterable[str] | None, known: list[str]) -> None:
    for name in asked or ():
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
            hint = f"did you mean {close[0]!r}? " if close else ""
            shown = ", ".join(known[:10]) + (", ..." if len(known) > 10 else "")  # noqa: PLR2004
            raise UsageError(
                f"{key}: the dataset has no {what} {name!r}; {hint}It has: {shown}"
                if hint
                else f"{key}: the dataset has no {what} {name!r}; it has: {shown}"
            )


MAX_WINDOWS = 200_000
"""Windows, empty ones included, that one experiment may have."""

Window = tuple[int, int]


class Partition(NamedTuple):
    """One window ``[start, end)`` on ``ts_init``; instants are nanoseconds since the epoch."""

    start: int
    end: int
    warmup_start: int
    """Where the warm-up data begins; equal to ``start`` without a warm-up."""
    instruments: tuple[str, ...]
    """Instruments of the chosen series that the task sees, sorted."""
    row_groups: Sequence[Piece]
    """What can have rows of warm-up and window, by type, identifier and time."""
    rows_min: int
    """Rows of the window, at least."""
    rows_max: int
    """Rows of the window, at most."""
    bytes: int
    """Size of ``row_groups``."""
    data_end: int | None
    """The last row of its instruments in the dataset, where the window is longer."""
    warmup_short: bool
    """Whether the data begins after ``warmup_start``, by more than its mean spacing."""


@dataclass(frozen=True, slots=True)
class PartitionList:
    """What a dataset is cut into."""

    partitions: tuple[Partition, ...]
    empty: tuple[EmptyWindow, ...]


def partitions(chosen: list[Series], partition_settings: PartitionSettings) -> PartitionList:
    """Cut the ``chosen`` series of a dataset into partitions, as the module's docstring says.

    Raises ``UsageError`` when the settings leave no rows, or make more than ``MAX_WINDOWS``
    windows.
    """
    bounds = _Bounds.of(chosen, partition_settings)
    warmup = parse_duration(partition_settings.warmup) if partition_settings.warmup else 0
    asked = []
    count = 0
    for group in _groups(chosen, partition_settings):
        windows = _windows(group, partition_settings, bounds)
        count += len(windows) or 1
        if count > MAX_WINDOWS:
            raise _too_many(count)
        names = tuple(sorted({series.instrument_id for series in group}))
        asked.append((names, group, windows))
    planned = [
        partition
        for names, group, windows in asked
        for partition in _partitions(
            group, names, windows, warmup, has_all=len(group) == len(chosen)
        )
    ]
    found = {(item.instruments, item.start) for item in planned}
    empty = [
        EmptyWindow(*window, names)
        for names, _, windows in asked
        for window in windows or [(bounds.start, bounds.end)]
        if (names, window[0]) not in found
    ]
    if not planned:
        raise UsageError(
            "partitions: no row is in any window from "
            f"{format_instant(bounds.start)} to {format_instant(bounds.end)}"
        )
    planned.sort(key=lambda item: (item.start, item.instruments))
    empty.sort(key=lambda item: (item.start, item.instruments))
    return PartitionList(tuple(planned), tuple(empty))


@dataclass(frozen=True, slots=True)
class _Bounds:
    """The requested range, or the data's own range if there is none."""

    start: int
    end: int
    clip_start: int | None
    clip_end: int | None

    @classmethod
    def of(cls, chosen: Sequence[Series | SeriesTotals], settings: PartitionSettings) -> _Bounds:
        market = of_market(chosen)
        first = min(series.first for series in market)
        last = max(series.last for series in market)
        start = parse_instant(settings.start) if settings.start else None
        end = parse_instant(settings.end) if settings.end else None
        if settings.last is not None:
            asked = min(last + 1, end or last + 1) - parse_duration(settings.last)
            calendar = calendar_windows(settings)
            # Where a window begins: windows do not move when data is appended.
            start = floor_day(asked) if calendar is None else calendar.start(calendar.index(asked))
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
    group = of_market(group)
    if not group:
        return []
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
    by_rows = settings.by is PartitionUnit.ROWS
    row_groups = sorted(
        (spans.firsts[at], spans.lasts[at], (spans.rows if by_rows else spans.bytes)[at])
        for spans in map(Spans, group)
        for at in spans.touching(bounds.start, bounds.end)
    )
    if not row_groups:
        return []
    cuts = [max(row_groups[0][0], bounds.start)]
    size = 0
    last = row_groups[0][1]
    for first, latest, amount in row_groups:
        if size >= settings.count and first > last:
            cuts.append(first)
            size = 0
        size += amount
        last = max(last, latest)
    cuts.append(min(last + 1, bounds.end))
    return list(itertools.pairwise(cuts))


def _partitions(
    group: list[Series],
    names: tuple[str, ...],
    windows: list[Window],
    warmup: int,
    *,
    has_all: bool,
) -> Iterator[Partition]:
    pieces = group[0].pieces
    last_row = max((series.last for series in of_market(group)), default=0)
    if not has_all or not isinstance(pieces, TablePieces):
        every = [(series, Spans(series)) for series in group]
        for window in windows:
            partition = _partition(every, names, window, warmup, last_row)
            if partition is not None:
                yield partition
        return
    cutter = Cutter(pieces.table, [series.gaps for series in group])
    for start, end in windows:
        cut = cutter.cut(start, end, start - warmup)
        if cut is not None:
            yield Partition(
                start=start,
                end=end,
                warmup_start=start - warmup,
                instruments=names,
                row_groups=cut.pieces,
                rows_min=cut.rows_min,
                rows_max=cut.rows_max,
                bytes=cut.bytes,
                data_end=last_row if last_row < end else None,
                warmup_short=cut.begins_late and warmup > 0,
            )


def _partition(
    every: list[tuple[Series, Spans]],
    names: tuple[str, ...],
    window: Window,
    warmup: int,
    last_row: int,
) -> Partition | None:
    start, end = window
    warmup_start = start - warmup
    chosen: list[tuple[Series, Sequence[int]]] = []
    rows_min = rows_max = size = 0
    short = has_market = False
    for series, spans in every:
        # A funding rate that is sent at the end and settles there belongs to this window, too.
        last = end + 1 if series.type == "funding_rates" else end
        touched = spans.touching(warmup_start, last)
        if not touched:
            continue
        chosen.append((series, touched))
        least, most = spans.counted(start, end)
        rows_min += least
        rows_max += most if last == end else spans.counted(start, last)[1]
        size += sum(map(spans.bytes.__getitem__, touched))
        short |= series.first - series.spacing > warmup_start
        has_market |= series.type != DataType.CUSTOM and most > 0
    if not has_market:
        return None
    return Partition(
        start=start,
        end=end,
        warmup_start=warmup_start,
        instruments=names,
        row_groups=_picked(chosen),
        rows_min=rows_min,
        rows_max=rows_max,
        bytes=size,
        data_end=last_row if last_row < end else None,
        warmup_short=short and warmup > 0,
    )


def _picked(chosen: list[tuple[Series, Sequence[int]]]) -> Sequence[Piece]:
    """Return the row groups at these places of each series."""
    if isinstance(chosen[0][0].pieces, TablePieces):
        return TablePieces.joined(
            [
                series.pieces.at(places)
                for series, places in chosen
                if isinstance(series.pieces, TablePieces)
            ]
        )
    return tuple(series.pieces[at] for series, places in chosen for at in places)


def _too_many(count: int) -> UsageError:
    return UsageError(
        f"partitions: {count:,} windows or more; at most {MAX_WINDOWS:,} are accepted: use longer "
        "windows, or a shorter stretch with start and end"
    )
