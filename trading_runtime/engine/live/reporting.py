"""The subclass of a strategy that reports orders before it sends them, and what becomes of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from nautilus_trader.trading import Strategy


_REFUSALS = {
    "OrderRejected": "on_order_rejected",
    "OrderModifyRejected": "on_order_modify_rejected",
    "OrderCancelRejected": "on_order_cancel_rejected",
}
"""The refusals of a venue, each with the strategy's callback for it. The engine calls that before
``on_order_event``, and the strategy may send another order in it at once. A listener that holds
orders back after a refusal must hear of the refusal first."""


MADE_UP = "RECONCILIATION"
"""The tag of an order that the engine made up to explain a position."""
_REQUESTS = (
    "modify_order",
    "modify_orders",
    "cancel_order",
    "cancel_orders",
    "cancel_all_orders",
)


class Listener(Protocol):
    """Receives the reports."""

    def sending(self, orders: Sequence[Any]) -> None:
        """Record orders that are about to be sent; raising prevents it."""

    def asking(self) -> None:
        """Called before other requests, such as a cancellation; raising prevents them."""

    def queued(self, what: str, order_ids: Sequence[Any], waiting: int) -> None:
        """Record that a request waits for its turn."""

    def on_order_event(self, event: Any) -> None:
        """Record what became of an order."""

    def on_position_event(self, event: Any) -> None:
        """Record a change of a position."""


def reporting(strategy_class: type[Strategy], listener: Listener) -> type[Strategy]:
    """Return a subclass of ``strategy_class``, of the same name, that reports to ``listener``.

    The guard wraps it, so that only what the guard lets through is reported.
    """

    def submit_order(self: Any, order: Any, *arguments: Any, **keywords: Any) -> Any:
        listener.sending([order])
        return strategy_class.submit_order(self, order, *arguments, **keywords)

    def submit_order_list(self: Any, orders: Any, *arguments: Any, **keywords: Any) -> Any:
        listener.sending(orders if isinstance(orders, list) else orders.orders)
        return strategy_class.submit_order_list(self, orders, *arguments, **keywords)

    def on_order_event(self: Any, event: Any) -> Any:
        if type(event).__name__ not in _REFUSALS:
            listener.on_order_event(event)
        return strategy_class.on_order_event(self, event)

    def asking(name: str) -> Callable[..., Any]:
        original = getattr(strategy_class, name)

        def command(self: Any, *arguments: Any, **keywords: Any) -> Any:
            listener.asking()
            return original(self, *arguments, **keywords)

        return command

    members: dict[str, Any] = {
        name: _notifying(getattr(strategy_class, name), listener.on_order_event)
        for name in _REFUSALS.values()
    }
    members |= {name: asking(name) for name in _REQUESTS}
    members |= {
        "__module__": strategy_class.__module__,
        "submit_order": submit_order,
        "submit_order_list": submit_order_list,
        "on_order_event": on_order_event,
        "on_position_event": _notifying(
            strategy_class.on_position_event, listener.on_position_event
        ),
    }
    return type(strategy_class.__name__, (strategy_class,), members)


def _notifying(original: Callable[..., Any], notify: Callable[[Any], None]) -> Callable[..., Any]:
    def callback(self: Any, event: Any) -> Any:
        notify(event)
        return original(self, event)

    return callback
