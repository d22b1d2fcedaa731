"""A strategy that subscribes to trades and does nothing; its number makes points differ."""

from __future__ import annotations

from dataclasses import dataclass

from nautilus_trader.model import InstrumentId
from nautilus_trader.trading import Strategy, StrategyConfig


@dataclass
class ListenerConfig(StrategyConfig):
    """What the strategy subscribes to."""

    instrument_id: InstrumentId
    number: int = 0
    """Nothing depends on it."""


class Listener(Strategy):
    """Receives every trade and never trades."""

    def __init__(self, config: ListenerConfig) -> None:
        super().__init__(config)
        self.instrument_id = config.instrument_id

    def on_start(self) -> None:
        """Subscribe to the trades."""
        self.subscribe_trades(self.instrument_id)

    def on_trade(self, trade: object) -> None:
        """Do nothing."""
