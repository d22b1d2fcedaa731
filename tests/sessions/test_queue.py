"""The outbound queue in a session: what waits is journalled, and trades as in a backtest."""

from __future__ import annotations

import json
import signal
import statistics
from datetime import datetime
from decimal import Decimal
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from tests.sessions.small_session import PATIENCE_SECONDS, ended
from tests.sessions.test_session import table

if TYPE_CHECKING:
    from tests.sessions.live_session import LiveSession
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
    played = deployed.run()
    compared = json.loads(deployed.command("parity", "one", "--json").stdout)
    [stopped] = deployed.events("session_stopped")
    seconds = [ts.second for ts in table(deployed, "fills")["ts"].to_list()]

    assert played.returncode == 0, played.stderr
    assert compared["exact"] == compared["session_fills"] == compared["backtest_fills"]
    assert stopped["rows"] == 10
    assert seconds == [0, 1, 2, 3, 4] * 10
    waited = deployed.events("request_queued")
    assert [item["waiting"] for item in waited[:4]] == [1, 2, 3, 4]
    assert {item["what"] for item in waited} == {"order"}
    assert "queued   40 waited" in played.stdout


def test_requests_go_out_by_the_wall_clock_when_the_data_has_its_own_pace(
    deployed: SmallSession,
) -> None:
    # Sixty times as fast: ten seconds of the data are a sixth of one.
    limited(deployed, "x60", per="10s")
    window = {"end": "2024-01-01T00:04:59Z"}
    deployed.write(queue={"max_wait": "60s"}, data=deployed.content["data"] | window)
    deployed.run()
    sent = [
        datetime.fromisoformat(entry["time"])
        for entry in deployed.journal()
        if entry["event"] == "order_submitted"
    ]

    # Five of each of four bars. One that was late is made up for by the next one.
    assert len(sent) == 20
    gaps = [(later - earlier).total_seconds() for earlier, later in pairwise(sent)]
    assert statistics.median(gaps) > 0.1


def test_what_waits_when_a_session_is_killed_is_never_sent(deployed: SmallSession) -> None:
    limited(deployed, "x60", per="50s")
    deployed.write(queue={"max_wait": "1h"}, data=deployed.content["data"] | {"end": None})
    session = deployed.start()
    deployed.wait_for("request_queued", session, 4)
    deployed.command("kill", "activate", "--reason", "a test")
    session.communicate(timeout=PATIENCE_SECONDS)
    names = [entry["event"] for entry in deployed.journal()]
    denied = deployed.events("order_denied")

    assert session.returncode == 10
    assert "order_submitted" not in names[names.index("session_halted") :]
    assert {item["rule"] for item in denied} == {"KILL_SWITCH"}


def at_venue(live: LiveSession, max_wait: str, orders: int, per: str) -> None:
    """Send requests to the venue at a rate."""
    limit = {"order_rate_limit": {"orders": orders, "per": per}}
    live.write(execution=live.content["execution"] | limit, queue={"max_wait": max_wait})


def test_a_venue_gets_what_waits_at_its_rate_and_cancellations_first(live: LiveSession) -> None:
    at_venue(live, "5m", 1, "1s")
    process = live.connect()
    live.order("rest 0.010 40000.0")
    live.wait_for("order_accepted", process)
    live.order("rest 0.020 41000.0", "rest 0.030 42000.0", "rest 0.040 43000.0", "cancel first")
    live.wait_for("order_accepted", process, 4)
    _, text = ended(process, signal.SIGTERM)
    first, *others = live.accepted
    facts = [(fact.what, fact.about) for fact in live.exchange.record if fact.what != "request"]
    waited = live.events("request_queued")

    # The first of the three may have gone at once; of what waited, the cancellation is first.
    assert facts.index(("cancelled", first)) < facts.index(("accepted", others[1]))
    assert [live.exchange.find(link_id=name).quantity for name in live.accepted] == [  # type: ignore[union-attr]
        Decimal("0.010"),
        Decimal("0.020"),
        Decimal("0.030"),
        Decimal("0.040"),
    ]
    assert [item["what"] for item in waited][-3:] == ["order", "order", "cancellation"]
    assert waited[-1]["order_id"] == first
    assert f"queued   {len(waited)} waited" in text


def test_what_waited_too_long_is_not_sent_to_the_venue(live: LiveSession) -> None:
    at_venue(live, "1s", 2, "1h")
    process = live.connect()
    live.order(*["rest 0.010 40000.0"] * 5)
    live.wait_for("order_denied", process, 3)
    ended(process, signal.SIGTERM)

    assert len(live.accepted) == 2
    assert {item["rule"] for item in live.events("order_denied")} == {"max_wait"}
    assert len(live.events("request_queued")) == 3


def test_a_killed_session_sends_the_venue_nothing_that_waits(live: LiveSession) -> None:
    at_venue(live, "1h", 1, "10s")
    process = live.connect()
    live.order(*["rest 0.010 40000.0"] * 3)
    live.wait_for("request_queued", process, 2)
    live.command("kill", "activate", "--reason", "a test")
    code, text = ended(process)
    sent = [item["order_id"] for item in live.events("order_submitted")]

    assert code == 10, text
    assert live.accepted == sent
    assert len(sent) + len(live.events("order_denied")) == 3
    assert live.exchange.open_orders == []
