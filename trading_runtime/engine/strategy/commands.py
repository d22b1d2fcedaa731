"""A strategy's order commands: denied during warm-up, and never called back while they run."""

from __future__ import annotations

import contextlib
import functools
from typing import TYPE_CHECKING, Any

from nautilus_trader.model import OrderList

from trading_runtime.engine.risk.commands import held_to_risk
from trading_runtime.engine.strategy.guard_state import denial, listens, notify

if TYPE_CHECKING:
    from collections.abc import Callable

    from nautilus_trader.trading import Strategy

    from trading_runtime.engine.strategy.guard_state import GuardState

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
"""What sends or changes orders, other than submitting them."""


def order_commands(
    strategy_class: type[Strategy], guard: GuardState
) -> dict[str, Callable[..., Any]]:
    """Return the order commands of ``strategy_class`` by name, as the guard has them."""
    commands = {name: getattr(strategy_class, name) for name in _COMMANDS}
    if (queue := guard.queue) is not None:
        commands |= queue.commands(strategy_class)
        queue.released = _deferring(queue.release, guard)
    if guard.risk is not None:
        commands |= held_to_risk(strategy_class, guard, guard.risk, commands)
    for name in ("cancel_order", "cancel_orders", "modify_order", "modify_orders"):
        commands[name] = _without_denied(commands[name], guard)
    for name in ("submit_order", "submit_order_list"):
        commands[name] = _warmed_up(commands[name], strategy_class, guard)
    for name in _TRADING:
        commands[name] = _unless_halted(commands[name], guard)
    return {name: _deferring(command, guard) for name, command in commands.items()}


def _deferring(command: Callable[..., Any], guard: GuardState) -> Callable[..., Any]:
    """Return the order command, with the callbacks it causes called right after it.

    The engine calls some of them while it still holds the strategy, when even ``self.config``
    raises, and would only log that.
    """

    @functools.wraps(command)
    def deferring(self: Any, *arguments: Any, **keywords: Any) -> Any:
        guard.commands_running += 1
        try:
            return command(self, *arguments, **keywords)
        finally:
            guard.commands_running -= 1
            while guard.deferred and not guard.commands_running:
                # What it raises is recorded; the command that caused it is not at fault.
                with contextlib.suppress(BaseException):
                    guard.deferred.popleft()()

    return deferring


def _warmed_up(
    original: Callable[..., Any], strategy_class: type[Strategy], guard: GuardState
) -> Callable[..., Any]:
    tells = listens(strategy_class, "on_order_denied")

    @functools.wraps(original)
    def submit(self: Any, order: Any, *arguments: Any, **keywords: Any) -> Any:
        if guard.halted:
            guard.halted_orders += len(_ids_of(order))
            _deny(self, order, guard.halt_reason, guard, tells=tells)
            return None
        if guard.warmed_up or self.clock.timestamp_ns() >= guard.trading_starts:
            guard.warmed_up = True
            _check(self, order, guard)
            return original(self, order, *arguments, **keywords)
        guard.warmup_denied_orders += len(_ids_of(order))
        _deny(self, order, WARMUP_REASON, guard, tells=tells)
        return None

    return submit


def _unless_halted(original: Callable[..., Any], guard: GuardState) -> Callable[..., Any]:
    @functools.wraps(original)
    def command(self: Any, *arguments: Any, **keywords: Any) -> Any:
        if guard.halted:
            guard.halted_orders += 1
            return None
        return original(self, *arguments, **keywords)

    return command


def _deny(strategy: Any, order: Any, reason: str, guard: GuardState, *, tells: bool) -> None:
    for instrument_id, order_id in _ids_of(order):
        guard.denied.add(order_id)
        if not tells and guard.on_denial is None:
            continue
        event = denial(strategy, instrument_id, order_id, reason)
        if guard.on_denial is not None:
            guard.on_denial(event)
        if tells:
            notify(strategy, event, "on_order_denied", f"warmup-denied-{len(guard.denied)}")


def _check(strategy: Any, order: Any, guard: GuardState) -> None:
    try:
        exists = guard.order_exists
        if exists is None:
            exists = guard.order_exists = strategy.cache.order_exists
        for each in order if isinstance(order, list) else (order,):
            if (
                isinstance(each, OrderList)
                or exists(each.client_order_id)
                or getattr(each, "exec_algorithm_id", None) is not None
            ):
                _refuse_unsendable(each, exists)
        if guard.check_order is not None:
            for instrument_id in {instrument_id for instrument_id, _ in _ids_of(order)}:
                guard.check_order(instrument_id)
    except Exception as error:
        # Recorded here, since the strategy may well catch it.
        guard.failures.record_exception(error)
        raise


def _refuse_unsendable(order: Any, exists: Callable[[Any], bool]) -> None:
    """Raise for an order that was sent before, or that names an execution algorithm.

    None runs, so the order would never be sent. ``order`` may be an ``OrderList``.
    """
    is_list = isinstance(order, OrderList)
    for order_id in order.client_order_ids() if is_list else (order.client_order_id,):
        if exists(order_id):
            raise ValueError(
                f"order {order_id} was sent before, and would be filled again without being in any "
                "table: make a new order each time"
            )
    if (algorithm := getattr(order, "exec_algorithm_id", None)) is not None:
        raise ValueError(
            f"order {order.client_order_id} names the execution algorithm {algorithm}, and none "
            "runs: leave exec_algorithm_id out, and let the strategy send the parts by a timer"
        )


def _without_denied(original: Callable[..., Any], guard: GuardState) -> Callable[..., Any]:
    """Return the method, skipping orders denied in warm-up: the engine does not know them."""

    @functools.wraps(original)
    def command(self: Any, target: Any, *arguments: Any, **keywords: Any) -> Any:
        if guard.denied:
            if isinstance(target, list):
                target = [item for item in target if _order_id(item) not in guard.denied]
            if target == [] or _order_id(target) in guard.denied:
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
