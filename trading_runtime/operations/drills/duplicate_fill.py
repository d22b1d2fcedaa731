"""Drill: a fill of a killed session is reported a second time before the next one starts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trading_runtime.operations.drills.sessions import (
    balance_after,
    killed_after_a_fill,
    position_of,
    started_with,
)
from trading_runtime.records.journal import Journal, new_writer

if TYPE_CHECKING:
    from trading_runtime.operations.drills.running import Steps
    from trading_runtime.operations.drills.scratch import DrillFolder

SABOTAGE = """
import trading_runtime.sessions.account as account
account.without_repeated_fills = lambda entries: entries
"""
"""A fill is booked as often as it is reported."""
_REPORTS = 3


def drill(scratch: DrillFolder, steps: Steps) -> None:
    """Report the fill three times, under its one id, and see what the next session holds."""
    fills = killed_after_a_fill(scratch, steps)
    if not fills:
        return
    with Journal(scratch.store.run("drill").journals, new_writer("session")) as journal:
        # A chain of its own, with more lines than the account's state covers.
        for fill in [fills[-1]] * _REPORTS * 20:
            journal.write(fill)
    held = position_of(fills)
    left = balance_after(fills)
    again = started_with(scratch)
    code = again.process.returncode
    steps.expect("the fill is booked once", again.position == held, f"{again.position} of {held}")
    steps.expect("its fee is paid once", again.balance == left, f"{again.balance} of {left}")
    steps.expect("the session starts again", code == 0, f"exit code {code}")
