"""Fills and positions in the statistics currency, whatever currency the instrument trades in."""

from __future__ import annotations

from bisect import bisect_right
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from nautilus_trader.model import Position

from trading_runtime.engine.rates import missing_rate
from trading_runtime.engine.raw_amounts import to_raw

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trading_runtime.engine.rates import Rates


class RateHistory:
    """Rates to the statistics currency, noted while the engine runs."""

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
        """Keep the present rates as those of ``ts`` (nanoseconds since the epoch)."""
        for code in self._currencies:
            rate = self._rates.rate(code, self._target)
            if rate is not None:
                self._times[code].append(ts)
                self._values[code].append(rate)

    def rate(self, source: str, ts: int) -> Decimal:
        """Return the latest rate known at ``ts``, or the first one noted after it.

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

    def value(self, fill: Any, instrument_id: str) -> int:
        """Return what a fill moved: its notional value, always positive."""
        notional = self._instruments[instrument_id].notional_value(fill.last_qty, fill.last_px)
        return abs(self._raw(notional, fill))

    def fee(self, fill: Any, commission: Any) -> int:
        """Return what a fill cost, positive for a cost and negative for a rebate."""
        return 0 if commission is None else self._raw(commission, fill)

    def realized_pnl(self, position: Any) -> int:
        """Return what a position has made so far, fees included.

        What each fill realized, and its fee, are converted at the rate of that fill's instant.
        """
        money = position.realized_pnl
        if money is not None and all(
            amount.currency.code == self.currency for amount in (money, *position.commissions())
        ):
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
            # The engine's figure has the fees that are charged in its own currency, and no others.
            if now is not None:
                total += self._at_fill(now.as_decimal() - before, now.currency.code, fill)
                before = now.as_decimal()
            if fill.commission and (now is None or fill.commission.currency != now.currency):
                fee = fill.commission
                total -= self._at_fill(fee.as_decimal(), fee.currency.code, fill)
        return total

    def _raw(self, money: Any, fill: Any) -> int:
        code = money.currency.code
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
