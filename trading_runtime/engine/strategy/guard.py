"""The subclass of a user's strategy that enforces warm-up, failures and its end."""

from __future__ import annotations

import contextlib
import functools
import inspect
from typing import TYPE_CHECKING, Any

from nautilus_trader.trading import Strategy

from trading_runtime.engine.simulation.feeding_order import waiting_for_the_other_side
from trading_runtime.engine.strategy.commands import order_commands
from trading_runtime.engine.strategy.loading import (
    MARKET_DATA_CALLBACKS,
    is_never_run,
    own_callbacks,
)
from trading_runtime.engine.strategy.subscriptions import noting_subscriptions

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from trading_runtime.engine.strategy.guard_state import GuardState


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
"""What the engine keeps in hash sets, whose order differs between processes: a strategy sees these
lists sorted by id."""


class _View:
    """An engine object as a strategy sees it, with some of its methods wrapped."""

    def __init__(self, whole: Any, names: Sequence[str], wrap: Callable[..., Any]) -> None:
        for name in dir(whole):
            if not name.startswith("_"):
                member = getattr(whole, name)
                setattr(self, name, wrap(member) if name in names else member)


def _view(name: str, names: Sequence[str], wrap: Callable[..., Any]) -> property:
    """Return a property that gives a strategy the one view of its ``cache`` or ``clock``."""
    kept = f"_strategy_{name}"

    def view(strategy: Any) -> _View:
        if kept not in strategy.__dict__:
            whole = vars(Strategy)[name].__get__(strategy)
            strategy.__dict__[kept] = _View(whole, names, wrap)
        made: _View = strategy.__dict__[kept]
        return made

    return property(view)


def _sorted(method: Callable[..., list[Any]]) -> Callable[..., list[Any]]:
    @functools.wraps(method)
    def in_order(*arguments: Any, **keywords: Any) -> list[Any]:
        found = method(*arguments, **keywords)
        return sorted(found, key=lambda item: str(getattr(item, "id", item)))

    return in_order


_TAKE_A_CALLBACK = (
    "set_time_alert",
    "set_time_alert_ns",
    "set_timer",
    "set_timer_ns",
    "set_timer_zoned",
    "register_default_handler",
)


@functools.cache
def _signature(owner: type, name: str) -> inspect.Signature:
    """Return the signature of a method of the engine, without ``self``."""
    whole = inspect.signature(getattr(owner, name))
    return whole.replace(parameters=list(whole.parameters.values())[1:])


def _checked(method: Any) -> Callable[..., Any]:
    # A native method has its signature as text, and parsing it for each task adds up.
    signature = _signature(method.__self__.__class__, method.__name__)

    def call(*arguments: Any, **keywords: Any) -> Any:
        bound = signature.bind(*arguments, **keywords)
        callback = bound.arguments.get("callback")
        if callback is not None:
            # The engine would only log the dropped call, and the timer would stay silent.
            if is_never_run(callback):
                raise TypeError(
                    "a timer's callback is async or a generator, which the engine would never run"
                )
            try:
                with contextlib.suppress(ValueError):  # A native callable need not have one.
                    inspect.signature(callback).bind(None)
            except TypeError as error:
                raise TypeError(
                    f"a timer's callback takes one argument, the event: {error}"
                ) from None
            if not (inspect.isfunction(callback) or inspect.ismethod(callback)):
                # What escapes from native code alone would not be noticed.
                bound.arguments["callback"] = lambda event: callback(event)  # noqa: PLW0108
        return method(*bound.args, **bound.kwargs)

    return call


_DEPARTURES = ("stop", "fault", "degrade", "dispose", "reset", "shutdown_system")


def guarded(strategy_class: type[Strategy], guard: GuardState) -> type[Strategy]:
    """Return a subclass of ``strategy_class``, of the same name, that reports to ``guard``.

    The name stays the same because the engine makes strategy and position ids from it.
    """
    members: dict[str, Any] = {"__module__": strategy_class.__module__}
    guard.failures.callbacks = tuple(method.__code__ for _, method in own_callbacks(strategy_class))
    for name, method in own_callbacks(strategy_class):
        if name not in MARKET_DATA_CALLBACKS:
            members[name] = _wrapped(method, guard)
    members |= waiting_for_the_other_side(strategy_class, guard, guard.early_bars)
    members["on_stop"] = _on_stop(strategy_class, guard)
    members |= {name: _departing(strategy_class, name, guard) for name in _DEPARTURES}
    members |= order_commands(strategy_class, guard)
    members["clock"] = _view("clock", _TAKE_A_CALLBACK, _checked)
    members["cache"] = _view("cache", _UNORDERED, _sorted)
    members |= noting_subscriptions(strategy_class, guard)
    members["subscribe_topic"] = _subscribe_topic(strategy_class, guard)
    members["unsubscribe_topic"] = _unsubscribe_topic(strategy_class, guard)
    return type(strategy_class.__name__, (strategy_class,), members)


def refuse_replaced_callbacks(guard: GuardState) -> None:
    """Record a failure when the strategy set a callback on itself that could not work as one.

    The engine calls what the instance has in place of what its class has, and so of the guard's.
    """
    for name, value in vars(guard.strategy).items():
        if not name.startswith("on_"):
            continue
        if is_never_run(value):
            guard.failures.record_text(
                f"{name}, set on the strategy itself, is async or a generator, which the engine "
                "would never run"
            )
        elif name == "on_bar" and guard.early_bars:
            guard.failures.record_text(
                "on_bar was set on the strategy itself: it would trade at the bid bar before its "
                "ask bar has come; define on_bar in the class, and let it call what is current"
            )


def _wrapped(method: Callable[..., Any], guard: GuardState) -> Callable[..., Any]:
    @functools.wraps(method)
    def callback(self: Any, *arguments: Any) -> Any:
        if guard.commands_running:
            guard.deferred.append(functools.partial(callback, self, *arguments))
            return None
        try:
            return method(self, *arguments)
        except BaseException as error:
            guard.failures.record_exception(error)
            raise

    return callback


def _on_stop(strategy_class: type[Strategy], guard: GuardState) -> Callable[[Any], None]:
    def on_stop(self: Any) -> None:
        guard.running = False
        guard.orders_at_stop = self.cache.orders_total_count() + len(guard.refused_orders)
        if guard.failures.message is not None:
            return
        try:
            strategy_class.on_stop(self)
            if guard.queue is not None:
                guard.queue.end(self)
            if guard.close_at_end:
                guard.closing = True
                for instrument_id in sorted(
                    {p.instrument_id for p in self.cache.positions_open()}, key=str
                ):
                    self.cancel_all_orders(instrument_id)
                    self.close_all_positions(instrument_id)
        except BaseException as error:
            guard.failures.record_exception(error)
            raise

    return on_stop


def _departing(strategy_class: type[Strategy], name: str, guard: GuardState) -> Callable[..., Any]:
    original = getattr(strategy_class, name)

    def leave(self: Any, *arguments: Any, **keywords: Any) -> Any:
        if not guard.running:
            return original(self, *arguments, **keywords)
        guard.failures.record_departure(f"{name}()")
        return None

    return leave


def _subscribe_topic(strategy_class: type[Strategy], guard: GuardState) -> Callable[..., Any]:
    original = strategy_class.subscribe_topic

    def subscribe_topic(
        self: Any, topic: str, handler: Any, *arguments: Any, **keywords: Any
    ) -> Any:
        checked = guard.topic_handlers.setdefault(handler, _guarded_handler(handler, guard))
        return original(self, topic, checked, *arguments, **keywords)

    return subscribe_topic


def _unsubscribe_topic(strategy_class: type[Strategy], guard: GuardState) -> Callable[..., Any]:
    original = strategy_class.unsubscribe_topic

    def unsubscribe_topic(self: Any, topic: str, handler: Any) -> Any:
        return original(self, topic, guard.topic_handlers.get(handler, handler))

    return unsubscribe_topic


def _guarded_handler(handler: Callable[[Any], None], guard: GuardState) -> Callable[[Any], None]:
    if is_never_run(handler):
        raise TypeError(
            "a topic's handler is async or a generator, which the engine would never run"
        )

    def checked(message: Any) -> None:
        try:
            handler(message)
        except BaseException as error:
            guard.failures.record_exception(error)
            raise

    return checked
