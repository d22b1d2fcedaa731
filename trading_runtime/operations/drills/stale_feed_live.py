"""Drill: in a running session one instrument's data stops while another's continues."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trading_runtime.operations.drills.scratch import TRADED
from trading_runtime.operations.drills.sessions import journalled
from trading_runtime.records.session_events import (
    DataRecovered,
    DataStale,
    OrderDenied,
    OrderSubmitted,
)
from trading_runtime.units import NANOSECONDS, parse_instant

if TYPE_CHECKING:
    from trading_runtime.operations.drills.running import Steps
    from trading_runtime.operations.drills.scratch import DrillFolder

SABOTAGE = """
from trading_runtime.sessions.watching import HealthWatch
HealthWatch._look_at_rows = lambda self, name, newest, now: None
"""
"""Nothing looks at how old an instrument's data is."""
_GAP = range(30, 90)
_FIRST = parse_instant("2024-01-01T00:00:00Z")
_STALE = 20
"""Bars after which data is stale: at a twentieth of a second each, a second."""
_LATE = 20
"""Bars that may pass before it is noticed: another second."""


def drill(scratch: DrillFolder, steps: Steps) -> None:
    """Let a session trade over a gap in one instrument's data."""
    scratch.make_dataset(gap=_GAP)
    scratch.write_deployment(config={}, pace="x1200", stale_after="1s")
    ended = scratch.command("trade", "drill.json", "--run-id", "drill")
    sent = [
        (parse_instant(order.at) - _FIRST) // NANOSECONDS["m"] - 1
        for order in journalled(scratch, OrderSubmitted)
        if order.at is not None
    ]
    held_back = range(_GAP.start + _STALE + _LATE, _GAP.stop)
    late = [minute for minute in sent if minute in held_back]
    steps.expect("no order goes out at old prices", not late, f"{len(late)} did")
    denied = [order.rule for order in journalled(scratch, OrderDenied)]
    named = bool(denied) and set(denied) == {"stale_after"}
    steps.expect("each is denied by its rule", named, f"{len(denied)} denied")
    stale = [event.instrument for event in journalled(scratch, DataStale)]
    steps.expect("the instrument is named", stale == [TRADED], f"stale: {stale or 'none'}")
    recovered = [event.instrument for event in journalled(scratch, DataRecovered)]
    steps.expect("it recovers", recovered == [TRADED], f"recovered: {recovered or 'none'}")
    after = [minute for minute in sent if minute >= _GAP.stop]
    steps.expect("fresh data is traded again", len(after) > 1, f"{len(after)} orders")
    steps.expect("the session continues", ended.returncode == 0, f"exit code {ended.returncode}")
