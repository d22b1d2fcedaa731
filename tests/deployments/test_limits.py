"""Limits of memory and processors, by control groups and from outside."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from tests.deployments.conftest import PATIENCE_SECONDS
from trading_runtime.deployments.limits import ControlGroups, GroupLimit, OutsideLimit
from trading_runtime.deployments.processes import GroupUsage, SupervisedProcess

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.deployments.conftest import Supervised
    from trading_runtime.deployments.limits import Limit

HUNGRY = "data = []\nwhile True: data.append(b'x' * 1_000_000)\n"
BUSY = "while True: pass\n"
NO_GROUPS = ControlGroups(0)
groups_needed = pytest.mark.skipif(
    not ControlGroups.usable().version, reason="control groups may not be used here"
)


@pytest.fixture(params=[pytest.param("groups", marks=groups_needed), "outside"])
def groups(request: pytest.FixtureRequest) -> ControlGroups:
    return ControlGroups.usable() if request.param == "groups" else NO_GROUPS


@pytest.fixture
def started() -> Iterator[list[SupervisedProcess]]:
    """Processes that a test starts; they are ended after it."""
    found: list[SupervisedProcess] = []
    yield found
    for process in found:
        end(process)


def end(process: SupervisedProcess) -> None:
    process.sweep()
    while process.lives:
        time.sleep(0.01)


def start(
    code: str, limit: Limit, folder: Path, started: list[SupervisedProcess]
) -> SupervisedProcess:
    process = SupervisedProcess.start(
        [sys.executable, "-c", code], folder, os.environ, folder / "log", limit.groups
    )
    started.append(process)
    process.release()
    return process


def test_a_program_above_its_memory_is_ended_and_told_as_out_of_memory(
    supervised: Supervised,
) -> None:
    supervised.script("hungry", HUNGRY, limits={"memory": "60 MiB"}, restart={"most_in_an_hour": 0})
    supervised.up()
    state = supervised.wait_for("hungry", "gave up")

    assert "out of memory" in state["why"]
    assert "limits.memory (62,914,560" in state["why"]
    usable = ControlGroups.usable().version
    assert state["limits"] == (
        f"control groups, version {usable}"
        if usable
        else "from outside: control groups may not be used here"
    )


def test_memory_is_kept_whatever_keeps_it(
    groups: ControlGroups, tmp_path: Path, started: list[SupervisedProcess]
) -> None:
    limit = groups.limit(f"trading-runtime-test-{os.getpid()}", 60 * 2**20, None)
    process = start(HUNGRY, limit, tmp_path, started)
    why = None
    deadline = time.monotonic() + PATIENCE_SECONDS
    while process.lives and why is None and time.monotonic() < deadline:
        why = limit.look(process)
        time.sleep(0.01)
    end(process)

    assert limit.is_out_of_memory()
    assert isinstance(limit, GroupLimit if groups.version else OutsideLimit)
    assert (why is None) == bool(groups.version)
    limit.close()
    assert not any(group.exists() for group in limit.groups)


def test_processor_time_is_kept_whatever_keeps_it(
    groups: ControlGroups, tmp_path: Path, started: list[SupervisedProcess]
) -> None:
    limit = groups.limit(f"trading-runtime-test-{os.getpid()}", None, 0.2)
    process = start(BUSY, limit, tmp_path, started)
    begun = time.monotonic()
    while time.monotonic() - begun < 5:
        limit.look(process)
        time.sleep(0.01)
    _, seconds = GroupUsage().of(process.pid)
    end(process)
    limit.close()

    # Over five seconds it may use one; a pause from outside lags by the second of the look.
    assert 0.2 < seconds < 2.2


def test_what_a_process_starts_counts_as_well(
    tmp_path: Path, started: list[SupervisedProcess]
) -> None:
    code = (
        "import subprocess, sys\n"
        "subprocess.run([sys.executable, '-c', 'data = b\"x\" * 80_000_000; input()'],"
        " stdin=subprocess.PIPE)\n"
    )
    limit = OutsideLimit(60 * 2**20, None, GroupUsage())
    process = start(
        code.replace("input()", "import time; time.sleep(100)"), limit, tmp_path, started
    )
    why, deadline = None, time.monotonic() + 30
    while why is None and time.monotonic() < deadline:
        why = limit.look(process)
        time.sleep(0.05)

    assert why is not None
    assert "above limits.memory" in why


def unified(folder: Path, controllers: str = "cpuset cpu io memory pids") -> Path:
    """Make what looks like the delegated group of a service, as systemd makes it."""
    group = folder / "user.slice" / "trading.service"
    group.mkdir(parents=True)
    (group / "cgroup.controllers").write_text(f"{controllers}\n")
    return group


def test_a_delegated_group_of_version_two_is_used(tmp_path: Path) -> None:
    group = unified(tmp_path)
    groups = ControlGroups.below(tmp_path, {"": "/user.slice/trading.service"})
    limit = groups.limit("one", 60 * 2**20, 0.5)
    [made] = limit.groups
    written = {path.name: path.read_text().strip() for path in made.iterdir()}
    (made / "memory.events").write_text("low 0\nhigh 0\nmax 9\noom 1\noom_kill 1\n")

    assert limit.how == "control groups, version 2"
    assert made == group / "one"
    assert written == {
        "memory.max": "62914560",
        "memory.swap.max": "0",
        "cpu.max": "50000 100000",
    }
    # The supervisor itself makes room: only a group without processes shares out controllers.
    assert (group / "supervisor" / "cgroup.procs").read_text().strip() == str(os.getpid())
    assert (group / "cgroup.subtree_control").read_text().strip() == "+memory +cpu"
    assert limit.is_out_of_memory()


def test_what_is_left_in_a_group_of_version_two_is_ended_by_the_kernel(tmp_path: Path) -> None:
    unified(tmp_path)
    groups = ControlGroups.below(tmp_path, {"": "/user.slice/trading.service"})
    limit = groups.limit("one", 60 * 2**20, None)
    [made] = limit.groups
    (made / "cgroup.kill").write_text("")
    (made / "cgroup.events").write_text("populated 0\nfrozen 0\n")
    limit.close()

    assert (made / "cgroup.kill").read_text().strip() == "1"


@pytest.mark.parametrize("missing", ["memory", "cpu", "group", "right"])
def test_without_a_controller_a_group_or_the_right_limits_are_kept_from_outside(
    tmp_path: Path, missing: str
) -> None:
    controllers = " ".join({"cpu", "memory", "pids"} - {missing})
    own = "/user.slice/trading.service"
    if missing != "group":
        group = unified(tmp_path, controllers)
        if missing == "right":
            (group / "cgroup.subtree_control").mkdir()  # cannot be written, not even by root
    limit = ControlGroups.below(tmp_path, {"": own}).limit("one", 60 * 2**20, 0.5)

    assert isinstance(limit, OutsideLimit)
    assert limit.how == "from outside: control groups may not be used here"


def test_groups_of_version_one_are_used_where_there_are_no_others(tmp_path: Path) -> None:
    for name in ("memory", "cpu"):
        (tmp_path / name / "service").mkdir(parents=True)
    own = {"memory": "/service", "cpu": "/service", "": "/"}
    limit = ControlGroups.below(tmp_path, own).limit("one", 60 * 2**20, 0.5)
    memory, cpu = limit.groups

    assert limit.how == "control groups, version 1"
    assert (memory / "memory.limit_in_bytes").read_text().strip() == "62914560"
    assert (cpu / "cpu.cfs_quota_us").read_text().strip() == "50000"


def test_without_a_limit_nothing_is_kept() -> None:
    limit = NO_GROUPS.limit("x", None, None)

    assert limit.how == "none"
    assert limit.look(SupervisedProcess(os.getpid(), "")) is None


@groups_needed
def test_no_group_is_left_behind(supervised: Supervised) -> None:
    supervised.write("one", ["true"], limits={"memory": "60 MiB", "cpu": 0.5})
    supervised.up()
    supervised.wait(lambda: supervised.state("one").get("restart_count", 0) >= 1)
    supervised.command("stop", "one")
    supervised.wait_for("one", "stopped")

    found = subprocess.run(
        ["find", "/sys/fs/cgroup", "-name", "trading-runtime-*-one"],  # noqa: S607
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.stdout.split() == []
