"""Sends five orders at each bar, at once."""

from __future__ import annotations

from dataclasses import dataclass

from nautilus_trader.model import Bar, BarType, OrderSide, Quantity
from nautilus_trader.trading import Strategy, StrategyConfig


@dataclass
class BurstingConfig(StrategyConfig):
    """What to trade on."""

    bar_type: BarType


class Bursting(Strategy):
    """Wants more requests than a venue takes."""

    def __init__(self, config: BurstingConfig) -> None:
        super().__init__(config)
        self.settings = config

    def on_start(self) -> None:
        self.subscribe_bars(self.settings.bar_type)

    def on_bar(self, bar: Bar) -> None:
        for _ in range(5):
            size = Quantity.from_str("0.010")
            name = bar.bar_type.instrument_id
            self.submit_order(self.order_factory.market(name, OrderSide.BUY, size))
