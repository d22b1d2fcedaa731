"""One run on this machine: compute what is not stored in worker processes, then summarise."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from trading_runtime.control.kill_switch import KillSwitch, StopControl
from trading_runtime.errors import KilledError, Kind
from trading_runtime.execution.computation import Computation, RepeatedFailure, Share
from trading_runtime.execution.executors.local import LocalExecutor
from trading_runtime.execution.lifecycle import (
    begin_run,
    record_beginning,
    record_end,
    recorded,
    summarise_run,
)
from trading_runtime.execution.progress import Progress
from trading_runtime.execution.workers.memory import memory_limit
from trading_runtime.execution.workers.processes import Job
from trading_runtime.records.events import ExecutorKind, RunStarted, TaskRetried
from trading_runtime.runs.opening import OpenRun, acquire_run
from trading_runtime.runs.rates import write_metrics
from trading_runtime.storage.scratch import remove_abandoned_scratch

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from trading_runtime.execution.preparation import PreparedRun
    from trading_runtime.execution.workers.prestarted import PrestartedWorker
    from trading_runtime.records.journal import Journal
    from trading_runtime.records.run_files import RunFiles
    from trading_runtime.results.reduction import Reduction
    from trading_runtime.runs.metadata import Metadata


@dataclass(frozen=True)
class RunOutcome:
    """How a run ended."""

    reduction: Reduction
    computed: int
    """Tasks that were computed; all others were already stored."""
    seconds: float
    """Wall-clock time of the run."""


@dataclass
class LocalRun:
    """A prepared experiment, executed under one run id."""

    prepared: PreparedRun
    run_id: str
    should_stop: Callable[[], bool]
    show_progress: bool
    prestarted: PrestartedWorker | None = None
    has_trials: bool = True
    """Whether its points are trials; a check of a known point is none."""
    has_report: bool = True
    """Whether it has pages of its own; those of a search are in its last run."""
    meanwhile: Callable[[], None] = lambda: None
    """Called in a thread while the first tasks are computed."""
    files: RunFiles = field(init=False)
    _opened: OpenRun = field(init=False)
    _started: float = field(init=False)
    _control: StopControl = field(init=False)
    _repeated: RepeatedFailure = field(init=False)

    def execute(self, *, allow_incomplete: bool) -> RunOutcome:
        """Run to the end; the same id with the same plan resumes.

        Raises ``UsageError`` when the id is running or belongs to another plan, ``StoppedError``
        when asked to stop (finished tasks are kept), ``StorageError`` when nothing can be written,
        ``KilledError`` when the kill switch is on, or was switched on before the last task ended.
        """
        plan, store = self.prepared.plan, self.prepared.store
        KillSwitch(store).refuse_start(self.run_id)
        with acquire_run(store, self.run_id) as self._opened:
            self.files = files = self._opened.files
            self._repeated = RepeatedFailure(self.prepared.loaded.experiment.limits.stop_after)
            self._control = StopControl(
                *(store, self.run_id, self.should_stop),
                *(self._opened.stop_requested, self._repeated.is_reached),
            )
            self._started = time.monotonic()
            metadata = begin_run(files, self.prepared, self.run_id, ExecutorKind.LOCAL)
            if metadata.earlier is not None:
                # Before any of its files changes: until then it has ended as its metadata say.
                self._opened.publish(files.metadata)
            store.clear_staging()
            remove_abandoned_scratch()
            with (
                self._opened.open_journal("local") as journal,
                recorded(self._opened, metadata, journal),
            ):
                started = RunStarted(
                    tasks=len(plan.tasks),
                    pending=len(plan.uncached),
                    workers=self.prepared.workers,
                    memory_limit_bytes=memory_limit(),
                )
                record_beginning(self._opened, plan, metadata, journal, started)
                share = Share(
                    self.run_id,
                    len(plan.tasks),
                    of_run=" with",
                    advice=f": give --run-id {self.run_id} again to resume",
                )
                computation = Computation(
                    *(self._opened, plan.tasks, journal, self._control, share),
                    repeated=self._repeated,
                )
                reduction = self._reduced(
                    computation, journal, metadata, incomplete=allow_incomplete
                )
                killed = record_end(
                    files, metadata, journal, reduction.result, self._control.killed
                )
            if killed is not None:
                raise killed
            computed = len(computation.records.measured)
            return RunOutcome(reduction, computed, time.monotonic() - self._started)

    def _reduced(
        self, computation: Computation, journal: Journal, metadata: Metadata, *, incomplete: bool
    ) -> Reduction:
        """Compute what is not stored and summarise; recompute damaged results once."""
        plan = self.prepared.plan
        self._compute(computation, plan.uncached)
        # What was verified for the plan is not verified again, unless tasks ran in between, which
        # can take hours.
        verified = {} if plan.uncached else self.prepared.manifests
        reduction = self._summarise(computation, metadata, verified, incomplete=incomplete)
        # Results that were stored before and have just been quarantined on reading.
        damaged = {item.task_id for item in reduction.failures} - computation.failed
        if damaged:
            for task_id in sorted(damaged):
                journal.write(TaskRetried(task_id=task_id, kind=Kind.DATA))
                self._opened.remove(self.files.failure(task_id))
            again = [n for n, task in enumerate(plan.tasks) if task.task_id in damaged]
            self._compute(computation, again)
            reduction = self._summarise(computation, metadata, {}, incomplete=incomplete)
        return reduction

    def _compute(self, computation: Computation, pending: Sequence[int]) -> None:
        plan = self.prepared.plan
        progress = None
        if self.show_progress:
            progress = Progress(len(plan.tasks), len(plan.tasks) - len(pending))
        left = {*pending}
        # A killed run is summarised too, with the results it has.
        with contextlib.suppress(KilledError):
            if self._repeated.is_limited and len(left) > 1:
                # A problem that affects every task shows in the first one.
                first = min(left)
                computation.run(self._executor(), self._batches({first}), progress)
                left.remove(first)
            if not self._repeated.is_reached():
                computation.run(
                    self._executor(), self._batches(left), progress, meanwhile=self._import_for_end
                )

    def _batches(self, pending: set[int]) -> dict[int, list[int]]:
        """Return the pending tasks of each batch that has any, by its index in the plan."""
        batches = {
            number: [index for index in range(first, last) if index in pending]
            for number, (first, last) in enumerate(self.prepared.plan.batches)
        }
        return {number: tasks for number, tasks in batches.items() if tasks}

    def _executor(self) -> LocalExecutor:
        prepared, plan = self.prepared, self.prepared.plan
        job = Job(
            plan=plan,
            plan_file=self.files.plan.absolute(),
            folder=prepared.loaded.code_folder,
            dataset=prepared.loaded.dataset_place,
            results=prepared.store.place,
            task_seconds=plan.task_seconds,
            task_memory=plan.task_memory,
            search_paths=prepared.code.search_paths,
        )
        return LocalExecutor(job, prepared.workers, self.prestarted)

    def _summarise(
        self,
        computation: Computation,
        metadata: Metadata,
        verified: Mapping[str, str],
        *,
        incomplete: bool,
    ) -> Reduction:
        prepared, seconds = self.prepared, time.monotonic() - self._started
        write_metrics(self.files, prepared.code.path, seconds, computation.records.measured)
        return summarise_run(
            prepared.plan,
            prepared.store,
            self.files,
            metadata,
            allow_incomplete=incomplete,
            verified=verified,
            has_trials=self.has_trials,
            has_report=self.has_report,
        )

    def _import_for_end(self) -> None:
        """Import what the end of the run needs; errors surface at the end, where it is used."""
        with contextlib.suppress(Exception):
            self.meanwhile()
            import trading_runtime.metrics.exposition
            import trading_runtime.report.write
            import trading_runtime.results.reduction  # noqa: F401
