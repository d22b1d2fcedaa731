"""Notes each firing of a timer, with the time that has passed and the time that it states."""

from __future__ import annotations

import datetime as dt
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nautilus_trader.model import InstrumentId
from nautilus_trader.trading import Strategy, StrategyConfig

if TYPE_CHECKING:
    from nautilus_trader.common import TimeEvent


@dataclass
class TimedConfig(StrategyConfig):
    """Where the firings are noted."""

    instrument_id: InstrumentId
    notes: str


class Timed(Strategy):
    """Has a timer of five firings a second."""

    def __init__(self, config: TimedConfig) -> None:
        super().__init__(config)
        self.settings = config

    def on_start(self) -> None:
        self.subscribe_quotes(self.settings.instrument_id)
        self.clock.set_timer("often", dt.timedelta(milliseconds=200), callback=self.note)

    def note(self, event: TimeEvent) -> None:
        with Path(self.settings.notes).open("a") as file:
            file.write(f"{time.monotonic_ns()} {event.ts_event}\n")
