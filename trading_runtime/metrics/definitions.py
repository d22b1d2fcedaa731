"""Every metric: its name, type, help and labels, and the values that a label may have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from trading_runtime.errors import Kind
from trading_runtime.records.events import DRILLS
from trading_runtime.records.inputs import RISK_RULES
from trading_runtime.records.status import DIED, UNKNOWN, Status

PREFIX = "trading_runtime_"
OTHER = "other"
"""The label value for any other value: the set of values stays as small as it is."""
STATUSES = (*map(str, Status), DIED, UNKNOWN)
"""The statuses of a run, as seen from outside."""
FAILURES = tuple(str(kind) for kind in Kind if kind is not Kind.OK)
OUTCOMES = ("matched", "mismatched", "unknown")


@dataclass(frozen=True)
class MetricDefinition:
    """One metric, without the prefix that all names have."""

    name: str
    type: Literal["gauge", "counter"]
    help: str
    labels: tuple[str, ...] = ()


VALUES: dict[str, tuple[str, ...]] = {
    "status": STATUSES,
    "result": ("ok", "missing", *FAILURES),
    "kind": (*FAILURES, OTHER),
    "what": ("batch", "task"),
    "rule": (*RISK_RULES, OTHER),
    "outcome": OUTCOMES,
    "drill": DRILLS,
}
"""Labels with known values; labels of runs are limited by the number of runs shown."""

_RUN = ("run_id",)
_DEPLOYMENT = ("deployment",)

OF_FOLDER = (
    MetricDefinition("build_info", "gauge", "Always 1; the label is the version.", ("version",)),
    MetricDefinition("runs", "gauge", "Runs in the results folder.", ("status",)),
    MetricDefinition("runs_not_shown", "gauge", "Runs that have no metrics of their own here."),
    MetricDefinition("files_not_read", "gauge", "Files of runs that could not be read."),
    MetricDefinition("tasks", "gauge", "Tasks of runs that were summed up.", ("result",)),
    MetricDefinition("kill_switch_active", "gauge", "1 while the kill switch is on for all runs."),
    MetricDefinition(
        "kill_switch_runs", "gauge", "Runs for which, one by one, the kill switch is on."
    ),
    MetricDefinition("ready", "gauge", "1 if the last readiness check said so, else 0."),
    MetricDefinition(
        "readiness_checked_timestamp_seconds", "gauge", "When readiness was checked last."
    ),
    MetricDefinition("probe_up", "gauge", "1 if the last probe was answered, else 0."),
    MetricDefinition("probe_duration_seconds", "gauge", "How long the last probe took."),
    MetricDefinition("probe_timestamp_seconds", "gauge", "When the last probe was made."),
    MetricDefinition(
        "drill_passed", "gauge", "1 if the drill passed last time, else 0.", ("drill",)
    ),
    MetricDefinition("drill_timestamp_seconds", "gauge", "When it was held last.", ("drill",)),
    MetricDefinition(
        "deployment_wanted", "gauge", "1 if a deployment is to run now, else 0.", _DEPLOYMENT
    ),
    MetricDefinition("deployment_running", "gauge", "1 if it runs, else 0.", _DEPLOYMENT),
    MetricDefinition(
        "deployment_gave_up", "gauge", "1 if it crashed too often to be restarted.", _DEPLOYMENT
    ),
    MetricDefinition(
        "deployment_restarts_total", "counter", "Restarts after crashes.", _DEPLOYMENT
    ),
    MetricDefinition("deployment_missed_total", "counter", "Starts that were missed.", _DEPLOYMENT),
    MetricDefinition(
        "deployment_seen_timestamp_seconds",
        "gauge",
        "When its supervisor last reported it; once a minute.",
        _DEPLOYMENT,
    ),
    MetricDefinition("collected_timestamp_seconds", "gauge", "When these numbers were collected."),
    MetricDefinition("collection_duration_seconds", "gauge", "How long collecting them took."),
)
OF_RUN = (
    MetricDefinition(
        "run_info",
        "gauge",
        "Always 1; the labels say what the run is.",
        ("run_id", "experiment", "executor", "engine"),
    ),
    MetricDefinition(
        "run_status", "gauge", "1 for the status that the run has.", ("run_id", "status")
    ),
    MetricDefinition("run_started_timestamp_seconds", "gauge", "When the run began.", _RUN),
    MetricDefinition("run_ended_timestamp_seconds", "gauge", "When the run ended.", _RUN),
    MetricDefinition(
        "run_last_event_timestamp_seconds", "gauge", "The time of the journal's last line.", _RUN
    ),
    MetricDefinition(
        "run_last_event_age_seconds", "gauge", "The age of the journal's last line.", _RUN
    ),
    MetricDefinition(
        "run_last_progress_timestamp_seconds",
        "gauge",
        "When a task last ended, or the run began or resumed.",
        _RUN,
    ),
    MetricDefinition(
        "run_task_limit_seconds", "gauge", "The longest that a task may take, as set.", _RUN
    ),
    MetricDefinition("run_tasks_planned", "gauge", "Tasks of the plan.", _RUN),
    MetricDefinition("run_tasks_cached", "gauge", "Tasks whose result was stored before.", _RUN),
    MetricDefinition("run_tasks_running", "gauge", "Tasks that workers are computing.", _RUN),
    MetricDefinition("run_tasks_waiting", "gauge", "Tasks that no worker has begun.", _RUN),
    MetricDefinition("run_tasks_completed_total", "counter", "Tasks that were computed.", _RUN),
    MetricDefinition(
        "run_tasks_failed_total", "counter", "Tasks that failed, by kind.", ("run_id", "kind")
    ),
    MetricDefinition(
        "run_retries_total", "counter", "Batches and tasks given out again.", ("run_id", "what")
    ),
    MetricDefinition("run_task_seconds_total", "counter", "Time that tasks took, summed up.", _RUN),
    MetricDefinition("run_rows_total", "counter", "Rows of market data that tasks consumed.", _RUN),
    MetricDefinition("run_fetched_bytes_total", "counter", "Bytes brought from storage.", _RUN),
    MetricDefinition(
        "run_tasks_per_second", "gauge", "Tasks ended, by the time since the run started.", _RUN
    ),
    MetricDefinition(
        "run_rows_per_second", "gauge", "Rows consumed, by the time since the run started.", _RUN
    ),
    MetricDefinition("run_time_left_seconds", "gauge", "Until the end, at the rate so far.", _RUN),
    MetricDefinition(
        "run_memory_bytes",
        "gauge",
        "What the workers had as their last tasks ended, on the machine that is nearest its limit.",
        _RUN,
    ),
    MetricDefinition(
        "run_memory_limit_bytes", "gauge", "The memory that the machine or container has.", _RUN
    ),
    MetricDefinition(
        "run_orders_refused_total", "counter", "Orders refused, by rule.", ("run_id", "rule")
    ),
    MetricDefinition(
        "session_heartbeat_timestamp_seconds", "gauge", "When a session was alive last.", _RUN
    ),
    MetricDefinition(
        "session_stale_instruments", "gauge", "Instruments of a session without data.", _RUN
    ),
    MetricDefinition(
        "session_reducing", "gauge", "1 while only position-reducing orders go out.", _RUN
    ),
    MetricDefinition("session_positions", "gauge", "Positions that a session has open.", _RUN),
    MetricDefinition("session_resting_orders", "gauge", "Orders that rest at the venue.", _RUN),
    MetricDefinition(
        "session_equity", "gauge", "Value of a session's account at its last heartbeat.", _RUN
    ),
    MetricDefinition("session_orders_total", "counter", "Orders that a session sent.", _RUN),
    MetricDefinition("session_fills_total", "counter", "Fills of a session.", _RUN),
    MetricDefinition(
        "session_orders_denied_total", "counter", "Orders of a session that did not go out.", _RUN
    ),
    MetricDefinition(
        "session_requests_queued_total",
        "counter",
        "Requests of a session that waited for the venue's rate.",
        _RUN,
    ),
    MetricDefinition(
        "run_kill_switch_active", "gauge", "1 while the kill switch is on for the run.", _RUN
    ),
    MetricDefinition(
        "run_journal_intact", "gauge", "1 if each line follows from the one before, else 0.", _RUN
    ),
    MetricDefinition("run_journal_lines", "gauge", "Lines of the journal.", _RUN),
    MetricDefinition(
        "run_reconciliation_rows",
        "gauge",
        "Rows of the last reconciliation.",
        ("run_id", "outcome"),
    ),
    MetricDefinition(
        "run_reconciled_timestamp_seconds", "gauge", "When the run was reconciled last.", _RUN
    ),
)
