"""The outbound queue in a session: what waits is journalled, and trades as in a backtest."""

from __future__ import annotations

import json
from datetime import datetime
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from tests.sessions.test_session import table

if TYPE_CHECKING:
    from tests.sessions.small_session import SmallSession


def limited(session: SmallSession, pace: str, orders: int = 1, per: str = "1s") -> None:
    """Let the strategy send five orders a bar, at a rate; in two minutes there are two bars."""
    session.use("bursting.py:Bursting")
    limit = {"order_rate_limit": {"orders": orders, "per": per}}
    session.write(
        execution=session.content["execution"] | limit,
        queue={"max_wait": "10s"},
        data=session.content["data"] | {"pace": pace, "end": "2024-01-01T00:10:30Z"},
    )


@pytest.mark.parametrize("pace", ["burst", "x600"])
def test_a_session_sends_what_waits_when_a_backtest_does(deployed: SmallSession, pace: str) -> None:
    limited(deployed, pace)
    ended = deployed.run()
    compared = json.loads(deployed.command("parity", "one", "--json").stdout)
    [stopped] = deployed.events("session_stopped")
    seconds = [ts.second for ts in table(deployed, "fills")["ts"].to_list()]

    assert ended.returncode == 0, ended.stderr
    assert compared["exact"] == compared["session_fills"] == compared["backtest_fills"]
    assert stopped["rows"] == 10
    assert seconds == [0, 1, 2, 3, 4] * 10
    waited = deployed.events("request_queued")
    assert [item["waiting"] for item in waited[:4]] == [1, 2, 3, 4]
    assert {item["what"] for item in waited} == {"order"}
    assert "queued   40 waited" in ended.stdout


def test_requests_go_out_by_the_wall_clock_when_the_data_has_its_own_pace(
    deployed: SmallSession,
) -> None:
    # Sixty times as fast: ten seconds of the data are a sixth of one.
    limited(deployed, "x60", per="10s")
    deployed.write(queue={"max_wait": "60s"})
    deployed.run()
    sent = [
        datetime.fromisoformat(entry["time"])
        for entry in deployed.journal()
        if entry["event"] == "order_submitted"
    ][:5]

    gaps = [(later - earlier).total_seconds() for earlier, later in pairwise(sent)]
    assert len(gaps) == 4
    # The first row may have come late, which the second request makes up for.
    assert sum(gaps) > 0.5
    assert all(gap > 0.1 for gap in gaps[1:]), gaps


def test_what_waits_when_a_session_is_killed_is_never_sent(deployed: SmallSession) -> None:
    limited(deployed, "x60", per="50s")
    deployed.write(queue={"max_wait": "1h"}, data=deployed.content["data"] | {"end": None})
    session = deployed.start()
    deployed.wait_for("request_queued", session, 4)
    deployed.command("kill", "activate", "--reason", "a test")
    session.communicate(timeout=60)
    names = [entry["event"] for entry in deployed.journal()]
    denied = deployed.events("order_denied")

    assert session.returncode == 10
    assert "order_submitted" not in names[names.index("session_halted") :]
    assert {item["rule"] for item in denied} == {"KILL_SWITCH"}
