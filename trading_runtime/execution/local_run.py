"""One run on this machine: compute what is not stored in worker processes, then summarise."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from trading_runtime.canonical import digest
from trading_runtime.config.loading import explicit
from trading_runtime.errors import Kind, StoppedError, UsageError
from trading_runtime.execution.pool import Job, TaskEnded, WorkerPool
from trading_runtime.execution.progress import Progress
from trading_runtime.results.store import read_json, write_file
from trading_runtime.runs.journal import Journal, merge_journals
from trading_runtime.runs.metadata import Metadata, Status
from trading_runtime.runs.metrics import write_metrics
from trading_runtime.runs.opening import OpenRun, open_run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from trading_runtime.execution.pool import Event
    from trading_runtime.execution.preparation import Prepared
    from trading_runtime.execution.worker_process import WorkerAhead
    from trading_runtime.results.reduction import Reduction
    from trading_runtime.results.store import RunFiles


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
    _measured: list[tuple[float, int]] = field(default_factory=list)

    def execute(self, *, allow_incomplete: bool) -> Outcome:
        """Run to the end; the same id with the same plan resumes.

        Raises ``UsageError`` when the id is running or belongs to another plan, ``StoppedError``
        when asked to stop (finished tasks are kept), ``StorageError`` when nothing can be written.
        """
        with open_run(self.prepared.store, self.run_id) as self._opened:
            self.files = self._opened.files
            self._refuse_other_plan()
            self.prepared.store.clear_staging()
            started = time.monotonic()
            metadata = self._begin()
            with Journal(self.files, f"local-{time.time_ns()}") as journal:
                try:
                    self._compute(journal)
                    seconds = time.monotonic() - started
                    write_metrics(self.files, self.prepared.code.path, seconds, self._measured)
                    reduction = self._summarise(metadata, allow_incomplete=allow_incomplete)
                    journal.write("run_completed", run_digest=reduction.result["run_digest"])
                except StoppedError:
                    metadata.set(Status.STOPPED)
                    journal.write("run_stopped")
                    raise
                except BaseException as error:
                    metadata.set(Status.FAILED, error=f"{type(error).__name__}: {error}")
                    journal.write("run_failed", error=type(error).__name__)
                    raise
                finally:
                    merge_journals(self.files)
            return Outcome(reduction, len(self._measured), time.monotonic() - started)

    def _refuse_other_plan(self) -> None:
        previous = read_json(self.files.metadata)
        if previous is not None and previous.get("plan_digest") != self.prepared.plan.digest:
            raise UsageError(
                f"run {self.run_id!r} exists with another plan (other tasks); choose another "
                "--run-id, or leave it out to get a new one"
            )

    def _begin(self) -> Metadata:
        plan, experiment = self.prepared.plan, self.prepared.loaded.experiment
        content = explicit(experiment)
        write_file(self.files.experiment, json.dumps(content, indent=1, ensure_ascii=False) + "\n")
        write_file(self.files.plan, plan.to_json())
        common = plan.document["common"]
        return Metadata.begin(
            self.files,
            run_id=self.run_id,
            experiment_name=experiment.name,
            labels=experiment.labels,
            experiment_file=str(self.prepared.loaded.path),
            dataset=self.prepared.loaded.dataset_place,
            plan_digest=plan.digest,
            dataset_digest=plan.document["dataset_digest"],
            config_digest=digest(content),
            code=common["code"],
            engine=common["engine"],
            python=common["python"],
        )

    def _compute(self, journal: Journal) -> None:
        plan = self.prepared.plan
        pending = plan.uncached
        journal.write("run_started", tasks=len(plan.tasks), pending=len(pending))
        for path in self.files.failures.glob("*.json"):
            path.unlink()
        progress = None
        if self.show_progress:
            progress = Progress(len(plan.tasks), len(plan.tasks) - len(pending))
        left = set(pending)
        for event in self._events(set(pending)):
            self._record(event, journal)
            self._opened.publish()
            if isinstance(event, TaskEnded):
                left.discard(event.task)
                if progress is not None:
                    progress.task_ended(ok=event.status == Kind.OK)
        if self._is_stopped():
            # Of what workers finished last, they could not tell any more.
            has_task = self.prepared.store.has_task
            count = sum(not has_task(plan.tasks[index]["task_id"]) for index in left)
            raise StoppedError(
                f"run {self.run_id!r} with {count:,} of {len(plan.tasks):,} tasks left; finished "
                f"ones are kept: give --run-id {self.run_id} again to go on"
            )

    def _events(self, pending: set[int]) -> Iterator[Event]:
        if not pending:
            return
        prepared = self.prepared
        job = Job(
            plan=self.files.plan.absolute(),
            folder=prepared.loaded.path.parent,
            dataset=prepared.loaded.dataset_place,
            results=prepared.store.place,
            task_seconds=prepared.plan.document["task_seconds"],
            search_paths=prepared.code.search_paths,
        )
        batches = [
            [index for index in range(first, last) if index in pending]
            for first, last in prepared.plan.document["batches"]
        ]
        workers = min(prepared.workers, len(batches))
        with WorkerPool(job, workers, self._is_stopped, self.ahead) as pool:
            yield from pool.run(batches)

    def _is_stopped(self) -> bool:
        return self.should_stop() or self._opened.stop_requested()

    def _record(self, event: Event, journal: Journal) -> None:
        task_id = self.prepared.plan.tasks[event.task]["task_id"]
        if not isinstance(event, TaskEnded):
            journal.write("task_started", task_id=task_id, worker=event.worker)
            return
        seconds = round(event.seconds, 6)
        if event.status == Kind.OK:
            self._measured.append((event.seconds, event.rows))
            journal.write("task_completed", task_id=task_id, seconds=seconds, rows=event.rows)
            return
        from trading_runtime.results.reduction import failure  # most runs need it at the end only

        content = failure(task_id, event.status, event.message, event.traceback)
        write_file(self.files.failure(task_id), json.dumps(content, indent=1) + "\n")
        journal.write("task_failed", task_id=task_id, seconds=seconds, kind=event.status)

    def _summarise(self, metadata: Metadata, *, allow_incomplete: bool) -> Reduction:
        from trading_runtime.results.reduction import reduce_run
        from trading_runtime.results.report import ReportInputs, write_report

        document = self.prepared.plan.document
        reduced = reduce_run(
            document, self.prepared.store, self.files, allow_incomplete=allow_incomplete
        )
        metadata.set(Status.COMPLETE if reduced.result["complete"] else Status.INCOMPLETE)
        common = document["common"]
        write_report(
            ReportInputs(
                run_id=self.run_id,
                experiment=read_json(self.files.experiment),
                plan=document,
                result=reduced.result,
                results=reduced.results,
                points=reduced.points,
                curve=reduced.curve,
                failures=reduced.failures,
                data_types=_data_types(document),
                identities=self._identities(reduced),
                packages={name: str(version) for name, version in common["packages"].items()},
                metadata=metadata.content,
            ),
            self.files.folder,
        )
        return reduced

    def _identities(self, reduced: Reduction) -> dict[str, str]:
        document = self.prepared.plan.document
        common = document["common"]
        return {
            "run digest": reduced.result["run_digest"],
            "plan digest": self.prepared.plan.digest,
            "dataset digest": document["dataset_digest"],
            "strategy": common["strategy"]["path"],
            "strategy code digest": common["code"]["strategy"],
            "runtime code digest": common["code"]["runtime"],
            "engine": f"nautilus_trader {common['engine']['nautilus_trader']}",
            "Python": common["python"],
            "platform": f"{common['system']} {common['machine']}",
        }


def _data_types(document: dict[str, Any]) -> list[str]:
    return sorted({series["type"] for item in document["partitions"] for series in item["data"]})
