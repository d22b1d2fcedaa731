"""Drill: a paper session is killed by ``kill -9`` while it holds a position, and started again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trading_runtime.operations.drills.sessions import (
    balance_after,
    killed_after_a_fill,
    position_of,
    started_with,
)

if TYPE_CHECKING:
    from trading_runtime.operations.drills.running import Steps
    from trading_runtime.operations.drills.scratch import DrillFolder

SABOTAGE = """
from trading_runtime.sessions.account import SessionAccount
SessionAccount.read = lambda self: None
"""
"""The account of the session before is not read."""


def drill(scratch: DrillFolder, steps: Steps) -> None:
    """Kill it right after its first fill, and compare what the next session begins with."""
    fills = killed_after_a_fill(scratch, steps)
    if not fills:
        return
    held = position_of(fills)
    left = balance_after(fills)
    again = started_with(scratch)
    code = again.process.returncode
    steps.expect("the session starts again", code == 0, f"exit code {code}")
    steps.expect(
        "the position is the journal's", again.position == held, f"{again.position} of {held}"
    )
    steps.expect("so is the balance", again.balance == left, f"{again.balance} of {left}")
    steps.expect("it says whose account it is", again.carried == "drill", str(again.carried))
    known = {fill.trade_id for fill in fills}
    twice = known & {fill.trade_id for fill in again.fills}
    steps.expect("no fill is booked twice", not twice, f"{len(twice)} are")
