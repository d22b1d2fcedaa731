"""A strategy that does at each row what its config says: the tests' orders, written in a line."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nautilus_trader.model import (
    BarType,
    BookType,
    ClientOrderId,
    InstrumentId,
    OrderSide,
    Price,
    Quantity,
    TriggerType,
)
from nautilus_trader.trading import Strategy, StrategyConfig


@dataclass
class ScriptedConfig(StrategyConfig):
    """What to listen to, and what to do at the n-th row (``"1"`` is the first)."""

    data: list[str]
    kinds: list[str]
    steps: dict[str, list[str]] = field(default_factory=dict)
    log: str | None = None
    """File that gets a line for each callback."""


class Scripted(Strategy):
    """Counts the rows it receives and takes its steps."""

    def __init__(self, config: ScriptedConfig) -> None:
        super().__init__(config)
        self.settings = config
        self.received = 0
        self.orders: list[Any] = []
        self.lines: list[str] = []

    def on_start(self) -> None:
        """Subscribe to all data that the config names."""
        for kind, name in zip(self.settings.kinds, self.settings.data, strict=True):
            if kind == "bars":
                self.subscribe_bars(BarType.from_str(name))
            elif kind == "quotes":
                self.subscribe_quotes(InstrumentId.from_str(name))
            elif kind == "trades":
                self.subscribe_trades(InstrumentId.from_str(name))
            elif kind == "order_book_deltas":
                self.subscribe_book_deltas(InstrumentId.from_str(name), BookType.L2_MBP)
        self._take_steps("start", None)

    def on_bar(self, bar: Any) -> None:
        """Take the step of this row."""
        self._receive(bar.bar_type.instrument_id)

    def on_quote(self, quote: Any) -> None:
        """Take the step of this row."""
        self._receive(quote.instrument_id)

    def on_trade(self, trade: Any) -> None:
        """Take the step of this row."""
        self._receive(trade.instrument_id)

    def on_book_deltas(self, deltas: Any) -> None:
        """Take the step of this row."""
        self._receive(deltas.instrument_id)

    def on_order_event(self, event: Any) -> None:
        """Note the event."""
        self.lines.append(f"{type(event).__name__} {event.client_order_id}")

    def on_position_event(self, event: Any) -> None:
        """Note the event."""
        self.lines.append(type(event).__name__)

    def on_stop(self) -> None:
        """Leave the log behind."""
        self._take_steps("stop", None)
        if self.settings.log is not None:
            Path(self.settings.log).write_text("\n".join(self.lines), encoding="utf-8")

    def _receive(self, instrument_id: InstrumentId) -> None:
        self.received += 1
        self.lines.append(f"row {self.received}")
        self._take_steps(str(self.received), instrument_id)

    def _take_steps(self, key: str, instrument_id: InstrumentId | None) -> None:
        for step in self.settings.steps.get(key, []):
            words = step.split()
            if ":" in words[0]:
                symbol, words[0] = words[0].split(":")
                name = symbol if "." in symbol else f"{symbol}.SIM"
                instrument_id = InstrumentId.from_str(name)
            self._take_step(words[0], words[1:], instrument_id)

    def _take_step(self, what: str, words: list[str], instrument_id: Any) -> None:
        if what == "close":
            self.close_all_positions(instrument_id)
        elif what == "cancel":
            self.cancel_order(self.orders[int(words[0])])
        elif what == "modify":
            self.modify_order(self.orders[int(words[0])], price=Price.from_str(words[1]))
        elif what == "bracket":
            side: Any = OrderSide.from_str(words[0])
            quantity, stop, target = words[1:]
            self.submit_order_list(
                self.order_factory.bracket(
                    instrument_id,
                    side,
                    Quantity.from_str(quantity),
                    sl_trigger_price=Price.from_str(stop),
                    tp_price=Price.from_str(target),
                )
            )
        elif what == "cancel_unknown":
            self.cancel_order(ClientOrderId("O-unknown"))
        else:
            order = self._order(what, words, instrument_id)
            self.orders.append(order.client_order_id)
            self.submit_order(order)

    def _order(self, what: str, words: list[str], instrument_id: Any) -> Any:
        side: Any = OrderSide.from_str(words[0])
        quantity = Quantity.from_str(words[1])
        if what == "market":
            return self.order_factory.market(instrument_id, side, quantity)
        if what == "emulated":
            return self.order_factory.stop_market(
                instrument_id,
                side,
                quantity,
                Price.from_str(words[2]),
                emulation_trigger=TriggerType.from_str(words[3]),
            )
        if what == "limit":
            price = Price.from_str(words[2])
            return self.order_factory.limit(instrument_id, side, quantity, price)
        if what == "stop":
            price = Price.from_str(words[2])
            return self.order_factory.stop_market(instrument_id, side, quantity, price)
        raise ValueError(what)
