"""What is kept of each batch while a run is computed: when it began, broke off, went on, ended."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trading_runtime.errors import Kind
from trading_runtime.execution.pool import TaskEnded
from trading_runtime.runs.events import BatchCompleted, BatchFailed, BatchRetried, BatchStarted

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from trading_runtime.execution.pool import Event
    from trading_runtime.runs.journal import Journal

_DEADLY = {Kind.CRASH, Kind.TIMEOUT}
"""Failures of a task that its worker does not survive."""


@dataclass
class _Batch:
    left: set[int]
    started: float = 0.0
    attempts: int = 0
    is_broken: bool = True
    ok: int = 0
    failed: int = 0


class BatchRecords:
    """Writes into a journal what the events of tasks mean for the batches that they belong to."""

    def __init__(self, journal: Journal, batches: Mapping[int, Iterable[int]]) -> None:
        """``batches`` are the pending tasks of each batch, by its index in the plan."""
        self._journal = journal
        self._batches = {number: _Batch(set(tasks)) for number, tasks in batches.items()}
        self._numbers = {task: number for number, tasks in batches.items() for task in tasks}

    def before(self, event: Event) -> None:
        """Write that a batch begins, or goes on, with a task that begins."""
        number = self._numbers.get(event.task)
        if number is None or isinstance(event, TaskEnded):
            return
        batch = self._batches[number]
        if not batch.is_broken:
            return
        batch.is_broken = False
        batch.attempts += 1
        tasks = len(batch.left)
        if batch.attempts == 1:
            batch.started = time.monotonic()
            self._journal.write(BatchStarted(batch=number, tasks=tasks, worker=event.worker))
        else:
            self._journal.write(BatchRetried(batch=number, tasks=tasks, attempt=batch.attempts))

    def after(self, event: Event) -> None:
        """Write that a batch ends, or breaks off, with a task that has ended."""
        number = self._numbers.get(event.task)
        if number is None or not isinstance(event, TaskEnded):
            return
        batch = self._batches[number]
        batch.left.discard(event.task)
        if event.status == Kind.OK:
            batch.ok += 1
        else:
            batch.failed += 1
        if not batch.left:
            self._journal.write(
                BatchCompleted(
                    batch=number,
                    worker=event.worker,
                    seconds=round(time.monotonic() - batch.started, 6),
                    ok=batch.ok,
                    failed=batch.failed,
                )
            )
        elif event.status in _DEADLY:
            batch.is_broken = True
            self._journal.write(
                BatchFailed(
                    batch=number,
                    kind=Kind(event.status),
                    left=len(batch.left),
                    worker=event.worker,
                    message=event.message.partition("\n")[0],
                )
            )
