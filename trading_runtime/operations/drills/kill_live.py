"""Drill: the kill switch is turned on while a session sends orders."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

from trading_runtime.control.kill_switch import KillSwitch
from trading_runtime.errors import Kind
from trading_runtime.operations.drills.running import IGNORED_SWITCH, Steps, waited_for
from trading_runtime.operations.drills.sessions import journalled
from trading_runtime.records.journal import entries_of
from trading_runtime.records.session_events import OrderAccepted, OrderSubmitted, SessionStopped
from trading_runtime.units import parse_instant

if TYPE_CHECKING:
    from trading_runtime.operations.drills.scratch import DrillFolder

SABOTAGE = IGNORED_SWITCH
_ORDERS_FIRST = 5
_PATIENCE = 60.0
_SECOND = 1_000_000_000


def drill(scratch: DrillFolder, steps: Steps) -> None:
    """Turn it on in the middle of a session, and see what still goes out."""
    scratch.make_dataset()
    # A bar takes a fifth of a second: the day's 120 last far beyond the second that is measured.
    scratch.write_deployment(config={"resting": True}, pace="x300", on_failure="flatten")
    process = scratch.start("trade", "drill.json", "--run-id", "drill")
    try:
        sent = waited_for(
            lambda: len(journalled(scratch, OrderAccepted)) >= _ORDERS_FIRST, _PATIENCE
        )
        found = len(journalled(scratch, OrderAccepted))
        if not steps.expect("orders go out", sent, f"{found} at first"):
            return
        switch = KillSwitch(scratch.store)
        switch.activate("drill")
        moment = time.time_ns()
        # An order that is too late has decided it: no need to wait for the end of the day.
        waited_for(
            lambda: process.poll() is not None or _last_order(scratch) - moment >= _SECOND,
            _PATIENCE,
        )
        ended = process.poll() is not None
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    last = _last_order(scratch) - moment
    seconds = f"the last order went out {last / _SECOND:+.3f} s after it was switched on"
    steps.expect("no order after a second", last < _SECOND, seconds)
    left = journalled(scratch, SessionStopped)
    resting = left[0].resting if left else "an unknown number"
    steps.expect("open orders are cancelled", resting == 0, f"{resting} stayed open")
    code = process.returncode if ended else "none"
    steps.expect("the session ends killed", code == Kind.KILLED.exit_code, f"exit code {code}")
    status = scratch.status("drill")
    steps.expect("the session says so", status == "killed", f"it is {status}")
    again = scratch.command("trade", "drill.json", "--run-id", "again")
    refused = again.returncode == Kind.KILLED.exit_code
    steps.expect("nothing starts while it is on", refused, f"exit code {again.returncode}")


def _last_order(scratch: DrillFolder) -> int:
    """Return when the session sent its last order, in nanoseconds since the epoch."""
    entries = entries_of(scratch.store.run("drill").journals, "session-")
    return max(
        parse_instant(entry.time) for entry in entries if entry.event == OrderSubmitted.event
    )
