"""Takes its time, so that a run can be stopped in the middle of it."""

from __future__ import annotations

import time
from dataclasses import dataclass

from nautilus_trader.model import BarType
from nautilus_trader.trading import Strategy, StrategyConfig


@dataclass
class SlowConfig(StrategyConfig):
    """How long to take."""

    bar_type: BarType
    seconds: float


class Slow(Strategy):
    """Sleeps when it starts."""

    def __init__(self, config: SlowConfig) -> None:
        super().__init__(config)
        self.settings = config

    def on_start(self) -> None:
        time.sleep(self.settings.seconds)
        self.subscribe_bars(self.settings.bar_type)
