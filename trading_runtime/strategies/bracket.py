"""Follows a breakout with one bracket: an entry, a take-profit and a stop-loss."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from nautilus_trader.indicators import AverageTrueRange, DonchianChannel
from nautilus_trader.model import Bar, BarType, InstrumentId, OrderSide, Price, Quantity
from nautilus_trader.trading import Strategy, StrategyConfig


@dataclass
class BracketConfig(StrategyConfig):
    """What the strategy trades, which breakouts it follows, and how far its exits are away."""

    instrument_id: InstrumentId
    bar_type: BarType
    trade_size: Decimal
    """Quantity of one entry."""
    period: int = 60
    """Bars of the channel that must be broken."""
    stop_ranges: Decimal = Decimal(3)
    """Distance of the stop-loss, in average true ranges."""
    reward: Decimal = Decimal(2)
    """Distance of the take-profit, as a multiple of the stop-loss distance."""


class Bracket(Strategy):
    """Buys above the channel and sells below it, one bracket at a time."""

    def __init__(self, config: BracketConfig) -> None:
        super().__init__(config)
        self.settings = config
        self.channel = DonchianChannel(config.period)
        self.range = AverageTrueRange(config.period)
        self.size = Quantity.from_str(str(config.trade_size))
        self.precision = 0
        self.edges: tuple[float, float] | None = None

    def on_start(self) -> None:
        """Look up the tick size, and ask for bars."""
        instrument = self.cache.instrument(self.settings.instrument_id)
        if instrument is None:
            raise ValueError(f"{self.settings.instrument_id} is not in the dataset")
        self.precision = instrument.price_precision
        self.subscribe_bars(self.settings.bar_type)

    def on_bar(self, bar: Bar) -> None:
        """Compare the close with the channel of the bars before it, then update the channel."""
        if self.edges is not None and self._is_flat():
            close = bar.close.as_double()
            if close > self.edges[1]:
                self._enter(OrderSide.BUY, bar.close.as_decimal())
            elif close < self.edges[0]:
                self._enter(OrderSide.SELL, bar.close.as_decimal())
        self.channel.handle_bar(bar)
        self.range.handle_bar(bar)
        if self.channel.initialized and self.range.initialized:
            self.edges = (self.channel.lower, self.channel.upper)

    def _is_flat(self) -> bool:
        instrument = self.settings.instrument_id
        return not (
            self.cache.positions_open(instrument_id=instrument)
            or self.cache.orders_open(instrument_id=instrument)
            or self.cache.orders_inflight(instrument_id=instrument)
        )

    def _enter(self, side: OrderSide, close: Decimal) -> None:
        sign = 1 if side == OrderSide.BUY else -1
        distance = Decimal(str(self.range.value)) * self.settings.stop_ranges
        orders = self.order_factory.bracket(
            instrument_id=self.settings.instrument_id,
            order_side=side,
            quantity=self.size,
            sl_trigger_price=self._price(close - sign * distance),
            tp_price=self._price(close + sign * distance * self.settings.reward),
        )
        self.submit_order_list(orders)

    def _price(self, value: Decimal) -> Price:
        return Price.from_str(format(value, f".{self.precision}f"))
