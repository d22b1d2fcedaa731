"""The status of a run, the reason for it, and what to do next."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from trading_runtime.records.events import Mode
from trading_runtime.records.forms import to_document
from trading_runtime.records.metadata import parse_metadata
from trading_runtime.records.result import TaskCounts, parse_result
from trading_runtime.records.status import DIED, UNKNOWN, WAITING, Status, status_of
from trading_runtime.runs.heartbeat import SILENT_SECONDS
from trading_runtime.runs.opening import is_running
from trading_runtime.runs.progress import JournalFollower, Tally
from trading_runtime.storage.object_store import UnreadableError
from trading_runtime.units import instant_text, parse_instant

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from trading_runtime.records.journal import JournalEntry
    from trading_runtime.records.metadata import RunMetadata
    from trading_runtime.records.result import RunResult
    from trading_runtime.records.status import AskWorkflow, WorkflowState
    from trading_runtime.results.store import Store


def stored_metadata(store: Store, run_id: str) -> RunMetadata | None:
    """Return the metadata of a run as stored now; ``None`` when they are absent or damaged."""
    content = _stored(store, run_id, "metadata.json")
    return None if content is None else parse_metadata(content)


def stored_result(store: Store, run_id: str) -> RunResult | None:
    """Return the result as stored now; ``None`` when it is absent or damaged."""
    content = _stored(store, run_id, "result.json")
    return None if content is None else parse_result(content)


def _stored(store: Store, run_id: str, name: str) -> bytes | None:
    # A file that cannot be read hides no other run; a storage that refuses access hides them all.
    with contextlib.suppress(OSError, UnreadableError):
        return store.objects.read(f"runs/{run_id}/{name}")
    return None


def shown_status(
    store: Store, run_id: str, metadata: RunMetadata | None, ask: AskWorkflow
) -> tuple[str, WorkflowState | None]:
    """Return the status of a run as shown to people, and the state of its workflow if asked.

    The workflow is asked when no pod is at work: see ``status.status_of``. While one can
    continue, the run is waiting.
    """
    status = status_of(metadata, lambda: is_running(store, run_id))
    if status != DIED or metadata is None or metadata.workflow is None:
        return status, None
    workflow = ask(metadata.workflow)
    goes_on = workflow is not None and not workflow.has_ended
    return WAITING if goes_on else status, workflow


def may_be_running(store: Store, run_id: str) -> bool:
    """Return whether a process or pods compute a run, or pods for it are still waiting."""
    if is_running(store, run_id):
        return True
    metadata = stored_metadata(store, run_id)
    return metadata is not None and metadata.of_pods and metadata.status is Status.RUNNING


_MOST_FAILURES = 5
_UNFINISHED = {Status.RUNNING, WAITING, DIED}


def started(store: Store, run_id: str) -> str:
    """Return when a run first began; empty when unknown."""
    metadata = stored_metadata(store, run_id)
    return "" if metadata is None else metadata.started


@dataclass(frozen=True)
class RunOverview:
    """A run's status, times and counts of tasks, for a list."""

    run_id: str
    status: str
    """As shown to people; see ``status.status_of``."""
    metadata: RunMetadata | None
    """``None`` when they are absent or damaged."""
    counts: TaskCounts | None
    """``None`` when neither a summary nor the journal has any."""
    workflow: WorkflowState | None = None
    """Of a run in pods, if it was asked for."""

    @property
    def started(self) -> str | None:
        """When it first began, UTC; ``None`` when unknown."""
        return None if self.metadata is None else self.metadata.started

    @property
    def age_seconds(self) -> float | None:
        """The time since it first began."""
        return None if self.started is None else _seconds_since(self.started)

    def to_document(self) -> dict[str, Any]:
        """Return the overview as JSON content."""
        names = ("planned", "ok", "failed", "missing")
        metadata, counts = self.metadata, self.counts
        return {
            "run_id": self.run_id,
            "status": self.status,
            "experiment": None if metadata is None else metadata.experiment_name,
            "executor": None if metadata is None else metadata.executor,
            "started": self.started,
            "ended": None if metadata is None else metadata.ended,
            "age_seconds": self.age_seconds,
            **(dict.fromkeys(names) if counts is None else to_document(counts)),
        }


@dataclass(frozen=True)
class LastEvent:
    """The last event in a run's journal."""

    time: str
    event: str


@dataclass(frozen=True)
class FailedTask:
    """A task that failed, and the first line of why."""

    task_id: str
    kind: str
    message: str


@dataclass(frozen=True)
class RunDetails:
    """All that ``runs show`` prints: what ran, where, on what data, and what to do next."""

    overview: RunOverview
    why: str
    """One sentence on why the run has its status."""
    next_steps: list[str]
    """An operator's next steps, as commands and short sentences."""
    last_event: LastEvent | None
    seconds_left: float | None
    """How much longer a running one will take; ``None`` when unknown."""
    run_digest: str | None
    failed_by_kind: Mapping[str, int]
    failures: list[FailedTask]
    """The first ones, by task id."""

    def to_document(self) -> dict[str, Any]:
        """Return the details as JSON content."""
        metadata = self.overview.metadata
        document = {} if metadata is None else metadata.to_document()
        return {
            **self.overview.to_document(),
            "why": self.why,
            "next": self.next_steps,
            "history": document.get("history", []),
            "last_event": self.last_event and to_document(self.last_event),
            "seconds_left": self.seconds_left,
            "where": {key: document.get(key) for key in _WHERE},
            "inputs": {key: document.get(key) for key in _INPUTS},
            "run_digest": self.run_digest,
            "failed_by_kind": dict(self.failed_by_kind),
            "failures": [to_document(each) for each in self.failures],
        }


_WHERE = ("user", "host", "executor", "image")
_INPUTS = (
    *("experiment_file", "config_digest", "dataset", "dataset_digest", "plan_digest", "code"),
    *("engine", "python", "labels"),
)


def overview(store: Store, run_id: str, ask: AskWorkflow = lambda _: None) -> RunOverview:
    """Return a run's status, times and counts of tasks, for a list; ``ask`` asks its workflow."""
    metadata = stored_metadata(store, run_id)
    result = stored_result(store, run_id)
    shown = shown_status(store, run_id, metadata, ask)
    return _overview(run_id, shown, metadata, result, lambda: _tally(_entries(store, run_id)))


def _overview(
    run_id: str,
    shown: tuple[str, WorkflowState | None],
    metadata: RunMetadata | None,
    result: RunResult | None,
    tally: Callable[[], Tally],
) -> RunOverview:
    """Return what ``overview`` does; ``tally`` is used only where there is no summary to count."""
    status, workflow = shown
    counts = None if result is None else result.counts
    if status in _UNFINISHED or counts is None:
        counts = _counted(tally()) or counts
    return RunOverview(run_id, status, metadata, counts, workflow)


def details(store: Store, run_id: str, ask: AskWorkflow = lambda _: None) -> RunDetails:
    """Return all that ``runs show`` prints; ``ask`` asks its workflow."""
    metadata = stored_metadata(store, run_id)
    result = stored_result(store, run_id)
    entries = _entries(store, run_id)
    tally = _tally(entries)
    shown = shown_status(store, run_id, metadata, ask)
    found = _overview(run_id, shown, metadata, result, lambda: tally)
    failures = _failures(entries)
    latest = None if tally.latest is None else instant_text(tally.latest)
    kinds = {} if result is None else result.failed_by_kind
    return RunDetails(
        overview=found,
        why=_why(found, tally, failures),
        next_steps=_next_steps(found.status, run_id, metadata, store.place),
        last_event=None if latest is None else LastEvent(latest, tally.latest_event),
        seconds_left=tally.seconds_left if found.status == Status.RUNNING else None,
        run_digest=None if result is None else result.run_digest,
        failed_by_kind=kinds or dict(tally.kinds),
        failures=failures,
    )


def _entries(store: Store, run_id: str) -> list[JournalEntry]:
    return JournalFollower(store, run_id).entries()


def _tally(entries: Sequence[JournalEntry]) -> Tally:
    tally = Tally()
    tally.add(entries)
    return tally


def _counted(tally: Tally) -> TaskCounts | None:
    """Return the counts of a run without a summary, taken from its journal."""
    if not tally.tasks:
        return None
    ok = tally.tasks - tally.pending + tally.done - tally.failed
    missing = tally.tasks - ok - tally.failed
    return TaskCounts(planned=tally.tasks, ok=ok, failed=tally.failed, missing=missing)


def _seconds_since(moment: str) -> float:
    return round(max(time.time_ns() - parse_instant(moment), 0) / 1e9, 3)


def _failures(entries: Sequence[JournalEntry]) -> list[FailedTask]:
    """Return the first failures, by task id."""
    failed: dict[str, FailedTask] = {}
    for entry in entries:
        payload = entry.payload
        if entry.event == "task_failed":
            failed[payload["task_id"]] = FailedTask(
                payload["task_id"], payload["kind"], payload.get("message", "")
            )
        elif entry.event in {"task_completed", "task_retried"}:
            failed.pop(payload["task_id"], None)
    return [failed[task_id] for task_id in sorted(failed)][:_MOST_FAILURES]


def _why(found: RunOverview, tally: Tally, failures: list[FailedTask]) -> str:
    """Return one sentence on why a run has its status."""
    metadata = found.metadata
    counts = found.counts or TaskCounts(planned=0, ok=0, failed=0, missing=0)
    left = f"{max(tally.pending - tally.done, 0):,} tasks left"
    last = f"; its last event was {tally.latest_event}" if tally.latest_event else ""
    first = f"; the first: {failures[0].kind}: {failures[0].message}" if failures else ""
    reasons = {
        Status.COMPLETE: f"all {counts.planned:,} tasks are ok",
        Status.INCOMPLETE: f"of {counts.planned:,} tasks {counts.failed:,} failed "
        f"and {counts.missing:,} are missing{first}",
        Status.RUNNING: f"{tally.done:,} of {tally.pending:,} tasks are computed, "
        f"{tally.failed:,} failed",
        Status.STOPPED: f"it was stopped by a signal or by 'runs stop', with {left}",
        Status.KILLED: f"the kill switch ended it, with {left}",
        Status.FAILED: (metadata and metadata.error) or "an error ended it",
        WAITING: f"{'' if found.workflow is None else found.workflow.why}; {left}",
        DIED: f"{_gone(metadata, found.workflow)}, with {left}{last}",
    }
    return reasons.get(found.status, "its metadata are missing or damaged")


def _gone(metadata: RunMetadata | None, workflow: WorkflowState | None) -> str:
    if metadata is None or not metadata.of_pods:
        return "its process is gone without having ended it"
    if workflow is not None:
        return workflow.why
    return (
        f"no pod has worked on it for {SILENT_SECONDS:.0f} s (its workflow could not be asked: one "
        "that is suspended or waits for room continues later)"
    )


def _again(run_id: str, metadata: RunMetadata | None) -> str:
    """Return the command that resumes a run of research."""
    file = "FILE" if metadata is None else metadata.experiment_file
    if metadata is None or not metadata.of_pods:
        return f"trading-runtime run {file} --run-id {run_id}"
    given = (
        ("experiment", file),
        ("run-id", run_id),
        ("image", metadata.image),
        ("code", metadata.code_archive),
    )
    words = " ".join(f"-p {name}={value}" for name, value in given if value)
    return f"argo submit --from workflowtemplate/backtest {words}"


def _next_steps(status: str, run_id: str, metadata: RunMetadata | None, results: str) -> list[str]:
    """Return an operator's next steps, as commands and short sentences."""
    where = f" --results {results}"
    if metadata is None or metadata.mode is Mode.RESEARCH:
        proof, again = "evidence bundle", _again(run_id, metadata)
        resume, retry = "resumes where it stopped", "finished tasks are kept"
    else:
        proof, again = "parity", f"trading-runtime trade {metadata.experiment_file}"
        resume = retry = "continues with the account as it was left"
    show, check, compare = (
        f"trading-runtime {command} {run_id}{where}"
        for command in ("results show", "runs check", proof)
    )
    steps = {
        Status.COMPLETE: [show, compare],
        Status.INCOMPLETE: [f"fix what failed, then: {again} (computes only what has no result)"],
        Status.RUNNING: [
            f"trading-runtime runs watch {run_id}{where}",
            f"trading-runtime runs stop {run_id}{where}",
        ],
        WAITING: [
            f"trading-runtime runs watch {run_id}{where}",
            f"trading-runtime runs stop {run_id}{where}",
        ],
        Status.STOPPED: [f"{again} ({resume})"],
        Status.FAILED: [f"fix the cause, then: {again} ({retry})"],
        Status.KILLED: [
            f"trading-runtime kill status{where}",
            f"once the switch is cleared: {again}",
        ],
        DIED: [check, f"{again} ({retry})"],
        UNKNOWN: [check],
    }
    found = steps.get(status, [])
    if proof == "parity":
        return [compare, *found] if status == Status.STOPPED else found
    if status == DIED:
        found.append(f"trading-runtime runs summarise {run_id}{where} (what it has is enough)")
    return found
