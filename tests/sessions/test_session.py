"""A paper session from its deployment file to what it leaves, as a process of its own."""

from __future__ import annotations

import io
import json
import signal
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from tests.sessions.small_session import PATIENCE_SECONDS
from tests.small_experiment import BARS_A_DAY, DAY_STARTS, INSTRUMENT
from trading_runtime.cli.main import invoke, root
from trading_runtime.results.store import Store

if TYPE_CHECKING:
    from tests.sessions.small_session import SmallSession

ROWS = BARS_A_DAY * len(DAY_STARTS)


def table(session: SmallSession, name: str, run_id: str = "one") -> pl.DataFrame:
    """Return an artifact of the session's one task."""
    store = Store(session.results)
    plan = json.loads((session.results / "runs" / run_id / "plan.json").read_text())
    content = store.read_task_file(plan["tasks"][0]["task_id"], f"{name}.parquet")
    return pl.read_parquet(io.BytesIO(content))


def submitted_after(session: SmallSession, event: str) -> list[dict[str, Any]]:
    """Return the orders that were written down after the first event of this name."""
    names = [entry["event"] for entry in session.journal()]
    return [
        entry
        for entry in session.journal()[names.index(event) :]
        if entry["event"] == "order_submitted"
    ]


def test_a_session_sees_every_row_and_is_a_run_like_others(played: SmallSession) -> None:
    [stopped] = played.events("session_stopped")
    metadata = played.metadata()

    assert stopped["rows"] == ROWS
    assert stopped["rows_left"] is False
    assert (metadata["status"], metadata["mode"]) == ("complete", "paper")
    assert (played.results / "runs" / "one" / "report" / "index.html").is_file()


def test_its_fills_are_those_of_a_backtest_of_the_same_rows(played: SmallSession) -> None:
    compared = played.command("parity", "one", "--json")
    found = json.loads(compared.stdout)

    assert compared.returncode == 0, compared.stderr
    assert found["exact"] == found["session_fills"] == found["backtest_fills"] > 20
    assert (played.results / "runs" / "one" / "parity" / "equity.svg").is_file()


def test_the_journal_has_each_fill_and_each_order_before_its_fill(played: SmallSession) -> None:
    sent: set[str] = set()
    for entry in played.journal():
        order_id = entry["payload"].get("order_id")
        if entry["event"] == "order_submitted":
            sent.add(order_id)
        elif order_id is not None:
            assert order_id in sent, entry
    filled = played.events("order_filled")

    assert [item["price"] for item in filled] == [
        f"{price.normalize():.1f}" for price in table(played, "fills")["price"]
    ]


def test_fills_are_stated_at_the_rows_that_made_them(played: SmallSession) -> None:
    times = table(played, "fills")["ts"].dt.epoch("s").to_list()
    closes = {start + 60 * (bar + 1) for start in DAY_STARTS for bar in range(BARS_A_DAY)}

    assert set(times) <= closes


def test_runs_commands_work_on_a_session(played: SmallSession) -> None:
    for words, shown in (
        (("runs", "list"), "complete"),
        (("runs", "show", "one"), "trading-runtime parity one"),
        (("runs", "check", "one"), "sound"),
        (("runs", "watch", "one"), "complete"),
        (("results", "show", "one"), "1/1"),
    ):
        ended = played.command(*words)
        assert ended.returncode == 0, ended.stderr
        assert shown in ended.stdout + ended.stderr


def test_a_session_is_not_taken_for_a_backtest_that_can_be_repeated(played: SmallSession) -> None:
    verified = played.command("verify", "one")

    assert verified.returncode == 2
    assert "trading-runtime parity one" in verified.stderr


def test_the_evidence_of_a_session_is_whole(played: SmallSession) -> None:
    assert played.command("evidence", "bundle", "one", "--to", "one.zip").returncode == 0
    checked = invoke(root, ["evidence", "check", str(played.folder / "one.zip")])

    assert checked == 0


@pytest.mark.parametrize("pace", ["burst", "x20000"])
def test_the_pace_changes_no_fill(deployed: SmallSession, played: SmallSession, pace: str) -> None:
    deployed.play(pace)
    ended = deployed.run()

    assert ended.returncode == 0, ended.stderr
    columns = ["instrument_id", "side", "quantity", "price", "fee", "ts"]
    assert table(deployed, "fills")[columns].equals(table(played, "fills")[columns])


@pytest.mark.parametrize(("how", "code"), [("SIGTERM", 143), ("SIGINT", 130), ("runs stop", 130)])
def test_a_stop_loses_no_row_and_what_was_seen_still_compares(
    deployed: SmallSession, how: str, code: int
) -> None:
    deployed.use("steady.py:Steady", rests=False)
    deployed.play("x1200")
    session = deployed.start()
    deployed.wait_for("order_filled", session, 5)
    if how == "runs stop":
        assert deployed.command("runs", "stop", "one").returncode == 0
    else:
        session.send_signal(getattr(signal, how))
    session.communicate(timeout=PATIENCE_SECONDS)
    [stopped] = deployed.events("session_stopped")
    compared = json.loads(deployed.command("parity", "one", "--json").stdout)

    assert session.returncode == code
    assert stopped["rows_left"] is True
    # An order a bar: none is missing for a row that was handed over.
    assert stopped["orders"] == stopped["rows"]
    assert deployed.metadata()["status"] == "stopped"
    assert compared["exact"] == compared["session_fills"] == compared["backtest_fills"]


def test_a_stopped_session_cancels_what_rests(deployed: SmallSession) -> None:
    deployed.use("steady.py:Steady")
    ended = deployed.run()
    [stopped] = deployed.events("session_stopped")

    assert ended.returncode == 0, ended.stderr
    assert [item["how"] for item in deployed.events("order_ended")] == ["canceled"]
    assert stopped["resting"] == 0
    # Sold is what was bought before, every fourth bar.
    assert stopped["positions"] == 0


@pytest.mark.parametrize(("on_stop", "positions", "resting"), [("hold", 1, 1), ("flatten", 0, 0)])
def test_on_stop_says_what_is_left(
    deployed: SmallSession, on_stop: str, positions: int, resting: int
) -> None:
    deployed.use("steady.py:Steady", sells=False)
    deployed.write(on_stop=on_stop)
    ended = deployed.run()
    [stopped] = deployed.events("session_stopped")

    assert ended.returncode == 0, ended.stderr
    assert (stopped["positions"], stopped["resting"]) == (positions, resting)


@pytest.mark.parametrize(("on_failure", "positions"), [("hold", 1), ("flatten", 0)])
def test_an_exception_of_a_callback_ends_the_session(
    deployed: SmallSession, on_failure: str, positions: int
) -> None:
    deployed.use("steady.py:Steady", raises_at=100, sells=False)
    deployed.write(on_failure=on_failure)
    ended = deployed.run()
    [stopped] = deployed.events("session_stopped")
    later = submitted_after(deployed, "session_halted")

    assert ended.returncode == 4
    assert "ValueError: as it was told to (steady.py:" in ended.stderr
    assert (stopped["positions"], stopped["resting"]) == (positions, 0)
    assert len(later) == (on_failure == "flatten")
    assert deployed.metadata()["status"] == "failed"


def test_an_exception_of_on_stop_fails_the_session_and_its_tables_are_stored(
    deployed: SmallSession,
) -> None:
    deployed.use("steady.py:Steady", raises_at_stop=True, rests=False)
    ended = deployed.run()

    assert ended.returncode == 4
    assert "ValueError: as it was told to (steady.py:" in ended.stderr
    assert deployed.metadata()["status"] == "failed"
    assert [item["kind"] for item in deployed.events("run_failed")] == ["strategy"]
    assert table(deployed, "fills").height == ROWS


def test_what_on_stop_buys_is_written_down_kept_and_as_in_a_backtest(
    deployed: SmallSession,
) -> None:
    deployed.use("steady.py:Steady", buys_at_stop=True, rests=False)
    deployed.write(on_stop="hold")
    ended = deployed.run()
    compared = json.loads(deployed.command("parity", "one", "--json").stdout)
    state = json.loads((deployed.results / "accounts/small/state.json").read_text())

    assert ended.returncode == 0, ended.stderr
    assert deployed.events("order_filled")[-1]["quantity"] == "0.007"
    # Sold is what was bought before, every fourth bar.
    assert [item["quantity"] for item in state["positions"]] == ["0.007"]
    assert compared["exact"] == compared["backtest_fills"] == ROWS + 1


@pytest.mark.parametrize(("on_failure", "positions"), [("hold", 1), ("flatten", 0)])
def test_after_the_kill_switch_no_order_goes_out_but_what_flattens(
    deployed: SmallSession, on_failure: str, positions: int
) -> None:
    deployed.use("steady.py:Steady", sells=False)
    deployed.write(on_failure=on_failure)
    deployed.play("x600")
    session = deployed.start()
    deployed.wait_for("order_filled", session, 3)
    assert deployed.command("kill", "activate", "--reason", "a test").returncode == 0
    _, errors = session.communicate(timeout=PATIENCE_SECONDS)
    [stopped] = deployed.events("session_stopped")
    later = submitted_after(deployed, "session_halted")

    assert session.returncode == 10
    assert "a test" in errors
    assert (stopped["positions"], stopped["resting"]) == (positions, 0)
    assert [item["payload"]["side"] for item in later] == ["SELL"] * (on_failure == "flatten")
    assert deployed.metadata()["status"] == "killed"
    assert deployed.run("--run-id", "two").returncode == 10


def test_a_kill_switch_that_cannot_be_read_is_on(deployed: SmallSession) -> None:
    deployed.use("steady.py:Steady")
    deployed.play("x600")
    session = deployed.start()
    deployed.wait_for("order_filled", session, 3)
    # Reading a folder as if it were the switch fails for every user.
    (deployed.results / "kill-switch" / "on" / "all.json").mkdir(parents=True)
    _, errors = session.communicate(timeout=PATIENCE_SECONDS)

    assert session.returncode == 10
    assert "cannot be read" in errors
    assert submitted_after(deployed, "session_halted") == []


def test_a_session_above_its_memory_ends_as_a_crash(deployed: SmallSession) -> None:
    deployed.use("steady.py:Steady", hoards=True)
    deployed.play("x600")
    # Each bar brings an order, and of three only one goes out; the others wait.
    limit = {"order_rate_limit": {"orders": 1, "per": "3m"}}
    deployed.write(execution=deployed.content["execution"] | limit, queue={"max_wait": "1h"})
    deployed.write(limits={"memory": "400 MiB"})
    ended = deployed.run()
    denied = deployed.events("order_denied")

    assert ended.returncode == 7
    assert "limits.memory (400 MiB)" in ended.stderr
    assert {item["message"] for item in denied} == {
        "FAILURE: the session ends (crash), and no order goes out"
    }
    assert {item["rule"] for item in denied} == {"FAILURE"}
    assert submitted_after(deployed, "session_halted") == []


def test_orders_are_held_back_while_no_data_comes(deployed: SmallSession) -> None:
    deployed.use("steady.py:Steady", rests=False)
    # The twenty hours between two days take five seconds.
    deployed.play("x14400")
    window = {"start": "2024-01-01T03:30:00Z", "end": "2024-01-02T00:30:00Z"}
    deployed.write(stale_after="1s", data=deployed.content["data"] | window)
    ended = deployed.run()

    assert ended.returncode == 0, ended.stderr
    assert {item["instrument"] for item in deployed.events("data_stale")} == {INSTRUMENT}
    assert {item["instrument"] for item in deployed.events("data_recovered")} == {INSTRUMENT}


def test_data_that_the_replay_does_not_have_is_named(deployed: SmallSession) -> None:
    deployed.use("steady.py:Steady", wants_more=True)
    ended = deployed.run()

    assert f"not fed  trades of {INSTRUMENT}" in ended.stdout, ended.stderr


def test_the_risk_section_holds_and_each_denial_is_written(deployed: SmallSession) -> None:
    deployed.use("steady.py:Steady", sells=False, rests=False)
    deployed.write(risk={"max_position_quantity": "0.05"})
    ended = deployed.run()
    [stopped] = deployed.events("session_stopped")
    denied = deployed.events("order_denied")

    assert ended.returncode == 0, ended.stderr
    assert stopped["fills"] == 5
    assert len(denied) == ROWS - 5
    assert {item["rule"] for item in denied} == {"max_position_quantity"}
    assert table(deployed, "orders")["status"].value_counts().sort("status").rows() == [
        ("DENIED", ROWS - 5),
        ("FILLED", 5),
    ]


def test_a_session_trades_without_what_only_its_end_needs(deployed: SmallSession) -> None:
    log = deployed.folder / "loaded.json"
    deployed.use("listing.py:Listing", log=str(log))
    ended = deployed.run()
    found = json.loads(log.read_text())

    assert ended.returncode == 0, ended.stderr
    assert not {"numpy", "pyarrow", "polars", "jinja2"} & set(found["modules"])
    assert "no part of this task's identity" in found["pandas"], "Arrow would import it at a flush"
    assert found["collects"], "the collector was off for the start alone"
    assert found["passed_over"], "the collector scans what the start made"
