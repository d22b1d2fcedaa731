"""Checks of rows: order, duplicates, consistent prices, and where each fault is."""

from __future__ import annotations

import datetime as dt
import zoneinfo
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import polars as pl

from trading_runtime.datasets.bar_lengths import local_offset
from trading_runtime.datasets.data_file import (
    BarSeries,
    BookDepthSeries,
    QuoteSeries,
    TradeSeries,
)
from trading_runtime.datasets.repeated_rows import RepeatedRows
from trading_runtime.datasets.splits import looks_split
from trading_runtime.datasets.time_formats import ISO, has_time_of_day
from trading_runtime.errors import DataError
from trading_runtime.units import format_duration, format_instant, parse_duration

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trading_runtime.datasets.bar_lengths import BarLength
    from trading_runtime.datasets.raw_files import RawFile
    from trading_runtime.datasets.series_rows import SeriesSource


_MOST_KINDS = 8
_WIDTH = 40


@dataclass
class _Found:
    file: int
    row: int
    message: str
    advice: str
    count: int


class BadRow(NamedTuple):
    """A row that is left out of the dataset."""

    file: int
    """Index among the files of the series."""
    row: int
    """From 0, in its file."""
    reason: str


@dataclass
class RowProblems:
    """Collects what is wrong with the rows of a series."""

    files: list[RawFile]
    drops: bool = False
    """Whether rows that are wrong on their own are left out instead of refused."""
    dropped: list[BadRow] = field(default_factory=list)
    repeated: int = 0
    """Rows left out because the file before ended with the same rows."""
    _kinds: dict[str, _Found] = field(default_factory=dict)

    def add(  # noqa: PLR0913 - a message and its place
        self,
        kind: str,
        file: int,
        rows: pl.Series,
        message: str,
        advice: str = "",
        *,
        reason: str | None = None,
    ) -> None:
        """Record the wrong ``rows`` (ascending indices) of a file; ``message`` is about the first.

        With a ``reason`` they can be left out; without one, they are a fault of the whole file.
        """
        if not len(rows):
            return
        if self.drops and reason is not None:
            self.dropped += [BadRow(file, int(row), reason) for row in rows]
            return
        if reason is not None and not advice:
            advice = "'on_bad_row: drop' leaves such rows out"
        found = self._kinds.get(kind)
        first = int(rows[0])
        if found is None:
            self._kinds[kind] = _Found(file, first, message, advice, len(rows))
            return
        found.count += len(rows)
        if (file, first) < (found.file, found.row):
            found.file, found.row, found.message, found.advice = file, first, message, advice

    def __bool__(self) -> bool:
        """Whether anything is wrong."""
        return bool(self._kinds)

    def refuse(self) -> None:
        """Raise ``DataError`` with one line for each kind, if anything is wrong."""
        if not self._kinds:
            return
        lines = []
        ordered = sorted(self._kinds.values(), key=lambda found: (found.file, found.row))
        for found in ordered[:_MOST_KINDS]:
            more = f" (and {found.count - 1:,} more like it)" if found.count > 1 else ""
            advice = f"; {found.advice}" if found.advice else ""
            place = self.files[found.file].where(found.row)
            lines.append(f"{place}: {found.message}{more}{advice}")
        raise DataError("\n".join(lines))


def shown(value: object) -> str:
    """Return a raw value as messages show it."""
    text = str(value)
    return repr(text if len(text) <= _WIDTH else f"{text[:_WIDTH]}...")


@dataclass(frozen=True)
class _Finding:
    """Rows that are wrong in one way."""

    kind: str
    wrong: pl.Series
    """True for a wrong row of the frame."""
    message: str
    """Describes the first of them."""
    advice: str = ""
    reason: str | None = None
    """Why the rows are left out; None for a fault of the whole file."""


class RowChecks:
    """Checks the rows of a series, block by block, and records what is wrong."""

    def __init__(self, source: SeriesSource, problems: RowProblems) -> None:
        self._source = source
        self._series = source.series
        self._problems = problems
        self._last: pl.DataFrame | None = None
        """The last row of the previous block, or all rows with its time."""
        self._may_split = (
            source.instrument.definition.type == "Equity" and self._series.splits is None
        )
        has_ids = (
            isinstance(self._series, TradeSeries) and self._series.columns.trade_id is not None
        )
        self._keeps_ids = problems.drops and has_ids
        self._may_repeat = has_ids or isinstance(self._series, BarSeries)
        repeated = RepeatedRows(source.files, problems, at_one_time=self._may_repeat)
        # In the order of time, rows of all files are mixed: equal ones follow each other.
        self._repeated = None if self._series.sort else repeated
        self._least_step = self._found_least_step()

    def _found_least_step(self) -> int | None:
        """Return the shortest time between rows; None when more than that is checked."""
        series = self._series
        if self._repeated is None or self._keeps_ids or series.max_gap is not None:
            return None
        if not isinstance(series, BarSeries):
            return 0
        if self._may_split:
            return None
        return self._source.length.shortest if self._source.length is not None else 1

    def take(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Record what is wrong between rows, and between the values of a row.

        Returns the rows that stay: all of them, unless wrong ones are to be left out.
        """
        frame = self._apply(frame, list(_values(self._series, frame)))
        if self._repeated is not None:
            frame = self._repeated.take(frame)
        last = self._last
        if self._is_in_order(frame):
            self._last = frame.tail(1)
            return frame
        chained = frame if last is None else pl.concat([last, frame], how="vertical_relaxed")
        if self._repeated is None:
            chained = self._without_repeated(chained)
        chained = self._apply(chained, list(self._times(chained)))
        kept = chained if last is None else chained.slice(last.height)
        if kept.height:
            at_last = pl.col("ts") == chained["ts"][-1]
            self._last = chained.filter(at_last) if self._keeps_ids else kept.tail(1)
        return kept

    def _is_in_order(self, frame: pl.DataFrame) -> bool:
        """Tell whether the rows follow each other, where nothing else is checked between them."""
        if self._least_step is None or not frame.height:
            return False
        times = frame["ts"].to_numpy()
        follows = self._last is None or int(times[0]) - self._last["ts"][0] >= self._least_step
        return follows and bool((np.diff(times) >= self._least_step).all())

    def _without_repeated(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Leave out and count rows with which a file repeats the row of the file before.

        Trades without ids stay: two may be alike.
        """
        files = frame["file"]
        if not self._may_repeat or not frame.height or files.min() == files.max():
            return frame
        values = [pl.col(name) for name in frame.columns if name not in {"file", "row"}]
        same = pl.all_horizontal(value.eq_missing(value.shift()) for value in values)
        other = pl.col("file") != pl.col("file").shift()
        again = frame.select(again=(same & other).fill_null(value=False))["again"]
        self._problems.repeated += int(again.sum())
        return frame.filter(~again)

    def _apply(self, frame: pl.DataFrame, findings: list[_Finding]) -> pl.DataFrame:
        wrong: pl.Series | None = None
        for finding in findings:
            if not finding.wrong.any():
                continue
            found = frame.filter(finding.wrong.fill_null(value=False))
            for index in found["file"].unique(maintain_order=True):
                places = found.filter(pl.col("file") == index)["row"]
                self._problems.add(
                    finding.kind, int(index), places, finding.message, finding.advice,
                    reason=finding.reason,
                )  # fmt: skip
            if finding.reason is not None:
                wrong = finding.wrong if wrong is None else wrong | finding.wrong
        if wrong is None or not self._problems.drops:
            return frame
        return frame.filter(~wrong.fill_null(value=False))

    def _times(self, frame: pl.DataFrame) -> Iterator[_Finding]:
        series, times = self._series, frame["ts"]
        steps = times.diff()
        if at := _first(steps < 0):
            before, here = format_instant(times[at - 1]), format_instant(times[at])
            message = f"timestamp goes back from {before} ({self._place(frame, at - 1)}) to {here}"
            yield _Finding(
                "order", steps < 0, message, "sort the rows by time, or set 'sort: true'"
            )
        if isinstance(series, BarSeries) and (at := _first(steps == 0)):
            bar = f"bar that closes at {format_instant(times[at])}"
            message = f"a second {bar}; the first is {self._place(frame, at - 1)}"
            advice = "keep one of them"
            if not has_time_of_day(series.timestamp_format) and series.timestamp_format != ISO:
                advice = (
                    "a time of day in a column of its own is read with 'timestamp: [date, time]'"
                )
            yield _Finding("duplicate", steps == 0, message, advice, "a second bar")
        if isinstance(series, BarSeries) and self._source.length is not None:
            near = (steps > 0) & (steps < self._source.length.shortest)
            if at := _first(near):
                after = f"{format_duration(int(steps[at]))} after the row above"
                message = f"{after}, less than a bar of {series.bar}"
                yield _Finding("too close", near, message, "correct 'bar' (--bar)")
        if series.max_gap is not None:
            wide = steps > parse_duration(series.max_gap)
            if at := _first(wide):
                empty = format_duration(int(steps[at]))
                yield _Finding(
                    "gap", wide,
                    f"no rows for {empty} before this one; 'max_gap' is {series.max_gap}",
                )  # fmt: skip
        if isinstance(series, BarSeries) and self._may_split:
            yield from _splits(frame, series, self._source.length)
        if self._keeps_ids:
            again = ~frame.select(first=pl.struct("ts", "trade_id").is_first_distinct())["first"]
            what = "a trade id that came before at the same time"
            yield _Finding("same id", again, what, "", what)

    def _place(self, frame: pl.DataFrame, at: int) -> str:
        return self._source.files[int(frame["file"][at])].where(int(frame["row"][at]))


def _splits(frame: pl.DataFrame, series: BarSeries, length: BarLength | None) -> Iterator[_Finding]:
    split, ratio = looks_split(frame["open"], frame["close"])
    if (at := _first(split)) is not None:
        time = int(frame["ts"][at])
        # 'splits' goes by the times in the file and its zone.
        zone, written = zoneinfo.ZoneInfo(series.time_zone), time - 1
        if series.timestamp_marks == "open" and length is not None:
            written = time - length.longest
            if length.calendar_step is not None:
                closes = pl.Series([time])
                written = local_offset(closes, f"-{length.calendar_step}", series.time_zone)[0]
        day = dt.datetime.fromtimestamp(written // 10**9, zone).date().isoformat()
        yield _Finding(
            "split", split,
            f"the bar that closes at {format_instant(time)} opens at a split of {ratio} of the "
            "close before",
            f"set 'splits: {{\"{day}\": {ratio}}}' with the first day of the new price, or "
            "'splits: {}' when the prices are right",
        )  # fmt: skip


def _values(series: object, frame: pl.DataFrame) -> Iterator[_Finding]:
    if isinstance(series, QuoteSeries):
        crossed = frame["bid"] > frame["ask"]
        yield _Finding("crossed", crossed, "bid is above ask", "", "bid is above ask")
    if isinstance(series, BookDepthSeries):
        yield from _levels(series, frame)
    if not isinstance(series, BarSeries):
        return
    lowest, highest = pl.min_horizontal("open", "close"), pl.max_horizontal("open", "close")
    below = pl.col("high") < pl.col("low")
    outside = ~below & ((lowest < pl.col("low")) | (highest > pl.col("high")))
    found = frame.select(below=below, outside=outside)
    message = "high is below low"
    yield _Finding("high < low", found["below"], message, "", message)
    message = "open or close is not between low and high"
    yield _Finding("outside", found["outside"], message, "", message)


def _levels(series: BookDepthSeries, frame: pl.DataFrame) -> Iterator[_Finding]:
    crossed = (frame["bid_price_0"] > frame["ask_price_0"]).fill_null(value=False)
    yield _Finding("crossed", crossed, "bid is above ask", "", "bid is above ask")
    wrong = pl.lit(value=False)
    for at in range(1, series.levels):
        bid, ask = pl.col(f"bid_price_{at}"), pl.col(f"ask_price_{at}")
        wrong |= (bid >= pl.col(f"bid_price_{at - 1}")).fill_null(value=False)
        wrong |= (ask <= pl.col(f"ask_price_{at - 1}")).fill_null(value=False)
    message = "levels are not in order, the best first"
    yield _Finding("levels", frame.with_columns(wrong=wrong)["wrong"], message, "", message)


def _first(wrong: pl.Series) -> int | None:
    """Return the index of the first true value, None when there is none."""
    return int(wrong.arg_max() or 0) if wrong.any() else None
