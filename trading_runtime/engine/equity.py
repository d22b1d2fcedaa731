"""The account marked to market: sampled while the engine runs, at instants that all tasks share."""

from __future__ import annotations

from decimal import Decimal, localcontext
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from nautilus_trader.common import DataActor

from trading_runtime.engine.rates import EXACT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nautilus_trader.common import Cache
    from nautilus_trader.model import BookType, InstrumentId, Venue
    from nautilus_trader.portfolio import Portfolio

    from trading_runtime.engine.rates import Rates
    from trading_runtime.engine.valuation import RateHistory


_DAY_IN_MILLISECONDS = 86_400_000


class EquitySample(NamedTuple):
    """The whole account in the statistics currency at one instant."""

    ts: int
    """Nanoseconds since the epoch; everything with a ``ts_init`` up to here has happened."""
    equity: Decimal
    open_positions: int


class Account:
    """The account of the task's venue, valued in one currency."""

    def __init__(
        self, portfolio: Portfolio, cache: Cache, venue: Venue, rates: Rates, currency: str
    ) -> None:
        self._portfolio = portfolio
        self._cache = cache
        self._venue = venue
        self._rates = rates
        self._currency = currency

    def sample(self, ts: int) -> EquitySample:
        """Return the account's value now, stated as of ``ts``.

        Raises ``DataError`` when a currency of the account has no rate to the statistics currency.
        """
        equity = None
        for currency, money in self._portfolio.equity(self._venue).items():
            value = money.as_decimal()
            if currency.code != self._currency:
                with localcontext(EXACT):
                    value = self._rates.convert(value, currency.code, self._currency)
            equity = value if equity is None else EXACT.add(equity, value)
        equity = Decimal(0) if equity is None else equity
        return EquitySample(ts, equity, self._cache.positions_open_count(venue=self._venue))


class EquitySampler(DataActor):
    """Samples the account at every UTC multiple of an interval inside the window.

    A timer of an actor fires after all data up to its instant was processed, so a sample at an
    instant includes the row of that very instant. In front of the window only rates are noted.
    """

    def __new__(cls, *_arguments: Any) -> Self:
        """Take the arguments of ``__init__``, which the native base class would refuse."""
        return super().__new__(cls)

    def __init__(
        self,
        account: Account,
        history: RateHistory,
        window: tuple[int, int],
        interval: int,
        books: Sequence[tuple[InstrumentId, BookType]] = (),
    ) -> None:
        super().__init__()
        self.samples: list[EquitySample] = []
        self.error: Exception | None = None
        self._account = account
        self._history = history
        self._start, self._end = window
        self._interval = interval
        self._books = books

    def on_start(self) -> None:
        """Set the timer; its first event comes one interval after its start."""
        for instrument_id, book_type in self._books:
            # Makes the engine keep the book, from which it knows the instrument's price.
            self.subscribe_book_at_interval(instrument_id, book_type, _DAY_IN_MILLISECONDS)
        before = self.clock.timestamp_ns() // self._interval * self._interval
        if before + self._interval < self._end:
            self.clock.set_timer_ns(
                "equity", self._interval, before, self._end - 1, self._take, allow_past=True
            )

    def _take(self, event: Any) -> None:
        if self.error is not None:
            return
        try:
            ts = event.ts_event
            if self._history.is_needed:
                with localcontext(EXACT):
                    self._history.note(ts)
            if self._start < ts < self._end:
                self.samples.append(self._account.sample(ts))
        except Exception as error:  # noqa: BLE001 - the engine would swallow it; the task raises it
            self.error = error
            self.shutdown_system("the account cannot be valued")
