"""Whatever goes wrong at any change to its files, a run says what is true, and can be repeated."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.disk_faults import lines_of
from trading_runtime.errors import Kind

if TYPE_CHECKING:
    from tests.small_experiment import SmallExperiment

SOUND = {"status": "complete", "findings": []}


def faults_at_each_step(
    small: SmallExperiment, run_id: str, how: str, fault: str
) -> list[dict[str, Any]]:
    """How a run ended and stood after each fault, and stood after it was repeated.

    Its one task is stored before.
    """
    small.write(partitions={"by": "day", "end": "2024-01-02"}, parameters={"every": [20]})
    ended = small.run("--run-id", run_id)
    assert ended.returncode == 0, ended.stderr
    module = "tests.execution.faults_at_each_step"
    return lines_of(module, small.path, small.results, run_id, how, fault)


@pytest.mark.parametrize("fault", ["kill", "power"])
def test_a_new_run_that_is_killed_at_any_step_has_not_begun_has_died_or_is_complete(
    small: SmallExperiment, fault: str
) -> None:
    kills = faults_at_each_step(small, "new", "fresh", fault)
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
    kills = faults_at_each_step(small, "again", "repeated", "kill")

    assert [kill for kill in kills if kill["after"] != SOUND] == []
    assert {kill["before"]["status"] for kill in kills} == {"complete", "died"}
    assert [kill for kill in kills if kill["before"]["findings"]] == []


@pytest.mark.parametrize("fault", ["full", "broken"])
def test_a_disk_that_fails_at_any_write_ends_the_run_with_8_and_leaves_what_is_true(
    small: SmallExperiment, fault: str
) -> None:
    faults = faults_at_each_step(small, "new", "fresh", fault)

    assert {each["at"].split()[0] for each in faults} >= {"open", "os.mkdir", "write", "fsync"}
    # A folder that cannot be made, but is there, is no fault.
    failed = [each for each in faults if each["before"] != SOUND]
    assert len(failed) >= len(faults) - faults_at(faults, "os.mkdir report")
    assert {each["ended"] for each in failed} == {Kind.STORAGE.exit_code}
    assert {each["before"]["status"] for each in failed} <= {"unknown", "died", "failed"}
    assert [each for each in failed if each["before"]["findings"]] == []
    assert [each for each in faults if each["after"] != SOUND] == []


def faults_at(faults: list[dict[str, Any]], place: str) -> int:
    return sum(each["at"] == place for each in faults)


def test_results_of_tasks_that_a_loss_of_power_takes_are_computed_again(
    small: SmallExperiment,
) -> None:
    small.write(partitions={"by": "day", "end": "2024-01-02"}, parameters={"every": [20, 30]})
    assert small.run("--run-id", "run").returncode == 0
    before = small.tasks()
    first, second = sorted((small.results / "tasks").glob("??/*"))
    for path in first.iterdir():
        path.write_bytes(b"")
    (second / "equity.parquet").write_bytes(b"")

    ended = small.summary("--run-id", "run")

    assert (ended["complete"], ended["computed"]) == (True, 2)
    tasks = small.tasks()
    assert {name: tasks[name] for name in before} == before
