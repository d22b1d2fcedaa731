"""One worker process as its parent sees it: started, given batches, listened to, ended."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from trading_runtime.execution.memory import resident_bytes, says_out_of_memory, system_kills
from trading_runtime.results.scratch import Scratch

if TYPE_CHECKING:
    from collections.abc import Sequence

KILL_SWITCH_SIGNAL = signal.SIGUSR1
"""Tells a worker that the kill switch is on."""
_SHOWN_OUTPUT = 2_000
_PACKAGE_PARENT = Path(__file__).resolve().parent.parent.parent
_KEPT_OF_PYTHON = frozenset({
    "PYTHONDONTWRITEBYTECODE", "PYTHONHOME", "PYTHONNOUSERSITE", "PYTHONPYCACHEPREFIX",
    "PYTHONUSERBASE",
})  # fmt: skip
"""The interpreter's settings that say where things lie; others (optimise, UTF-8 mode, warnings as
errors) could change what a strategy does."""


TASK_MEMORY = "limits.task_memory"
"""The experiment's setting of how much memory a task may have."""


@dataclass(frozen=True)
class Job:
    """Where the workers of a run find what they need; none of it can change a result."""

    plan: Path
    folder: Path
    """The experiment file's folder, which paths in the experiment are relative to."""
    dataset: str
    """A folder, or an address in S3."""
    results: str
    """The same for the results."""
    task_seconds: int
    task_memory: int | None = None
    """Most resident bytes of a worker while it runs a task."""
    memory_by: str = TASK_MEMORY
    """What sets ``task_memory``, for messages."""
    most_growth: int = 1 << 30
    """Bytes that a worker may grow by since its first task; beyond that it is replaced."""
    search_paths: Sequence[Path] = ()
    """Folders where this process found the strategy's modules."""


class StartedProcess:
    """A worker process that was started and told nothing yet: it imports what any task needs."""

    def __init__(self, number: int, scratch: Path) -> None:
        self.folder = folder = scratch / f"worker-{number}-{time.monotonic_ns()}"
        folder.mkdir()
        self.output = folder.with_suffix(".log").open("w+b")
        self.answers, sender = os.pipe()
        os.set_blocking(self.answers, False)
        self.process = subprocess.Popen(
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
            cwd=folder,
        )
        os.close(sender)

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


class WorkerAhead:
    """The first worker of a run, started while the run is still being planned."""

    def __init__(self) -> None:
        self._scratch = Scratch()
        self._started: StartedProcess | None = StartedProcess(0, self._scratch.path)

    def __enter__(self) -> Self:
        """Started already."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the process, unless a pool took it."""
        if self._started is not None:
            self._started.end()
        self._scratch.remove()

    def take(self) -> StartedProcess | None:
        """Hand the process over; ``None`` when it was handed over before."""
        started, self._started = self._started, None
        return started


class WorkerProcess:
    """One worker process and what it is known to be doing."""

    def __init__(
        self, number: int, job: Job, scratch: Path, ahead: StartedProcess | None = None
    ) -> None:
        self.number = number
        self.pending: list[int] = []
        """Tasks of its batch that have not ended."""
        self.current: int | None = None
        self.since = 0.0
        self.tasks_ended = 0
        self._kills_before = system_kills()
        self._buffer = b""
        self._started = started = ahead or StartedProcess(number, scratch)
        self._folder, self._output = started.folder, started.output
        self.answers, self._process = started.answers, started.process
        self._send(
            {
                "plan": str(job.plan),
                "folder": str(job.folder),
                "dataset": job.dataset,
                "results": job.results,
                "most_growth": job.most_growth,
                "search_paths": [str(path) for path in job.search_paths],
                "scratch": str(self._folder),
            }
        )

    @property
    def is_ended(self) -> bool:
        """Whether ``end`` was called."""
        return self._output.closed

    def give(self, tasks: list[int]) -> None:
        """Hand over a batch."""
        self.pending = tasks
        self._kills_before = system_kills()
        self.current = None
        self._send({"tasks": tasks})

    def begin(self, task: int) -> None:
        """Note that it started a task."""
        self.current = task
        self.since = time.monotonic()

    def finish(self, task: int) -> None:
        """Note that it ended a task."""
        self.pending.remove(task)
        self.current = None
        self.tasks_ended += 1

    def is_overdue(self, seconds: int) -> bool:
        """Return whether its task has run for longer than ``seconds``."""
        return self.current is not None and time.monotonic() - self.since > seconds

    def memory(self) -> int:
        """Return its resident bytes while it runs a task; 0 between tasks."""
        return 0 if self.current is None else resident_bytes(self._process.pid)

    def kill(self) -> None:
        """Kill the process; what it said before can still be read."""
        self._process.kill()
        self._process.wait()

    def messages(self) -> list[dict[str, Any]] | None:
        """Return what the worker said since the last call; ``None`` when it is gone."""
        try:
            chunk = os.read(self.answers, 1 << 16)
        except BlockingIOError:
            return None
        if not chunk:
            return None
        *lines, self._buffer = (self._buffer + chunk).split(b"\n")
        return [json.loads(line) for line in lines]

    @property
    def is_worn_out(self) -> bool:
        """Whether it is gone because it had grown too much, having said so by leaving in peace."""
        return self._process.wait() == 0 and self.current is None and self.tasks_ended > 0

    def cause_of_death(self) -> tuple[str, bool]:
        """Return how a worker that is gone went and what it said last; and if memory ran out."""
        code = self._process.wait()
        output = self.last_output().strip()
        out_of_memory = code == -signal.SIGABRT and says_out_of_memory(output)
        cause = f"it left with exit code {code}"
        if code < 0:
            cause = f"it was ended by signal {signal.Signals(-code).name}"
        if code == -signal.SIGKILL:
            # This process did not send it.
            kills = system_kills()
            out_of_memory = kills is None or kills != self._kills_before
            cause += " from " + ("the system" if out_of_memory else "someone outside this run")
        words = f"; it last said: {output.splitlines()[-1]}" if output else ""
        if out_of_memory:
            return (
                f"out of memory: the task's process died: {cause}{words}; give it more memory, or "
                "use fewer workers"
            ), True
        return f"the task's process died: {cause}{words}", False

    def last_output(self) -> str:
        """Return the end of what the strategy printed and Python said."""
        size = self._output.seek(0, os.SEEK_END)
        self._output.seek(max(0, size - _SHOWN_OUTPUT))
        output = self._output.read().decode(errors="replace")
        # The first word may be the end of a secret, which nobody would recognise.
        return output if size <= _SHOWN_OUTPUT else output.lstrip().partition(" ")[2]

    def tell_kill_switch(self) -> None:
        """Tell the process that the kill switch is on: its strategy sends no more orders."""
        self._process.send_signal(KILL_SWITCH_SIGNAL)

    def end(self) -> None:
        """End the process for good."""
        self._started.end()

    def _send(self, message: dict[str, Any]) -> None:
        # A worker that died cannot be told anything; reading its answers says that it died.
        if self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.write(json.dumps(message).encode() + b"\n")
                self._process.stdin.flush()


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
    fixed = {
        "PYTHONHASHSEED": "0",
        "TZ": "UTC",
        "LANG": "C.UTF-8",
        "LC_ALL": "C.UTF-8",
        "PYTHONPATH": os.pathsep.join(str(path) for path in (_PACKAGE_PARENT, *named)),
        "PYTHONUNBUFFERED": "1",
        "OMP_NUM_THREADS": "1",
        "POLARS_MAX_THREADS": "1",
        # One heap that gives memory back: beside the engine's, Arrow's own keeps what it once had.
        "ARROW_DEFAULT_MEMORY_POOL": "system",
        "MALLOC_ARENA_MAX": "2",
    }
    return kept | fixed
