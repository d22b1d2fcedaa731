"""Killed before any change to its files, a run says what is true of it, and can be repeated."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.small_experiment import SmallExperiment

ROOT = Path(__file__).resolve().parent.parent.parent
SOUND = {"status": "complete", "findings": []}


def killed_at_each_step(small: SmallExperiment, run_id: str, how: str) -> list[dict[str, Any]]:
    """How a run stood after each kill, and after it was repeated; its one task is stored before."""
    small.write(partitions={"by": "day", "end": "2024-01-02"}, parameters={"every": [20]})
    ended = small.run("--run-id", run_id)
    assert ended.returncode == 0, ended.stderr
    done = subprocess.run(
        [
            *(sys.executable, "-m", "tests.execution.kill_at_each_step"),
            *(small.path, small.results, run_id, how),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_new_run_that_is_killed_at_any_step_has_not_begun_has_died_or_is_complete(
    small: SmallExperiment,
) -> None:
    kills = killed_at_each_step(small, "new", "fresh")
    places = [kill["at"] for kill in kills]

    assert any("metadata.json" in place for place in places)
    assert any("report.md" in place for place in places)
    assert [kill for kill in kills if kill["after"] != SOUND] == []
    assert {kill["before"]["status"] for kill in kills} <= {"unknown", "died"}
    assert [kill for kill in kills if kill["before"]["findings"]] == []
    assert "metadata.json" in places[-1], "the last step is the one that completes the run"


def test_a_complete_run_that_is_repeated_and_killed_at_any_step_is_complete_or_has_died(
    small: SmallExperiment,
) -> None:
    kills = killed_at_each_step(small, "again", "repeated")

    assert [kill for kill in kills if kill["after"] != SOUND] == []
    assert {kill["before"]["status"] for kill in kills} == {"complete", "died"}
    assert [kill for kill in kills if kill["before"]["findings"]] == []
