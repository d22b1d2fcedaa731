"""Cash dividends: who holds a share before its price goes without the dividend receives it."""

from __future__ import annotations

import datetime as dt
import functools
import zoneinfo
from typing import TYPE_CHECKING, Any

from trading_runtime.engine.accounting.cash_flows import CashFlow
from trading_runtime.units import parse_instant

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from decimal import Decimal

    from nautilus_trader.model import Currency, Venue

    from trading_runtime.records.inputs import DividendInputs

DIVIDENDS = "dividends"


def dividends(
    settings: DividendInputs,
    venue: Venue,
    window: tuple[int, int],
    first_row: Callable[[str, int], int | None],
) -> Iterator[CashFlow]:
    """Yield what the positions of a venue receive in a window, and pay if they are short.

    A dividend is due before the first row of its instrument on the ex-date or later, at which the
    price goes without it. ``first_row`` returns that of an instrument after an instant, ``None`` if
    there is none: then the price is still the one with the dividend, and nothing is due.
    """
    start, end = window
    zone = zoneinfo.ZoneInfo(settings.time_zone)
    for name, amounts in settings.amounts.items():
        for day, per_share in amounts.items():
            midnight = dt.datetime.combine(dt.date.fromisoformat(day), dt.time(), zone)
            # A row at midnight belongs to the day that ends there.
            first = first_row(name, parse_instant(midnight.isoformat()))
            if first is not None and start < first - 1 and first < end:
                amount = functools.partial(_received, name, per_share)
                yield CashFlow(first - 1, DIVIDENDS, venue, amount)


def _received(
    name: str, per_share: Decimal, position: Any, instrument: Any
) -> tuple[Decimal, Currency] | None:
    if str(instrument.id) != name:
        return None
    units = position.quantity.as_decimal() * instrument.multiplier.as_decimal()
    received = units * per_share
    return -received if position.is_short else received, instrument.quote_currency
