"""An example that only subscribes: the cost of a run without a strategy's own work."""

from __future__ import annotations

from dataclasses import dataclass

from nautilus_trader.model import BarType, InstrumentId
from nautilus_trader.trading import Strategy, StrategyConfig


@dataclass
class DoNothingConfig(StrategyConfig):
    """What the strategy subscribes to."""

    bar_type: BarType | None = None
    instrument_id: InstrumentId | None = None
    """Instrument whose quotes and trades it receives."""


class DoNothing(Strategy):
    """Receives every row and never trades."""

    def __init__(self, config: DoNothingConfig) -> None:
        super().__init__(config)
        self.settings = config

    def on_start(self) -> None:
        """Subscribe to what the config names."""
        if self.settings.bar_type is not None:
            self.subscribe_bars(self.settings.bar_type)
        if self.settings.instrument_id is not None:
            self.subscribe_quotes(self.settings.instrument_id)
            self.subscribe_trades(self.settings.instrument_id)
