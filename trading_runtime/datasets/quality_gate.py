"""The quality gate: whole UTC days that are excluded from a dataset, each with its reason."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import polars as pl

from trading_runtime.datasets.data_file import BarSeries
from trading_runtime.datasets.manifest_entries import ExcludedDay
from trading_runtime.units import (
    DAY,
    format_duration,
    format_instant,
    instant_text,
    parse_duration,
    parse_instant,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from trading_runtime.datasets.data_file import Series
    from trading_runtime.datasets.series_settings import Gate

_PRICE = {"bars": "close", "trades": "price", "mark_prices": "value", "index_prices": "value"}


class Standing(NamedTuple):
    """What a dataset has before the first row that is judged."""

    rows: int
    """Rows of the same day."""
    last: int | None
    """Time of the last of these."""
    price: float | None
    """The last price of all, in ticks."""


class TornDay(NamedTuple):
    """A day that fails with its new rows, and passed without them when it was added."""

    day: str
    reasons: tuple[str, ...]
    rows: pl.DataFrame


def gate_day(series: Series, ts: int) -> str:
    """Return the day that a row counts for: a bar that closes at midnight ends the day before."""
    return format_instant((ts - _shift(series)) // DAY * DAY)[:10]


def _shift(series: Series) -> int:
    return 1 if isinstance(series, BarSeries) else 0


def standing_of(rows: pl.DataFrame, since: int, kind: str, tick: float) -> Standing:
    """Return what stored ``rows`` in time order mean for a day that begins at ``since``."""
    times = rows["ts_init"].dt.epoch("ns")
    today = times.filter(times >= since)
    names = {"bid": "bid_price", "ask": "ask_price"} if kind == "quotes" else {}
    named = rows.rename({theirs: ours for ours, theirs in names.items()})
    prices = _prices(named, kind) if rows.height else None
    price = None if prices is None else float(prices[-1]) / tick
    return Standing(len(today), int(today[-1]) if len(today) else None, price)


def excluded_days(
    before: Sequence[ExcludedDay], new: Sequence[ExcludedDay], admitted: Mapping[str, int]
) -> tuple[ExcludedDay, ...]:
    """Return the days that are kept out after rows were added.

    ``admitted`` has the time of the first row of each day that passed. A day counts as judged again
    when its rows begin where they began before, or earlier; else rows of it are still missing.
    """
    days = {item.day: item for item in before}
    for day, first in admitted.items():
        old = days.get(day)
        if old is not None and (old.first is None or first <= parse_instant(old.first)):
            del days[day]
    for item in new:
        old = days.get(item.day)
        if old is None or old.first is None or (item.first or "") <= old.first:
            days[item.day] = item
            continue
        reasons = tuple(dict.fromkeys([*old.reasons, *item.reasons]))
        days[item.day] = replace(old, rows=old.rows + item.rows, reasons=reasons)
    return tuple(days[day] for day in sorted(days))


class QualityGate:
    """Lets through days that meet the gate's conditions."""

    def __init__(
        self,
        gate: Gate,
        series: Series,
        before: Callable[[int, int], Standing] | None = None,
        has_rows: Callable[[int, int], bool] = lambda _first, _end: False,
        known_until: int = 0,
    ) -> None:
        """``before`` returns what the dataset has of a day that begins at an instant, up to a row.

        Its arguments are the row's time and that instant. ``has_rows`` tells whether the dataset
        has rows from one instant to before another, and ``known_until`` is the time of its last.
        """
        self.quarantined: list[ExcludedDay] = []
        self.torn: list[TornDay] = []
        """Days that fail, and of which the dataset has rows already."""
        self.admitted: dict[str, int] = {}
        """The time of the first row of each day that passed."""
        self._gate = gate
        self._series = series
        self._kind: str = series.type
        self._before = before
        self._has_rows = has_rows
        self._known_until = known_until
        self._standing = Standing(0, None, None)
        self._last_price: float | None = None

    def days(self, frames: Iterable[pl.DataFrame]) -> Iterator[pl.DataFrame]:
        """Yield the rows of the days that pass; a day is held in memory until it has ended."""
        day: int | None = None
        parts: list[pl.DataFrame] = []
        for frame in frames:
            shift = _shift(self._series)
            if self._before is not None:
                first = int(frame["ts"][0])
                self._standing = self._before(first, (first - shift) // DAY * DAY + shift)
                self._last_price, self._before = self._standing.price, None
            for (key,), rows in frame.with_columns(
                day=(pl.col("ts") - shift) // DAY
            ).partition_by(
                "day", as_dict=True, include_key=False, maintain_order=True
            ).items():  # fmt: skip
                if key != day and parts:
                    yield from self._judged(int(day or 0), pl.concat(parts))
                    parts = []
                day = int(key)
                parts.append(rows)
        if parts:
            yield from self._judged(int(day or 0), pl.concat(parts))

    def _judged(self, day: int, rows: pl.DataFrame) -> Iterator[pl.DataFrame]:
        prices = _prices(rows, self._kind)
        reasons = list(self._reasons(rows, prices))
        self._standing = Standing(0, None, None)
        text, first = format_instant(day * DAY)[:10], int(rows["ts"][0])
        since = day * DAY + _shift(self._series)
        if not reasons:
            self.admitted[text] = first
        elif not self._has_rows(since, since + DAY):
            excluded = ExcludedDay(text, rows.height, tuple(reasons), instant_text(first))
            self.quarantined.append(excluded)
            return
        elif int(rows["ts"][-1]) > self._known_until:
            self.torn.append(TornDay(text, tuple(reasons), rows))
            return
        # A part of a day that the dataset has is compared with what is there.
        if prices is not None:
            self._last_price = float(prices[-1])
        yield rows

    def _reasons(self, rows: pl.DataFrame, prices: pl.Series | None) -> Iterator[str]:
        gate = self._gate
        count = rows.height + self._standing.rows
        if gate.min_rows_per_day is not None and count < gate.min_rows_per_day:
            yield f"{count:,} rows; min_rows_per_day is {gate.min_rows_per_day:,}"
        if gate.max_gap is not None:
            since = pl.Series([self._standing.last], dtype=pl.Int64)
            times = pl.concat([since, rows["ts"]]).drop_nulls()
            longest = int(times.diff().max() or 0)  # type: ignore[arg-type]
            if longest > parse_duration(gate.max_gap):
                yield f"no rows for {format_duration(longest)}; max_gap is {gate.max_gap}"
        if gate.max_spread is not None and self._kind == "quotes":
            middle = (rows["ask"] + rows["bid"]) / 2
            widest = float(((rows["ask"] - rows["bid"]) / middle).max() or 0)  # type: ignore[arg-type]
            if widest > gate.max_spread:
                yield f"a spread of {widest:.4g} of the price; max_spread is {gate.max_spread}"
        if gate.max_jump is not None and prices is not None:
            before = pl.Series([self._last_price], dtype=pl.Float64)
            chained = pl.concat([before, prices]).drop_nulls()
            jump = float((chained / chained.shift() - 1).abs().max() or 0)  # type: ignore[arg-type]
            if jump > gate.max_jump:
                yield f"a jump of {jump:.4g} of the price; max_jump is {gate.max_jump}"


def _prices(rows: pl.DataFrame, kind: str) -> pl.Series | None:
    if kind == "quotes":
        return ((rows["ask"] + rows["bid"]) / 2).cast(pl.Float64)
    name = _PRICE.get(kind)
    return rows[name].cast(pl.Float64) if name is not None else None
