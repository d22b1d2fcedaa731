"""Drill: one digit of a stored result changes on disk, its size does not."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from trading_runtime.records.forms import to_document

if TYPE_CHECKING:
    from trading_runtime.operations.drills.running import Steps
    from trading_runtime.operations.drills.scratch import DrillFolder

SABOTAGE = """
import trading_runtime.results.store as store
store._verified = lambda path, content, sha256: content
"""
"""Nothing compares what is read with its sha256."""


def drill(scratch: DrillFolder, steps: Steps) -> None:
    """Change a digit of a profit, and see whether it is still reported as a profit."""
    scratch.make_dataset()
    scratch.write_experiment(config={}, parameters={"every": [1]})
    scratch.command("run", "drill.json", "--run-id", "before", must=0)
    sound, table = scratch.result("before"), _table(scratch, "before")
    victim = scratch.stored_tasks()[0] / "summary.json"
    before = victim.read_text(encoding="utf-8")
    after = re.sub(
        r'("net_profit": "-?)([0-9])',
        lambda found: found[1] + str((int(found[2]) + 1) % 10),
        before,
    )
    victim.write_text(after, encoding="utf-8")
    if not steps.expect(
        "a digit is changed", after != before and len(after) == len(before), victim.name
    ):
        return
    scratch.command("run", "drill.json", "--run-id", "after")
    found = scratch.result("after")
    steps.expect(
        "it is not reported as a result",
        _table(scratch, "after") == table and found == sound,
        f"counts {json.dumps(found and to_document(found.counts))}",
    )
    aside = list(victim.parent.parent.glob(f"{victim.parent.name}.damaged-*"))
    steps.expect("it is kept as evidence", len(aside) == 1, f"{len(aside)} quarantined")
    fixed = victim.is_file() and victim.read_text(encoding="utf-8") == before
    steps.expect("it is computed again", fixed, "as before" if fixed else "still damaged")


def _table(scratch: DrillFolder, run_id: str) -> bytes:
    path = scratch.store.run(run_id).results
    return path.read_bytes() if path.is_file() else b""
