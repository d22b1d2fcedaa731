"""How long a bar is, by its specification."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

from trading_runtime.units import DAY, NANOSECONDS

_FIXED = {
    "MILLISECOND": NANOSECONDS["ms"],
    "SECOND": NANOSECONDS["s"],
    "MINUTE": NANOSECONDS["m"],
    "HOUR": NANOSECONDS["h"],
}
# In local time a day can have 25 hours, and a month 28 to 31 days.
_CALENDAR = {
    "DAY": ("d", DAY, 3_600 * 10**9),
    "WEEK": ("w", 7 * DAY, 3_600 * 10**9),
    "MONTH": ("mo", 28 * DAY, 3 * DAY + 3_600 * 10**9),
    "YEAR": ("y", 365 * DAY, DAY + 3_600 * 10**9),
}


@dataclass(frozen=True)
class BarLength:
    """The length of bars over time."""

    shortest: int
    """Nanoseconds."""
    longest: int
    """Nanoseconds; more than the shortest for calendar units."""
    calendar_step: str | None
    """For days and longer: the step in local time of the bars' zone, such as ``1d`` or ``1mo``."""


def bar_length(specification: str, zone: str) -> BarLength | None:
    """Return the length of bars, or None when they are not cut by time (ticks, volume, ...)."""
    step_text, unit, _ = specification.split("-")
    step = int(step_text)
    if unit in _FIXED:
        length = step * _FIXED[unit]
        return BarLength(length, length, None)
    if unit in _CALENDAR:
        sign, shortest, slack = _CALENDAR[unit]
        if zone == "UTC" and unit in {"DAY", "WEEK"}:
            slack = 0
        change = 3_600 * 10**9 if zone != "UTC" else 0
        return BarLength(step * shortest - change, step * (shortest + slack), f"{step}{sign}")
    return None


def local_offset(ns: pl.Series, step: str, zone: str) -> pl.Series:
    """Return times moved by calendar units such as ``1d`` or ``1mo`` in local time of ``zone``.

    The first instant of a day counts as its midnight, also where the clocks skip that.
    """
    import polars as pl

    local = ns.cast(pl.Datetime("ns", "UTC")).dt.convert_time_zone(zone).dt.replace_time_zone(None)
    days = local.dt.truncate("1d")
    is_first = instants_of_local(days, zone) == ns
    begins = pl.select(pl.when(is_first).then(days).otherwise(local)).to_series()
    return instants_of_local(begins.dt.offset_by(step), zone)


def instants_of_local(local: pl.Series, zone: str) -> pl.Series:
    """Return the instants, nanoseconds, of local times of ``zone``.

    A midnight is the first instant of its day, also where the clocks skip it or show it twice.
    Other times that are skipped are as long after the day before, and the later of two is meant.
    """
    import polars as pl

    moments = local.dt.replace_time_zone(zone, ambiguous="latest", non_existent="null")
    firsts = local.dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null")
    eve = local.dt.offset_by("-1d").dt.replace_time_zone(
        zone, ambiguous="latest", non_existent="null"
    )
    is_midnight = local.dt.truncate("1d") == local
    return pl.select(
        pl.when(moments.is_null())
        .then(eve.dt.epoch("ns") + DAY)
        .when(is_midnight)
        .then(firsts.dt.epoch("ns"))
        .otherwise(moments.dt.epoch("ns"))
    ).to_series()
