"""Numbers follow a real run: while it goes, when it is killed, and when it reached its end."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

from tests.metrics.sample_folder import Values, value, values_of
from trading_runtime.metrics.collector import FolderCollector
from trading_runtime.metrics.exposition import text_of
from trading_runtime.results.store import open_store

if TYPE_CHECKING:
    from tests.small_experiment import SmallExperiment

PATIENCE = 240.0


def test_a_run_is_followed_from_its_first_task_over_its_death_to_its_end(
    small: SmallExperiment,
) -> None:
    small.hold(tasks=6, free=2)
    small.results.mkdir()
    collector = FolderCollector(open_store(small.results), 50)

    def numbers() -> Values:
        return values_of(text_of(collector).decode())

    def of(found: Values, name: str, **labels: str) -> float:
        return value(found, name, run_id="run", **labels) or 0.0

    process = small.start("--run-id", "run", "--workers", "2")
    deadline = time.monotonic() + PATIENCE
    while of(running := numbers(), "run_tasks_completed_total") < 2:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    died = numbers()
    small.gate.touch()
    assert small.run("--run-id", "run", "--workers", "2").returncode == 0
    ended = numbers()

    assert of(running, "run_status", status="running") == 1
    assert of(running, "run_tasks_planned") == 6
    assert of(running, "run_tasks_running") <= 2
    assert of(running, "run_tasks_waiting") > 0
    assert of(running, "run_time_left_seconds") > 0
    assert of(running, "run_last_event_age_seconds") < PATIENCE
    assert of(died, "run_status", status="died") == 1
    assert of(died, "run_journal_intact") == 1
    assert of(ended, "run_status", status="complete") == 1
    assert of(ended, "run_tasks_completed_total") + of(ended, "run_tasks_cached") >= 6
    assert of(ended, "run_tasks_waiting") == 0
    assert of(ended, "run_time_left_seconds") == 0
    assert of(ended, "run_journal_intact") == 1
