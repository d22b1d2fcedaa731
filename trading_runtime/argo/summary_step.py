"""The step ``summary``: judge a run by its store, whatever happened to its pods."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from trading_runtime.argo.planned_run import NotPlannedError
from trading_runtime.control.kill_switch import KillSwitch
from trading_runtime.errors import IncompleteError, KilledError, TransientError
from trading_runtime.execution.lifecycle import record_end, summarise_run
from trading_runtime.metrics.exposition import write_run_metrics
from trading_runtime.records.failures import read_failure
from trading_runtime.records.forms import to_document
from trading_runtime.records.journal import Journal, lines_in_order, new_writer
from trading_runtime.records.metadata import read_metadata
from trading_runtime.records.plan import read_plan
from trading_runtime.results.store import open_store
from trading_runtime.runs.heartbeat import Heartbeat
from trading_runtime.runs.metadata import Metadata, reopen_run
from trading_runtime.runs.opening import check_run_id
from trading_runtime.runs.rates import write_metrics
from trading_runtime.units import parse_instant

if TYPE_CHECKING:
    from trading_runtime.records.failures import TaskFailure
    from trading_runtime.records.metadata import RunMetadata
    from trading_runtime.records.result import RunResult
    from trading_runtime.records.run_files import RunFiles
    from trading_runtime.results.store import Store

WAITS_SECONDS = (10.0, 20.0, 40.0, 80.0)
"""Seconds before another attempt when storage could not be reached. Argo does not retry: it would
need an expression, and would then report that it did not hold, instead of the summary's message."""


@dataclass(frozen=True)
class Summary:
    """The outcome of a run."""

    result: RunResult
    failures: list[TaskFailure]
    files: RunFiles
    killed: KilledError | None = None
    """The error to raise when the kill switch ended the run."""

    @property
    def counts(self) -> dict[str, Any]:
        """Tasks planned, ok, failed, missing, and the failed ones by kind."""
        return {
            **to_document(self.result.counts),
            "failed_by_kind": dict(self.result.failed_by_kind),
        }

    def check_complete(self) -> None:
        """Raise ``IncompleteError``, with kinds and counts, unless every planned task is ok.

        Raises ``KilledError`` instead when the kill switch is on.
        """
        if self.result.complete:
            return
        if self.killed is not None:
            raise self.killed
        counts = self.result.counts
        kinds = [f"{count:,} {kind}" for kind, count in self.result.failed_by_kind.items()]
        kinds += [f"{counts.missing:,} missing"] if counts.missing else []
        first = ""
        if self.failures:
            failed = min(self.failures, key=lambda item: item.task_id)
            message = failed.message.partition("\n")[0]
            first = f"; first: {failed.task_id[:12]}: {message}"
        raise IncompleteError(
            f"incomplete: {counts.ok:,} of {counts.planned:,} tasks are ok, "
            f"{', '.join(kinds)}{first}"
        )


def run_summary_step(results: str, run_id: str, *, allow_incomplete: bool = False) -> Summary:
    """Reduce the run over its stored tasks, and write tables, result, metrics and report.

    Raises ``NotPlannedError`` when the run was not planned, ``StorageError`` as the storage does,
    and ``TransientError`` when it stays unreachable for minutes. An incomplete run does not raise:
    see ``Summary.check_complete``.
    """
    for seconds in WAITS_SECONDS:
        try:
            return _summarised(results, run_id, allow_incomplete=allow_incomplete)
        except TransientError:
            time.sleep(seconds)
    return _summarised(results, run_id, allow_incomplete=allow_incomplete)


def _summarised(results: str, run_id: str, *, allow_incomplete: bool) -> Summary:
    check_run_id(run_id)
    if not results:
        raise NotPlannedError(run_id)
    store = open_store(results)
    files = store.run(run_id)
    stored = read_metadata(files)
    if not files.plan.is_file() or stored is None:
        raise NotPlannedError(run_id, results)
    with Heartbeat(store.objects, run_id) as heartbeat:
        summary = _judged(store, files, stored, allow_incomplete=allow_incomplete)
        heartbeat.remove()
    return summary


def _judged(
    store: Store, files: RunFiles, stored: RunMetadata, *, allow_incomplete: bool
) -> Summary:
    run_id, plan = stored.run_id, read_plan(files.plan)
    reopen_run(files)
    store.publish(files.metadata)
    _forget_passed_failures(store, files)
    metadata = Metadata(files, stored)
    with Journal(files.journals, new_writer("summary")) as journal:
        reduction = summarise_run(plan, store, files, metadata, allow_incomplete=allow_incomplete)
        killed = record_end(
            files,
            metadata,
            journal,
            reduction.result,
            KillSwitch(store).on_for(run_id),
            stop_requested=files.stop.exists(),
        )

    def write_numbers(final: RunMetadata) -> None:
        _write_metrics(files, plan.common.strategy_path)
        write_run_metrics(files, final)

    metadata.seal(write_numbers)
    store.publish_part(journal.end_part)
    store.publish_run(files)
    return Summary(reduction.result, reduction.failures, files, killed)


def _forget_passed_failures(store: Store, files: RunFiles) -> None:
    """Remove the failures of tasks that later succeeded in a pod that was then killed."""
    for path in sorted(files.failures.glob("*.json")):
        if store.has_task(path.stem):
            failure = read_failure(path)
            if failure is not None and failure.may_pass:
                store.remove(path)


def _write_metrics(files: RunFiles, strategy: str) -> None:
    """Write what the pods measured since the run was last planned, according to their journals."""
    started, latest = 0, 0
    measured: dict[str, tuple[float, int]] = {}
    for *_, entry in lines_in_order(files.journals):
        payload, latest = entry.payload, parse_instant(entry.time)
        if entry.event == "run_started":
            started = latest
            measured.clear()
        elif entry.event == "task_completed":
            measured[payload["task_id"]] = (payload["seconds"], payload["rows"])
    write_metrics(files, strategy, (latest - started) / 1e9, list(measured.values()))
