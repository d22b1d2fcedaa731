"""Logs: rotated while they are written, read in order, and followed from run to run."""

from __future__ import annotations

import subprocess
import sys
import threading
from typing import TYPE_CHECKING

from trading_runtime.deployments.logs import KEPT, LOG, follow, parts_of, rotate
from trading_runtime.deployments.state import DeploymentState

if TYPE_CHECKING:
    from pathlib import Path

    from tests.deployments.conftest import Supervised


def test_a_long_log_begins_anew_while_its_process_writes(tmp_path: Path) -> None:
    log = tmp_path / LOG
    code = "for line in range(2_000): print(line, flush=True)\ninput()\nprint('after')"
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=output
        )
    while not log.read_text().endswith("1999\n"):
        pass
    assert not rotate(log, 100_000)
    assert rotate(log, 1_000)
    process.communicate(b"\n")

    assert log.read_text() == "after\n"
    state = DeploymentState("one", "", "program", log=str(log), results=str(tmp_path))
    whole = b"".join(parts_of(state)).decode().split()
    assert whole == [*map(str, range(2_000)), "after"]


def test_only_the_latest_parts_are_kept(tmp_path: Path) -> None:
    log = tmp_path / LOG
    for number in range(KEPT + 3):
        log.write_text(f"part {number}\n")
        assert rotate(log, 1)

    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == [LOG, *(f"{LOG}.{number}" for number in range(1, KEPT + 1))]
    assert (tmp_path / f"{LOG}.{KEPT}").read_text() == "part 3\n"


def test_what_is_added_is_followed_into_the_next_run(tmp_path: Path) -> None:
    one, two = tmp_path / "one" / LOG, tmp_path / "two" / LOG
    for path in (one, two):
        path.parent.mkdir()
    one.write_text("before\n")
    current = [one]
    parts = follow(lambda: current[0])
    seen: list[bytes] = []
    reader = threading.Thread(target=lambda: seen.append(next(parts)))
    reader.start()
    while reader.is_alive() and not seen:
        with one.open("a") as file:
            file.write("added\n")
        reader.join(0.05)

    assert b"before" not in b"".join(seen)
    assert b"added" in b"".join(seen)
    two.write_text("of the next\n")
    current[0] = two
    while not seen[-1].startswith(b"of the next"):
        seen.append(next(parts))


def test_the_log_of_a_program_is_in_its_run(supervised: Supervised) -> None:
    supervised.write("one", ["sh", "-c", "echo hello; echo to errors >&2; sleep 1000"])
    supervised.up()
    state = supervised.wait_for("one", "running")
    log = supervised.folder / "results" / "runs" / state["run_id"] / "logs" / LOG
    supervised.wait(lambda: log.exists() and "to errors" in log.read_text())

    shown = supervised.command("logs", "one")
    assert shown.stdout == "hello\nto errors\n"
