"""The account marked to market while the engine runs, at the same instants in all tasks."""

from __future__ import annotations

from decimal import localcontext
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from nautilus_trader.common import DataActor
from nautilus_trader.model import Money

from trading_runtime.engine.accounting.valuation import EXACT, from_raw, to_raw
from trading_runtime.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Container, Mapping, Sequence
    from decimal import Decimal

    from nautilus_trader.common import Cache
    from nautilus_trader.model import (
        BarType,
        BookType,
        Currency,
        InstrumentId,
        Position,
        PositionId,
        Venue,
    )
    from nautilus_trader.portfolio import Portfolio

    from trading_runtime.engine.accounting.cash_flows import CashFlows
    from trading_runtime.engine.accounting.valuation import RateHistory, Rates


_FIRST_AT_ITS_INSTANT, _LAST_AT_ITS_INSTANT = "\1", "\U0010ffff"
"""Names of timers: the engine fires those of one instant in order of their names."""
_NEVER = 200 * 365 * 86_400_000
"""An interval in milliseconds so long that no run reaches it."""


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


class Holdings(NamedTuple):
    """What an account holds in each currency, before all rates are known."""

    ts: int
    amounts: tuple[tuple[str, Decimal], ...]
    open_positions: int
    gained: int = 0
    """What the equity gains in addition, in whole numbers of 1e-16."""

    def valued(self, history: RateHistory) -> EquitySample:
        """Return the resulting sample."""
        worth = (to_raw(amount * history.rate(code, self.ts)) for code, amount in self.amounts)
        return EquitySample(self.ts, sum(worth) + self.gained, self.open_positions)


class Account:
    """The accounts at all venues of the task together, valued in one currency."""

    def __init__(
        self,
        portfolio: Portfolio,
        cache: Cache,
        venues: Sequence[Venue],
        rates: Rates,
        currency: str,
    ) -> None:
        self._portfolio = portfolio
        self._cache = cache
        self._venues = venues
        self._rates = rates
        self._currency = currency
        self.without_price: set[str] = set()
        """Instruments with a position that could not be marked when the account was valued."""
        self.sides: Mapping[InstrumentId, tuple[BarType, BarType]] = {}
        """Instruments whose prices are bars of bid and ask alone, with these bars."""
        self._instrument_of: dict[PositionId, InstrumentId] = {}
        self.valued: Container[str] | None = None
        """The currencies that count; ``None`` for all of them."""

    def sample(self, ts: int) -> EquitySample:
        """Return the value of all accounts now, stated as of ``ts``.

        Raises ``DataError`` when a currency of an account has no rate to the statistics currency.
        """
        raw = open_positions = 0
        for venue in self._venues:
            held = self._cache.position_open_ids(venue=venue)
            open_positions += len(held)
            for currency, money in self._worth(venue, held).items():
                code = currency.code
                if self.valued is not None and code not in self.valued:
                    continue
                raw += money.raw if code == self._currency else self._converted(money, code)
        return EquitySample(ts, raw, open_positions)

    def holdings(self) -> Holdings:
        """Return what the accounts are worth now by currency."""
        held = {venue: self._cache.position_open_ids(venue=venue) for venue in self._venues}
        amounts = [
            (currency.code, money.as_decimal())
            for venue, position_ids in held.items()
            for currency, money in self._worth(venue, position_ids).items()
        ]
        return Holdings(0, tuple(amounts), sum(map(len, held.values())))

    def net(self, instrument_id: InstrumentId) -> Decimal:
        """Return the net quantity of all positions in an instrument, below zero when short."""
        # Asked at each order: the cache would copy each position with every trade it ever had.
        return self._portfolio.net_position(instrument_id)

    def _worth(self, venue: Venue, held: Collection[PositionId]) -> Mapping[Currency, Money]:
        """Return what the account at a venue is worth, whose open positions are ``held``."""
        # The engine marks positions when quotes or bars arrive, but not when trades do: this does.
        for instrument_id in self._instruments(held):
            if self._portfolio.unrealized_pnl(instrument_id) is None:
                self.without_price.add(str(instrument_id))
        worth: dict[Currency, Money] = self._portfolio.equity(venue)
        for instrument_id, (bid, ask) in self.sides.items():
            positions = self._cache.positions_open(venue=venue, instrument_id=instrument_id)
            if positions and (change := self._by_side(positions, bid, ask)) is not None:
                worth[change.currency] += change
        return worth

    def _instruments(self, held: Collection[PositionId]) -> set[InstrumentId]:
        """Return the instruments of open positions.

        Asked at each sample: the cache copies a position with all its fills, but an id alone.
        """
        known, cache = self._instrument_of, self._cache
        for position_id in held:
            if position_id not in known and (position := cache.position(position_id)) is not None:
                known[position_id] = position.instrument_id
        return {known[position_id] for position_id in held}

    def _by_side(self, held: Sequence[Position], bid: BarType, ask: BarType) -> Money | None:
        """Return what equity gains when longs are marked at the bid, and shorts at the ask.

        The engine marks at the close of whichever bar came last.
        """
        prices = [bar.close for name in (bid, ask) if (bar := self._cache.bar(name)) is not None]
        if len(prices) < len((bid, ask)):
            return None
        shorts = [position for position in held if position.is_short]
        all_short = len(shorts) == len(held)
        marked = self._portfolio.unrealized_pnl(held[0].instrument_id)
        right = self._portfolio.unrealized_pnl(held[0].instrument_id, prices[all_short])
        if marked is None or right is None:
            return None
        with localcontext(EXACT):
            gain = right.as_decimal() - marked.as_decimal()
            for position in () if all_short else shorts:
                at_bid, at_ask = (position.unrealized_pnl(price) for price in prices)
                spread = at_ask.as_decimal() - at_bid.as_decimal()
                gain += self._rates.convert(spread, at_ask.currency.code, right.currency.code)
        return Money.from_decimal(gain, right.currency)

    def _converted(self, money: Money, code: str) -> int:
        with localcontext(EXACT):
            return to_raw(self._rates.convert(money.as_decimal(), code, self._currency))


class Look(NamedTuple):
    """One reading of the account, and the samples made from it."""

    ts: int
    """When the account is read; 0 for the engine's start, when no row came before."""
    samples: list[int]
    """The instants that the samples are stated for."""


def looks(instants: Sequence[int], last_rows: Sequence[int] | None) -> list[Look]:
    """Return when the account is read to state it at ``instants``, which are in order.

    An instant of the engine's clock between two rows is harmless when nothing is in flight: then
    the account is read at the stated instant. With latency, the engine would deliver at such an
    instant what it delivers at the next row. So the account is read after the last row at or before
    an instant: ``last_rows`` has it for each instant, 0 if there is none.
    """
    if last_rows is None:
        return [Look(ts, [ts]) for ts in instants]
    found: list[Look] = []
    for ts, last in zip(instants, last_rows, strict=True):
        if found and found[-1].ts == last:
            found[-1].samples.append(ts)
        else:
            found.append(Look(last, [ts]))
    return found


class _Observer(DataActor):
    """Reads the account without changing the order of events.

    Its alerts are due at instants that change nothing (see ``looks``), after all rows and all other
    timers of their instant. After the last row it does not move the clock beyond the strategy's own
    timers: ``on_stop`` runs when it does without an observer.
    """

    def __new__(cls, *_arguments: Any) -> Self:
        """Accept the arguments of ``__init__``, which the native base class would refuse."""
        return super().__new__(cls)

    def __init__(self, looks: Sequence[Look], last_row: int) -> None:
        super().__init__()
        self.error: Exception | None = None
        self.next_timer: Callable[[], int | None] = lambda: None
        """Returns when the next timer of the strategy is due within the task."""
        self._looks = iter(looks)
        self._next: Look | None = None
        self._last_row = last_row

    def on_start(self) -> None:
        """Set the first alert."""
        self._next = next(self._looks, None)
        if self._next is not None and self._next.ts == 0:
            self._look(self._next)
            self._next = next(self._looks, None)
        self._set_alert()

    def _set_alert(self) -> None:
        if self._next is None:
            return
        due = self._next.ts
        if due > self._last_row:
            is_over = self.clock.timestamp_ns() >= self._last_row
            moved = self.next_timer() if is_over else self._last_row
            if moved is None:
                # Nothing happens any more: the account stays as it is.
                rest = [self._next, *self._looks]
                self._look(Look(rest[0].ts, [ts for look in rest for ts in look.samples]))
                self._next = None
                return
            due = min(due, moved)
        self.clock.set_time_alert_ns(_LAST_AT_ITS_INSTANT, due, self._take)

    def _take(self, _event: Any) -> None:
        if self.error is None and self._next is not None:
            if self._next.ts <= self.clock.timestamp_ns():
                self._look(self._next)
                self._next = next(self._looks, None)
            self._set_alert()

    def _look(self, look: Look) -> None:
        raise NotImplementedError


class RateNoter(_Observer):
    """Records exchange rates, at instants that do not depend on when equity is sampled."""

    def __init__(self, history: RateHistory, looks: Sequence[Look], last_row: int) -> None:
        super().__init__(looks, last_row)
        self._history = history

    def _look(self, look: Look) -> None:
        with localcontext(EXACT):
            self._history.note(look.samples[0])


class EquitySampler(_Observer):
    """Samples the account inside the window."""

    def __init__(
        self,
        account: Account,
        window: tuple[int, int],
        looks: Sequence[Look],
        last_row: int,
        books: Sequence[tuple[InstrumentId, BookType]] = (),
    ) -> None:
        super().__init__(looks, last_row)
        self.samples: list[EquitySample] = []
        self._unpriced: list[Holdings] = []
        self._account = account
        self._start, self._end = window
        self._books = books
        self.flows: CashFlows | None = None
        """What positions receive and pay apart from trading; set before the engine runs."""

    def on_start(self) -> None:
        """Set the first alert."""
        for instrument_id, book_type in self._books:
            # Makes the engine keep the book, which gives it the instrument's price.
            self.subscribe_book_at_interval(instrument_id, book_type, _NEVER)
        super().on_start()

    def now(self) -> int:
        """Return the simulated time in nanoseconds since the epoch."""
        return self.clock.timestamp_ns()

    def at_end_of_instant(self, now: int, call: Callable[[], None]) -> None:
        """Call ``call`` once all rows of this instant were processed, before any timer."""
        self.clock.set_time_alert_ns(_FIRST_AT_ITS_INSTANT, now, lambda _event: call())

    def samples_with(self, history: RateHistory) -> list[EquitySample]:
        """Return all samples in order; amounts without a rate yet use the first known one.

        Raises ``DataError`` when a rate was never known.
        """
        return sorted([*self.samples, *(item.valued(history) for item in self._unpriced)])

    def _look(self, look: Look) -> None:
        try:
            found: EquitySample | Holdings | None = None
            gained = 0
            for ts in look.samples:
                if self.flows is not None:
                    gained += self.flows.settle(ts)
                if self._start < ts < self._end:
                    found = found or self._worth()
                    if isinstance(found, EquitySample):
                        raw = found.raw + gained
                        self.samples.append(EquitySample(ts, raw, found.open_positions))
                    else:
                        self._unpriced.append(found._replace(ts=ts, gained=gained))
        except Exception as error:  # noqa: BLE001 - the engine would swallow it; the task raises it
            self.error = error
            self.shutdown_system("the account cannot be valued")

    def _worth(self) -> EquitySample | Holdings:
        try:
            return self._account.sample(0)
        except DataError:
            return self._account.holdings()
