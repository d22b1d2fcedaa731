"""Bars that the engine makes of a replay's rows, which end when they do in the data."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING, Any

import pytest

from tests.sessions.small_session import ended
from tests.sessions.test_session import table
from tests.small_experiment import BAR_TYPE, BARS_A_DAY, DAY_STARTS, INSTRUMENT

if TYPE_CHECKING:
    from tests.sessions.small_session import SmallSession

MADE = [
    f"{INSTRUMENT}-15-MINUTE-LAST-INTERNAL@1-MINUTE-EXTERNAL",
    f"{INSTRUMENT}-1-HOUR-LAST-INTERNAL@1-MINUTE-EXTERNAL",
]


def compared(session: SmallSession) -> dict[str, Any]:
    """Return what a backtest of the same rows says to the session's fills."""
    found: dict[str, Any] = json.loads(session.command("parity", "one", "--json").stdout)
    return found


@pytest.mark.parametrize("changes", [{}, {"queue": {"max_wait": "1h"}}, {"skip_empty_bars": True}])
def test_a_session_trades_on_made_bars_as_a_backtest_of_the_same_rows_does(
    deployed: SmallSession, changes: dict[str, Any]
) -> None:
    deployed.use("timed.py:Timed", made=MADE)
    is_sparse = "skip_empty_bars" in changes
    if is_sparse:
        deployed.write(execution=deployed.content["execution"] | changes)
    else:
        deployed.write(**changes)
    played = deployed.run()
    found = compared(deployed)
    [stopped] = deployed.events("session_stopped")
    sizes = [f"{size:f}" for size in table(deployed, "fills")["quantity"]]
    # Each day has rows for four hours. In the others, up to the end of the last day, the engine
    # repeats the last close, if it is to make bars without rows at all.
    hours = len(DAY_STARTS) * (4 if is_sparse else 24)
    at_end = 0 if is_sparse else 1  # it would end with the window

    assert played.returncode == 0, played.stderr
    assert "not fed" not in played.stdout
    assert found["exact"] == found["session_fills"] == found["backtest_fills"] == len(sizes)
    assert sum(size.startswith("0.01") for size in sizes) == hours - at_end
    assert sum(size.startswith("0.15") for size in sizes) == 4 * hours - at_end
    # They are no rows of the data.
    assert stopped["rows"] == BARS_A_DAY * len(DAY_STARTS)


def test_seconds_of_the_wall_clock_end_no_bar_and_what_a_stopped_session_saw_compares(
    deployed: SmallSession,
) -> None:
    seconds = f"{INSTRUMENT}-1-SECOND-LAST-INTERNAL@1-MINUTE-EXTERNAL"
    deployed.use("timed.py:Timed", made=[seconds])
    deployed.play("x1200")
    deployed.write(
        execution=deployed.content["execution"] | {"skip_empty_bars": True},
        data=deployed.content["data"] | {"end": "2024-01-01T04:01:00Z"},
    )
    session = deployed.start()
    deployed.wait_for("order_filled", session, 60)  # after three seconds at least
    code, text = ended(session, signal.SIGTERM)
    found = compared(deployed)
    [stopped] = deployed.events("session_stopped")

    assert code == 143, text
    assert found["exact"] == found["session_fills"] == found["backtest_fills"]
    # Each row is in a second of its own, which the next row finds ended.
    assert stopped["rows"] - found["session_fills"] in {0, 1}


def test_made_bars_that_are_asked_for_later_are_refused_at_once(deployed: SmallSession) -> None:
    deployed.use("timed.py:Timed", made=MADE, late=True)
    played = deployed.run()

    assert played.returncode == 4
    assert "subscribe to them in on_start" in played.stderr
    assert deployed.events("order_submitted") == []
    assert BAR_TYPE not in played.stderr
