"""Writes down what its process has loaded, and whether it collects garbage, at the first bar."""

from __future__ import annotations

import gc
import importlib.util
import json
import sys
from dataclasses import dataclass
from pathlib import Path

from nautilus_trader.model import Bar, BarType
from nautilus_trader.trading import Strategy, StrategyConfig


@dataclass
class ListingConfig(StrategyConfig):
    """What to wait for."""

    bar_type: BarType
    log: str = ""


class Listing(Strategy):
    """Trades nothing."""

    def __init__(self, config: ListingConfig) -> None:
        super().__init__(config)
        self.settings = config

    def on_start(self) -> None:
        self.subscribe_bars(self.settings.bar_type)

    def on_bar(self, _bar: Bar) -> None:
        if not Path(self.settings.log).exists():
            try:
                importlib.util.find_spec("pandas")
                pandas = "looked for"
            except ModuleNotFoundError as error:
                pandas = str(error)
            found = {
                "pandas": pandas,
                "modules": sorted(sys.modules),
                "collects": gc.isenabled(),
                "passed_over": gc.get_freeze_count() > 0,
            }
            Path(self.settings.log).write_text(json.dumps(found), encoding="utf-8")
