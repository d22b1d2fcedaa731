"""Drill: the kill switch is turned on while a strategy sends orders."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

from trading_runtime.control.kill_switch import KillSwitch
from trading_runtime.errors import Kind
from trading_runtime.operations.drills.running import IGNORED_SWITCH, Steps, waited_for

if TYPE_CHECKING:
    from pathlib import Path

    from trading_runtime.operations.drills.scratch import DrillFolder

SABOTAGE = IGNORED_SWITCH
_ORDERS_FIRST = 5
_PATIENCE = 60.0
_SECOND = 1_000_000_000


def drill(scratch: DrillFolder, steps: Steps) -> None:
    """Turn it on in the middle of a run, and see what still goes out."""
    log = scratch.folder / "orders.log"
    scratch.make_dataset()
    config = {"pause": 0.04, "resting": True, "log": str(log)}
    scratch.write_experiment(config=config, partitions={"by": "day", "end": "2024-01-02"})
    process = scratch.start("run", "drill.json", "--run-id", "drill")
    try:
        sent = waited_for(lambda: len(_noted(log, "accepted")) >= _ORDERS_FIRST, _PATIENCE)
        if not steps.expect("orders go out", sent, f"{len(_noted(log, 'accepted'))} at first"):
            return
        switch = KillSwitch(scratch.store)
        switch.activate("drill")
        moment = time.time_ns()
        ended = waited_for(lambda: process.poll() is not None, _PATIENCE)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    last = max(_noted(log, "accepted").values()) - moment
    seconds = f"the last order went out {last / _SECOND:+.3f} s after it was switched on"
    steps.expect("no order after a second", last < _SECOND, seconds)
    open_ones = _noted(log, "accepted").keys() - _noted(log, "cancelled").keys()
    steps.expect("open orders are cancelled", not open_ones, f"{len(open_ones)} stayed open")
    code = process.returncode if ended else "none"
    steps.expect("the run ends killed", code == Kind.KILLED.exit_code, f"exit code {code}")
    steps.expect(
        "the run says so", scratch.status("drill") == "killed", f"it is {scratch.status('drill')}"
    )
    stored = len(scratch.stored_tasks())
    steps.expect("the killed task is no result", stored == 0, f"{stored} are stored")
    again = scratch.command("run", "drill.json", "--run-id", "again")
    refused = again.returncode == Kind.KILLED.exit_code
    steps.expect("nothing starts while it is on", refused, f"exit code {again.returncode}")
    switch.clear("drill")
    actions = [item.action for item in switch.history()]
    steps.expect(
        "clearing it keeps the history", actions == ["activate", "clear"], ", ".join(actions)
    )


def _noted(log: Path, what: str) -> dict[str, int]:
    """Return the moments, in nanoseconds, of what was logged for each order."""
    if not log.exists():
        return {}
    lines = [line.split() for line in log.read_text(encoding="utf-8").splitlines()]
    return {words[2]: int(words[0]) for words in lines if words[1:2] == [what] and words[2:]}
