"""Reports of a venue that come twice, out of order, or of something else than a trade."""

from __future__ import annotations

import signal
import uuid
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from tests.sessions.live_session import SYMBOL, LiveSession
from tests.sessions.small_session import ended, until
from trading_runtime.operations.stand_in import bybit
from trading_runtime.operations.stand_in.bybit_documents import execution_json, order_json
from trading_runtime.operations.stand_in.exchange import HeldOrder

if TYPE_CHECKING:
    import subprocess

    from trading_runtime.operations.stand_in.exchange import Execution


def traded_again(live: LiveSession, process: subprocess.Popen[str]) -> None:
    """Trade once more, after which all reports that came before are booked, and stop."""
    fills = len(live.events("order_filled"))
    live.order("buy 0.003")
    live.wait_for("order_filled", process, fills + 1)
    code, text = ended(process, signal.SIGTERM)
    assert code == 143, text


def test_reports_that_are_repeated_after_a_reconnection_are_booked_once(live: LiveSession) -> None:
    process = live.connect()
    live.order("buy 0.010", "rest 0.020 40000.0")
    live.wait_for("order_accepted", process, 2)
    live.wait_for("order_filled", process)
    live.venue.go_away()
    live.wait_for("venue_lost", process)
    live.venue.come_back()
    live.wait_for("venue_back", process)
    until(lambda: live.protocol._private)
    for order in list(live.exchange.orders.values()):
        live.venue.do(live.protocol._push, "order", order_json(order))
    for execution in list(live.exchange.executions):
        live.venue.do(live.protocol._push_execution, execution)
    traded_again(live, process)

    assert live.booked("one") == live.executed
    assert live.events("position_changed")[-1]["quantity"] == "0.013"
    assert live.events("order_claimed") == live.events("fill_inferred") == []
    assert live.exchange.open_orders == []


def test_a_fill_that_is_reported_after_its_order_was_cancelled_is_booked(live: LiveSession) -> None:
    process = live.connect()
    live.order("rest 0.030 40000.0")
    live.wait_for("order_accepted", process)
    [order] = live.exchange.open_orders
    late: list[Execution] = []

    def cross() -> None:
        tell = live.exchange.on_order, live.exchange.on_execution
        live.exchange.on_order, live.exchange.on_execution = (lambda _order: None), late.append
        live.exchange.fill(order, Decimal("0.010"))
        live.exchange.on_order, live.exchange.on_execution = tell
        live.exchange.cancel(order)

    live.venue.do(cross)
    live.wait_for("order_ended", process)
    live.venue.do(live.protocol._push_execution, late[0])
    live.wait_for("order_filled", process)
    traded_again(live, process)

    assert live.booked("one") == live.executed
    assert live.events("position_changed")[-1]["quantity"] == "0.013"
    assert live.events("order_claimed") == live.events("fill_inferred") == []


@pytest.mark.parametrize("ends", ["cancelled", "filled"])
def test_an_old_report_revives_no_order(live: LiveSession, ends: str) -> None:
    process = live.connect()
    live.order("rest 0.030 40000.0")
    live.wait_for("order_accepted", process)
    [order] = live.exchange.open_orders
    old = order_json(order)
    if ends == "filled":
        live.venue.do(live.exchange.fill, order, order.left)
        live.wait_for("order_filled", process)
    else:
        live.venue.do(live.exchange.cancel, order)
        live.wait_for("order_ended", process)
    live.venue.do(live.protocol._push, "order", old)
    traded_again(live, process)

    assert live.booked("one") == live.executed
    assert len(live.events("order_accepted")) == 2
    assert live.events("order_claimed") == live.events("orders_left") == []


def test_a_payment_of_funding_is_no_fill(live: LiveSession) -> None:
    process = live.connect()
    live.order("buy 0.010")
    live.wait_for("order_filled", process)
    [trade] = live.exchange.executions
    payment = {"execType": "Funding", "execId": str(uuid.uuid4()), "orderId": str(uuid.uuid4())}
    document = execution_json(trade) | payment | {"orderLinkId": "", "execFee": "0.46"}
    live.venue.do(live.protocol._push, "execution", document)
    traded_again(live, process)

    assert live.booked("one") == live.executed
    assert live.events("position_changed")[-1]["quantity"] == "0.013"
    assert live.events("order_claimed") == live.events("fill_inferred") == []


def test_a_fill_after_a_cancellation_that_was_refused_is_booked(live: LiveSession) -> None:
    process = live.connect()
    live.order("rest 0.030 40000.0")
    live.wait_for("order_accepted", process)
    [order] = live.exchange.open_orders
    cancel = live.exchange.cancel
    live.exchange.cancel = lambda order: "busy" if order else None  # type: ignore[method-assign]
    live.order("cancel first")
    live.wait_for("order_rejected", process)
    live.venue.do(live.exchange.fill, order, Decimal("0.010"))
    live.wait_for("order_filled", process)
    live.exchange.cancel = cancel  # type: ignore[method-assign]
    live.order("cancel first")
    live.wait_for("order_ended", process)
    traded_again(live, process)

    assert live.events("order_rejected")[0]["what"] == "cancellation"
    assert live.booked("one") == live.executed
    assert live.events("position_changed")[-1]["quantity"] == "0.013"


def test_a_position_that_the_venue_closes_by_itself_is_closed_here_once(live: LiveSession) -> None:
    live.write(on_stop="hold")
    process = live.connect()
    live.order("buy 0.010")
    live.wait_for("order_filled", process)
    # Only the position is told, as some venues tell of a liquidation.
    live.exchange.on_execution = lambda _execution: None
    live.exchange.on_order = lambda _order: None
    live.exchange.positions[SYMBOL] = Decimal(0)
    live.wait(
        lambda: [item["quantity"] for item in live.events("position_changed")][-1] == "0", process
    )
    code, text = ended(process, signal.SIGTERM)

    assert code == 143, text
    assert [item["quantity"] for item in live.events("fill_inferred")] == ["0.010"]
    assert live.booked("one") == live.executed
    assert live.events("order_claimed") == []

    # Later the venue shows the fill as well.
    order = HeldOrder(SYMBOL, "Sell", "Market", Decimal("0.010"), Decimal(46_000))
    live.exchange.place(order)
    live.exchange.fill(order, order.left)
    live.exchange.positions[SYMBOL] = Decimal(0)
    for name in ("two", "three"):
        again = live.connect(name)
        assert ended(again, signal.SIGTERM)[0] == 143
    assert live.booked("one", "two", "three") == live.executed


def test_a_fee_in_another_currency_is_booked_in_it(
    live: LiveSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    def in_ether(execution: Execution) -> dict[str, Any]:
        return execution_json(execution) | {"feeCurrency": "ETH", "execFee": "0.00012"}

    monkeypatch.setattr(bybit, "execution_json", in_ether)
    live.write(on_stop="flatten")
    process = live.connect()
    live.order("buy 0.010")
    live.wait_for("order_filled", process)
    code, text = ended(process, signal.SIGTERM)
    [stopped] = live.events("session_stopped")

    assert live.events("order_filled")[0]["fee"] == "0.00012000 ETH"
    assert live.exchange.positions[SYMBOL] == 0
    assert (stopped["positions"], stopped["why"]) == (0, "signal SIGTERM")
    # No table can state the fee in one currency with the rest.
    assert code == 3, text
    assert "no exchange rate from ETH to USDT" in text
