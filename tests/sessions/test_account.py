"""The account of a deployment: it continues after a stop and a kill, and one session has it."""

from __future__ import annotations

import json
import os
import random
import signal
import time
import urllib.error
import urllib.request
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from tests.sessions.small_session import PATIENCE_SECONDS
from tests.sessions.test_session import submitted_after, table
from trading_runtime.errors import UsageError
from trading_runtime.results.store import Store
from trading_runtime.sessions.account import SessionAccount
from trading_runtime.sessions.parity import compare_session

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    from tests.sessions.small_session import SmallSession


def state(session: SmallSession) -> dict[str, Any]:
    """Return what is kept of the account."""
    path = session.results / "accounts" / "small" / "state.json"
    content: dict[str, Any] = json.loads(path.read_text())
    return content


def stopped_while_it_holds(session: SmallSession, how: int = signal.SIGTERM) -> None:
    """Run a session until it holds a position and an order rests, and end it."""
    session.use("keeping.py:Keeping")
    session.write(on_stop="hold")
    session.play("x1200")
    process = session.start()
    session.wait(lambda: len(session.events("order_accepted")) == 1, process)
    session.wait(lambda: len(state(session)["orders"]) == 1, process)
    process.send_signal(how)
    process.communicate(timeout=PATIENCE_SECONDS)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_position_order_and_balance_go_on_without_a_step_in_equity(
    deployed: SmallSession, how: int
) -> None:
    stopped_while_it_holds(deployed, how)
    bought = deployed.events("order_filled")
    spent = sum(Decimal(item["fee"].split()[0]) for item in bought)
    deployed.play("burst")
    deployed.write(limits={"heartbeat": "100ms"})
    ended = deployed.run("--run-id", "two")
    [started] = deployed.events("session_started", "two")
    [restored] = deployed.events("account_restored", "two")
    [stopped] = deployed.events("session_stopped", "two")
    equity = table(deployed, "equity", "two")
    average = sum(Decimal(item["quantity"]) * Decimal(item["price"]) for item in bought) / Decimal(
        "0.1"
    )

    assert ended.returncode == 0, ended.stderr
    assert (started["carried_from"], started["saved"]) == ("one", ["bars"])
    with pytest.raises(UsageError, match="'two' began with what its strategy saved in an earlier"):
        compare_session(Store(deployed.results), "two")
    assert Decimal(started["balances"][0].split()[0]) == 100_000 - spent
    assert [item.split()[0] for item in restored["positions"]] == ["BTCUSDT-PERP.SIM"]
    assert Decimal(restored["positions"][0].split()[1]) == Decimal("0.1")
    assert restored["orders"] == [deployed.events("order_accepted")[0]["order_id"]]
    # It was told how many bars it had seen: nothing is bought again.
    assert deployed.events("order_filled", "two") == []
    assert (stopped["positions"], stopped["resting"]) == (1, 1)
    # What the account is worth at the end: what is left, and the position at the last close.
    last = equity["equity"][-1]
    close = Decimal(str(last)) - (100_000 - spent)
    assert Decimal(state(deployed)["positions"][0]["average_price"]) == pytest.approx(average)
    assert abs(close) < 100_000 * Decimal("0.05")


@pytest.mark.damages_journals
def test_what_a_killed_session_left_is_refused_by_its_reason(deployed: SmallSession) -> None:
    stopped_while_it_holds(deployed, signal.SIGKILL)
    compared = deployed.command("parity", "one")
    path = deployed.results / "accounts" / "small" / "state.json"
    left = path.read_bytes()
    # What another strategy saved, with no key that this one knows.
    path.write_text(json.dumps(json.loads(left) | {"strategy": {"seen": "AQI="}}))
    forgot = deployed.run("--run-id", "two")
    path.write_bytes(left[: len(left) // 2])
    cut = deployed.run("--run-id", "three")
    path.write_bytes(left.replace(b"BTCUSDT-PERP", b"ETHUSDT-PERP"))
    elsewhere = deployed.run("--run-id", "four")

    assert compared.returncode == 2
    assert "left no tables to compare: it did not reach its end" in compared.stderr
    assert forgot.returncode == 4
    assert "KeyError: 'bars'" in forgot.stderr
    assert "while the strategy loaded what an earlier session saved" in forgot.stderr
    assert cut.returncode == 3
    assert "state.json: damaged" in cut.stderr
    assert "--fresh" in cut.stderr
    assert elsewhere.returncode == 2
    assert "left positions or orders in ETHUSDT-PERP.SIM, which the data does" in elsewhere.stderr
    assert b"ETHUSDT-PERP" in path.read_bytes()


def test_the_equity_of_both_sessions_is_that_of_one(deployed: SmallSession) -> None:
    stopped_while_it_holds(deployed)
    deployed.play("burst")
    assert deployed.run("--run-id", "two").returncode == 0
    halves = [
        *table(deployed, "equity").rows()[:-1],
        *table(deployed, "equity", "two").rows()[1:],
    ]
    assert deployed.run("--run-id", "whole", "--fresh").returncode == 0
    whole = table(deployed, "equity", "whole").rows()

    # Where the first was stopped, both stated the account: there it makes no step.
    assert {row[:2] for row in halves} <= {row[:2] for row in whole}
    assert len(halves) == len(whole)


def test_an_account_whose_data_ended_begins_anew(deployed: SmallSession) -> None:
    assert deployed.run().returncode == 0
    assert deployed.run("--run-id", "two").returncode == 0
    [started] = deployed.events("session_started", "two")

    assert "carried_from" not in started
    assert started["balances"] == ["100000 USDT"]


def test_other_terms_are_refused_unless_the_account_is_to_be_new(deployed: SmallSession) -> None:
    stopped_while_it_holds(deployed)
    deployed.write(execution=deployed.content["execution"] | {"leverage": 3})
    refused = deployed.run("--run-id", "two")

    assert refused.returncode == 2
    assert "another 'execution' section" in refused.stderr
    deployed.play("burst")
    assert deployed.run("--run-id", "three", "--fresh").returncode == 0


def test_one_session_at_a_time_has_the_account(deployed: SmallSession) -> None:
    deployed.play("x60")
    first = deployed.start()
    deployed.wait_for("session_connected", first)
    second = deployed.run("--run-id", "two")
    first.send_signal(signal.SIGTERM)
    first.communicate(timeout=PATIENCE_SECONDS)

    assert second.returncode == 2
    assert "in use by session 'one'" in second.stderr
    assert not (deployed.results / "runs" / "two" / "metadata.json").exists()


def test_a_holder_that_lost_the_account_sends_nothing_more(deployed: SmallSession) -> None:
    deployed.use("steady.py:Steady", sells=False)
    deployed.write(on_failure="flatten")
    deployed.play("x600")
    session = deployed.start()
    deployed.wait_for("order_filled", session, 3)
    lease = deployed.results / "accounts" / "small" / "lease.json"
    content = json.loads(lease.read_text())
    lease.write_text(json.dumps(content | {"token": content["token"] + 1, "session": "other"}))
    _, errors = session.communicate(timeout=PATIENCE_SECONDS)

    assert session.returncode not in {0, 130, 143}
    assert "session 'other' has taken the account" in errors
    assert submitted_after(deployed, "session_halted") == []


def test_the_reduce_switch_lets_only_smaller_positions_through(deployed: SmallSession) -> None:
    deployed.use("steady.py:Steady", rests=False)
    deployed.play("x600")
    session = deployed.start()
    deployed.wait_for("order_filled", session, 3)
    assert deployed.command("kill", "activate", "--reduce", "--reason", "a test").returncode == 0
    deployed.wait_for("session_reduced", session)
    deployed.wait(lambda: len(denials(deployed)) > 2, session)
    assert deployed.command("kill", "clear", "--reduce", "--reason", "a test").returncode == 0
    deployed.wait_for("session_reduced", session, 2)
    session.send_signal(signal.SIGTERM)
    session.communicate(timeout=PATIENCE_SECONDS)
    between = [entry for entry in deployed.journal() if entry["event"] != "session_heartbeat"]
    first, last = (
        number for number, entry in enumerate(between) if entry["event"] == "session_reduced"
    )
    sent = [
        entry["payload"]["side"]
        for entry in between[first:last]
        if entry["event"] == "order_submitted"
    ]

    assert session.returncode == 143
    assert "BUY" not in sent


def denials(session: SmallSession) -> list[dict[str, Any]]:
    """Return the orders that the reduce switch held back."""
    return [item for item in session.events("order_denied") if item["rule"] == "reduce"]


def test_a_callback_that_does_not_return_ends_the_process(deployed: SmallSession) -> None:
    deployed.use("keeping.py:Keeping", blocks_at=10)
    deployed.write(limits={"blocked": "1s"})
    ended = deployed.run()

    assert ended.returncode == 9
    assert "longer than limits.blocked (1s)" in ended.stderr
    assert deployed.metadata()["status"] == "failed"
    assert [item["kind"] for item in deployed.events("run_failed")] == ["timeout"]


def test_a_kill_switch_that_would_block_whoever_reads_it_is_on(deployed: SmallSession) -> None:
    deployed.use("steady.py:Steady", rests=False)
    deployed.play("x60")
    session = deployed.start()
    deployed.wait_for("order_filled", session)
    switch = deployed.results / "kill-switch" / "on"
    switch.mkdir(parents=True)
    os.mkfifo(switch / "all.json")  # opening it waits for a writer, who never comes
    _, errors = session.communicate(timeout=PATIENCE_SECONDS)

    assert session.returncode == 10, errors
    assert "cannot be read, and so counts as on" in errors
    assert "is a FIFO" in errors


def asked(address: str) -> tuple[int, dict[str, Any]]:
    """Ask the session's server; return the code and what it says."""
    try:
        with urllib.request.urlopen(address, timeout=PATIENCE_SECONDS) as answer:  # noqa: S310 - our own
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


@pytest.mark.parametrize("places", [("bybit-1", None), (None, "bybit-1"), ("bybit-1", "bybit-2")])
def test_a_deployments_name_is_traded_by_one_session_wherever_its_account_is(
    tmp_path: Path, places: tuple[str | None, str | None]
) -> None:
    first, second = places
    with SessionAccount(Store(tmp_path), "small", second).held("s-1"):
        pass
    again = SessionAccount(Store(tmp_path), "small", second)
    # It names the session that runs, and none that ended long ago.
    refused = pytest.raises(UsageError, match="account of 'small' is in use by session 's-2'")
    with SessionAccount(Store(tmp_path), "small", first).held("s-2"), refused, again.held("s-3"):
        pytest.fail("there are two")
    with again.held("s-4"):
        pass


def test_the_health_server_tells_how_the_session_is(deployed: SmallSession) -> None:
    deployed.use("steady.py:Steady", rests=False)
    deployed.play("x60")
    deployed.write(health={"port": 0}, stale_after="1m")
    session = deployed.start()
    deployed.wait_for("order_filled", session)
    [served] = deployed.events("health_served")
    address = served["address"]
    lives, ready = asked(f"{address}/healthz"), asked(f"{address}/readyz")
    code, status = asked(f"{address}/status")
    deployed.command("kill", "activate", "--reduce", "--reason", "a test")
    deployed.wait_for("session_reduced", session)
    reduced = asked(f"{address}/readyz")
    unknown = asked(f"{address}/else")
    session.send_signal(signal.SIGTERM)
    session.communicate(timeout=PATIENCE_SECONDS)

    assert address.startswith("http://127.0.0.1:")
    assert (lives[0], ready[0], code, unknown[0]) == (200, 200, 200, 404)
    assert status["run_id"] == "one"
    assert status["rows"] > 0
    assert status["balances"][0].endswith(" USDT")
    assert reduced[0] == 503
    assert "position smaller" in reduced[1]["why"][0]


def killed_at_random(session: SmallSession, run_id: str, chance: random.Random) -> None:
    """Start a session and kill it at a random moment after it connected."""
    process: subprocess.Popen[str] = session.start("--run-id", run_id)
    session.wait(lambda: bool(session.events("session_connected", run_id)), process)
    time.sleep(chance.uniform(0, 0.6))
    process.kill()
    process.communicate()


def test_kills_at_random_moments_lose_no_fill_and_invent_none(
    deployed: SmallSession, request: pytest.FixtureRequest
) -> None:
    deployed.use("steady.py:Steady", sells=False, rests=False)
    deployed.write(on_stop="hold")
    deployed.play("x1200")
    chance = random.Random(5)  # noqa: S311 - moments
    names = [f"killed-{number}" for number in range(request.config.getoption("--kills") // 3)]
    for name in names:
        killed_at_random(deployed, name, chance)
    deployed.write(data=deployed.content["data"] | {"pace": "burst", "end": "2024-01-01T03:00:00Z"})
    ended = deployed.run("--run-id", "last")
    fills = [item for name in (*names, "last") for item in deployed.events("order_filled", name)]
    held = Decimal(state(deployed)["positions"][0]["quantity"])
    fees = sum(Decimal(item["fee"].split()[0]) for item in fills)

    assert ended.returncode == 0, ended.stderr
    # Each bar is traded once: none twice, though sessions were killed between two of them.
    assert len({item["at"] for item in fills}) == len(fills)
    assert held == sum(Decimal(item["quantity"]) for item in fills)
    assert Decimal(state(deployed)["balances"][0].split()[0]) == 100_000 - fees
