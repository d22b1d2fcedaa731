"""Drill: a venue's snapshot agrees; then one of its fills, orders and balances is altered."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from trading_runtime.errors import Kind
from trading_runtime.operations.reconciliation import books_of

if TYPE_CHECKING:
    from trading_runtime.operations.drills.running import Steps
    from trading_runtime.operations.drills.scratch import DrillFolder

SABOTAGE = """
import trading_runtime.operations.reconciliation as reconciliation
reconciliation._compared = lambda *_: ()
"""
"""Nothing is compared."""


def drill(scratch: DrillFolder, steps: Steps) -> None:
    """Alter a snapshot in three places, and see whether exactly these are reported."""
    scratch.make_dataset()
    scratch.write_experiment(config={}, partitions={"by": "day", "end": "2024-01-02"})
    scratch.command("run", "drill.json", "--run-id", "drill", must=0)
    [folder] = scratch.stored_tasks()
    books = books_of(scratch.store, folder.name)
    snapshot: dict[str, list[dict[str, Any]]] = {
        name: [_plain(row) for row in table.values()] for name, table in books.items()
    }
    code, found = _reconciled(scratch, "sound.json", snapshot)
    steps.expect(
        "an unaltered snapshot matches", code == 0 and not found["rows"], f"exit code {code}"
    )
    compared = found["counts"]["matched"]
    everything = sum(len(table) for table in books.values())
    steps.expect("everything is compared", compared == everything > 0, f"{compared} entries")
    fill, order, balance = (snapshot[name][0] for name in ("fills", "orders", "balances"))
    fill["price"] = str(Decimal(fill["price"]) + Decimal("0.1"))
    balance["total"] = str(Decimal(balance["total"]) - 1)
    snapshot["orders"].remove(order)
    code, found = _reconciled(scratch, "altered.json", snapshot)
    steps.expect("an altered one differs", code == Kind.DIFFERS.exit_code, f"exit code {code}")
    rows = {(row["table"], row["field"], row["difference"]) for row in found["rows"]}
    expected = {("fills", "price", "0.1"), ("balances", "total", "-1"), ("orders", None, None)}
    steps.expect("exactly what was altered is found", rows == expected, f"{len(rows)} rows")
    state = {row["state"] for row in found["rows"] if row["table"] == "orders"}
    steps.expect("an order that is missing is unknown", state == {"unknown"}, state)


def _reconciled(scratch: DrillFolder, name: str, snapshot: dict[str, Any]) -> tuple[int, Any]:
    (scratch.folder / name).write_text(json.dumps(snapshot), encoding="utf-8")
    ended = scratch.command("reconcile", "drill", "--against", name, "--json")
    empty: dict[str, Any] = {"rows": [], "counts": {"matched": 0}}
    return ended.returncode, json.loads(ended.stdout) if ended.stdout else empty


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    return {name: None if value is None else str(value) for name, value in row.items()}
