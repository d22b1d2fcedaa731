"""What holding positions overnight costs or earns: swap, and borrowing fees for short positions.

The equity sampler, which changes nothing, reads the positions at the instant (see ``equity``); a
module of the venue moves the money right after, so that the account has it.
"""

from __future__ import annotations

import datetime as dt
import zoneinfo
from decimal import Decimal, localcontext
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from nautilus_trader.backtest import SimulationModule
from nautilus_trader.model import Money, Price

from trading_runtime.engine.accounting.valuation import EXACT, latest_price, to_raw
from trading_runtime.engine.instruments.currencies import currency as known_currency
from trading_runtime.errors import DataError
from trading_runtime.units import DAY, parse_instant

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from nautilus_trader.model import Venue

    from trading_runtime.engine.accounting.ledger import Ledger
    from trading_runtime.records.inputs import SwapInputs

_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_THREE = 3
_EPOCH = dt.date(1970, 1, 1).toordinal()
_LATEST = 2**63


class Swap(NamedTuple):
    """What positions were charged or paid for being held."""

    amount: Decimal = Decimal(0)
    """Received minus paid, in the statistics currency."""
    charges: int = 0
    """How often a position was charged or paid."""


class SwapModule(SimulationModule):
    """Moves the money of charges into or out of a venue's account."""

    def __new__(cls, *_arguments: Any) -> Self:
        """Accept the arguments of ``__init__``, which the native base class would refuse."""
        return super().__new__(cls)

    def __init__(self, settings: SwapInputs, base_currency: str | None) -> None:
        super().__init__()
        self.settings = settings
        self.base_currency = base_currency
        """Of a single-currency account."""
        self.due: list[Money] = []
        """Charges not yet applied to the account."""
        self.refused: str | None = None
        """Why the account refused a charge."""

    def process(self, _now: int, _context: Any) -> list[Money] | None:
        """Give the engine what is due; it calls this after each step."""
        if not self.due:
            return None
        due, self.due = self.due, []
        return due

    def acknowledge(self, outcomes: Any) -> None:
        """Record what the account refused."""
        for outcome in outcomes:
            if not outcome.applied:
                self.refused = self.refused or str(outcome.error)


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


class SwapCharges:
    """Charges the open positions of a task at each instant at which its venues charge."""

    def __init__(
        self, modules: Mapping[Venue, SwapModule], window: tuple[int, int], ledger: Ledger
    ) -> None:
        self._modules = modules
        self._cache = ledger.cache
        self._rates = ledger.rates
        self._history = ledger.history
        self._amount = Decimal(0)
        self._charges = 0
        self._due: dict[int, list[tuple[Venue, int]]] = {}
        for venue, module in modules.items():
            for instant, days in charging_instants(module.settings, *window):
                self._due.setdefault(instant, []).append((venue, days))

    @property
    def total(self) -> Swap:
        """What was charged and paid so far."""
        return Swap(self._amount, self._charges)

    def charge(self, ts: int) -> int:
        """Charge what is due at ``ts``, and return what the equity gains, in whole 1e-16.

        Raises ``DataError`` when a price or an exchange rate is missing.
        """
        if ts not in self._due:
            return 0
        gained = Decimal(0)
        with localcontext(EXACT):
            if self._history.is_needed:
                self._history.note(ts)
            for venue, days in self._due.pop(ts):
                module = self._modules[venue]
                for position in self._cache.positions_open(venue=venue):
                    money = self._charge(position, module, days)
                    if money is None:
                        continue
                    module.due.append(money)
                    self._charges += 1
                    gained += money.as_decimal() * self._history.rate(money.currency.code, ts)
            self._amount += gained
            return to_raw(gained)

    def not_booked(self) -> int:
        """Return the charges still not applied when the task ends: the engine made no further step.

        Raises ``DataError`` when an account refused a charge.
        """
        for venue, module in self._modules.items():
            if module.refused is not None:
                raise DataError(f"swap at {venue}: {module.refused}")
        return to_raw(
            sum(
                (
                    money.as_decimal() * self._history.rate(money.currency.code, _LATEST)
                    for module in self._modules.values()
                    for money in module.due
                ),
                Decimal(0),
            )
        )

    def _charge(self, position: Any, module: SwapModule, days: int) -> Money | None:
        settings = module.settings
        rates = settings.rates.get(str(position.instrument_id))
        instrument = self._cache.instrument(position.instrument_id)
        if rates is None or instrument is None:
            return None
        price = latest_price(self._cache, instrument)
        if price is None:
            raise DataError(f"swap of {instrument.id}: no price is known when it is due")
        value = instrument.notional_value(position.quantity, Price.from_decimal(price))
        rate = rates.short if position.is_short else rates.long
        if settings.per == "year":
            rate /= settings.days_in_year
        amount, currency = abs(value.as_decimal()) * rate * days, value.currency
        base = module.base_currency
        if base is not None and base != currency.code:
            amount = self._rates.convert(amount, currency.code, base)
            currency = known_currency(base)
        return Money.from_decimal(amount, currency)
