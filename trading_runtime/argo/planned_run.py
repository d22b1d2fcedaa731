"""A planned run as read from the store by the steps after ``plan``."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trading_runtime.errors import (
    IncompleteError,
    Kind,
    TradingRuntimeError,
    UsageError,
    error_of,
)
from trading_runtime.records.failures import read_failure
from trading_runtime.records.plan import read_plan
from trading_runtime.results.store import open_store
from trading_runtime.runs.opening import SharedRun, check_run_id

if TYPE_CHECKING:
    from trading_runtime.records.metadata import RunMetadata
    from trading_runtime.records.plan import Plan
    from trading_runtime.results.store import Store

_PLANNING = ("plan", "ask")
_ENDED = re.compile(r"\(exit code ([0-9]+)\)(?:: (.*))?", re.DOTALL)


class NotPlannedError(UsageError):
    """A step came to a run that was not planned."""

    def __init__(self, run_id: str, results: str = "") -> None:
        place = f"{results}: " if results else ""
        super().__init__(
            f"{place}run {run_id!r}: the run was not planned; the message of the step 'plan', or "
            "of a search's step 'ask', says why"
        )


def why_not_planned(failures: str) -> TradingRuntimeError | None:
    """Return the error with which the last pod that planned ended, ``None`` if it is not known.

    ``failures`` are the workflow's failed steps, ``{{workflow.failures}}``: JSON in quotes, which
    may be cut off.
    """
    try:
        listed = json.loads(json.loads(failures))
        ended = [item for item in listed if item["templateName"] in _PLANNING]
        ended.sort(key=lambda item: str(item["finishedAt"]))
        messages = [str(item["message"]) for item in ended]
    except (ValueError, KeyError, TypeError):
        return None
    for message in reversed(messages):
        if found := _ENDED.search(message):
            codes = {kind.exit_code: kind for kind in Kind}
            kind = codes.get(int(found[1]), Kind.INCOMPLETE)
            return error_of(kind, found[2] or f"a pod that planned ended so: {message}")
    # Without an exit code, such as one that passed its deadline.
    return IncompleteError(f"no pod planned the run: {messages[-1]}") if messages else None


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

    Raises ``NotPlannedError`` when it was not planned, ``DataError`` when its files are damaged.
    """
    check_run_id(run_id)
    if not results:
        raise NotPlannedError(run_id)
    run = find_planned_run(results, run_id)
    if run is None:
        raise NotPlannedError(run_id, results)
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
