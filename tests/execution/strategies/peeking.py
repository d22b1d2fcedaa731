"""Knows more than it should, of files, of its task's rows, of the time; or only seems to."""

from __future__ import annotations

import contextlib
import datetime as dt
import pickle
import socket
import sqlite3
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import polars as pl
from nautilus_trader.indicators import SimpleMovingAverage
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
        self.resampled: dict[dt.datetime, Decimal] = {}
        self.average = SimpleMovingAverage(10)

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
        elif how in {"left", "right"}:
            self.resample("left" if how == "left" else "right")
        elif how == "learned":
            with Path(f"{self.settings.file}.pickle").open("rb") as model:
                pickle.load(model)  # noqa: S301 - the test's own file
        elif how == "rolling":
            self.register_indicator_for_bars(self.settings.bar_type, self.average)
        elif how == "ways":
            self.leave()
        elif how == "internal":
            minutes = f"{self.settings.bar_type.instrument_id}-5-MINUTE-LAST-INTERNAL"
            self.unsubscribe_bars(self.settings.bar_type)
            self.subscribe_bars(BarType.from_str(f"{minutes}@1-MINUTE-EXTERNAL"))
        elif how == "timer":
            self.clock.set_timer("t", dt.timedelta(seconds=450), callback=self.on_timer)

    def resample(self, label: Literal["left", "right"]) -> None:
        """Make bars of twenty minutes from the task's rows, named by where they begin or end."""
        files = sorted(Path.cwd().parent.rglob("data/bars/**/*.parquet"))
        rows = pl.concat([pl.read_parquet(file, columns=["ts_init", "close"]) for file in files])
        times = pl.col("ts_init").cast(pl.Int64).cast(pl.Datetime("ns"))
        bars = (
            rows.with_columns(times)
            .sort("ts_init")
            .group_by_dynamic("ts_init", every="20m", label=label, closed="right")
        )
        self.resampled = dict(bars.agg(pl.col("close").last()).iter_rows())

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
        elif how in {"left", "right"}:
            # By where it begins, the bar of this instant ends with one that is yet to come.
            now = dt.datetime.fromtimestamp(bar.ts_init / 1e9, dt.UTC).replace(tzinfo=None)
            bars = [self.resampled.get(now - dt.timedelta(minutes=back)) for back in (20, 0)]
            known = [close for close in bars if close is not None]
            self.buy(OrderSide.BUY if known == sorted(known) else OrderSide.SELL)
        elif how == "learned":
            tomorrow = dt.datetime.fromtimestamp(bar.ts_init / 1e9, dt.UTC) + dt.timedelta(days=1)
            Path(f"{self.settings.file}-{tomorrow:%Y-%m-%d}.csv").read_text()
            self.buy()
        elif how == "rolling":
            self.closes = [*self.closes, bar.close.as_decimal()][-5:]
            before = self.closes[:-1]  # shifted by one
            is_known = self.average.initialized and len(before) > 0
            falls = is_known and bar.close.as_decimal() < sum(before) / len(before)
            self.buy(OrderSide.SELL if falls else OrderSide.BUY)
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
