"""Needs memory, or a storage that is well again, to come to its end."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from nautilus_trader.model import BarType
from nautilus_trader.trading import Strategy, StrategyConfig

from trading_runtime.errors import TransientError


@dataclass
class NeedingConfig(StrategyConfig):
    """What to need."""

    bar_type: BarType
    megabytes: int = 0
    storage: str = ""
    """A file that is there when the storage is well."""
    raises: bool = False


class Needing(Strategy):
    """Takes what it needs when it starts, and does nothing with it."""

    def __init__(self, config: NeedingConfig) -> None:
        super().__init__(config)
        self.settings = config

    def on_start(self) -> None:
        if self.settings.raises:
            raise ValueError("no such luck")
        if self.settings.storage and not Path(self.settings.storage).exists():
            # What fetching data raises in a worker when the storage is away.
            raise TransientError("the storage could not be reached")
        self.taken = [b"x" * 1_000_000 for _ in range(self.settings.megabytes)]
        self.subscribe_bars(self.settings.bar_type)
