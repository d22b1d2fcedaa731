"""Waiting for what a process does, and looking for the processes that it left."""

from __future__ import annotations

import os
import subprocess
import time
from typing import TYPE_CHECKING

from trading_runtime.execution.workers.processes import FIXED_ENVIRONMENT

if TYPE_CHECKING:
    from collections.abc import Callable

PATIENCE = 240.0
"""Seconds after which a test gives up: far more than the busiest machine takes."""


def pod_environment(given: dict[str, str] = FIXED_ENVIRONMENT) -> dict[str, str]:
    """Return the environment of a pod: ``given`` is what the template says, as for pods of work."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return own | given


def wait_for(what: Callable[[], bool]) -> None:
    """Wait until ``what()`` is true."""
    deadline = time.monotonic() + PATIENCE
    while not what():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def processes_of(group: int) -> list[int]:
    """Return the processes that the run started and that still are: all are in its session."""
    listed = subprocess.run(
        ["ps", "-eo", "pid=,sess=,stat="],  # noqa: S607 - wherever the system has it
        capture_output=True,
        text=True,
        check=True,
    )
    rows = [line.split() for line in listed.stdout.splitlines()]
    return [int(pid) for pid, session, state in rows if int(session) == group and state[0] != "Z"]
