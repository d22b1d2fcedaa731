"""Worker processes as their parent sees them: started, forked, given batches, ended.

A worker is forked where this process is set up as a worker is, and started fresh elsewhere. A pod
computes one batch, mostly with one worker: started fresh, that worker would import again what the
pod has already imported, which is a good part of the time a small batch takes.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Protocol, Self

from trading_runtime.errors import CrashError, Kind, error_of
from trading_runtime.execution.workers.memory import (
    resident_bytes,
    says_out_of_memory,
    system_kills,
)
from trading_runtime.storage.scratch import Scratch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import NoReturn

    from trading_runtime.config.loading import LoadedExperiment
    from trading_runtime.config.strategy_code import StrategyCode
    from trading_runtime.records.plan import Plan


_SHOWN_OUTPUT = 2_000
_PACKAGE_PARENT = Path(__file__).resolve().parent.parent.parent.parent
_KEPT_OF_PYTHON = frozenset({
    "PYTHONDONTWRITEBYTECODE", "PYTHONHOME", "PYTHONNOUSERSITE", "PYTHONPYCACHEPREFIX",
    "PYTHONUSERBASE",
})  # fmt: skip
"""The interpreter's settings for locations; others (optimise, UTF-8 mode, warnings as errors) could
change what a strategy does."""

FIXED_ENVIRONMENT = {
    "PYTHONHASHSEED": "0",
    "TZ": "UTC",
    "LANG": "C.UTF-8",
    "LC_ALL": "C.UTF-8",
    "PYTHONUNBUFFERED": "1",
    "OMP_NUM_THREADS": "1",
    "POLARS_MAX_THREADS": "1",
    # A single heap that returns memory: Arrow's own, beside the engine's, keeps what it once had.
    # Arrow's is then unused and needs no clean-up thread.
    "ARROW_DEFAULT_MEMORY_POOL": "system",
    "JE_ARROW_MALLOC_CONF": "background_thread:false",
    "MALLOC_ARENA_MAX": "2",
}
"""What is the same for every worker: what could change a result, or cost time or memory."""


class Process(Protocol):
    """The interface of a process, whether forked or started."""

    pid: int
    stdin: IO[bytes] | None

    def kill(self) -> None:
        """End it at once."""

    def send_signal(self, sig: int) -> None:
        """Send it a signal, unless it is known to be gone."""

    def wait(self) -> int:
        """Wait for its end; return its exit code, below zero for the signal that ended it."""


class StartedProcess:
    """A worker process that has started but has no job yet: it imports what any task needs."""

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
            # -P: no module is imported from the worker's current folder.
            [
                sys.executable,
                "-P",
                "-m",
                "trading_runtime.execution.workers.worker",
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
        """Send the process a message, as one line."""
        # A dead process takes no message; reading its answers shows that it died.
        if self.process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self.process.stdin.write(json.dumps(message).encode() + b"\n")
                self.process.stdin.flush()

    def wait_for_answer(self) -> dict[str, Any] | None:
        """Return the next line from the process; ``None`` when it died without an answer."""
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
        """Return the end of what the strategy and Python printed."""
        size = self.output.seek(0, os.SEEK_END)
        self.output.seek(max(0, size - _SHOWN_OUTPUT))
        output = self.output.read().decode(errors="replace")
        # The first word may be the end of a secret, which no filter would recognise.
        return output if size <= _SHOWN_OUTPUT else output.lstrip().partition(" ")[2]

    def end(self) -> None:
        """End the process."""
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
    # Workers run in another folder, where a relative path would lead elsewhere.
    named = [Path(path).absolute() for path in os.environ.get("PYTHONPATH", "").split(os.pathsep)
             if path]  # fmt: skip
    paths = os.pathsep.join(str(path) for path in (_PACKAGE_PARENT, *named))
    return kept | FIXED_ENVIRONMENT | {"PYTHONPATH": paths}


_THREADS = Path("/proc/self/task")
_SAID_BY_IMAGES = ("PYTHON_VERSION", "PYTHON_SHA256")
"""Variables with which Python's official images describe themselves; no interpreter reads them."""


def fork_or_start(number: int, scratch: Path) -> StartedProcess:
    """Return a forked worker, or a started one where a fork would not be the same."""
    if not is_set_up_as_worker():
        return StartedProcess(number, scratch)
    from trading_runtime.execution.workers.worker import import_engine

    import_engine()
    # Threads are not forked, and a lock that one of them holds would stay locked.
    is_alone = len(list(_THREADS.iterdir())) == 1
    return ForkedProcess(number, scratch) if is_alone else StartedProcess(number, scratch)


def is_set_up_as_worker() -> bool:
    """Return whether this interpreter was started with the settings of a worker."""
    options = sys.flags.optimize or sys.warnoptions or sys._xoptions  # noqa: SLF001 - documented
    if options or not _THREADS.exists():
        return False
    found = {name: value for name, value in os.environ.items() if name not in _SAID_BY_IMAGES}
    # The package is importable without a path to it.
    return {"PYTHONPATH": "", **found} == {**worker_environment(), "PYTHONPATH": ""}


class ForkedProcess(StartedProcess):
    """A worker that begins as a copy of this process, which has imported the engine already."""

    def _start(self, sender: int) -> Process:
        requests, sender_end = os.pipe()
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        parent = os.getpid()
        child = os.fork()
        if child == 0:
            os.close(sender_end)
            self._work(requests, sender, parent)
        os.close(requests)
        return _Child(child, sender_end)

    def _work(self, requests: int, sender: int, parent: int) -> NoReturn:
        exit_code = 1
        try:
            os.dup2(requests, 0)
            for stream in (1, 2):
                os.dup2(self.output.fileno(), stream)
            os.chdir(self.folder)
            environment = worker_environment()
            os.environ.clear()
            os.environ.update(environment)
            from trading_runtime.execution.workers.worker import serve

            serve(sender, parent)
            exit_code = 0
        except BaseException:  # noqa: BLE001 - nothing of this process's own may follow
            traceback.print_exc()
        finally:
            with contextlib.suppress(Exception):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(exit_code)


class _Child:
    """A forked process with the interface that ``subprocess`` gives a started one."""

    def __init__(self, pid: int, requests: int) -> None:
        self.pid = pid
        self.stdin: IO[bytes] | None = os.fdopen(requests, "wb")
        self._exit_code: int | None = None

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def send_signal(self, sig: int) -> None:
        if self._exit_code is None:
            os.kill(self.pid, sig)

    def wait(self) -> int:
        if self._exit_code is None:
            self._exit_code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self._exit_code


KILL_SWITCH_SIGNAL = signal.SIGUSR1
"""Tells a worker that the kill switch is on."""
TASK_MEMORY = "limits.task_memory"
"""The experiment setting for the memory limit of a task."""


@dataclass(frozen=True)
class Job:
    """Where the workers of a run find what they need; none of it can change a result."""

    plan: Path
    folder: Path
    """The experiment file's folder; paths in the experiment are relative to it."""
    dataset: str
    """A folder, or an address in S3."""
    results: str
    """The results: a folder, or an address in S3."""
    task_seconds: int
    task_memory: int | None = None
    """Most resident bytes of a worker while it runs a task."""
    memory_by: str = TASK_MEMORY
    """What sets ``task_memory``, for messages."""
    most_growth: int = 1 << 30
    """Bytes that a worker may grow by after its first task; beyond that it is replaced."""
    search_paths: Sequence[Path] = ()
    """Folders where this process found the strategy's modules."""


class WorkerProcess:
    """One worker process and what it is known to be doing."""

    def __init__(
        self, number: int, job: Job, scratch: Path, started: StartedProcess | None = None
    ) -> None:
        self.number = number
        self.pending: list[int] = []
        """Tasks of its batch that have not ended."""
        self.current: int | None = None
        self.since = 0.0
        self.tasks_ended = 0
        self._kills_before = system_kills()
        self._buffer = b""
        self._started = started = started or StartedProcess(number, scratch)
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
        """Kill the process; what it sent before can still be read."""
        self._process.kill()
        self._process.wait()

    def messages(self) -> list[dict[str, Any]] | None:
        """Return the worker's messages since the last call; ``None`` when it is gone."""
        try:
            chunk = os.read(self.answers, 1 << 16)
        except BlockingIOError:
            return None
        if not chunk:
            return None
        *lines, self._buffer = (self._buffer + chunk).split(b"\n")
        return [json.loads(line) for line in lines]

    @property
    def needs_recycling(self) -> bool:
        """Whether it exited because it had grown too much, which it signals by a clean exit."""
        return self._process.wait() == 0 and self.current is None and self.tasks_ended > 0

    def cause_of_death(self) -> tuple[str, bool]:
        """Return how a worker died and its last words, and whether memory ran out."""
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
        """Return the end of what the strategy and Python printed."""
        return self._started.last_output()

    def send_kill_signal(self) -> None:
        """Tell the process that the kill switch is on: its strategy sends no more orders."""
        self._process.send_signal(KILL_SWITCH_SIGNAL)

    def end(self) -> None:
        """End the process."""
        self._started.end()


class PrestartedWorker:
    """The first worker of a run, started while the run is still being planned."""

    def __init__(self, start: Callable[[int, Path], StartedProcess] = StartedProcess) -> None:
        """``start`` makes the process from a number and a folder for its files."""
        self._scratch = Scratch()
        self._started: StartedProcess | None = start(0, self._scratch.path)

    def __enter__(self) -> Self:
        """Started already."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the process, unless a pool took it."""
        if self._started is not None:
            self._started.end()
        self._scratch.remove()

    def check(
        self, loaded: LoadedExperiment, code: StrategyCode, plan: Plan
    ) -> dict[str, list[str]]:
        """Let the worker's engine check venue and strategy, so that this process needs no engine.

        Returns and raises what ``engine.simulation.venue.check_settings`` does; raises
        ``CrashError`` when the strategy's modules end the process that imports them.
        """
        if self._started is None:
            raise RuntimeError("the worker was handed over before")
        self._started.send(
            {
                "path": plan.strategy.path,
                "code": plan.strategy.code,
                "folder": str(loaded.code_folder),
                "search_paths": [str(path) for path in code.search_paths],
                "common": plan.common.content,
                "configs": plan.configs,
            }
        )
        answer = self._started.wait_for_answer()
        if answer is None:
            exit_code = self._started.process.wait()
            said = self._started.last_output().strip().splitlines()
            words = f"; it last said: {said[-1]}" if said else ""
            raise CrashError(
                f"{code.file or code.path}: importing the strategy ended the process (exit code "
                f"{exit_code}){words}"
            )
        if answer["kind"] == Kind.INTERNAL:
            raise RuntimeError(answer["message"])
        if answer["kind"] != Kind.OK:
            raise error_of(Kind(answer["kind"]), answer["message"])
        defaults: dict[str, list[str]] = answer["defaults"]
        return defaults

    def take(self) -> StartedProcess | None:
        """Hand over the process; ``None`` when it was handed over before."""
        started, self._started = self._started, None
        return started
