"""Worker processes as their parent sees them: started, given batches, ended.

A worker runs the code of a strategy: it has no credentials, an environment of what is allowed and
nothing else, a process group of its own, and its parent believes nothing that it says unseen.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import select
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from trading_runtime.errors import CrashError, Kind, UsageError
from trading_runtime.execution.workers.answers import (
    MOST_LINE,
    GarbledError,
    read_answer,
)
from trading_runtime.execution.workers.descendants import MARK, end_descendants, hide_from_children
from trading_runtime.execution.workers.memory import (
    reports_out_of_memory,
    resident_bytes,
    system_kills,
)
from trading_runtime.execution.workers.requests import (
    BatchRequest,
    FetchReply,
    JobRequest,
)
from trading_runtime.storage.files import read_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from trading_runtime.execution.workers.answers import Answer
    from trading_runtime.execution.workers.requests import WorkerRequest
    from trading_runtime.execution.workers.supply import Supply
    from trading_runtime.records.plan import Plan


_SHOWN_OUTPUT = 2_000
KEPT_OUTPUT = 256 << 10
"""How much of the end of what workers printed is kept, in bytes."""
OUTPUT_KEPT_IN = "TRADING_RUNTIME_OUTPUT_KEPT_IN"
"""Names a file that gets the end of what each worker printed, when the worker ends."""
_PACKAGE_PARENT = Path(__file__).resolve().parent.parent.parent.parent
_KEPT_OF_PYTHON = frozenset({
    "PYTHONDONTWRITEBYTECODE", "PYTHONHOME", "PYTHONNOUSERSITE", "PYTHONPYCACHEPREFIX",
    "PYTHONUSERBASE",
})  # fmt: skip
"""The interpreter's settings for locations; others (optimise, UTF-8 mode, warnings as errors) could
change what a strategy does."""

_ALLOWED = frozenset({"PATH", "LD_LIBRARY_PATH", "LD_PRELOAD", "DYLD_LIBRARY_PATH", "TMPDIR"})
"""Variables that say where programs, libraries and temporary files are."""
PASSED_VARIABLES = "TRADING_RUNTIME_PASS"
_FITS_PIPE = 1 << 15
_START_SECONDS = 180.0
IMPORT_SECONDS = 30.0
"""How long a strategy's modules may take to be imported."""
_END_SECONDS = 5.0
_CLOSED = 1
_LEAST_ADDRESS_SPACE = 2 << 30

FIXED_ENVIRONMENT = {
    "PYTHONHASHSEED": "0",
    "TZ": "UTC",
    "LANG": "C.UTF-8",
    "LC_ALL": "C.UTF-8",
    "PYTHONUNBUFFERED": "1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "POLARS_MAX_THREADS": "1",
    # A single heap that returns memory: Arrow's own, beside the engine's, keeps what it once had.
    # Arrow's is then unused and needs no clean-up thread.
    "ARROW_DEFAULT_MEMORY_POOL": "system",
    "JE_ARROW_MALLOC_CONF": "background_thread:false",
    "MALLOC_ARENA_MAX": "2",
}
"""What is the same for every worker: what could change a result, or cost time or memory."""


class StartedProcess:
    """A worker process that has started but has no job yet: it imports what any task needs."""

    def __init__(self, number: int, scratch: Path) -> None:
        refuse_little_address_space()
        hide_from_children()
        self.folder = scratch / f"worker-{number}-{time.monotonic_ns()}"
        self.folder.mkdir()
        self.output = self.folder.with_suffix(".log").open("w+b")
        self.answers, sender = os.pipe()
        os.set_blocking(self.answers, False)
        self.process = subprocess.Popen(
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
            # Of its own, so that all in it can be ended; in the session of the run.
            process_group=0,
        )
        os.close(sender)
        self._said = b""
        self.is_ready = self._has_closed = False
        self.tasks_ended = 0
        """How many tasks it has run, over all jobs."""
        self._common: Mapping[str, Any] | None = None
        """What the tasks share whose code it has imported."""

    def imports_for(self, plan: Plan) -> bool:
        """Note that it imports a plan's code; return false when it has imported that of others."""
        self._common = self._common or plan.common.content
        return self._common == plan.common.content

    def send(self, request: WorkerRequest) -> None:
        """Send the process a request."""
        content = request.to_line()
        if len(content) <= _FITS_PIPE:
            self._write(content)
        else:
            # One that does not read must not make this process wait.
            threading.Thread(target=self._write, args=(content,), daemon=True).start()

    def _write(self, content: bytes) -> None:
        # A dead process takes no message; reading its answers shows that it died.
        if self.process.stdin is not None:
            with contextlib.suppress(OSError, ValueError):
                self.process.stdin.write(content)
                self.process.stdin.flush()

    def wait_for_answer(self, seconds: float) -> dict[str, Any] | None:
        """Return the next line from the process; ``None`` when it died without an answer.

        Raises ``TimeoutError`` when there is none after ``seconds``, and ``ValueError`` or
        ``TypeError`` for a line that no worker writes.
        """
        ends = time.monotonic() + seconds
        while b"\n" not in self._said:
            left = ends - time.monotonic()
            if left <= 0 or not select.select([self.answers], [], [], left)[0]:
                raise TimeoutError
            chunk = os.read(self.answers, 1 << 16)
            if not chunk:
                return None
            self._said += chunk
            if len(self._said) > MOST_LINE:
                raise ValueError("an answer without an end")
        line, _, self._said = self._said.partition(b"\n")
        answer = json.loads(line)
        if not isinstance(answer, dict):
            raise TypeError("an answer that is no object")
        return answer

    def wait_until_ready(self) -> None:
        """Return once it has imported the engine, or has died.

        Raises ``CrashError`` when that takes too long.
        """
        if self.is_ready:
            return
        try:
            self.wait_for_answer(_START_SECONDS)
        except TimeoutError:
            raise CrashError(
                f"a worker process has not started within {_START_SECONDS:.0f} s: the machine is "
                "overloaded, or its limits (ulimit -a) are too low"
            ) from None
        self.is_ready = True

    def wait(self) -> int:
        """Return the exit code of a process that has closed its answers, which ends it."""
        if self._has_closed:
            return _CLOSED
        try:
            return self.process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            # The strategy closed them.
            self._has_closed = True
            self.kill()
            return _CLOSED

    def kill(self) -> None:
        """Kill the process and everything that it started."""
        kill_with_group(self.process)

    def unread(self) -> bytes:
        """Return its output that has not been read yet."""
        said, self._said = self._said, b""
        return said

    def last_output(self, most: int = _SHOWN_OUTPUT) -> str:
        """Return the end of what the strategy and Python printed, in bytes at most ``most``."""
        size = self.output.seek(0, os.SEEK_END)
        self.output.seek(max(0, size - most))
        output = self.output.read().decode(errors="replace")
        # The first word may be the end of a secret, which no filter would recognise.
        return output if size <= most else output.lstrip().partition(" ")[2]

    def _keep_output(self) -> None:
        if name := os.environ.get(OUTPUT_KEPT_IN):
            path, output = Path(name), self.last_output(KEPT_OUTPUT).encode()
            with contextlib.suppress(OSError):
                # A pod has little room, and only the end is read.
                path.write_bytes((read_bytes(path) + output)[-2 * KEPT_OUTPUT :])

    def end(self) -> None:
        """End the process, and what it started."""
        self.kill()
        if self.process.stdin is not None:
            with contextlib.suppress(OSError):
                self.process.stdin.close()
        os.close(self.answers)
        self._keep_output()
        self.output.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def kill_with_group(process: subprocess.Popen[bytes]) -> None:
    """Kill a process that has a group of its own, and everything that it started."""
    if process.poll() is None:
        end_descendants(process.pid)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.wait()


def worker_environment() -> dict[str, str]:
    """Return the environment of workers: what is allowed, and what can change a result fixed.

    Nothing else reaches a strategy, above all no credentials. ``TRADING_RUNTIME_PASS`` names more
    variables, separated by commas.
    """
    passed = {name.strip() for name in os.environ.get(PASSED_VARIABLES, "").split(",")}
    allowed = _ALLOWED | _KEPT_OF_PYTHON | passed
    kept = {name: value for name, value in os.environ.items() if name in allowed}
    # Workers run in another folder, where a relative path would lead elsewhere.
    named = [Path(path).absolute() for path in os.environ.get("PYTHONPATH", "").split(os.pathsep)
             if path]  # fmt: skip
    paths = os.pathsep.join(str(path) for path in (_PACKAGE_PARENT, *named))
    return kept | FIXED_ENVIRONMENT | MARK | {"PYTHONPATH": paths}


def refuse_little_address_space() -> None:
    """Raise ``UsageError`` when a worker could not even import the engine."""
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    if soft not in {resource.RLIM_INFINITY, -1} and soft < _LEAST_ADDRESS_SPACE:
        raise UsageError(
            f"the address space of a process is limited to {soft >> 20:,} MiB here, and a worker "
            f"takes about {_LEAST_ADDRESS_SPACE >> 20:,} MiB of it; raise the limit (ulimit -v)"
        )


KILL_SWITCH_SIGNAL = signal.SIGUSR1
"""Tells a worker that the kill switch is on."""
TASK_MEMORY = "limits.task_memory"
"""The experiment setting for the memory limit of a task."""


@dataclass(frozen=True)
class Job:
    """Where the workers of a run find what they need; none of it can change a result."""

    plan: Plan
    plan_file: Path
    """The plan as workers read it, with the footers that data files have now."""
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


_SENT_TO_A_THREAD = "is unsendable, but sent to another thread"
"""What the engine says before it aborts, since its objects are for the thread that made them."""


class Death(NamedTuple):
    """How a worker died."""

    message: str
    kind: Kind = Kind.CRASH
    out_of_memory: bool = False
    by_others: bool = False
    """Whether a signal from outside the run ended it, which is not the strategy's fault."""


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(number)


class WorkerProcess:
    """One worker process and what it is known to be doing."""

    def __init__(
        self,
        number: int,
        job: Job,
        supply: Supply,
        scratch: Path,
        started: StartedProcess | None = None,
    ) -> None:
        self.number = number
        self.pending: list[int] = []
        """Tasks of its batch that have not ended."""
        self.current: int | None = None
        self.since = 0.0
        self.garbled: str | None = None
        """What it wrote that no worker writes."""
        self.waits_for: int | None = None
        """The partition whose data it waits for."""
        self.refused: Kind | None = None
        """Why data that its task asked for could not be fetched."""
        self.fetched_bytes = 0
        """What was fetched since its last task ended."""
        self._kills_before = system_kills()
        self._started = started = started or StartedProcess(number, scratch)
        started.imports_for(job.plan)
        self._buffer = started.unread()
        self._output = started.output
        self.answers, self._process = started.answers, started.process
        started.send(
            JobRequest(
                plan=str(job.plan_file),
                folder=str(job.folder),
                dataset=supply.dataset,
                results=supply.results_of(number),
                fetches=supply.fetches,
                most_growth=job.most_growth,
                search_paths=[str(path) for path in job.search_paths],
                scratch=str(started.folder),
            )
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
        self.since = time.monotonic()
        self._started.send(BatchRequest(tasks))

    def begin(self, task: int) -> None:
        """Note that it started a task."""
        self.current = task
        self.refused = None
        self.since = time.monotonic()

    def finish(self, task: int) -> None:
        """Note that it ended a task."""
        self.pending.remove(task)
        self.current = None
        self.fetched_bytes = 0
        self.since = time.monotonic()
        self._started.tasks_ended += 1

    def deliver(self, kind: Kind, message: str, fetched_bytes: int) -> None:
        """Tell it that the data it waits for is there, or why not."""
        self.waits_for = None
        self.fetched_bytes += fetched_bytes
        self.refused = None if kind is Kind.OK else kind
        self._started.send(FetchReply(kind, message))

    @property
    def tasks_ended(self) -> int:
        """How many tasks the process has run, some of them perhaps for an earlier job."""
        return self._started.tasks_ended

    def released(self) -> StartedProcess | None:
        """Return the process for another job; ``None``, and end it, when it must not have one."""
        if self.pending or self._buffer or self.garbled is not None:
            self.end()
            return None
        return self._started

    @property
    def is_idle(self) -> bool:
        """Whether it has work and has not begun it for far longer than that takes."""
        waits = self.current is None and self.pending
        return bool(waits) and time.monotonic() - self.since > _START_SECONDS

    def is_overdue(self, seconds: int) -> bool:
        """Return whether its task has run for longer than ``seconds``."""
        return self.current is not None and time.monotonic() - self.since > seconds

    def memory(self) -> int:
        """Return its resident bytes while it runs a task; 0 between tasks."""
        return 0 if self.current is None else resident_bytes(self._process.pid)

    def kill(self) -> None:
        """Kill the process; what it sent before can still be read."""
        self._started.kill()

    def messages(self) -> list[Answer] | None:
        """Return the worker's answers since the last call; ``None`` when it is gone.

        Those before something that is no answer are returned, and ``garbled`` is set.
        """
        try:
            chunk = os.read(self.answers, 1 << 16)
        except BlockingIOError:
            return None
        if not chunk or self.garbled is not None:
            return None
        *lines, self._buffer = (self._buffer + chunk).split(b"\n")
        found: list[Answer] = []
        if len(self._buffer) > MOST_LINE:
            self.garbled = "a line without an end"
        try:
            found.extend(map(read_answer, lines))
        except GarbledError as error:
            self.garbled = str(error)
        return found

    @property
    def needs_recycling(self) -> bool:
        """Whether it exited because it had grown too much, which it signals by a clean exit."""
        return self._started.wait() == 0 and self.current is None and self.tasks_ended > 0

    def cause_of_death(self) -> Death:
        """Return how a worker died and its last words, and whether memory ran out."""
        code = self._started.wait()
        output = self.last_output().strip()
        if code == -signal.SIGABRT and _SENT_TO_A_THREAD in output:
            return Death(
                "a thread of the strategy called the engine, which only callbacks may do; let "
                "threads compute, and send orders from a callback or from a timer of the clock",
                Kind.STRATEGY,
            )
        out_of_memory = code == -signal.SIGABRT and reports_out_of_memory(output)
        by_others = False
        cause = f"it left with exit code {code}"
        if code < 0:
            cause = f"it was ended by signal {_signal_name(-code)}"
        if code == -signal.SIGKILL:
            # This process did not send it.
            kills = system_kills()
            out_of_memory = kills is None or kills != self._kills_before
            by_others = not out_of_memory
            cause += " from " + ("the system" if out_of_memory else "someone outside this run")
        words = f"; it last said: {output.splitlines()[-1]}" if output else ""
        if out_of_memory:
            return Death(
                f"out of memory: the task's process died: {cause}{words}; give it more memory, or "
                "use fewer workers",
                out_of_memory=True,
            )
        return Death(f"the task's process died: {cause}{words}", by_others=by_others)

    def last_output(self) -> str:
        """Return the end of what the strategy and Python printed."""
        return self._started.last_output()

    def send_kill_signal(self) -> None:
        """Tell the process that the kill switch is on: its strategy sends no more orders."""
        self._process.send_signal(KILL_SWITCH_SIGNAL)

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def end(self) -> None:
        """End the process."""
        self._started.end()
