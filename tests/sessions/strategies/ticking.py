"""Buys and sells in turn at every tenth quote, whatever the clock says."""

from __future__ import annotations

from dataclasses import dataclass

from nautilus_trader.model import InstrumentId, OrderSide, Quantity, QuoteTick
from nautilus_trader.trading import Strategy, StrategyConfig


@dataclass
class TickingConfig(StrategyConfig):
    """What to trade."""

    instrument_id: InstrumentId


class Ticking(Strategy):
    """Decides by the number of quotes alone, so that the same quotes give the same orders."""

    def __init__(self, config: TickingConfig) -> None:
        super().__init__(config)
        self.settings = config
        self.quotes = 0

    def on_start(self) -> None:
        self.subscribe_quotes(self.settings.instrument_id)

    def on_quote(self, quote: QuoteTick) -> None:
        self.quotes += 1
        if self.quotes % 10 == 0:
            side = OrderSide.BUY if self.quotes % 20 else OrderSide.SELL
            size = Quantity.from_str("0.010")
            self.submit_order(self.order_factory.market(quote.instrument_id, side, size))
