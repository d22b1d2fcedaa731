"""The commands ``runs``: the status of runs, whether their records are intact, how to end one."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING

import click

from trading_runtime.argo.workflow_state import ListedWorkflows, Workflows
from trading_runtime.cli.options import JSON, RESULTS, find_run, open_results, print_findings
from trading_runtime.cli.terminal import print_table, say
from trading_runtime.errors import Kind, UsageError
from trading_runtime.records.status import DIED, WAITING, Status
from trading_runtime.runs.opening import is_running
from trading_runtime.runs.overview import shown_status, stored_metadata
from trading_runtime.runs.progress import JournalFollower, Tally
from trading_runtime.text import for_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import TextIO

    from trading_runtime.records.journal import JournalEntry
    from trading_runtime.records.metadata import RunMetadata
    from trading_runtime.results.store import Store
    from trading_runtime.runs.overview import RunDetails, RunOverview


_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))
_DIGITS = 12


def print_list(found: Sequence[RunOverview]) -> None:
    """Print a line for each run."""
    heads = ["run", "status", "tasks ok", "failed", "age", "started", "experiment"]
    rows = [
        [
            each.run_id,
            each.status,
            "" if each.counts is None else f"{each.counts.ok}/{each.counts.planned}",
            "" if each.counts is None else str(each.counts.failed or ""),
            "" if each.age_seconds is None else short_time(each.age_seconds),
            (each.started or "")[:19],
            "" if each.metadata is None else each.metadata.experiment_name,
        ]
        for each in found
    ]
    print_table([heads, *rows])


def print_details(found: RunDetails) -> None:
    """Print what is known about a run: its state first, what to do last."""
    pairs = list(_detail_pairs(found))
    width = max(len(name) for name, _ in pairs)
    for name, value in pairs:
        say(f"{name:<{width}}  {for_line(str(value))}")


def short_time(seconds: float) -> str:
    """Return a duration in the largest unit that fits, such as ``3 h``."""
    for length, unit in _UNITS:
        if seconds >= length:
            return f"{int(seconds // length)} {unit}"
    return "0 s"


def _detail_pairs(found: RunDetails) -> Iterator[tuple[str, str]]:
    run, metadata = found.overview, found.overview.metadata
    yield "run", run.run_id
    yield "status", run.status
    yield "why", found.why
    if run.counts is not None:
        counts = ", ".join(
            f"{getattr(run.counts, key):,} {key}" for key in ("ok", "failed", "missing")
        )
        yield "tasks", f"{run.counts.planned:,} planned: {counts}"
    if found.seconds_left is not None:
        yield "left", f"about {short_time(found.seconds_left)}"
    for change in () if metadata is None else metadata.history:
        yield "history", f"{change.time}  {change.status}"
    if found.last_event is not None:
        yield "last event", f"{found.last_event.time}  {found.last_event.event}"
    yield from _metadata_pairs(metadata)
    if found.run_digest:
        yield "run digest", found.run_digest
    for failure in found.failures:
        yield "failed", f"{failure.task_id[:_DIGITS]}  {failure.kind}: {failure.message}"
    for step in found.next_steps:
        yield "next", step


def _metadata_pairs(metadata: RunMetadata | None) -> Iterator[tuple[str, str]]:
    if metadata is None:
        return
    yield "experiment", f"{metadata.experiment_name} ({metadata.experiment_file})"
    yield "dataset", f"{metadata.dataset} ({_short(metadata.dataset_digest)})"
    yield "config", _short(metadata.config_digest)
    yield "plan", _short(metadata.plan_digest)
    code = metadata.code
    yield "code", f"runtime {_short(code.runtime)}, strategy {_short(code.strategy)}"
    engine = ", ".join(f"{name} {value}" for name, value in metadata.engine.items())
    yield "engine", f"{engine}, Python {metadata.python}"
    user = f"{metadata.user} " if metadata.user else ""  # in a container there is none
    yield "where", f"{metadata.executor}, {user}on {metadata.host}"
    if metadata.image:
        yield "image", metadata.image
    for name, value in metadata.labels.items():
        yield "label", f"{name}={value}"


def _short(digest: str) -> str:
    return (digest or "not known")[:_DIGITS]


_CODES = {
    Status.COMPLETE: Kind.OK,
    Status.INCOMPLETE: Kind.INCOMPLETE,
    Status.STOPPED: Kind.STOPPED,
    Status.KILLED: Kind.KILLED,
    DIED: Kind.INCOMPLETE,
}


def watch(store: Store, run_id: str, every: float) -> int:
    """Show what happens until the run ends; return the run's exit code."""
    shown = _Shown(sys.stderr)
    follower, tally = JournalFollower(store, run_id), Tally()
    failed_kind = Kind.INTERNAL
    workflows = Workflows()
    while True:
        # Checked before the journal is read, so that what a run wrote before it ended is not
        # missed.
        metadata = stored_metadata(store, run_id)
        status, workflow = shown_status(store, run_id, metadata, workflows.state)
        is_finishing = status != DIED and is_running(store, run_id)
        entries = follower.entries()
        tally.add(entries)
        shown.events(entries)
        for entry in entries:
            if entry.event == "run_failed":
                failed_kind = Kind(entry.payload["kind"])
        if status not in {Status.RUNNING, WAITING} and not is_finishing:
            shown.last(f"{run_id}: {status}; {progress_text(tally)}")
            return _CODES.get(status, failed_kind).exit_code
        waits = "" if workflow is None else f", {workflow.why}"
        shown.progress(f"{run_id}: {progress_text(tally)}{_silence(tally, metadata)}{waits}")
        time.sleep(every)


def progress_text(tally: Tally) -> str:
    """Return how many tasks are done, how fast, and how long the rest will take."""
    parts = [f"{tally.done}/{tally.pending} tasks"]
    if tally.failed:
        parts.append(f"{tally.failed} failed")
    if tally.retried:
        parts.append(f"{tally.retried} retried")
    if tally.rate is not None:
        parts.append(f"{tally.rate:.1f} tasks/s")
    if tally.seconds_left:
        parts.append(f"{short_time(tally.seconds_left)} left")
    return ", ".join(parts)


def _silence(tally: Tally, metadata: RunMetadata | None) -> str:
    """Print when pods last reported progress."""
    if metadata is None or not metadata.of_pods or tally.latest is None:
        return ""
    return f", last event {short_time((time.time_ns() - tally.latest) / 1e9)} ago"


class _Shown:
    """What the screen shows: one line updated in place on a terminal, separate lines elsewhere."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._terminal = stream.isatty()
        self._before = ""

    def events(self, entries: Iterable[JournalEntry]) -> None:
        """Print failures, and everything that happens to the run as a whole."""
        for entry in entries:
            name, payload = entry.event, entry.payload
            if name == "task_failed":
                text = f"task {payload['task_id'][:_DIGITS]} failed: {payload['kind']}: "
                self._line(entry, text + str(payload.get("message", "")))
            elif not name.startswith(("task_", "batch_")):
                self._line(entry, name.replace("_", " "))

    def progress(self, text: str) -> None:
        """Show the run's progress, when it has changed."""
        text = for_line(text)
        if text != self._before:
            self._before = text
            self._stream.write(f"\r\x1b[K{text}" if self._terminal else f"{text}\n")
            self._stream.flush()

    def last(self, text: str) -> None:
        """Show how the run ended."""
        text = for_line(text)
        self._stream.write(f"\r\x1b[K{text}\n" if self._terminal else f"{text}\n")
        self._stream.flush()

    def _line(self, entry: JournalEntry, text: str) -> None:
        clear = "\r\x1b[K" if self._terminal else ""
        self._stream.write(f"{clear}{for_line(entry.time[:19])}  {for_line(text)}\n")


@click.group()
def runs() -> None:
    """List, show, watch, check and summarise runs; stop one, and read what its pods said."""


@runs.command("list")
@RESULTS
@click.option(
    "--label", "wanted", multiple=True, help="Only runs with this label, NAME or NAME=VALUE."
)
@JSON
def list_runs(results: str, wanted: tuple[str, ...], *, as_json: bool) -> None:
    """List the runs in a folder of results, oldest first: status, tasks, age."""
    from trading_runtime.runs.overview import overview

    store, workflows = open_results(results), ListedWorkflows()
    found = sorted(
        (
            overview(store, run_id, workflows.state)
            for run_id in store.run_ids()
            if not wanted or _has_labels(store, run_id, wanted)
        ),
        key=lambda each: (each.started or "", each.run_id),
    )
    if as_json:
        say(json.dumps([each.to_document() for each in found], ensure_ascii=False))
    elif found:
        print_list(found)
    else:
        which = f" with the label {' and '.join(wanted)}" if wanted else ""
        say(f"no runs in {results}{which}", err=True)


def _has_labels(store: Store, run_id: str, wanted: Sequence[str]) -> bool:
    """Return whether a run has each label, ``NAME`` or ``NAME=VALUE``."""
    metadata = stored_metadata(store, run_id)
    labels = {} if metadata is None else metadata.labels
    pairs = (each.partition("=") for each in wanted)
    return all(
        name in labels and (not given or labels[name] == value) for name, given, value in pairs
    )


@runs.command("show")
@click.argument("run")
@RESULTS
@JSON
def show_run(run: str, results: str, *, as_json: bool) -> None:
    """Show RUN (a run id, or 'latest'): what ran, when, on what, why it ended, what to do."""
    from trading_runtime.runs.overview import details

    store, run_id = find_run(run, results)
    found = details(store, run_id, Workflows().state)
    if as_json:
        say(json.dumps(found.to_document(), ensure_ascii=False))
    else:
        print_details(found)


@runs.command("watch")
@click.argument("run")
@RESULTS
@click.option(
    "--every",
    type=click.FloatRange(min=0.1),
    help="Seconds between two looks; 1 for a folder, 5 for S3 if not given.",
)
def watch_run(run: str, results: str, every: float | None) -> int:
    """Follow RUN (a run id, or 'latest') until it ends: progress, failures, rate, time left.

    The exit code is that of the run.
    """
    from trading_runtime.storage.s3 import is_s3

    store, run_id = find_run(run, results)
    return watch(store, run_id, every or (5.0 if is_s3(results) else 1.0))


@runs.command("check")
@click.argument("run")
@RESULTS
@JSON
def check_run(run: str, results: str, *, as_json: bool) -> int:
    """Check that the journal and files of RUN (a run id, or 'latest') are intact and match.

    A line that is missing, altered, added or cut off is reported, with exit code 3.
    """
    from trading_runtime.runs.opening import is_running
    from trading_runtime.runs.run_check import check_run as check

    store, run_id = find_run(run, results)
    files = store.run(run_id)
    # The pictures too: a run writes them only on request.
    store.fetch(f"runs/{run_id}/")
    found = check(files, running=is_running(store, run_id), store=store)
    if as_json:
        content = {
            "run_id": run_id,
            "sound": not found.findings,
            "writers": found.writers,
            "lines": found.lines,
            "findings": [vars(item) for item in found.findings],
            "notes": [vars(item) for item in found.notes],
        }
        say(json.dumps(content, ensure_ascii=False))
    else:
        verdict = print_findings(found.findings, found.notes)
        say(f"{run_id}: {verdict}; {found.lines:,} lines of {found.writers} writers")
    return (Kind.DATA if found.findings else Kind.OK).exit_code


@runs.command("summarise")
@click.argument("run")
@RESULTS
@click.option(
    "--allow-incomplete", is_flag=True, help="Name a best point even though tasks failed."
)
def summarise_run(run: str, results: str, *, allow_incomplete: bool) -> None:
    """Write the tables and report of RUN (a run id, or 'latest') from what it has stored so far.

    For a run that died or was stopped, and will not be resumed. Exit code 5 when tasks are
    missing or failed.
    """
    from trading_runtime.argo.summary_step import run_summary_step
    from trading_runtime.runs.opening import hold_run

    store, run_id = find_run(run, results)
    status, workflow = shown_status(
        store, run_id, stored_metadata(store, run_id), Workflows().state
    )
    if status == WAITING and workflow is not None:
        raise UsageError(
            f"run {run_id!r} will continue: {workflow.why}; wait for it, or end its workflow "
            "first: 'argo terminate'"
        )
    # The run cannot be resumed meanwhile.
    with hold_run(store, run_id):
        summary = run_summary_step(results, run_id, allow_incomplete=allow_incomplete)
    counts = ", ".join(f"{summary.counts[key]:,} {key}" for key in ("ok", "failed", "missing"))
    say(f"{run_id}: {summary.counts['planned']:,} tasks planned: {counts}")
    say(f"report {summary.files.report_page}")
    summary.check_complete()


@runs.command("logs")
@click.argument("run")
@RESULTS
@click.option("--batch", type=click.IntRange(0), help="Only of batches of this number, from 0.")
def show_logs(run: str, results: str, batch: int | None) -> None:
    """Show what the pods of RUN (a run id, or 'latest') said, and what their workers printed.

    Of a pod's workers the last 256 KiB are kept. A pod that was killed has left nothing.
    """
    from trading_runtime.argo.pod_log import stored_logs

    store, run_id = find_run(run, results)
    found = False
    for name, text in stored_logs(store.objects, run_id, batch):
        say(f"==> {name} <==")
        say(text)
        found = True
    if not found:
        which = "" if batch is None else f" of batch {batch}"
        raise UsageError(
            f"run {run_id!r}: there are no logs{which}; pods leave them when they end by themselves"
        )


@runs.command("stop")
@click.argument("run_id")
@RESULTS
def stop_run(run_id: str, results: str) -> None:
    """Ask the process or the pods that run RUN_ID to end; finished tasks are kept."""
    from trading_runtime.runs.opening import request_stop
    from trading_runtime.runs.overview import may_be_running

    store, run_id = find_run(run_id, results)
    if not may_be_running(store, run_id):
        raise UsageError(f"run {run_id!r} is not running; see 'trading-runtime runs list'")
    request_stop(store, run_id)
    say(f"run {run_id} was asked to stop; finished tasks are kept", err=True)
