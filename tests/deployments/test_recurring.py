"""Research on a schedule, on one machine: at its times, one run at a time, none made up."""

from __future__ import annotations

import datetime as dt
import json
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.deployments.conftest import surroundings
from tests.small_experiment import SmallExperiment
from trading_runtime.deployments.desired import read_desired
from trading_runtime.deployments.recurring import Recurring
from trading_runtime.deployments.state import DeploymentState, Phase, Request, SupervisorFolder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MIDNIGHT = dt.datetime(2024, 1, 1, tzinfo=dt.UTC).timestamp()
HOUR = 3_600.0


class Watched:
    """A recurring experiment whose clock the test turns, and what it says."""

    def __init__(self, path: Path, folder: Path) -> None:
        self.said: list[str] = []
        self.notices: list[tuple[str, str]] = []
        self.request = Request()
        supervisor = SupervisorFolder(folder)
        self.held = supervisor.held()
        self.held.__enter__()

        around = surroundings(supervisor, self.said, self.notices)
        desired = read_desired(path)
        state = DeploymentState(desired.name, str(path), desired.what)
        self.kept = Recurring(desired, state, around)

    @property
    def phase(self) -> str:
        return str(self.kept.state.phase)

    @property
    def run_id(self) -> str | None:
        return self.kept.state.run_id

    def look(self, now: float) -> None:
        self.kept.look(now, self.request)

    def finish(self) -> None:
        """Wait until its run has ended, and let it notice."""
        while self.kept.process is not None:
            self.look(MIDNIGHT)
            time.sleep(0.02)


@pytest.fixture
def nightly(tmp_path: Path, small_dataset: Path) -> Iterator[Watched]:
    """An experiment of each hour, looked at first at midnight."""
    small = SmallExperiment(tmp_path, small_dataset)
    path = small.write(schedule={"cron": "0 * * * *", "time_zone": "UTC"}, workers=1)
    watched = Watched(path, tmp_path / ".deployments")
    watched.look(MIDNIGHT + 60)
    yield watched
    watched.kept.is_gone = True
    watched.finish()
    watched.held.__exit__(None, None, None)


def test_it_runs_at_its_time_and_not_before(nightly: Watched, tmp_path: Path) -> None:
    state = nightly.kept.state
    assert (state.phase, state.why) == (
        Phase.WAITING,
        "the first run is at 2024-01-01 01:00 UTC",
    )
    nightly.look(MIDNIGHT + HOUR - 1)
    assert nightly.run_id is None

    nightly.look(MIDNIGHT + HOUR + 1)
    assert nightly.phase == "running"
    nightly.finish()
    assert state.why == "the last run is complete; the next is at 2024-01-01 02:00 UTC"
    metadata = tmp_path / "results" / "runs" / str(nightly.run_id) / "metadata.json"
    assert json.loads(metadata.read_text())["status"] == "complete"


def test_a_time_that_passed_unseen_is_told_and_not_made_up(nightly: Watched) -> None:
    nightly.look(MIDNIGHT + 3 * HOUR + 120)

    assert nightly.kept.state.run_id is None
    assert nightly.notices == [
        ("missed schedule", "the run at 2024-01-01 01:00 UTC was missed: no supervisor looked")
    ]
    assert nightly.kept.state.due == MIDNIGHT + 4 * HOUR


def test_a_time_that_comes_during_a_run_is_left_out_and_told(nightly: Watched) -> None:
    nightly.look(MIDNIGHT + HOUR)
    first = nightly.kept.state.run_id
    nightly.look(MIDNIGHT + 2 * HOUR)

    assert nightly.kept.state.run_id == first
    assert nightly.notices == [
        (
            "missed schedule",
            "the run at 2024-01-01 02:00 UTC was missed: the run before it was still going",
        )
    ]


def test_a_run_that_fails_is_told_and_the_next_comes_at_its_time(nightly: Watched) -> None:
    path = nightly.kept.desired.path
    path.write_text(path.read_text().replace('"seed": ', '"sead": '))
    nightly.look(MIDNIGHT + HOUR)
    nightly.finish()
    state = nightly.kept.state

    assert state.phase is Phase.WAITING
    assert state.why.startswith("exit code 2 (usage)")
    assert state.why.endswith("the next run is at 2024-01-01 02:00 UTC")
    assert [occasion for occasion, _ in nightly.notices] == ["failure"]


def test_an_operator_runs_it_now_and_stops_it(nightly: Watched) -> None:
    nightly.request = Request(wanted=True, turn=1)
    nightly.look(MIDNIGHT + 120)
    assert nightly.phase == "running"
    assert nightly.kept.state.due == MIDNIGHT + HOUR

    nightly.request = replace(nightly.request, wanted=False)
    nightly.look(MIDNIGHT + 130)
    nightly.finish()
    assert nightly.phase == "stopped"
    nightly.look(MIDNIGHT + 2 * HOUR)
    assert nightly.kept.process is None
