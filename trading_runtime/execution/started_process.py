"""A worker process as it is started: its environment, and the lines that it is told and says."""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import IO, Any, Protocol

_SHOWN_OUTPUT = 2_000
_PACKAGE_PARENT = Path(__file__).resolve().parent.parent.parent
_KEPT_OF_PYTHON = frozenset({
    "PYTHONDONTWRITEBYTECODE", "PYTHONHOME", "PYTHONNOUSERSITE", "PYTHONPYCACHEPREFIX",
    "PYTHONUSERBASE",
})  # fmt: skip
"""The interpreter's settings that say where things lie; others (optimise, UTF-8 mode, warnings as
errors) could change what a strategy does."""

FIXED_ENVIRONMENT = {
    "PYTHONHASHSEED": "0",
    "TZ": "UTC",
    "LANG": "C.UTF-8",
    "LC_ALL": "C.UTF-8",
    "PYTHONUNBUFFERED": "1",
    "OMP_NUM_THREADS": "1",
    "POLARS_MAX_THREADS": "1",
    # One heap that gives memory back: beside the engine's, Arrow's own keeps what it once had. Its
    # own is not used then, and needs no thread that tidies it.
    "ARROW_DEFAULT_MEMORY_POOL": "system",
    "JE_ARROW_MALLOC_CONF": "background_thread:false",
    "MALLOC_ARENA_MAX": "2",
}
"""What is the same for every worker: what could change a result, or cost time or memory."""


class Process(Protocol):
    """What is asked of a process, however it came to be."""

    pid: int
    stdin: IO[bytes] | None

    def kill(self) -> None:
        """End it at once."""

    def send_signal(self, sig: int) -> None:
        """Send it a signal, unless it is known to be gone."""

    def wait(self) -> int:
        """Wait for its end; return its exit code, below zero for the signal that ended it."""


class StartedProcess:
    """A worker process that was started and told nothing yet: it imports what any task needs."""

    def __init__(self, number: int, scratch: Path) -> None:
        self.folder = scratch / f"worker-{number}-{time.monotonic_ns()}"
        self.folder.mkdir()
        self.output = self.folder.with_suffix(".log").open("w+b")
        self.answers, sender = os.pipe()
        os.set_blocking(self.answers, False)
        self.process = self._start(sender)
        os.close(sender)

    def _start(self, sender: int) -> Process:
        """Start a process that reads from its ``stdin`` and answers into ``sender``."""
        return subprocess.Popen(
            # -P: no module is imported from the folder that the worker happens to stand in.
            [
                sys.executable,
                "-P",
                "-m",
                "trading_runtime.execution.worker",
                str(sender),
                str(os.getpid()),
            ],
            stdin=subprocess.PIPE,
            stdout=self.output,
            stderr=self.output,
            pass_fds=(sender,),
            env=worker_environment(),
            cwd=self.folder,
        )

    def send(self, message: dict[str, Any]) -> None:
        """Tell the process something, in one line."""
        # One that died cannot be told anything; reading its answers says that it died.
        if self.process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self.process.stdin.write(json.dumps(message).encode() + b"\n")
                self.process.stdin.flush()

    def wait_for_answer(self) -> dict[str, Any] | None:
        """Return the next line that the process says, ``None`` when it died without a word."""
        said = b""
        while not said.endswith(b"\n"):
            select.select([self.answers], [], [])
            chunk = os.read(self.answers, 1 << 16)
            if not chunk:
                return None
            said += chunk
        answer: dict[str, Any] = json.loads(said)
        return answer

    def last_output(self) -> str:
        """Return the end of what the strategy printed and Python said."""
        size = self.output.seek(0, os.SEEK_END)
        self.output.seek(max(0, size - _SHOWN_OUTPUT))
        output = self.output.read().decode(errors="replace")
        # The first word may be the end of a secret, which nobody would recognise.
        return output if size <= _SHOWN_OUTPUT else output.lstrip().partition(" ")[2]

    def end(self) -> None:
        """End the process for good."""
        self.process.kill()
        self.process.wait()
        if self.process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self.process.stdin.close()
        os.close(self.answers)
        self.output.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def worker_environment() -> dict[str, str]:
    """Return the environment of workers: the parent's, with what can change a result fixed."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("PYTHON") or name in _KEPT_OF_PYTHON
    }
    # Workers stand in another folder, where a relative path would lead elsewhere.
    named = [Path(path).absolute() for path in os.environ.get("PYTHONPATH", "").split(os.pathsep)
             if path]  # fmt: skip
    paths = os.pathsep.join(str(path) for path in (_PACKAGE_PARENT, *named))
    return kept | FIXED_ENVIRONMENT | {"PYTHONPATH": paths}
