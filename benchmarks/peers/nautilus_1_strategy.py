"""The EMA cross of trading_runtime/strategies/ema_cross.py, written for nautilus_trader 1.x."""

from __future__ import annotations

from decimal import Decimal

from nautilus_trader.config import StrategyConfig
from nautilus_trader.indicators import ExponentialMovingAverage
from nautilus_trader.model.data import Bar, BarType
from nautilus_trader.model.enums import OrderSide
from nautilus_trader.model.identifiers import InstrumentId
from nautilus_trader.model.objects import Quantity
from nautilus_trader.trading.strategy import Strategy


class EMACrossConfig(StrategyConfig, frozen=True):
    """What the strategy trades and how fast it changes its mind."""

    instrument_id: InstrumentId
    bar_type: BarType
    trade_size: Decimal
    fast: int
    slow: int


class EMACross(Strategy):
    """Holds ``trade_size`` on the side that the last crossing of two averages pointed to."""

    def __init__(self, config: EMACrossConfig) -> None:
        super().__init__(config)
        self.fast = ExponentialMovingAverage(config.fast)
        self.slow = ExponentialMovingAverage(config.slow)
        self.size = Quantity.from_str(str(config.trade_size))
        self.was_above: bool | None = None

    def on_start(self) -> None:
        """Let the engine feed the averages, then the strategy, with every bar."""
        self.register_indicator_for_bars(self.config.bar_type, self.fast)
        self.register_indicator_for_bars(self.config.bar_type, self.slow)
        self.subscribe_bars(self.config.bar_type)

    def on_bar(self, _bar: Bar) -> None:
        """Reverse the position when the averages cross; the first bars only show which is above."""
        is_above = self.fast.value >= self.slow.value
        if is_above is self.was_above:
            return
        if self.was_above is None:
            if self.indicators_initialized():
                self.was_above = is_above
            return
        self.was_above = is_above
        self.close_all_positions(self.config.instrument_id)
        self._enter(OrderSide.BUY if is_above else OrderSide.SELL)

    def _enter(self, side: OrderSide) -> None:
        self.submit_order(self.order_factory.market(self.config.instrument_id, side, self.size))
