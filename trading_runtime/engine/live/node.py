"""One strategy in one live node: guarded, risk-checked, watched for failures, and ended in order.

Everything here happens in the thread of the event loop: reading the node or its cache from another
thread ends the process.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import replace
from decimal import Decimal, localcontext
from typing import TYPE_CHECKING, Any, NamedTuple

from nautilus_trader import model
from nautilus_trader.adapters.sandbox import SandboxExecutionClientFactory
from nautilus_trader.common import Environment
from nautilus_trader.live import ExecutionClientConfig, LiveNode, LiveRiskEngineConfig

from trading_runtime.engine.accounting.ledger import Ledger
from trading_runtime.engine.accounting.valuation import EXACT
from trading_runtime.engine.instruments.currencies import register_currencies
from trading_runtime.engine.instruments.definitions import definition_of
from trading_runtime.engine.live import restoring as restorer
from trading_runtime.engine.live.arriving import ArrivingData
from trading_runtime.engine.live.data_times import Timing, in_time_of_data
from trading_runtime.engine.live.reporting import reporting
from trading_runtime.engine.live.resting import (
    made_again,
    resting_order,
    waiting_for_parents,
)
from trading_runtime.engine.live.restoring import restoring_factory
from trading_runtime.engine.live.simulated import data_engine, simulated_venue
from trading_runtime.engine.live.time_bars import is_made_of_time
from trading_runtime.engine.risk.outbound import queue_of
from trading_runtime.engine.risk.profile import NO_LIMITS, Refusal, Risk
from trading_runtime.engine.simulation.engine_log import engine_log, logger_config
from trading_runtime.engine.simulation.fees import FeesOfVenue
from trading_runtime.engine.simulation.venue import NO_RATE
from trading_runtime.engine.strategy.failures import watch_escapes_into
from trading_runtime.engine.strategy.guard_state import KILL_REASON
from trading_runtime.engine.strategy.hidden_packages import without_versions_in_log
from trading_runtime.engine.strategy.hosting import guarded_strategy, new_guard
from trading_runtime.engine.strategy.stray_errors import watch_strays
from trading_runtime.engine.strategy.subscriptions import renewable
from trading_runtime.errors import DataError, UsageError
from trading_runtime.message_kinds import counted_kinds
from trading_runtime.units import steady_ns

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import FrameType

    from nautilus_trader.live import LiveNodeBuilder
    from nautilus_trader.trading import Strategy

    from trading_runtime.engine.accounting.equity import EquitySample
    from trading_runtime.engine.accounting.tables import TaskTables
    from trading_runtime.engine.live.replay import DataReplay
    from trading_runtime.engine.live.reporting import Listener
    from trading_runtime.engine.live.restoring import RestoringClient
    from trading_runtime.engine.strategy.loading import LoadedStrategy
    from trading_runtime.records.account import RestingOrder
    from trading_runtime.records.inputs import TaskInputs
    from trading_runtime.records.instruments import InstrumentDefinition

TRADER = model.TraderId("TRADER-001")
_MOST_NAMES = 10
_SECOND = 1_000_000_000


class NodeParts(NamedTuple):
    """What a node gives away before it runs."""

    cache: Any
    portfolio: Any


class PaperNode:
    """A live node with a simulated venue and one strategy."""

    def __init__(  # noqa: PLR0913, PLR0917 - what a node is made of
        self,
        inputs: TaskInputs,
        loaded: LoadedStrategy,
        replay: DataReplay | ArrivingData,
        listener: Listener,
        balances: Sequence[str],
        saved: Mapping[str, bytes] | None = None,
    ) -> None:
        """Assemble it without connecting. ``inputs`` is what a task is given.

        ``saved`` is what the strategy's ``load()`` is given before it starts.

        Raises ``UsageError`` when venue or strategy refuse their settings, and ``StrategyError``
        when the strategy raises while it is created.
        """
        common, partition = inputs.common, inputs.partition
        self._common, self._start = common, partition.start
        self._replay = replay
        self.venue = model.Venue(common.venue_name)
        register_currencies(partition.instruments)
        self._restorers: list[RestoringClient] = []
        self._balances = balances
        engine = data_engine(common.venue, ends_bars=isinstance(replay, ArrivingData))
        builder = replay.attach(self._new_builder().with_data_engine_config(engine))
        self._add_execution(builder)
        with without_versions_in_log():
            self._node = builder.build()
        self.handle = self._node.handle()
        self.cache = self._node.cache
        # A node that runs gives it to no one.
        self._portfolio = self._node.portfolio
        self._ledger = self._opened_ledger(balances)
        self.samples: list[EquitySample] = []
        """The account's value at each multiple of the interval of equity, in the data's time."""
        replay.on_look = self._look
        limits = common.risk or NO_LIMITS
        # The engine would count by the wall clock, which a replay does not follow.
        if common.queue is None and limits.max_orders is None:
            limits = replace(limits, max_orders=common.venue.order_rate_limit)
        self.guard = new_guard(loaded, trading_starts=0, close_at_end=False)
        self.failures = self.guard.failures
        self.risk = self.guard.risk = Risk(limits, self._ledger, self.samples)
        if isinstance(replay, ArrivingData):
            self.risk.allowed = frozenset(replay.names)
            # A wall clock that is set would hold a rate's requests back, or let all of them out.
            self.risk.rate_clock = steady_ns
        self.guard.queue = queue_of(
            common, self.guard, self.risk, at_venue=isinstance(replay, ArrivingData)
        )
        if self.guard.queue is not None:
            self.guard.queue.on_waiting = listener.queued
        self._follow_time()
        self.guard.on_denial = listener.on_order_event
        self._times: list[tuple[int, int]] = []
        self._warnings: Counter[str] = Counter()
        self._closings: dict[Any, Any] = {}
        """The id of the order that was sent last to close a position, by the position's id."""
        for actor in replay.actors(self.failures.record_exception):
            self._node.add_actor(actor)
        if not isinstance(replay, ArrivingData):
            listener = Timing(listener, self._note_times)
        self._listener = listener
        self._at_stop: dict[Any, int] | None = None
        """How many events each order had when the node was stopped."""
        self._add_strategy(loaded, inputs, listener, saved)

    def _new_builder(self) -> LiveNodeBuilder:
        """Return the beginning of a node that reconciles with no venue."""
        return (
            LiveNode.builder(self._common.venue_name, TRADER, Environment.SANDBOX)
            .with_logging(logger_config(None))
            .with_reconciliation(False)  # noqa: FBT003 - the engine takes no keywords
            .with_delay_post_stop_secs(0)
            .with_risk_engine_config(
                LiveRiskEngineConfig(max_order_submit_rate=NO_RATE, max_order_modify_rate=NO_RATE)
            )
        )

    def _add_execution(self, builder: LiveNodeBuilder) -> None:
        """Add the simulated venue, and the client that puts positions back into it."""
        common, replay = self._common, self._replay
        settings = common.venue
        restoring = restoring_factory(
            self._restorers,
            f"{common.venue_name}-SANDBOX-001",
            model.AccountType.from_str(settings.account_type.upper()),
            model.OmsType.from_str(settings.oms_type.upper()),
        )
        builder.add_exec_client(restorer.CLIENT, restoring, ExecutionClientConfig(), None)
        config = simulated_venue(settings, common.venue_name, common.seed, self._balances)
        if isinstance(config.fee_model, FeesOfVenue):
            config.fee_model.now = lambda: replay.now(self.cache)
        builder.add_simulated_exec_client(
            common.venue_name, SandboxExecutionClientFactory(), config
        )

    def _follow_time(self) -> None:
        """Let what the guard knows of time be that of the data."""
        guard, replay = self.guard, self._replay
        if isinstance(replay, ArrivingData):
            guard.now = lambda _strategy: time.time_ns()
            guard.wake = _wake_by_steady_clock
            return
        guard.now = lambda _strategy: replay.now(self.cache)
        replay.made_bars = self._bars_to_make
        if guard.queue is not None:
            replay.has_calls, replay.is_quiet = True, self._has_settled
            guard.wake = lambda _strategy, _name, at, call: replay.call_at(at, call)

    def _bars_to_make(self) -> list[model.BarType]:
        """Return the bars of a length in time that the strategy has subscribed to by now.

        A later subscription raises: these bars are made from the first row on.
        """
        found = [what for what in self.guard.subscriptions.values() if is_made_of_time(what)]
        self.guard.can_make = lambda what: what in found or not is_made_of_time(what)
        return found

    def learn_instruments(self) -> None:
        """Take the instruments that the venue has sent; a replay's are known beforehand.

        Raises ``UsageError`` when the venue does not have one.
        """
        replay = self._replay
        if not isinstance(replay, ArrivingData):
            return
        found = {str(item.id): item for item in self.cache.instruments()}
        missing = sorted(set(replay.names) - found.keys())
        if missing:
            raise UsageError(
                f"data.instruments: the venue has no {', '.join(missing)}; it has "
                f"{', '.join(sorted(found)[:_MOST_NAMES])}"
            )
        replay.instruments = [found[name] for name in replay.names]
        self._ledger = self._opened_ledger(self.balances())

    @property
    def opening_balances(self) -> Sequence[str]:
        """What the account held when the session connected."""
        return self._balances

    @property
    def definitions(self) -> list[InstrumentDefinition]:
        """The definitions of the instruments."""
        return [definition_of(item) for item in self._replay.instruments]

    def _opened_ledger(self, balances: Sequence[str]) -> Ledger:
        self._balances = balances
        return Ledger.of(
            NodeParts(self.cache, self._portfolio),
            self._common.venue_name,
            self._common.currency,
            balances,
            self._replay.instruments,
        )

    def _add_strategy(
        self,
        loaded: LoadedStrategy,
        inputs: TaskInputs,
        listener: Listener,
        saved: Mapping[str, bytes] | None,
    ) -> None:
        def with_listener(strategy_class: type[Strategy]) -> type[Strategy]:
            self._strategy_class = strategy_class
            self._sending = reporting(strategy_class, listener)
            return self._sending

        seed = self._common.seed
        self.strategy = guarded_strategy(loaded, inputs.config, seed, self.guard, with_listener)
        self._node.add_strategy(self.strategy)
        if saved:
            try:
                self.strategy.load(dict(saved))
            except Exception as error:
                self.failures.record_exception(error)
                note = " (while the strategy loaded what an earlier session saved)"
                raise (self.failures.as_error(note) or error) from error

    async def run(self) -> None:
        """Run until the node is stopped; what escapes from the strategy is in ``failures``."""
        log = engine_log()
        log.clear()
        self.guard.running = True
        try:
            with (
                watch_strays(self.failures),
                watch_escapes_into(self.failures, _runs_the_engine),
            ):
                await self._node.run_async()
        except Exception as error:
            if self.failures.message is None:
                raise
            # The engine raises the error of on_start as text; the record has all of it.
            del error
        finally:
            self.guard.running = False

    def logged_failure(self) -> None:
        """Record a callback's error that only the engine's log shows."""
        logged = engine_log().messages()
        if logged.callback_error is not None:
            self.failures.record_logged(logged.callback_error)
        self._warnings += logged.counts

    @property
    def warnings(self) -> dict[str, int]:
        """Warnings and errors that the engine logged, by kind."""
        return counted_kinds(self._warnings)

    def stop(self) -> None:
        """Stop the node; what is still in its queues is lost."""
        if self._at_stop is None:
            orders = self.cache.orders()
            self._at_stop = {order.client_order_id: len(order.events()) for order in orders}
        self.handle.stop()

    def report_last(self) -> bool:
        """Report what became of orders since the stop; return whether anything did.

        The engine tells a strategy that has stopped nothing of what it sent in its ``on_stop``.
        """
        before = self._at_stop or {}
        last = [
            event
            for order in sorted(self.cache.orders(), key=lambda order: order.ts_init)
            for event in order.events()[before.get(order.client_order_id, 0) :]
            if type(event).__name__ not in {"OrderInitialized", "OrderSubmitted", "OrderDenied"}
        ]
        for event in last:
            self._listener.on_order_event(event)
        return bool(last)

    def halt(self, reason: str = KILL_REASON) -> None:
        """Block all further orders of the strategy, even those that close a position."""
        if not self.guard.halted:
            self.guard.halted, self.guard.halt_reason = True, reason
        self.drop_waiting(reason)

    def resume(self) -> None:
        """Let the strategy's orders go out again."""
        self.guard.halted = False

    def drop_waiting(self, reason: str) -> None:
        """Send nothing of what waits in the queue."""
        if self.guard.queue is not None:
            self.guard.queue.drop(self.strategy, reason)

    def pause_queue(self, seconds: float) -> bool:
        """Let what the outbound queue takes wait for so long; return whether it takes orders."""
        if self.guard.queue is None:
            return False
        self.guard.queue.pause(self.strategy, int(seconds * _SECOND))
        return self.guard.queue.takes_orders

    def waiting_cancellations(self) -> list[Any]:
        """Return the ids of the orders whose cancellations wait in the queue."""
        queue = self.guard.queue
        return [] if queue is None else queue.cancellations(self.strategy)

    def left_of(self, order_ids: Sequence[Any]) -> list[Any]:
        """Return those of these orders, by id, that the venue holds, or may hold."""
        left = {order.client_order_id for order in self.left}
        return [order_id for order_id in order_ids if order_id in left]

    def cancel(self, order_ids: Sequence[Any]) -> None:
        """Ask the venue to cancel these orders, as many as it takes in a second.

        Those for which it was asked, and has not answered, are passed over.
        """
        asked = {order.client_order_id for order in self.cache.orders_inflight()}
        asked -= {order.client_order_id for order in self.unanswered}
        wanted = [order_id for order_id in self.left_of(order_ids) if order_id not in asked]
        queue = self.guard.queue
        for order_id in wanted[: None if queue is None else queue.most_a_second]:
            self._sending.cancel_order(self.strategy, order_id)

    def cancel_resting(self) -> None:
        """Ask the venue to cancel every resting order for which it was not asked yet."""
        asked = {order.client_order_id for order in self.cache.orders_inflight()}
        found = [order for order in self.resting if order.client_order_id not in asked]
        for instrument_id in sorted({order.instrument_id for order in found}, key=str):
            self._sending.cancel_all_orders(self.strategy, instrument_id)
        for order in self.unanswered:
            self._sending.cancel_order(self.strategy, order.client_order_id)

    def cancel_opening(self) -> None:
        """Ask for the cancellation of what rests and would not make a position smaller."""
        asked = {order.client_order_id for order in self.cache.orders_inflight()}
        for order in self.resting:
            net = self._ledger.account.net(order.instrument_id)
            closes = (net < 0) if order.side.name == "BUY" else (net > 0)
            is_exit = closes and order.leaves_qty.as_decimal() <= abs(net)
            if not (order.is_reduce_only or is_exit or order.client_order_id in asked):
                self._sending.cancel_order(self.strategy, order.client_order_id)

    def close_positions(self) -> None:
        """Send market orders that close every position, regardless of halts and limits.

        A position whose closing order is under way gets no other.
        """
        for position in sorted(self.cache.positions_open(), key=lambda item: str(item.id)):
            if position.id in self._closings:
                sent = self.cache.order(self._closings[position.id])
                if sent is None or not sent.is_closed:
                    continue
            side = model.OrderSide.BUY if position.is_short else model.OrderSide.SELL
            order = self.strategy.order_factory.market(
                position.instrument_id, side, position.quantity, reduce_only=True
            )
            self._closings[position.id] = order.client_order_id
            self._sending.submit_order(self.strategy, order, position.id)

    @property
    def resting(self) -> list[Any]:
        """The orders that the venue holds, and those that the engine emulates."""
        return [*self.cache.orders_open(), *self.cache.orders_emulated()]

    @property
    def unanswered(self) -> list[Any]:
        """The orders that were sent, and of which the venue has not said anything."""
        return [order for order in self.cache.orders_inflight() if order.status.name == "SUBMITTED"]

    @property
    def left(self) -> list[Any]:
        """The orders that the venue holds, or may hold."""
        return [*self.resting, *self.unanswered]

    def resting_facts(self) -> list[RestingOrder]:
        """Return the resting orders as ``restore_order`` takes them."""
        return [resting_order(order) for order in (*self.resting, *self._waiting)]

    def positions(self) -> list[tuple[str, str, str]]:
        """Return instrument, quantity (below zero when short) and average price of positions."""
        found = sorted(self.cache.positions_open(), key=lambda item: str(item.id))
        return [
            (
                str(item.instrument_id),
                f"{'-' if item.is_short else ''}{item.quantity}",
                repr(item.avg_px_open),
            )
            for item in found
        ]

    def quantities(self) -> dict[str, Decimal]:
        """Return the quantity held of each instrument, below zero when short."""
        return {name: Decimal(quantity) for name, quantity, _ in self.positions()}

    def save(self) -> dict[str, bytes]:
        """Return what the strategy saves; what it raises is in ``failures``."""
        try:
            return dict(self.strategy.save())
        except Exception as error:  # noqa: BLE001 - the error is the strategy's
            self.failures.record_exception(error)
            return {}

    def restore_position(self, name: str, quantity: str, average_price: str) -> None:
        """Put a position back, without a fee; raises ``DataError`` when there can be none such."""
        signed = Decimal(quantity)
        instrument = self._ledger.instruments[name]
        order_id = f"{restorer.PREFIX}{time.time_ns()}"
        self._restorers[0].expect(order_id, Decimal(average_price))
        try:
            order = self.strategy.order_factory.limit(
                instrument.id,
                model.OrderSide.BUY if signed > 0 else model.OrderSide.SELL,
                model.Quantity.from_str(f"{abs(signed):.{instrument.size_precision}f}"),
                instrument.make_price(float(average_price)),
                client_order_id=model.ClientOrderId(order_id),
                tags=[restorer.PREFIX.rstrip("-")],
            )
        except ValueError as error:
            raise DataError(
                f"the position of {quantity} {name} at {average_price} cannot be put back: "
                f"{error}; start over with 'trade --fresh'"
            ) from error
        self._strategy_class.submit_order(
            self.strategy, order, None, model.ClientId(restorer.CLIENT)
        )

    def restore_order(self, facts: RestingOrder) -> None:
        """Put a resting order back at the venue, under its previous id.

        Raises ``DataError`` when it cannot be made again.
        """
        self._sending.submit_order(self.strategy, made_again(facts, self.strategy))

    @property
    def is_quiet(self) -> bool:
        """Whether nothing is in flight to the venue."""
        waiting = len(self._waiting) if self.cache.orders_inflight_count() else 0
        return bool(self.cache.orders_inflight_count() == waiting)

    @property
    def _waiting(self) -> list[Any]:
        """The orders that the simulated venue accepts once another is filled."""
        return waiting_for_parents(self.cache.orders_inflight())

    def _has_settled(self) -> bool:
        """Whether the venue has answered to every order, those still on their way included."""
        cache = self.cache
        settled = cache.orders_open_count() + cache.orders_closed_count()
        return bool(cache.orders_total_count() == settled + cache.orders_emulated_count())

    def newest_rows(self) -> dict[str, int]:
        """Return when the newest row of each instrument arrived, by its id, 0 before the first."""
        return self._replay.newest(self.cache)

    def has_row(self, name: str) -> bool:
        """Return whether a row of an instrument, by id, has come."""
        cache, its = self.cache, model.InstrumentId.from_str(name)
        bars = map(cache.bar, cache.bar_types(model.AggregationSource.EXTERNAL, its))
        return any((cache.quote(its), cache.trade(its), *bars))

    def skew_of(self, name: str) -> float | None:
        """Return by how many seconds an instrument's newest tick is ahead, ``None`` without one."""
        its = model.InstrumentId.from_str(name)
        ticks = [
            tick for tick in (self.cache.quote(its), self.cache.trade(its)) if tick is not None
        ]
        newest = max((tick.ts_event for tick in ticks), default=None)
        return None if newest is None else (newest - time.time_ns()) / _SECOND

    def subscribe_again(self, name: str) -> None:
        """Subscribe again to an instrument's data: the venue may have dropped the subscription.

        The engine passes on only the first subscription to a series, and only the last end of one.
        """
        if not isinstance(self._replay, ArrivingData):
            return
        own = renewable(self.guard, name)
        for kind, what in own:
            getattr(self.strategy, f"unsubscribe_{kind}")(what)
        self._replay.subscribe_again(name)
        for kind, what in own:
            getattr(self.strategy, f"subscribe_{kind}")(what)

    def hold(self, why: str | None) -> None:
        """Block orders in all instruments, or allow them again."""
        self.risk.held = None if why is None else Refusal("venue", why)

    def bar_old(self, is_old: Callable[[str], bool]) -> None:
        """Block orders in instruments, by id, of which this is true at that moment."""
        self.risk.is_old = is_old

    def close_instrument(self, name: str, why: str) -> None:
        """Block orders in an instrument."""
        self.risk.closed[name] = Refusal("stale_after", why)

    def open_instrument(self, name: str) -> None:
        """Allow orders in an instrument again."""
        self.risk.closed.pop(name, None)

    def balances(self) -> list[str]:
        """Return what the account holds, by currency, as in ``balances`` of a venue."""
        account = self.cache.account_for_venue(self.venue)
        if account is None:
            return list(self._balances)
        found = account.balances().values()
        return sorted(f"{item.total.as_decimal():f} {item.total.currency.code}" for item in found)

    def equity(self) -> EquitySample:
        """Return the account's value now; raises ``DataError`` when an exchange rate is missing."""
        return self._ledger.account.sample(self._replay.now(self.cache))

    def tables(self, end: int) -> TaskTables:
        """Return orders, fills, positions and equity until now, in the data's time.

        Raises ``DataError`` when an exchange rate is missing.
        """
        ledger = self._ledger
        with localcontext(EXACT):
            ledger.history.note(time.time_ns())
            samples = [
                ledger.opening(self._balances, 0)._replace(ts=self._start),
                *(item for item in self.samples if self._start < item.ts < end),
                ledger.account.sample(end),
            ]
        tables = ledger.tables(ledger.positions(), samples, self.guard.refused_orders)
        if isinstance(self._replay, ArrivingData):
            return tables
        return in_time_of_data(tables, self._times, end)

    def dispose(self) -> None:
        """Release the node."""
        self._node.dispose()

    def _look(self, ts: int) -> None:
        with localcontext(EXACT):
            self._ledger.history.note(time.time_ns())
            self.samples.append(self._ledger.account.sample(ts))

    def _note_times(self, *instants: int) -> None:
        # An order that waited was made before what happened meanwhile.
        if self._times and instants[-1] < self._times[-1][0]:
            return
        now = self._replay.now(self.cache)
        # In order, since the next event has a later instant.
        self._times += [(instant, now) for instant in sorted(instants)]


def _wake_by_steady_clock(strategy: Any, name: str, at: int, call: Callable[[int], None]) -> None:
    """Call at an instant of the steady clock: the engine's alerts wait for a span of time."""
    clock = strategy.clock
    due = clock.timestamp_ns() + max(at - steady_ns(), 0)
    clock.set_time_alert_ns(name, due, lambda _event: call(max(at, steady_ns())))


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _runs_the_engine(frame: FrameType) -> bool:
    code = frame.f_code
    return code.co_name == "drive" and code.co_filename.endswith("_hosted_run.py")
