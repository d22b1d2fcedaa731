"""The status of a run."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from trading_runtime.records.metadata import RunMetadata


class Status(StrEnum):
    """The status stored in a run's metadata, or shown for it."""

    RUNNING = "running"
    COMPLETE = "complete"
    INCOMPLETE = "incomplete"
    STOPPED = "stopped"
    FAILED = "failed"
    KILLED = "killed"


WAITING = "waiting"
"""Shown for a run that no pod works on while its workflow has not ended."""
DIED = "died"
"""Shown for a run whose metadata say ``running`` while no process and no pod has it."""
UNKNOWN = "unknown"
"""Shown for a run whose metadata are missing or damaged."""


@dataclass(frozen=True)
class WorkflowState:
    """What is known of the workflow of a run in pods."""

    has_ended: bool
    """It has ended, or was deleted."""
    why: str
    """What it waits for, or how it ended."""


type AskWorkflow = Callable[[str], WorkflowState | None]
"""Asks for the state of a workflow, by namespace and name; ``None`` when it cannot be asked."""


def status_of(metadata: RunMetadata | None, is_running: Callable[[], bool]) -> str:
    """Return the status of a run, by its metadata; ``is_running`` says whether it is running.

    A killed process cannot record its end, nor can pods: ``running`` without either is ``died``.
    """
    if metadata is None:
        return UNKNOWN
    has_died = metadata.status is Status.RUNNING and not is_running()
    return DIED if has_died else metadata.status.value
