"""One run on this machine: compute what is not stored in worker processes, then summarise."""

from __future__ import annotations

import contextlib
import functools
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from trading_runtime.control.kill_switch import KillSwitch, KillWatch, note_killed
from trading_runtime.errors import Kind, StoppedError, StorageError
from trading_runtime.execution.lifecycle import begin_run, summarise_run
from trading_runtime.execution.progress import Progress
from trading_runtime.execution.recording import TaskRecords
from trading_runtime.execution.workers.memory import memory_limit
from trading_runtime.execution.workers.pool import Job, TaskEnded, WorkerPool
from trading_runtime.records.events import Executor, RunStarted, RunStopped, TaskRetried
from trading_runtime.runs.metadata import Metadata, Status
from trading_runtime.runs.opening import OpenRun, open_run
from trading_runtime.runs.rates import write_metrics
from trading_runtime.runs.run_events import beginning, breakdown, completion, retries
from trading_runtime.storage.files import storage_errors
from trading_runtime.storage.scratch import remove_abandoned_scratch

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from trading_runtime.execution.preparation import Prepared
    from trading_runtime.execution.workers.pool import Event
    from trading_runtime.execution.workers.processes import WorkerAhead
    from trading_runtime.records.journal import Journal
    from trading_runtime.records.run_files import RunFiles
    from trading_runtime.results.reduction import Reduction


@dataclass(frozen=True)
class Outcome:
    """How a run ended."""

    reduction: Reduction
    computed: int
    """Tasks that were computed; the others were stored already."""
    seconds: float
    """Wall-clock time of the run."""


@dataclass
class LocalRun:
    """A prepared experiment on its way to results, under one run id."""

    prepared: Prepared
    run_id: str
    should_stop: Callable[[], bool]
    show_progress: bool
    ahead: WorkerAhead | None = None
    files: RunFiles = field(init=False)
    _opened: OpenRun = field(init=False)
    _started: float = field(init=False)
    _killed: KillWatch = field(init=False)

    def execute(self, *, allow_incomplete: bool) -> Outcome:
        """Run to the end; the same id with the same plan resumes.

        Raises ``UsageError`` when the id is running or belongs to another plan, ``StoppedError``
        when asked to stop (finished tasks are kept), ``StorageError`` when nothing can be written,
        ``KilledError`` when the kill switch is on, or was switched on before the last task ended.
        """
        KillSwitch(self.prepared.store).refuse_start(self.run_id)
        self._killed = KillWatch(self.prepared.store, self.run_id)
        with open_run(self.prepared.store, self.run_id) as self._opened:
            self.files = files = self._opened.files
            plan, store = self.prepared.plan, self.prepared.store
            self._started = time.monotonic()
            metadata = begin_run(files, self.prepared, self.run_id, Executor.LOCAL)
            if metadata.earlier is not None:
                # Before a file of it changes: until then it has ended as its metadata say.
                store.publish(files.metadata)
            store.clear_staging()
            remove_abandoned_scratch()
            with self._opened.open_journal("local") as journal:
                records = TaskRecords(files, journal, plan.tasks)
                try:
                    for event in beginning(metadata, plan):
                        journal.write(event)
                    reduction = self._computed(
                        journal, records, metadata, incomplete=allow_incomplete
                    )
                    killed = note_killed(
                        self._killed.found, files, metadata, journal, reduction.result
                    )
                    if killed is None:
                        journal.write(completion(reduction.result))
                except (StoppedError, KeyboardInterrupt) as error:
                    metadata.set(Status.STOPPED)
                    journal.write(RunStopped(message=str(error) or None))
                    raise
                except BaseException as error:
                    failed = breakdown(error)
                    metadata.set(Status.FAILED, error=failed.message)
                    journal.write(failed)
                    raise
                finally:
                    self._opened.gather()
                    metadata.seal(functools.partial(_write_metrics, files))
            if killed is not None:
                raise killed
            return Outcome(reduction, len(records.measured), time.monotonic() - self._started)

    def _computed(
        self, journal: Journal, records: TaskRecords, metadata: Metadata, *, incomplete: bool
    ) -> Reduction:
        """Compute what is not stored and summarise; what turns out to be damaged, once more."""
        plan = self.prepared.plan
        journal.write(
            RunStarted(
                tasks=len(plan.tasks),
                pending=len(plan.uncached),
                workers=self.prepared.workers,
                memory_limit_bytes=memory_limit(),
            )
        )
        for retried in retries(self.files):
            journal.write(retried)
        with storage_errors(self.files.failures):
            for path in self.files.failures.glob("*.json"):
                self._opened.remove(path)
        failed = self._compute(plan.uncached, records)
        # What was verified for the plan is not verified again, unless tasks ran in between: that
        # may be hours ago.
        verified = {} if plan.uncached else self.prepared.manifests
        reduction = self._summarise(records, metadata, verified, incomplete=incomplete)
        # Results that were stored before, and set aside just now when they were read.
        damaged = {item["task_id"] for item in reduction.failures} - failed
        if damaged:
            for task_id in sorted(damaged):
                journal.write(TaskRetried(task_id=task_id, kind=Kind.DATA))
                self._opened.remove(self.files.failure(task_id))
            again = [n for n, task in enumerate(plan.tasks) if task.task_id in damaged]
            self._compute(again, records)
            reduction = self._summarise(records, metadata, {}, incomplete=incomplete)
        return reduction

    def _summarise(
        self,
        records: TaskRecords,
        metadata: Metadata,
        verified: Mapping[str, str],
        *,
        incomplete: bool,
    ) -> Reduction:
        prepared, seconds = self.prepared, time.monotonic() - self._started
        write_metrics(self.files, prepared.code.path, seconds, records.measured)
        return summarise_run(
            prepared.plan,
            prepared.store,
            self.files,
            metadata,
            allow_incomplete=incomplete,
            verified=verified,
        )

    def _compute(self, pending: Sequence[int], records: TaskRecords) -> set[str]:
        """Compute the tasks of these numbers, and return the ids of those that failed."""
        plan = self.prepared.plan
        progress = None
        if self.show_progress:
            progress = Progress(len(plan.tasks), len(plan.tasks) - len(pending))
        left = set(pending)
        failed = set()
        batches = self._batches(left)
        records.expect(batches)
        for event in self._events(list(batches.values())):
            records.record(event)
            self._opened.publish()
            if isinstance(event, TaskEnded):
                if event.status == Kind.STORAGE:
                    # It is not the task's fault, and would be that of all others too.
                    raise StorageError(
                        f"{event.message}\nrun {self.run_id!r}: finished tasks are kept: give "
                        f"--run-id {self.run_id} again to go on"
                    )
                if len(left) == len(pending):
                    # Workers leave gaps; at the end nothing but this process has work to do.
                    threading.Thread(target=_import_for_ending, daemon=True).start()
                left.discard(event.task)
                if event.status != Kind.OK:
                    failed.add(plan.tasks[event.task].task_id)
                if progress is not None:
                    progress.task_ended(ok=event.status == Kind.OK)
        if self._killed.found is None and self._is_asked_to_stop():
            # Of what workers finished last, they could not tell any more.
            has_task = self.prepared.store.has_task
            count = sum(not has_task(plan.tasks[index].task_id) for index in left)
            raise StoppedError(
                f"run {self.run_id!r} with {count:,} of {len(plan.tasks):,} tasks left; finished "
                f"ones are kept: give --run-id {self.run_id} again to go on"
            )
        return failed

    def _batches(self, pending: Collection[int]) -> dict[int, list[int]]:
        """Return what is pending of each batch that has something, by its index in the plan."""
        batches = {
            number: [index for index in range(first, last) if index in pending]
            for number, (first, last) in enumerate(self.prepared.plan.batches)
        }
        return {number: tasks for number, tasks in batches.items() if tasks}

    def _events(self, batches: Sequence[Sequence[int]]) -> Iterator[Event]:
        if not batches:
            return
        prepared = self.prepared
        job = Job(
            plan=self.files.plan.absolute(),
            folder=prepared.loaded.code_folder,
            dataset=prepared.loaded.dataset_place,
            results=prepared.store.place,
            task_seconds=prepared.plan.task_seconds,
            task_memory=prepared.plan.task_memory,
            search_paths=prepared.code.search_paths,
        )
        workers = min(prepared.workers, len(batches))
        with WorkerPool(job, workers, self._is_stopped, self.ahead) as pool:
            yield from pool.run(batches)
            if self._killed.found is not None:
                yield from pool.kill()

    def _is_stopped(self) -> bool:
        return self._killed() or self._is_asked_to_stop()

    def _is_asked_to_stop(self) -> bool:
        return self.should_stop() or self._opened.stop_requested()


def _write_metrics(files: RunFiles, metadata: dict[str, Any]) -> None:
    from trading_runtime.metrics.exposition import write_run_metrics  # wanted at the end only

    write_run_metrics(files, metadata)


def _import_for_ending() -> None:
    """Import what the end of a run needs; what is wrong with it shows when it is imported there."""
    with contextlib.suppress(Exception):
        import trading_runtime.metrics.exposition
        import trading_runtime.report
        import trading_runtime.results.reduction  # noqa: F401
