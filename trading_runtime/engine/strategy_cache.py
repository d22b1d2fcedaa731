"""The cache that a strategy sees: its lists come in an order that never changes between runs."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from nautilus_trader.trading import Strategy

if TYPE_CHECKING:
    from collections.abc import Callable

_UNORDERED = (
    "instruments",
    "instrument_ids",
    "synthetic_ids",
    "client_order_ids",
    "client_order_ids_open",
    "client_order_ids_closed",
    "client_order_ids_emulated",
    "client_order_ids_inflight",
    "position_ids",
    "position_open_ids",
    "position_closed_ids",
    "strategy_ids",
    "exec_algorithm_ids",
)
"""What the engine keeps in hash sets, whose order differs from process to process."""


class StrategyCache:
    """The engine's cache, with lists of ids and instruments sorted by id."""

    def __init__(self, cache: Any) -> None:
        for name in dir(cache):
            if not name.startswith("_"):
                method = getattr(cache, name)
                setattr(self, name, _sorted(method) if name in _UNORDERED else method)

    @staticmethod
    def of(strategy: Any) -> StrategyCache:
        """Return the one cache of ``strategy``."""
        cache: StrategyCache | None = strategy.__dict__.get("_strategy_cache")
        if cache is None:
            cache = StrategyCache(vars(Strategy)["cache"].__get__(strategy))
            strategy.__dict__["_strategy_cache"] = cache
        return cache


def _sorted(method: Callable[..., list[Any]]) -> Callable[..., list[Any]]:
    @functools.wraps(method)
    def in_order(*arguments: Any, **keywords: Any) -> list[Any]:
        found = method(*arguments, **keywords)
        return sorted(found, key=lambda item: str(getattr(item, "id", item)))

    return in_order
