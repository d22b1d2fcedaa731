"""A strategy that goes wrong in one place, which its config names, after sound orders elsewhere."""

from __future__ import annotations

import datetime as dt
import sys
from dataclasses import dataclass
from typing import Any

from nautilus_trader.model import BarType, InstrumentId, OrderSide, Price, Quantity
from nautilus_trader.trading import Strategy, StrategyConfig

ONE = Quantity.from_str("1.000")


@dataclass
class FailingConfig(StrategyConfig):
    """Where to fail."""

    bar_type: BarType
    where: str


class FailingIndicator:
    """An indicator of the user's own, in Python."""

    name = "failing"
    initialized = False

    def handle_bar(self, _bar: Any) -> None:
        """Fail."""
        raise RuntimeError("boom indicator")


class Failing(Strategy):
    """Trades on bars, and fails where it is told to."""

    def __init__(self, config: FailingConfig) -> None:
        super().__init__(config)
        self.settings = config
        self.instrument_id: InstrumentId = config.bar_type.instrument_id
        self.bars = 0
        self.fail("init")

    def fail(self, where: str) -> None:
        """Raise when this is the place."""
        if self.settings.where == where:
            raise RuntimeError(f"boom {where}")

    def on_start(self) -> None:  # noqa: C901 - one place a line
        """Subscribe, and set what fails later."""
        self.fail("on_start")
        self.subscribe_bars(self.settings.bar_type)
        self.subscribe_quotes(self.instrument_id)
        self.subscribe_trades(self.instrument_id)
        hour, clock = dt.timedelta(minutes=2), self.clock
        where = self.settings.where
        if where == "timer":
            clock.set_timer("t", hour, callback=lambda _event: self.fail("timer"))
        if where in {"on_time_event", "on_time_event by alert"}:
            if where == "on_time_event":
                clock.set_timer("t", hour)
            else:
                clock.set_time_alert_ns("t", clock.timestamp_ns() + 120_000_000_000)
        if where == "timer without argument":
            clock.set_timer("t", hour, callback=lambda: None)
        if where == "native timer":
            clock.set_timer("t", hour, callback=int)
        if where == "alert":
            later = clock.timestamp_ns() + 120_000_000_000
            clock.set_time_alert_ns("t", later, lambda _event: self.fail("alert"))
        if where == "default handler":
            clock.register_default_handler(lambda _event: self.fail("default handler"))
            clock.set_timer("t", hour)
        if where == "topic":
            self.subscribe_topic("x", lambda _message: self.fail("topic"))
        if where == "indicator":
            self.register_indicator_for_bars(self.settings.bar_type, FailingIndicator())
        if where == "sys.exit in on_start":
            sys.exit(0)
        if where == "stop in on_start":
            self.stop()

    def on_quote(self, _quote: Any) -> None:
        """Fail."""
        self.fail("on_quote")

    def on_trade(self, _trade: Any) -> None:
        """Fail."""
        self.fail("on_trade")

    def on_bar(self, _bar: Any) -> None:
        """Send orders of many kinds, one at a bar, and fail or leave at the fifth."""
        self.bars += 1
        where, market = self.settings.where, self.order_factory.market
        if self.bars == 5:
            self.leave(where)
        if self.bars in {6, 7}:
            self.submit_order(market(self.instrument_id, OrderSide.BUY, ONE))
        if self.bars == 8:
            self.close_all_positions(self.instrument_id)
        if self.bars == 9:
            order = self.limit("1.0")
            self.submit_order(order)
            self.modify_order(order.client_order_id, price=Price.from_str("2.0"))
            self.cancel_order(order.client_order_id)
        if self.bars == 10:
            for _ in range(3):
                self.submit_order(self.limit("3.0"))
        if self.bars == 11:
            stop_price = Price.from_str("1.0")
            self.submit_order(
                self.order_factory.stop_market(self.instrument_id, OrderSide.BUY, ONE, stop_price)
            )
        if self.bars == 12:
            self.cancel_all_orders(self.instrument_id)

    def limit(self, price: str) -> Any:
        """An order that rests far from the market."""
        factory = self.order_factory
        return factory.limit(self.instrument_id, OrderSide.BUY, ONE, Price.from_str(price))

    def leave(self, where: str) -> None:
        """Leave, or fail, in one of the ways that are no callback."""
        self.fail("on_bar")
        if where == "sys.exit":
            sys.exit(0)
        if where == "KeyboardInterrupt":
            raise KeyboardInterrupt
        if where == "stop":
            self.stop()
        if where == "shutdown_system":
            self.shutdown_system("done")
        if where == "topic":
            self.publish_message("x", "hello")
        if where == "on_signal":
            self.subscribe_signal("s")
            self.publish_signal("s", 1)
        if where in {"fault", "degrade", "reset", "dispose"}:
            getattr(self, where)()
        if where == "market_exit":
            self.market_exit()

    def on_signal(self, _signal: Any) -> None:
        """Fail."""
        self.fail("on_signal")

    def on_time_event(self, _event: Any) -> None:
        """Fail."""
        self.fail("on_time_event")
        self.fail("on_time_event by alert")

    def on_order_initialized(self, _event: Any) -> None:
        """Fail."""
        self.fail("on_order_initialized")

    def on_order_submitted(self, _event: Any) -> None:
        """Fail."""
        self.fail("on_order_submitted")

    def on_order_accepted(self, _event: Any) -> None:
        """Fail."""
        self.fail("on_order_accepted")

    def on_order_denied(self, _event: Any) -> None:
        """Fail."""
        self.fail("on_order_denied")

    def on_order_rejected(self, _event: Any) -> None:
        """Fail."""
        self.fail("on_order_rejected")

    def on_order_updated(self, _event: Any) -> None:
        """Fail."""
        self.fail("on_order_updated")

    def on_order_canceled(self, _event: Any) -> None:
        """Fail."""
        self.fail("on_order_canceled")

    def on_order_filled(self, _event: Any) -> None:
        """Fail."""
        self.fail("on_order_filled")

    def on_order_event(self, _event: Any) -> None:
        """Fail."""
        self.fail("on_order_event")

    def on_position_opened(self, _event: Any) -> None:
        """Fail."""
        self.fail("on_position_opened")

    def on_position_changed(self, _event: Any) -> None:
        """Fail."""
        self.fail("on_position_changed")

    def on_position_closed(self, _event: Any) -> None:
        """Fail."""
        self.fail("on_position_closed")

    def on_position_event(self, _event: Any) -> None:
        """Fail."""
        self.fail("on_position_event")

    def on_market_exit(self) -> None:
        """Fail."""
        self.fail("market_exit")

    def on_stop(self) -> None:
        """Fail."""
        self.fail("on_stop")
        if self.settings.where == "sys.exit in on_stop":
            sys.exit(0)

    def on_dispose(self) -> None:
        """Fail, when it is too late to matter."""
        self.fail("on_dispose")
