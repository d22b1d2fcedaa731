"""Drill: one instrument's data stops for an hour while another's continues."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

from trading_runtime.operations.drills.scratch import BARS_A_DAY

if TYPE_CHECKING:
    from trading_runtime.operations.drills.running import Steps
    from trading_runtime.operations.drills.scratch import DrillFolder

SABOTAGE = """
from trading_runtime.engine.risk.profile import Risk
Risk._stale = lambda self, instrument_id, longest, now: None
"""
"""The age of data is not checked."""
_GAP = range(30, 90)
_STALE_MINUTES = 5


def drill(scratch: DrillFolder, steps: Steps) -> None:
    """Feed a gap to the engine, and see whether orders are filled at old prices."""
    import pyarrow.parquet as pq

    scratch.make_dataset(gap=_GAP)
    scratch.write_experiment(
        config={},
        partitions={"by": "day", "end": "2024-01-02"},
        risk={"stale_after": f"{_STALE_MINUTES}m"},
    )
    scratch.command("run", "drill.json", "--run-id", "drill", must=0)
    [folder] = scratch.stored_tasks()
    files = scratch.store.read_task(folder.name)
    orders: list[dict[str, Any]] = pq.read_table(io.BytesIO(files["orders.parquet"])).to_pylist()
    minutes = {
        status: [
            order["ts_init"].hour * 60 + order["ts_init"].minute - 1
            for order in orders
            if order["status"] == status
        ]
        for status in ("FILLED", "DENIED")
    }
    # The last bar before the gap is that of minute 29: from minute 35 on it is too old.
    stale = range(_GAP.start + _STALE_MINUTES, _GAP.stop)
    late = [minute for minute in minutes["FILLED"] if minute in stale]
    steps.expect("no order is filled at old prices", not late, f"{len(late)} were")
    found = minutes["DENIED"]
    steps.expect("each is denied", found == list(stale), f"{len(found)} of {len(stale)} were")
    reasons = {order["reason"] for order in orders if order["status"] == "DENIED"}
    named = bool(reasons) and all(reason.startswith("RISK stale_after: ") for reason in reasons)
    steps.expect("the denial names its rule", named, f"{len(reasons)} reasons")
    summary = json.loads(files["summary.json"])
    counted = summary["risk_refusals"].get("stale_after", 0)
    steps.expect("refusals are counted", counted == len(stale), f"{counted} are")
    lines = scratch.store.run("drill").journal.read_text(encoding="utf-8").splitlines()
    noted = [json.loads(line) for line in lines]
    journalled = sum(line["payload"]["count"] for line in noted if line["event"] == "order_refused")
    steps.expect("refusals are journalled", journalled == len(stale), f"{journalled} are")
    resumed = [minute for minute in minutes["FILLED"] if minute >= _GAP.stop]
    expected = BARS_A_DAY - _GAP.stop
    steps.expect("fresh data is traded again", len(resumed) == expected, f"{len(resumed)} fills")
