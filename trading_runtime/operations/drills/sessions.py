"""What drills of sessions share: one that is killed, and what the next one begins with."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from trading_runtime.operations.drills.running import waited_for
from trading_runtime.records.journal import entries_of
from trading_runtime.records.session_events import AccountRestored, OrderFilled, SessionStarted
from trading_runtime.units import parse_instant

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Sequence

    from trading_runtime.operations.drills.running import Steps
    from trading_runtime.operations.drills.scratch import DrillFolder
    from trading_runtime.records.events import Event

_BALANCE = Decimal(100_000)
"""What the account of a drill begins with."""
_PATIENCE = 60.0


def journalled[E: Event](
    scratch: DrillFolder, event: type[E], run_id: str = "drill", after: int = 0
) -> list[E]:
    """Return a session's events of one type, later than ``after``."""
    return [
        found
        for entry in entries_of(scratch.store.run(run_id).journals, "session-")
        if (found := entry.as_event(event)) and parse_instant(entry.time) > after
    ]


def killed_after_a_fill(scratch: DrillFolder, steps: Steps) -> list[OrderFilled]:
    """Kill the session ``drill`` once it holds a position; return its fills, none if it has none.

    It sends an order every ten bars, which take a second.
    """
    scratch.make_dataset()
    scratch.write_deployment(config={"every": 10}, pace="x600", on_stop="hold")
    process = scratch.start("trade", "drill.json", "--run-id", "drill")
    held = waited_for(lambda: bool(journalled(scratch, OrderFilled)), _PATIENCE)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    fills = journalled(scratch, OrderFilled)
    steps.expect("it holds a position", held and position_of(fills), f"{len(fills)} fills")
    return fills if position_of(fills) else []


def position_of(fills: Sequence[OrderFilled]) -> Decimal:
    """Return the position that fills add up to."""
    signs = {"BUY": 1, "SELL": -1}
    return sum((signs[fill.side] * Decimal(fill.quantity) for fill in fills), Decimal(0))


def balance_after(fills: Sequence[OrderFilled]) -> Decimal:
    """Return what the account has left when the fees of these fills are paid."""
    fees = [Decimal(fill.fee.split()[0]) for fill in fills if fill.fee is not None]
    return _BALANCE - sum(fees, Decimal(0))


@dataclass(frozen=True)
class NextSession:
    """What a session began with, and what it did."""

    process: subprocess.CompletedProcess[str]
    balance: Decimal | None
    position: Decimal
    carried: str | None
    fills: list[OrderFilled]


def started_with(scratch: DrillFolder) -> NextSession:
    """Run the next session over the rest of the data."""
    scratch.write_deployment(config={"every": 10}, pace="burst", on_stop="hold")
    process = scratch.command("trade", "drill.json", "--run-id", "again")
    begun = next(iter(journalled(scratch, SessionStarted, "again")), None)
    restored = next(iter(journalled(scratch, AccountRestored, "again")), None)
    positions = [] if restored is None else restored.positions
    return NextSession(
        process,
        None if begun is None else Decimal(begun.balances[0].split()[0]),
        sum((Decimal(text.split()[1]) for text in positions), Decimal(0)),
        None if begun is None else begun.carried_from,
        journalled(scratch, OrderFilled, "again"),
    )
