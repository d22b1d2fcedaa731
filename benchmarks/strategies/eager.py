"""A strategy that trades on every other quote, and notes when that quote arrived."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from nautilus_trader.model import InstrumentId, OrderSide, Quantity, QuoteTick
from nautilus_trader.trading import Strategy, StrategyConfig


@dataclass
class EagerConfig(StrategyConfig):
    """What to trade."""

    instrument_id: InstrumentId


class Eager(Strategy):
    """Buys and sells in turn, and writes when its quotes arrived to the file in BENCH_CAME."""

    def __init__(self, config: EagerConfig) -> None:
        super().__init__(config)
        self.settings = config
        self.quotes = 0
        self.came: dict[str, int] = {}

    def on_start(self) -> None:
        """Subscribe to the quotes."""
        self.subscribe_quotes(self.settings.instrument_id)

    def on_quote(self, quote: QuoteTick) -> None:
        """Trade, and note when the client received the quote."""
        self.quotes += 1
        if self.quotes % 2:
            return
        side = OrderSide.BUY if self.quotes % 4 else OrderSide.SELL
        size = Quantity.from_str("0.010")
        order = self.order_factory.market(quote.instrument_id, side, size)
        self.came[str(order.client_order_id)] = quote.ts_init
        self.submit_order(order)

    def on_stop(self) -> None:
        """Write the file."""
        Path(os.environ["BENCH_CAME"]).write_text(json.dumps(self.came), encoding="utf-8")
