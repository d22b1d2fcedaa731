"""Checks of rows: order, duplicates, prices that fit each other, and what is wrong where."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import polars as pl

from trading_runtime.datasets.data_file import BarSeries, TradeSeries
from trading_runtime.errors import DataError
from trading_runtime.units import format_duration, format_instant, parse_duration

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trading_runtime.datasets.raw_files import RawFile
    from trading_runtime.datasets.series_rows import SeriesRows


_MOST_KINDS = 8
_WIDTH = 40


@dataclass
class _Found:
    file: RawFile
    row: int
    message: str
    advice: str
    count: int


@dataclass
class RowProblems:
    """Collects what is wrong; files are to be looked at in their order."""

    _kinds: dict[str, _Found] = field(default_factory=dict)

    def add(
        self, kind: str, file: RawFile, rows: pl.Series, message: str, advice: str = ""
    ) -> None:
        """Record the wrong ``rows`` (indices, ascending) of a file; ``message`` is of the first."""
        if not len(rows):
            return
        found = self._kinds.get(kind)
        first = int(rows[0])
        if found is None:
            self._kinds[kind] = _Found(file, first, message, advice, len(rows))
            return
        found.count += len(rows)
        if found.file is file and first < found.row:
            found.row, found.message, found.advice = first, message, advice

    def __bool__(self) -> bool:
        """Whether anything is wrong."""
        return bool(self._kinds)

    def refuse(self) -> None:
        """Raise ``DataError`` with one line for each kind, if anything is wrong."""
        if not self._kinds:
            return
        lines = []
        for found in list(self._kinds.values())[:_MOST_KINDS]:
            more = f" (and {found.count - 1:,} more like it)" if found.count > 1 else ""
            advice = f"; {found.advice}" if found.advice else ""
            lines.append(f"{found.file.where(found.row)}: {found.message}{more}{advice}")
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
    """About the first of them."""
    advice: str = ""


def check_rows(rows: SeriesRows, problems: RowProblems) -> None:
    """Record in ``problems`` what is wrong between rows, and between the values of a row."""
    findings = [*_times(rows)]
    if isinstance(rows.series, TradeSeries):
        findings += _trade_ids(rows)
    elif isinstance(rows.series, BarSeries):
        findings += _bar_prices(rows)
    else:
        crossed = rows.frame["bid"] > rows.frame["ask"]
        findings.append(_Finding("crossed", crossed, "bid is above ask"))
    for finding in findings:
        found = rows.frame.filter(finding.wrong)
        for index in found["file"].unique(maintain_order=True):
            places = found.filter(pl.col("file") == index)["row"]
            file = rows.files[int(index)]
            problems.add(finding.kind, file, places, finding.message, finding.advice)


def _times(rows: SeriesRows) -> Iterator[_Finding]:
    series, times = rows.series, rows.frame["ts"]
    steps = times.diff()
    if at := _first(steps < 0):
        before, here = format_instant(times[at - 1]), format_instant(times[at])
        message = f"timestamp goes back from {before} ({_place(rows, at - 1)}) to {here}"
        yield _Finding("order", steps < 0, message, "sort the rows by time")
    if isinstance(series, BarSeries) and (at := _first(steps == 0)):
        bar = f"bar that closes at {format_instant(times[at])}"
        message = f"a second {bar}; the first is {_place(rows, at - 1)}"
        yield _Finding("duplicate", steps == 0, message, "keep one of them")
    if isinstance(series, BarSeries) and rows.length is not None:
        near = (steps > 0) & (steps < rows.length.shortest)
        if at := _first(near):
            after = f"{format_duration(int(steps[at]))} after the row above"
            message = f"{after}, less than a bar of {series.bar}"
            yield _Finding("too close", near, message, "see 'bar' in the data file")
    if series.max_gap is not None:
        wide = steps > parse_duration(series.max_gap)
        if at := _first(wide):
            empty = format_duration(int(steps[at]))
            yield _Finding(
                "gap", wide, f"no rows for {empty} before this one; 'max_gap' is {series.max_gap}"
            )


def _bar_prices(rows: SeriesRows) -> Iterator[_Finding]:
    lowest, highest = pl.min_horizontal("open", "close"), pl.max_horizontal("open", "close")
    crossed = pl.col("high") < pl.col("low")
    outside = ~crossed & ((lowest < pl.col("low")) | (highest > pl.col("high")))
    found = rows.frame.select(crossed=crossed, outside=outside)
    yield _Finding("high < low", found["crossed"], "high is below low")
    yield _Finding("outside", found["outside"], "open or close is not between low and high")


def _trade_ids(rows: SeriesRows) -> Iterator[_Finding]:
    ids = rows.frame["trade_id"]
    repeated = ~ids.is_first_distinct()
    if at := _first(repeated):
        first = _first(ids == ids[at]) or 0
        message = f"trade_id {shown(ids[at])} is already that of {_place(rows, first)}"
        yield _Finding("duplicate", repeated, message, "keep one of them")


def _first(wrong: pl.Series) -> int | None:
    """Return the index of the first true value, None when there is none."""
    return int(wrong.arg_max() or 0) if wrong.any() else None


def _place(rows: SeriesRows, at: int) -> str:
    return rows.files[int(rows.frame["file"][at])].where(int(rows.frame["row"][at]))
