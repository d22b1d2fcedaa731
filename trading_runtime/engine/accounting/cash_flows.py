"""Money that open positions receive or pay at stated instants, apart from what trading moves.

Such are swap, which holding positions overnight costs or earns, fees for borrowing shares, and cash
dividends. The equity sampler, which changes nothing, reads the positions at the instant (see
``equity``); a module of the venue moves the money right after, so that the account has it.
"""

from __future__ import annotations

import datetime as dt
import functools
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
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from nautilus_trader.common import Cache
    from nautilus_trader.model import Currency, Venue

    from trading_runtime.engine.accounting.ledger import Ledger
    from trading_runtime.records.inputs import DividendInputs, SwapInputs


_LATEST = 2**63


class Payments(NamedTuple):
    """What positions received and paid, of one kind."""

    amount: Decimal = Decimal(0)
    """Received minus paid, in the statistics currency."""
    times: int = 0
    """How often a position received or paid."""


NO_PAYMENTS = Payments()


class CashModule(SimulationModule):
    """Moves money into or out of a venue's account."""

    def __new__(cls, *_arguments: Any) -> Self:
        """Accept the arguments of ``__init__``, which the native base class would refuse."""
        return super().__new__(cls)

    def __init__(self, base_currency: str | None) -> None:
        super().__init__()
        self.base_currency = base_currency
        """Of a single-currency account."""
        self.due: list[Money] = []
        """Money not yet moved."""
        self.refused: str | None = None
        """Why the account refused to move some."""

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


class CashFlow(NamedTuple):
    """What the open positions of a venue receive or pay at an instant."""

    ts: int
    """Nanoseconds since the epoch."""
    kind: str
    venue: Venue
    amount: Callable[[Any, Any], tuple[Decimal, Currency] | None]
    """Returns what a position in an instrument receives; ``None`` for nothing."""


class CashFlows:
    """All flows of a task, each settled with the positions that are open at its instant."""

    def __init__(
        self,
        modules: Mapping[Venue, CashModule],
        flows: Iterable[CashFlow],
        kinds: Iterable[str],
        ledger: Ledger,
    ) -> None:
        self._modules = modules
        self._cache = ledger.cache
        self._rates = ledger.rates
        self._history = ledger.history
        self.totals = dict.fromkeys(kinds, NO_PAYMENTS)
        """What was received and paid so far, by kind."""
        self._due: dict[int, list[CashFlow]] = {}
        for flow in flows:
            self._due.setdefault(flow.ts, []).append(flow)

    @property
    def instants(self) -> list[int]:
        """When something is still due, in order."""
        return sorted(self._due)

    def settle(self, ts: int) -> int:
        """Settle what is due at ``ts``, and return what the equity gains, in whole 1e-16.

        Raises ``DataError`` when a price or an exchange rate is missing.
        """
        if ts not in self._due:
            return 0
        gained = Decimal(0)
        with localcontext(EXACT):
            if self._history.is_needed:
                self._history.note(ts)
            for flow in self._due.pop(ts):
                module = self._modules[flow.venue]
                for position in self._cache.positions_open(venue=flow.venue):
                    money = self._money(flow, position, module)
                    if money is None:
                        continue
                    module.due.append(money)
                    worth = money.as_decimal() * self._history.rate(money.currency.code, ts)
                    amount, times = self.totals[flow.kind]
                    self.totals[flow.kind] = Payments(amount + worth, times + 1)
                    gained += worth
            return to_raw(gained)

    def not_booked(self) -> int:
        """Return what is still not moved when the task ends: the engine made no further step.

        Raises ``DataError`` when an account refused a flow.
        """
        for venue, module in self._modules.items():
            if module.refused is not None:
                raise DataError(f"{' or '.join(self.totals)} at {venue}: {module.refused}")
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

    def _money(self, flow: CashFlow, position: Any, module: CashModule) -> Money | None:
        instrument = self._cache.instrument(position.instrument_id)
        received = None if instrument is None else flow.amount(position, instrument)
        if received is None:
            return None
        amount, currency = received
        base = module.base_currency
        if base is not None and base != currency.code:
            amount = self._rates.convert(amount, currency.code, base)
            currency = known_currency(base)
        return Money.from_decimal(amount, currency)


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
