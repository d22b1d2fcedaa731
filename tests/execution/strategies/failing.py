"""Fails in the way that it is told to."""

from __future__ import annotations

import collections
import ctypes
import itertools
import os
import signal
import sys
import threading
from dataclasses import dataclass

from nautilus_trader.model import Bar, BarType, InstrumentId
from nautilus_trader.trading import Strategy, StrategyConfig

INSTRUMENT = InstrumentId.from_str("BTCUSDT-PERP.SIM")


@dataclass
class FailingConfig(StrategyConfig):
    """How to fail."""

    bar_type: BarType
    way: str


class Failing(Strategy):
    """Fails at the tenth bar, or while it is made."""

    def __init__(self, config: FailingConfig) -> None:
        super().__init__(config)
        self.settings = config
        self.bars = 0
        if config.way == "exit while made":
            sys.exit(0)

    def on_start(self) -> None:
        self.subscribe_bars(self.settings.bar_type)

    def on_bar(self, bar: Bar) -> None:  # noqa: ARG002
        self.bars += 1
        if self.bars == 10:
            self.fail(self.settings.way)

    def fail(self, way: str) -> None:
        if way == "raise":
            raise ValueError("the tenth bar")
        if way == "exit":
            sys.exit(0)
        if way == "interrupt":
            raise KeyboardInterrupt
        while way == "endless":
            pass
        if way == "endless native":
            collections.deque(itertools.repeat(0), maxlen=0)
        self.die(way)

    def die(self, way: str) -> None:
        if way == "os exit":
            print("leaving for good", flush=True)  # noqa: T201
            os._exit(3)
        if way == "segmentation fault":
            ctypes.string_at(0)
        if way == "thread":
            thread = threading.Thread(target=lambda: self.cancel_all_orders(INSTRUMENT))
            thread.start()
            thread.join()
        if way == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if way == "no memory":
            bytearray(1 << 60)
        if way == "abort of an allocator":
            os.write(2, b"memory allocation of 1152921504606846976 bytes failed\n")
            os.abort()
        hoard = []
        while way == "hoard":
            hoard.append(b"x" * 1_000_000)
