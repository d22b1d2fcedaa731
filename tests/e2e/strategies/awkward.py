"""Trades now and then; told to, it dawdles, takes memory, or raises. What it trades is the same."""

from __future__ import annotations

import time
from dataclasses import dataclass

from nautilus_trader.model import Bar, BarType, OrderSide, Quantity
from nautilus_trader.trading import Strategy, StrategyConfig


@dataclass
class AwkwardConfig(StrategyConfig):
    """What to trade on, how often, and what to do before."""

    bar_type: BarType
    every: int = 20
    pause_seconds: float = 0.0
    megabytes: int = 0
    raises_at: int = 0


class Awkward(Strategy):
    """Buys and sells in turn, every so many bars."""

    def __init__(self, config: AwkwardConfig) -> None:
        super().__init__(config)
        self.settings = config
        self.bars = 0

    def on_start(self) -> None:
        taken = b"\1" * (self.settings.megabytes << 20)
        time.sleep(self.settings.pause_seconds)
        del taken
        self.subscribe_bars(self.settings.bar_type)

    def on_bar(self, bar: Bar) -> None:  # noqa: ARG002
        self.bars += 1
        if self.settings.raises_at and self.bars == self.settings.raises_at:
            raise ValueError(f"the {self.bars}th bar is awkward")
        if self.bars % self.settings.every == 0:
            side = OrderSide.BUY if self.bars // self.settings.every % 2 else OrderSide.SELL
            self.submit_order(
                self.order_factory.market(
                    self.settings.bar_type.instrument_id, side, Quantity.from_str("0.100")
                )
            )
