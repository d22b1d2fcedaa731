"""The clock that a strategy sees: it refuses a timer callback that the engine could not call."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from nautilus_trader.trading import Strategy

if TYPE_CHECKING:
    from collections.abc import Callable

_TAKE_A_CALLBACK = (
    "set_time_alert",
    "set_time_alert_ns",
    "set_timer",
    "set_timer_ns",
    "set_timer_zoned",
    "register_default_handler",
)


class StrategyClock:
    """The engine's clock with its timer methods checked."""

    def __init__(self, clock: Any) -> None:
        for name in dir(clock):
            if not name.startswith("_"):
                method = getattr(clock, name)
                setattr(self, name, _checked(method) if name in _TAKE_A_CALLBACK else method)

    @staticmethod
    def of(strategy: Any) -> StrategyClock:
        """Return the one clock of ``strategy``."""
        clock: StrategyClock | None = strategy.__dict__.get("_strategy_clock")
        if clock is None:
            clock = StrategyClock(vars(Strategy)["clock"].__get__(strategy))
            strategy.__dict__["_strategy_clock"] = clock
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
