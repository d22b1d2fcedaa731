"""The subclass of a user's strategy that keeps it honest: warm-up, failures, and its departure."""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from nautilus_trader.core import UUID4
from nautilus_trader.model import OrderDenied
from nautilus_trader.trading import Strategy

from trading_runtime.engine.strategy_loading import MARKET_DATA_CALLBACKS

if TYPE_CHECKING:
    from collections.abc import Callable

    from trading_runtime.engine.failures import FailureRecord

_WARMUP_REASON = "WARMUP: orders are denied before the window starts"
_ORDER_COMMANDS = (
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
_CLOCK_CALLBACKS = (
    "set_time_alert",
    "set_time_alert_ns",
    "set_timer",
    "set_timer_ns",
    "set_timer_zoned",
)


@dataclass
class Watch:
    """What the guard knows of the task, and what it counts."""

    failures: FailureRecord
    trading_starts: int
    """Orders before this instant (nanoseconds since the epoch) are denied."""
    close_at_end: bool
    running: bool = False
    denied: set[Any] = field(default_factory=set)
    """Ids of the orders that were denied during warm-up."""
    commands_running: int = 0
    deferred: deque[Callable[[], Any]] = field(default_factory=deque)
    """Callbacks that wait for the command that caused them to return."""
    topic_handlers: dict[int, Callable[[Any], None]] = field(default_factory=dict)

    @property
    def warmup_denied_orders(self) -> int:
        """How many orders were denied during warm-up."""
        return len(self.denied)


def guarded(strategy_class: type[Strategy], watch: Watch) -> type[Strategy]:
    """Return a subclass of ``strategy_class``, of the same name, that reports to ``watch``.

    The name stays since the engine makes strategy and position ids from it.
    """
    members: dict[str, Any] = {"__module__": strategy_class.__module__, "_watch": watch}
    for name in dir(strategy_class):
        method = inspect.getattr_static(strategy_class, name)
        if (
            name.startswith("on_")
            and name not in MARKET_DATA_CALLBACKS
            and inspect.isfunction(method)
        ):
            members[name] = _wrapped(method, watch)
    members["on_stop"] = _on_stop(strategy_class, watch)
    for name in ("stop", "fault", "degrade", "dispose", "reset"):
        members[name] = _departing(strategy_class, name, watch)
    members["shutdown_system"] = _departing(strategy_class, "shutdown_system", watch)
    commands = {name: getattr(strategy_class, name) for name in _ORDER_COMMANDS}
    for name in ("cancel_order", "cancel_orders", "modify_order", "modify_orders"):
        commands[name] = _without_denied(commands[name], watch)
    for name in ("submit_order", "submit_order_list"):
        commands[name] = _warmed_up(commands[name], strategy_class, watch)
    members |= {name: _deferring(command, watch) for name, command in commands.items()}
    members["clock"] = property(_CheckedClock.of)
    members["subscribe_topic"] = _subscribe_topic(strategy_class, watch)
    members["unsubscribe_topic"] = _unsubscribe_topic(strategy_class, watch)
    return type(strategy_class.__name__, (strategy_class,), members)


def _wrapped(method: Callable[..., Any], watch: Watch) -> Callable[..., Any]:
    @functools.wraps(method)
    def callback(self: Any, *arguments: Any) -> Any:
        if watch.commands_running:
            watch.deferred.append(functools.partial(callback, self, *arguments))
            return None
        try:
            return method(self, *arguments)
        except BaseException as error:
            watch.failures.record_exception(error)
            raise

    return callback


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


def _on_stop(strategy_class: type[Strategy], watch: Watch) -> Callable[[Any], None]:
    def on_stop(self: Any) -> None:
        watch.running = False
        if watch.failures.message is not None:
            return
        try:
            strategy_class.on_stop(self)
            if watch.close_at_end:
                for instrument_id in sorted(
                    {p.instrument_id for p in self.cache.positions_open()}, key=str
                ):
                    self.cancel_all_orders(instrument_id)
                    self.close_all_positions(instrument_id)
        except BaseException as error:
            watch.failures.record_exception(error)
            raise

    return on_stop


def _departing(strategy_class: type[Strategy], name: str, watch: Watch) -> Callable[..., Any]:
    original = getattr(strategy_class, name)

    def leave(self: Any, *arguments: Any, **keywords: Any) -> Any:
        if not watch.running:
            return original(self, *arguments, **keywords)
        watch.failures.record_departure(f"{name}()")
        return None

    return leave


def _warmed_up(
    original: Callable[..., Any], strategy_class: type[Strategy], watch: Watch
) -> Callable[..., Any]:
    tells = any(
        getattr(strategy_class, callback) is not getattr(Strategy, callback)
        for callback in ("on_order_denied", "on_order_event")
    )

    @functools.wraps(original)
    def submit(self: Any, order: Any, *arguments: Any, **keywords: Any) -> Any:
        if self.clock.timestamp_ns() >= watch.trading_starts:
            return original(self, order, *arguments, **keywords)
        for instrument_id, order_id in _ids_of(order):
            watch.denied.add(order_id)
            if tells:
                _tell_denied(self, instrument_id, order_id, watch)
        return None

    return submit


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


def _tell_denied(strategy: Any, instrument_id: Any, order_id: Any, watch: Watch) -> None:
    """Tell the strategy as the engine would: not within its call, but when time goes on."""
    clock = strategy.clock
    now = clock.timestamp_ns()
    event = OrderDenied(
        strategy.trader_id,
        strategy.strategy_id,
        instrument_id,
        order_id,
        _WARMUP_REASON,
        UUID4(),
        now,
        now,
    )

    def tell(_event: Any) -> None:
        strategy.on_order_denied(event)
        strategy.on_order_event(event)

    clock.set_time_alert_ns(f"warmup-denied-{len(watch.denied)}", now + 1, tell)


def _subscribe_topic(strategy_class: type[Strategy], watch: Watch) -> Callable[..., Any]:
    original = strategy_class.subscribe_topic

    def subscribe_topic(
        self: Any, topic: str, handler: Any, *arguments: Any, **keywords: Any
    ) -> Any:
        checked = watch.topic_handlers.setdefault(id(handler), _watched_handler(handler, watch))
        return original(self, topic, checked, *arguments, **keywords)

    return subscribe_topic


def _unsubscribe_topic(strategy_class: type[Strategy], watch: Watch) -> Callable[..., Any]:
    original = strategy_class.unsubscribe_topic

    def unsubscribe_topic(self: Any, topic: str, handler: Any) -> Any:
        return original(self, topic, watch.topic_handlers.get(id(handler), handler))

    return unsubscribe_topic


def _watched_handler(handler: Callable[[Any], None], watch: Watch) -> Callable[[Any], None]:
    def checked(message: Any) -> None:
        try:
            handler(message)
        except BaseException as error:
            watch.failures.record_exception(error)
            raise

    return checked


class _CheckedClock:
    """The strategy's clock, which refuses a timer callback that the engine could not call."""

    def __init__(self, clock: Any) -> None:
        for name in dir(clock):
            if not name.startswith("_"):
                method = getattr(clock, name)
                setattr(self, name, _checked(method) if name in _CLOCK_CALLBACKS else method)

    @staticmethod
    def of(strategy: Any) -> _CheckedClock:
        clock: _CheckedClock | None = strategy.__dict__.get("_checked_clock")
        if clock is None:
            clock = _CheckedClock(vars(Strategy)["clock"].__get__(strategy))
            strategy.__dict__["_checked_clock"] = clock
        return clock


def _checked(method: Callable[..., Any]) -> Callable[..., Any]:
    signature = inspect.signature(method)

    def call(*arguments: Any, **keywords: Any) -> Any:
        callback = signature.bind(*arguments, **keywords).arguments.get("callback")
        if callback is not None:
            # The engine would drop the call with a line in its log, and the timer be silent.
            try:
                inspect.signature(callback).bind(None)
            except TypeError as error:
                raise TypeError(
                    f"a timer's callback takes one argument, the event: {error}"
                ) from None
        return method(*arguments, **keywords)

    return call
