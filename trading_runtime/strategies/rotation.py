"""Holds the stocks that rose most: once a day, the weaker ones are sold for the stronger ones."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from nautilus_trader.model import Bar, BarType, InstrumentId, OrderSide, Quantity
from nautilus_trader.trading import Strategy, StrategyConfig


@dataclass
class RotationConfig(StrategyConfig):
    """Which stocks are compared, over how long, and how many of them are held."""

    bar_types: list[BarType]
    """Daily bars of each stock."""
    stake: float
    """Money put into each stock that is held."""
    lookback: int = 20
    """Days over which returns are compared."""
    held: int = 2
    """How many stocks are held."""


class Rotation(Strategy):
    """Compares the stocks when the bars of a day are complete, and trades what has changed."""

    def __init__(self, config: RotationConfig) -> None:
        super().__init__(config)
        self.settings = config
        self.closes: dict[InstrumentId, deque[float]] = {
            bar_type.instrument_id: deque(maxlen=config.lookback + 1)
            for bar_type in config.bar_types
        }
        self.arrived: set[InstrumentId] = set()
        self.today = 0

    def on_start(self) -> None:
        """Ask for the daily bars of all stocks."""
        for bar_type in self.settings.bar_types:
            self.subscribe_bars(bar_type)

    def on_bar(self, bar: Bar) -> None:
        """Compare the stocks once the last bar of a day is there; bars come one after the other."""
        if bar.ts_event != self.today:
            self.today = bar.ts_event
            self.arrived.clear()
        instrument = bar.bar_type.instrument_id
        self.arrived.add(instrument)
        self.closes[instrument].append(bar.close.as_double())
        is_complete = len(self.arrived) == len(self.closes)
        if is_complete and all(len(each) == each.maxlen for each in self.closes.values()):
            self._rotate()

    def _rotate(self) -> None:
        strongest = sorted(
            self.closes, key=lambda name: self.closes[name][-1] / self.closes[name][0], reverse=True
        )
        wanted = strongest[: self.settings.held]
        for position in self.cache.positions_open():
            if position.instrument_id not in wanted:
                self.close_all_positions(position.instrument_id)
        for name in wanted:
            if not self.cache.positions_open(instrument_id=name):
                shares = int(self.settings.stake / self.closes[name][-1])
                order = self.order_factory.market(name, OrderSide.BUY, Quantity.from_int(shares))
                self.submit_order(order)
