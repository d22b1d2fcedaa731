"""A strategy that trades on each bar and notes when each order was on its way."""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass
from pathlib import Path

from nautilus_trader.model import Bar, BarType, OrderSide, Quantity
from nautilus_trader.trading import Strategy, StrategyConfig


@dataclass
class PromptConfig(StrategyConfig):
    """What to trade on."""

    bar_type: BarType


class Prompt(Strategy):
    """Buys and sells in turn, and writes the instants to the file that BENCH_SENT names."""

    def __init__(self, config: PromptConfig) -> None:
        super().__init__(config)
        self.settings = config
        self.sent: list[int] = []
        self.side = OrderSide.BUY

    def on_start(self) -> None:
        """Subscribe to the bars."""
        self.subscribe_bars(self.settings.bar_type)

    def on_bar(self, bar: Bar) -> None:
        """Trade."""
        size = Quantity.from_str("0.100")
        self.submit_order(self.order_factory.market(bar.bar_type.instrument_id, self.side, size))
        self.side = OrderSide.SELL if self.side is OrderSide.BUY else OrderSide.BUY

    def on_order_submitted(self, _event: object) -> None:
        """Note when the venue's client has the order."""
        self.sent.append(time.perf_counter_ns())

    def on_stop(self) -> None:
        """Leave the instants behind."""
        Path(os.environ["BENCH_SENT"]).write_text(json.dumps(self.sent), encoding="utf-8")
