"""Does what a test writes into a file, line by line, at the next quote."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nautilus_trader.model import (
    InstrumentId,
    OrderCanceled,
    OrderDenied,
    OrderRejected,
    OrderSide,
    Price,
    Quantity,
    QuoteTick,
    TriggerType,
)
from nautilus_trader.trading import Strategy, StrategyConfig


@dataclass
class ObedientConfig(StrategyConfig):
    """What to trade, and where the orders are."""

    instrument_id: InstrumentId
    orders: str
    cancels_at_start: bool = False


class Obedient(Strategy):
    """Knows ``buy Q``, ``sell Q``, ``rest Q P``, ``cancel``, ``cancel first`` and ``raise``.

    ``block`` makes a file ``blocked`` beside the orders, and returns when the session ends for it.
    ``exit Q P`` sells at a limit; ``emulate Q P`` buys above a price that the engine watches.
    ``change P`` gives another price to the order that rests.

    After ``when allowed`` an order that was denied is sent again at each quote, and one that was
    rejected at once. After ``for ever`` one that was cancelled is. What follows ``refused`` is done
    when an order is rejected.
    """

    def __init__(self, config: ObedientConfig) -> None:
        super().__init__(config)
        self.settings = config
        self.done = 0
        self.insists: list[str] = []
        self.wanted: list[str] = []
        self.quoted: list[str] = []
        self.once_refused: list[list[str]] = []

    def on_start(self) -> None:
        self.subscribe_quotes(self.settings.instrument_id)
        if self.settings.cancels_at_start:
            self.cancel_all_orders(self.settings.instrument_id)

    def on_save(self) -> dict[str, bytes]:
        return {"done": str(self.done).encode()}

    def on_load(self, state: dict[str, bytes]) -> None:
        self.done = int(state["done"])

    def on_quote(self, quote: QuoteTick) -> None:  # noqa: ARG002
        try:
            lines = Path(self.settings.orders).read_text().splitlines()
        except FileNotFoundError:
            return
        if self.insists:
            words, self.insists = self.insists, []
            self.obey(words)
        while self.done < len(lines):
            self.done += 1
            self.obey(lines[self.done - 1].split())

    def on_order_denied(self, event: OrderDenied) -> None:  # noqa: ARG002
        self.insists = self.wanted

    def on_order_rejected(self, event: OrderRejected) -> None:  # noqa: ARG002
        if self.wanted:
            self.obey(self.wanted)
        lines, self.once_refused = self.once_refused, []
        for words in lines:
            self.obey(words)

    def on_order_canceled(self, event: OrderCanceled) -> None:  # noqa: ARG002
        if self.quoted:
            self.obey(self.quoted)

    def obey(self, words: list[str]) -> None:
        """Carry out one line."""
        instrument_id = self.settings.instrument_id
        if words[0] == "refused":
            self.once_refused.append(words[1:])
            return
        if words[0] == "raise":
            raise ValueError("as told")
        if words[0] == "block":
            Path(self.settings.orders).with_name("blocked").touch()
            while all(thread.name != "ending" for thread in threading.enumerate()):
                time.sleep(0.05)
            return
        if words == ["cancel", "first"]:
            # What the session sent first, of that which rests.
            resting = self.cache.orders_open(strategy_id=self.strategy_id)
            first = min(resting, key=lambda order: order.ts_init)
            self.cancel_order(first.client_order_id)
            return
        if words[0] == "change":
            [resting] = self.cache.orders_open(strategy_id=self.strategy_id)
            self.modify_order(resting.client_order_id, price=Price.from_str(words[1]))
            return
        if words[0] == "cancel":
            self.cancel_all_orders(instrument_id)
            return
        self.wanted = words if words[-2:] == ["when", "allowed"] else []
        if words[-2:] == ["for", "ever"]:
            self.quoted = words
        self.submit_order(self.made(words))

    def made(self, words: list[str]) -> Any:
        """Return the order that a line asks for."""
        instrument_id, make = self.settings.instrument_id, self.order_factory
        side = OrderSide.SELL if words[0] in {"sell", "exit"} else OrderSide.BUY
        size = Quantity.from_str(words[1])
        if words[0] in {"rest", "exit"}:
            return make.limit(instrument_id, side, size, Price.from_str(words[2]))
        if words[0] == "emulate":
            above, emulated = Price.from_str(words[2]), TriggerType.BID_ASK
            return make.stop_market(instrument_id, side, size, above, emulation_trigger=emulated)
        return make.market(instrument_id, side, size)
