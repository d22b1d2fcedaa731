"""What drills of sessions share: one that is killed, and what the next one begins with."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from trading_runtime.operations.drills.running import waited_for
from trading_runtime.records.journal import entries_of
from trading_runtime.units import parse_instant

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Sequence

    from trading_runtime.operations.drills.running import Steps
    from trading_runtime.operations.drills.scratch import DrillFolder

BALANCE = Decimal(100_000)
"""What the account of a drill begins with."""
_PATIENCE = 60.0


def journalled(
    scratch: DrillFolder, event: str, run_id: str = "drill", after: int = 0
) -> list[dict[str, Any]]:
    """Return the payloads of a session's events of one name, later than ``after``."""
    entries = entries_of(scratch.store.run(run_id).journals, "session-")
    return [
        entry["payload"]
        for entry in entries
        if entry["event"] == event and parse_instant(entry["time"]) > after
    ]


def killed_after_a_fill(scratch: DrillFolder, steps: Steps) -> list[dict[str, Any]]:
    """Kill the session ``drill`` once it holds a position; return its fills, none if it has none.

    It sends an order every ten bars, which take a second.
    """
    scratch.make_dataset()
    scratch.write_deployment(config={"every": 10}, pace="x600", on_stop="hold")
    process = scratch.start("trade", "drill.json", "--run-id", "drill")
    held = waited_for(lambda: bool(journalled(scratch, "order_filled")), _PATIENCE)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    fills = journalled(scratch, "order_filled")
    steps.expect("it holds a position", held and position_of(fills), f"{len(fills)} fills")
    return fills if position_of(fills) else []


def position_of(fills: Sequence[dict[str, Any]]) -> Decimal:
    """Return the position that fills add up to."""
    signs = {"BUY": 1, "SELL": -1}
    return sum((signs[fill["side"]] * Decimal(fill["quantity"]) for fill in fills), Decimal(0))


@dataclass(frozen=True)
class NextSession:
    """What a session began with, and what it did."""

    process: subprocess.CompletedProcess[str]
    balance: Decimal | None
    position: Decimal
    carried: str | None
    fills: list[dict[str, Any]]


def started_with(scratch: DrillFolder) -> NextSession:
    """Run the next session over the rest of the data."""
    scratch.write_deployment(config={"every": 10}, pace="burst", on_stop="hold")
    process = scratch.command("trade", "drill.json", "--run-id", "again")
    begun = [*journalled(scratch, "session_started", "again"), {}][0]
    restored = [*journalled(scratch, "account_restored", "again"), {}][0]
    positions = restored.get("positions", [])
    return NextSession(
        process,
        Decimal(begun["balances"][0].split()[0]) if begun else None,
        sum((Decimal(text.split()[1]) for text in positions), Decimal(0)),
        begun.get("carried_from"),
        journalled(scratch, "order_filled", "again"),
    )
