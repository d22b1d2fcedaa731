"""What holding positions overnight costs or earns: swap, and borrowing fees for short positions."""

from __future__ import annotations

import datetime as dt
import functools
import zoneinfo
from typing import TYPE_CHECKING, Any

from nautilus_trader.model import Price

from trading_runtime.engine.accounting.cash_flows import CashFlow
from trading_runtime.engine.accounting.valuation import latest_price
from trading_runtime.errors import DataError
from trading_runtime.units import DAY, parse_instant

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from decimal import Decimal

    from nautilus_trader.common import Cache
    from nautilus_trader.model import Currency, Venue

    from trading_runtime.records.inputs import SwapInputs

SWAP = "swap"
_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_THREE = 3
_EPOCH = dt.date(1970, 1, 1).toordinal()


def charging_instants(settings: SwapInputs, start: int, end: int) -> Iterable[tuple[int, int]]:
    """Yield (instant, days charged) after ``start`` and up to ``end``, in time order.

    With a ``triple_day`` three days are charged then, and none on Saturday and Sunday. When clocks
    change, a time that is skipped counts as much later, and one that is repeated the first time.
    """
    time = dt.time.fromisoformat(settings.time)
    zone = zoneinfo.ZoneInfo(settings.time_zone)
    triple = settings.triple_day
    # A zone's day begins up to a day before or after that of UTC.
    for number in range(start // DAY - 1, end // DAY + 2):
        day = dt.date.fromordinal(_EPOCH + number)
        instant = parse_instant(dt.datetime.combine(day, time, zone).isoformat())
        weekday = _WEEKDAYS[day.weekday()]
        days = 1
        if triple is not None:
            days = 0 if weekday in _WEEKDAYS[5:] else _THREE if weekday == triple else 1
        if start < instant <= end and days:
            yield instant, days


def swaps(
    settings: SwapInputs, venue: Venue, window: tuple[int, int], cache: Cache
) -> Iterator[CashFlow]:
    """Yield what the positions of a venue are charged at each instant of a window."""
    for instant, days in charging_instants(settings, *window):
        yield CashFlow(instant, SWAP, venue, functools.partial(_charge, settings, days, cache))


def _charge(
    settings: SwapInputs, days: int, cache: Cache, position: Any, instrument: Any
) -> tuple[Decimal, Currency] | None:
    rates = settings.rates.get(str(instrument.id))
    if rates is None:
        return None
    price = latest_price(cache, instrument)
    if price is None:
        raise DataError(f"swap of {instrument.id}: no price is known when it is due")
    value = instrument.notional_value(position.quantity, Price.from_decimal(price))
    rate = rates.short if position.is_short else rates.long
    if settings.per == "year":
        rate /= settings.days_in_year
    return abs(value.as_decimal()) * rate * days, value.currency
