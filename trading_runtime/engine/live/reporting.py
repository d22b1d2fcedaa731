"""The subclass of a strategy that tells what it sends beforehand, and what becomes of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from nautilus_trader.trading import Strategy


class Listener(Protocol):
    """Who is told."""

    def sending(self, orders: Sequence[Any]) -> None:
        """Take note of orders that are about to go out; what it raises keeps them from it."""

    def on_order_event(self, event: Any) -> None:
        """Take note of what became of an order."""

    def on_position_event(self, event: Any) -> None:
        """Take note of a change of a position."""


def reporting(strategy_class: type[Strategy], listener: Listener) -> type[Strategy]:
    """Return a subclass of ``strategy_class``, of the same name, that reports to ``listener``.

    The guard is put over it, so that only what the guard lets pass is told.
    """

    def submit_order(self: Any, order: Any, *arguments: Any, **keywords: Any) -> Any:
        listener.sending([order])
        return strategy_class.submit_order(self, order, *arguments, **keywords)

    def submit_order_list(self: Any, orders: Any, *arguments: Any, **keywords: Any) -> Any:
        listener.sending(orders if isinstance(orders, list) else orders.orders)
        return strategy_class.submit_order_list(self, orders, *arguments, **keywords)

    members: dict[str, Any] = {
        "__module__": strategy_class.__module__,
        "submit_order": submit_order,
        "submit_order_list": submit_order_list,
        "on_order_event": _telling(strategy_class.on_order_event, listener.on_order_event),
        "on_position_event": _telling(strategy_class.on_position_event, listener.on_position_event),
    }
    return type(strategy_class.__name__, (strategy_class,), members)


def _telling(original: Callable[..., Any], tell: Callable[[Any], None]) -> Callable[..., Any]:
    def callback(self: Any, event: Any) -> Any:
        tell(event)
        return original(self, event)

    return callback
