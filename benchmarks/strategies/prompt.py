"""A strategy that trades on each bar."""

from __future__ import annotations

from dataclasses import dataclass

from nautilus_trader.model import Bar, BarType, OrderSide, Quantity
from nautilus_trader.trading import Strategy, StrategyConfig


@dataclass
class PromptConfig(StrategyConfig):
    """What to trade on."""

    bar_type: BarType


class Prompt(Strategy):
    """Buys and sells in turn."""

    def __init__(self, config: PromptConfig) -> None:
        super().__init__(config)
        self.settings = config
        self.side = OrderSide.BUY

    def on_start(self) -> None:
        """Subscribe to the bars."""
        self.subscribe_bars(self.settings.bar_type)

    def on_bar(self, bar: Bar) -> None:
        """Trade."""
        size = Quantity.from_str("0.100")
        self.submit_order(self.order_factory.market(bar.bar_type.instrument_id, self.side, size))
        self.side = OrderSide.SELL if self.side is OrderSide.BUY else OrderSide.BUY
