"""Rates come from the latest run that measured any, of the same strategy if there is one."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from trading_runtime.planning.plan import Rate
from trading_runtime.results.store import Store
from trading_runtime.runs.rates import measured_rate, write_metrics

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store without runs."""
    return Store(tmp_path)


def measure(store: Store, run_id: str, strategy: str, tasks: list[tuple[float, int]]) -> None:
    """Write a run's metrics; ids are numbers, and a higher one is a later run."""
    files = store.run(run_id)
    write_metrics(files, strategy, 3.0, tasks)
    os.utime(files.metrics, (int(run_id), int(run_id)))


def test_without_a_measurement_there_is_no_rate(store: Store) -> None:
    assert measured_rate(store, "s") is None
    measure(store, "1", "s", [])
    assert measured_rate(store, "s") is None


def test_a_rate_is_the_median_task_and_all_rows_by_all_seconds(store: Store) -> None:
    measure(store, "1", "s", [(1.0, 100), (2.0, 300), (5.0, 400)])

    assert measured_rate(store, "s") == Rate(seconds_per_task=2.0, rows_per_second=100.0)


def test_the_latest_run_of_the_strategy_counts_more_than_later_ones_of_others(
    store: Store,
) -> None:
    measure(store, "1", "s", [(1.0, 100)])
    measure(store, "2", "s", [(1.0, 200)])
    measure(store, "3", "other", [(1.0, 300)])
    measure(store, "4", "another", [(1.0, 400)])

    assert measured_rate(store, "s") == Rate(1.0, 200.0)
    assert measured_rate(store, "new") == Rate(1.0, 400.0)


def test_runs_that_computed_nothing_hide_no_measurement(store: Store) -> None:
    measure(store, "1", "s", [(1.0, 100)])
    for later in range(2, 20):
        measure(store, str(later), "s", [])

    assert measured_rate(store, "s") == Rate(1.0, 100.0)


@pytest.mark.parametrize("content", ["", "{", "[]", "null", "{}", '{"rows_per_second": 1}'])
def test_a_damaged_measurement_is_none(store: Store, content: str) -> None:
    measure(store, "1", "s", [(1.0, 100)])
    measure(store, "2", "s", [(1.0, 200)])
    store.run("2").metrics.write_text(content)

    assert measured_rate(store, "s") == Rate(1.0, 100.0)
