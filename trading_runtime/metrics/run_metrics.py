"""The numbers of one run, from its metadata and its journal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trading_runtime.metrics.definitions import FAILURES, OTHER, OUTCOMES, STATUSES, VALUES
from trading_runtime.metrics.documents import count_of, part_of, seconds_of
from trading_runtime.runs.status import Status

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trading_runtime.metrics.run_reader import RunReader

type Sample = tuple[str, float, tuple[str, ...]]


def run_metrics(reader: RunReader, now: float, *, is_killed: bool) -> Iterator[Sample]:
    """Yield name, value and labels of all that is known of a run at ``now``."""
    run = (reader.run_id,)
    yield "run_info", 1, (*run, *_labels(reader.metadata))
    for state in STATUSES:
        yield "run_status", state == reader.state, (*run, state)
    times = {
        "run_started_timestamp_seconds": reader.started,
        "run_ended_timestamp_seconds": reader.ended,
    }
    for name, at in times.items():
        if at is not None:
            yield name, at, run
    limit = count_of(part_of(reader.document("experiment.json"), "limits"), "task_seconds")
    if limit is not None:
        yield "run_task_limit_seconds", limit, run
    yield "run_kill_switch_active", is_killed, run
    yield from _of_reconciliation(reader)
    if reader.is_read:
        for name, value in _of_journal(reader, now):
            yield name, value, run
        yield from _by_label(reader)


def _labels(metadata: dict[str, Any]) -> tuple[str, str, str]:
    version = part_of(metadata, "engine").get("nautilus_trader") or ""
    executor = metadata.get("executor") or metadata.get("mode") or ""
    return str(metadata.get("experiment_name") or ""), str(executor), str(version)


def _of_reconciliation(reader: RunReader) -> Iterator[Sample]:
    content = reader.document("reconciliation.json")
    if (at := seconds_of(content.get("time"))) is None:
        return
    yield "run_reconciled_timestamp_seconds", at, (reader.run_id,)
    for outcome in OUTCOMES:
        count = count_of(part_of(content, "counts"), outcome)
        if count is not None:
            yield "run_reconciliation_rows", count, (reader.run_id, outcome)


def _of_journal(reader: RunReader, now: float) -> Iterator[tuple[str, float]]:
    journal = reader.journal
    is_running = reader.state == Status.RUNNING
    yield "run_journal_intact", reader.journal_is_intact
    yield "run_journal_lines", reader.journal_lines
    if journal.last_event is not None:
        yield "run_last_event_timestamp_seconds", journal.last_event
        if is_running:
            yield "run_last_event_age_seconds", max(now - journal.last_event, 0.0)
    if journal.last_progress is not None:
        yield "run_last_progress_timestamp_seconds", journal.last_progress
    if journal.planned is not None:
        yield "run_tasks_planned", journal.planned
        yield "run_tasks_cached", journal.cached
        yield "run_tasks_running", len(journal.running) if is_running else 0
        yield "run_tasks_waiting", journal.waiting
    yield "run_tasks_completed_total", journal.completed
    yield "run_task_seconds_total", journal.seconds
    yield "run_rows_total", journal.rows
    yield "run_fetched_bytes_total", journal.fetched_bytes
    yield from _rates(reader, now)
    if (memory := journal.nearest_memory_limit()) is not None:
        yield "run_memory_bytes", memory[0]
        if memory[1] is not None:
            yield "run_memory_limit_bytes", memory[1]


def _rates(reader: RunReader, now: float) -> Iterator[tuple[str, float]]:
    journal = reader.journal
    is_running = reader.state == Status.RUNNING
    end = now if is_running else journal.last_progress
    if journal.started is None or end is None or end <= journal.started:
        return
    seconds = end - journal.started
    rate = len(journal.ended) / seconds
    yield "run_tasks_per_second", rate
    yield "run_rows_per_second", journal.rows_of_attempt / seconds
    if not is_running:
        yield "run_time_left_seconds", 0.0
    elif rate > 0:
        yield "run_time_left_seconds", (journal.waiting + len(journal.running)) / rate


def _by_label(reader: RunReader) -> Iterator[Sample]:
    journal, run_id = reader.journal, reader.run_id
    for kind in (*FAILURES, OTHER):
        yield "run_tasks_failed_total", journal.failed[kind], (run_id, kind)
    for what in VALUES["what"]:
        yield "run_retries_total", journal.retries[what], (run_id, what)
    for rule in VALUES["rule"]:
        yield "run_orders_refused_total", journal.refused[rule], (run_id, rule)
