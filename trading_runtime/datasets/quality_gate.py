"""The quality gate: whole UTC days that are excluded from a dataset, each with its reason."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from trading_runtime.datasets.manifest_entries import ExcludedDay
from trading_runtime.units import DAY, format_duration, format_instant, parse_duration

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from trading_runtime.datasets.series_settings import Gate

_PRICE = {"bars": "close", "trades": "price", "mark_prices": "value", "index_prices": "value"}


class QualityGate:
    """Lets through days that meet the gate's conditions."""

    def __init__(self, gate: Gate, kind: str) -> None:
        self.quarantined: list[ExcludedDay] = []
        self._gate = gate
        self._kind = kind
        self._last_price: float | None = None

    def days(self, frames: Iterable[pl.DataFrame]) -> Iterator[pl.DataFrame]:
        """Yield the rows of the days that pass; a day is held in memory until it has ended."""
        day: int | None = None
        parts: list[pl.DataFrame] = []
        for frame in frames:
            for (key,), rows in frame.with_columns(day=pl.col("ts") // DAY).partition_by(
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
        if not reasons:
            if prices is not None:
                self._last_price = float(prices[-1])
            yield rows
            return
        text = format_instant(day * DAY)[:10]
        self.quarantined.append(ExcludedDay(text, rows.height, tuple(reasons)))

    def _reasons(self, rows: pl.DataFrame, prices: pl.Series | None) -> Iterator[str]:
        gate = self._gate
        if gate.min_rows_per_day is not None and rows.height < gate.min_rows_per_day:
            yield f"{rows.height:,} rows; min_rows_per_day is {gate.min_rows_per_day:,}"
        if gate.max_gap is not None:
            longest = int(rows["ts"].diff().max() or 0)  # type: ignore[arg-type]
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
