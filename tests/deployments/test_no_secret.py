"""What a program prints of its secrets stays in its own log: a supervisor repeats none of it."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import pytest

from tests.deployments.test_notices import Receiver
from tests.s3.conftest import bucket, server, storage
from trading_runtime.deployments.logs import LOG, LogUploads, parts_of, rotate
from trading_runtime.deployments.state import DeploymentState
from trading_runtime.storage.s3 import S3Folder

if TYPE_CHECKING:
    from pathlib import Path

    from tests.deployments.conftest import Supervised

__all__ = ["bucket", "server", "storage"]

PASSWORD, LOGIN = "canary-0f3a9c71", "canary-77b1e2d4"
PROGRAM = {"command": [sys.executable, "frail.py"], "secrets": ["LOGIN_NAME"]}
SAYS = f"""
import os, sys
sys.exit(f"error: no access with {{os.environ['LOGIN_NAME']}} and {PASSWORD}")
"""


def test_neither_state_nor_command_nor_notice_has_a_secret(supervised: Supervised) -> None:
    receiver = Receiver()
    supervised.environment |= {
        "DB_PASS": PASSWORD,
        "LOGIN_NAME": LOGIN,
        "WHERE": f"{receiver.address}/{PASSWORD}",
    }
    supervised.script(
        "frail",
        SAYS,
        program=PROGRAM,
        restart={"backoff": "100ms", "most_in_an_hour": 1},
        notify=[{"url_from": "WHERE"}],
    )
    supervised.up()
    state = supervised.wait_for("frail", "gave up")
    supervised.wait(lambda: len(receiver.received.get(f"/{PASSWORD}", [])) == 2)
    receiver.server.shutdown()
    receiver.server.server_close()

    shown = [supervised.command(*words.split()) for words in ("list", "show frail", "list --json")]
    texts = [supervised.said, json.dumps(state), json.dumps(receiver.received[f"/{PASSWORD}"])]
    texts += [ended.stdout + ended.stderr for ended in shown]
    assert all("no access with [hidden] and [hidden]" in text for text in texts)
    kept = [path for path in (supervised.folder / ".deployments").rglob("*") if path.is_file()]
    texts += [path.read_text() for path in kept]
    assert [text for text in texts if PASSWORD in text or LOGIN in text] == []
    log = supervised.folder / "results" / "runs" / state["run_id"] / "logs" / LOG
    assert log.read_text() == f"error: no access with {LOGIN} and {PASSWORD}\n"


WAITS = """
import os, sys, time
while not os.path.exists("go"):
    time.sleep(0.01)
sys.exit(f"error: no access with {os.environ['LOGIN_NAME']}")
"""


def test_nor_has_what_a_later_supervisor_says_of_a_process_that_it_found(
    supervised: Supervised,
) -> None:
    supervised.environment |= {"LOGIN_NAME": LOGIN}
    supervised.script("frail", WAITS, program=PROGRAM, restart={"most_in_an_hour": 0})
    supervisor = supervised.up("--detach")
    supervised.wait_for("frail", "running")
    supervisor.terminate()
    supervisor.wait()
    supervised.up()
    supervised.wait(lambda: "frail: running: found again" in supervised.said)
    (supervised.folder / "go").touch()
    state = supervised.wait_for("frail", "gave up")

    assert "no access with [hidden]" in state["why"]
    assert LOGIN not in supervised.said + json.dumps(state)


def test_a_log_goes_to_s3_without_secrets(
    tmp_path: Path, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "run" / LOG
    log.parent.mkdir()
    log.write_bytes(f"it is {PASSWORD} \xff".encode("latin-1"))
    monkeypatch.setenv("DB_PASS", PASSWORD)
    complaints: list[str] = []
    uploads = LogUploads(complaints.append)
    uploads.start(log, f"{bucket}/x", "run")
    uploads.finish()

    assert complaints == []
    assert S3Folder(f"{bucket}/x").read(f"runs/run/logs/{LOG}") == b"it is [hidden] \xff"


@pytest.mark.parametrize("written", [1, 8, len(PASSWORD) - 1])
def test_a_secret_that_crosses_from_one_part_of_a_log_to_the_next_does_not_reach_s3(
    tmp_path: Path, bucket: str, monkeypatch: pytest.MonkeyPatch, written: int
) -> None:
    monkeypatch.setenv("DB_PASS", PASSWORD)
    log = tmp_path / "run" / LOG
    log.parent.mkdir()
    log.write_text(f"first\nit is {PASSWORD[:written]}")
    assert rotate(log, 1)
    log.write_text(f"{PASSWORD[written:]}\nlast\n")
    said = uploaded(log, bucket)

    assert said == "first\nit is [hidden]\nlast\n"


def test_nor_does_the_end_of_one_whose_beginning_is_no_longer_kept(
    tmp_path: Path, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DB_PASS", PASSWORD)
    log = tmp_path / "run" / LOG
    log.parent.mkdir()
    for text in (f"it is {PASSWORD[:-4]}", f"{PASSWORD[-4:]}\nsecond\n", *["more\n"] * 4):
        log.write_text(text)
        assert rotate(log, 1)
    log.write_text("last\n")
    first, *others = uploaded(log, bucket).splitlines()

    assert first == "[the first line of what is kept is left out]"
    assert others == ["second", *["more"] * 4, "last"]


def uploaded(log: Path, bucket: str) -> str:
    """Take a log to S3 as the supervisor does; return what is there of it."""
    complaints: list[str] = []
    uploads = LogUploads(complaints.append)
    uploads.start(log, f"{bucket}/x", "run")
    uploads.finish()
    folder = S3Folder(f"{bucket}/x")
    state = DeploymentState("one", "", "program", log=str(log), results=f"{bucket}/x", run_id="run")

    assert complaints == []
    assert not log.exists()
    assert folder.folders("runs") == ["run"]
    return b"".join(parts_of(state)).decode()
