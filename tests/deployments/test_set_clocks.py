"""A deployment on a machine whose clock is set while it runs: only time that passes counts."""

from __future__ import annotations

import os
import signal
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from tests.deployments.conftest import surroundings
from trading_runtime.deployments import kept as room
from trading_runtime.deployments.desired import DeploymentKind, read_desired
from trading_runtime.deployments.kept import Kept
from trading_runtime.deployments.state import DeploymentState, Phase, Request, SupervisorFolder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.deployments.conftest import Supervised


class OneKept:
    """A deployment that a test looks at, with the clocks of its machine."""

    def __init__(self, folder: Path) -> None:
        self.passed = self.set_by = 0.0
        self.said: list[str] = []
        self.notices: list[tuple[str, str]] = []
        self.folder = SupervisorFolder(folder / ".deployments")

    def wall(self) -> float:
        return time.time() + self.passed + self.set_by

    def steady(self) -> float:
        return time.monotonic() + self.passed

    def keep(self, path: Path) -> Kept:
        """Begin to keep up what a file says."""
        desired = read_desired(path)
        state = DeploymentState(desired.name, str(path), desired.what)
        self.kept = Kept(desired, state, surroundings(self.folder, self.said, self.notices))
        self.look()
        return self.kept

    def look(self) -> Phase:
        self.kept.look(self.wall(), Request())
        return self.kept.state.phase

    def wait_for_end(self) -> None:
        """Wait until its process has ended, and let it notice."""
        while self.kept.process is not None:
            self.look()
            time.sleep(0.01)

    def beat(self) -> None:
        """Touch the heartbeat as the process would."""
        path = self.folder.heartbeats / self.kept.desired.name
        path.touch()
        os.utime(path, (self.wall(),) * 2)


@pytest.fixture
def one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[OneKept]:
    found = OneKept(tmp_path)
    clocks = SimpleNamespace(time=found.wall, monotonic=found.steady)
    monkeypatch.setattr(room, "time", clocks)
    with found.folder.held():
        yield found
        while (process := found.kept.process) is not None and process.lives:
            process.signal(signal.SIGKILL)
            time.sleep(0.01)


@pytest.mark.parametrize("seconds", [-3600.0, -2.0, 2.0, 3600.0])
def test_a_heartbeat_is_late_only_when_time_has_passed(
    one: OneKept, supervised: Supervised, seconds: float
) -> None:
    one.keep(supervised.write("one", ["sleep", "1000"], limits={"heartbeat": "10s"}))
    one.beat()
    for _ in range(5):
        one.passed += 20
        one.look()
        one.beat()
        one.look()
    one.set_by = seconds
    one.passed += 20
    assert one.look() is Phase.RUNNING
    one.beat()
    assert one.look() is Phase.RUNNING
    one.passed += 40

    assert one.look() is Phase.ENDING
    assert one.kept.state.why == "no heartbeat for 40 s"


@pytest.mark.parametrize("seconds", [-3600.0, 3600.0])
def test_a_backoff_lasts_as_long_as_it_says(
    one: OneKept, supervised: Supervised, seconds: float
) -> None:
    kept = one.keep(supervised.write("one", ["false"], restart={"backoff": "1m"}))
    one.wait_for_end()
    one.set_by = seconds
    one.passed += 55
    assert one.look() is Phase.BACKING_OFF
    one.passed += 10

    assert one.look() is Phase.RUNNING
    assert kept.state.restart_count == 1


def test_restarts_of_the_latest_hour_are_not_forgotten_when_the_clock_is_set(
    one: OneKept, supervised: Supervised
) -> None:
    limits = {"backoff": "1s", "most_in_an_hour": 1}
    kept = one.keep(supervised.write("one", ["false"], restart=limits))
    one.wait_for_end()
    one.passed += 2
    one.look()
    one.set_by = 7_200
    one.wait_for_end()

    assert kept.state.phase is Phase.GAVE_UP
    assert [occasion for occasion, _ in one.notices] == ["failure", "crash loop"]


def test_another_supervisor_waits_no_longer_than_a_backoff(
    one: OneKept, supervised: Supervised
) -> None:
    kept = one.keep(supervised.write("one", ["false"], restart={"backoff": "1m"}))
    one.wait_for_end()
    state = kept.state
    one.set_by = -7_200
    one.kept = Kept(kept.desired, state, kept.around)
    one.kept.adopt()
    one.passed += 250
    assert one.look() is Phase.BACKING_OFF
    one.passed += 60

    assert one.look() is Phase.RUNNING


def test_a_session_that_finishes_while_it_is_asked_to_end_is_complete(
    one: OneKept, supervised: Supervised
) -> None:
    script = "trap 'exit 0' TERM; touch ready; while :; do sleep 0.01; done"
    kept = one.keep(supervised.write("one", ["sh", "-c", script], limits={"heartbeat": "10s"}))
    while not (supervised.folder / "ready").exists():
        time.sleep(0.01)
    one.beat()
    one.look()
    one.passed += 60
    as_session: Any = SimpleNamespace(**vars(kept.desired) | {"what": DeploymentKind.STRATEGY})
    kept.desired = as_session
    assert one.look() is Phase.ENDING
    one.wait_for_end()

    assert (kept.state.phase, kept.state.why) == (Phase.COMPLETE, "the data came to its end")
