"""Sound, or dependent on chance or on its surroundings, as it is told to be."""

from __future__ import annotations

import os
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

from nautilus_trader.model import Bar, BarType, OrderSide, Quantity
from nautilus_trader.trading import Strategy, StrategyConfig


@dataclass
class WaywardConfig(StrategyConfig):
    """What the strategy listens to, and how it is to go wrong."""

    bar_type: BarType
    way: str


class Wayward(Strategy):
    """Buys at every fortieth bar; chance has a say from the third order on."""

    def __init__(self, config: WaywardConfig) -> None:
        super().__init__(config)
        self.settings = config
        self.bars = self.orders = 0

    def on_start(self) -> None:
        self.subscribe_bars(self.settings.bar_type)

    def on_bar(self, bar: Bar) -> None:  # noqa: ARG002
        self.bars += 1
        if self.bars % 40 == 0:
            self.enter(self.settings.way)

    def enter(self, way: str) -> None:
        self.orders += 1
        # In one piece, since the engine's log is written beside it; to be seen in a replay.
        print(f"order number {self.orders}\n", end="", flush=True)  # noqa: T201
        if way == "raise":
            raise ValueError("as it was told to")
        if way == "surroundings" and "WAYWARD" in os.environ:
            raise ValueError(f"the surroundings are not right: {os.environ['WAYWARD']}")
        if way == "surroundings" and "WAYWARD_CHILD" in os.environ and self.orders == 1:
            leave_child(Path(os.environ["WAYWARD_CHILD"]))
        if way == "os exit":
            os._exit(3)
        by_chance = way == "chance" and self.orders > 2
        self.submit_order(
            self.order_factory.market(
                self.settings.bar_type.instrument_id,
                OrderSide.BUY,
                Quantity.from_str("0.100"),
                tags=[str(uuid.uuid4()) if by_chance else "sound"],
            )
        )


def leave_child(notes: Path) -> None:
    """Leave a process that holds every file of this one open, in a session of its own."""
    child = os.fork()
    if child == 0:
        os.setsid()
        time.sleep(1000)
        os._exit(0)
    notes.write_text(str(child))
