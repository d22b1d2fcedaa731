"""Sends one order of each kind that rests, and writes down what its orders say at each bar."""

from __future__ import annotations

import json
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from nautilus_trader.model import (
    Bar,
    BarType,
    OrderSide,
    OrderType,
    Price,
    Quantity,
    TimeInForce,
    TriggerType,
)
from nautilus_trader.trading import Strategy, StrategyConfig

THREE_DAYS = 259_200_000_000_000
CHANGES = {"event_id", "ts_event", "ts_init", "trigger_price"}


@dataclass
class WaitingConfig(StrategyConfig):
    """What to trade on, and where the orders are written down."""

    bar_type: BarType
    log: str = ""


class Waiting(Strategy):
    """The entry of its bracket is filled at bar 200, and what takes the profit at bar 205."""

    def __init__(self, config: WaitingConfig) -> None:
        super().__init__(config)
        self.settings = config
        self.bars = 0

    def on_start(self) -> None:
        self.subscribe_bars(self.settings.bar_type)

    def on_save(self) -> dict[str, bytes]:
        return {"bars": str(self.bars).encode()}

    def on_load(self, state: dict[str, bytes]) -> None:
        self.bars = int(state["bars"])

    def on_bar(self, _bar: Bar) -> None:
        self.bars += 1
        if self.bars == 3:
            self.send()
        if self.bars > 3:
            self.write_down()
        if self.bars == 200:
            self.move("ENTRY", "99999.0")
        if self.bars == 205:
            self.move("TAKE_PROFIT", "1002.0")

    def move(self, tag: str, price: str) -> None:
        """Change the price of the order with this tag."""
        [order] = [order for order in self.cache.orders() if order.tags == [tag]]
        self.modify_order(order.client_order_id, price=Price.from_str(price))

    def send(self) -> None:
        """Send an order of each kind: all are far from the market."""
        name, make = self.settings.bar_type.instrument_id, self.order_factory
        size, small = Quantity.from_str("0.010"), Quantity.from_str("0.001")
        below, above = Price.from_str("1000.0"), Price.from_str("999999.0")
        buy, until = OrderSide.BUY, self.clock.timestamp_ns() + THREE_DAYS
        emulated = TriggerType.LAST_PRICE
        for order in (
            make.limit(name, buy, size, below, post_only=True, tags=["A", "B"]),
            make.limit(name, buy, size, below, display_qty=small),
            make.limit(name, buy, size, below, TimeInForce.GTD, until),
            make.stop_limit(name, buy, size, above, above),
            make.trailing_stop_market(
                *(name, OrderSide.SELL, size, Decimal(9000)),
                trigger_price=Price.from_str("30000.0"),
                trigger_type=TriggerType.LAST_PRICE,
            ),
            make.stop_market(name, buy, size, above, emulation_trigger=emulated),
        ):
            self.submit_order(order)
        bracket = make.bracket(
            name,
            buy,
            size,
            entry_order_type=OrderType.LIMIT,
            entry_price=Price.from_str("1001.0"),
            tp_price=above,
            tp_post_only=False,
            sl_trigger_price=Price.from_str("900.0"),
        )
        self.submit_order_list(bracket)

    def write_down(self) -> None:
        """Add a line with what each order says now."""
        said = {
            str(order.client_order_id): {
                **{k: v for k, v in order.init_event.to_dict().items() if k not in CHANGES},
                "trigger_price": str(getattr(order, "trigger_price", None)),
                "status": order.status.name,
            }
            for order in self.cache.orders()
        }
        with Path(self.settings.log).open("a", encoding="utf-8") as file:
            file.write(json.dumps(said) + "\n")
