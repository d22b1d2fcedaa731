"""The one collector: a results folder, or one of its runs, as Prometheus metric families."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from trading_runtime.metrics.definitions import (
    FAILURES,
    OF_FOLDER,
    OF_RUN,
    OTHER,
    OUTCOMES,
    PREFIX,
    STATUSES,
    VALUES,
)
from trading_runtime.metrics.run_reader import (
    RunReader,
    StoreView,
    count_of,
    parse_document,
    part_of,
    seconds_of,
)
from trading_runtime.planning.distributions import installed_version
from trading_runtime.records.events import DRILLS, DrillVerdict
from trading_runtime.records.forms import to_document
from trading_runtime.records.status import Status
from trading_runtime.text import for_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from trading_runtime.metrics.definitions import MetricDefinition
    from trading_runtime.records.metadata import RunMetadata
    from trading_runtime.results.store import Store


type Sample = tuple[str, float, tuple[str, ...]]


def run_metrics(reader: RunReader, now: float, *, is_killed: bool) -> Iterator[Sample]:
    """Yield name, value and labels of everything known about a run at ``now``."""
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


def _labels(metadata: RunMetadata | None) -> tuple[str, str, str]:
    if metadata is None:
        return "", "", ""
    version = metadata.engine.get("nautilus_trader", "")
    return metadata.experiment_name, metadata.executor, version


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
    yield from _of_session(reader)
    if (memory := journal.nearest_memory_limit()) is not None:
        yield "run_memory_bytes", memory[0]
        if memory[1] is not None:
            yield "run_memory_limit_bytes", memory[1]


def _of_session(reader: RunReader) -> Iterator[tuple[str, float]]:
    session, is_running = reader.journal.session, reader.state == Status.RUNNING
    if session.last_beat is None:
        return
    yield "session_heartbeat_timestamp_seconds", session.last_beat
    yield "session_stale_instruments", len(session.stale) if is_running else 0
    yield "session_reducing", session.is_reducing
    for name, of_heartbeat in (
        ("session_positions", "positions"),
        ("session_resting_orders", "resting"),
        ("session_equity", "equity"),
    ):
        if of_heartbeat in session.state:
            yield name, session.state[of_heartbeat]
    yield "session_orders_total", session.counts["order_submitted"]
    yield "session_fills_total", session.counts["order_filled"]
    yield "session_orders_denied_total", session.counts["order_denied"]
    yield "session_requests_queued_total", session.counts["request_queued"]


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


"""A metric's name without prefix, its value, the values of its labels."""

_READING_SECONDS = 0.25
"""Time limit per collection for journals of ended runs; the rest waits for the next one."""
_ON = "kill-switch/on"
_ALL_RUNS = f"{_ON}/all.json"
_RUN_SWITCH = f"{_ON}/run."
_LONGEST_LABEL = 200


class FolderCollector(Collector):
    """Metrics of a whole folder, and of each of its latest runs."""

    def __init__(
        self, store: Store, most_runs: int, clock: Callable[[], float] = time.time
    ) -> None:
        """Show at most ``most_runs`` runs individually: running ones first, then the latest."""
        self._folder = StoreView(store)
        self._most_runs = most_runs
        self._clock = clock
        self._readers: dict[str, RunReader] = {}

    def collect(self) -> Iterator[GaugeMetricFamily | CounterMetricFamily]:
        """Yield the families; raises as the storage does."""
        began = time.perf_counter()
        now = self._clock()
        self._folder.refresh()
        readers = self._refreshed_runs()
        switches = set(self._folder.names(_ON))
        shown = sorted(readers, key=_importance)[: self._most_runs]
        samples = [*self._of_folder(readers, switches)]
        samples.append(("runs_not_shown", len(readers) - len(shown), ()))
        samples.append(("files_not_read", len(self._folder.unread), ()))
        for reader in shown:
            if (
                reader.state == Status.RUNNING
                or reader.is_read
                or time.perf_counter() - began < _READING_SECONDS
            ):
                reader.read_journal()
            samples += run_metrics(reader, now, is_killed=_is_killed(reader.run_id, switches))
        samples.append(("collected_timestamp_seconds", now, ()))
        samples.append(("collection_duration_seconds", time.perf_counter() - began, ()))
        yield from _families((*OF_FOLDER, *OF_RUN), samples)

    @property
    def unread(self) -> dict[str, str]:
        """Why files cannot be read, by name."""
        return self._folder.unread

    def _refreshed_runs(self) -> list[RunReader]:
        readers = {
            run_id: self._readers.get(run_id) or RunReader(self._folder, run_id)
            for run_id in self._folder.run_ids()
        }
        self._readers = readers
        for reader in readers.values():
            reader.refresh()
        return list(readers.values())

    def _of_folder(self, readers: Sequence[RunReader], switches: set[str]) -> Iterator[Sample]:
        yield "build_info", 1, (installed_version("trading-runtime") or "",)
        states = Counter(reader.state for reader in readers)
        for state in STATUSES:
            yield "runs", states[state], (state,)
        tasks: Counter[str] = Counter()
        for reader in readers:
            if (result := reader.result) is not None:
                ended = {**to_document(result.counts), **result.failed_by_kind}
                for name in VALUES["result"]:
                    tasks[name] += ended.get(name, 0)
        for name in VALUES["result"]:
            yield "tasks", tasks[name], (name,)
        yield "kill_switch_active", _ALL_RUNS in switches, ()
        yield "kill_switch_runs", sum(name.startswith(_RUN_SWITCH) for name in switches), ()
        yield from self._of_checks()
        yield from self._of_deployments()

    def _of_deployments(self) -> Iterator[Sample]:
        for path in self._folder.names("deployments"):
            state, name = self._document(path), path.rpartition("/")[2].removesuffix(".json")
            for key in ("wanted", "running", "gave_up"):
                yield f"deployment_{key}", state.get(key) is True, (name,)
            for key in ("restarts", "missed"):
                yield f"deployment_{key}_total", count_of(state, key) or 0, (name,)
            if isinstance(seen := state.get("time"), int | float):
                yield "deployment_seen_timestamp_seconds", seen, (name,)

    def _of_checks(self) -> Iterator[Sample]:
        readiness = self._document("operations/readiness.json")
        if (checked := seconds_of(readiness.get("time"))) is not None:
            yield "ready", readiness.get("ready") is True, ()
            yield "readiness_checked_timestamp_seconds", checked, ()
        probe = self._document("operations/probe.json")
        if (probed := seconds_of(probe.get("time"))) is not None:
            yield "probe_up", probe.get("state") == "up", ()
            yield "probe_timestamp_seconds", probed, ()
            if isinstance(seconds := probe.get("seconds"), int | float):
                yield "probe_duration_seconds", seconds, ()
        for drill in DRILLS:
            held = self._document(f"drills/{drill}.json")
            at = seconds_of(held.get("time"))
            # A drill with its safeguard switched off has to fail, which says nothing about the
            # present.
            if at is not None and held.get("sabotage") is not True:
                yield "drill_passed", held.get("verdict") == DrillVerdict.PASSED, (drill,)
                yield "drill_timestamp_seconds", at, (drill,)

    def _document(self, name: str) -> dict[str, Any]:
        if self._folder.stamp(name) is None:
            return {}
        return parse_document(self._folder.read(name))


class RunCollector(Collector):
    """One run, at one moment."""

    def __init__(
        self,
        store: Store,
        run_id: str,
        clock: Callable[[], float] = time.time,
        metadata: RunMetadata | None = None,
    ) -> None:
        """``metadata`` are those of a run that is about to end, before they are stored."""
        self._store = store
        self._metadata = metadata
        self._run_id = run_id
        self._clock = clock

    def collect(self) -> Iterator[GaugeMetricFamily | CounterMetricFamily]:
        """Yield the families of the run; raises as the storage does."""
        folder = StoreView(self._store)
        folder.refresh()
        reader = RunReader(folder, self._run_id)
        reader.refresh(self._metadata)
        reader.read_journal()
        switches = set(folder.names(_ON))
        is_killed = _is_killed(self._run_id, switches)
        yield from _families(OF_RUN, run_metrics(reader, self._clock(), is_killed=is_killed))


def _is_killed(run_id: str, switches: set[str]) -> bool:
    return _ALL_RUNS in switches or f"{_RUN_SWITCH}{run_id}.json" in switches


def _importance(reader: RunReader) -> tuple[bool, float, str]:
    return reader.state != Status.RUNNING, -(reader.started or 0.0), reader.run_id


def _families(
    definitions: Sequence[MetricDefinition], samples: Sequence[Sample] | Iterator[Sample]
) -> Iterator[GaugeMetricFamily | CounterMetricFamily]:
    families = {}
    for item in definitions:
        made = CounterMetricFamily if item.type == "counter" else GaugeMetricFamily
        families[item.name] = item, made(PREFIX + item.name, item.help, labels=item.labels)
    for name, value, labels in samples:
        item, family = families[name]
        for label, text in zip(item.labels, labels, strict=True):
            if text not in VALUES.get(label, (text,)):
                raise ValueError(f"{name}: {label}={text!r} is not among {VALUES[label]}")
        family.add_metric([for_line(text[:_LONGEST_LABEL]) for text in labels], float(value))
    yield from (family for _, family in families.values() if family.samples)
