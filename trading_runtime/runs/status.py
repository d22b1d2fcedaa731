"""Where a run stands."""

from __future__ import annotations

from enum import StrEnum


class Status(StrEnum):
    """What the metadata of a run say of it."""

    RUNNING = "running"
    COMPLETE = "complete"
    INCOMPLETE = "incomplete"
    STOPPED = "stopped"
    FAILED = "failed"
    KILLED = "killed"


DIED = "died"
"""Shown for a run whose metadata say ``running`` while no process has it."""
UNKNOWN = "unknown"
"""Shown for a run whose metadata are missing or damaged."""
