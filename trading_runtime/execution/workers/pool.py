"""A pool of worker processes: each runs batches, and a task that kills one harms no other."""

from __future__ import annotations

import selectors
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Self

from trading_runtime.errors import CrashError, Kind
from trading_runtime.execution.executor import TaskBegun, TaskEnded, TaskEvent
from trading_runtime.execution.workers.memory import format_size
from trading_runtime.execution.workers.processes import WorkerProcess
from trading_runtime.redaction import of_others
from trading_runtime.storage.scratch import Scratch
from trading_runtime.text import MOST_MESSAGE, MOST_TRACEBACK

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from trading_runtime.execution.workers.processes import Job, PrestartedWorker

_TICK_SECONDS = 0.25
_MEMORY_TICK_SECONDS = 0.05
"""A task that allocates as fast as it can takes a few hundred MB in this time."""
_MOST_IDLE_DEATHS = 3
_KILL_SECONDS = 0.5


class WorkerPool:
    """Runs batches of tasks in worker processes and yields what happens to each task."""

    def __init__(
        self,
        job: Job,
        workers: int,
        should_stop: Callable[[], bool],
        prestarted: PrestartedWorker | None = None,
    ) -> None:
        self._job = job
        self._prestarted = prestarted
        self._should_stop = should_stop
        self._scratch = Scratch()
        self._selector = selectors.DefaultSelector()
        self._workers: list[WorkerProcess | None] = [None] * workers
        self._idle_deaths = 0
        self._tick = _TICK_SECONDS if job.task_memory is None else _MEMORY_TICK_SECONDS
        self._killing = False

    def __enter__(self) -> Self:
        """Start nothing: workers start with their first batch."""
        return self

    def __exit__(self, *_: object) -> None:
        """End all workers; unfinished tasks leave nothing behind."""
        for worker in self._workers:
            if worker is not None:
                worker.end()
        self._selector.close()
        self._scratch.remove()

    def run(self, batches: Sequence[Sequence[int]]) -> Iterator[TaskEvent]:
        """Run the tasks of all batches; returns early, between events, when asked to stop.

        Raises ``CrashError`` when workers die repeatedly without having begun a task.
        """
        waiting = deque(list(batch) for batch in batches if batch)
        while not self._should_stop():
            for number in range(len(self._workers)):
                self._assign(number, waiting)
            busy = [worker for worker in self._workers if worker is not None and worker.pending]
            if not busy:
                return
            for key, _ in self._selector.select(self._tick):
                yield from self._listen(key.data, waiting)
            for worker in busy:
                if not worker.is_ended:
                    yield from self._hold_to_limits(worker, waiting)

    def kill(self) -> Iterator[TaskEvent]:
        """End all running tasks in the kill switch's way: no order goes out, none stays open.

        A strategy that does not return within ``_KILL_SECONDS`` is ended with its process.
        """
        self._killing = True
        busy = [worker for worker in self._workers if worker is not None and worker.pending]
        for worker in busy:
            worker.send_kill_signal()
        ends = time.monotonic() + _KILL_SECONDS
        nothing_waits: deque[list[int]] = deque()
        while any(not worker.is_ended for worker in busy) and time.monotonic() < ends:
            for key, _ in self._selector.select(_KILL_SECONDS / 10):
                yield from self._listen(key.data, nothing_waits)
        message = "the kill switch is on, and the task's process was ended; nothing is stored"
        for worker in busy:
            if not worker.is_ended:
                yield from self._end(worker, nothing_waits, Kind.KILLED, message)

    def _assign(self, number: int, waiting: deque[list[int]]) -> None:
        worker = self._workers[number]
        if waiting and (worker is None or not worker.pending):
            if worker is None:
                started = None if self._prestarted is None else self._prestarted.take()
                worker = WorkerProcess(number, self._job, self._scratch.path, started)
                self._workers[number] = worker
                self._selector.register(worker.answers, selectors.EVENT_READ, worker)
            worker.give(waiting.popleft())

    def _listen(self, worker: WorkerProcess, waiting: deque[list[int]]) -> Iterator[TaskEvent]:
        messages = worker.messages()
        if messages is not None:
            yield from self._events(worker, messages)
        elif worker.needs_recycling:
            self._replace(worker, waiting)
        else:
            message, out_of_memory = worker.cause_of_death()
            yield from self._fail(worker, waiting, Kind.CRASH, message, out_of_memory=out_of_memory)

    def _events(
        self, worker: WorkerProcess, messages: Iterable[Mapping[str, Any]]
    ) -> Iterator[TaskEvent]:
        for message in messages:
            if message["event"] == "task_started":
                worker.begin(message["task"])
                yield TaskBegun(message["task"], worker.number)
            else:
                worker.finish(message["task"])
                self._idle_deaths = 0
                yield TaskEnded(
                    message["task"],
                    worker.number,
                    message["status"],
                    message["seconds"],
                    message["rows"],
                    of_others(message.get("message", ""), MOST_MESSAGE),
                    of_others(message.get("traceback", ""), MOST_TRACEBACK),
                    message["memory_bytes"],
                    message["fetched_bytes"],
                    message.get("out_of_memory", False),
                    message.get("risk_refusals"),
                )

    def _hold_to_limits(
        self, worker: WorkerProcess, waiting: deque[list[int]]
    ) -> Iterator[TaskEvent]:
        """End a worker whose task takes more time or memory than the experiment allows."""
        seconds, memory = self._job.task_seconds, self._job.task_memory
        if worker.is_overdue(seconds):
            message = (
                f"the task ran longer than limits.task_seconds ({seconds} s) and was ended; raise "
                "the limit, or look for an endless loop in the strategy"
            )
            yield from self._end(worker, waiting, Kind.TIMEOUT, message)
        elif memory is not None and (taken := worker.memory()) > memory:
            message = (
                f"out of memory: the task's process had {format_size(taken)}, more than "
                f"{self._job.memory_by} ({format_size(memory)}), and was ended; raise the limit, "
                "or look for what the strategy keeps"
            )
            yield from self._end(worker, waiting, Kind.CRASH, message, out_of_memory=True)

    def _end(
        self,
        worker: WorkerProcess,
        waiting: deque[list[int]],
        kind: Kind,
        message: str,
        *,
        out_of_memory: bool = False,
    ) -> Iterator[TaskEvent]:
        """End a worker because of its task, which takes the blame unless it has just ended."""
        task = worker.current
        # What earlier tasks left in the process is not this task's fault.
        is_blamed = not (out_of_memory and worker.tasks_ended)
        worker.kill()
        while (messages := worker.messages()) is not None:
            yield from self._events(worker, messages)
        if is_blamed and worker.current == task:
            yield from self._fail(worker, waiting, kind, message, out_of_memory=out_of_memory)
        else:
            self._replace(worker, waiting)

    def _fail(
        self,
        worker: WorkerProcess,
        waiting: deque[list[int]],
        kind: Kind,
        message: str,
        *,
        out_of_memory: bool,
    ) -> Iterator[TaskEvent]:
        """Fail the task that killed the worker; another worker gets the rest of its batch."""
        output, task = worker.last_output(), worker.current
        if task is not None:
            worker.pending.remove(task)
        rest = self._replace(worker, waiting)
        if task is not None:
            self._idle_deaths = 0
            seconds = time.monotonic() - worker.since
            yield TaskEnded(
                *(task, worker.number, kind, seconds, 0),
                of_others(message, MOST_MESSAGE),
                of_others(output, MOST_TRACEBACK),
                out_of_memory=out_of_memory,
            )
        elif rest and not self._killing:
            # No task can be blamed. Once may be bad luck; repeating it forever would be an endless
            # run.
            self._idle_deaths += 1
            if self._idle_deaths == _MOST_IDLE_DEATHS:
                raise CrashError(f"worker processes cannot work: {message}")

    def _replace(self, worker: WorkerProcess, waiting: deque[list[int]]) -> list[int]:
        """End a worker, and return the rest of its batch, which another worker gets next."""
        self._selector.unregister(worker.answers)
        worker.end()
        self._workers[worker.number] = None
        rest = list(worker.pending)
        if rest:
            waiting.appendleft(rest)
        return rest
