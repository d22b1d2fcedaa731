"""Exchange rates between the currencies of a task, from the prices that the engine has seen."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from nautilus_trader.model import AggregationSource, Currency, PriceType, Venue

from trading_runtime.errors import DataError

if TYPE_CHECKING:
    from nautilus_trader.common import Cache


class Rates:
    """Rates at the engine's current instant, in one venue."""

    def __init__(self, cache: Cache, venue: Venue) -> None:
        self._cache = cache
        self._venue = venue

    def convert(self, amount: Decimal, source: str, target: str) -> Decimal:
        """Return ``amount`` of currency ``source`` in ``target``, at the latest price.

        Raises ``DataError`` when no instrument of the task gives the rate.
        """
        if source == target or not amount:
            return amount
        rate = self.rate(source, target)
        if rate is None:
            raise DataError(
                f"no exchange rate from {source} to {target}: add an instrument with data that "
                f"trades one for the other, or set statistics.currency to {source}"
            )
        return amount * rate

    def rate(self, source: str, target: str) -> Decimal | None:
        """Return the price of one ``source`` in ``target``, or ``None`` when it is not known."""
        for instrument in sorted(self._cache.instruments(self._venue), key=lambda i: str(i.id)):
            base = getattr(instrument, "base_currency", None)
            pair = (base and base.code, instrument.quote_currency.code)
            if pair in ((source, target), (target, source)):
                price = latest_price(self._cache, instrument)
                if price:
                    return price if pair == (source, target) else 1 / price
        known = self._cache.get_xrate(
            self._venue, Currency.from_str(source), Currency.from_str(target), PriceType.MID
        )
        return Decimal(repr(known)) if known else None


def latest_price(cache: Cache, instrument: Any) -> Decimal | None:
    """Return the latest mid price, else the last trade's, else the close of the last bar."""
    for price_type in (PriceType.MID, PriceType.LAST):
        price = cache.price(instrument.id, price_type)
        if price is not None:
            return price.as_decimal()
    bars = [
        cache.bar(bar_type)
        for bar_type in cache.bar_types(AggregationSource.EXTERNAL, instrument.id)
    ]
    latest = max((bar for bar in bars if bar is not None), key=lambda b: b.ts_init, default=None)
    return None if latest is None else latest.close.as_decimal()
