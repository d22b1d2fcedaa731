"""A session whose machine's clock is set while it runs; the venue's clock goes on."""

from __future__ import annotations

import shutil
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.sessions.live_session import INSTRUMENT
from tests.sessions.small_session import ended, until

if TYPE_CHECKING:
    from tests.sessions.live_session import LiveSession

SOURCE = Path(__file__).parent / "set_clock.c"
COMPILER = shutil.which("cc")
INTERVAL = 0.2

pytestmark = pytest.mark.skipif(COMPILER is None, reason="needs a C compiler")


class SetClock:
    """The wall clock of the sessions of a test."""

    def __init__(self, folder: Path, library: Path, live: LiveSession) -> None:
        self._file = folder / "ahead"
        self.set_by(0)
        live.variables |= {"LD_PRELOAD": str(library), "WALL_CLOCK_AHEAD": str(self._file)}

    def set_by(self, seconds: float) -> None:
        """Let the clock be so much ahead of the true one from now on."""
        content = round(seconds * 1e9).to_bytes(8, "little", signed=True)
        with self._file.open("r+b" if self._file.exists() else "wb", buffering=0) as file:
            file.write(content)


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library that sets the clock of a process."""
    path = tmp_path_factory.mktemp("clock") / "set_clock.so"
    subprocess.run([str(COMPILER), "-shared", "-fPIC", "-o", path, SOURCE, "-ldl"], check=True)
    return path


@pytest.fixture
def clock(tmp_path: Path, library: Path, live: LiveSession) -> SetClock:
    return SetClock(tmp_path, library, live)


@pytest.mark.parametrize("seconds", [-3600, 3600])
def test_a_clock_that_is_set_denies_orders_until_it_is_right_again_and_ends_nothing(
    live: LiveSession, clock: SetClock, seconds: int
) -> None:
    limit = {"order_rate_limit": {"orders": 1, "per": "1s"}}
    live.write(
        limits={"heartbeat": "500ms"},
        execution=live.content["execution"] | limit,
        queue={"max_wait": "5m"},
    )
    process = live.connect()
    live.order("rest 0.010 40000.0", "rest 0.020 41000.0")
    live.wait_for("order_accepted", process, 2)
    clock.set_by(seconds)
    live.wait_for("clock_apart", process)
    live.order("buy 0.010")
    live.wait_for("order_denied", process)
    # What is sent now counts towards the rate for a second, not for an hour.
    live.order("cancel first")
    live.wait_for("order_ended", process)
    live.wait_for_more("session_heartbeat", process, 2)
    clock.set_by(0)
    live.wait_for("clock_apart", process, 2)
    live.order("buy 0.030", "buy 0.040")
    live.wait_for("order_filled", process, 2)
    code, text = ended(process, signal.SIGTERM)
    apart = live.events("clock_apart")

    assert code == 143, text
    assert [item["on"] for item in apart] == [True, False]
    assert abs(apart[0]["seconds"] + seconds) < 5
    assert sorted(live.booked("one")) == sorted(live.executed)
    assert len(live.accepted) == 4
    assert live.events("venue_lost") == []


def test_a_timer_fires_once_for_each_span_of_time_however_the_clock_is_set(
    live: LiveSession, clock: SetClock, tmp_path: Path
) -> None:
    notes = tmp_path / "notes.txt"
    live.use("timed.py:Timed", instrument_id=INSTRUMENT, notes=str(notes))
    process = live.connect()

    def noted() -> list[list[int]]:
        lines = notes.read_text().splitlines() if notes.exists() else []
        return [list(map(int, line.split())) for line in lines]

    def wait_for_more() -> None:
        wanted = len(noted()) + 3
        until(lambda: len(noted()) >= wanted)

    wait_for_more()
    for seconds in (2, 0, -2, 0, 3600, 0, -3600, 0):
        clock.set_by(seconds)
        wait_for_more()
    ended(process, signal.SIGTERM)
    found = noted()
    passed = (found[-1][0] - found[0][0]) / 1e9

    assert len(found) <= passed / INTERVAL + 2
    assert len({stated for _, stated in found}) == len(found)
