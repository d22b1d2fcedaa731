"""Leaves memory behind in its process that no later task gives back."""

from __future__ import annotations

import ctypes
import time
from dataclasses import dataclass

from nautilus_trader.model import BarType
from nautilus_trader.trading import Strategy, StrategyConfig


@dataclass
class KeepingConfig(StrategyConfig):
    """How much to leave behind."""

    bar_type: BarType
    mebibytes: int


class Keeping(Strategy):
    """Takes memory from the C library, and forgets it."""

    def __init__(self, config: KeepingConfig) -> None:
        super().__init__(config)
        self.settings = config

    def on_start(self) -> None:
        size = self.settings.mebibytes << 20
        library = ctypes.CDLL(None)
        library.malloc.restype = ctypes.c_void_p
        library.malloc.argtypes = [ctypes.c_size_t]
        if size:
            ctypes.memset(library.malloc(size), 1, size)
        # So long that whoever watches the process sees it.
        time.sleep(0.2)
        self.subscribe_bars(self.settings.bar_type)
