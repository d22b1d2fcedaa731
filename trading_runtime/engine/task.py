"""One task: a fresh engine, one strategy, one partition's data, and the tables that come out."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from nautilus_trader import model
from nautilus_trader.backtest import BacktestDataConfig, BacktestNode, BacktestRunConfig

from trading_runtime.engine.equity import Account, EquitySample, EquitySampler
from trading_runtime.engine.failures import FailureRecord, watch_escapes
from trading_runtime.engine.guard import Watch, guarded
from trading_runtime.engine.rates import Rates
from trading_runtime.engine.strategy_loading import (
    LoadedStrategy,
    build_config,
    imported_strategy,
    refuse_foreign_modules,
    seed_randomness,
)
from trading_runtime.engine.tables import TaskTables, collect
from trading_runtime.engine.valuation import RateHistory, Valuation
from trading_runtime.engine.venue import engine_config, venue_config
from trading_runtime.errors import StrategyError, TradingRuntimeError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from trading_runtime.config.strategy_code import StrategyCode

_RUN = "task"
_CHUNK_ROWS = 50_000
_DATA_TYPES = {
    "bars": model.NautilusDataType.Bar,
    "trades": model.NautilusDataType.TradeTick,
    "quotes": model.NautilusDataType.QuoteTick,
    "order_book_deltas": model.NautilusDataType.OrderBookDelta,
    "order_book_depths": model.NautilusDataType.OrderBookDepth,
    "mark_prices": model.NautilusDataType.MarkPriceUpdate,
    "index_prices": model.NautilusDataType.IndexPriceUpdate,
    "funding_rates": model.NautilusDataType.FundingRateUpdate,
}


class StrategyFailureError(StrategyError):
    """A strategy's own failure, with the traceback of its code."""

    def __init__(self, message: str, strategy_traceback: str) -> None:
        super().__init__(message)
        self.strategy_traceback = strategy_traceback


@dataclass(frozen=True)
class TaskOutput:
    """What one task's engine run gave."""

    tables: TaskTables
    warmup_denied_orders: int


def run_task(inputs: Mapping[str, Any], code: StrategyCode, catalog: Path, rows: int) -> TaskOutput:
    """Run one task and return its tables.

    ``inputs`` (``common``, ``config``, ``partition``: see ``planning.identity``) is the document
    that the task's identity is the digest of. Nothing else reaches the engine but the strategy's
    ``code`` and the ``rows`` rows in ``catalog``, whose digests it holds.

    Raises ``StrategyError`` when the strategy raises anywhere, leaves early or imports code outside
    its digest; ``DataError`` when an exchange rate is missing; ``UsageError`` when venue or
    strategy refuse their settings.
    """
    before = set(sys.modules)
    common = inputs["common"]
    with imported_strategy(code, common["strategy"]["config_path"], common["seed"]) as loaded:
        output = _run_engine(inputs, loaded, catalog, rows)
        refuse_foreign_modules(code, before)
    return output


def _run_engine(
    inputs: Mapping[str, Any], loaded: LoadedStrategy, catalog: Path, rows: int
) -> TaskOutput:
    common = inputs["common"]
    start, end = inputs["partition"]["start"], inputs["partition"]["end"]
    failures = FailureRecord(frozenset(str(path) for path in loaded.code.files))
    watch = Watch(failures, trading_starts=start, close_at_end=common["at_end"] == "close")
    node = BacktestNode([_run_config(inputs, catalog)])
    try:
        node.build()
        cache = node.get_engine_cache(_RUN)
        venue, currency = model.Venue(common["venue_name"]), common["currency"]
        rates = Rates(cache, venue)
        account = Account(node.get_engine_portfolio(_RUN), cache, venue, rates, currency)
        instruments = {str(item.id): item for item in cache.instruments()}
        history = RateHistory(rates, _currencies(instruments, common["venue"]), currency)
        sampler = EquitySampler(account, history, (start, end), common["equity_interval"])
        node.add_actor(_RUN, sampler)
        _add_strategy(node, loaded, inputs, watch)
        consumed = _run(node, failures, watch, sampler)
        if failures.message is not None:
            raise StrategyFailureError(failures.message, failures.traceback)
        if consumed != rows:
            raise StrategyError(
                f"the engine consumed {consumed} of {rows} rows: something ended the run early"
            )
        history.note(end)
        initial = EquitySample(
            start, initial_equity(common["venue"]["balances"], history, start), 0
        )
        samples = [initial, *sampler.samples, account.sample(end)]
        tables = collect(cache, samples, Valuation(instruments, history, currency))
        return TaskOutput(tables, watch.warmup_denied_orders)
    finally:
        node.dispose()


def _run_config(inputs: Mapping[str, Any], catalog: Path) -> BacktestRunConfig:
    common, partition, folder = inputs["common"], inputs["partition"], str(catalog)
    data = []
    for series in partition["data"]:
        is_bars = series["type"] == "bars"
        instrument_id = model.InstrumentId.from_str(series["instrument_id"])
        data.append(
            BacktestDataConfig(
                _DATA_TYPES[series["type"]],
                folder,
                instrument_id=None if is_bars else instrument_id,
                bar_types=[series["identifier"]] if is_bars else None,
            )
        )
    return BacktestRunConfig(
        [venue_config(common["venue"], common["venue_name"], common["seed"])],
        data,
        engine_config(common["venue"], folder),
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
        strategy = guarded(loaded.strategy_class, watch)(config)
    except TradingRuntimeError:
        raise
    except BaseException as error:
        watch.failures.record_exception(error)
        raise StrategyFailureError(
            f"{watch.failures.message} (while the strategy was made)", watch.failures.traceback
        ) from error
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
