"""Knows more than it should: of files, of the rows of its task, of how long it has run."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
from nautilus_trader.model import Bar, BarType, OrderSide, Price, Quantity
from nautilus_trader.trading import Strategy, StrategyConfig

if TYPE_CHECKING:
    from nautilus_trader.common import TimeEvent


@dataclass
class PeekingConfig(StrategyConfig):
    """What to trade on, and what to look at."""

    bar_type: BarType
    every: int = 20
    how: str = "fair"
    file: str = ""


class Peeking(Strategy):
    """Buys at each ``every``-th bar, or as ``how`` says."""

    def __init__(self, config: PeekingConfig) -> None:
        super().__init__(config)
        self.settings = config
        self.bars = 0
        self.mean = 0.0
        self.rows = 0

    def on_start(self) -> None:
        self.subscribe_bars(self.settings.bar_type)
        how = self.settings.how
        if how == "file":
            Path(self.settings.file).read_bytes()
        elif how == "native":
            pl.read_parquet(self.settings.file)
        elif how == "rows":
            # The task's own data lies beside the current folder.
            files = Path.cwd().parent.rglob("data/bars/**/*.parquet")
            self.rows = sum(pl.read_parquet(file).height for file in files)
        elif how == "timer":
            self.clock.set_timer("t", dt.timedelta(seconds=450), callback=self.on_timer)

    def on_timer(self, event: TimeEvent) -> None:  # noqa: ARG002
        self.buy()

    def on_bar(self, bar: Bar) -> None:
        self.bars += 1
        price = bar.close.as_double()
        self.mean = price if self.bars == 1 else self.mean + 0.02 * (price - self.mean)
        if self.settings.how == "mean":
            if self.bars % self.settings.every == 0:
                self.buy(OrderSide.BUY if price > self.mean else OrderSide.SELL)
        elif self.settings.how == "resting":
            if self.bars % self.settings.every == 0:
                self.rest(bar)
        elif self.settings.how != "timer" and self.bars % self.settings.every == 0:
            # With half of the rows it would buy elsewhere.
            self.buy(OrderSide.BUY if self.bars * 2 > self.rows else OrderSide.SELL)

    def rest(self, bar: Bar) -> None:
        """Keep one limit order, and move it at each call."""
        price = Price.from_str(f"{bar.close.as_double() - 20:.1f}")
        instrument_id = self.settings.bar_type.instrument_id
        if orders := self.cache.orders_open(instrument_id=instrument_id):
            self.modify_order(orders[0].client_order_id, price=price)
        else:
            self.submit_order(
                self.order_factory.limit(
                    instrument_id, OrderSide.BUY, Quantity.from_str("0.010"), price
                )
            )

    def buy(self, side: OrderSide = OrderSide.BUY) -> None:
        """Send a market order."""
        self.submit_order(
            self.order_factory.market(
                self.settings.bar_type.instrument_id, side, Quantity.from_str("0.010")
            )
        )

    def on_stop(self) -> None:
        self.close_all_positions(self.settings.bar_type.instrument_id)
