"""One worker process as its parent sees it: started, given batches, listened to, ended."""

from __future__ import annotations

import json
import os
import signal
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from trading_runtime.execution.memory import resident_bytes, says_out_of_memory, system_kills
from trading_runtime.execution.started_process import StartedProcess

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

KILL_SWITCH_SIGNAL = signal.SIGUSR1
"""Tells a worker that the kill switch is on."""
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
        started.send(
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
        self._started.send({"tasks": tasks})

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
        return self._started.last_output()

    def tell_kill_switch(self) -> None:
        """Tell the process that the kill switch is on: its strategy sends no more orders."""
        self._process.send_signal(KILL_SWITCH_SIGNAL)

    def end(self) -> None:
        """End the process for good."""
        self._started.end()
