"""Holds a perpetual on the side that is paid funding, while the rate is worth its costs."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from nautilus_trader.model import FundingRateUpdate, InstrumentId, OrderSide, Quantity
from nautilus_trader.trading import Strategy, StrategyConfig


@dataclass
class FundingCarryConfig(StrategyConfig):
    """Which perpetual is traded, and from which rate on."""

    instrument_id: InstrumentId
    trade_size: Decimal
    """Quantity of the position."""
    enter: Decimal = Decimal("0.0002")
    """The least rate of one settlement, of either sign, at which a position is opened."""
    leave: Decimal = Decimal(0)
    """The position is closed when it is paid less than this."""


class FundingCarry(Strategy):
    """Sells while buyers pay sellers, and buys while sellers pay buyers."""

    def __init__(self, config: FundingCarryConfig) -> None:
        super().__init__(config)
        self.settings = config
        self.size = Quantity.from_str(str(config.trade_size))

    def on_start(self) -> None:
        """Ask for funding rates; each comes before it is settled."""
        self.subscribe_funding_rates(self.settings.instrument_id)

    def on_funding_rate(self, update: FundingRateUpdate) -> None:
        """Leave a side that is no longer paid, and enter the one that is paid enough."""
        instrument = self.settings.instrument_id
        held = self.cache.positions_open(instrument_id=instrument)
        if held:
            # Of a positive rate, holders pay and sellers receive.
            paid = -update.rate if held[0].is_long else update.rate
            if paid < self.settings.leave:
                self.close_all_positions(instrument)
        elif abs(update.rate) >= self.settings.enter:
            side = OrderSide.SELL if update.rate > 0 else OrderSide.BUY
            self.submit_order(self.order_factory.market(instrument, side, self.size))
