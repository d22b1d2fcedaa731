"""Orders that rest in a paper account: a restart puts them back with all that they say."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING, Any

import pytest

from tests.sessions.small_session import PATIENCE_SECONDS
from tests.small_experiment import INSTRUMENT
from trading_runtime.engine.live.resting import ended_since
from trading_runtime.records.account import OrderTerms, RestingOrder
from trading_runtime.records.forms import to_document

if TYPE_CHECKING:
    from pathlib import Path

    from tests.sessions.small_session import SmallSession

SENT = 9
"""Orders that the strategy sends, the three of its bracket included."""


def written(log: Path) -> list[dict[str, dict[str, Any]]]:
    """Return what the strategy has written down, bar by bar."""
    return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


def resting(order_id: str, **terms: Any) -> RestingOrder:
    """Return an order with these terms."""
    limit = INSTRUMENT, "BUY", "LIMIT", "1", "9.0", None
    return RestingOrder(order_id, *limit, "GTC", reduce_only=False, terms=OrderTerms(**terms))


EXPIRED_BRACKET = (
    resting("entry", contingency_type="OTO", linked_order_ids=("stop", "gone"), expire_time=5),
    resting("stop", parent_order_id="entry"),
)


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGKILL])
def test_a_restart_puts_orders_back_with_their_terms(deployed: SmallSession, ending: int) -> None:
    log = deployed.folder / "log.jsonl"
    deployed.use("waiting.py:Waiting", log=str(log))
    deployed.write(on_stop="hold")
    deployed.play("x600")
    process = deployed.start()
    deployed.wait(lambda: len(written(log)) > 4, process)
    process.send_signal(ending)
    process.communicate(timeout=PATIENCE_SECONDS)
    before = written(log)[-1]
    lines = len(written(log))
    state = deployed.results / "accounts" / "small" / "state.json"
    content = json.loads(state.read_text())
    content["orders"] += map(to_document, EXPIRED_BRACKET)
    state.write_text(json.dumps(content))
    deployed.play("burst")
    ended = deployed.run("--run-id", "two")
    after = written(log)[lines]
    tags = {(said["tags"] or [""])[0]: order_id for order_id, said in before.items()}
    filled = [item["order_id"] for item in deployed.events("order_filled", "two")]

    assert ended.returncode == 0, ended.stderr
    assert len(before) == SENT
    [trailing] = [name for name, said in before.items() if said["trailing_offset"]]
    # Its trigger follows the market, and stays where it came to.
    triggers = [float(said[trailing].pop("trigger_price")) for said in (before, after)]
    assert 30_000 <= triggers[0] <= triggers[1]
    assert after == before
    # The bracket works as if nothing had happened: a fill of one side ends the other.
    assert filled == [tags["ENTRY"], tags["TAKE_PROFIT"]]
    how = {item["order_id"]: item["how"] for item in deployed.events("order_ended", "two")}
    assert tags["STOP_LOSS"] in how
    # Of the bracket whose entry has expired meanwhile, nothing comes back.
    assert (how["entry"], how["stop"]) == ("expired", "canceled")
    [stopped] = deployed.events("session_stopped", "two")
    assert (stopped["positions"], stopped["resting"]) == (0, SENT - 3)


def test_an_order_that_has_expired_ends_those_that_are_tied_to_it() -> None:
    orders = [*EXPIRED_BRACKET, resting("other", expire_time=6)]

    assert ended_since(orders, 5) == {"entry": "expired", "stop": "canceled"}
    assert ended_since(orders, 4) == {}
