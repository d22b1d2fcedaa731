"""What the metrics say of a session: by its journal alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.metrics.sample_folder import NEW_YEAR, SampleRun, collected, value
from trading_runtime.records.run_files import RunFiles
from trading_runtime.runs.lock import locked

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.damages_journals


def test_a_session_is_seen_by_its_heartbeats_and_by_what_it_sent(tmp_path: Path) -> None:
    run = SampleRun(tmp_path, "live")
    run.say(1, "session_started")
    run.say(2, "data_stale", instrument="A.SIM")
    run.say(3, "data_stale", instrument="B.SIM")
    run.say(4, "data_recovered", instrument="A.SIM")
    run.say(5, "session_reduced", on=True)
    run.say(6, "session_heartbeat", positions=2, resting=3, equity="1234.5")
    for second, event in enumerate(["order_submitted", "order_submitted", "order_filled"], 7):
        run.say(second, event)
    run.say(10, "request_queued")
    run.say(11, "order_denied")
    with locked(RunFiles(run.folder)):
        values = collected(tmp_path)
    found = {
        name: value(values, f"session_{name}", run_id="live")
        for name in (
            "heartbeat_timestamp_seconds", "stale_instruments", "reducing", "positions",
            "resting_orders", "equity", "orders_total", "fills_total", "orders_denied_total",
            "requests_queued_total",
        )
    }  # fmt: skip

    assert list(found.values()) == [NEW_YEAR + 6, 1, 1, 2, 3, 1234.5, 2, 1, 1, 1]


def test_a_run_that_is_no_session_has_none_of_them(tmp_path: Path) -> None:
    SampleRun(tmp_path, "research").say(1, "run_initialised")

    assert value(collected(tmp_path), "session_orders_total", run_id="research") is None
