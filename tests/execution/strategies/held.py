"""Waits at a gate, so that a run is in the middle of its tasks until a test opens it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from nautilus_trader.model import BarType
from nautilus_trader.trading import Strategy, StrategyConfig


@dataclass
class HeldConfig(StrategyConfig):
    """Which task it is, how many pass, and the file that opens the gate for the others."""

    bar_type: BarType
    number: int
    free: int
    gate: str


class Held(Strategy):
    """Starts when its gate is open."""

    def __init__(self, config: HeldConfig) -> None:
        super().__init__(config)
        self.settings = config

    def on_start(self) -> None:
        while self.settings.number >= self.settings.free and not Path(self.settings.gate).exists():
            time.sleep(0.01)
        self.subscribe_bars(self.settings.bar_type)
