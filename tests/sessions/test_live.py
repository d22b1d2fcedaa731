"""A live session against a stand-in venue that keeps its own record."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from tests.sessions.live_session import INSTRUMENT, PRICE, SYMBOL, LiveSession
from tests.sessions.small_session import ended, until
from trading_runtime.operations.stand_in.exchange import HeldOrder

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path


def test_an_order_is_written_down_then_accepted_and_filled(live: LiveSession) -> None:
    process = live.connect()
    live.order("buy 0.010")
    live.wait_for("order_filled", process)
    code, text = ended(process, signal.SIGTERM)
    [at_venue] = live.exchange.recorded("accepted")
    [filled] = live.exchange.recorded("filled")
    [journalled] = live.events("order_filled")
    times = {entry["event"]: entry["time"] for entry in live.journal()}

    assert code == 143, text
    assert journalled["order_id"] == at_venue.about == filled.about
    assert journalled["trade_id"] == filled.facts["trade_id"]
    assert journalled["price"] == "46000.10"
    assert times["order_submitted"] < times["order_accepted"] < times["order_filled"]
    assert (live.metadata()["mode"], live.metadata()["status"]) == ("live", "stopped")
    assert not [value for value in live.variables.values() if value in live.written() + text]


def test_nothing_is_sent_without_the_word_the_keys_and_a_limit(live: LiveSession) -> None:
    from trading_runtime.cli.main import invoke, root

    config, words = str(live.path), ("trade", "--config", str(live.path))
    assert invoke(root, list(words)) == 2
    assert invoke(root, [*words, "--live"]) == 2  # the keys are not set
    changes: dict[str, Any]
    for changes in ({"risk": {}}, {"stale_after": None}, {"risk": None}, {"mode": "paper"}):
        before = dict(live.content)
        live.write(**changes)
        assert invoke(root, ["trade", config, "--live"]) == 2, changes
        live.write(**before)
    live.content["execution"]["config"]["api_key"] = "abc"
    live.write()
    assert invoke(root, ["trade", config, "--live"]) == 2
    assert live.exchange.recorded("request") == []


def test_a_restart_books_once_what_was_filled_while_nothing_ran(live: LiveSession) -> None:
    live.write(on_stop="hold")
    first = live.connect()
    live.order("buy 0.010")
    live.order("rest 0.020 40000.0")
    live.order("rest 0.030 41000.0")
    live.wait_for("order_accepted", first, 3)
    live.wait_for("order_filled", first)
    # What the strategy has done is saved a moment later.
    live.wait(lambda: len(live.state()["orders"]) == 2, first)
    os.killpg(first.pid, signal.SIGKILL)
    first.communicate()
    [resting] = [o for o in live.exchange.open_orders if o.price == Decimal("41000.0")]
    live.venue.do(live.exchange.fill, resting, resting.left)
    foreign = HeldOrder(SYMBOL, "Sell", "Limit", Decimal("0.005"), Decimal(50_000))
    live.venue.do(live.exchange.place, foreign)
    for name in ("two", "three"):
        again = live.connect(name)
        code, text = ended(again, signal.SIGTERM)
        assert code == 143, text
    [reconciled] = live.events("session_reconciled", "two")

    assert sorted(live.booked("one", "two", "three")) == sorted(live.executed)
    assert reconciled["positions"] == [f"{INSTRUMENT} 0.04"]
    assert (reconciled["fills_found"], reconciled["orders_claimed"]) == (1, 1)
    assert [item["order_id"] for item in live.events("order_claimed", "two")] == [foreign.id]
    assert live.events("order_claimed", "three") == []
    assert len(live.accepted) == 4  # nothing was sent by the restarts


def test_a_position_that_nothing_explains_is_a_refusal_with_its_rows(live: LiveSession) -> None:
    live.write(on_stop="hold")
    first = live.connect()
    live.order("buy 0.010")
    live.wait_for("order_filled", first)
    ended(first, signal.SIGTERM)
    live.venue.do(live.exchange.positions.__setitem__, SYMBOL, Decimal("0.1"))
    live.order("buy 0.010")
    code, text = ended(live.start("--run-id", "two"))

    assert code == 11, text
    assert f"{INSTRUMENT}: the venue has 0.1, the journals and the venue's fills give 0.01" in text
    assert len(live.accepted) == 1

    fresh = live.connect("three", "--fresh")
    assert ended(fresh, signal.SIGTERM)[0] == 143


def test_a_cancellation_at_the_start_waits_until_the_venue_was_compared(live: LiveSession) -> None:
    live.write(on_stop="hold")
    first = live.connect()
    live.order("buy 0.010", "rest 0.020 40000.0")
    live.wait_for("order_accepted", first, 2)
    live.wait_for("order_filled", first)
    ended(first, signal.SIGTERM)
    [resting] = live.exchange.open_orders
    settings = {"instrument_id": INSTRUMENT, "orders": str(live.orders), "cancels_at_start": True}
    live.use("obedient.py:Obedient", **settings)
    live.venue.do(live.exchange.positions.__setitem__, SYMBOL, Decimal("0.1"))
    code, text = ended(live.start("--run-id", "two"))

    assert code == 11, text
    assert live.exchange.open_orders == [resting]

    live.venue.do(live.exchange.positions.__setitem__, SYMBOL, Decimal("0.010"))
    third = live.connect("three")
    live.wait(lambda: not live.exchange.open_orders, third)
    assert ended(third, signal.SIGTERM)[0] == 143


def test_each_report_that_comes_twice_is_booked_once(live: LiveSession) -> None:
    live.protocol.sends_twice = True
    process = live.connect()
    live.order("buy 0.010")
    live.order("buy 0.020")
    live.wait_for("position_changed", process, 2)
    ended(process, signal.SIGTERM)

    assert sorted(live.booked("one")) == sorted(live.executed)
    assert live.events("position_changed")[-1]["quantity"] == "0.03"


def test_what_a_lost_venue_fills_is_booked_once_when_it_is_back(live: LiveSession) -> None:
    live.write(limits={"heartbeat": "500ms"})
    process = live.connect()
    for number in range(6):
        live.order(f"rest 0.010 4{number}000.0")
    live.wait_for("order_accepted", process, 6)
    live.venue.go_away()
    live.wait_for("venue_lost", process)
    for order in live.exchange.open_orders:
        live.exchange.fill(order, order.left)
    live.wait_for_more("session_heartbeat", process, 6)
    live.venue.come_back()
    live.wait_for("venue_back", process)
    live.wait_for("order_filled", process, 6)
    ended(process, signal.SIGTERM)

    assert sorted(live.booked("one")) == sorted(live.executed)
    assert live.events("order_ended") == []
    assert live.events("order_rejected") == []
    assert live.events("fill_inferred") == []


def test_a_venue_that_stays_away_ends_the_session(live: LiveSession) -> None:
    live.write(limits={"venue_lost": "1s"})
    process = live.connect()
    live.venue.go_away()
    code, text = ended(process)

    assert code == 75, text
    assert "longer than limits.venue_lost" in text


def test_a_venue_that_is_away_at_the_start_ends_it(live: LiveSession) -> None:
    live.venue.go_away()
    code, text = ended(live.start())

    assert code == 75, text
    assert live.exchange.recorded("accepted") == []


def test_an_order_whose_answer_is_late_is_sent_once(live: LiveSession) -> None:
    live.protocol.order_delay = 20
    process = live.connect()
    live.order("rest 0.010 40000.0")
    live.wait_for("order_accepted", process)
    ended(process, signal.SIGTERM)

    assert len(live.accepted) == live.protocol.requests["order.create"] == 1


def test_an_order_without_the_venues_word_is_neither_failed_nor_done(live: LiveSession) -> None:
    live.write(limits={"heartbeat": "500ms"})
    live.protocol.hides_reports, live.protocol.order_delay = True, 60
    process = live.connect()
    live.order("rest 0.010 40000.0")
    until(lambda: live.accepted)
    live.venue.go_away()
    live.wait_for("venue_lost", process)
    live.wait_for_more("session_heartbeat", process, 4)
    assert live.events("order_rejected") == live.events("order_ended") == []
    live.protocol.hides_reports = False
    live.venue.come_back()
    live.wait_for("order_accepted", process)
    ended(process, signal.SIGTERM)

    assert len(live.accepted) == 1


def test_a_rejected_order_is_told_and_the_session_goes_on(live: LiveSession) -> None:
    live.exchange.refusal = "ab not enough for new order"
    process = live.connect()
    live.order("buy 0.010")
    live.wait_for("order_rejected", process)
    live.order("buy 0.020")
    live.wait_for("order_filled", process)
    ended(process, signal.SIGTERM)
    [rejected] = live.events("order_rejected")

    assert "not enough" in rejected["message"]
    assert [item["quantity"] for item in live.events("order_filled")] == ["0.020"]


def test_a_cancel_that_crosses_a_fill_ends_in_a_fill(live: LiveSession) -> None:
    process = live.connect()
    live.order("rest 0.010 40000.0")
    live.wait_for("order_accepted", process)
    live.exchange.fill_before_cancel = True
    live.order("cancel")
    live.wait_for("order_filled", process)
    ended(process, signal.SIGTERM)

    assert live.booked("one") == live.executed
    assert live.events("order_ended") == []


def changed_before_a_fill(live: LiveSession) -> subprocess.Popen[str]:
    """Start a session with an order that is filled when it is changed once more."""
    process = live.connect()
    live.order("rest 0.010 40000.0")
    live.wait_for("order_accepted", process)
    live.order("change 41000.0")
    live.wait_for("order_updated", process)
    live.exchange.fill_before_cancel = True
    return process


def test_a_change_that_is_refused_before_the_fill_is_told_ends_in_a_fill(live: LiveSession) -> None:
    process = changed_before_a_fill(live)
    held: list[Any] = []
    push = live.protocol._push
    live.protocol._push = lambda *report: held.append(report)  # type: ignore[method-assign]
    live.order("change 42000.0")
    live.wait_for("order_rejected", process)
    live.protocol._push = push  # type: ignore[method-assign]
    for report in held:
        live.venue.do(push, *report)
    live.wait_for("order_filled", process)
    ended(process, signal.SIGTERM)

    assert [item["what"] for item in live.events("order_rejected")] == ["change"]
    assert live.booked("one") == live.executed
    assert [fact.facts["price"] for fact in live.exchange.recorded("changed")] == ["41000.0"]
    assert live.events("order_filled")[0]["price"] == "41000.00"
    assert live.events("order_ended") == []


def test_a_change_that_is_refused_after_the_fill_was_told_changes_nothing(
    live: LiveSession,
) -> None:
    process = changed_before_a_fill(live)
    command, is_answered = live.protocol._command, threading.Event()

    async def late(operation: str, given: Any) -> Any:
        answer = await command(operation, given)
        if operation == "order.amend":
            while not live.events("order_filled"):  # noqa: ASYNC110 - another process writes it
                await asyncio.sleep(0.02)
            is_answered.set()
        return answer

    live.protocol._command = late  # type: ignore[method-assign]
    live.order("change 42000.0")
    live.wait(is_answered.is_set, process)
    live.order("buy 0.003")  # answered after the change
    live.wait_for("order_filled", process, 2)
    ended(process, signal.SIGTERM)

    # The engine passes on no refusal of an order that is filled.
    assert live.events("order_rejected") == live.events("order_ended") == []
    assert live.booked("one") == live.executed
    assert live.events("order_filled")[0]["price"] == "41000.00"


def test_a_fill_that_is_reported_before_its_order_is_booked_once(live: LiveSession) -> None:
    live.protocol.fills_before_accepts = True
    process = live.connect()
    live.order("buy 0.010")
    live.wait_for("order_filled", process)
    live.order("sell 0.004")
    live.wait_for("order_filled", process, 2)
    ended(process, signal.SIGTERM)

    assert live.booked("one") == live.executed
    assert live.events("position_changed")[-1]["quantity"] == "0.006"
    assert live.events("order_claimed") == live.events("fill_inferred") == []


def test_a_partial_fill_before_a_loss_is_completed_after_it(live: LiveSession) -> None:
    process = live.connect()
    live.order("rest 0.030 40000.0")
    live.wait_for("order_accepted", process)
    [order] = live.exchange.open_orders
    live.venue.do(live.exchange.fill, order, Decimal("0.010"))
    live.wait_for("order_filled", process)
    live.venue.go_away()
    live.wait_for("venue_lost", process)
    live.exchange.fill(order, Decimal("0.020"))
    live.venue.come_back()
    live.wait_for("order_filled", process, 2)
    ended(process, signal.SIGTERM)

    assert live.booked("one") == live.executed


def test_data_of_one_instrument_that_stops_holds_its_orders_back(live: LiveSession) -> None:
    live.write(stale_after="500ms")
    process = live.connect()
    live.protocol.silent.add(SYMBOL)
    live.wait_for("data_stale", process)
    live.protocol.silent.clear()
    live.wait_for("data_recovered", process)
    live.order("buy 0.010 when allowed")
    live.wait_for("order_filled", process)
    ended(process, signal.SIGTERM)

    assert live.events("venue_lost") == []


def test_the_same_old_row_for_ever_is_no_news(live: LiveSession) -> None:
    live.write(stale_after="1s", limits={"clock_skew": "1h"})
    process = live.connect()
    live.protocol.frozen.add(SYMBOL)
    live.wait(lambda: len(live.events("data_stale")) > len(live.events("data_recovered")), process)
    live.order("buy 0.010")
    live.wait_for("order_denied", process)
    ended(process, signal.SIGTERM)

    assert live.events("order_denied")[0]["rule"] == "stale_after"
    assert live.accepted == []


def test_a_process_that_was_suspended_sends_nothing_on_the_old_rows_that_it_finds(
    live: LiveSession,
) -> None:
    live.write(stale_after="2s", limits={"clock_skew": "1h"})
    process = live.connect()
    live.order("buy 0.010 when allowed")
    live.wait_for("order_filled", process)
    os.kill(process.pid, signal.SIGSTOP)
    live.order("buy 0.020")
    sent = live.protocol._number  # of rows, twenty a second
    until(lambda: live.protocol._number > sent + 80)
    os.kill(process.pid, signal.SIGCONT)
    live.wait_for("order_denied", process)
    ended(process, signal.SIGTERM)

    assert live.events("order_denied")[-1]["rule"] in {"stale_after", "venue"}
    assert live.exchange.positions[SYMBOL] == Decimal("0.010")


@pytest.mark.parametrize("seconds", [-3600.0, 10.0])
def test_a_clock_that_is_apart_denies_orders_and_says_so(live: LiveSession, seconds: float) -> None:
    live.write(limits={"clock_skew": "5s"})
    process = live.connect()
    live.exchange.clock_offset = seconds
    live.wait_for("clock_apart", process)
    live.order("buy 0.010")
    live.wait_for("order_denied", process)
    ended(process, signal.SIGTERM)

    assert abs(live.events("clock_apart")[0]["seconds"] - seconds) < 2
    assert live.accepted == []


def test_a_clock_that_is_apart_from_the_first_row_on_lets_no_order_out(live: LiveSession) -> None:
    live.write(limits={"clock_skew": "5s"})
    live.exchange.clock_offset = 60.0
    live.order("buy 0.010")
    process = live.connect()
    live.wait_for("order_denied", process)
    ended(process, signal.SIGTERM)

    assert live.events("order_denied")[0]["rule"] == "venue"
    assert live.accepted == []


@pytest.mark.parametrize(
    ("on_stop", "left", "held"), [("hold", 1, "0.01"), ("cancel", 0, "0.01"), ("flatten", 0, "0")]
)
def test_the_end_leaves_what_the_deployment_says(
    live: LiveSession, on_stop: str, left: int, held: str
) -> None:
    live.write(on_stop=on_stop)
    process = live.connect()
    live.order("buy 0.010")
    live.order("rest 0.020 40000.0")
    live.wait_for("order_accepted", process, 2)
    live.wait_for("order_filled", process)
    assert ended(process, signal.SIGTERM)[0] == 143

    assert len(live.exchange.open_orders) == left
    assert live.exchange.positions[SYMBOL] == Decimal(held)


@pytest.mark.parametrize(("on_failure", "held"), [("hold", "0.010"), ("flatten", "0")])
def test_a_failing_callback_cancels_and_sends_nothing_that_opens(
    live: LiveSession, on_failure: str, held: str
) -> None:
    live.write(on_failure=on_failure)
    process = live.connect()
    live.order("buy 0.010")
    live.order("rest 0.020 40000.0")
    live.wait_for("order_accepted", process, 2)
    live.wait_for("order_filled", process)
    live.order("raise")
    live.order("buy 0.010")
    code, text = ended(process)
    later = live.exchange.recorded("accepted")[2:]

    assert code == 4, text
    assert live.exchange.open_orders == []
    assert live.exchange.positions[SYMBOL] == Decimal(held)
    assert all(fact.facts["reduce_only"] for fact in later)


@pytest.mark.parametrize(("on_failure", "held"), [("hold", "0.010"), ("flatten", "0")])
def test_a_kill_leaves_no_order_at_the_venue_and_sends_nothing_that_opens(
    live: LiveSession, on_failure: str, held: str
) -> None:
    live.write(on_failure=on_failure)
    process = live.connect()
    live.order("buy 0.010", "rest 0.020 40000.0")
    live.wait_for("order_accepted", process, 2)
    live.wait_for("order_filled", process)
    live.command("kill", "activate", "--reason", "a test")
    live.wait_for("session_halted", process)
    live.order("buy 0.010")
    code, text = ended(process)
    later = live.exchange.recorded("accepted")[2:]

    assert code == 10, text
    assert live.exchange.open_orders == []
    assert live.exchange.positions[SYMBOL] == Decimal(held)
    assert [fact.facts["reduce_only"] for fact in later] == [True] * (on_failure == "flatten")
    assert live.events("orders_left") == []


def test_a_kill_switch_that_cannot_be_read_is_on(live: LiveSession) -> None:
    process = live.connect()
    live.order("rest 0.020 40000.0")
    live.wait_for("order_accepted", process)
    (live.results / "kill-switch").write_text("not a folder")
    code, text = ended(process)

    assert code == 10, text
    assert live.exchange.open_orders == []


def test_a_reduce_switch_that_cannot_be_read_lets_only_what_reduces_reach_the_venue(
    live: LiveSession,
) -> None:
    process = live.connect()
    live.order("buy 0.010")
    live.wait_for("order_filled", process)
    (live.results / "kill-switch" / "reduce" / "all.json").mkdir(parents=True)
    live.wait_for("session_reduced", process)
    live.order("buy 0.001", "sell 0.011")
    live.wait_for("order_denied", process, 2)
    live.order("sell 0.004")
    live.wait_for("order_filled", process, 2)
    live.order("sell 0.006", "sell 0.006")  # together they would open a short position
    live.wait_for("order_filled", process, 3)
    live.wait_for("order_denied", process, 3)
    code, text = ended(process, signal.SIGTERM)
    [reduced] = live.events("session_reduced")

    assert code == 143, text
    assert "cannot be read, and so counts as on" in reduced["why"]
    assert {item["rule"] for item in live.events("order_denied")} == {"reduce"}
    assert [fact.facts["quantity"] for fact in live.exchange.recorded("accepted")] == [
        "0.010",
        "0.004",
        "0.006",
    ]
    assert live.exchange.positions[SYMBOL] == 0


def test_a_reduce_switch_cancels_what_waits_and_would_open(live: LiveSession) -> None:
    process = live.connect()
    live.order("buy 0.010")
    live.wait_for("order_filled", process)
    live.order("exit 0.006 50000.0", "rest 0.020 40000.0", "emulate 0.030 47000.0")
    live.wait_for("order_accepted", process, 3)
    live.wait_for("order_submitted", process, 4)
    live.command("kill", "activate", "--reduce", "--reason", "a test")
    live.wait_for("order_ended", process, 2)
    live.venue.do(live.exchange.move, SYMBOL, "47500.0")
    live.order("sell 0.004")
    live.wait_for("order_filled", process, 2)
    live.venue.do(live.exchange.move, SYMBOL, "39000.0")
    [exiting] = live.exchange.open_orders
    code, text = ended(process, signal.SIGTERM)

    assert code == 143, text
    assert exiting.side == "Sell"
    assert live.exchange.positions[SYMBOL] == Decimal("0.006")


def test_an_order_is_in_the_journal_when_the_venue_gets_it(live: LiveSession) -> None:
    place, written = live.exchange.place, []

    def look_and_place(order: HeldOrder) -> str | None:
        journalled = {item["order_id"] for item in live.events("order_submitted")}
        written.append(order.link_id in journalled)
        return place(order)

    live.exchange.place = look_and_place  # type: ignore[method-assign]
    process = live.connect()
    live.order("rest 0.010 40000.0", "rest 0.020 40000.0", "buy 0.030")
    live.wait_for("order_accepted", process, 3)
    ended(process, signal.SIGTERM)

    assert written == [True] * 3


def test_orders_of_the_session_before_are_managed_after_a_kill(live: LiveSession) -> None:
    first = live.connect()
    live.order("rest 0.010 40000.0", "rest 0.020 41000.0")
    live.wait_for("order_accepted", first, 2)
    # What the strategy has done is saved a moment later.
    live.wait(lambda: len(live.state()["orders"]) == 2, first)
    os.killpg(first.pid, signal.SIGKILL)
    first.communicate()
    again = live.connect("two")
    live.order("cancel first")
    live.wait(lambda: bool(live.exchange.recorded("cancelled")), again)
    live.order("cancel")
    live.wait(lambda: not live.exchange.open_orders, again)
    live.wait(lambda: len(live.events("order_ended", "two")) == 2, again)
    code, text = ended(again, signal.SIGTERM)

    assert code == 143, text
    assert [fact.about for fact in live.exchange.recorded("cancelled")] == live.accepted
    assert [item["order_id"] for item in live.events("order_ended", "two")] == live.accepted


def test_one_session_trades_an_account_whatever_the_deployment_is_called(live: LiveSession) -> None:
    process = live.connect()
    live.write(name="other")
    code, text = ended(live.start("--run-id", "two"))
    ended(process, signal.SIGTERM)

    assert code == 2
    assert "is in use by session 'one'" in text


def test_a_session_that_lost_its_lease_sends_nothing_more(live: LiveSession) -> None:
    process = live.connect()
    [lease] = live.results.glob("accounts/bybit-testnet-*/lease.json")
    content = lease.read_text().replace('"token": 1', '"token": 2')
    lease.write_text(content)
    live.wait_for("session_halted", process)
    live.order("buy 0.010")
    code, text = ended(process)

    assert code == 75, text
    assert live.accepted == []


def test_a_session_whose_accounts_are_gone_tells_what_it_leaves_at_the_venue(
    live: LiveSession,
) -> None:
    process = live.connect()
    live.order("rest 0.020 40000.0")
    live.wait_for("order_accepted", process)
    (live.results / "accounts").rename(live.results / "away")
    code, text = ended(process)
    [left] = live.events("orders_left")

    assert code == 75, text
    assert "is gone: another session may take it" in text
    assert f"warning: left open at the venue: {live.accepted[0]}; look there" in text
    assert left["orders"] == live.accepted
    assert [order.link_id for order in live.exchange.open_orders] == live.accepted


def test_a_deaf_venue_does_not_keep_a_session_from_ending(live: LiveSession) -> None:
    process = live.connect()
    live.order("rest 0.020 40000.0")
    live.wait_for("order_accepted", process)
    live.protocol.is_deaf = True
    code, text = ended(process, signal.SIGTERM)
    [left] = live.events("orders_left")

    assert code == 75, text
    assert f"error: left open at the venue: {live.accepted[0]}; look there" in text
    assert left["orders"] == live.accepted


def test_a_paper_account_is_no_live_account(live: LiveSession) -> None:
    live_execution = live.content["execution"]
    simulated = {
        "venue": "simulated",
        "account_type": "margin",
        "balances": ["1000 USDT"],
        "fees": {"model": "none"},
    }
    live.write(mode="paper", execution=simulated)
    paper = live.connect()
    live.order("buy 0.001")
    live.wait_for("order_filled", paper)
    assert ended(paper, signal.SIGTERM)[0] == 143
    assert live.exchange.recorded("accepted") == []
    live.write(mode="live", execution=live_execution)
    code, text = ended(live.start("--run-id", "two"))

    assert code == 2
    assert "is of another kind" in text


def test_an_adapter_that_no_test_runs_is_told_so() -> None:
    from trading_runtime.config.deployment import Deployment
    from trading_runtime.sessions.starting import untested_adapters

    with_okx = Deployment.model_validate(
        {
            "name": "x",
            "mode": "paper",
            "data": {"source": "adapter", "adapter": "okx", "instruments": ["BTC-USDT.OKX"]},
            "execution": {
                "venue": "simulated",
                "account_type": "margin",
                "balances": ["1 USDT"],
                "fees": {"model": "none"},
            },
            "strategy": {"path": "a:B"},
            "seed": 1,
        }
    )

    assert untested_adapters(with_okx) == [
        "data.adapter: okx is untested here; try it on the venue's test environment first"
    ]


@pytest.mark.parametrize("on_stop", ["cancel", "hold"])
def test_a_strategy_that_quotes_for_ever_sends_nothing_once_it_is_stopped(
    live: LiveSession, on_stop: str
) -> None:
    live.write(on_stop=on_stop)
    process = live.connect()
    live.order("rest 0.010 40000.0 for ever")
    live.wait_for("order_accepted", process)
    code, text = ended(process, signal.SIGTERM)

    assert code == 143, text
    assert len(live.accepted) == 1
    assert len(live.exchange.open_orders) == (on_stop == "hold")
    assert {item["rule"] for item in live.events("order_denied")} <= {"STOP"}


FLUSHED = {
    "orders": ["status"],
    "fills": ["quantity", "price", "fee"],
    "positions": ["instrument_id", "peak_quantity"],
    "equity": ["equity"],
}
"""Columns of the tables that a session stores while it trades."""


def test_tables_are_stored_while_it_trades_and_their_imports_are_not_the_strategys(
    live: LiveSession,
) -> None:
    # Arrow imports cloudpickle where that is installed, as it is for these tests.
    live.change("trading_runtime.sessions.trading", _FLUSH_SECONDS=0.1)

    def stored(name: str) -> list[tuple[Any, ...]]:
        path, columns = live.results / f"runs/one/session/{name}.parquet", FLUSHED[name]
        return pl.read_parquet(path).select(columns).rows() if path.exists() else []

    process = live.connect()
    live.order("buy 0.010", "rest 0.020 40000.0")
    # Each table is stored by itself.
    for name, rows in (("orders", 2), ("fills", 1), ("positions", 1)):
        live.wait(lambda name=name, rows=rows: len(stored(name)) == rows, process)  # type: ignore[misc]
    live.wait(lambda: ("ACCEPTED",) in stored("orders"), process)
    live.wait(lambda: stored("equity")[-1] != stored("equity")[0], process)
    found = {name: stored(name) for name in FLUSHED}
    code, text = ended(process, signal.SIGTERM)
    fee = live.exchange.executions[0].fee

    assert code == 143, text
    assert sorted(found["orders"]) == [("ACCEPTED",), ("FILLED",)]
    assert found["fills"] == [(Decimal("0.010"), Decimal("46000.1"), fee)]
    assert found["positions"] == [(INSTRUMENT, Decimal("0.010"))]
    # Bought at the ask of 46,000.1, and valued at the bid of 45,999.9.
    assert found["equity"][0] == (Decimal(100_000),)
    assert found["equity"][-1] == (100_000 - fee - Decimal("0.002"),)


def test_what_the_account_has_in_other_instruments_is_left_alone(tmp_path: Path) -> None:
    other = "ETHUSDT"

    def foreign(side: str, kind: str, price: int) -> HeldOrder:
        return live.trade_by_hand(HeldOrder(other, side, kind, Decimal("0.2"), Decimal(price)))

    with LiveSession(tmp_path, {SYMBOL: PRICE, other: "2000.0"}) as live:
        live.write(on_stop="flatten", limits={"heartbeat": "500ms"})
        before = [foreign("Buy", "Market", 0), foreign("Buy", "Limit", 1500)]
        process = live.connect()
        live.order("buy 0.010", "rest 0.020 40000.0")
        live.wait_for("order_accepted", process, 2)
        live.wait_for("order_filled", process)
        during = [foreign("Buy", "Market", 0), foreign("Sell", "Limit", 3000)]
        live.wait_for_more("session_heartbeat", process, 6)
        code, text = ended(process, signal.SIGTERM)

    assert code == 143, text
    assert live.exchange.open_orders == [before[1], during[1]]
    assert live.exchange.positions == {SYMBOL: 0, other: Decimal("0.4")}
    assert len(live.events("order_submitted")) == 3
    assert live.events("order_claimed") == []
