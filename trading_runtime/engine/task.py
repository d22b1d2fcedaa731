"""One task: a fresh engine, one strategy, one partition's data, and the tables that come out."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from decimal import Context, Decimal, localcontext
from typing import TYPE_CHECKING, Any

from nautilus_trader import model
from nautilus_trader.backtest import BacktestNode, BacktestRunConfig

from trading_runtime.engine.equity import Account, EquitySample, EquitySampler
from trading_runtime.engine.failures import FailureRecord, watch_escapes
from trading_runtime.engine.feed import books_without_quotes, data_configs, expected_steps
from trading_runtime.engine.guard import guarded
from trading_runtime.engine.rates import EXACT, Rates, SingleCurrencyAccount
from trading_runtime.engine.strategy_config import build_config
from trading_runtime.engine.strategy_loading import (
    LoadedStrategy,
    imported_strategy,
    make_strategy,
    refuse_foreign_modules,
    seed_randomness,
)
from trading_runtime.engine.tables import TaskTables, collect
from trading_runtime.engine.valuation import RateHistory, Valuation
from trading_runtime.engine.venue import engine_config, venue_config
from trading_runtime.engine.watch import Watch
from trading_runtime.errors import StrategyError, TradingRuntimeError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from trading_runtime.config.strategy_code import StrategyCode

_RUN = "task"
_CHUNK_ROWS = 50_000


@dataclass(frozen=True)
class TaskOutput:
    """What one task's engine run gave."""

    tables: TaskTables
    warmup_denied_orders: int


def run_task(
    inputs: Mapping[str, Any],
    code: StrategyCode,
    catalog: Path,
    rows: int,
    *,
    log_level: str | None = None,
) -> TaskOutput:
    """Run one task and return its tables.

    ``inputs`` (``common``, ``config``, ``partition``: see ``planning.identity``) is the document
    that the task's identity is the digest of. Nothing else reaches the engine but the strategy's
    ``code`` and the ``rows`` rows in ``catalog``, whose digests it holds. With ``log_level``
    (``DEBUG``, ``INFO``, ``WARNING``, ``ERROR``) the engine logs to standard output.

    Raises ``StrategyError`` when the strategy raises anywhere, leaves early or imports code outside
    its digest; ``DataError`` when an exchange rate is missing; ``UsageError`` when venue or
    strategy refuse their settings.
    """
    common = inputs["common"]
    # A strategy that sets a decimal context sets it for its own task alone.
    with (
        localcontext(Context()),
        imported_strategy(code, common["strategy"]["config_path"], common["seed"]) as loaded,
    ):
        output = _run_engine(inputs, loaded, catalog, rows, log_level)
        refuse_foreign_modules(loaded)
    return output


def _run_engine(
    inputs: Mapping[str, Any],
    loaded: LoadedStrategy,
    catalog: Path,
    rows: int,
    log_level: str | None,
) -> TaskOutput:
    common = inputs["common"]
    start, end = inputs["partition"]["start"], inputs["partition"]["end"]
    failures = FailureRecord(frozenset(str(path) for path in loaded.code.files))
    watch = Watch(failures, trading_starts=start, close_at_end=common["at_end"] == "close")
    node = BacktestNode([_run_config(inputs, catalog, log_level)])
    try:
        _build(node)
        cache = node.get_engine_cache(_RUN)
        venue, currency = model.Venue(common["venue_name"]), common["currency"]
        rates = Rates(cache, venue)
        account = Account(node.get_engine_portfolio(_RUN), cache, venue, rates, currency)
        instruments = {str(item.id): item for item in cache.instruments()}
        history = RateHistory(rates, _currencies(instruments, common["venue"]), currency)
        books = [
            (
                model.InstrumentId.from_str(name),
                model.BookType.from_str(common["venue"]["book_type"]),
            )
            for name in books_without_quotes(inputs["partition"]["data"])
        ]
        sampler = EquitySampler(account, history, (start, end), common["equity_interval"], books)
        node.add_actor(_RUN, sampler)
        _add_strategy(node, loaded, inputs, watch)
        base = common["venue"]["base_currency"]
        single = SingleCurrencyAccount(cache, venue, base) if base is not None else None
        watch.check_order = single.check_order if single is not None else None
        expected = expected_steps(inputs["partition"]["data"], catalog, rows)
        consumed = _run(node, failures, watch, sampler)
        if (failure := failures.as_error()) is not None:
            raise failure
        if consumed != expected:
            raise StrategyError(
                f"the engine consumed {consumed} of {expected} rows: something ended the run early"
            )
        if single is not None:
            single.check_orders()
        with localcontext(EXACT):
            history.note(end)
            initial = initial_equity(common["venue"]["balances"], history, start)
            samples = [EquitySample(start, initial, 0), *sampler.samples, account.sample(end)]
            tables = collect(cache, samples, Valuation(instruments, history, currency))
        return TaskOutput(tables, watch.warmup_denied_orders)
    finally:
        node.dispose()


def _build(node: BacktestNode) -> None:
    try:
        node.build()
    except RuntimeError as error:
        if "single-currency CASH account" not in str(error):
            raise
        raise UsageError(
            f"venue.base_currency: {error}; leave it out, or use 'account_type: margin'"
        ) from error


def _run_config(
    inputs: Mapping[str, Any], catalog: Path, log_level: str | None
) -> BacktestRunConfig:
    common, partition = inputs["common"], inputs["partition"]
    return BacktestRunConfig(
        [venue_config(common["venue"], common["venue_name"], common["seed"])],
        data_configs(partition, catalog),
        engine_config(
            common["venue"],
            str(catalog),
            quotes_from_books=bool(books_without_quotes(partition["data"])),
            log_level=log_level,
        ),
        id=_RUN,
        chunk_size=_CHUNK_ROWS,
        raise_exception=True,
        dispose_on_completion=False,
        start=partition["warmup_start"],
        end=partition["end"] - 1,
    )


def _add_strategy(
    node: BacktestNode, loaded: LoadedStrategy, inputs: Mapping[str, Any], watch: Watch
) -> None:
    config = build_config(loaded.config_class, inputs["config"])
    if loaded.strategy_class is None:
        node.add_builtin_strategy(_RUN, loaded.code.class_name, config)
        return
    seed_randomness(loaded.code, inputs["common"]["seed"])
    try:
        strategy = make_strategy(guarded(loaded.strategy_class, watch), config)
    except TradingRuntimeError:
        raise
    except BaseException as error:
        watch.failures.record_exception(error)
        raise (watch.failures.as_error(" (while the strategy was made)") or error) from error
    # The guard overrides shutdown_system, which would count as the strategy's own departure.
    shut_down = loaded.strategy_class.shutdown_system
    watch.failures.stop_engine = lambda: shut_down(strategy, "failed")
    node.add_strategy(_RUN, strategy)


def _run(node: BacktestNode, failures: FailureRecord, watch: Watch, sampler: EquitySampler) -> int:
    watch.running = True
    with watch_escapes(failures, sys._getframe()):  # noqa: SLF001 - the frame that calls the engine
        try:
            results = node.run()
        except Exception:
            # The engine raises what on_start raised, as text; the record has it whole.
            if failures.message is None:
                raise
            return 0
    if sampler.error is not None:
        raise sampler.error
    return int(results[0].iterations)


def initial_equity(balances: Sequence[str], history: RateHistory, start: int) -> Decimal:
    """Return what the starting balances (``"100000 USDT"``) are worth at ``start``."""
    amounts = [balance.split() for balance in balances]
    return sum(
        (Decimal(amount) * history.rate(code, start) for amount, code in amounts), Decimal(0)
    )


def _currencies(instruments: Mapping[str, Any], venue: Mapping[str, Any]) -> set[str]:
    codes = {balance.split()[1] for balance in venue["balances"]}
    for instrument in instruments.values():
        codes.add(instrument.quote_currency.code)
        settlement = getattr(instrument, "settlement_currency", None)
        codes |= {settlement.code} if settlement is not None else set()
    return codes
