"""A session whose results are in S3: others can follow it, and a killed one leaves its journal."""

from __future__ import annotations

import json
import os
import signal
from typing import TYPE_CHECKING

from tests.s3.conftest import bucket, server, storage
from tests.s3.test_session_account import Clocks
from tests.sessions.live_session import LiveSession
from tests.sessions.small_session import SmallSession, ended
from trading_runtime.results.store import open_store
from trading_runtime.sessions import account as room
from trading_runtime.sessions.account import SessionAccount
from trading_runtime.storage.s3 import S3Folder

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

__all__ = ["bucket", "server", "storage"]


def events(folder: S3Folder, run: str) -> list[str]:
    """Return the names of the events that a run's journal has so far."""
    names = folder.sizes(f"runs/{run}/journal/")
    return [json.loads(line)["event"] for name in names for line in folder.read(name).splitlines()]


def test_the_journal_is_in_s3_while_the_session_trades(
    tmp_path: Path, small_dataset: Path, bucket: str
) -> None:
    session = SmallSession(tmp_path, small_dataset)
    session.play("x60")
    session.write(results=f"{bucket}/results")
    process = session.start()
    folder = S3Folder(f"{bucket}/results")

    session.wait(lambda: "session_connected" in events(folder, "one"), process)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()

    assert {"run_initialised", "session_started"} <= set(events(folder, "one"))


AHEAD = """
from pathlib import Path
from trading_runtime.sessions import account
steady = account.steady_seconds
account.steady_seconds = lambda: steady() + float(Path({file!r}).read_text())
"""
"""Lets a session's steady clock be ahead by what a file says, as if it had been suspended."""


def test_a_holder_that_was_suspended_sends_nothing_once_another_has_the_account(
    tmp_path: Path, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "ahead"
    file.write_text("0")
    with LiveSession(tmp_path) as live:
        live.write(results=f"{bucket}/results", on_stop="hold")
        live.alter(AHEAD.format(file=str(file)))
        folder = S3Folder(f"{bucket}/results")

        first = live.start()
        live.wait(lambda: "session_connected" in events(folder, "one"), first)
        os.kill(first.pid, signal.SIGSTOP)
        # All the time that its lease lasts passes in a moment, here and there.
        clock = Clocks()
        clock.use(monkeypatch)
        [place] = {*folder.folders("accounts")} - {"live"}
        with SessionAccount(open_store(f"{bucket}/results"), "live", place).held("two"):
            file.write_text(str(clock.ahead))
            live.order("buy 0.010")
            os.kill(first.pid, signal.SIGCONT)
            code, text = ended(first)

        assert clock.ahead >= room._LEASE_SECONDS - 2
        assert code == 75, text
        assert "another session may have it" in text or "session 'two' has taken" in text
        assert live.accepted == []
