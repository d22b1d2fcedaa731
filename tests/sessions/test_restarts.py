"""What a live session takes over from the ones before it, and from whoever traded by hand."""

from __future__ import annotations

import os
import signal
from decimal import Decimal
from typing import TYPE_CHECKING

from tests.sessions.live_session import INSTRUMENT, PRICE, SYMBOL, LiveSession
from tests.sessions.small_session import ended
from tests.sessions.test_session import table
from trading_runtime.operations.stand_in import bybit
from trading_runtime.operations.stand_in.bybit_documents import wallet_json
from trading_runtime.operations.stand_in.exchange import HeldOrder

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from trading_runtime.operations.stand_in.bybit_documents import Json

OTHER = "ETHUSDT"


def test_what_was_traded_by_hand_before_the_first_session_is_taken_over_once(
    live: LiveSession,
) -> None:
    live.write(on_stop="hold")
    live.trade_by_hand(HeldOrder(SYMBOL, "Buy", "Market", Decimal("0.2"), Decimal(0)))
    live.trade_by_hand(HeldOrder(SYMBOL, "Sell", "Market", Decimal("0.15"), Decimal(0)))
    for name in ("one", "two"):
        process = live.connect(name)
        code, text = ended(process, signal.SIGTERM)
        assert code == 143, text
    found = [live.events("session_reconciled", name)[0] for name in ("one", "two")]

    assert [item["positions"] for item in found] == [[f"{INSTRUMENT} 0.05"]] * 2
    assert [item["fills_found"] for item in found] == [0, 0]
    assert found[0]["fills_taken_over"] == live.executed
    assert live.booked("one", "two") == []


def test_a_position_that_flips_is_the_venues_after_a_kill_and_a_restart(live: LiveSession) -> None:
    live.write(on_stop="hold")
    first = live.connect()
    live.order("buy 0.010", "sell 0.030")
    live.wait_for("order_filled", first, 2)
    live.wait(lambda: bool(live.state().get("positions")), first)
    os.killpg(first.pid, signal.SIGKILL)
    first.communicate()
    again = live.connect("two")
    live.order("buy 0.050")
    live.wait(lambda: len(live.executed) == 3, again)
    live.wait(lambda: bool(live.events("order_filled", "two")), again)
    code, text = ended(again, signal.SIGTERM)

    assert code == 143, text
    assert live.booked("one", "two") == live.executed
    assert live.events("session_reconciled", "two")[0]["positions"] == [f"{INSTRUMENT} -0.02"]
    assert live.events("position_changed", "two")[-1]["quantity"] == "0.03"
    assert live.exchange.positions[SYMBOL] == Decimal("0.03")


def test_a_restart_renews_no_limit_of_losses(live: LiveSession) -> None:
    live.write(on_stop="hold", risk={"max_daily_loss": 50, "max_loss": 1000})
    first = live.connect()
    live.order("buy 0.100")
    live.wait_for("order_filled", first)
    # 0.1 x 1,000 is lost.
    live.exchange.prices[SYMBOL] = Decimal("45000.0")
    live.order("buy 0.001 when allowed")
    live.wait_for("order_denied", first)
    ended(first, signal.SIGTERM)
    again = live.connect("two")
    live.order("buy 0.002")
    live.wait(lambda: bool(live.events("order_denied", "two")), again)
    live.order("sell 0.100")
    live.wait(lambda: bool(live.events("order_filled", "two")), again)
    ended(again, signal.SIGTERM)

    assert {item["rule"] for item in live.events("order_denied", "two")} == {"max_daily_loss"}
    assert live.exchange.positions[SYMBOL] == 0


def test_what_is_left_in_an_instrument_that_the_deployment_no_longer_has_is_a_refusal(
    tmp_path: Path,
) -> None:
    with LiveSession(tmp_path, {SYMBOL: PRICE, OTHER: "2000.0"}) as live:
        live.write(on_stop="hold")
        first = live.connect()
        live.order("buy 0.010", "rest 0.020 40000.0", "rest 0.030 39000.0")
        live.wait_for("order_accepted", first, 3)
        live.wait_for("order_filled", first)
        live.order("cancel first")
        live.wait_for("order_ended", first)
        ended(first, signal.SIGTERM)
        [resting] = live.exchange.open_orders
        live.write(data=live.content["data"] | {"instruments": [f"{OTHER}-LINEAR.BYBIT"]})
        code, text = ended(live.start("--run-id", "two"))
        live.orders.write_text("")
        fresh = live.connect("three", "--fresh")
        assert ended(fresh, signal.SIGTERM)[0] == 143

    gone = "the instrument is not among data.instruments: name it there"
    assert code == 11, text
    assert live.events("session_reconciled", "two")[0]["unresolved"] == [
        f"{INSTRUMENT}: order {resting.link_id} was sent and has not ended, and {gone}",
        f"{INSTRUMENT}: the journals give 0.01, and {gone}",
    ]
    assert live.events("order_ended", "two") == []


def test_an_order_that_the_venue_accepted_and_does_not_list_is_a_refusal(
    live: LiveSession,
) -> None:
    live.write(on_stop="hold")
    first = live.connect()
    live.order("rest 0.010 40000.0")
    live.wait_for("order_accepted", first)
    ended(first, signal.SIGTERM)
    live.protocol.hides_orders = True
    code, text = ended(live.start("--run-id", "two"))
    live.protocol.hides_orders = False
    third = live.connect("three")
    live.order("cancel")
    live.wait(lambda: bool(live.events("order_ended", "three")), third)
    assert ended(third, signal.SIGTERM)[0] == 143
    [order_id] = live.accepted

    assert code == 11, text
    [row] = live.events("session_reconciled", "two")[0]["unresolved"]
    assert row.startswith(f"{INSTRUMENT}: the venue accepted order {order_id}, and lists it nei")
    assert live.events("order_ended", "two") == []


def test_balances_that_nothing_has_a_price_of_are_told_and_left_out(
    live: LiveSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor do they keep the limits of losses, or the results, from being stated."""

    def with_others(wallet: Decimal) -> Json:
        whole = wallet_json(wallet)
        [coin] = whole["coin"]
        amount = dict.fromkeys(("walletBalance", "equity", "availableToWithdraw"), "0.5")
        return whole | {"coin": [coin, coin | amount | {"coin": "XYZ"}]}

    monkeypatch.setattr(bybit, "wallet_json", with_others)
    live.write(risk={"max_daily_loss": 1000})
    process = live.connect()
    live.order("buy 0.010", "sell 0.010")
    live.wait_for("order_filled", process, 2)
    code, text = ended(process, signal.SIGTERM)
    [compared] = live.events("session_reconciled")

    assert code == 143, text
    assert compared["not_valued"] == ["0.50000000 XYZ"]
    assert table(live, "equity")["equity"][0] == 100_000
