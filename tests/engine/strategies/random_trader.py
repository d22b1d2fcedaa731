"""A strategy that does anything, the same for one seed: whatever observes it must not show."""

from __future__ import annotations

import random
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from nautilus_trader.model import (
    BarType,
    InstrumentId,
    OrderSide,
    OrderType,
    TimeInForce,
    TrailingOffsetType,
)
from nautilus_trader.trading import Strategy, StrategyConfig

MILLISECOND = 1_000_000


@dataclass
class RandomTraderConfig(StrategyConfig):
    """What to listen to, and how much to do."""

    kind: str
    name: str
    seed: int
    timers: list[int]
    """Milliseconds between the events of each timer of its own."""
    activity: int
    """How many percent of rows and timers make it do something."""
    close_at_end: bool = False


class RandomTrader(Strategy):
    """Sends, changes and cancels orders of all kinds on rows and on timers of its own."""

    def __init__(self, config: RandomTraderConfig) -> None:
        super().__init__(config)
        self.settings = config
        self.random = random.Random(config.seed)  # noqa: S311 - no secret is made of it
        self.price: Any = None
        self.sent: list[Any] = []
        self.instrument: Any = None
        self.alerts = 0

    def on_start(self) -> None:
        """Subscribe and set the timers."""
        if self.settings.kind == "bars":
            bar_type = BarType.from_str(self.settings.name)
            self.instrument = self.cache.instrument(bar_type.instrument_id)
            self.subscribe_bars(bar_type)
        else:
            instrument_id = InstrumentId.from_str(self.settings.name)
            self.instrument = self.cache.instrument(instrument_id)
            if self.settings.kind == "quotes":
                self.subscribe_quotes(instrument_id)
            else:
                self.subscribe_trades(instrument_id)
        for number, interval in enumerate(self.settings.timers):
            self.clock.set_timer_ns(
                f"own {number}", interval * MILLISECOND, None, None, self.on_timer
            )

    def on_bar(self, bar: Any) -> None:
        """Maybe do something."""
        self.price = bar.close
        self.act()

    def on_quote(self, quote: Any) -> None:
        """Maybe do something."""
        self.price = quote.ask_price
        self.act()

    def on_trade(self, trade: Any) -> None:
        """Maybe do something."""
        self.price = trade.price
        self.act()

    def on_timer(self, _event: Any) -> None:
        """Maybe do something."""
        self.act()

    def on_stop(self) -> None:
        """Close what is open, when it is asked for."""
        if self.settings.close_at_end and self.cache.positions_open():
            self.cancel_all_orders(self.instrument.id)
            self.close_all_positions(self.instrument.id)

    def act(self) -> None:
        """Do one thing at random, or nothing."""
        if self.price is None or self.random.randrange(100) >= self.settings.activity:
            return
        what = self.random.choice(
            [
                "market",
                "limit",
                "stop",
                "stop_limit",
                "if_touched",
                "trailing",
                "bracket",
                "short_lived",
                "reduce_only",
                "alert",
                "cancel",
                "modify",
                "close",
            ]
        )
        getattr(self, f"_{what}")(self.random.choice([OrderSide.BUY, OrderSide.SELL]))

    def _away(self, ticks: int) -> Any:
        return self.instrument.make_price(float(self.price) + ticks * 0.1)

    def _quantity(self) -> Any:
        return self.instrument.make_qty(self.random.randint(1, 5))

    def _send(self, order: Any) -> None:
        self.sent.append(order.client_order_id)
        self.submit_order(order)

    def _market(self, side: Any) -> None:
        self._send(self.order_factory.market(self.instrument.id, side, self._quantity()))

    def _limit(self, side: Any) -> None:
        price = self._away(self.random.randint(-20, 20))
        self._send(self.order_factory.limit(self.instrument.id, side, self._quantity(), price))

    def _stop(self, side: Any) -> None:
        ticks = self.random.randint(1, 20) * (1 if side == OrderSide.BUY else -1)
        self._send(
            self.order_factory.stop_market(
                self.instrument.id, side, self._quantity(), self._away(ticks)
            )
        )

    def _stop_limit(self, side: Any) -> None:
        sign = 1 if side == OrderSide.BUY else -1
        ticks = self.random.randint(1, 20)
        price, trigger = self._away((ticks + 2) * sign), self._away(ticks * sign)
        order = self.order_factory.stop_limit(
            self.instrument.id, side, self._quantity(), price, trigger
        )
        self._send(order)

    def _if_touched(self, side: Any) -> None:
        ticks = self.random.randint(1, 20) * (-1 if side == OrderSide.BUY else 1)
        order = self.order_factory.market_if_touched(
            self.instrument.id, side, self._quantity(), self._away(ticks)
        )
        self._send(order)

    def _short_lived(self, side: Any) -> None:
        """Send an order that expires between rows, or in a gap of them."""
        seconds = self.random.choice([1, 30, 3600, 20 * 3600])
        order = self.order_factory.limit(
            self.instrument.id,
            side,
            self._quantity(),
            self._away(self.random.randint(-20, 20)),
            time_in_force=TimeInForce.GTD,
            expire_time=self.clock.timestamp_ns() + seconds * 1000 * MILLISECOND,
        )
        self._send(order)

    def _reduce_only(self, side: Any) -> None:
        order = self.order_factory.market(
            self.instrument.id, side, self._quantity(), reduce_only=True
        )
        self._send(order)

    def _alert(self, _side: Any) -> None:
        """Wake up once, at an instant that may lie in a gap."""
        self.alerts += 1
        later = self.random.choice([1, 59_999, 3_600_000, 20 * 3_600_000]) * MILLISECOND
        self.clock.set_time_alert_ns(
            f"alert {self.alerts}", self.clock.timestamp_ns() + later, self.on_timer
        )

    def _trailing(self, side: Any) -> None:
        ticks = self.random.randint(5, 20)
        self._send(
            self.order_factory.trailing_stop_market(
                self.instrument.id,
                side,
                self._quantity(),
                Decimal(ticks) / 10,
                trailing_offset_type=TrailingOffsetType.PRICE,
                trigger_price=self._away(ticks if side == OrderSide.BUY else -ticks),
            )
        )

    def _bracket(self, side: Any) -> None:
        sign = 1 if side == OrderSide.BUY else -1
        orders = self.order_factory.bracket(
            self.instrument.id,
            side,
            self._quantity(),
            entry_order_type=OrderType.MARKET,
            sl_trigger_price=self._away(-15 * sign),
            tp_price=self._away(15 * sign),
        )
        self.submit_order_list(orders)

    def _cancel(self, _side: Any) -> None:
        self.cancel_all_orders(self.instrument.id)

    def _modify(self, _side: Any) -> None:
        for order_id in self.sent:
            order = self.cache.order(order_id)
            if order is not None and order.is_open and order.order_type == OrderType.LIMIT:
                price = self._away(self.random.randint(-20, 20))
                if price != order.price:
                    self.modify_order(order_id, price=price)
                return

    def _close(self, _side: Any) -> None:
        self.close_all_positions(self.instrument.id)
