"""Exchange rates between the currencies of a task, from the prices that the engine has seen."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import TYPE_CHECKING, Any

from nautilus_trader.model import AggregationSource, Currency, PriceType, Venue

from trading_runtime.errors import DataError

if TYPE_CHECKING:
    from nautilus_trader.common import Cache


EXACT = Context(prec=60, rounding=ROUND_HALF_EVEN)
"""For sums and rates: a strategy may have changed the context that is in force."""


def missing_rate(source: str, target: str) -> DataError:
    """Return the error for a rate that no instrument of the task gives."""
    return DataError(
        f"no exchange rate from {source} to {target}: add an instrument with data that trades one "
        f"for the other to dataset.instruments, or state all amounts in one currency"
    )


class SingleCurrencyAccount:
    """The engine's own conversions into the base currency of a single-currency account.

    The engine converts with quotes alone. Where it has none it denies orders that need margin; for
    others it leaves profit, loss and fees out of the balance, and says so in its log only.
    """

    def __init__(self, cache: Cache, venue: Venue, base: str) -> None:
        self._cache = cache
        self._venue = venue
        self._base = base

    def check_order(self, instrument_id: Any) -> None:
        """Raise ``DataError`` when the engine could not convert what trading it makes."""
        instrument = self._cache.instrument(instrument_id)
        if instrument is None:
            return
        currency = getattr(instrument, "settlement_currency", None) or instrument.quote_currency
        if currency.code != self._base and not self._cache.get_xrate(
            self._venue, currency, Currency.from_str(self._base), PriceType.MID
        ):
            raise DataError(
                f"no exchange rate from {currency.code} to {self._base} when {instrument_id} is "
                f"traded: a single-currency account converts with quotes alone (not bars or "
                f"trades); add quotes that give the rate, or leave venue.base_currency out"
            )

    def check_orders(self) -> None:
        """Check all orders of the task, as ``check_order`` does one before it is sent."""
        traded = {order.instrument_id for order in self._cache.orders()}
        for instrument_id in sorted(traded, key=str):
            self.check_order(instrument_id)


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
            raise missing_rate(source, target)
        return amount * rate

    def rate(self, source: str, target: str) -> Decimal | None:
        """Return the price of one ``source`` in ``target``, or ``None`` when it is not known.

        Taken from an instrument that trades one for the other, else by way of a third currency.
        """
        prices = self._prices()
        if (direct := _direct(prices, source, target)) is not None:
            return direct
        for pair in prices:
            if source in pair:
                between = pair[1] if pair[0] == source else pair[0]
                first, second = _direct(prices, source, between), _direct(prices, between, target)
                if first is not None and second is not None:
                    return first * second
        known = self._cache.get_xrate(
            self._venue, Currency.from_str(source), Currency.from_str(target), PriceType.MID
        )
        return Decimal(repr(known)) if known else None

    def _prices(self) -> dict[tuple[str, str], Decimal]:
        """Return the latest price by pair (base, quote), of the first instrument that has it."""
        prices: dict[tuple[str, str], Decimal] = {}
        for instrument in sorted(self._cache.instruments(self._venue), key=lambda i: str(i.id)):
            base = getattr(instrument, "base_currency", None)
            if base is not None and (price := latest_price(self._cache, instrument)):
                prices.setdefault((base.code, instrument.quote_currency.code), price)
        return prices


def _direct(prices: dict[tuple[str, str], Decimal], source: str, target: str) -> Decimal | None:
    if (source, target) in prices:
        return prices[source, target]
    return 1 / prices[target, source] if (target, source) in prices else None


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
