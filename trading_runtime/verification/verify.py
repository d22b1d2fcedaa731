"""Proves a run: stored tasks are recomputed in fresh processes, and their bytes compared."""

from __future__ import annotations

import shutil
from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from trading_runtime.errors import DataError, Kind, StoppedError, UsageError
from trading_runtime.execution.executor import TaskEnded
from trading_runtime.execution.workers.pool import WorkerPool
from trading_runtime.execution.workers.processes import Job
from trading_runtime.records.events import RunVerified
from trading_runtime.records.result import read_result
from trading_runtime.records.task_manifest import MANIFEST
from trading_runtime.results.store import Store
from trading_runtime.results.stored_plan import run_digest
from trading_runtime.runs.opening import append_events
from trading_runtime.storage.scratch import Scratch
from trading_runtime.verification.rerun import (
    changed_inputs,
    present_plan,
    refuse_changed_data,
    refuse_changed_inputs,
)
from trading_runtime.verification.why import first_difference

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from trading_runtime.records.plan import Plan
    from trading_runtime.records.run_files import RunFiles
    from trading_runtime.verification.rerun import TaskOrigin
    from trading_runtime.verification.why import FileDifference

_BATCHES_PER_WORKER = 2


class TaskVerdict(StrEnum):
    """What recomputing a task showed."""

    SAME = "same"
    DIFFERENT = "different"
    """The bytes differ from the stored ones, which match their manifest."""
    DAMAGED = "damaged"
    """The stored result is no longer what was stored."""
    FAILED = "failed"
    """It could not be recomputed."""


@dataclass(frozen=True)
class TaskFinding:
    """The finding about one task."""

    task_id: str
    verdict: TaskVerdict
    kind: Kind = Kind.OK
    message: str = ""
    difference: FileDifference | None = None


@dataclass(frozen=True)
class RunVerification:
    """The findings about a run."""

    run_id: str
    planned: int
    stored: int
    findings: list[TaskFinding]
    """One for each recomputed task, in order of task ids."""
    damage: str = ""
    """What is wrong with the stored results as a whole."""

    @property
    def counts(self) -> dict[str, int]:
        """The number of tasks per verdict."""
        counted = Counter(item.verdict for item in self.findings)
        return {str(verdict): counted[verdict] for verdict in TaskVerdict}

    @property
    def kind(self) -> Kind:
        """The worst finding; ``ok`` when all bytes are the same."""
        kinds = [item.kind for item in self.findings if item.kind is not Kind.OK]
        if Kind.NONDETERMINISTIC in kinds:
            return Kind.NONDETERMINISTIC
        if self.damage or Kind.DATA in kinds:
            return Kind.DATA
        return kinds[0] if kinds else Kind.OK


def verify_run(  # noqa: PLR0913 - keyword-only choices of one call
    origin: TaskOrigin,
    store: Store,
    files: RunFiles,
    *,
    sample: int | None,
    workers: int,
    should_stop: Callable[[], bool] = lambda: False,
    report: Callable[[TaskFinding], None] = lambda _finding: None,
) -> RunVerification:
    """Recompute stored tasks of a run, all of them or a ``sample`` of this size, and compare bytes.

    The sample is spread evenly over the sorted task ids, so that it is the same each time.
    ``report`` receives each finding. Raises ``UsageError`` when nothing is stored, or code or
    versions differ from those of the run; ``DataError`` when the dataset is another;
    ``StoppedError`` when asked to stop.
    """
    refuse_changed_inputs(changed_inputs(origin), origin)
    tasks = origin.plan.tasks
    stored = {
        task.task_id: index
        for index, task in enumerate(tasks)
        # A damaged one is not a result, but it exists.
        if store.has_task(task.task_id) or store.task(task.task_id).is_dir()
    }
    if not stored:
        raise UsageError(
            f"run {origin.run_id!r} has no stored results in {store.place}: nothing can be verified"
        )
    chosen = [stored[identity] for identity in spread(sorted(stored), sample)]
    refuse_changed_data(origin, chosen)
    findings = []
    with Scratch() as scratch:
        rerun = _Rerun(origin, store, Store(scratch.path), present_plan(origin, scratch.path))
        for finding in rerun.findings(sorted(chosen), workers, should_stop):
            findings.append(finding)
            report(finding)
    if len(findings) < len(chosen):
        raise StoppedError(f"stopped after {len(findings)} of {len(chosen)} tasks")
    sound = all(item.verdict is not TaskVerdict.DAMAGED for item in findings)
    whole = sound and len(chosen) == len(tasks)
    return RunVerification(
        run_id=origin.run_id,
        planned=len(tasks),
        stored=len(stored),
        findings=sorted(findings, key=lambda item: item.task_id),
        damage=_damage(store, files, origin.plan, len(stored), whole=whole),
    )


def spread(items: Sequence[str], count: int | None) -> list[str]:
    """Return ``count`` evenly spaced ``items``, including first and last; all if ``None``.

    >>> spread(["a", "b", "c", "d", "e"], 3)
    ['a', 'c', 'e']
    """
    if count is None or count >= len(items):
        return list(items)
    if count == 1:
        return [items[0]]
    return [items[number * (len(items) - 1) // (count - 1)] for number in range(count)]


def judge_difference(difference: FileDifference | None) -> TaskVerdict:
    """Return what a difference between stored and new bytes means.

    The manifest is made from the inputs and the other files: where only it differs, it was changed
    after it was stored.
    """
    if difference is None:
        return TaskVerdict.SAME
    return TaskVerdict.DAMAGED if difference.file == MANIFEST else TaskVerdict.DIFFERENT


def verification_document(verification: RunVerification) -> dict[str, Any]:
    """Return a verification as JSON content."""
    return {
        "run_id": verification.run_id,
        "outcome": verification.kind,
        "planned": verification.planned,
        "stored": verification.stored,
        "verified": len(verification.findings),
        "counts": verification.counts,
        "damage": verification.damage or None,
        "tasks": [
            {
                "task_id": item.task_id,
                "verdict": item.verdict,
                "message": item.message,
                "difference": None if item.difference is None else vars(item.difference),
            }
            for item in verification.findings
        ],
    }


def record_verification(verification: RunVerification, store: Store, files: RunFiles) -> None:
    """Record the findings in the run's journal.

    Raises ``StorageError`` when the journal cannot be written.
    """
    event = RunVerified(
        tasks=len(verification.findings),
        same=verification.counts[TaskVerdict.SAME],
        different=verification.counts[TaskVerdict.DIFFERENT],
        damaged=verification.counts[TaskVerdict.DAMAGED],
        failed=verification.counts[TaskVerdict.FAILED],
        outcome=verification.kind,
    )
    append_events(store, files.folder.name, "verify", event)


class _Rerun:
    """Recomputes tasks into a separate store, and judges each as it ends."""

    def __init__(self, origin: TaskOrigin, store: Store, fresh: Store, plan_file: Path) -> None:
        self._origin = origin
        self._store = store
        self._fresh = fresh
        self._plan_file = plan_file
        self._tasks = origin.plan.tasks

    def findings(
        self, tasks: Sequence[int], workers: int, should_stop: Callable[[], bool]
    ) -> Iterator[TaskFinding]:
        job = Job(
            plan=self._origin.plan,
            plan_file=self._plan_file,
            folder=self._origin.folder,
            dataset=self._origin.dataset,
            results=self._fresh.place,
            task_seconds=self._origin.plan.task_seconds,
            task_memory=self._origin.plan.task_memory,
            search_paths=self._origin.code.search_paths,
        )
        size = max(1, -(-len(tasks) // (workers * _BATCHES_PER_WORKER)))
        batches = [tasks[first : first + size] for first in range(0, len(tasks), size)]
        with WorkerPool(job, min(workers, len(batches)), should_stop) as pool:
            for event in pool.run(batches):
                if isinstance(event, TaskEnded):
                    yield self._judge(event)

    def _judge(self, event: TaskEnded) -> TaskFinding:
        identity = self._tasks[event.task].task_id
        try:
            stored = self._store.read_task(identity)
        except DataError as error:
            return TaskFinding(identity, TaskVerdict.DAMAGED, Kind.DATA, str(error))
        if event.status != Kind.OK:
            return self._failed(identity, event)
        difference = first_difference(stored, self._fresh.read_task(identity))
        shutil.rmtree(self._fresh.task(identity))
        verdict = judge_difference(difference)
        if difference is None:
            return TaskFinding(identity, verdict)
        summary = difference.summary("stored", "now")
        if verdict is TaskVerdict.DAMAGED:
            message = f"{self._store.task(identity)}: damaged after it was stored: {summary}"
            return TaskFinding(identity, verdict, Kind.DATA, message, difference)
        message = f"a repeat gave other bytes: {summary}"
        return TaskFinding(identity, verdict, Kind.NONDETERMINISTIC, message, difference)

    def _failed(self, identity: str, event: TaskEnded) -> TaskFinding:
        # The same code on the same data succeeded before, so it depends on something else.
        is_strategy = event.status == Kind.STRATEGY
        kind = Kind.NONDETERMINISTIC if is_strategy else Kind(event.status)
        message = f"failed now, and was ok: {event.message}"
        return TaskFinding(identity, TaskVerdict.FAILED, kind, message)


def _damage(store: Store, files: RunFiles, plan: Plan, stored: int, *, whole: bool) -> str:
    """Return what is wrong with the results as a whole, compared with the end of the run."""
    result = read_result(files)
    if result is None or not result.complete:
        return ""
    planned = len(plan.tasks)
    if stored < planned:
        return (
            f"{files.result}: the run ended with {planned} results, {planned - stored} are gone; "
            f"run the experiment again with --run-id {files.folder.name}"
        )
    if whole and (found := run_digest(store, plan)) != result.run_digest:
        return (
            f"{files.result}: run_digest is {result.run_digest}, and that of the stored "
            f"results is {found}: one of the two was changed"
        )
    return ""
