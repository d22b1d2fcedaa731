"""What is written down before an order goes out, and what keeps one from going out."""

from __future__ import annotations

from dataclasses import fields
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

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
            on_order_event = on_position_event = None
            on_order_rejected = on_order_modify_rejected = on_order_cancel_rejected = None

        sent, of_strategy = self, Strategy
        self.strategy: Any = reporting(of_strategy, self.records)()  # type: ignore[arg-type]

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


def test_the_account_is_saved_when_the_venue_answers_and_not_before_a_request_goes_out() -> None:
    class OrderAccepted(SimpleNamespace):
        pass

    sent = Sent(allow)
    sent.records.on_change = lambda: sent.done.append("saved")
    sent.strategy.submit_order(ORDER)
    before = list(sent.done)
    answer = OrderAccepted(client_order_id="O-1", venue_order_id="V-1")
    sent.records.on_order_event(answer)

    assert before == ["order_submitted", "sent O-1"]
    assert sent.done == [*before, "saved", "order_accepted"]
    assert sent.records.changes == 2, "the next look saves what an order without answer left"


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
