"""Trades on bars that the engine makes of its data, each of a length in time."""

from __future__ import annotations

from dataclasses import dataclass, field

from nautilus_trader.model import Bar, BarType, OrderSide, Quantity
from nautilus_trader.trading import Strategy, StrategyConfig


@dataclass
class TimedConfig(StrategyConfig):
    """The bars that it gets."""

    bar_type: BarType
    made: list[str] = field(default_factory=list)
    late: bool = False
    """Whether it subscribes to the made ones at its first bar only."""


class Timed(Strategy):
    """Buys after a made bar that rose and sells after one that fell; its size tells their length.

    It counts the bars of the data before each, so that one that comes too late trades otherwise.
    """

    def __init__(self, config: TimedConfig) -> None:
        super().__init__(config)
        self.settings = config
        self.seen = 0

    def on_start(self) -> None:
        self.subscribe_bars(self.settings.bar_type)
        if not self.settings.late:
            self.subscribe()

    def subscribe(self) -> None:
        for text in self.settings.made:
            self.subscribe_bars(BarType.from_str(text))

    def on_bar(self, bar: Bar) -> None:
        if bar.bar_type == self.settings.bar_type:
            self.seen += 1
            if self.settings.late and self.seen == 1:
                self.subscribe()
            return
        side = OrderSide.BUY if bar.close.as_double() >= bar.open.as_double() else OrderSide.SELL
        size = f"0.{bar.bar_type.spec.step:02d}{self.seen % 10}"
        self.submit_order(
            self.order_factory.market(bar.bar_type.instrument_id, side, Quantity.from_str(size))
        )
