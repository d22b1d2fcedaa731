"""The subclass of a strategy that reports orders before it sends them, and what becomes of them."""

from __future__ import annotations

from types import BuiltinFunctionType, FunctionType
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from nautilus_trader.trading import Strategy


_BEFORE = ("on_order_rejected", "on_order_modify_rejected", "on_order_cancel_rejected")
"""The callbacks for refusals. The strategy may send another order in one at once, and a listener
that holds orders back after a refusal must hear of the refusal first."""

_AFTER = (
    "on_order_accepted",
    "on_order_canceled",
    "on_order_denied",
    "on_order_expired",
    "on_order_filled",
    "on_order_updated",
)
"""The other callbacks whose events are reported, once the strategy has had its own. The one for all
events would be called while a new order waits to be sent."""


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

    @property
    def on_new_order(self) -> Callable[[Any], object]:
        """Takes the event of each new order, which waits meanwhile: best something native."""

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

    def asking(name: str) -> Callable[..., Any]:
        original = getattr(strategy_class, name)

        def command(self: Any, *arguments: Any, **keywords: Any) -> Any:
            listener.asking()
            return original(self, *arguments, **keywords)

        return command

    members: dict[str, Any] = {
        name: _notifying(getattr(strategy_class, name), listener.on_order_event) for name in _BEFORE
    }
    members |= {
        name: _notifying(getattr(strategy_class, name), listener.on_order_event, is_first=False)
        for name in _AFTER
    }
    members |= {name: asking(name) for name in _REQUESTS}
    members |= {
        "__module__": strategy_class.__module__,
        "submit_order": submit_order,
        "submit_order_list": submit_order_list,
        "on_order_initialized": _notifying(
            strategy_class.on_order_initialized, listener.on_new_order
        ),
        "on_position_event": _notifying(
            strategy_class.on_position_event, listener.on_position_event
        ),
    }
    return type(strategy_class.__name__, (strategy_class,), members)


def _notifying(
    original: Callable[..., Any], notify: Callable[[Any], object], *, is_first: bool = True
) -> Callable[..., Any]:
    """Return a callback that notifies as well, before or after the strategy's own."""
    if not isinstance(original, FunctionType):  # the engine's, which does nothing
        if isinstance(notify, BuiltinFunctionType):
            return notify

        def alone(_self: Any, event: Any) -> None:
            notify(event)

        return alone

    def before(self: Any, event: Any) -> Any:
        notify(event)
        return original(self, event)

    def after(self: Any, event: Any) -> Any:
        try:
            return original(self, event)
        finally:
            notify(event)

    chosen = before if is_first else after
    # What it returns may be reported, under the name of the strategy's own.
    chosen.__code__ = chosen.__code__.replace(co_qualname=original.__qualname__)
    return chosen
