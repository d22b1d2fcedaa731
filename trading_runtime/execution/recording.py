"""What is recorded of tasks and batches while a run is computed: journal, failures, times."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trading_runtime.errors import Kind, StoppedError, kind_of_error
from trading_runtime.execution.executor import TaskEnded
from trading_runtime.records import events
from trading_runtime.records.events import (
    BatchCompleted,
    BatchFailed,
    BatchRetried,
    BatchStarted,
    OrderRefused,
)
from trading_runtime.records.failures import TaskFailure, write_failure

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from trading_runtime.execution.executor import TaskEvent
    from trading_runtime.records.journal import Journal
    from trading_runtime.records.plan import Task
    from trading_runtime.records.run_files import RunFiles


class TaskRecords:
    """Records what happens to the tasks of a plan in the run's folder."""

    def __init__(
        self,
        files: RunFiles,
        journal: Journal,
        tasks: Sequence[Task],
        memory_limit_bytes: int | None = None,
    ) -> None:
        """``memory_limit_bytes`` is the memory of a pod, whose workers share each batch."""
        self._files = files
        self._journal = journal
        self._tasks = tasks
        self.measured: list[tuple[float, int]] = []
        """Seconds and rows of each task that was computed."""
        self._memory_limit = memory_limit_bytes
        self._batches = BatchRecords(journal, {})

    def expect(self, batches: Mapping[int, Iterable[int]]) -> None:
        """Record these batches too: the indices of their pending tasks, by batch."""
        self._batches = BatchRecords(self._journal, batches, self._memory_limit)

    def record(self, event: TaskEvent) -> None:
        """Record one event; raises ``StorageError`` when it cannot be written."""
        self._batches.before(event)
        self._record(event)
        self._batches.after(event)

    def break_off(self, error: BaseException) -> None:
        """Record that ``error`` ends the batches and tasks that have begun."""
        self._batches.break_off(error)

    def _record(self, event: TaskEvent) -> None:
        task_id = self._tasks[event.task].task_id
        if not isinstance(event, TaskEnded):
            self._journal.write(events.TaskStarted(task_id=task_id, worker=event.worker))
            return
        seconds = round(event.seconds, 6)
        if event.status == Kind.OK:
            self.measured.append((event.seconds, event.rows))
            self._journal.write(
                events.TaskCompleted(
                    task_id=task_id,
                    seconds=seconds,
                    rows=event.rows,
                    worker=event.worker,
                    memory_bytes=event.memory_bytes,
                    fetched_bytes=event.fetched_bytes,
                )
            )
            for rule, count in (event.risk_refusals or {}).items():
                self._journal.write(OrderRefused(task_id=task_id, rule=rule, count=count))
            return
        failure = TaskFailure.of(
            task_id,
            Kind(event.status),
            event.message,
            event.traceback,
            out_of_memory=event.out_of_memory,
        )
        write_failure(self._files, failure)
        self._journal.write(
            events.TaskFailed(
                task_id=task_id,
                seconds=seconds,
                kind=Kind(event.status),
                message=event.message.partition("\n")[0],
                worker=event.worker,
                memory_bytes=event.memory_bytes,
                fetched_bytes=event.fetched_bytes,
            )
        )


_DEADLY = {Kind.CRASH, Kind.TIMEOUT}
"""Kinds of task failure that end the worker."""


@dataclass
class _Batch:
    left: set[int]
    started: float = 0.0
    attempts: int = 0
    is_broken: bool = True
    ok: int = 0
    failed: int = 0


class BatchRecords:
    """Journals batch events, derived from the events of the batches' tasks."""

    def __init__(
        self,
        journal: Journal,
        batches: Mapping[int, Iterable[int]],
        memory_limit_bytes: int | None = None,
    ) -> None:
        """``batches`` are the pending tasks of each batch, by its index in the plan.

        With ``memory_limit_bytes`` the batches belong to a pod, whose workers share them: the lines
        then name no worker.
        """
        self._journal = journal
        self._memory_limit = memory_limit_bytes
        self._batches = {number: _Batch(set(tasks)) for number, tasks in batches.items()}
        self._numbers = {task: number for number, tasks in batches.items() for task in tasks}

    def before(self, event: TaskEvent) -> None:
        """Record that a batch begins, or is retried, with a task that begins."""
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
            self._journal.write(
                BatchStarted(
                    batch=number,
                    tasks=tasks,
                    worker=self._worker(event),
                    memory_limit_bytes=self._memory_limit,
                )
            )
        else:
            self._journal.write(BatchRetried(batch=number, tasks=tasks, attempt=batch.attempts))

    def after(self, event: TaskEvent) -> None:
        """Record that a batch ends, or breaks off, with a task that has ended."""
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
                    worker=self._worker(event),
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
                    worker=self._worker(event),
                    message=event.message.partition("\n")[0],
                )
            )

    def break_off(self, error: BaseException) -> None:
        """Record that ``error`` ends the batches that have begun."""
        is_signal = isinstance(error, KeyboardInterrupt)
        kind = StoppedError.kind if is_signal else kind_of_error(error)
        for number, batch in self._batches.items():
            if batch.left and not batch.is_broken:
                batch.is_broken = True
                message = str(error).partition("\n")[0]
                self._journal.write(
                    BatchFailed(batch=number, kind=kind, left=len(batch.left), message=message)
                )

    def _worker(self, event: TaskEvent) -> int | None:
        return event.worker if self._memory_limit is None else None
