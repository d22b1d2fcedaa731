"""Whether a session lives, as its HTTP server tells it."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING

import pytest

from tests.sessions.small_session import ended
from tests.sessions.test_account import asked
from trading_runtime.errors import UsageError
from trading_runtime.sessions.health import Health, HealthServer, LoopTurns

if TYPE_CHECKING:
    from tests.sessions.live_session import LiveSession


def test_a_host_that_cannot_be_looked_up_is_refused() -> None:
    async def serve() -> None:
        server = HealthServer(lambda: Health([], [], {}), lambda: 0.0)
        with server.serving("a..b", 0):
            pass

    with pytest.raises(UsageError, match=r"cannot listen at a\.\.b:0: there is no such host"):
        asyncio.run(serve())


SLOW = """
import time
from pathlib import Path
from trading_runtime.engine.live.recorder import Recorder
from trading_runtime.sessions import health, session, trading

def waiting(store, is_meant):
    def stored(*arguments, **options):
        if is_meant(*arguments):
            Path("storing").touch()
            while not Path("go").exists():
                time.sleep(0.01)
        return store(*arguments, **options)
    return stored

{change}
trading._FLUSH_SECONDS = 0.5
# Longer than a busy machine keeps a loop from turning.
trading._LATE_HEARTBEATS, health._STUCK_SECONDS = 600, 20.0
"""
TABLES = """
session.write_file = waiting(session.write_file, lambda path, _: path.parent.name == "session")
"""
ROWS = "Recorder._write = waiting(Recorder._write, lambda *_: True)"


@pytest.mark.parametrize("change", [TABLES, ROWS])
def test_while_a_slow_storage_takes_tables_or_rows_the_session_lives_on(
    live: LiveSession, change: str
) -> None:
    live.alter(SLOW.format(change=change))
    live.write(health={"port": 0}, limits={"heartbeat": "100ms"}, record="recorded")
    process = live.connect()
    live.wait((live.folder / "storing").exists, process)
    [served] = live.events("health_served")
    beaten, codes = len(live.events("session_heartbeat")), []

    def lives_on() -> bool:
        codes.append(asked(f"{served['address']}/healthz")[0])
        return codes[-1] != 200 or len(live.events("session_heartbeat")) > beaten + 30

    live.wait(lives_on, process)
    (live.folder / "go").touch()
    code, text = ended(process, signal.SIGTERM)

    assert set(codes) == {200}
    assert code == 143, text
    assert list((live.results / "runs" / "one" / "session").glob("*.parquet"))
    assert list((live.folder / "recorded").rglob("*.parquet"))


def test_a_suspended_process_has_not_waited_for_its_loop() -> None:
    now = [100.0]
    turns = LoopTurns(lambda: now[0])

    def after(seconds: float) -> float:
        now[0] += seconds
        return turns.waited()

    assert after(0.5) == 0.5
    # An hour between two looks: neither the loop nor who looks was given any time.
    assert after(3_600.0) == 1.5
    assert [after(1.0) for _ in range(3)] == [2.5, 3.5, 4.5]

    async def turn() -> None:
        noting = asyncio.ensure_future(turns.note())
        await asyncio.sleep(0)
        noting.cancel()

    asyncio.run(turn())
    assert after(1.0) == 0.0
    assert after(1.0) == 1.0
