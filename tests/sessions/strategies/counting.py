"""Trades on every bar, grows and shrinks a position, and keeps how many bars it has seen."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from nautilus_trader.model import Bar, BarType, OrderSide, Quantity
from nautilus_trader.trading import Strategy, StrategyConfig


@dataclass
class CountingConfig(StrategyConfig):
    """What to trade on."""

    bar_type: BarType
    log: str = ""
    """File that gets a line with what it was told at a restart."""


class Counting(Strategy):
    """Of five bars it buys on four, and sells on the fifth a part of what it has."""

    def __init__(self, config: CountingConfig) -> None:
        super().__init__(config)
        self.settings = config
        self.bars = 0

    def on_start(self) -> None:
        self.subscribe_bars(self.settings.bar_type)

    def on_save(self) -> dict[str, bytes]:
        return {"bars": str(self.bars).encode()}

    def on_load(self, state: dict[str, bytes]) -> None:
        self.bars = int(state["bars"])
        with Path(self.settings.log).open("a", encoding="utf-8") as file:
            file.write(f"{self.bars}\n")

    def on_bar(self, bar: Bar) -> None:
        self.bars += 1
        side, size = (OrderSide.SELL, "0.030") if self.bars % 5 == 0 else (OrderSide.BUY, "0.010")
        self.submit_order(
            self.order_factory.market(bar.bar_type.instrument_id, side, Quantity.from_str(size))
        )
