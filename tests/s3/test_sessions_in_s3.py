"""A session whose results are in S3: others can follow it, and a killed one leaves its journal."""

from __future__ import annotations

import json
import os
import signal
from typing import TYPE_CHECKING

from tests.s3.conftest import bucket, server, storage
from tests.sessions.live_session import LiveSession
from tests.sessions.small_session import SmallSession, ended
from trading_runtime.storage.s3 import S3Folder

if TYPE_CHECKING:
    from pathlib import Path

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


def test_a_holder_that_was_suspended_sends_nothing_once_another_has_the_account(
    tmp_path: Path, bucket: str
) -> None:
    with LiveSession(tmp_path) as live:
        live.write(results=f"{bucket}/results", on_stop="hold")
        # A third of the usual times, so that the test is short.
        live.change("trading_runtime.sessions.account", _LEASE_SECONDS=5.0)
        folder = S3Folder(f"{bucket}/results")

        first = live.start()
        live.wait(lambda: "session_connected" in events(folder, "one"), first)
        os.kill(first.pid, signal.SIGSTOP)
        second = live.start("--run-id", "two", "--fresh")
        live.wait(lambda: "session_connected" in events(folder, "two"), second)
        code, text = ended(second, signal.SIGKILL)
        live.order("buy 0.010")
        os.kill(first.pid, signal.SIGCONT)
        code, text = ended(first)

        assert code == 75, text
        assert "the account of 'live'" in text
        assert live.accepted == []
