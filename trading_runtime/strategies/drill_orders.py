"""Sends an order at each bar, as slowly as configured. Drills use it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nautilus_trader.model import Bar, BarType, InstrumentId, OrderSide, Price, Quantity
from nautilus_trader.trading import Strategy, StrategyConfig

if TYPE_CHECKING:
    from nautilus_trader.model import ClientOrderId


@dataclass
class DrillOrdersConfig(StrategyConfig):
    """When to send orders, for what, and where to note them."""

    bar_type: BarType
    """Its bars are the clock."""
    instrument_id: InstrumentId
    """What is traded."""
    every: int = 1
    """Send an order every this many bars."""
    pause: float = 0.0
    """Seconds of real time that each bar takes."""
    resting: bool = False
    """Leave orders far below the market, instead of buying and selling in turn."""
    price: str = "10.0"
    """Price of such orders."""
    log: str | None = None
    """File that gets the real time at which each order is accepted and cancelled."""


class DrillOrders(Strategy):
    """Sends orders in the rhythm of one instrument's bars."""

    def __init__(self, config: DrillOrdersConfig) -> None:
        super().__init__(config)
        self.settings = config
        self.bars = 0
        self.buys = True

    def on_start(self) -> None:
        """Subscribe to the bars that are the clock."""
        self.subscribe_bars(self.settings.bar_type)

    def on_bar(self, bar: Bar) -> None:  # noqa: ARG002
        """Send the order of this bar, if it has one."""
        self.bars += 1
        if self.settings.pause:
            time.sleep(self.settings.pause)
        if self.bars % self.settings.every == 0:
            self._send()

    def on_order_accepted(self, event: Any) -> None:
        """Note when an order went out."""
        self._note("accepted", event.client_order_id)

    def on_order_canceled(self, event: Any) -> None:
        """Note when an order was cancelled."""
        self._note("cancelled", event.client_order_id)

    def _send(self) -> None:
        size = Quantity.from_str("0.010")
        name = self.settings.instrument_id
        if self.settings.resting:
            price = Price.from_str(self.settings.price)
            order = self.order_factory.limit(name, OrderSide.BUY, size, price)
        else:
            side = OrderSide.BUY if self.buys else OrderSide.SELL
            self.buys = not self.buys
            order = self.order_factory.market(name, side, size)
        self.submit_order(order)

    def _note(self, what: str, order_id: ClientOrderId) -> None:
        if self.settings.log is not None:
            with Path(self.settings.log).open("a", encoding="utf-8") as file:
                file.write(f"{time.time_ns()} {what} {order_id}\n")
