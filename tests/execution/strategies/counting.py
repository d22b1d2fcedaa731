"""Trades by state in its class and module, by chance, and by the order of a set."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import ClassVar

from nautilus_trader.model import Bar, BarType, OrderSide, Quantity
from nautilus_trader.trading import Strategy, StrategyConfig

MADE: list[int] = []


@dataclass
class CountingConfig(StrategyConfig):
    """What to trade on and how often."""

    bar_type: BarType
    every: int = 20
    size_step: int = 1


class Counting(Strategy):
    """Trades by counts, chance and order that would differ if anything outlived a task."""

    made: ClassVar[int] = 0

    def __init__(self, config: CountingConfig) -> None:
        super().__init__(config)
        self.settings = config
        self.bars = 0
        MADE.append(config.every)
        type(self).made += 1
        names = {"left", "right", "up", "down", "in", "out"}
        self.place = list(names).index("left")

    def on_start(self) -> None:
        self.subscribe_bars(self.settings.bar_type)

    def on_bar(self, bar: Bar) -> None:  # noqa: ARG002
        self.bars += 1
        if self.bars % self.settings.every == 0:
            size = (
                self.settings.size_step
                + self.place
                + 10 * (len(MADE) + self.made)
                + random.randrange(5)  # noqa: S311
            )
            self.submit_order(
                self.order_factory.market(
                    self.settings.bar_type.instrument_id,
                    random.choice([OrderSide.BUY, OrderSide.SELL]),  # noqa: S311
                    Quantity.from_str(f"0.{size:03d}"),
                )
            )
