"""Recognise a strategy written for NautilusTrader 1.x, and say what to change."""

from __future__ import annotations

import ast
import functools
import importlib.util
from typing import TYPE_CHECKING

from trading_runtime.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

_MODULES = {
    "nautilus_trader.model.data": "nautilus_trader.model",
    "nautilus_trader.model.enums": "nautilus_trader.model",
    "nautilus_trader.model.events": "nautilus_trader.model",
    "nautilus_trader.model.identifiers": "nautilus_trader.model",
    "nautilus_trader.model.instruments": "nautilus_trader.model",
    "nautilus_trader.model.objects": "nautilus_trader.model",
    "nautilus_trader.model.orders": "nautilus_trader.model",
    "nautilus_trader.model.position": "nautilus_trader.model",
    "nautilus_trader.model.book": "nautilus_trader.model",
    "nautilus_trader.trading.strategy": "nautilus_trader.trading",
    "nautilus_trader.trading.config": "nautilus_trader.trading",
    "nautilus_trader.common.actor": "nautilus_trader.common",
    "nautilus_trader.common.component": "nautilus_trader.common",
    "nautilus_trader.common.enums": "nautilus_trader.common",
    "nautilus_trader.core.message": "nautilus_trader.core",
    "nautilus_trader.core.data": "nautilus_trader.core",
    "nautilus_trader.indicators.average": "nautilus_trader.indicators",
    "nautilus_trader.indicators.base": "nautilus_trader.indicators",
    "nautilus_trader.backtest.engine": "nautilus_trader.backtest",
}
_METHODS = {
    "on_quote_tick": "on_quote",
    "on_trade_tick": "on_trade",
    "on_order_book": "on_book",
    "on_order_book_deltas": "on_book_deltas",
    "on_order_book_depth": "on_book_depth",
    "on_event": "on_order_event and on_position_event",
    "subscribe_quote_ticks": "subscribe_quotes",
    "subscribe_trade_ticks": "subscribe_trades",
    "subscribe_order_book_deltas": "subscribe_book_deltas",
    "subscribe_order_book_depth": "subscribe_book_depth",
    "subscribe_order_book_at_interval": "subscribe_book_at_interval",
    "unsubscribe_quote_ticks": "unsubscribe_quotes",
    "unsubscribe_trade_ticks": "unsubscribe_trades",
    "unsubscribe_order_book_deltas": "unsubscribe_book_deltas",
    "request_quote_ticks": "request_quotes",
    "request_trade_ticks": "request_trades",
}
_MOST_SHOWN = 4


def refuse_legacy_strategy(file: Path) -> None:
    """Raise ``UsageError`` when ``file`` is written for 1.x, with what to write instead.

    A file that does not parse is left to the import, whose error has the better words.
    """
    try:
        found = _legacy_lines(file.read_bytes())
    except (SyntaxError, ValueError, OSError):
        return
    if not found:
        return
    shown = "; ".join(f"line {line}: {text}" for line, text in found[:_MOST_SHOWN])
    more = f"; and {len(found) - _MOST_SHOWN} more" if len(found) > _MOST_SHOWN else ""
    raise UsageError(
        f"{file}: written for NautilusTrader 1.x, and this runtime has 2.x. Change {shown}{more}"
    )


# Every task of a worker asks about the same file.
@functools.lru_cache(maxsize=4)
def _legacy_lines(source: bytes) -> list[tuple[int, str]]:
    return sorted({change for node in ast.walk(ast.parse(source)) for change in _changes(node)})


def _changes(node: ast.AST) -> list[tuple[int, str]]:
    if isinstance(node, ast.ImportFrom) and node.module is not None:
        for old, new in _MODULES.items():
            if node.module == old or node.module.startswith(old + "."):
                return [(node.lineno, f"import from {new} instead of {node.module}")]
        return _moved_module(node.lineno, node.module)
    if isinstance(node, ast.Import):
        return [
            change
            for alias in node.names
            for change in (
                [(node.lineno, f"import {_MODULES[alias.name]} instead of {alias.name}")]
                if alias.name in _MODULES
                else _moved_module(node.lineno, alias.name)
            )
        ]
    if isinstance(node, ast.ClassDef):
        return _class_changes(node)
    if (
        isinstance(node, ast.Attribute)
        and node.attr in _METHODS
        and node.attr.startswith(("subscribe", "unsubscribe", "request"))
        and isinstance(node.value, ast.Name)
        and node.value.id == "self"
    ):
        return [(node.lineno, f"call {_METHODS[node.attr]} instead of {node.attr}")]
    return []


def _class_changes(node: ast.ClassDef) -> list[tuple[int, str]]:
    bases = {ast.unparse(base).rpartition(".")[2] for base in node.bases}
    changes = [
        (item.lineno, f"rename {item.name} to {_METHODS[item.name]}")
        for item in node.body
        if isinstance(item, ast.FunctionDef) and "Strategy" in bases and item.name in _METHODS
    ]
    if "StrategyConfig" in bases and any(
        word.arg in {"frozen", "kw_only"} for word in node.keywords
    ):
        changes.append(
            (
                node.lineno,
                f"make {node.name} a @dataclass with StrategyConfig as base, not frozen=True",
            )
        )
    return changes


def _moved_module(line: int, module: str) -> list[tuple[int, str]]:
    """Return the change when 2.x has the package of ``module``, but not the module."""
    package = ".".join(module.split(".")[:2])
    if not module.startswith("nautilus_trader.") or module == package:
        return []
    try:
        known = importlib.util.find_spec(module) is not None
    except ImportError:
        known = False
    if known or importlib.util.find_spec(package) is None:
        return []
    return [(line, f"import from {package} instead of {module}")]
