"""Buys what has fallen too far, and protects every position with a stop-loss."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from nautilus_trader.indicators import RelativeStrengthIndex
from nautilus_trader.model import (
    Bar,
    BarType,
    InstrumentId,
    OrderFilled,
    OrderSide,
    Price,
    Quantity,
)
from nautilus_trader.trading import Strategy, StrategyConfig


@dataclass
class RSIConfig(StrategyConfig):
    """What the strategy trades, and when it enters and leaves."""

    instrument_id: InstrumentId
    bar_type: BarType
    trade_size: Decimal
    """Quantity of one entry."""
    period: int = 14
    """Bars of the index."""
    enter_below: float = 30.0
    """Buy when the index, from 0 to 100, falls below this."""
    leave_above: float = 55.0
    """Sell when the index rises above this."""
    stop_loss: Decimal = Decimal("0.01")
    """Share of the entry price that may be lost before the stop sells."""


class RSI(Strategy):
    """Holds ``trade_size`` from an oversold bar until the index recovers or the stop is hit."""

    def __init__(self, config: RSIConfig) -> None:
        super().__init__(config)
        self.settings = config
        self.index = RelativeStrengthIndex(config.period)
        self.size = Quantity.from_str(str(config.trade_size))
        self.precision = 0
        self.has_entered = False

    def on_start(self) -> None:
        """Let the engine feed the index, then the strategy, with every bar."""
        instrument = self.cache.instrument(self.settings.instrument_id)
        if instrument is None:
            raise ValueError(f"{self.settings.instrument_id} is not in the dataset")
        self.precision = instrument.price_precision
        self.register_indicator_for_bars(self.settings.bar_type, self.index)
        self.subscribe_bars(self.settings.bar_type)

    def on_bar(self, _bar: Bar) -> None:
        """Enter when the index is low, leave when it has recovered."""
        if not self.indicators_initialized():
            return
        if not self.has_entered and self.index.value < self.settings.enter_below:
            self.has_entered = True
            order = self.order_factory.market(
                self.settings.instrument_id, OrderSide.BUY, self.size, tags=["entry"]
            )
            self.submit_order(order)
        elif self.has_entered and self.index.value > self.settings.leave_above:
            self.cancel_all_orders(self.settings.instrument_id)
            self.close_all_positions(self.settings.instrument_id)

    def on_order_filled(self, event: OrderFilled) -> None:
        """Place the stop below the price of the entry; start again once the position is closed."""
        if event.order_side == OrderSide.BUY:
            price = event.last_px.as_decimal() * (1 - self.settings.stop_loss)
            stop = Price.from_str(format(price, f".{self.precision}f"))
            self.submit_order(
                self.order_factory.stop_market(
                    self.settings.instrument_id,
                    OrderSide.SELL,
                    event.last_qty,
                    stop,
                    reduce_only=True,
                    tags=["stop-loss"],
                )
            )
        else:
            self.has_entered = False
