"""Runs one task again, on this machine, in a fresh process whose log and output are shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from trading_runtime.errors import DataError, Kind, UsageError
from trading_runtime.records.failures import read_failure
from trading_runtime.results.store import Store
from trading_runtime.results.stored_plan import pick
from trading_runtime.storage.scratch import Scratch
from trading_runtime.verification.fresh_tasks import FreshOutcome, FreshTasks
from trading_runtime.verification.rerun import present_plan
from trading_runtime.verification.why import first_difference

if TYPE_CHECKING:
    from trading_runtime.records.plan import Plan
    from trading_runtime.records.run_files import RunFiles
    from trading_runtime.verification.rerun import TaskOrigin
    from trading_runtime.verification.why import FileDifference

LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")


@dataclass(frozen=True)
class Replay:
    """How a task ended now, and how it ended before."""

    task_id: str
    now: FreshOutcome
    before: FreshOutcome | None
    """``None`` when nothing is stored; of kind ``data`` when what is stored is damaged."""
    difference: FileDifference | None = None
    """Where the bytes differ from the stored ones, when both are ok."""

    @property
    def kind(self) -> Kind:
        """``nondeterministic`` when the outcome differs, else how it ended now."""
        before = self.before
        if self.difference is not None:
            return Kind.NONDETERMINISTIC
        if before is not None and Kind.STRATEGY in (self.now.kind, before.kind):
            same = (self.now.kind, self.now.message) == (before.kind, before.message)
            if not same and {self.now.kind, before.kind} <= {Kind.OK, Kind.STRATEGY}:
                return Kind.NONDETERMINISTIC
        if self.now.kind is Kind.OK and before is not None and before.kind is Kind.DATA:
            return Kind.DATA
        return self.now.kind


def find_task(plan: Plan, prefix: str | None, point: int | None, partition: int | None) -> int:
    """Return the index of the task that the arguments name.

    It is named by the beginning of its id, or by point and partition; either may be left out when
    the plan has only one. Raises ``UsageError`` when they name none or several.
    """
    tasks = plan.tasks
    if prefix is not None:
        if point is not None or partition is not None:
            raise UsageError("give the task's id, or --point and --partition, not both")
        identity = pick(prefix, (task.task_id for task in tasks), "the run's plan")
        return next(i for i, task in enumerate(tasks) if task.task_id == identity)
    if point is None and partition is None and len(tasks) > 1:
        raise UsageError("give the task's id, or --point and --partition")
    for name, given, count in (
        ("point", point, len(plan.points)),
        ("partition", partition, len(plan.partitions)),
    ):
        last = count - 1
        if given is not None and given not in range(last + 1):
            raise UsageError(f"--{name} {given}: the run's {name}s are 0 to {last}")
    found = [
        index
        for index, task in enumerate(tasks)
        if point in (None, task.point) and partition in (None, task.partition)
    ]
    if len(found) > 1:
        missing = "partition" if partition is None else "point"
        raise UsageError(f"{len(found)} tasks fit; give --{missing} too")
    return found[0]


def replay(origin: TaskOrigin, index: int, store: Store, files: RunFiles, log_level: str) -> Replay:
    """Run task ``index`` again, with its output and the engine's log on standard output.

    The stored result is left as it is.
    """
    identity = origin.plan.tasks[index].task_id
    with Scratch() as scratch:
        [now] = _fresh(origin, scratch, log_level).run([index])
        if now.kind is Kind.OK:
            fresh = Store(scratch.path / "results").read_task(identity)
        before = None
        if store.task(identity).is_dir():
            try:
                stored = store.read_task(identity)
            except DataError as error:
                return Replay(identity, now, FreshOutcome(Kind.DATA, str(error)))
            before = FreshOutcome(Kind.OK)
            if now.kind is Kind.OK:
                return Replay(identity, now, before, first_difference(stored, fresh))
        elif failed := read_failure(files.failure(identity)):
            before = FreshOutcome(failed.kind, failed.message, failed.traceback)
        return Replay(identity, now, before)


def task_log(origin: TaskOrigin, index: int, log_level: str) -> str:
    """Run task ``index`` again, and return the engine's log and what the strategy printed."""
    with Scratch() as scratch, (scratch.path / "log").open("w+b") as log:
        _fresh(origin, scratch, log_level).run([index], log)
        log.seek(0)
        return log.read().decode(errors="replace")


def _fresh(origin: TaskOrigin, scratch: Scratch, log_level: str) -> FreshTasks:
    return FreshTasks(
        present_plan(origin, scratch.path),
        origin.folder,
        origin.dataset,
        origin.code.search_paths,
        scratch.path,
        log_level,
    )
