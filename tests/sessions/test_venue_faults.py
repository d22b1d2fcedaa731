"""A venue that refuses requests, loses reports, has others' orders, and is out of reach."""

from __future__ import annotations

import signal
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from tests.sessions.live_session import INSTRUMENT, SYMBOL, LiveSession
from tests.sessions.small_session import ended, until
from tests.sessions.test_account import asked
from trading_runtime.operations.stand_in.bybit import BybitProtocol
from trading_runtime.operations.stand_in.exchange import Exchange, HeldOrder
from trading_runtime.operations.stand_in.serving import StandInVenue

if TYPE_CHECKING:
    import subprocess


def test_a_request_too_many_is_told_and_nothing_is_forgotten(live: LiveSession) -> None:
    process = live.connect()
    live.order("rest 0.010 40000.0")
    live.wait_for("order_accepted", process)
    live.protocol.refuses_requests = True
    live.order("buy 0.020")
    live.wait_for("order_rejected", process)
    live.order("cancel")
    live.wait_for("order_rejected", process, 2)
    live.protocol.refuses_requests = False
    live.order("buy 0.030 when allowed")
    live.wait_for("order_filled", process)
    live.order("cancel")
    live.wait_for("order_ended", process)
    ended(process, signal.SIGTERM)
    rejected = live.events("order_rejected")

    assert [item["what"] for item in rejected] == ["order", "cancellation"]
    assert {item["message"] for item in rejected} == {"Too many visits!"}
    assert [item["order_id"] for item in live.events("order_ended")] == live.accepted[:1]
    assert live.exchange.positions[SYMBOL] == Decimal("0.030")
    assert len(live.accepted) == 2


def test_a_stop_asks_again_for_the_cancellation_that_was_refused(live: LiveSession) -> None:
    live.write(on_stop="flatten")
    process = live.connect()
    live.order("rest 0.010 40000.0", "buy 0.020")
    live.wait_for("order_accepted", process, 2)
    live.wait_for("order_filled", process)
    live.protocol.refuses_requests = True
    process.send_signal(signal.SIGTERM)
    live.wait_for("order_rejected", process)
    live.protocol.refuses_requests = False
    code, text = ended(process)

    assert code == 143, text
    assert live.exchange.open_orders == []
    assert live.exchange.positions[SYMBOL] == 0
    assert live.events("orders_left") == []


def test_a_fill_whose_report_was_lost_is_found_and_booked_once(live: LiveSession) -> None:
    process = live.connect()
    live.order("rest 0.010 40000.0")
    live.wait_for("order_accepted", process)
    # A gap in the numbers of the market's data, and in the account's reports.
    live.protocol.skipped = 100
    live.protocol.hides_reports = True
    [resting] = live.exchange.open_orders
    live.venue.do(live.exchange.fill, resting, resting.left)
    live.protocol.hides_reports = False
    live.wait_for("order_filled", process)
    live.order("buy 0.020")
    live.wait_for("order_filled", process, 2)
    ended(process, signal.SIGTERM)

    assert live.booked("one") == live.executed
    assert live.events("fill_inferred") == []
    assert live.events("position_changed")[-1]["quantity"] == "0.03"


def test_an_order_that_no_session_sent_is_claimed_and_its_fill_booked(live: LiveSession) -> None:
    process = live.connect()
    foreign = HeldOrder(SYMBOL, "Buy", "Limit", Decimal("0.005"), Decimal(40_000))
    live.venue.do(live.exchange.place, foreign)
    live.venue.do(live.exchange.on_order, foreign)
    live.wait_for("order_claimed", process)
    live.venue.do(live.exchange.fill, foreign, foreign.left)
    live.wait_for("order_filled", process)
    ended(process, signal.SIGTERM)
    [claimed] = live.events("order_claimed")

    assert (claimed["order_id"], claimed["quantity"]) == (foreign.id, "0.005")
    assert live.booked("one") == live.executed
    assert live.events("order_submitted") == []


def test_while_the_account_is_out_of_reach_no_order_is_sent_at_prices_that_go_on(
    live: LiveSession,
) -> None:
    elsewhere = BybitProtocol(Exchange({SYMBOL: "46000.0"}))
    with StandInVenue(elsewhere) as prices:
        live.data_from(prices)
        process = live.connect()
        live.venue.go_away()
        live.wait_for("venue_lost", process)
        live.order("buy 0.010")
        live.wait_for("order_denied", process)
        live.venue.come_back()
        live.wait_for("venue_back", process)
        live.order("buy 0.020")
        live.wait_for("order_filled", process)
        ended(process, signal.SIGTERM)
    [denied] = live.events("order_denied")

    assert denied["rule"] == "venue"
    assert live.exchange.positions[SYMBOL] == Decimal("0.020")
    assert live.events("data_stale") == []


def test_a_subscription_that_the_venue_forgot_is_renewed(live: LiveSession) -> None:
    live.write(stale_after="1s")
    process = live.connect()
    live.venue.do(live.protocol.forget, SYMBOL)
    live.wait_for("data_resubscribed", process)
    live.wait_for("data_recovered", process)
    live.order("buy 0.010 when allowed")
    live.wait_for("order_filled", process)
    ended(process, signal.SIGTERM)

    assert live.events("venue_lost") == []
    assert live.booked("one") == live.executed


def test_readiness_follows_the_data_and_the_connection_and_trading_goes_on_after_both(
    live: LiveSession,
) -> None:
    live.write(stale_after="1s", health={"port": 0}, limits={"clock_skew": "1h"})
    process = live.connect()
    address = live.events("health_served")[0]["address"]

    def told(path: str) -> tuple[int, list[str]]:
        code, content = asked(f"{address}/{path}")
        return code, content.get("why", [])

    until(lambda: told("readyz") == (200, []))
    live.protocol.frozen.add(SYMBOL)
    until(lambda: told("readyz") == (503, [f"no data of {INSTRUMENT}"]))
    assert told("healthz") == (200, [])
    live.protocol.frozen.clear()
    until(lambda: told("readyz") == (200, []))
    live.venue.go_away()
    until(lambda: any("no connection to" in why for why in told("readyz")[1]))
    assert told("healthz") == (200, [])
    live.venue.come_back()
    until(lambda: told("readyz") == (200, []))
    live.order("buy 0.010 when allowed")
    live.wait_for("order_filled", process)
    ended(process, signal.SIGTERM)

    assert live.booked("one") == live.executed


def test_after_a_request_too_many_a_strategy_that_insists_is_held_back_and_never_banned(
    live: LiveSession,
) -> None:
    process = live.connect()
    live.order("rest 0.010 40000.0")
    live.wait_for("order_accepted", process)
    live.protocol.retry_after = 1.0
    live.protocol.refuses_next = 1
    live.order("buy 0.030 when allowed")
    live.wait_for("order_filled", process)
    live.order("cancel")
    live.wait_for("order_ended", process)
    ended(process, signal.SIGTERM)

    assert live.protocol.hasty == []
    assert [item["seconds"] for item in live.events("orders_paused")] == [1.0]
    assert {item["rule"] for item in live.events("order_denied")} == {"venue"}
    assert live.exchange.positions[SYMBOL] == Decimal("0.030")
    assert live.booked("one") == live.executed


def test_after_a_request_too_many_everything_waits_in_the_queue_cancellations_first(
    live: LiveSession,
) -> None:
    live.write(queue={"max_wait": "1m"})
    process = live.connect()
    live.order("rest 0.010 40000.0")
    live.wait_for("order_accepted", process)
    live.protocol.retry_after = 1.0
    live.protocol.refuses_next = 1
    live.order("refused buy 0.030", "refused cancel first", "buy 0.020")
    live.wait_for("order_ended", process)
    live.wait_for("order_filled", process)
    ended(process, signal.SIGTERM)
    waited = [item["what"] for item in live.events("request_queued")]
    at_venue = [fact for fact in live.exchange.record if fact.what in {"cancelled", "accepted"}]

    assert live.protocol.hasty == []
    assert waited == ["order", "cancellation"]
    assert [fact.what for fact in at_venue] == ["accepted", "cancelled", "accepted"]
    assert live.events("order_denied") == []
    assert live.exchange.positions[SYMBOL] == Decimal("0.030")


def test_what_waits_longer_than_max_wait_for_a_venue_expires(live: LiveSession) -> None:
    live.write(queue={"max_wait": "200ms"})
    process = live.connect()
    # A pause that no busy machine outlasts: what comes in it expires, however late it comes.
    live.protocol.refuses_with = "Too many visits! Retry after 3600 s"
    live.protocol.refuses_next = 1
    live.order("buy 0.020")
    live.wait_for("orders_paused", process)
    live.order("buy 0.030")
    live.wait_for("order_denied", process)
    ended(process, signal.SIGTERM)
    [denied] = live.events("order_denied")

    assert denied["message"] == "QUEUE max_wait: not sent within 200ms"
    assert live.accepted == []


@pytest.mark.parametrize("ends", ["filled", "resting"])
def test_an_order_that_the_venue_does_not_find_for_a_while_is_neither_failed_nor_done(
    live: LiveSession, ends: str
) -> None:
    live.change("trading_runtime.engine.live.venue_node", _UNANSWERED_MS=400, _ASK_AGAIN_MS=100)
    live.protocol.hides_reports = live.protocol.hides_orders = True
    live.protocol.order_delay = 600
    process = live.connect()
    live.order("rest 0.010 40000.0")
    until(lambda: live.accepted)
    # By itself the engine would call it rejected after the fifth question for it.
    asked = live.protocol.requests["order/realtime"]
    until(lambda: live.protocol.requests["order/realtime"] > asked + 24)
    unknown = [entry["event"] for entry in live.journal() if entry["event"].startswith("order")]
    live.protocol.hides_reports = live.protocol.hides_orders = False
    if ends == "filled":
        [order] = live.exchange.open_orders
        live.venue.do(live.exchange.fill, order, order.left)
        live.wait_for("order_filled", process)
    else:
        live.wait_for("order_accepted", process)
        live.order("cancel")
        live.wait_for("order_ended", process)
    ended(process, signal.SIGTERM)

    assert unknown == ["order_submitted"]
    assert len(live.accepted) == live.protocol.requests["order.create"] == 1
    assert live.booked("one") == live.executed
    assert live.events("order_rejected") == []


def test_an_order_without_the_venues_word_is_cancelled_at_the_end_and_told(
    live: LiveSession,
) -> None:
    live.protocol.hides_reports = live.protocol.hides_orders = True
    live.protocol.order_delay = 600
    process = live.connect()
    live.order("rest 0.010 40000.0")
    until(lambda: live.accepted)
    code, text = ended(process, signal.SIGTERM)
    [left] = live.events("orders_left")

    assert code == 75, text
    assert live.exchange.open_orders == []
    assert left["orders"] == live.accepted
    assert live.events("order_ended") == live.events("order_rejected") == []


def test_without_a_queue_only_cancellations_wait_after_a_request_too_many(
    live: LiveSession,
) -> None:
    process = live.connect()
    live.order("rest 0.010 40000.0", "rest 0.020 41000.0")
    live.wait_for("order_accepted", process, 2)
    live.protocol.retry_after = 1.0
    live.protocol.refuses_next = 1
    meanwhile = ("cancel first", "cancel first", "cancel", "cancel", "buy 0.040")
    live.order(*(f"refused {line}" for line in meanwhile), "buy 0.030")
    live.wait_for("order_ended", process, 2)
    ended(process, signal.SIGTERM)
    waited = [item["what"] for item in live.events("request_queued")]

    assert live.protocol.hasty == []
    assert waited == ["cancellation"] * 2
    assert {item["rule"] for item in live.events("order_denied")} == {"venue"}
    assert len(live.accepted) == 2
    assert live.exchange.open_orders == []


def waiting_to_cancel(live: LiveSession, seconds: int, **changes: Any) -> subprocess.Popen[str]:
    """Start a session whose strategy has asked to cancel an order in a pause of the venue's."""
    live.write(on_stop="hold", **changes)
    process = live.connect()
    live.order("rest 0.010 40000.0", "rest 0.020 41000.0")
    live.wait_for("order_accepted", process, 2)
    live.protocol.refuses_with = f"Too many visits! Retry after {seconds} s"
    live.protocol.retry_after = seconds
    live.protocol.refuses_next = 1
    live.order("refused cancel first", "buy 0.030")
    live.wait_for("request_queued", process)
    return process


@pytest.mark.parametrize("queue", [None, {"max_wait": "1m"}])
def test_a_cancellation_that_waits_when_the_session_ends_reaches_the_venue_after_the_pause(
    live: LiveSession, queue: dict[str, str] | None
) -> None:
    process = waiting_to_cancel(live, 3, **({} if queue is None else {"queue": queue}))
    code, text = ended(process, signal.SIGTERM)
    cancelled, held = live.accepted

    assert code == 143, text
    assert live.protocol.hasty == []
    assert [fact.about for fact in live.exchange.recorded("cancelled")] == [cancelled]
    assert [item["order_id"] for item in live.events("order_ended")] == [cancelled]
    # Nobody asked to cancel the other: the deployment holds what rests.
    assert [order.link_id for order in live.exchange.open_orders] == [held]
    assert live.events("orders_left") == []


def test_an_order_whose_cancellation_does_not_reach_the_venue_is_told_at_the_end(
    live: LiveSession,
) -> None:
    live.change("trading_runtime.sessions.trading", _MOST_PAUSED_SECONDS=0.1, _SETTLE_SECONDS=1.0)
    process = waiting_to_cancel(live, 3600)
    live.protocol.is_deaf = True
    code, text = ended(process, signal.SIGTERM)
    wanted, _held = live.accepted
    [left] = live.events("orders_left")

    assert code == 75, text
    assert f"error: left open at the venue: {wanted}; look there" in text
    assert left == {"orders": [wanted], "positions": []}
    assert live.metadata()["status"] == "stopped"
