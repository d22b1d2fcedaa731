"""One task again: its output is seen, and its outcome is held against the stored one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.execution.wayward_run import WAYS, Copy, flip_byte, wayward
from tests.plans import made_up_plan, partition
from trading_runtime.errors import Kind, UsageError
from trading_runtime.records.plan import Plan, PlannedTasks, Task
from trading_runtime.verification.fresh_tasks import FreshOutcome
from trading_runtime.verification.replay import Replay, find_task, replay
from trading_runtime.verification.rerun import found_origin

if TYPE_CHECKING:
    from tests.small_experiment import SmallExperiment

RUN = "run"
IDS = ["aaaa" + "0" * 60, "aabb" + "0" * 60, "bbbb" + "0" * 60, "cccc" + "0" * 60]


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory, small_dataset: Path) -> SmallExperiment:
    """A run of all ways: three leave a result, two fail."""
    experiment = wayward(tmp_path_factory.mktemp("mixed"), small_dataset, *WAYS)
    assert experiment.summary("--run-id", RUN)["counts"] == {
        "planned": 5,
        "ok": 3,
        "failed": 2,
        "missing": 0,
    }
    return experiment


@pytest.fixture
def copy(mixed: SmallExperiment, tmp_path: Path) -> Copy:
    """The run, to tamper with."""
    return Copy(mixed, tmp_path / "copy", RUN)


def again(copy: Copy, way: str, log_level: str = "ERROR") -> Replay:
    with found_origin(copy.store, copy.files, copy.experiment) as origin:
        index = find_task(origin.plan, copy.task_id(way), None, None)
        return replay(origin, index, copy.store, copy.files, log_level)


def test_a_sound_task_gives_the_stored_bytes_and_shows_its_log_and_prints(
    copy: Copy, capfd: pytest.CaptureFixture[str]
) -> None:
    replayed = again(copy, "sound", "INFO")

    assert replayed == Replay(copy.task_id("sound"), FreshOutcome(Kind.OK), FreshOutcome(Kind.OK))
    assert replayed.kind is Kind.OK
    shown = capfd.readouterr().out
    # An order at every fortieth of 240 bars.
    assert [line for line in shown.splitlines() if line.startswith("order number")] == [
        f"order number {count}" for count in range(1, 7)
    ]
    assert "[INFO]" in shown
    assert "BacktestEngine" in shown


def test_the_log_level_is_that_which_is_asked_for(
    copy: Copy, capfd: pytest.CaptureFixture[str]
) -> None:
    again(copy, "sound", "ERROR")

    assert "[INFO]" not in capfd.readouterr().out


def test_chance_is_found(copy: Copy) -> None:
    replayed = again(copy, "chance")

    assert replayed.kind is Kind.NONDETERMINISTIC
    difference = replayed.difference
    assert difference is not None
    assert (difference.file, difference.row, difference.column) == ("orders.parquet", 2, "tags")


def test_a_failure_is_shown_with_its_traceback_and_is_the_stored_one(copy: Copy) -> None:
    replayed = again(copy, "raise")

    assert replayed.kind is Kind.STRATEGY
    assert replayed.before is not None
    assert replayed.now.message == replayed.before.message
    assert "ValueError: as it was told to" in replayed.now.traceback
    assert "wayward.py" in replayed.now.traceback


def test_a_process_that_dies_is_a_crash(copy: Copy) -> None:
    replayed = again(copy, "os exit")

    assert replayed.now == FreshOutcome(Kind.CRASH, "the task's process ended with exit code 3")
    assert replayed.before is not None
    assert replayed.before.kind is Kind.CRASH


def test_a_failure_where_a_result_is_stored_depends_on_something_else(
    copy: Copy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WAYWARD", "yes")
    monkeypatch.setenv("TRADING_RUNTIME_PASS", "WAYWARD")

    replayed = again(copy, "surroundings")

    assert replayed.now.kind is Kind.STRATEGY
    assert replayed.before == FreshOutcome(Kind.OK)
    assert replayed.kind is Kind.NONDETERMINISTIC


def test_a_failure_of_any_length_is_reported(copy: Copy, monkeypatch: pytest.MonkeyPatch) -> None:
    # More than a pipe holds.
    monkeypatch.setenv("WAYWARD", "wrong " * 15_000)
    monkeypatch.setenv("TRADING_RUNTIME_PASS", "WAYWARD")

    now = again(copy, "surroundings").now

    assert now.kind is Kind.STRATEGY
    assert now.message.count("wrong") == 15_000


def test_what_a_task_leaves_running_ends_with_it(
    copy: Copy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes = tmp_path / "child"
    monkeypatch.setenv("WAYWARD_CHILD", str(notes))
    monkeypatch.setenv("TRADING_RUNTIME_PASS", "WAYWARD_CHILD")

    assert again(copy, "surroundings").kind is Kind.OK
    assert not Path(f"/proc/{notes.read_text()}").exists()


def test_a_stored_result_that_is_damaged_is_said_to_be_so(copy: Copy) -> None:
    flip_byte(copy.stored("sound", "fills.parquet"), 100)

    replayed = again(copy, "sound")

    assert replayed.now == FreshOutcome(Kind.OK)
    assert replayed.before is not None
    assert (replayed.before.kind, replayed.kind) == (Kind.DATA, Kind.DATA)
    assert "fills.parquet" in replayed.before.message


def test_what_was_never_stored_has_nothing_to_be_held_against(copy: Copy) -> None:
    copy.files.failure(copy.task_id("raise")).unlink()

    assert again(copy, "raise").before is None


def test_nothing_is_left_of_a_replay_in_the_store(mixed: SmallExperiment, tmp_path: Path) -> None:
    copy = Copy(mixed, tmp_path / "copy", RUN)
    files = sorted(path for path in copy.store.root.rglob("*"))

    again(copy, "chance")

    assert sorted(path for path in copy.store.root.rglob("*")) == files


def plan(points: int, partitions: int) -> Plan:
    """A plan of as many tasks, those of one partition together."""
    tasks = [
        Task(IDS[point + points * number], number, point, cached=False, seconds=None)
        for number in range(partitions)
        for point in range(points)
    ]
    parts = [partition(number) for number in range(partitions)]
    return made_up_plan(tasks, points=[{}] * points, partitions=parts)


def test_a_task_is_named_by_the_first_digits_of_its_id() -> None:
    assert find_task(plan(2, 2), "aabb", None, None) == 1
    assert find_task(plan(2, 2), IDS[3], None, None) == 3


def test_a_task_is_named_by_its_point_and_partition() -> None:
    assert find_task(plan(2, 2), None, 1, 0) == 1
    assert find_task(plan(2, 2), None, 0, 1) == 2


def test_what_there_is_only_one_of_need_not_be_named() -> None:
    assert find_task(plan(4, 1), None, 2, None) == 2
    assert find_task(plan(1, 4), None, None, 3) == 3
    assert find_task(plan(1, 1), None, None, None) == 0


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ((None, None, None), "give the task's id, or --point and --partition"),
        ((None, 1, None), "2 tasks fit; give --partition too"),
        ((None, None, 1), "2 tasks fit; give --point too"),
        ((None, 2, 0), "--point 2: the run's points are 0 to 1"),
        ((None, 0, -1), "--partition -1: the run's partitions are 0 to 1"),
        (("aaaa", 0, 0), "not both"),
        (("aa", None, None), "first 4 to 64 hexadecimal digits"),
        (("../../x", None, None), "first 4 to 64 hexadecimal digits"),
        (("dddd", None, None), "no task 'dddd' in the run's plan"),
    ],
)
def test_a_name_of_none_or_several_is_refused(given: tuple[Any, Any, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        find_task(plan(2, 2), *given)


def test_digits_that_begin_several_ids_are_refused_with_them() -> None:
    several = plan(2, 1)
    first, second = several.tasks
    tasks = PlannedTasks([first, second._replace(task_id="aaaab" + "0" * 59)])

    with pytest.raises(UsageError, match=r"2 tasks .* begin with 'aaaa' \(aaaa0000, aaaab000\)"):
        find_task(replace(several, tasks=tasks), "aaaa", None, None)
