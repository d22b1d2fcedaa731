"""Buys and sells in turn, each time in an alert that is set inside an alert of a quote."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from nautilus_trader.model import InstrumentId, OrderSide, Quantity, QuoteTick
from nautilus_trader.trading import Strategy, StrategyConfig

if TYPE_CHECKING:
    from collections.abc import Callable

    from nautilus_trader.common import TimeEvent

_WAIT = 50_000_000


@dataclass
class AlertedConfig(StrategyConfig):
    """What to trade."""

    instrument_id: InstrumentId


class Alerted(Strategy):
    """Sends its order a tenth of a second after the quote, whatever comes meanwhile."""

    def __init__(self, config: AlertedConfig) -> None:
        super().__init__(config)
        self.settings = config
        self.alerts = 0

    def on_start(self) -> None:
        self.subscribe_quotes(self.settings.instrument_id)

    def on_quote(self, quote: QuoteTick) -> None:  # noqa: ARG002
        self.wait_for(lambda _event: self.wait_for(self.send))

    def wait_for(self, call: Callable[[TimeEvent], None]) -> None:
        self.alerts += 1
        at = self.clock.timestamp_ns() + _WAIT
        self.clock.set_time_alert_ns(f"alert {self.alerts}", at, call)

    def send(self, _event: TimeEvent) -> None:
        side = OrderSide.BUY if self.alerts % 4 else OrderSide.SELL
        make = self.order_factory.market
        self.submit_order(make(self.settings.instrument_id, side, Quantity.from_str("0.010")))
