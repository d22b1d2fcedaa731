"""Trades on every bar: in turn it buys and sells, and one order rests far from the market."""

from __future__ import annotations

from dataclasses import dataclass

from nautilus_trader.model import Bar, BarType, OrderSide, Price, Quantity
from nautilus_trader.trading import Strategy, StrategyConfig


@dataclass
class SteadyConfig(StrategyConfig):
    """What to trade on."""

    bar_type: BarType
    rests: bool = True
    raises_at: int = 0
    """The bar at which it fails; 0 for none."""
    raises_at_stop: bool = False
    buys_at_stop: bool = False
    sells: bool = True
    """Whether it sells what it bought."""
    hoards: bool = False
    """Whether it takes memory without end."""
    wants_more: bool = False
    """Whether it subscribes to trades, too."""


class Steady(Strategy):
    """Sends an order on every bar, so that one that goes out too late is seen."""

    def __init__(self, config: SteadyConfig) -> None:
        super().__init__(config)
        self.settings = config
        self.bars = 0
        self.hoard: list[bytes] = []

    def on_start(self) -> None:
        self.subscribe_bars(self.settings.bar_type)
        if self.settings.wants_more:
            self.subscribe_trades(self.settings.bar_type.instrument_id)

    def on_stop(self) -> None:
        if self.settings.raises_at_stop:
            raise ValueError("as it was told to")
        if self.settings.buys_at_stop:
            size = Quantity.from_str("0.007")
            name = self.settings.bar_type.instrument_id
            self.submit_order(self.order_factory.market(name, OrderSide.BUY, size))

    def on_bar(self, _bar: Bar) -> None:
        self.bars += 1
        if self.settings.hoards:
            self.hoard.append(bytes([self.bars % 256]) * 20_000_000)
        if self.bars == self.settings.raises_at:
            raise ValueError("as it was told to")
        instrument_id = self.settings.bar_type.instrument_id
        if self.bars == 1 and self.settings.rests:
            self.submit_order(
                self.order_factory.limit(
                    instrument_id,
                    OrderSide.BUY,
                    Quantity.from_str("0.010"),
                    Price.from_str("1000.0"),
                )
            )
        side = OrderSide.SELL if self.settings.sells and self.bars % 4 == 0 else OrderSide.BUY
        size = "0.030" if side is OrderSide.SELL else "0.010"
        self.submit_order(self.order_factory.market(instrument_id, side, Quantity.from_str(size)))
