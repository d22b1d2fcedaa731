"""Keeps counts where a worker process keeps them: in its environment, a library, its folder."""

from __future__ import annotations

import calendar
import os
from dataclasses import dataclass
from pathlib import Path

from nautilus_trader.model import Bar, BarType, OrderSide, Quantity
from nautilus_trader.trading import Strategy, StrategyConfig


@dataclass
class LeakingConfig(StrategyConfig):
    """Where to count, and a number that only tells tasks apart."""

    bar_type: BarType
    where: str
    number: int


class Leaking(Strategy):
    """Buys once, as much as tasks before it and itself have counted."""

    def __init__(self, config: LeakingConfig) -> None:
        super().__init__(config)
        self.settings = config
        self.count = {"environment": environment, "library": library, "folder": folder}[
            config.where
        ]()
        self.sent = False

    def on_start(self) -> None:
        self.subscribe_bars(self.settings.bar_type)

    def on_bar(self, bar: Bar) -> None:  # noqa: ARG002
        if not self.sent:
            self.sent = True
            self.submit_order(
                self.order_factory.market(
                    self.settings.bar_type.instrument_id,
                    OrderSide.BUY,
                    Quantity.from_str(f"0.00{self.count}"),
                )
            )


def environment() -> int:
    count = int(os.environ.get("LEAKING", "0")) + 1
    os.environ["LEAKING"] = str(count)
    return count


def library() -> int:
    count = getattr(calendar, "leaking", 0) + 1
    calendar.leaking = count  # type: ignore[attr-defined]
    return int(count)


def folder() -> int:
    count = len(list(Path.cwd().iterdir())) + 1
    (Path.cwd() / f"task-{count}").touch()
    return count
