"""Worker processes: each is given batches, and may die of a task without harm to the others."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from trading_runtime.errors import CrashError, Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_TICK_SECONDS = 0.25
_SHOWN_OUTPUT = 2_000
_PACKAGE_PARENT = Path(__file__).resolve().parent.parent.parent


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


@dataclass(frozen=True)
class TaskEnded:
    """How one task ended: ``status`` is ``ok`` or the kind of its failure."""

    task: int
    worker: int
    status: str
    seconds: float
    rows: int = 0
    message: str = ""
    traceback: str = ""


@dataclass(frozen=True)
class TaskStarted:
    """A worker began a task."""

    task: int
    worker: int


Event = TaskStarted | TaskEnded


class WorkerPool:
    """Runs batches of tasks in worker processes and yields what happens to each task."""

    def __init__(self, job: Job, workers: int, should_stop: Callable[[], bool]) -> None:
        self._job = job
        self._should_stop = should_stop
        self._scratch = tempfile.TemporaryDirectory(prefix="trading-runtime-run-")
        self._selector = selectors.DefaultSelector()
        self._workers: list[_Worker | None] = [None] * workers

    def __enter__(self) -> Self:
        """Start nothing: workers start with their first batch."""
        return self

    def __exit__(self, *_: object) -> None:
        """End all workers; what they had not finished leaves nothing behind."""
        for worker in self._workers:
            if worker is not None:
                worker.end()
        self._selector.close()
        self._scratch.cleanup()

    def run(self, batches: Sequence[Sequence[int]]) -> Iterator[Event]:
        """Run the tasks of all batches; ends early, between events, when asked to stop."""
        waiting = deque(list(batch) for batch in batches if batch)
        while not self._should_stop():
            for number in range(len(self._workers)):
                self._assign(number, waiting)
            busy = [worker for worker in self._workers if worker is not None and worker.pending]
            if not busy:
                return
            for key, _ in self._selector.select(_TICK_SECONDS):
                yield from self._listen(key.data, waiting)
            for worker in busy:
                if worker.overdue(self._job.task_seconds):
                    yield from self._time_out(worker, waiting)

    def _assign(self, number: int, waiting: deque[list[int]]) -> None:
        worker = self._workers[number]
        if waiting and (worker is None or not worker.pending):
            if worker is None:
                worker = _Worker(number, self._job, Path(self._scratch.name))
                self._workers[number] = worker
                self._selector.register(worker.answers, selectors.EVENT_READ, worker)
            worker.give(waiting.popleft())

    def _listen(self, worker: _Worker, waiting: deque[list[int]]) -> Iterator[Event]:
        messages = worker.messages()
        if messages is None:
            yield from self._bury(worker, waiting, Kind.CRASH, worker.cause_of_death())
            return
        for message in messages:
            if message["event"] == "task_started":
                worker.begin(message["task"])
                yield TaskStarted(message["task"], worker.number)
            elif message["event"] == "task_ended":
                worker.finish(message["task"])
                yield TaskEnded(
                    message["task"],
                    worker.number,
                    message["status"],
                    message["seconds"],
                    message["rows"],
                    message.get("message", ""),
                    message.get("traceback", ""),
                )

    def _time_out(self, worker: _Worker, waiting: deque[list[int]]) -> Iterator[Event]:
        limit = self._job.task_seconds
        worker.process.kill()
        worker.process.wait()
        message = (
            f"the task ran longer than limits.task_seconds ({limit} s) and was ended; raise the "
            "limit, or look for an endless loop in the strategy"
        )
        yield from self._bury(worker, waiting, Kind.TIMEOUT, message)

    def _bury(
        self, worker: _Worker, waiting: deque[list[int]], kind: Kind, message: str
    ) -> Iterator[Event]:
        """Fail the task that the worker died of, and give the rest of its batch to another."""
        output = worker.last_output()
        self._selector.unregister(worker.answers)
        worker.end()
        self._workers[worker.number] = None
        if worker.current is None:
            # It died between tasks or before the first: starting it again would go on for ever.
            raise CrashError(f"a worker process could not work: {message}")
        seconds = time.monotonic() - worker.since
        rest = [task for task in worker.pending if task != worker.current]
        if rest:
            waiting.appendleft(rest)
        yield TaskEnded(worker.current, worker.number, kind, seconds, 0, message, output)


class _Worker:
    """One worker process and what it is known to be doing."""

    def __init__(self, number: int, job: Job, scratch: Path) -> None:
        self.number = number
        self.pending: list[int] = []
        self.current: int | None = None
        self.since = 0.0
        self._buffer = b""
        self._output = (scratch / f"worker-{number}-{time.monotonic_ns()}.log").open("w+b")
        self.answers, sender = os.pipe()
        os.set_blocking(self.answers, False)
        folder = scratch / f"worker-{number}"
        folder.mkdir(exist_ok=True)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "trading_runtime.execution.worker", str(sender)],
            stdin=subprocess.PIPE,
            stdout=self._output,
            stderr=self._output,
            pass_fds=(sender,),
            env=worker_environment(),
            cwd=folder,
        )
        os.close(sender)
        self._send(
            {
                "plan": str(job.plan),
                "folder": str(job.folder),
                "dataset": job.dataset,
                "results": job.results,
                "scratch": str(folder),
            }
        )

    def give(self, tasks: list[int]) -> None:
        """Hand over a batch."""
        self.pending = tasks
        self.current = None
        self._send({"tasks": tasks})

    def begin(self, task: int) -> None:
        self.current = task
        self.since = time.monotonic()

    def finish(self, task: int) -> None:
        self.pending.remove(task)
        self.current = None

    def overdue(self, seconds: int) -> bool:
        return self.current is not None and time.monotonic() - self.since > seconds

    def messages(self) -> list[dict[str, Any]] | None:
        """Return what the worker said since the last call; ``None`` when it died."""
        chunk = os.read(self.answers, 1 << 16)
        if not chunk:
            self.process.wait()
            return None
        *lines, self._buffer = (self._buffer + chunk).split(b"\n")
        return [json.loads(line) for line in lines]

    def cause_of_death(self) -> str:
        code = self.process.returncode
        if code < 0:
            cause = f"it was ended by signal {signal.Signals(-code).name}"
            if -code == signal.SIGKILL:
                cause += " (often: out of memory)"
        else:
            cause = f"it left with exit code {code}"
        output = self.last_output().strip().splitlines()
        return f"the task's process died: {cause}" + (
            f"; it last said: {output[-1]}" if output else ""
        )

    def last_output(self) -> str:
        self._output.flush()
        size = self._output.seek(0, os.SEEK_END)
        self._output.seek(max(0, size - _SHOWN_OUTPUT))
        return self._output.read().decode(errors="replace")

    def end(self) -> None:
        """End the process for good."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        if self.process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self.process.stdin.close()
        os.close(self.answers)
        self._output.close()

    def _send(self, message: dict[str, Any]) -> None:
        # A worker that died cannot be told anything; reading its answers says that it died.
        if self.process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self.process.stdin.write(json.dumps(message).encode() + b"\n")
                self.process.stdin.flush()


def worker_environment() -> dict[str, str]:
    """Return the environment of workers: the parent's, with what can change a result fixed."""
    search = os.pathsep.join(
        path for path in (str(_PACKAGE_PARENT), os.environ.get("PYTHONPATH", "")) if path
    )
    fixed = {
        "PYTHONHASHSEED": "0",
        "TZ": "UTC",
        "LANG": "C.UTF-8",
        "LC_ALL": "C.UTF-8",
        "PYTHONPATH": search,
        "PYTHONUNBUFFERED": "1",
        "OMP_NUM_THREADS": "1",
        "POLARS_MAX_THREADS": "1",
    }
    return {**os.environ, **fixed}
