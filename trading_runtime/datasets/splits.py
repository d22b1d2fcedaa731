"""Stock splits: rows before a split are adjusted to it, and forgotten splits are detected."""

from __future__ import annotations

import datetime as dt
import zoneinfo
from fractions import Fraction
from typing import TYPE_CHECKING

import polars as pl

from trading_runtime.datasets.data_file import BarSeries

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trading_runtime.datasets.data_file import Series

_LEAST_RATIO, _GREATEST_RATIO = 2, 50
_CLOSE_TO_A_RATIO = 0.05
"""How far the price on a split's day may be from the previous one after applying the ratio."""
_THREE_FOR_TWO, _CLOSE_TO_THREE_FOR_TWO = Fraction(3, 2), 0.02
"""A price falls by a third more often than by half, so this is looked for more closely."""


def factors(series: Series, times: pl.Series) -> list[tuple[Fraction, pl.Series]]:
    """Return the divisors of the rows' prices, and the rows that they apply to.

    ``times`` are those in the file, nanoseconds.
    """
    if not series.splits:
        return []
    is_close = isinstance(series, BarSeries) and series.timestamp_marks == "close"
    zone = zoneinfo.ZoneInfo(series.time_zone)
    found: list[tuple[Fraction, pl.Series]] = []
    days = sorted(series.splits)
    factor = Fraction(1)
    until: int | None = None
    # From the last split back: rows before it have its factor, rows before earlier splits several.
    for day in reversed(days):
        midnight = dt.datetime.fromisoformat(day).replace(tzinfo=zone)
        end = int(midnight.timestamp()) * 10**9 + int(is_close)
        if until is not None:
            found.append((factor, (times >= end) & (times < until)))
        factor *= Fraction(series.splits[day])
        until = end
    found.append((factor, times < until))
    return found


def adjusted(
    ticks: pl.Series, by: Sequence[tuple[Fraction, pl.Series]], *, is_price: bool
) -> tuple[pl.Series, int]:
    """Return prices divided, or sizes multiplied, and how many had to be rounded, half to even."""
    rounded = 0
    for factor, rows in by:
        times, divisor = factor.denominator, factor.numerator
        if not is_price:
            times, divisor = divisor, times
        value = pl.col("ticks").cast(pl.Int128) * times
        whole, rest = value // divisor, value % divisor
        up = (rest * 2 > divisor) | ((rest * 2 == divisor) & (whole % 2 == 1))
        frame = pl.DataFrame({"ticks": ticks, "is_before": rows}).select(
            ticks=pl.when("is_before")
            .then((whole + up.cast(pl.Int128)).cast(ticks.dtype))
            .otherwise("ticks"),
            is_rounded=pl.col("is_before") & (rest != 0),
        )
        ticks = frame["ticks"]
        rounded += int(frame["is_rounded"].sum())
    return ticks, rounded


def looks_split(opens: pl.Series, closes: pl.Series) -> tuple[pl.Series, str]:
    """Return which bars open at a fraction or multiple of the close before, as after a split.

    Also return the ratio of the first, in the form of ``splits``.
    """
    ratios = closes.shift().cast(pl.Float64) / opens.cast(pl.Float64)
    is_reverse = ratios < 1
    whole = pl.select(pl.when(is_reverse).then(1 / ratios).otherwise(ratios)).to_series()
    nearest = whole.round()
    is_whole = nearest.is_between(_LEAST_RATIO, _GREATEST_RATIO) & (
        (whole / nearest - 1).abs() < _CLOSE_TO_A_RATIO
    )
    # Not the other way round: hardly any company makes two shares of three.
    is_three_for_two = (ratios / float(_THREE_FOR_TWO) - 1).abs() < _CLOSE_TO_THREE_FOR_TWO
    wrong = (is_whole | is_three_for_two).fill_null(value=False)
    if not wrong.any():
        return wrong, ""
    at = int(wrong.arg_max() or 0)
    ratio = _THREE_FOR_TWO if is_three_for_two[at] else Fraction(int(nearest[at]))
    text = str(1 / ratio if is_reverse[at] else ratio)
    return wrong, f'"{text}"' if "/" in text else text
