"""Buys once and holds, with an order that rests; keeps how many bars it has seen."""

from __future__ import annotations

import time
from dataclasses import dataclass

from nautilus_trader.model import Bar, BarType, OrderSide, Price, Quantity
from nautilus_trader.trading import Strategy, StrategyConfig


@dataclass
class KeepingConfig(StrategyConfig):
    """What to trade on."""

    bar_type: BarType
    blocks_at: int = 0
    """The bar at which it does not return any more; 0 for none."""


class Keeping(Strategy):
    """Buys 0.1 at its third bar ever, by three orders; a restart must not make it buy again."""

    def __init__(self, config: KeepingConfig) -> None:
        super().__init__(config)
        self.settings = config
        self.bars = 0

    def on_start(self) -> None:
        self.subscribe_bars(self.settings.bar_type)

    def on_save(self) -> dict[str, bytes]:
        return {"bars": str(self.bars).encode()}

    def on_load(self, state: dict[str, bytes]) -> None:
        self.bars = int(state["bars"])

    def on_bar(self, bar: Bar) -> None:
        self.bars += 1
        while self.bars == self.settings.blocks_at:
            time.sleep(0.05)
        if self.bars in {3, 4, 5}:
            size = Quantity.from_str({3: "0.050", 4: "0.030", 5: "0.020"}[self.bars])
            instrument_id = bar.bar_type.instrument_id
            self.submit_order(self.order_factory.market(instrument_id, OrderSide.BUY, size))
        if self.bars == 6:
            self.submit_order(
                self.order_factory.limit(
                    bar.bar_type.instrument_id,
                    OrderSide.SELL,
                    Quantity.from_str("0.040"),
                    Price.from_str("99999.0"),
                )
            )
