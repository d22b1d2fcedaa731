"""An example that trades on quotes: rests a bid and an offer around the mid price."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from nautilus_trader.model import InstrumentId, OrderSide, Price, Quantity, QuoteTick
from nautilus_trader.trading import Strategy, StrategyConfig


@dataclass
class MarketMakerConfig(StrategyConfig):
    """What the strategy quotes, how wide, and how much it may hold."""

    instrument_id: InstrumentId
    trade_size: Decimal
    """Quantity of each quote."""
    half_spread: Decimal
    """Distance of each quote from the mid price, in price units."""
    skew: Decimal = Decimal(0)
    """Price units by which both quotes move against each ``trade_size`` held."""
    requote_distance: Decimal = Decimal(0)
    """How far the mid price must move, in price units, before the quotes follow."""
    max_position: Decimal = Decimal(0)
    """Largest quantity held on either side; zero for ten times ``trade_size``."""


class MarketMaker(Strategy):
    """Keeps one bid and one offer in the book, and leans against its own position."""

    def __init__(self, config: MarketMakerConfig) -> None:
        super().__init__(config)
        self.settings = config
        self.size = Quantity.from_str(str(config.trade_size))
        self.limit = config.max_position or 10 * config.trade_size
        self.quoted_mid: Decimal | None = None
        self.increment = Decimal(0)
        self.precision = 0

    def on_start(self) -> None:
        """Look up the tick size, and ask for quotes."""
        instrument = self.cache.instrument(self.settings.instrument_id)
        if instrument is None:
            raise ValueError(f"{self.settings.instrument_id} is not in the dataset")
        self.increment = instrument.price_increment.as_decimal()
        self.precision = instrument.price_precision
        self.subscribe_quotes(self.settings.instrument_id)

    def on_quote(self, quote: QuoteTick) -> None:
        """Follow the mid price once it has moved far enough."""
        mid = (quote.bid_price.as_decimal() + quote.ask_price.as_decimal()) / 2
        if (
            self.quoted_mid is not None
            and abs(mid - self.quoted_mid) < self.settings.requote_distance
        ):
            return
        self.quoted_mid = mid
        self.cancel_all_orders(self.settings.instrument_id)
        held = self.portfolio.net_position(self.settings.instrument_id)
        centre = mid - self.settings.skew * held / self.settings.trade_size
        if held < self.limit:
            self._quote(OrderSide.BUY, centre - self.settings.half_spread)
        if held > -self.limit:
            self._quote(OrderSide.SELL, centre + self.settings.half_spread)

    def on_stop(self) -> None:
        """Leave nothing in the book."""
        self.cancel_all_orders(self.settings.instrument_id)

    def _quote(self, side: OrderSide, price: Decimal) -> None:
        ticks = int(price / self.increment)
        text = format(ticks * self.increment, f".{self.precision}f")
        order = self.order_factory.limit(
            self.settings.instrument_id, side, self.size, Price.from_str(text)
        )
        self.submit_order(order)
