"""The files of one series made from its raw files, block by block, in bounded memory."""

from __future__ import annotations

import csv
import shutil
from collections import Counter
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

import polars as pl

from trading_runtime.datasets.books import deltas
from trading_runtime.datasets.catalog_files import (
    CatalogFile,
    SeriesWriter,
    index_file,
)
from trading_runtime.datasets.data_file import (
    BookDeltaSeries,
    CustomSeries,
    FundingSeries,
    PriceSeries,
    TradeSeries,
)
from trading_runtime.datasets.gaps import DEFAULT_TICK_GAP, NO_GAP, GapFinder, Gaps
from trading_runtime.datasets.manifest_entries import GapCounts, SeriesEntry
from trading_runtime.datasets.quality_gate import QualityGate, Standing, standing_of
from trading_runtime.datasets.row_checks import RowChecks, RowProblems
from trading_runtime.datasets.row_order import in_order_of_time
from trading_runtime.datasets.slices import folder_name
from trading_runtime.datasets.trade_ids import TradeIds
from trading_runtime.errors import DataError
from trading_runtime.units import parse_duration

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from trading_runtime.datasets.manifest_entries import (
        DataFile,
        ExcludedDay,
        LastSides,
        SeriesOrigin,
    )
    from trading_runtime.datasets.series_rows import SeriesSource
    from trading_runtime.datasets.stored_rows import StoredRows

QUARANTINE = "quarantine"
"""The folder of a dataset that keeps rows that were left out."""


@dataclass(frozen=True)
class MadeSeries:
    """The result of one series."""

    files: tuple[DataFile, ...]
    rows: int
    rounded: dict[str, int]
    snapped: dict[str, int]
    dropped: dict[str, int]
    """Rows that were left out, by reason."""
    gaps: Gaps
    known: int = 0
    """Rows that the dataset already had."""
    repeated: int = 0
    """Rows left out because the file before ended with the same row."""
    quarantined: tuple[ExcludedDay, ...] = ()
    """Days that the quality gate excluded, with their reasons."""
    admitted: Mapping[str, int] = field(default_factory=dict)
    """Days that it let through, each with the time of its first row."""
    last_sides: LastSides | None = None

    def entry(self, origin: SeriesOrigin, identifier: str) -> SeriesEntry:
        """Return what the manifest states of the series."""
        return SeriesEntry(
            settings=origin.settings,
            files=origin.files,
            identifier=identifier,
            rows=self.rows,
            rounded=self.rounded,
            gaps=GapCounts(self.gaps.count, self.gaps.longest, self.gaps.total),
            snapped=self.snapped,
            dropped=self.dropped,
            repeated={"rows": self.repeated} if self.repeated else {},
            quarantined=self.quarantined,
            last_sides=self.last_sides,
        )


def make_series(
    source: SeriesSource, dataset: Path, stored: StoredRows | None = None
) -> MadeSeries:
    """Write the rows of ``source`` into ``dataset`` and return the result.

    With ``stored``, only rows after the stored ones are written.

    Raises ``DataError`` for rows that are refused and ``UsageError`` for settings that do not fit;
    the caller has to remove what was written until then.
    """
    source.check()
    series = source.series
    # Series are made at the same time, so each has its own folder.
    scratch = dataset / f".scratch-{series.type}-{folder_name(source.identifier)}"
    problems = RowProblems(source.files, drops=series.on_bad_row == "drop")
    writer = SeriesWriter(source, dataset, stored.rows if stored is not None else 0)
    last = stored.last if stored is not None else None
    gaps = GapFinder(source.identifier, _usual_spacing(source), last)
    gate = _gate(source, stored)
    source.known_until = last
    has_ids = isinstance(series, TradeSeries) and series.columns.trade_id is not None
    ids = TradeIds(scratch / "ids") if has_ids else None
    try:
        frames = _kept(source, problems, scratch)
        if gate is not None:
            frames = gate.days(frames)
        if stored is not None:
            frames = _only_new(stored, frames, problems)
        for frame in frames:
            gaps.add(frame["ts"])
            if ids is not None:
                ids.take(frame)
            if not problems:
                writer.add(frame)
        if ids is not None:
            ids.check(problems, lambda: _again(source, scratch))
        if gate is not None and stored is not None:
            _refuse_torn(gate, stored, problems)
    finally:
        paths = writer.close()
        shutil.rmtree(scratch, ignore_errors=True)
    problems.refuse()
    quarantined = gate.quarantined if gate is not None else []
    if not writer.rows and stored is None and not quarantined:
        raise DataError(f"{source.files[0].name}: {_nothing_left(source, problems)}")
    return MadeSeries(
        files=tuple(index_file(CatalogFile.open(path), dataset, series.type) for path in paths),
        rows=writer.rows,
        rounded=source.rounded,
        snapped=source.snapped,
        dropped=_quarantine(source, problems, dataset, stored),
        gaps=gaps.found(),
        quarantined=tuple(quarantined),
        admitted=gate.admitted if gate is not None and stored is not None else {},
        known=stored.known if stored is not None else 0,
        repeated=problems.repeated,
        last_sides=source.sides.last,
    )


def _gate(source: SeriesSource, stored: StoredRows | None) -> QualityGate | None:
    if source.series.gate is None:
        return None
    if stored is None:
        return QualityGate(source.series.gate, source.series)
    before = partial(_standing, source, stored)
    return QualityGate(source.series.gate, source.series, before, stored.has_rows, stored.last)


def _refuse_torn(gate: QualityGate, stored: StoredRows, problems: RowProblems) -> None:
    """Record days whose first rows are in the dataset, and that fail the gate as a whole."""
    for torn in gate.torn:
        row = torn.rows.filter(pl.col("ts") > stored.last).head(1)
        problems.add(
            "torn day", int(row["file"][0]), row["row"],
            f"with the rows from here on, {torn.day} fails the quality gate "
            f"({'; '.join(torn.reasons)}), and the dataset has earlier rows of that day",
            "make the dataset again in another folder, which keeps the whole day out; append "
            "whole days",
        )  # fmt: skip


def _standing(source: SeriesSource, stored: StoredRows, first: int, since: int) -> Standing:
    tick = float(source.instrument.price_increment)
    return standing_of(stored.before(first, since), since, source.series.type, tick)


def _only_new(
    stored: StoredRows, frames: Iterable[pl.DataFrame], problems: RowProblems
) -> Iterator[pl.DataFrame]:
    for frame in frames:
        new = stored.only_new(frame, problems)
        if new.height:
            stored.check_ids(new, problems)
            yield new


def _kept(source: SeriesSource, problems: RowProblems, scratch: Path) -> Iterator[pl.DataFrame]:
    """Yield the rows that stay, in time order."""
    frames = source.frames(problems)
    if source.series.sort:
        frames = in_order_of_time(frames, scratch / "order")
    checks = RowChecks(source, problems)
    frames = map(checks.take, frames)
    if isinstance(source.series, FundingSeries | PriceSeries) and source.series.changes_only:
        frames = _changes(frames)
    if isinstance(source.series, BookDeltaSeries):
        frames = deltas(frames)
    for kept in frames:
        if kept.height:
            yield kept


def _changes(frames: Iterable[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    """Yield the rows whose values differ from the previous row's."""
    before: tuple[object, ...] | None = None
    for frame in frames:
        if not frame.height:
            continue
        values = frame.drop("ts", "ts_event", "file", "row", strict=False)
        changed = pl.any_horizontal(pl.all().ne_missing(pl.all().shift()))
        kept = values.select(changed=changed)["changed"]
        flags = kept.to_list()
        flags[0] = values.row(0) != before
        before = values.row(-1)
        yield frame.filter(pl.Series(flags))


def _again(source: SeriesSource, scratch: Path) -> Iterator[pl.DataFrame]:
    """Yield the rows once more, without counting or recording anything again."""
    problems = RowProblems(source.files, drops=source.series.on_bad_row == "drop")
    return _kept(replace(source, rounded={}, snapped={}), problems, scratch)


def _nothing_left(source: SeriesSource, problems: RowProblems) -> str:
    if source.series.where and not problems.dropped:
        wanted = ", ".join(f"{name} {value!r}" for name, value in source.series.where.items())
        return f"no row has {wanted}; see 'where' and 'split_by' in the data file"
    return f"no row can be used; the first is left out because {problems.dropped[0].reason}"


def _usual_spacing(source: SeriesSource) -> int:
    if source.series.report_gaps_above is not None:
        return parse_duration(source.series.report_gaps_above)
    if isinstance(source.series, CustomSeries):
        return NO_GAP
    return source.length.longest if source.length is not None else DEFAULT_TICK_GAP


def _quarantine(
    source: SeriesSource, problems: RowProblems, dataset: Path, stored: StoredRows | None
) -> dict[str, int]:
    """Write the rows that were left out, with location and reason, and return their number."""
    reasons: dict[tuple[int, int], str] = {}
    for bad in problems.dropped:
        if bad.row in source.known_rows.get(bad.file, ()):
            continue
        reasons.setdefault((bad.file, bad.row), bad.reason)
    if not reasons:
        return {}
    name = f"{source.series.type}-{folder_name(source.identifier)}"
    # A file that grew may have ended with such rows.
    may_be_known = stored is not None and any(at in source.known_rows for at, _ in reasons)
    known = stored.left_out(QUARANTINE, name) if stored is not None and may_be_known else set()
    counts: Counter[str] = Counter()
    path = dataset / QUARANTINE / f"{name}.csv"
    path.parent.mkdir(exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["file", "place", "reason", "row"])
        for index, raw in enumerate(source.files):
            rows = {row for at, row in reasons if at == index}
            for row, place, text in raw.records(rows):
                reason = reasons[index, row]
                left_out = raw.path.name, place, reason, text
                if index not in source.known_rows or left_out not in known:
                    writer.writerow(left_out)
                    counts[reason] += 1
    if not counts:
        path.unlink()
    return dict(sorted(counts.items()))
