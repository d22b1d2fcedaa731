"""What is kept of each task while a run is computed: journal lines, failure files, times."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trading_runtime.errors import Kind
from trading_runtime.execution.batch_records import BatchRecords
from trading_runtime.execution.pool import TaskEnded
from trading_runtime.runs import events
from trading_runtime.runs.operation_events import OrderRefused

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from trading_runtime.execution.pool import Event
    from trading_runtime.results.store import RunFiles
    from trading_runtime.runs.journal import Journal


class TaskRecords:
    """Writes what happens to the tasks of a plan into the run's folder."""

    def __init__(
        self, files: RunFiles, journal: Journal, tasks: Sequence[Mapping[str, Any]]
    ) -> None:
        self._files = files
        self._journal = journal
        self._tasks = tasks
        self.measured: list[tuple[float, int]] = []
        """Seconds and rows of each task that was computed."""
        self._batches = BatchRecords(journal, {})

    def expect(self, batches: Mapping[int, Iterable[int]]) -> None:
        """Tell of these batches too: the numbers of their pending tasks, by index in the plan."""
        self._batches = BatchRecords(self._journal, batches)

    def record(self, event: Event) -> None:
        """Write down one event; raises ``StorageError`` when that cannot be done."""
        self._batches.before(event)
        self._record(event)
        self._batches.after(event)

    def _record(self, event: Event) -> None:
        task_id = self._tasks[event.task]["task_id"]
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
        # Most runs need it at the end only.
        from trading_runtime.results.task_failures import failure, write_failure

        content = failure(
            task_id,
            event.status,
            event.message,
            event.traceback,
            out_of_memory=event.out_of_memory,
        )
        write_failure(self._files, content)
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
