"""Tell a strategy that an order was denied, as the engine would: when time goes on, not at once."""

from __future__ import annotations

from typing import Any

from nautilus_trader.core import UUID4
from nautilus_trader.model import OrderDenied
from nautilus_trader.trading import Strategy


def listens(strategy_class: type[Strategy], callback: str) -> bool:
    """Return whether a strategy has the callback, or the one for all events of orders."""
    return any(
        getattr(strategy_class, name) is not getattr(Strategy, name)
        for name in (callback, "on_order_event")
    )


def denial(strategy: Any, instrument_id: Any, order_id: Any, reason: str) -> Any:
    """Return the event that an order was denied now."""
    now = strategy.clock.timestamp_ns()
    return OrderDenied(
        strategy.trader_id,
        strategy.strategy_id,
        instrument_id,
        order_id,
        reason,
        UUID4(),
        now,
        now,
    )


def tell(strategy: Any, event: Any, callback: str, name: str) -> None:
    """Call the strategy with ``event`` a nanosecond from now, and not within its own call.

    ``name`` is the timer's, and must not come twice in a task.
    """

    def call(_event: Any) -> None:
        getattr(strategy, callback)(event)
        strategy.on_order_event(event)

    strategy.clock.set_time_alert_ns(name, event.ts_event + 1, call)
