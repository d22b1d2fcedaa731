"""Sessions of strategies under a supervisor: real ones, each with the engine in its process."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.deployments.conftest import PATIENCE_SECONDS
from tests.sessions.live_session import LiveSession
from tests.sessions.small_session import SmallSession
from trading_runtime.cli.main import invoke, root
from trading_runtime.operations.stand_in.bybit import TESTNET_KEYS

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from tests.deployments.conftest import Supervised


def test_a_session_runs_to_the_end_of_its_data_with_its_log_in_its_run(
    supervised: Supervised, small_dataset: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    SmallSession(supervised.folder, small_dataset)
    supervised.up()
    state = supervised.wait_for("small", "complete")
    results = supervised.folder / "results"
    run = results / "runs" / state["run_id"]

    assert json.loads((run / "metadata.json").read_text())["status"] == "complete"
    assert f"session  {state['run_id']}" in (run / "logs" / "output.log").read_text()
    assert (supervised.folder / ".deployments" / "heartbeats" / "small").exists()
    # The log goes on after the end that was sealed.
    assert invoke(root, ["runs", "check", state["run_id"], "--results", str(results)]) == 0
    assert "sound" in capsys.readouterr().out


def test_a_session_that_the_kill_switch_ended_is_not_started_again(
    supervised: Supervised, small_dataset: Path
) -> None:
    session = SmallSession(supervised.folder, small_dataset)
    session.play("real")
    supervised.up()
    state = supervised.wait_for("small", "running")
    supervised.wait(lambda: session.events("session_connected", state["run_id"]))
    killed = session.command("kill", "activate", "--reason", "it acts up")
    assert killed.returncode == 0, killed.stderr

    ended = supervised.wait_for("small", "killed")
    assert "the kill switch is on" in ended["why"]
    assert ended["restart_count"] == 0
    assert session.command("kill", "clear", "--reason", "it is over").returncode == 0
    assert supervised.command("start", "small").returncode == 0
    assert supervised.wait_for("small", "running")["run_id"] != state["run_id"]


def test_a_crashed_session_continues_its_account(
    supervised: Supervised, small_dataset: Path
) -> None:
    import os
    import signal

    session = SmallSession(supervised.folder, small_dataset)
    session.play("x600")
    session.write(restart={"backoff": "100ms"})
    supervised.up()
    first = supervised.wait_for("small", "running")
    supervised.wait(lambda: session.events("order_filled", first["run_id"]))
    os.kill(first["pid"], signal.SIGKILL)
    supervised.wait(lambda: supervised.state("small")["run_id"] != first["run_id"])
    second = supervised.wait_for("small", "running")
    supervised.wait(lambda: session.events("session_started", second["run_id"]))

    [started] = session.events("session_started", second["run_id"])
    assert started["carried_from"] == first["run_id"]


def test_orders_go_to_a_venue_only_where_the_supervisor_was_told_so(
    supervised: Supervised,
) -> None:
    supervised.environment |= TESTNET_KEYS
    with LiveSession(supervised.folder) as live:
        first = supervised.up()
        refused = supervised.wait_for("live", "refused")
        first.terminate()
        first.wait(PATIENCE_SECONDS)
        assert "--live live" in refused["why"]
        assert refused["run_id"] is None
        assert live.exchange.recorded("request") == []

        second = supervised.up("--live", "live", "--live", "lived")
        running = supervised.wait_for("live", "running")
        supervised.wait(lambda: live.events("session_connected", running["run_id"]))
        live.order("buy 0.010")
        supervised.wait(lambda: live.events("order_filled", running["run_id"]))
        second.terminate()
        second.wait(PATIENCE_SECONDS)

        [journalled] = live.events("order_filled", running["run_id"])
        [filled] = live.exchange.recorded("filled")
        assert journalled["trade_id"] == filled.facts["trade_id"]
        assert "--live lived: no file has a live deployment of that name" in supervised.said
        told = supervised.said + live.written() + (json.dumps(supervised.state("live")))
        assert not [value for value in TESTNET_KEYS.values() if value in told]
