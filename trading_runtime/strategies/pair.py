"""Trades the spread of two instruments: sells the dear one and buys the cheap one."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from decimal import Decimal

import numpy as np
from nautilus_trader.model import Bar, BarType, InstrumentId, OrderSide, Quantity
from nautilus_trader.trading import Strategy, StrategyConfig


@dataclass
class PairConfig(StrategyConfig):
    """Which two instruments are traded, and how far their ratio must be from its mean."""

    first: InstrumentId
    second: InstrumentId
    first_bars: BarType
    second_bars: BarType
    first_size: Decimal
    """Quantity of the first instrument in one trade."""
    second_size: Decimal
    """Quantity of the second one."""
    period: int = 240
    """Bars used for the mean and deviation of the ratio."""
    enter: float = 2.0
    """Deviations from the mean at which the spread is traded."""
    leave: float = 0.5
    """Deviations at which it is closed."""


class Pair(Strategy):
    """Holds the spread, one way or the other, from ``enter`` deviations until ``leave``."""

    def __init__(self, config: PairConfig) -> None:
        super().__init__(config)
        self.settings = config
        self.ratios: deque[float] = deque(maxlen=config.period)
        self.newest: dict[BarType, Bar] = {}
        self.held = 0

    def on_start(self) -> None:
        """Ask for the bars of both."""
        self.subscribe_bars(self.settings.first_bars)
        self.subscribe_bars(self.settings.second_bars)

    def on_bar(self, bar: Bar) -> None:
        """Evaluate the ratio once both bars of a minute have arrived."""
        self.newest[bar.bar_type] = bar
        first = self.newest.get(self.settings.first_bars)
        second = self.newest.get(self.settings.second_bars)
        if first is None or second is None or first.ts_event != second.ts_event:
            return
        ratio = second.close.as_double() / first.close.as_double()
        if len(self.ratios) == self.settings.period:
            past = np.fromiter(self.ratios, float)
            deviation = past.std()
            if deviation > 0:
                self._judge((ratio - past.mean()) / deviation)
        self.ratios.append(ratio)

    def _judge(self, score: float) -> None:
        if self.held == 0 and abs(score) > self.settings.enter:
            # A high ratio: the second is dear, so sell it and buy the first.
            self.held = -1 if score > 0 else 1
            self._trade(self.settings.first, self.settings.first_size, -self.held)
            self._trade(self.settings.second, self.settings.second_size, self.held)
        elif self.held and abs(score) < self.settings.leave:
            self.held = 0
            self.close_all_positions(self.settings.first)
            self.close_all_positions(self.settings.second)

    def _trade(self, instrument: InstrumentId, size: Decimal, sign: int) -> None:
        side = OrderSide.BUY if sign > 0 else OrderSide.SELL
        quantity = Quantity.from_str(str(size))
        self.submit_order(self.order_factory.market(instrument, side, quantity))
