"""Fills and positions in the statistics currency, whatever currency the instrument trades in."""

from __future__ import annotations

from bisect import bisect_right
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import TYPE_CHECKING, Any

from nautilus_trader.model import AggregationSource, Position, PriceType, Venue

from trading_runtime.engine.instruments.currencies import currency as known_currency
from trading_runtime.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from nautilus_trader.common import Cache


DECIMAL_PLACES = 16
_SCALE = Decimal(1).scaleb(-DECIMAL_PLACES)


def exact(value: Decimal) -> Decimal:
    """Return ``value`` with the stored 16 decimal places, rounded half to even."""
    return value.quantize(_SCALE, context=EXACT)


def to_raw(value: Decimal) -> int:
    """Return ``value`` as it is stored."""
    return int(exact(value).scaleb(DECIMAL_PLACES, EXACT))


def from_raw(raw: int) -> Decimal:
    """Return the amount that ``raw`` encodes."""
    return Decimal(raw).scaleb(-DECIMAL_PLACES, EXACT)


EXACT = Context(prec=60, rounding=ROUND_HALF_EVEN)
"""For sums and rates: a strategy may have changed the active context."""


def missing_rate(source: str, target: str) -> DataError:
    """Return the error for a rate that no instrument of the task provides."""
    return DataError(
        f"no exchange rate from {source} to {target}: add an instrument with data that trades one "
        f"for the other to dataset.instruments, or state all amounts in one currency"
    )


class SingleCurrencyAccounts:
    """The engine's own conversions into the base currencies of single-currency accounts.

    The engine converts with quotes, or bars of bid and ask; ``rate_rows`` makes quotes of other
    prices. Without any it denies orders that need margin; for others it leaves profit, loss and
    fees out of the balance, and reports that only in its log.
    """

    def __init__(self, cache: Cache, bases: Mapping[Venue, str]) -> None:
        self._cache = cache
        self._bases = bases

    def check_order(self, instrument_id: Any) -> None:
        """Raise ``DataError`` when the engine could not convert the proceeds of trading it."""
        instrument, base = (
            self._cache.instrument(instrument_id),
            self._bases.get(instrument_id.venue),
        )
        if instrument is None or base is None:
            return
        currency = getattr(instrument, "settlement_currency", None) or instrument.quote_currency
        if currency.code != base and not self._cache.get_xrate(
            instrument_id.venue, currency, known_currency(base), PriceType.MID
        ):
            raise DataError(
                f"no exchange rate from {currency.code} to {base} is known when {instrument_id} is "
                f"traded: add an instrument with data that trades one for the other, or leave "
                f"venue.base_currency out and hold a balance in {currency.code} that covers margin"
            )

    def check_orders(self) -> None:
        """Check all orders of the task, as ``check_order`` checks one before it is sent."""
        traded = {order.instrument_id for order in self._cache.orders()}
        for instrument_id in sorted(traded, key=str):
            self.check_order(instrument_id)


class Rates:
    """Rates at the engine's current instant, from instruments of all venues."""

    def __init__(self, cache: Cache, venues: Sequence[Venue]) -> None:
        self._cache = cache
        self._venues = venues

    def convert(self, amount: Decimal, source: str, target: str) -> Decimal:
        """Return ``amount`` of currency ``source`` in ``target``, at the latest price.

        Raises ``DataError`` when no instrument of the task provides the rate.
        """
        if source == target or not amount:
            return amount
        rate = self.rate(source, target)
        if rate is None:
            raise missing_rate(source, target)
        return amount * rate

    def rate(self, source: str, target: str) -> Decimal | None:
        """Return the price of one ``source`` in ``target``, or ``None`` when it is not known.

        Taken from an instrument that trades one for the other, else through a third currency.
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
        for venue in self._venues:
            known = self._cache.get_xrate(
                venue, known_currency(source), known_currency(target), PriceType.MID
            )
            if known:
                return Decimal(repr(known))
        return None

    def _prices(self) -> dict[tuple[str, str], Decimal]:
        """Return the latest price by pair (base, quote), from the first instrument that has it."""
        prices: dict[tuple[str, str], Decimal] = {}
        instruments = [item for venue in self._venues for item in self._cache.instruments(venue)]
        for instrument in sorted(instruments, key=lambda item: str(item.id)):
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


class RateHistory:
    """Rates to the statistics currency, recorded while the engine runs."""

    def __init__(self, rates: Rates, currencies: set[str], target: str) -> None:
        self._rates = rates
        self._currencies = sorted(currencies - {target})
        self._target = target
        self._times: dict[str, list[int]] = {code: [] for code in self._currencies}
        self._values: dict[str, list[Decimal]] = {code: [] for code in self._currencies}

    @property
    def is_needed(self) -> bool:
        """Whether there is any currency to convert from."""
        return bool(self._currencies)

    def note(self, ts: int) -> None:
        """Record the current rates as those of ``ts`` (nanoseconds since the epoch)."""
        for code in self._currencies:
            rate = self._rates.rate(code, self._target)
            if rate is not None:
                self._times[code].append(ts)
                self._values[code].append(rate)

    def rate(self, source: str, ts: int) -> Decimal:
        """Return the latest rate known at ``ts``, or the first one recorded after it.

        Raises ``DataError`` when none was ever known.
        """
        if source == self._target:
            return Decimal(1)
        times = self._times.get(source, [])
        if not times:
            raise missing_rate(source, self._target)
        return self._values[source][max(bisect_right(times, ts) - 1, 0)]


class Valuation:
    """Values money of a task in the statistics currency, as raw amounts: whole numbers of 1e-16."""

    def __init__(self, instruments: Mapping[str, Any], history: RateHistory, currency: str) -> None:
        self._instruments = instruments
        self._history = history
        self.currency = currency

    def values(
        self,
        fills: Sequence[Any],
        quantities: Sequence[Any],
        prices: Sequence[Any],
        instrument_ids: Sequence[str],
    ) -> list[int]:
        """Return the notional values of fills, always positive.

        Quantities and prices are those of the fills, which need not be read a second time.
        """
        found = []
        codes: dict[str, str] = {}
        for fill, quantity, price, name in zip(
            fills, quantities, prices, instrument_ids, strict=True
        ):
            notional = self._instruments[name].notional_value(quantity, price)
            if name not in codes:
                codes[name] = notional.currency.code
            found.append(abs(self._raw(notional, codes[name], fill)))
        return found

    def fees(
        self, fills: Sequence[Any], commissions: Sequence[Any], codes: Sequence[str]
    ) -> list[int]:
        """Return what fills cost, in currencies ``codes``: above zero a cost, below it a rebate."""
        return [
            0 if commission is None else self._raw(commission, code, fill)
            for fill, commission, code in zip(fills, commissions, codes, strict=True)
        ]

    def realized_pnl(self, position: Any) -> int:
        """Return what a position has made so far, fees included.

        Each fill's realized profit and fee are converted at the rate of its instant.
        """
        money = position.realized_pnl
        if money is not None:
            for amount in (money, *position.commissions()):
                if amount.currency.code != self.currency:
                    break
            else:
                return int(money.raw)
        return to_raw(self._realized_fill_by_fill(position))

    def _realized_fill_by_fill(self, position: Any) -> Decimal:
        instrument = self._instruments[str(position.instrument_id)]
        replayed: Position | None = None
        total, before = Decimal(0), Decimal(0)
        for fill in position.events():
            if replayed is None:
                replayed = Position(instrument, fill)
            else:
                replayed.apply(fill)
            now = replayed.realized_pnl
            # The engine's figure includes only the fees that are charged in its own currency.
            if now is not None:
                total += self._at_fill(now.as_decimal() - before, now.currency.code, fill)
                before = now.as_decimal()
            if fill.commission and (now is None or fill.commission.currency != now.currency):
                fee = fill.commission
                total -= self._at_fill(fee.as_decimal(), fee.currency.code, fill)
        return total

    def _raw(self, money: Any, code: str, fill: Any) -> int:
        if code == self.currency:
            return int(money.raw)
        return to_raw(self._at_fill(money.as_decimal(), code, fill))

    def _at_fill(self, amount: Decimal, source: str, fill: Any) -> Decimal:
        if source == self.currency or not amount:
            return amount
        return self._convert(
            amount,
            source,
            self._instruments[str(fill.instrument_id)],
            fill.last_px.as_decimal(),
            fill.ts_event,
        )

    def _convert(
        self, amount: Decimal, source: str, instrument: Any, price: Decimal, ts: int
    ) -> Decimal:
        base = getattr(instrument, "base_currency", None)
        base_code = None if base is None else base.code
        quote_code = instrument.quote_currency.code
        # The fill's own price is the exact rate when the instrument trades one for the other.
        if (source, self.currency) == (quote_code, base_code):
            return amount / price
        if (source, self.currency) == (base_code, quote_code):
            return amount * price
        return amount * self._history.rate(source, ts)
