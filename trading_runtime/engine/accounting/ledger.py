"""The accounts at one or several venues, simulated or real: their value, and tables at the end."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal, localcontext
from typing import TYPE_CHECKING, Any, Protocol

from nautilus_trader import model

from trading_runtime.engine.accounting.cash_flows import Payments
from trading_runtime.engine.accounting.equity import Account, EquitySample
from trading_runtime.engine.accounting.tables import TaskTables, collect
from trading_runtime.engine.accounting.valuation import (
    EXACT,
    RateHistory,
    Rates,
    SingleCurrencyAccounts,
    Valuation,
    to_raw,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from nautilus_trader.common import Cache
    from nautilus_trader.portfolio import Portfolio


class Host(Protocol):
    """An engine that trades: a simulated one, or a live node."""

    @property
    def cache(self) -> Cache:
        """Orders, positions and the latest prices."""

    @property
    def portfolio(self) -> Portfolio:
        """The account."""


@dataclass(frozen=True)
class Ledger:
    """The accounts at all venues, valued in one currency, while the host runs and afterwards."""

    cache: Cache
    currency: str
    rates: Rates
    account: Account
    instruments: Mapping[str, Any]
    """Those that the host knows, by id."""
    history: RateHistory
    """The recorded exchange rates."""

    @classmethod
    def of(  # noqa: PLR0913 - what it takes to open a ledger
        cls,
        host: Host,
        venue_name: str,
        currency: str,
        balances: Iterable[str] = (),
        instruments: Iterable[Any] | None = None,
        *,
        further_venues: Iterable[str] = (),
    ) -> Ledger:
        """Open the ledger of a host; no price is needed yet.

        ``balances`` (``"100000 USDT"``) are the starting ones, at all venues together;
        ``instruments`` are those that it will know, if it does not know them before it runs.
        """
        cache = host.cache
        venues = [model.Venue(name) for name in (venue_name, *further_venues)]
        rates = Rates(cache, venues)
        given = cache.instruments() if instruments is None else instruments
        known = {str(item.id): item for item in given}
        codes = {balance.split()[1] for balance in balances}
        for instrument in known.values():
            codes.add(instrument.quote_currency.code)
            settlement = getattr(instrument, "settlement_currency", None)
            codes |= {settlement.code} if settlement is not None else set()
        return cls(
            cache,
            currency,
            rates,
            Account(host.portfolio, cache, venues, rates, currency),
            known,
            RateHistory(rates, codes, currency),
        )

    def in_single_currency(self, bases: Mapping[str, str | None]) -> SingleCurrencyAccounts | None:
        """Return the check for orders of accounts that hold only their base currency.

        ``bases`` gives it by venue; ``None`` when no account has one.
        """
        found = {model.Venue(name): base for name, base in bases.items() if base is not None}
        return SingleCurrencyAccounts(self.cache, found) if found else None

    def opening(self, balances: Iterable[str], start: int) -> EquitySample:
        """Return the value of the starting balances at ``start``.

        Raises ``DataError`` when an exchange rate was never known.
        """
        amounts = [balance.split() for balance in balances]
        with localcontext(EXACT):
            worth = (Decimal(amount) * self.history.rate(code, start) for amount, code in amounts)
            return EquitySample(start, to_raw(sum(worth, Decimal(0))), 0)

    def positions(self) -> list[Any]:
        """Return all positions, open and closed; the engine copies each with all its fills."""
        return [*self.cache.position_snapshots(), *self.cache.positions()]

    def tables(
        self,
        positions: Sequence[Any],
        samples: Sequence[EquitySample],
        refused_orders: Sequence[Any] = (),
    ) -> TaskTables:
        """Return all orders, fills and positions, and the equity that was sampled.

        ``refused_orders`` never reached the engine. Raises ``DataError`` when an exchange rate was
        never known.
        """
        orders = [*self.cache.orders(), *refused_orders]
        with localcontext(EXACT):
            valuation = Valuation(self.instruments, self.history, self.currency)
            return collect(orders, positions, samples, valuation)

    def funding(self, positions: Sequence[Any]) -> Payments:
        """Return what funding rates settled on positions; raises as ``tables`` does.

        Each amount is taken at the exchange rate of its instant.
        """
        with localcontext(EXACT):
            settled = [
                change.pnl_change.as_decimal()
                * self.history.rate(change.pnl_change.currency.code, change.ts_event)
                for position in positions
                for change in position.adjustments()
                if change.adjustment_type == model.PositionAdjustmentType.FUNDING
                and change.pnl_change is not None
            ]
            return Payments(sum(settled, Decimal(0)), len(settled))
