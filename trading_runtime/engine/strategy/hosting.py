"""Prepares a strategy for an engine, which may simulate or trade.

A task (``engine.simulation.task``) and a session take the same steps in the same order: they make
the guard state, then what it needs from the host (ledger, risk profile), then the guarded strategy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trading_runtime.engine.strategy.config import build_config
from trading_runtime.engine.strategy.failures import FailureRecord
from trading_runtime.engine.strategy.guard import guarded
from trading_runtime.engine.strategy.guard_state import GuardState
from trading_runtime.engine.strategy.loading import make_strategy
from trading_runtime.engine.strategy.seeding import seed_randomness
from trading_runtime.errors import TradingRuntimeError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from nautilus_trader.trading import Strategy

    from trading_runtime.engine.strategy.loading import LoadedStrategy


def new_guard(loaded: LoadedStrategy, *, trading_starts: int, close_at_end: bool) -> GuardState:
    """Return the state of the guard for a strategy that is about to be hosted.

    Orders before ``trading_starts`` (nanoseconds since the epoch) are denied.
    """
    failures = FailureRecord(frozenset(str(path) for path in loaded.code.files))
    return GuardState(failures, trading_starts=trading_starts, close_at_end=close_at_end)


class _Silence:
    """A logger that logs nothing."""

    def __getattr__(self, _name: str) -> Callable[..., None]:
        """Return a function that drops a message."""
        return _drop


def _drop(*_arguments: Any, **_keywords: Any) -> None:
    pass


_SILENCE = _Silence()


def silenced(strategy_class: type[Strategy]) -> type[Strategy]:
    """Return a subclass whose ``log`` does nothing, for a host that shows no log.

    The engine would write every warning of the strategy to a file, without a limit.
    """
    members = {
        "__module__": strategy_class.__module__,
        "log": property(lambda _strategy: _SILENCE),
    }
    return type(strategy_class.__name__, (strategy_class,), members)


def guarded_strategy(
    loaded: LoadedStrategy,
    values: Mapping[str, Any],
    seed: int,
    guard: GuardState,
    below_guard: Callable[[type[Strategy]], type[Strategy]] = lambda strategy_class: strategy_class,
) -> Strategy:
    """Make the strategy with these config values under ``guard``; add it to its host next.

    ``below_guard`` makes from the strategy's class what the guard passes orders to.
    ``guard.risk`` must be set before: the order commands are made for it. Raises ``UsageError`` for
    a bad config, and ``StrategyError`` when the strategy raises while it is made.
    """
    if loaded.strategy_class is None:
        raise ValueError("a strategy that runs inside the engine cannot be guarded")
    config = build_config(loaded.config_class, values)
    seed_randomness(seed)
    try:
        strategy = make_strategy(guarded(below_guard(loaded.strategy_class), guard), config)
    except TradingRuntimeError:
        raise
    except BaseException as error:
        guard.failures.record_exception(error)
        raise (guard.failures.as_error(" (while the strategy was made)") or error) from error
    # The guard overrides shutdown_system, which would count as the strategy leaving on its own.
    shut_down = loaded.strategy_class.shutdown_system
    guard.strategy = strategy
    guard.failures.stop_engine = lambda: shut_down(strategy, "failed")
    return strategy
