"""Money that open positions receive or pay at stated instants, apart from what trading moves.

The equity sampler, which changes nothing, reads the positions at the instant (see ``equity``); a
module of the venue moves the money right after, so that the account has it.
"""

from __future__ import annotations

from decimal import Decimal, localcontext
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from nautilus_trader.backtest import SimulationModule
from nautilus_trader.model import Money

from trading_runtime.engine.accounting.valuation import EXACT, to_raw
from trading_runtime.engine.instruments.currencies import currency as known_currency
from trading_runtime.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from nautilus_trader.model import Currency, Venue

    from trading_runtime.engine.accounting.ledger import Ledger

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
