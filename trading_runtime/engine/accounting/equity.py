"""The account marked to market: sampled while the engine runs, at instants that all tasks share."""

from __future__ import annotations

from decimal import localcontext
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from nautilus_trader.common import DataActor

from trading_runtime.engine.accounting.valuation import EXACT, from_raw, to_raw

if TYPE_CHECKING:
    from collections.abc import Sequence
    from decimal import Decimal

    from nautilus_trader.common import Cache
    from nautilus_trader.model import BookType, InstrumentId, Money, Venue
    from nautilus_trader.portfolio import Portfolio

    from trading_runtime.engine.accounting.valuation import RateHistory, Rates


_DAY_IN_MILLISECONDS = 86_400_000


class EquitySample(NamedTuple):
    """The whole account in the statistics currency at one instant."""

    ts: int
    """Nanoseconds since the epoch; everything with a ``ts_init`` up to here has happened."""
    raw: int
    """The equity in whole numbers of 1e-16."""
    open_positions: int

    @property
    def equity(self) -> Decimal:
        """The equity as a decimal."""
        return from_raw(self.raw)


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
        raw = 0
        for currency, money in self._portfolio.equity(self._venue).items():
            code = currency.code
            raw += money.raw if code == self._currency else self._converted(money, code)
        return EquitySample(ts, raw, self._cache.positions_open_count(venue=self._venue))

    def _converted(self, money: Money, code: str) -> int:
        with localcontext(EXACT):
            return to_raw(self._rates.convert(money.as_decimal(), code, self._currency))


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
        self._needs_rates = history.is_needed
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
            if self._needs_rates:
                with localcontext(EXACT):
                    self._history.note(ts)
            if self._start < ts < self._end:
                self.samples.append(self._account.sample(ts))
        except Exception as error:  # noqa: BLE001 - the engine would swallow it; the task raises it
            self.error = error
            self.shutdown_system("the account cannot be valued")
