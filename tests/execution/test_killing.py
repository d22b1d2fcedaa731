"""A run that is killed at any moment, again and again, ends with the bytes of one left alone.

``--kills 200`` kills more often than in everyday work.
"""

from __future__ import annotations

import functools
import os
import random
import signal
import time
from typing import TYPE_CHECKING

import pytest

from tests.execution.processes import processes_of, wait_for
from tests.small_experiment import SmallExperiment

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

REDUCED = ("results.parquet", "points.parquet", "result.json")
RUN = ("--run-id", "run", "--workers", "2", "--json")


def start(experiment: SmallExperiment, scratch: Path) -> subprocess.Popen[str]:
    """Start the run in a group of its own, its temporary files in ``scratch``."""
    return experiment.start(*RUN, environment={"TMPDIR": str(scratch)})


def are_gone(group: int) -> bool:
    return not processes_of(group)


def reduced(experiment: SmallExperiment) -> dict[str, bytes]:
    return {name: experiment.run_file("run", name).read_bytes() for name in REDUCED}


def unfinished(folder: Path) -> list[str]:
    """Return what a writer leaves that was killed: folders and files under temporary names."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob(".*"))


@pytest.fixture
def experiment(tmp_path: Path, small_dataset: Path) -> SmallExperiment:
    """Sixty tasks of a few milliseconds each."""
    made = SmallExperiment(tmp_path / "experiment", small_dataset)
    made.write(parameters={"every": list(range(20, 40))})
    return made


def test_a_run_killed_at_any_moment_and_run_again_is_as_if_nothing_had_happened(
    experiment: SmallExperiment, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    began = time.monotonic()
    output, errors = start(experiment, scratch).communicate()
    seconds = time.monotonic() - began
    assert '"complete": true' in output, errors
    tasks, tables = experiment.tasks(), reduced(experiment)
    chance = random.Random(5)  # noqa: S311 - the same moments each time
    kept: set[str] = set()
    completed = 0

    for number in range(request.config.getoption("--kills")):
        if completed or not number:
            experiment.forget_results()
            kept, completed = set(), 0
        process = start(experiment, scratch)
        time.sleep(chance.uniform(0, 1.1 * seconds))
        # Everything at once, as a machine does that runs out of memory, or the command alone.
        end = os.killpg if number % 2 else os.kill
        end(process.pid, signal.SIGKILL)
        process.communicate()
        wait_for(functools.partial(are_gone, process.pid))
        found = {
            name: content
            for name, content in experiment.tasks().items()
            if not name.startswith(".new-")
        }
        # What is there is whole and right, and what was there before is there still.
        assert found.items() <= tasks.items()
        assert len(found) % 6 == 0
        assert kept <= found.keys()
        kept = set(found)
        completed = process.returncode == 0

    ended = start(experiment, scratch)
    output, errors = ended.communicate()
    assert ended.returncode == 0, errors
    assert experiment.tasks() == tasks
    assert reduced(experiment) == tables
    assert unfinished(experiment.results) == []
    assert list(scratch.glob("trading-runtime-*")) == []
