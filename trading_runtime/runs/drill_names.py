"""The drills by name; each is a module of `operations.drills`."""

from __future__ import annotations

DRILLS = (
    "stale-market-data",
    "restart-recovery",
    "reconciliation-mismatch",
    "kill-switch",
    "storage-outage",
    "corrupt-result",
    "disk-full",
)
