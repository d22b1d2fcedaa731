"""A strategy's order commands: denied during warm-up, and never called back while they run."""

from __future__ import annotations

import contextlib
import functools
from typing import TYPE_CHECKING, Any

from trading_runtime.engine.risk.commands import held_to_risk
from trading_runtime.engine.simulation.halt import HALT_REASON
from trading_runtime.engine.strategy.guard_state import denial, listens, tell

if TYPE_CHECKING:
    from collections.abc import Callable

    from nautilus_trader.trading import Strategy

    from trading_runtime.engine.strategy.guard_state import Watch

WARMUP_REASON = "WARMUP: orders are denied before the window starts"
_COMMANDS = (
    "submit_order",
    "submit_order_list",
    "modify_order",
    "modify_orders",
    "cancel_order",
    "cancel_orders",
    "cancel_all_orders",
    "close_position",
    "close_all_positions",
    "market_exit",
)


_TRADING = (
    "modify_order",
    "modify_orders",
    "close_position",
    "close_all_positions",
    "market_exit",
)
"""What sends or changes orders, besides submitting them."""


def order_commands(strategy_class: type[Strategy], watch: Watch) -> dict[str, Callable[..., Any]]:
    """Return the order commands of ``strategy_class`` by name, as the guard has them."""
    commands = {name: getattr(strategy_class, name) for name in _COMMANDS}
    if watch.risk is not None:
        commands |= held_to_risk(strategy_class, watch, watch.risk)
    for name in ("cancel_order", "cancel_orders", "modify_order", "modify_orders"):
        commands[name] = _without_denied(commands[name], watch)
    for name in ("submit_order", "submit_order_list"):
        commands[name] = _warmed_up(commands[name], strategy_class, watch)
    for name in _TRADING:
        commands[name] = _unless_halted(commands[name], watch)
    return {name: _deferring(command, watch) for name, command in commands.items()}


def _deferring(command: Callable[..., Any], watch: Watch) -> Callable[..., Any]:
    """Return the order command, with the callbacks it causes called right after it.

    The engine calls some of them while it still holds the strategy, where even ``self.config``
    raises, and would only log that.
    """

    @functools.wraps(command)
    def deferring(self: Any, *arguments: Any, **keywords: Any) -> Any:
        watch.commands_running += 1
        try:
            return command(self, *arguments, **keywords)
        finally:
            watch.commands_running -= 1
            while watch.deferred and not watch.commands_running:
                # What it raises is recorded; the command that caused it did nothing wrong.
                with contextlib.suppress(BaseException):
                    watch.deferred.popleft()()

    return deferring


def _warmed_up(
    original: Callable[..., Any], strategy_class: type[Strategy], watch: Watch
) -> Callable[..., Any]:
    tells = listens(strategy_class, "on_order_denied")

    @functools.wraps(original)
    def submit(self: Any, order: Any, *arguments: Any, **keywords: Any) -> Any:
        if watch.halted:
            watch.halted_orders += len(_ids_of(order))
            _deny(self, order, HALT_REASON, watch, tells=tells)
            return None
        if watch.warmed_up or self.clock.timestamp_ns() >= watch.trading_starts:
            watch.warmed_up = True
            if watch.check_order is not None:
                _check(order, watch)
            return original(self, order, *arguments, **keywords)
        _deny(self, order, WARMUP_REASON, watch, tells=tells)
        return None

    return submit


def _unless_halted(original: Callable[..., Any], watch: Watch) -> Callable[..., Any]:
    @functools.wraps(original)
    def command(self: Any, *arguments: Any, **keywords: Any) -> Any:
        if watch.halted:
            watch.halted_orders += 1
            return None
        return original(self, *arguments, **keywords)

    return command


def _deny(strategy: Any, order: Any, reason: str, watch: Watch, *, tells: bool) -> None:
    for instrument_id, order_id in _ids_of(order):
        watch.denied.add(order_id)
        if not tells and watch.on_denial is None:
            continue
        event = denial(strategy, instrument_id, order_id, reason)
        if watch.on_denial is not None:
            watch.on_denial(event)
        if tells:
            tell(strategy, event, "on_order_denied", f"warmup-denied-{len(watch.denied)}")


def _check(order: Any, watch: Watch) -> None:
    try:
        for instrument_id in {instrument_id for instrument_id, _ in _ids_of(order)}:
            if watch.check_order is not None:
                watch.check_order(instrument_id)
    except Exception as error:
        # Recorded here, since the strategy may well catch it.
        watch.failures.record_exception(error)
        raise


def _without_denied(original: Callable[..., Any], watch: Watch) -> Callable[..., Any]:
    """Return the method, passing over orders denied in warm-up: the engine does not know them."""

    @functools.wraps(original)
    def command(self: Any, target: Any, *arguments: Any, **keywords: Any) -> Any:
        if watch.denied:
            if isinstance(target, list):
                target = [item for item in target if _order_id(item) not in watch.denied]
            if target == [] or _order_id(target) in watch.denied:
                return None
        return original(self, target, *arguments, **keywords)

    return command


def _order_id(target: Any) -> Any:
    if isinstance(target, list):
        return None
    return target[0] if isinstance(target, tuple) else target


def _ids_of(order: Any) -> list[tuple[Any, Any]]:
    """Return instrument id and order id of an order, or of each order of a list."""
    if isinstance(order, list):
        return [ids for item in order for ids in _ids_of(item)]
    if hasattr(order, "client_order_ids"):
        return [(order.instrument_id, order_id) for order_id in order.client_order_ids()]
    return [(order.instrument_id, order.client_order_id)]
