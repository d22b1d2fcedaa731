"""Knows more than it should, of files, of its task's rows, of the time; or only seems to."""

from __future__ import annotations

import contextlib
import datetime as dt
import socket
import sqlite3
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
from nautilus_trader.model import Bar, BarType, OrderSide, Price, Quantity
from nautilus_trader.trading import Strategy, StrategyConfig

if TYPE_CHECKING:
    from decimal import Decimal

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
        self.closes: list[Decimal] = []

    def on_start(self) -> None:
        self.subscribe_bars(self.settings.bar_type)
        how = self.settings.how
        if how == "file":
            Path(self.settings.file).read_bytes()
        elif how == "native":
            pl.read_parquet(self.settings.file)
        elif how in {"rows", "next"}:
            # The task's own data lies beside the current folder.
            files = sorted(Path.cwd().parent.rglob("data/bars/**/*.parquet"))
            closes = pl.concat([pl.read_parquet(file)["close"] for file in files])
            self.closes = closes.to_list()
            self.rows = len(self.closes) if how == "rows" else 0
        elif how == "ways":
            self.leave()
        elif how == "internal":
            minutes = f"{self.settings.bar_type.instrument_id}-5-MINUTE-LAST-INTERNAL"
            self.unsubscribe_bars(self.settings.bar_type)
            self.subscribe_bars(BarType.from_str(f"{minutes}@1-MINUTE-EXTERNAL"))
        elif how == "timer":
            self.clock.set_timer("t", dt.timedelta(seconds=450), callback=self.on_timer)

    def leave(self) -> None:
        """Ask a database, a program and an address."""
        file = self.settings.file
        database = sqlite3.connect(f"{file}.db")
        database.execute("SELECT * FROM sqlite_master").fetchall()
        database.close()
        subprocess.run(["/bin/cat", file], check=True, capture_output=True)
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", 9))

    def on_timer(self, event: TimeEvent) -> None:  # noqa: ARG002
        self.buy()

    def on_bar(self, bar: Bar) -> None:
        self.bars += 1
        price = bar.close.as_double()
        self.mean = price if self.bars == 1 else self.mean + 0.02 * (price - self.mean)
        if self.settings.how == "time":
            self.buy(OrderSide.BUY if time.time_ns() % 1_000 < 500 else OrderSide.SELL)
        elif self.settings.how != "timer" and self.bars % self.settings.every == 0:
            self.decide(bar)

    def decide(self, bar: Bar) -> None:
        """Send an order at one of every so many bars."""
        how = self.settings.how
        if how == "mean":
            self.buy(OrderSide.BUY if bar.close.as_double() > self.mean else OrderSide.SELL)
        elif how == "resting":
            self.rest(bar)
        elif how == "next":
            after = self.closes[self.bars - 1 :][:2]
            if after == sorted(after):
                self.buy()  # also when there is no next bar
        elif how == "equity":
            worth = self.portfolio.equity(bar.bar_type.instrument_id.venue)
            self.buy(size=f"{sum(each.as_double() for each in worth.values()) / 1e7:.3f}")
        else:
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

    def buy(self, side: OrderSide = OrderSide.BUY, size: str = "0.010") -> None:
        """Send a market order."""
        self.submit_order(
            self.order_factory.market(
                self.settings.bar_type.instrument_id, side, Quantity.from_str(size)
            )
        )

    def on_stop(self) -> None:
        self.close_all_positions(self.settings.bar_type.instrument_id)
