"""Leaves a resting order at every bar, and notes down each order that is accepted."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nautilus_trader.model import Bar, BarType, OrderSide, Price, Quantity
from nautilus_trader.trading import Strategy, StrategyConfig

HELD_AT = 20
"""The bar at which it waits for the kill switch, unless it is stubborn."""


def is_killed() -> bool:
    """Whether the kill signal has come to this process: it is then listened in on."""
    return "trading-runtime-kill" in map(sys.monitoring.get_tool, range(6))


@dataclass
class RestingConfig(StrategyConfig):
    """How long to wait between two orders or looks, and where to note orders."""

    bar_type: BarType
    seconds: float
    log: str
    stubborn: bool


class Resting(Strategy):
    """Buys far below the market, so that no order is filled."""

    def __init__(self, config: RestingConfig) -> None:
        super().__init__(config)
        self.settings = config
        self.bars = 0

    def on_start(self) -> None:
        self.subscribe_bars(self.settings.bar_type)

    def on_bar(self, bar: Bar) -> None:
        self.bars += 1
        while self.bars == HELD_AT and not self.settings.stubborn and not is_killed():
            time.sleep(self.settings.seconds)
        self.order(bar)
        while self.settings.stubborn:
            time.sleep(self.settings.seconds)
            self.order(bar)

    def order(self, bar: Bar) -> None:
        order = self.order_factory.limit(
            bar.bar_type.instrument_id,
            OrderSide.BUY,
            Quantity.from_str("0.001"),
            Price.from_str("10.0"),
        )
        self.submit_order(order)
        if self.cache.order(order.client_order_id) is not None:
            self.note("sent")
        else:
            self.note("refused")

    def on_order_accepted(self, event: Any) -> None:
        self.note(f"accepted {event.client_order_id}")

    def on_order_canceled(self, event: Any) -> None:
        self.note(f"cancelled {event.client_order_id}")

    def note(self, what: str) -> None:
        with Path(self.settings.log).open("a") as file:
            file.write(f"{what}\n")
