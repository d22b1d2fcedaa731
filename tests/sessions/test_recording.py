"""What is written down before an order goes out, and what keeps one from going out."""

from __future__ import annotations

import json
from dataclasses import fields
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from nautilus_trader import model
from nautilus_trader.core import UUID4

from trading_runtime.engine.live.reporting import reporting
from trading_runtime.errors import LeaseLostError, StorageError
from trading_runtime.records.events import as_dataclass
from trading_runtime.records.session_events import OrderSubmitted
from trading_runtime.sessions.recording import SessionRecords

if TYPE_CHECKING:
    from collections.abc import Callable

    from trading_runtime.records.events import Event, Line

ORDER: Any = SimpleNamespace(
    client_order_id="O-1",
    instrument_id="X.SIM",
    side=SimpleNamespace(name="BUY"),
    order_type=SimpleNamespace(name="MARKET"),
    quantity="1",
    time_in_force=SimpleNamespace(name="GTC"),
    is_reduce_only=False,
    tags=None,
)


class Sent:
    """A strategy, its journal and its venue: what came to each, in order."""

    def __init__(self, fence: Callable[[], None], fault: Exception | None = None) -> None:
        self.done: list[str] = []
        self.lines: list[Event | Line] = []
        self.fault = fault
        journal: Any = self
        self.records = SessionRecords(journal, fence)

        class Strategy:
            def submit_order(self, order: Any) -> None:
                sent.done.append(f"sent {order.client_order_id}")

            def submit_order_list(self, orders: list[Any]) -> None:
                sent.done.append(f"sent {len(orders)} orders")

            def cancel_order(self, order_id: str) -> None:
                sent.done.append(f"asked about {order_id}")

            modify_order = modify_orders = cancel_orders = cancel_all_orders = cancel_order
            on_order_initialized = on_order_accepted = on_order_updated = on_order_denied = None
            on_order_canceled = on_order_expired = on_order_cancel_rejected = None
            on_order_modify_rejected = on_position_event = None

            def on_order_rejected(self, _event: Any) -> None:
                sent.done.append("callback")

            def on_order_filled(self, _event: Any) -> None:
                sent.done.append("callback")
                raise RuntimeError("the strategy's own error")

        sent, of_strategy = self, Strategy
        self.strategy: Any = reporting(of_strategy, self.records)()  # type: ignore[arg-type]

    def flush(self) -> None:
        """Do nothing: each line was written at once."""

    def write(self, line: Event | Line) -> None:
        if self.fault is not None:
            raise self.fault
        self.done.append(line.event)
        self.lines.append(line)


def allow() -> None:
    """Let orders out."""


def refuse() -> None:
    raise LeaseLostError("another session may have it")


def test_each_order_is_written_down_before_it_is_sent() -> None:
    sent = Sent(allow)
    sent.strategy.submit_order(ORDER)
    sent.strategy.submit_order_list([ORDER, ORDER])

    assert sent.done == [
        "order_submitted",
        "sent O-1",
        "order_submitted",
        "order_submitted",
        "sent 2 orders",
    ]


def test_the_line_of_an_order_has_what_its_event_declares() -> None:
    sent = Sent(allow)
    sent.records.now = lambda: 1_704_067_200_500_000_000
    order = SimpleNamespace(**vars(ORDER) | {"price": "9.5", "is_reduce_only": True})
    sent.strategy.submit_order(order)

    [line] = sent.lines
    assert line.fields == vars(
        OrderSubmitted(
            order_id="O-1",
            instrument="X.SIM",
            side="BUY",
            type="MARKET",
            quantity="1",
            price="9.5",
            time_in_force="GTC",
            reduce_only=True,
            at="2024-01-01T00:00:00.5Z",
        )
    )
    assert list(line.fields) == [field.name for field in fields(as_dataclass(OrderSubmitted))]


def market_order(order_id: str, *, reduce_only: bool = False) -> model.MarketOrder:
    """Return an order of the engine's own type."""
    return model.MarketOrder(
        trader_id=model.TraderId("T-1"),
        strategy_id=model.StrategyId("S-1"),
        instrument_id=model.InstrumentId.from_str("X.SIM"),
        client_order_id=model.ClientOrderId(order_id),
        order_side=model.OrderSide.SELL,
        quantity=model.Quantity.from_str("0.010"),
        init_id=UUID4(),
        ts_init=0,
        time_in_force=model.TimeInForce.IOC,
        reduce_only=reduce_only,
        quote_quantity=False,
    )


def test_the_line_of_a_market_order_has_the_same_in_the_same_order() -> None:
    sent = Sent(allow)
    sent.strategy.submit_order(market_order("O-7"))
    sent.records.now = lambda: 1_704_067_200_500_000_000
    sent.strategy.submit_order(market_order("O-8", reduce_only=True))

    said = {
        "instrument": "X.SIM",
        "side": "SELL",
        "type": "MARKET",
        "quantity": "0.010",
        "time_in_force": "IOC",
    }
    more = {"reduce_only": True, "at": "2024-01-01T00:00:00.5Z"}
    written = [json.loads(str(line.fields)) for line in sent.lines]
    assert written == [{"order_id": "O-7"} | said, {"order_id": "O-8"} | said | more]
    declared = [field.name for field in fields(as_dataclass(OrderSubmitted))]
    assert [list(line) for line in written] == [
        [name for name in declared if name in line] for line in written
    ]


@pytest.mark.parametrize("secret", ["hunter2-hunter2", "2026-0042:17.9-88"])
def test_a_secret_in_the_id_of_a_market_order_is_not_written_down(
    secret: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = Sent(allow)
    monkeypatch.setenv("BROKER_TOKEN", secret)
    sent.strategy.submit_order(market_order(f'O-{secret}-"1"'))
    sent.strategy.submit_order(market_order(f"O-{secret}"))

    written = [json.loads(str(line.fields))["order_id"] for line in sent.lines]
    assert written == ['O-[hidden]-"1"', "O-[hidden]"]


def test_the_account_is_saved_when_the_venue_answers_and_not_before_a_request_goes_out() -> None:
    sent = Sent(allow)
    sent.records.on_change = lambda: sent.done.append("saved")
    sent.strategy.submit_order(ORDER)
    before = list(sent.done)
    answer = OrderAccepted(client_order_id="O-1", venue_order_id="V-1")
    sent.records.on_order_event(answer)

    assert before == ["order_submitted", "sent O-1"]
    assert sent.done == [*before, "saved", "order_accepted"]
    assert sent.records.changes == 2, "the next look saves what an order without answer left"


class OrderAccepted(SimpleNamespace):
    """The engine's event, of which the journal needs the name."""


class OrderRejected(SimpleNamespace):
    """The same of a refusal."""


class OrderFilled(SimpleNamespace):
    """The same of a fill."""


def test_an_order_that_no_session_sent_is_claimed_before_anything_else_of_it_is_told() -> None:
    sent = Sent(allow)
    sent.strategy.submit_order(ORDER)
    found = {"client_order_id": "FOUND", "order_side": ORDER.side}
    claimed = SimpleNamespace(**vars(ORDER) | found)
    for order in (ORDER, claimed):
        sent.strategy.on_order_initialized(order)
    for order_id in ("FOUND", "O-1"):
        sent.strategy.on_order_accepted(
            OrderAccepted(client_order_id=order_id, venue_order_id="V-1")
        )

    assert sent.done[2:] == ["order_claimed", "order_accepted", "order_accepted"]


def test_a_claim_is_in_the_journal_at_the_next_look_whatever_else_comes() -> None:
    sent = Sent(allow)
    claimed = SimpleNamespace(**vars(ORDER) | {"order_side": ORDER.side})
    sent.strategy.on_order_initialized(claimed)
    sent.records.flush()

    assert sent.done == ["order_claimed"]
    assert sent.records.changes == 1


def test_a_refusal_is_told_before_the_strategy_hears_of_it_and_a_fill_whatever_it_raises() -> None:
    sent = Sent(allow)
    sent.records.on_refusal = sent.done.append
    sent.strategy.on_order_rejected(OrderRejected(client_order_id="O-1", reason="too many"))
    filled = OrderFilled(
        client_order_id="O-1",
        trade_id="T-1",
        instrument_id="X.SIM",
        order_side=ORDER.side,
        last_qty="1",
        last_px="2",
        commission=None,
        liquidity_side=SimpleNamespace(name="TAKER"),
    )
    with pytest.raises(RuntimeError, match="the strategy's own error"):
        sent.strategy.on_order_filled(filled)

    assert sent.done == ["order_rejected", "too many", "callback", "callback", "order_filled"]
    assert type(sent.strategy).on_order_filled.__code__.co_qualname.endswith(
        "Strategy.on_order_filled"
    )


def test_once_the_journal_is_sealed_no_order_goes_out() -> None:
    sent = Sent(allow)
    sent.records.end()
    with pytest.raises(StorageError, match="sealed"):
        sent.strategy.submit_order(ORDER)

    assert sent.done == []


def test_without_the_lease_nothing_is_sent_and_the_session_hears_of_it() -> None:
    sent = Sent(refuse)
    with pytest.raises(LeaseLostError):
        sent.strategy.submit_order(ORDER)

    assert sent.done == []
    assert isinstance(sent.records.error, LeaseLostError)


@pytest.mark.parametrize(
    "request_name",
    ["modify_order", "modify_orders", "cancel_order", "cancel_orders", "cancel_all_orders"],
)
def test_a_change_or_a_cancellation_needs_the_lease_as_an_order_does(request_name: str) -> None:
    holder, other = Sent(allow), Sent(refuse)
    getattr(holder.strategy, request_name)("O-1")
    with pytest.raises(LeaseLostError):
        getattr(other.strategy, request_name)("O-1")

    assert (holder.done, other.done) == (["asked about O-1"], [])
    assert isinstance(other.records.error, LeaseLostError)


def test_after_an_error_nothing_is_written_and_nothing_sent() -> None:
    sent = Sent(allow)
    sent.records.error = StorageError("the disk was full")
    with pytest.raises(StorageError):
        sent.strategy.submit_order(ORDER)

    assert (sent.done, sent.records.orders) == ([], 0)


def test_what_cannot_be_written_down_is_not_sent() -> None:
    sent = Sent(allow, StorageError("the disk is full"))
    with pytest.raises(StorageError):
        sent.strategy.submit_order(ORDER)

    assert sent.done == []
