"""Results that are moved, removed or replaced under a running run end it; none is made anew."""

from __future__ import annotations

import os
import shutil
import signal
from typing import TYPE_CHECKING

import pytest

from tests.execution.processes import PATIENCE, wait_for

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.small_experiment import SmallExperiment


@pytest.fixture
def held(small: SmallExperiment) -> SmallExperiment:
    """Six tasks, of which two end; the others wait until the gate is opened."""
    small.hold(tasks=6, free=2)
    return small


@pytest.fixture
def running(held: SmallExperiment) -> Iterator[subprocess.Popen[str]]:
    """A run of the held experiment, of which two tasks are finished."""
    process = held.start("--run-id", "run", "--workers", "1")
    wait_for(lambda: len(list((held.results / "tasks").glob("??/*/manifest.json"))) == 2)
    yield process
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def move(results: Path) -> None:
    """Move the whole folder away."""
    results.rename(results.with_name("moved"))


def replace_by_file(results: Path) -> None:
    """Move the whole folder away, and make a file of its name."""
    move(results)
    results.write_text("a file")


def remove_run(results: Path) -> None:
    """Remove the folder of the run."""
    shutil.rmtree(results / "runs" / "run")


def replace_run(results: Path) -> None:
    """Put another folder in place of the run's."""
    folder = results / "runs" / "run"
    folder.rename(results / "moved")
    shutil.copytree(results / "moved", folder)


@pytest.mark.parametrize("take_away", [move, replace_by_file, remove_run, replace_run])
def test_a_run_whose_results_are_taken_away_ends_with_8_and_makes_nothing_anew(
    held: SmallExperiment,
    running: subprocess.Popen[str],
    take_away: Callable[[Path], None],
) -> None:
    take_away(held.results)
    left = state(held.results)
    held.gate.touch()

    _, errors = running.communicate(timeout=PATIENCE)

    assert running.returncode == 8, errors
    assert "was removed, moved or replaced while the run was going on" in errors
    assert "Traceback" not in errors
    there = state(held.results)
    assert {name: there.get(name) for name in left} == left
    assert {name for name in there.keys() - left.keys() if not name.startswith("tasks/")} == set()


def test_a_run_whose_results_were_moved_goes_on_when_they_are_back(
    held: SmallExperiment, running: subprocess.Popen[str]
) -> None:
    move(held.results)
    held.gate.touch()
    running.communicate(timeout=PATIENCE)
    assert not held.results.exists()
    held.results.with_name("moved").rename(held.results)

    again = held.summary("--run-id", "run")

    assert again["counts"] == {"planned": 6, "ok": 6, "failed": 0, "missing": 0}


def state(results: Path) -> dict[str, bytes]:
    """Every file by its name below ``results``, or the one that is there instead.

    What was moved is left out: the run's own journal is open there.
    """
    if results.is_file():
        return {"": results.read_bytes()}
    return {
        path.relative_to(results).as_posix(): path.read_bytes()
        for path in results.rglob("*")
        if path.is_file() and not path.is_relative_to(results / "moved")
    }
