"""How a live session ends when its disk is full, its terminal gone, or its venue silent."""

from __future__ import annotations

import os
import resource
import signal
import time
from decimal import Decimal

import pytest

from tests.sessions.live_session import INSTRUMENT, SYMBOL, LiveSession
from tests.sessions.small_session import ended, until
from tests.sessions.test_account import asked


@pytest.mark.parametrize("on_failure", ["hold", "flatten"])
def test_a_disk_that_is_full_leaves_no_order_at_the_venue_and_nothing_is_sent(
    live: LiveSession, on_failure: str
) -> None:
    live.write(on_failure=on_failure, limits={"heartbeat": "300ms"})
    process = live.connect()
    live.order("buy 0.010", "rest 0.020 40000.0")
    live.wait_for("order_accepted", process, 2)
    live.wait_for("order_filled", process)
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (1, 1))
    live.order("buy 0.030")
    code, text = ended(process)

    assert code == 8, text
    assert live.exchange.open_orders == []
    # What cannot be written down is not sent, not even what would close the position.
    assert len(live.accepted) == 2
    told = f"left open at the venue: {INSTRUMENT} 0.01" in text
    assert told == (on_failure == "flatten")


@pytest.mark.usefixtures("in_a_terminal")
def test_a_terminal_that_is_closed_stops_a_session_as_a_signal_does(live: LiveSession) -> None:
    process = live.connect()
    live.order("rest 0.010 40000.0")
    live.wait_for("order_accepted", process)
    code, text = ended(process, signal.SIGHUP)

    assert code == 130, text
    assert live.exchange.open_orders == []
    assert live.metadata()["status"] == "stopped"


@pytest.mark.parametrize("again", [signal.SIGTERM, signal.SIGINT])
def test_another_signal_does_not_keep_an_end_from_being_stored(
    live: LiveSession, again: signal.Signals
) -> None:
    process = live.connect()
    live.order("buy 0.010")
    live.wait_for("order_filled", process)
    process.send_signal(signal.SIGTERM)
    live.wait_for("session_stopped", process)
    while process.poll() is None:
        process.send_signal(again)
        time.sleep(0.005)
    code, text = ended(process)

    assert code == 143, text
    assert live.metadata()["status"] == "stopped"
    assert live.command("runs", "check", "one").returncode == 0


@pytest.mark.parametrize("signalled", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_while_the_venue_is_silent_does_not_wait_for_it(
    live: LiveSession, signalled: int
) -> None:
    # By itself the engine would wait for longer than this test.
    live.change("trading_runtime.engine.live.venue_node", _CONNECT_SECONDS=100_000)
    live.protocol.is_deaf = True
    process = live.start()
    live.wait(lambda: bool(live.protocol.requests), process)
    code, text = ended(process, signalled)
    live.protocol.is_deaf = False

    assert code == 128 + signalled, text
    assert live.metadata()["status"] == "stopped"
    assert live.command("runs", "check", "one").returncode == 0
    assert live.exchange.recorded("accepted") == []


def test_a_session_whose_event_loop_is_stuck_says_so(live: LiveSession) -> None:
    live.write(health={"port": 0})
    process = live.connect()
    address = live.events("health_served")[0]["address"]
    assert asked(f"{address}/healthz")[0] == 200
    live.order("block")
    until((live.folder / "blocked").exists)
    until(lambda: asked(f"{address}/healthz")[0] == 503)
    told = [asked(f"{address}/{path}") for path in ("healthz", "readyz", "status")]
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()

    assert [code for code, _ in told] == [503] * 3
    assert all("the event loop has not turned for" in said["why"][0] for _, said in told)


def test_a_stop_in_a_pause_sends_nothing_before_it_is_over(live: LiveSession) -> None:
    process = live.connect()
    live.order("buy 0.010", "rest 0.020 40000.0")
    live.wait_for("order_accepted", process, 2)
    live.protocol.retry_after = 1.0
    live.protocol.refuses_next = 1
    live.order("buy 0.030")
    live.wait_for("orders_paused", process)
    code, text = ended(process, signal.SIGTERM)

    assert code == 143, text
    assert live.protocol.hasty == []
    assert live.exchange.open_orders == []
    assert live.exchange.positions[SYMBOL] == Decimal("0.010")


NEVER_MADE = """
import time
from nautilus_trader.trading import Strategy, StrategyConfig

class NeverMade(Strategy):
    def __init__(self, config: StrategyConfig) -> None:
        super().__init__(config)
        while True:
            time.sleep(0.05)
"""


def test_a_strategy_that_is_never_made_ends_the_process(live: LiveSession) -> None:
    (live.folder / "never_made.py").write_text(NEVER_MADE)
    live.change("trading_runtime.sessions.session", _MAKING_SECONDS=1.0)
    live.write(strategy={"path": "never_made.py:NeverMade", "config": {}}, limits={"blocked": "1s"})
    code, text = ended(live.start())

    assert code == 9, text
    assert "longer than limits.blocked (1s)" in text
    assert [item["kind"] for item in live.events("run_failed")] == ["timeout"]
    assert live.command("runs", "check", "one").returncode == 0
