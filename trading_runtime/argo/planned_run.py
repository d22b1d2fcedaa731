"""A planned run as read from the store by the steps after ``plan``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from trading_runtime.errors import UsageError
from trading_runtime.records.failures import read_failure
from trading_runtime.records.plan import read_plan
from trading_runtime.results.store import open_store
from trading_runtime.runs.opening import SharedRun, check_run_id

if TYPE_CHECKING:
    from trading_runtime.records.metadata import RunMetadata
    from trading_runtime.records.plan import Plan
    from trading_runtime.results.store import Store

NOT_PLANNED = (
    "the run was not planned; the message of the step 'plan', or of a search's step 'ask', says why"
)


@dataclass(frozen=True)
class SharedPlannedRun:
    """A run that several pods work on, with what ``plan`` left for them."""

    run_id: str
    store: Store
    shared: SharedRun
    plan: Plan
    metadata: RunMetadata

    def may_pass(self, task_id: str) -> bool:
        """Return whether a task that failed may succeed when retried elsewhere."""
        path = self.shared.files.failure(task_id)
        self.shared.read(path)
        failure = read_failure(path)
        return failure is not None and failure.may_pass


def open_planned_run(results: str, run_id: str) -> SharedPlannedRun:
    """Open a run for this pod's share of the work.

    Raises ``UsageError`` when it was not planned, ``DataError`` when its files are damaged.
    """
    check_run_id(run_id)
    if not results:
        raise UsageError(f"run {run_id!r}: {NOT_PLANNED}")
    run = find_planned_run(results, run_id)
    if run is None:
        raise UsageError(f"{results}: run {run_id!r}: {NOT_PLANNED}")
    return run


def find_planned_run(results: str, run_id: str) -> SharedPlannedRun | None:
    """Return the run as stored now, ``None`` when it was not planned.

    Raises ``DataError`` when its files are damaged.
    """
    store = open_store(results)
    shared = SharedRun(store, run_id)
    metadata = shared.metadata()
    if shared.read(shared.files.plan) is None or metadata is None:
        return None
    return SharedPlannedRun(run_id, store, shared, read_plan(shared.files.plan), metadata)
