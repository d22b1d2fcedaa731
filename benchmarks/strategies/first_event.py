"""A strategy that records when it gets its first bar: the first event of a run."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

from nautilus_trader.model import Bar, BarType
from nautilus_trader.trading import Strategy, StrategyConfig


@dataclass
class FirstEventConfig(StrategyConfig):
    """What the strategy subscribes to."""

    bar_type: BarType


class FirstEvent(Strategy):
    """Writes the time of its first bar to the file named by BENCH_FIRST_EVENT."""

    def __init__(self, config: FirstEventConfig) -> None:
        super().__init__(config)
        self.bar_type = config.bar_type
        self.seen = False

    def on_start(self) -> None:
        """Subscribe to the bars."""
        self.subscribe_bars(self.bar_type)

    def on_bar(self, _bar: Bar) -> None:
        """Record the time, once."""
        if not self.seen:
            self.seen = True
            Path(os.environ["BENCH_FIRST_EVENT"]).write_text(str(time.monotonic_ns()))
