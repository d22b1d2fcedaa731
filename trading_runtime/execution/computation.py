"""The middle of a run: compute its tasks on any executor, and record what happens."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from trading_runtime.errors import KilledError, Kind, StoppedError, StorageError
from trading_runtime.execution.executor import TaskEnded
from trading_runtime.execution.recording import TaskRecords

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from trading_runtime.control.kill_switch import StopControl
    from trading_runtime.execution.executor import Executor
    from trading_runtime.records.journal import Journal
    from trading_runtime.records.plan import Task
    from trading_runtime.runs.opening import WorkingRun


class ShownProgress(Protocol):
    """Shows how far the tasks of a process are."""

    def task_ended(self, *, ok: bool) -> None:
        """Count a task."""


@dataclass(frozen=True)
class Share:
    """The part of a run that one process computes, as messages describe it."""

    run_id: str
    tasks: int
    """All tasks planned for the process, stored or not."""
    of_run: str = ": this batch has"
    """The text between the run's name and the number of remaining tasks."""
    advice: str = ""
    """How to resume."""

    def left(self, tasks: int) -> str:
        """Say how many tasks are left."""
        return (
            f"run {self.run_id!r}{self.of_run} {tasks:,} of {self.tasks:,} tasks left; finished "
            f"ones are kept{self.advice}"
        )


class RepeatedFailure:
    """Counts failures of the same kind and message, and reports when the limit is reached."""

    def __init__(self, allowed: int | None) -> None:
        """``allowed``: see ``limits.stop_after``; ``None`` for any number."""
        self._allowed = allowed
        self._counts: dict[tuple[str, str], int] = {}
        self._most = 0

    @property
    def is_limited(self) -> bool:
        """Whether there is a limit on equal failures."""
        return self._allowed is not None

    def count(self, kind: str, message: str) -> None:
        """Count a failure."""
        count = self._counts.get((kind, message), 0) + 1
        self._counts[kind, message] = count
        self._most = max(self._most, count)

    def is_reached(self) -> bool:
        """Return whether the same failure occurred too often."""
        return self._allowed is not None and self._allowed <= self._most


class Computation:
    """Computes tasks of a run, and records, publishes and shows what happens to each.

    A laptop and a pod pass different executors and word the remaining work differently; nothing
    else differs.
    """

    def __init__(  # noqa: PLR0913 - what a run is made of
        self,
        run: WorkingRun,
        tasks: Sequence[Task],
        journal: Journal,
        control: StopControl,
        share: Share,
        *,
        memory_limit_bytes: int | None = None,
        repeated: RepeatedFailure | None = None,
    ) -> None:
        """``tasks`` are all tasks of the plan; ``memory_limit_bytes`` is the memory of a pod.

        ``repeated`` counts failures; ``control`` has to check it.
        """
        self._repeated = repeated or RepeatedFailure(None)
        self._run, self._tasks = run, tasks
        self._control, self._share = control, share
        self.records = TaskRecords(run.files, journal, tasks, memory_limit_bytes)
        self.failed: set[str] = set()
        """Ids of the tasks that failed."""
        self.kinds: set[str] = set()
        """Kinds of their failures."""
        self.out_of_memory = False
        """Whether more memory would have helped one of them."""

    def run(
        self,
        executor: Executor,
        batches: Mapping[int, Sequence[int]],
        progress: ShownProgress | None = None,
        *,
        failed_before: Collection[str] = (),
        meanwhile: Callable[[], None] | None = None,
    ) -> None:
        """Compute the pending tasks of each batch, keyed by batch number; both are plan indices.

        Failures of the tasks in ``failed_before`` are stored, and removed when they succeed.
        ``meanwhile`` is called in a thread once the first task has ended, in the time that workers
        leave idle.

        Returns early, without an error, when the same failure occurred too often (``repeated``).
        Raises ``StoppedError`` or ``KilledError`` when ``control`` ended it early, ``StorageError``
        when nothing can be written. Finished tasks are kept.
        """
        left = {task for tasks in batches.values() for task in tasks}
        killed = 0
        self.records.expect(batches)
        try:
            for event in executor.run(list(batches.values()), self._control):
                self._run.check_held()
                self.records.record(event)
                if isinstance(event, TaskEnded):
                    left.discard(event.task)
                    killed += event.status == Kind.KILLED
                    self._end(event, failed_before)
                    if progress is not None:
                        progress.task_ended(ok=event.status == Kind.OK)
                    if meanwhile is not None:
                        threading.Thread(target=meanwhile, daemon=True).start()
                        meanwhile = None
                self._run.publish_when_due()
            self._check_finished(left, killed)
        except BaseException as error:
            self.records.break_off(error)
            raise

    def _end(self, event: TaskEnded, failed_before: Collection[str]) -> None:
        task_id = self._tasks[event.task].task_id
        failure = self._run.files.failure(task_id)
        if event.status == Kind.OK:
            if task_id in failed_before:
                self._run.remove(failure)
            return
        self.failed.add(task_id)
        self.kinds.add(event.status)
        self._repeated.count(event.status, event.message)
        self.out_of_memory |= event.out_of_memory
        # Before the journal is published: a reader who sees a failure there can then read its file.
        self._run.publish(failure)
        if event.status == Kind.STORAGE:
            # The task is not at fault: every other task would fail in the same way.
            raise StorageError(
                f"{event.message}\nrun {self._share.run_id!r}: finished tasks are kept"
                f"{self._share.advice}"
            )

    def _check_finished(self, left: Collection[int], killed: int) -> None:
        switched = self._control.killed
        if switched is not None and (left or killed):
            message = self._share.left(len(left) + killed)
            raise KilledError(f"{message}: the kill switch is {switched.shown}")
        if left and not self._repeated.is_reached():
            # The last results that workers stored but could no longer report.
            stored = self._run.store.has_task
            raise StoppedError(
                self._share.left(sum(not stored(self._tasks[task].task_id) for task in left))
            )
