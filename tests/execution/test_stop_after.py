"""A run whose tasks all fail in the same way ends after as many as ``limits.stop_after`` allows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from trading_runtime.errors import Kind

if TYPE_CHECKING:
    from tests.small_experiment import SmallExperiment


@pytest.fixture
def broken(small: SmallExperiment) -> SmallExperiment:
    """Twelve tasks that all divide by zero."""
    small.write(parameters={"every": [0], "size_step": list(range(4))})
    return small


def test_the_first_task_is_run_alone_and_may_be_the_last(broken: SmallExperiment) -> None:
    broken.write(limits={"stop_after": 1})
    ended = broken.run("--run-id", "run", "--workers", "2")

    assert ended.returncode == Kind.INCOMPLETE.exit_code
    assert "0 ok, 1 failed, 11 missing" in ended.stdout
    assert "ended     after 1 equal failure (limits.stop_after); 11 tasks not started" in (
        ended.stdout
    )
    assert len(list(broken.run_file("run", "failures").iterdir())) == 1


def test_equal_failures_are_shown_once_with_their_count(broken: SmallExperiment) -> None:
    broken.write(limits={"stop_after": 4})
    ended = broken.run("--run-id", "run", "--workers", "1")

    assert ended.returncode == Kind.INCOMPLETE.exit_code
    assert "0 ok, 4 failed, 8 missing" in ended.stdout
    assert ended.stdout.count("ZeroDivisionError") == 1
    [line] = [line for line in ended.stdout.splitlines() if line.startswith("first ")]
    assert line.startswith("first     4 x, ")
    assert "after 4 equal failures (limits.stop_after); 8 tasks not started" in ended.stdout


def test_other_failures_and_results_do_not_count(small: SmallExperiment) -> None:
    # One point of four fails on each of three days.
    small.write(parameters={"every": [20, 0, 30, 40]}, limits={"stop_after": 4})
    ended = small.run("--run-id", "run", "--workers", "2")

    assert "9 ok, 3 failed, 0 missing" in ended.stdout
    assert "limits.stop_after" not in ended.stdout


def test_what_was_not_started_is_computed_when_the_run_is_resumed(broken: SmallExperiment) -> None:
    broken.write(limits={"stop_after": 1})
    broken.run("--run-id", "run", "--workers", "2")
    broken.write(limits={})
    ended = broken.run("--run-id", "run", "--workers", "2")

    assert "0 ok, 12 failed, 0 missing" in ended.stdout


def test_a_search_asks_for_nothing_more_once_a_generation_was_ended(
    broken: SmallExperiment,
) -> None:
    """Points that were not tried are not told as failed, whatever a resumed run makes of them."""
    broken.write(search={"method": "tpe", "points": 4, "generation": 2}, limits={"stop_after": 1})
    ended = broken.run("--run-id", "run", "--workers", "2")

    assert ended.returncode == Kind.INCOMPLETE.exit_code
    assert "run 'run-g00': 5 tasks not started after as many equal failures" in ended.stderr
    assert [path.name for path in broken.run_file("run", "search").iterdir()] == ["000.json"]
    broken.write(limits={})
    ended = broken.run("--run-id", "run", "--workers", "2")
    assert "0 ok, 12 failed, 0 missing" in ended.stdout
