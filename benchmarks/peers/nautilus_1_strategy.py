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
    """Holds ``trade_size`` on the side that the crossing of two averages points to."""

    def __init__(self, config: EMACrossConfig) -> None:
        super().__init__(config)
        self.fast = ExponentialMovingAverage(config.fast)
        self.slow = ExponentialMovingAverage(config.slow)
        self.size = Quantity.from_str(str(config.trade_size))

    def on_start(self) -> None:
        """Let the engine feed the averages, then the strategy, with every bar."""
        self.register_indicator_for_bars(self.config.bar_type, self.fast)
        self.register_indicator_for_bars(self.config.bar_type, self.slow)
        self.subscribe_bars(self.config.bar_type)

    def on_bar(self, _bar: Bar) -> None:
        """Reverse the position when the averages have crossed."""
        if not self.indicators_initialized():
            return
        instrument_id = self.config.instrument_id
        is_long = self.portfolio.is_net_long(instrument_id)
        is_short = self.portfolio.is_net_short(instrument_id)
        if self.fast.value >= self.slow.value and not is_long:
            self.close_all_positions(instrument_id)
            self._enter(OrderSide.BUY)
        elif self.fast.value < self.slow.value and not is_short:
            self.close_all_positions(instrument_id)
            self._enter(OrderSide.SELL)

    def _enter(self, side: OrderSide) -> None:
        self.submit_order(self.order_factory.market(self.config.instrument_id, side, self.size))
