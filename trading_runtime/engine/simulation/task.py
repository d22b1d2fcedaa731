"""One task: a fresh engine, one strategy, one partition's data, and the tables that come out."""

from __future__ import annotations

import dataclasses
import functools
from contextlib import closing, nullcontext
from decimal import Context, localcontext
from typing import TYPE_CHECKING

from nautilus_trader import model

from trading_runtime.collector import collector_paused
from trading_runtime.engine.accounting.cash_flows import (
    DIVIDENDS,
    NO_PAYMENTS,
    SWAP,
    CashFlow,
    CashFlows,
    CashModule,
    dividends,
    swaps,
)
from trading_runtime.engine.accounting.equity import EquitySampler, RateNoter, looks
from trading_runtime.engine.accounting.ledger import Ledger
from trading_runtime.engine.accounting.liquidation import Liquidations, liquidations
from trading_runtime.engine.accounting.valuation import EXACT
from trading_runtime.engine.instruments.currencies import register_currencies
from trading_runtime.engine.risk.outbound import queue_of
from trading_runtime.engine.risk.profile import NO_LIMITS, Risk
from trading_runtime.engine.simulation.custom_rows import CustomRows, custom_series
from trading_runtime.engine.simulation.engine_log import (
    EngineMessages,
    callback_error,
    engine_log,
    logger_config,
)
from trading_runtime.engine.simulation.feed import (
    ENGINE_CALLERS,
    DecodedRows,
    FedEngine,
    SharingEngine,
    StreamingEngine,
    books_without_quotes,
    expected_steps,
    fed,
    first_row_after,
    last_instant,
    last_rows,
    row_bounds,
)
from trading_runtime.engine.simulation.feeding_order import (
    early_bars,
    refuse_early_bars,
    two_sided,
)
from trading_runtime.engine.simulation.fees import FeesOfVenue
from trading_runtime.engine.simulation.kill_signal import KillSignal, ended_by
from trading_runtime.engine.simulation.rate_rows import RateRows
from trading_runtime.engine.simulation.settlement import stated_closes
from trading_runtime.engine.simulation.venue import engine_config, has_latency, venue_config
from trading_runtime.engine.strategy.config import build_config
from trading_runtime.engine.strategy.file_reads import FileReads
from trading_runtime.engine.strategy.guard import refuse_replaced_callbacks
from trading_runtime.engine.strategy.hosting import guarded_strategy, new_guard, silenced
from trading_runtime.engine.strategy.loading import (
    LoadedStrategy,
    imported_strategy,
    refuse_foreign_modules,
    refuse_foreign_packages,
)
from trading_runtime.engine.strategy.stray_errors import watch_strays
from trading_runtime.engine.strategy.subscriptions import unfed
from trading_runtime.errors import DataError, StrategyError, UsageError
from trading_runtime.message_kinds import counted_kinds
from trading_runtime.units import DAY, NANOSECONDS, format_instant

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from nautilus_trader.model import InstrumentClose

    from trading_runtime.config.strategy_code import StrategyCode
    from trading_runtime.engine.accounting.cash_flows import Payments
    from trading_runtime.engine.accounting.equity import Look
    from trading_runtime.engine.accounting.tables import TaskTables
    from trading_runtime.engine.simulation.feed import RowBounds
    from trading_runtime.engine.strategy.guard_state import GuardState
    from trading_runtime.records.inputs import CommonInputs, TaskInputs


@dataclasses.dataclass(frozen=True)
class TaskOutput:
    """The result of one task's engine run."""

    tables: TaskTables
    warmup_denied_orders: int
    risk_refusals: dict[str, int] | None = None
    """Orders and order changes that each rule of the risk profile refused; none without one."""
    funding: Payments = NO_PAYMENTS
    flows: Mapping[str, Payments] = dataclasses.field(default_factory=dict)
    """What positions received and paid as swap and as dividends, where venues have them."""
    liquidations: Liquidations | None = None
    """Positions that venues closed; none when no venue does so."""
    engine_warnings: dict[str, int] = dataclasses.field(default_factory=dict)
    """Warnings and errors that the engine logged, by kind."""
    queued: dict[str, int] | None = None
    """Requests that waited, and what became of them but being sent; none without a queue."""
    unfed: Sequence[str] = ()
    """Data that the strategy subscribed to but was not fed."""
    files_read: Sequence[str] = ()
    """Files beside the strategy that it read and that are no part of its code."""
    orders_at_stop: int | None = None
    """How many orders there were when the strategy was stopped; unknown of a builtin one."""


@dataclasses.dataclass(frozen=True)
class _Course:
    """What is known about an engine's run before it starts."""

    steps: int
    """How many steps the engine makes for the rows."""
    bounds: RowBounds
    """When the first and the last of the rows are."""
    catalog: Path
    """Where the rows are."""
    closes: Sequence[InstrumentClose]
    """Contracts that expire at a stated price."""
    is_logged: bool
    """Whether the engine's log, and with it the strategy's, is shown."""


def run_task(  # noqa: PLR0913 - what a task is, and how it is fed and logged
    inputs: TaskInputs,
    code: StrategyCode,
    catalog: Path,
    rows: int,
    *,
    decoded_rows: DecodedRows | None = None,
    log_level: str | None = None,
    kill: KillSignal | None = None,
) -> TaskOutput:
    """Run one task and return its tables.

    ``inputs`` are what the task's identity is the digest of (see ``planning.identity``). Nothing
    else reaches the engine except the strategy's ``code`` and the ``rows`` rows in ``catalog``,
    whose digests they contain; ``decoded_rows`` are the same rows, when they were decoded for
    several tasks. With ``log_level`` (``DEBUG``, ``INFO``, ``WARNING``, ``ERROR``) the engine logs
    to standard output. Once ``kill`` is sent, no order is sent, open ones are cancelled, and the
    task ends.

    Raises ``StrategyError`` when the strategy raises anywhere, leaves early or imports code outside
    its digest; ``DataError`` when an exchange rate is missing; ``UsageError`` when venue or
    strategy refuse their settings; ``KilledError`` when it was killed.
    """
    common = inputs.common
    # Before the strategy is imported: what Arrow imports here is not due to the strategy.
    data = inputs.partition.data
    steps = expected_steps(data, catalog, rows)
    bounds = row_bounds(data, catalog) if decoded_rows is None else decoded_rows.bounds
    closes = stated_closes(inputs)
    steps += len(closes)
    # A strategy that sets a decimal context sets it only for its own task.
    with (
        nullcontext(decoded_rows)
        if decoded_rows is not None
        else closing(RateRows(inputs, catalog)) as added,
        localcontext(Context()),
        FileReads(code) as reads,
        imported_strategy(code, common.config_path, common.seed) as loaded,
    ):
        engine = _make_engine(inputs, catalog, added, closes, log_level)
        try:
            is_logged = log_level is not None
            course = _Course(steps + added.added, bounds, catalog, closes, is_logged)
            output = _run_engine(engine, inputs, loaded, course, kill or KillSignal())
        except StrategyError:
            # It stays in the process, so the caller must learn of it first.
            refuse_foreign_packages(loaded, common.packages)
            raise
        finally:
            engine.dispose()
        refuse_foreign_modules(loaded, common.packages)
        return dataclasses.replace(output, files_read=reads.foreign())


def _make_engine(
    inputs: TaskInputs,
    catalog: Path,
    rows: DecodedRows | RateRows,
    closes: Sequence[InstrumentClose],
    log_level: str | None,
) -> FedEngine:
    common, partition = inputs.common, fed(inputs)
    register_currencies(partition.instruments)
    venues = [venue_config(venue, name, common.seed) for name, venue in common.all_venues.items()]
    config = engine_config(
        common.venue,
        str(catalog),
        quotes_from_books=bool(books_without_quotes(partition.data)),
        is_queued=common.queue is not None,
        logging=logger_config(log_level),
    )
    try:
        if isinstance(rows, DecodedRows):
            return SharingEngine(venues, config, partition, rows, closes)
        return StreamingEngine(venues, config, partition, rows, closes)
    except RuntimeError as error:
        if "single-currency CASH account" not in str(error):
            raise
        raise UsageError(
            f"venue.base_currency: {error}; leave it out, or use 'account_type: margin'"
        ) from error


def _run_engine(
    engine: FedEngine,
    inputs: TaskInputs,
    loaded: LoadedStrategy,
    course: _Course,
    kill: KillSignal,
) -> TaskOutput:
    common, partition = inputs.common, inputs.partition
    start, end = partition.start, partition.end
    guard = new_guard(loaded, trading_starts=start, close_at_end=common.at_end == "close")
    guard.early_bars = early_bars(partition.data, bar_execution=common.venue.bar_execution)
    failures = guard.failures
    venues = common.all_venues
    balances = [balance for venue in venues.values() for balance in venue.balances]
    ledger = Ledger.of(
        engine,
        common.venue_name,
        common.currency,
        balances,
        further_venues=common.venues,
    )
    ledger.account.sides = two_sided(partition.data)
    with_books = map(model.InstrumentId.from_str, books_without_quotes(partition.data))
    books = [
        (name, model.BookType.from_str(venues[name.venue.value].book_type)) for name in with_books
    ]
    flows = _cash_flows(engine, inputs, ledger, course)
    sampler = _observer(engine, inputs, ledger, guard, course, books, flows)
    for settings in engine.venues:
        if isinstance(settings.fee_model, FeesOfVenue):
            settings.fee_model.now = sampler.now
    guard.at_end_of_instant = sampler.at_end_of_instant
    failures.stop_engine = lambda: sampler.shutdown_system("failed")
    _set_limits(guard, common, ledger, sampler)
    _add_strategy(engine, loaded, inputs, guard, is_logged=course.is_logged)
    single = ledger.in_single_currency(
        {name: venue.base_currency for name, venue in venues.items()}
    )
    guard.check_order = single.check_order if single is not None else None
    custom = CustomRows(custom_series(partition.data), course.catalog)
    if custom.series:
        engine.add_actor(custom)
    with ended_by(kill, guard, ENGINE_CALLERS):
        consumed, logged = _run(engine, guard, sampler)
    consumed += custom.published
    if (failure := failures.as_error()) is not None:
        raise failure
    if consumed != course.steps:
        raise StrategyError(
            f"the engine consumed {consumed} of {course.steps} rows: something ended the run early"
        )
    if single is not None:
        single.check_orders()
    _refuse_unsettled(ledger, end)
    with localcontext(EXACT), collector_paused():
        ledger.history.note(end)
        sampled = sampler.samples_with(ledger.history)
        inside = (item for item in sampled if item.ts % common.equity_interval == 0)
        last = ledger.account.sample(end)
        if flows is not None:
            flows.settle(end)
            last = last._replace(raw=last.raw + flows.not_booked())
        samples = [ledger.opening(balances, start), *inside, last]
        positions = ledger.positions()
        tables = ledger.tables(positions, samples, guard.refused_orders)
        funding = ledger.funding(positions)
    if unmarked := sorted(ledger.account.without_price):
        raise DataError(
            f"a position in {', '.join(unmarked)} cannot be marked: no quotes, trades or bars give "
            "its price; add some, or leave out the quotes of instruments that have books as well"
        )
    refusals = guard.risk.refusals if guard.risk is not None and common.risk is not None else None
    return TaskOutput(
        tables,
        guard.warmup_denied_orders,
        None if refusals is None else dict(sorted(refusals.items())),
        funding,
        engine_warnings=counted_kinds(logged.counts),
        unfed=unfed(
            guard.subscriptions,
            engine.cache.orders_emulated(),
            partition.data,
            quotes_from_books=bool(books),
        ),
        flows={} if flows is None else flows.totals,
        liquidations=liquidations(tables) if _liquidates(common) else None,
        queued=None if guard.queue is None else dict(sorted(guard.queue.counts.items())),
        orders_at_stop=guard.orders_at_stop,
    )


def _observer(  # noqa: PLR0913, PLR0917 - what is observed, and when
    engine: FedEngine,
    inputs: TaskInputs,
    ledger: Ledger,
    guard: GuardState,
    course: _Course,
    books: Sequence[tuple[model.InstrumentId, model.BookType]],
    flows: CashFlows | None,
) -> EquitySampler:
    """Return what samples equity, added to the engine; exchange rates are recorded, too."""
    partition = inputs.partition
    last = max([course.bounds.last, *(close.ts_init for close in course.closes)])
    wanted = [_sampled(inputs, () if flows is None else flows.instants)]
    if ledger.history.is_needed:
        wanted.append(_noted(inputs, course.bounds.firsts))
    looked, *noted = _looks(inputs, wanted, course.catalog)
    window = partition.start, partition.end
    sampler = EquitySampler(ledger.account, window, looked, last, books)
    sampler.flows = flows
    sampler.next_timer = functools.partial(guard.next_timer, last_instant(partition, course.closes))
    engine.add_actor(sampler)
    for each in noted:
        noter = RateNoter(ledger.history, each, last)
        noter.next_timer = sampler.next_timer
        engine.add_actor(noter)
    return sampler


def _set_limits(
    guard: GuardState, common: CommonInputs, ledger: Ledger, sampler: EquitySampler
) -> None:
    if common.risk is not None or common.queue is not None:
        guard.risk = Risk(common.risk or NO_LIMITS, ledger, sampler.samples)
        guard.queue = queue_of(common, guard, guard.risk)


def _refuse_unsettled(ledger: Ledger, end: int) -> None:
    """Raise ``DataError`` when an option has expired and a position in it is still open.

    The engine settles it by quotes or trades of the underlying; without them it only logs that it
    will try again, and the position would keep the option's last price.
    """
    for position in ledger.cache.positions_open():
        instrument = ledger.instruments[str(position.instrument_id)]
        kind = getattr(instrument, "option_kind", None)
        expired = getattr(instrument, "expiration_ns", None)
        if kind is not None and expired is not None and expired < end:
            raise DataError(
                f"{instrument.id} expired at {format_instant(expired)} and was not settled: that "
                f"takes quotes or trades of its underlying {instrument.underlying} (not bars); add "
                "them to the dataset, or let the strategy close its position before"
            )


def _cash_flows(
    engine: FedEngine, inputs: TaskInputs, ledger: Ledger, course: _Course
) -> CashFlows | None:
    """Return what positions receive and pay apart from trading, if a venue has such settings."""
    partition = inputs.partition
    modules = {
        model.Venue(venue.name): module
        for venue in engine.venues
        for module in venue.modules
        if isinstance(module, CashModule)
    }
    flows: list[CashFlow] = []
    kinds: dict[str, None] = {}
    first_row = functools.partial(first_row_after, partition.data, course.catalog)
    for name, settings in inputs.common.all_venues.items():
        venue = model.Venue(name)
        if settings.swap is not None:
            kinds[SWAP] = None
            until = partition.start, partition.charged_until
            flows += swaps(settings.swap, venue, until, ledger.cache)
        if settings.dividends is not None:
            kinds[DIVIDENDS] = None
            window = partition.start, partition.end
            flows += dividends(settings.dividends, venue, window, first_row)
    return CashFlows(modules, flows, kinds, ledger) if kinds else None


def _liquidates(common: CommonInputs) -> bool:
    return any(venue.liquidation for venue in common.all_venues.values())


def _sampled(inputs: TaskInputs, flows: Sequence[int]) -> Sequence[int]:
    """Return the instants that equity is stated at: samples, a limit's midnights, each flow."""
    common, partition = inputs.common, inputs.partition
    interval, end = common.equity_interval, partition.end
    instants: Sequence[int] = range(_multiple(partition.start, interval), end, interval)
    if common.risk is not None and common.risk.max_daily_loss is not None and DAY % interval:
        instants = sorted({*instants, *range(_multiple(partition.start, DAY), end, DAY)})
    if flows:
        instants = sorted({*instants, *(ts for ts in flows if ts < end)})
    return instants


def _noted(inputs: TaskInputs, firsts: Sequence[int]) -> Sequence[int]:
    """Return the instants at which exchange rates are recorded, whatever ``equity.interval`` is.

    That is at every full hour, at the start, and at the first row of each series: before it a rate
    may be unknown.
    """
    partition = inputs.partition
    begin, end = partition.warmup_start, partition.end
    hours = range(_multiple(begin, NANOSECONDS["h"]), end, NANOSECONDS["h"])
    return sorted({*hours, partition.start, *(ts for ts in firsts if ts < end)})


def _looks(inputs: TaskInputs, wanted: Sequence[Sequence[int]], catalog: Path) -> list[list[Look]]:
    """Return, for each of ``wanted``, when the account is read to know it as of these instants."""
    if not has_latency(inputs.common):
        return [looks(instants, None) for instants in wanted]
    every = wanted[0] if len(wanted) == 1 else sorted(set().union(*wanted))
    rows = last_rows(inputs.partition.data, catalog, every)
    before = dict(zip(every, rows, strict=True))
    return [looks(instants, [before[ts] for ts in instants]) for instants in wanted]


def _multiple(ts: int, unit: int) -> int:
    """Return the first multiple of ``unit`` that is not before ``ts``."""
    return -(-ts // unit) * unit


def _add_strategy(
    engine: FedEngine,
    loaded: LoadedStrategy,
    inputs: TaskInputs,
    guard: GuardState,
    *,
    is_logged: bool,
) -> None:
    if loaded.strategy_class is None:
        if guard.risk is not None:
            raise UsageError("risk: cannot be enforced on a strategy that runs inside the engine")
        refuse_early_bars(inputs.config, guard.early_bars)
        config = build_config(loaded.config_class, inputs.config)
        engine.add_builtin_strategy(loaded.code.class_name, config)
        return
    seed = inputs.common.seed
    below = (lambda strategy_class: strategy_class) if is_logged else silenced
    engine.add_strategy(guarded_strategy(loaded, inputs.config, seed, guard, below))


def _run(
    engine: FedEngine, guard: GuardState, sampler: EquitySampler
) -> tuple[int, EngineMessages]:
    """Run, and return the steps that the engine made and what it logged."""
    failures = guard.failures
    log = engine_log()
    log.clear()
    guard.running = True
    try:
        with watch_strays(failures):
            consumed = engine.run(
                failures, lambda: failures.message is not None or sampler.error is not None
            )
    except Exception as error:
        # The engine raises the error of on_start as text; the record may have all of it.
        if failures.message is None:
            if (text := callback_error(str(error))) is None:
                raise
            failures.record_logged(text)
        return 0, EngineMessages()
    if sampler.error is not None:
        raise sampler.error
    if guard.strategy is not None:
        refuse_replaced_callbacks(guard)
    logged = log.messages()
    if logged.callback_error is not None:
        failures.record_logged(logged.callback_error)
    return consumed, logged
