"""The events common to all runs, made from what the run knows at that moment."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from trading_runtime.errors import DataError, kind_of_error
from trading_runtime.records.events import (
    Event,
    RunCompleted,
    RunFailed,
    RunInitialised,
    RunPlanned,
    RunResumed,
    TaskRetried,
)
from trading_runtime.records.failures import read_failure
from trading_runtime.text import MOST_MESSAGE, abridged, for_records

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from trading_runtime.records.plan import Plan
    from trading_runtime.records.result import RunResult
    from trading_runtime.runs.metadata import Metadata


def beginning(metadata: Metadata, plan: Plan) -> Iterator[Event]:
    """Yield that a run is new or resumed, and what it is to compute."""
    now = metadata.now
    if metadata.earlier is None:
        yield RunInitialised(run_id=now.run_id, mode=now.mode, executor=now.executor)
    else:
        yield RunResumed(run_id=now.run_id, earlier=metadata.earlier)
    yield RunPlanned(
        plan_digest=plan.digest,
        points=len(plan.points),
        partitions=len(plan.partitions),
        tasks=len(plan.tasks),
        batches=len(plan.batches),
        cached=len(plan.tasks) - len(plan.uncached),
    )


def retries(failures: Iterable[Path]) -> Iterator[Event]:
    """Yield the tasks that failed, by their failure files, and are about to be recomputed."""
    for path in failures:
        with contextlib.suppress(DataError):  # its failure cannot be read
            failure = read_failure(path)
            if failure is not None:
                yield TaskRetried(task_id=failure.task_id, kind=failure.kind)


def completion(result: RunResult) -> RunCompleted:
    """Return the event for a run that ended with this result."""
    return RunCompleted(
        run_digest=result.run_digest,
        complete=result.complete,
        planned=result.counts.planned,
        ok=result.counts.ok,
        failed=result.counts.failed,
        missing=result.counts.missing,
    )


def breakdown(error: BaseException) -> RunFailed:
    """Return the event for a run that this error ended."""
    message = abridged(for_records(f"{type(error).__name__}: {error}"), MOST_MESSAGE)
    return RunFailed(kind=kind_of_error(error), message=message)
