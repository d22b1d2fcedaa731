"""The risk profile in the engine's path: each order is checked against it before it is sent.

All numbers are exact decimals, and time is the engine's, so every repeat refuses the same orders. A
rule has the name of its key in the experiment.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import replace
from decimal import Decimal, localcontext
from math import inf
from typing import TYPE_CHECKING, Any, NamedTuple

from nautilus_trader.model import AggregationSource, Quantity

from trading_runtime.canonical import decimal_text
from trading_runtime.engine.accounting.valuation import DECIMAL_PLACES, EXACT, latest_price
from trading_runtime.records.inputs import RISK_RULES, RiskInputs
from trading_runtime.units import DAY, parse_duration

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Mapping, Sequence

    from trading_runtime.engine.accounting.equity import Account, EquitySample
    from trading_runtime.engine.accounting.ledger import Ledger
    from trading_runtime.records.account import LossesSoFar


_OF_QUANTITY: tuple[str, ...] = ("max_order_quantity", "max_position_quantity")
_OF_PRICE: tuple[str, ...] = ("price_collar", "max_order_notional", "max_position_notional")


class Refusal(NamedTuple):
    """The rule that an order broke, and how."""

    rule: str
    text: str

    @property
    def reason(self) -> str:
        """The reason given in the order's denial."""
        return f"RISK {self.rule}: {self.text}"


class Proposal(NamedTuple):
    """What a strategy wants to send."""

    order_id: Any
    instrument_id: Any
    is_buy: bool
    quantity: Decimal
    open_quantity: Decimal
    """What is not filled yet."""
    prices: tuple[Decimal, ...]
    """Its limit price, if it has one, then its trigger price."""
    has_limit: bool
    only_reduces: bool
    is_quote_quantity: bool

    @staticmethod
    def of(order: Any, quantity: Any = None, price: Any = None, trigger: Any = None) -> Proposal:
        """Return an order as it is, or as it would be with another quantity or prices."""
        limit = price if price is not None else getattr(order, "price", None)
        trigger = trigger if trigger is not None else getattr(order, "trigger_price", None)
        total = (quantity if quantity is not None else order.quantity).as_decimal()
        return Proposal(
            order.client_order_id,
            order.instrument_id,
            order.side.name == "BUY",
            total,
            total - order.filled_qty.as_decimal(),
            tuple(item.as_decimal() for item in (limit, trigger) if item is not None),
            limit is not None,
            order.is_reduce_only,
            order.is_quote_quantity,
        )

    @property
    def sign(self) -> int:
        """1 when it buys, -1 when it sells."""
        return 1 if self.is_buy else -1

    def is_beside(self, other: Proposal) -> bool:
        """Return whether both move the position in the same direction."""
        return self.instrument_id == other.instrument_id and self.is_buy == other.is_buy

    def needs_price(self, limits: Container[str]) -> str | None:
        """Return the first rule in ``limits`` that needs the latest price."""
        needing = _OF_QUANTITY if self.is_quote_quantity else ()
        needing += _OF_PRICE if self.prices else _OF_PRICE[1:]
        return next((rule for rule in needing if rule in limits), None)

    def in_base(self, quantity: Decimal, price: Decimal | None) -> Decimal:
        """Return ``quantity`` of this order in the instrument's own unit."""
        return quantity / price if self.is_quote_quantity and price else quantity

    def worst_price(self, latest: Decimal | None, *, is_inverse: bool) -> Decimal | None:
        """Return the price at which the order would be worth most.

        A buying order fills at its limit or lower, a selling one at its limit or higher; an
        inverse contract is worth more at a lower price.
        """
        if not self.prices or latest is None:
            return latest
        own = self.prices[0]
        if self.has_limit and self.is_buy != is_inverse:
            return own
        return min(own, latest) if is_inverse else max(own, latest)

    def distance(self, latest: Decimal | None) -> Decimal | None:
        """Return how far its own prices are from the latest one, as a share of the latest."""
        if not self.prices or not latest:
            return None
        return max(abs(own - latest) for own in self.prices) / abs(latest)


NO_LIMITS = RiskInputs()
"""The settings of a profile that refuses nothing."""
_OF_INSTRUMENT = RISK_RULES[1:6]
_OF_POSITION = RISK_RULES[4:6]
_OF_LOSSES = ("max_loss", "max_daily_loss")
_SHOWN_DIGITS = 12
_ONE = Quantity.from_int(1)
_EXTERNAL = AggregationSource.EXTERNAL


class _Limits(NamedTuple):
    """What applies to orders in one instrument."""

    stale_after: int | None
    """Nanoseconds."""
    of_order: Mapping[str, Decimal]
    """The other limits by rule, in the order of ``RISK_RULES``."""
    passing: float | None
    """Up to which quantity, in whole numbers of 1e-16, an order breaks no rule of an instrument,
    whatever else it says; ``None`` when more than its quantity matters."""


class Risk:
    """The risk profile of one account, and what it refused."""

    def __init__(
        self, settings: RiskInputs, ledger: Ledger, samples: Sequence[EquitySample]
    ) -> None:
        """``samples`` is read while the engine runs: it contains the account at midnight."""
        self._settings = settings
        self._cache = ledger.cache
        self._rates = ledger.rates
        self._currency = ledger.currency
        self._account = ledger.account
        self._losses = _Losses(ledger.account, samples)
        self._limits: dict[str, _Limits] = {}
        self._working: dict[Any, Proposal] = {}
        self._exits: dict[Any, Proposal] = {}
        """Market orders that may have closed a position while only such orders are sent."""
        self._sent: deque[int] = deque()
        self.limits_only_rate = replace(settings, max_orders=None) == NO_LIMITS
        """Whether the settings have at most a limit on how many orders are sent."""
        losses = {rule: getattr(settings, rule) for rule in _OF_LOSSES}
        self._limits_of_losses: dict[str, Decimal] = {
            rule: limit for rule, limit in losses.items() if limit is not None
        }
        self._limits_positions = any(
            each.max_position_quantity is not None or each.max_position_notional is not None
            for each in (settings, *settings.instruments.values())
        )
        most = settings.max_orders
        self.counts = most is not None
        """Whether there is a limit on how many orders are sent."""
        self._period = 0 if most is None else parse_duration(most.per)
        self.only_reducing = False
        """Whether only orders that reduce a position are sent."""
        self.held: Refusal | None = None
        """Why no order is sent at all; ``None`` when orders may be sent."""
        self.rate_clock: Callable[[], int] | None = None
        """What rates are counted by, in nanoseconds; ``None`` for the instant of the orders."""
        self.allowed: frozenset[str] | None = None
        """The instruments, by id, that may be traded; ``None`` when all may."""
        self.closed: dict[str, Refusal] = {}
        """Instruments, by id, in which no order is sent, and why."""
        self.is_old: Callable[[str], bool] = lambda _name: False
        """Whether the newest row of an instrument, by id, is too old to trade on."""
        self.refusals: Counter[str] = Counter()
        """How many orders and changes each rule refused."""
        self.refused_orders: list[Any] = []
        """The refused orders, denied, in the order of refusal."""

    @property
    def losses(self) -> LossesSoFar | None:
        """By what losses are judged, for ``resume_losses``; ``None`` when nothing was judged."""
        return self._losses.so_far if self._limits_of_losses else None

    def resume_losses(self, before: LossesSoFar) -> None:
        """Judge losses from where an earlier session of the account left off."""
        self._losses.resume(before, self._limits_of_losses)

    @property
    def is_open(self) -> bool:
        """Whether there is nothing to check at all."""
        return not self.counts and self.only_counts

    @property
    def only_counts(self) -> bool:
        """Whether orders are only counted, whatever they say (see ``count``)."""
        return self.limits_only_rate and not (
            self.closed or self.only_reducing or self.held or self.allowed
        )

    def refuse(
        self, proposals: Sequence[Proposal], now: int, *, is_repeated: bool = False
    ) -> Refusal | None:
        """Return why none of ``proposals`` is sent at ``now``; ``None`` when they all are.

        With ``is_repeated`` they passed before, and were counted then. Raises ``DataError`` when a
        limit is in a currency without an exchange rate.
        """
        with localcontext(EXACT):
            refusal = next(
                (found for item in proposals if (found := self._broken(item, now))), None
            )
        if refusal is not None:
            self.refusals[refusal.rule] += len(proposals)
        elif not is_repeated:
            refusal = self.count(len(proposals), now)
        if refusal is None and self._limits_positions:
            self._working |= {item.order_id: item for item in proposals if not item.only_reduces}
        if refusal is None and (self.only_reducing or self._limits_of_losses):
            self._exits |= {
                item.order_id: item for item in proposals if not (item.only_reduces or item.prices)
            }
        return refusal

    def is_plain(self, order: Any) -> bool:
        """Return whether an order's quantity alone shows that it breaks no rule.

        That is most orders of most profiles, and an order waits for what is looked up. When it
        does not, or was not looked up before, ``refuse`` decides.
        """
        if self.held or self.closed or self.only_reducing:
            return False
        name = str(order.instrument_id)
        limits = self._limits.get(name)
        if limits is None or limits.passing is None or order.is_quote_quantity:
            return False
        if self.is_old(name):
            return False
        is_allowed = self.allowed is None or name in self.allowed
        return bool(is_allowed and order.quantity.raw <= limits.passing)

    def count(self, number: int, now: int) -> Refusal | None:
        """Count orders that break no other rule; return why they are too many, if they are."""
        settings = self._settings.max_orders
        if settings is None:
            return None
        at = now if self.rate_clock is None else self.rate_clock()
        while self._sent and self._sent[0] <= at - self._period:
            self._sent.popleft()
        if len(self._sent) + number > settings.orders:
            refusal = Refusal("max_orders", f"more than {settings.orders} in {settings.per}")
            self.refusals[refusal.rule] += number
            return refusal
        self._sent.extend([at] * number)
        return None

    def _broken(self, item: Proposal, now: int) -> Refusal | None:
        name = str(item.instrument_id)
        if (barred := self._barred(item, name)) is not None:
            return barred
        limits = self._limits.get(name) or self._limits_of(name)
        of_order = limits.of_order
        if limits.stale_after is None and not of_order and not self._limits_of_losses:
            return None
        instrument = self._cache.instrument(item.instrument_id)
        if instrument is None:
            return None  # the engine itself denies it
        if limits.stale_after is not None and (
            refusal := self._stale(item.instrument_id, limits.stale_after, now)
        ):
            return refusal
        return self._too_large(item, instrument, of_order) or self._too_much_lost(item, now)

    def _barred(self, item: Proposal, name: str) -> Refusal | None:
        is_old = self.is_old(name)  # it may find why all are held
        if self.held is not None:
            return self.held
        if self.allowed is not None and name not in self.allowed:
            return Refusal("instruments", f"{name} is not among the deployment's instruments")
        if name in self.closed:
            return self.closed[name]
        if is_old:
            return Refusal("stale_after", "no row of it is newer than stale_after allows")
        if self.only_reducing and not self._reduces(item):
            return Refusal("reduce", "only orders that make a position smaller go out")
        return None

    def _limits_of(self, name: str) -> _Limits:
        everywhere = self._settings
        own = everywhere.instruments.get(name, NO_LIMITS)
        stale_after = own.stale_after or everywhere.stale_after
        limits = {rule: getattr(own, rule) or getattr(everywhere, rule) for rule in _OF_INSTRUMENT}
        of_order = {rule: limit for rule, limit in limits.items() if limit is not None}
        passing: float | None = None
        if stale_after is None and not self._limits_of_losses:
            if not of_order:
                passing = inf
            elif of_order.keys() == {"max_order_quantity"}:
                passing = int(of_order["max_order_quantity"].scaleb(DECIMAL_PLACES, EXACT))
        found = self._limits[name] = _Limits(
            None if stale_after is None else parse_duration(stale_after), of_order, passing
        )
        return found

    def _stale(self, instrument_id: Any, longest: int, now: int) -> Refusal | None:
        cache = self._cache
        newest = [
            item.ts_event
            for item in (
                cache.quote(instrument_id),
                cache.trade(instrument_id),
                *(cache.bar(item) for item in cache.bar_types(_EXTERNAL, instrument_id)),
            )
            if item is not None
        ]
        book = cache.order_book(instrument_id)
        if book is not None and book.update_count:
            newest.append(book.ts_last)
        if not newest:
            return Refusal("stale_after", "there is no data yet")
        if now - max(newest) > longest:
            return Refusal(
                "stale_after", f"data is {now - max(newest)} ns old, more than {longest} ns"
            )
        return None

    def _too_large(
        self, item: Proposal, instrument: Any, limits: Mapping[str, Decimal]
    ) -> Refusal | None:
        price = after = None
        if (needing := item.needs_price(limits)) is not None:
            price = latest_price(self._cache, instrument)
            if price is None:
                return Refusal(needing, "no price is known yet")
        if not limits.keys().isdisjoint(_OF_POSITION):
            after = self._grown(item, price)
        for rule, limit in limits.items():
            value = self._limited(rule, item, instrument, price, after)
            if value is not None and value > limit:
                return Refusal(rule, f"{_shown(value)} is above {_shown(limit)}")
        return None

    def _grown(self, item: Proposal, price: Decimal | None) -> Decimal | None:
        """Return how large the position may become by the order; ``None`` when it does not grow."""
        net = self._account.net(item.instrument_id)
        coming = item.in_base(item.open_quantity, price) + self._working_on(item)
        after = abs(net + item.sign * coming)
        return None if item.only_reduces or after <= abs(net) else after

    def _limited(
        self,
        rule: str,
        item: Proposal,
        instrument: Any,
        price: Decimal | None,
        after: Decimal | None,
    ) -> Decimal | None:
        """Return what a rule limits; ``None`` when that does not apply to the order."""
        if rule == "price_collar":
            return item.distance(price)
        if rule in _OF_POSITION:
            is_value = rule == "max_position_notional"
            return after if after is None or not is_value else self._value(instrument, after, price)
        quantity = item.in_base(item.quantity, price)
        if rule == "max_order_quantity":
            return quantity
        worst = item.worst_price(price, is_inverse=_is_inverse(instrument))
        return self._value(instrument, quantity, worst)

    def _value(self, instrument: Any, quantity: Decimal, price: Decimal | None) -> Decimal | None:
        """Return what is limited in the statistics currency."""
        if price is None:
            return None
        price = abs(price)
        size = quantity * getattr(instrument, "multiplier", _ONE).as_decimal()
        if _is_inverse(instrument):
            return self._rates.convert(size / price, instrument.base_currency.code, self._currency)
        return self._rates.convert(size * price, instrument.quote_currency.code, self._currency)

    def _working_on(self, item: Proposal) -> Decimal:
        """Return the unfilled quantity of other orders on the same side."""
        return self._unfilled(self._working, item)

    def _unfilled(self, working: dict[Any, Proposal], item: Proposal) -> Decimal:
        total = Decimal(0)
        for order_id, sent in list(working.items()):
            order = self._cache.order(order_id)
            if order is None or order.is_closed:
                del working[order_id]
            elif order_id != item.order_id and sent.is_beside(item):
                total += order.leaves_qty.as_decimal()
        return total

    def _too_much_lost(self, item: Proposal, now: int) -> Refusal | None:
        if not self._limits_of_losses:
            return None
        refusal = self._losses.above(self._limits_of_losses, now)
        return None if refusal is None or self._reduces(item) else refusal

    def _reduces(self, item: Proposal) -> bool:
        net = self._account.net(item.instrument_id)
        if item.only_reduces or net * item.sign >= 0:
            return item.only_reduces
        return item.open_quantity + self._leaving(item) <= abs(net)

    def _leaving(self, item: Proposal) -> Decimal:
        """Return the unfilled quantity of other market orders on the same side.

        What rests is not counted: an exit must not wait for a stop or for a take profit.
        """
        return self._unfilled(self._exits, item)


class _Losses:
    """What the account lost, since its first order and since midnight UTC."""

    def __init__(self, account: Account, samples: Sequence[EquitySample]) -> None:
        self._account = account
        self._samples = samples
        self._first: Decimal | None = None
        self._began: Decimal | None = None
        """As ``_first``, but of this task or session alone."""
        self._midnight = -1
        self._since_midnight = Decimal(0)
        self._lost: dict[str, Refusal] = {}
        self._reached: dict[str, Decimal] = {}
        """The limits that were reached."""

    def above(self, limits: Mapping[str, Decimal], now: int) -> Refusal | None:
        equity = self._account.sample(now).equity
        if self._began is None:
            self._began = equity
        if self._first is None:
            self._first = equity
        midnight = now // DAY * DAY
        if midnight > self._midnight:  # a clock that is set back begins no day anew
            self._midnight = midnight
            self._since_midnight = self._equity_at(midnight, equity)
            for each in (self._lost, self._reached):
                each.pop("max_daily_loss", None)
        losses = {
            "max_loss": self._first - equity,
            "max_daily_loss": self._since_midnight - equity,
        }
        for rule, limit in limits.items():
            if losses[rule] >= limit and rule not in self._lost:
                # This stays in force however prices move: a later recovery does not lift it.
                text = f"{_shown(losses[rule])} is lost, {_shown(limit)} is the limit"
                self._lost[rule] = Refusal(rule, text)
                self._reached[rule] = limit
        return next((self._lost[rule] for rule in limits if rule in self._lost), None)

    @property
    def so_far(self) -> LossesSoFar | None:
        if self._first is None:
            return None
        from trading_runtime.records.account import LossesSoFar  # only sessions need it

        return LossesSoFar(
            first=f"{self._first:f}",
            midnight=self._midnight,
            at_midnight=f"{self._since_midnight:f}",
            reached={rule: f"{limit:f}" for rule, limit in self._reached.items()},
        )

    def resume(self, before: LossesSoFar, limits: Mapping[str, Decimal]) -> None:
        self._first = Decimal(before.first)
        self._midnight, self._since_midnight = before.midnight, Decimal(before.at_midnight)
        for rule, text in before.reached.items():
            limit = Decimal(text)
            if rule in limits and limits[rule] <= limit:
                self._reached[rule] = limit
                self._lost[rule] = Refusal(rule, f"{_shown(limit)} was lost in an earlier session")

    def _equity_at(self, midnight: int, equity: Decimal) -> Decimal:
        for sample in reversed(self._samples):
            if sample.ts <= midnight:
                return sample.equity if sample.ts == midnight else equity
        # The task began after midnight.
        return equity if self._began is None else self._began


def _is_inverse(instrument: Any) -> bool:
    return bool(getattr(instrument, "is_inverse", False))


def _shown(value: Decimal) -> str:
    return decimal_text(Decimal(format(value, f".{_SHOWN_DIGITS}g")))
