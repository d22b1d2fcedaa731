"""The executor interface: it computes tasks and reports what happens to each of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from trading_runtime.control.kill_switch import StopControl
    from trading_runtime.errors import Kind


@dataclass(frozen=True)
class TaskBegun:
    """A worker began a task."""

    task: int
    """Its index in the plan."""
    worker: int


@dataclass(frozen=True)
class TaskEnded:
    """How one task ended: ``status`` is ``ok`` or the kind of its failure."""

    task: int
    worker: int
    status: str
    seconds: float
    rows: int = 0
    message: str = ""
    traceback: str = ""
    memory_bytes: int | None = None
    """Resident memory of the worker when the task ended; unknown if the worker died."""
    fetched_bytes: int = 0
    """Bytes fetched from storage since the worker's last task."""
    out_of_memory: bool = False
    """Whether the failure is of kind ``crash`` and more memory would have helped."""
    risk_refusals: dict[str, int] | None = None
    """Orders and order changes that the risk profile refused, by rule."""

    def failed(self, kind: Kind, message: str) -> TaskEnded:
        """Return the same end as a failure."""
        return replace(self, status=kind, rows=0, message=message, risk_refusals=None)


TaskEvent = TaskBegun | TaskEnded


class Executor(Protocol):
    """Computes tasks of one plan; laptop and pod differ in nothing else (see ``lifecycle``).

    An executor is made for one plan, since it needs more than the plan contains: where the dataset
    and the strategy's code are in this process, and how much memory is available.
    """

    def run(self, batches: Sequence[Sequence[int]], control: StopControl) -> Iterator[TaskEvent]:
        """Compute the tasks of all batches, by index in the plan, and yield what happens.

        Returns early, between two events, when ``control`` says so. When the kill switch is on,
        running tasks are killed first and yielded as failures of kind ``killed``.
        """
