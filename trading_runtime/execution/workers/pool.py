"""A pool of worker processes: each runs batches, and a task that kills one harms no other.

Workers run the code of a strategy, so nothing that they say is believed unseen. What may be no
fault of a task is tried again in a fresh process: a worker that was killed from outside, and an
error of ours or of a disk in a process in which a strategy may have changed anything. So is a
worker's death, or nonsense that it answers, once other tasks have run in it.
"""

from __future__ import annotations

import selectors
import time
from collections import Counter, deque
from pathlib import Path
from typing import TYPE_CHECKING, Self

from trading_runtime.errors import CrashError, Kind
from trading_runtime.execution.executor import TaskBegun, TaskEnded, TaskEvent
from trading_runtime.execution.workers.answers import Ended, GarbledError, Needs, Started
from trading_runtime.execution.workers.descendants import adopt_orphans, end_adopted
from trading_runtime.execution.workers.memory import format_size
from trading_runtime.execution.workers.processes import WorkerProcess
from trading_runtime.execution.workers.supply import NO_RESULT, Supply
from trading_runtime.redaction import of_others
from trading_runtime.storage.scratch import Scratch
from trading_runtime.text import MOST_MESSAGE, MOST_TRACEBACK

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from trading_runtime.execution.workers.answers import Answer
    from trading_runtime.execution.workers.prestarted import PrestartedWorker
    from trading_runtime.execution.workers.processes import Job

_TICK_SECONDS = 0.25
_MEMORY_TICK_SECONDS = 0.05
"""A task that allocates as fast as it can takes a few hundred MB in this time."""
_MOST_IDLE_DEATHS = 3
_MOST_KILLS_BY_OTHERS = 3
"""How often a task is tried again after its worker was killed from outside."""
_KILL_SECONDS = 0.5
_DOUBTFUL = frozenset({Kind.INTERNAL, Kind.STORAGE, Kind.DATA})
"""What a task may report because a strategy changed its process, or removed its files."""
_PROBE_BYTES = 1 << 16


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
        self._supply = Supply(job.plan, job.dataset, job.results, self._scratch.path)
        self._selector.register(self._supply.done, selectors.EVENT_READ)
        self._workers: list[WorkerProcess | None] = [None] * workers
        self._storing: dict[int, TaskEnded] = {}
        """Tasks that ended well and whose results are being stored."""
        self._idle_deaths = 0
        self._kills_by_others: Counter[int] = Counter()
        self._doubted: set[int] = set()
        """Tasks that are tried a second time, in a fresh process."""
        self._tick = _TICK_SECONDS if job.task_memory is None else _MEMORY_TICK_SECONDS
        self._killing = self._has_replaced = False

    def __enter__(self) -> Self:
        """Start nothing: workers start with their first batch."""
        adopt_orphans()
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        """End all workers but those that are kept; unfinished tasks leave nothing behind."""
        for worker in self._workers:
            if worker is not None:
                if kind is None and self._prestarted is not None:
                    self._prestarted.give_back(worker)
                else:
                    worker.end()
        self._workers = [None] * len(self._workers)
        self._end_adopted()
        self._supply.close()
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
            if not busy and not self._storing:
                return
            yield from self._wait(self._tick, waiting)
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
            yield from self._wait(_KILL_SECONDS / 10, nothing_waits)
        message = "the kill switch is on, and the task's process was ended; nothing is stored"
        for worker in busy:
            if not worker.is_ended:
                yield from self._end(worker, nothing_waits, Kind.KILLED, message)

    def _assign(self, number: int, waiting: deque[list[int]]) -> None:
        worker = self._workers[number]
        if waiting and (worker is None or not worker.pending):
            if worker is None:
                started = None
                if self._prestarted is not None:
                    started = self._prestarted.take(
                        number, self._job.plan, fresh=self._has_replaced
                    )
                scratch = self._scratch.path
                worker = WorkerProcess(number, self._job, self._supply, scratch, started)
                self._workers[number] = worker
                self._selector.register(worker.answers, selectors.EVENT_READ, worker)
            worker.give(waiting.popleft())

    def _wait(self, seconds: float, waiting: deque[list[int]]) -> Iterator[TaskEvent]:
        """Wait for what workers and the supply say, and yield what that means."""
        for key, _ in self._selector.select(seconds):
            if key.data is None:
                yield from self._take_deliveries()
            elif not key.data.is_ended:
                yield from self._listen(key.data, waiting)

    def _take_deliveries(self) -> Iterator[TaskEvent]:
        for delivery in self._supply.taken():
            if delivery.task is None:
                worker = self._workers[delivery.worker]
                if worker is not None and worker.waits_for == delivery.partition:
                    worker.deliver(delivery.kind, delivery.message, delivery.fetched_bytes)
                continue
            ended = self._storing.pop(delivery.task)
            if delivery.kind is not Kind.OK:
                ended = ended.failed(delivery.kind, delivery.message)
            yield ended

    def _listen(self, worker: WorkerProcess, waiting: deque[list[int]]) -> Iterator[TaskEvent]:
        messages = worker.messages()
        if messages is not None:
            yield from self._events(worker, messages, waiting)
            if worker.garbled is not None and not worker.is_ended:
                yield from self._end(worker, waiting, Kind.CRASH, _garbled(worker.garbled))
        elif worker.needs_recycling:
            self._replace(worker, waiting)
        else:
            death = worker.cause_of_death()
            task = worker.current
            if death.by_others and task is not None and not self._killing:
                self._kills_by_others[task] += 1
                if self._kills_by_others[task] <= _MOST_KILLS_BY_OTHERS:
                    self._replace(worker, waiting)
                    return
            yield from self._fail(
                worker, waiting, death.kind, death.message, out_of_memory=death.out_of_memory
            )

    def _events(
        self, worker: WorkerProcess, messages: Iterable[Answer], waiting: deque[list[int]]
    ) -> Iterator[TaskEvent]:
        for message in messages:
            try:
                _check_turn(worker, message)
                if isinstance(message, Needs):
                    self._supply.fetch(worker.number, message.partition, message.ahead)
                    worker.waits_for = message.partition
            except GarbledError as error:
                worker.garbled = str(error)
                return
            if isinstance(message, Started):
                worker.begin(message.task)
                yield TaskBegun(message.task, worker.number)
            elif isinstance(message, Ended):
                yield from self._task_ended(worker, message, waiting)
                if worker.is_ended:
                    return

    def _task_ended(
        self, worker: WorkerProcess, message: Ended, waiting: deque[list[int]]
    ) -> Iterator[TaskEvent]:
        if self._is_doubtful(worker, message):
            self._try_again(worker, message.task, waiting)
            return
        ended = message.as_event(worker.number, worker.fetched_bytes)
        is_doubted = message.task in self._doubted
        if message.status is Kind.STORAGE and is_doubted and self._can_write(worker):
            why = "the task's process could not write, twice, and this one can"
            ended = ended.failed(Kind.CRASH, f"{why}: {message.message}")
        worker.finish(message.task)
        self._idle_deaths = 0
        if message.status is Kind.OK and self._supply.stores:
            self._storing[message.task] = ended
            self._supply.store(worker.number, message.task)
            return
        if message.status is Kind.OK and not self._supply.is_stored(message.task):
            ended = ended.failed(Kind.CRASH, NO_RESULT)
        yield ended

    def _is_doubtful(self, worker: WorkerProcess, ended: Ended) -> bool:
        """Return whether a failure is tried again before it is believed."""
        return (
            ended.status in _DOUBTFUL
            and worker.refused is None
            and self._has_another_try(ended.task)
        )

    def _may_have_another_cause(self, worker: WorkerProcess, task: int, kind: Kind) -> bool:
        """Return whether an earlier task may be what ended a worker during this one."""
        return kind is Kind.CRASH and worker.tasks_ended > 0 and self._has_another_try(task)

    def _has_another_try(self, task: int) -> bool:
        return task not in self._doubted and not self._killing

    def _try_again(self, worker: WorkerProcess, task: int, waiting: deque[list[int]]) -> None:
        """Leave a task pending, as the first that a fresh process gets."""
        self._doubted.add(task)
        self._replace(worker, waiting)

    def _can_write(self, worker: WorkerProcess) -> bool:
        """Return whether this process can write where a worker says that it could not."""
        places = [self._scratch.path]
        if not self._supply.stores:
            results = Path(self._supply.results_of(worker.number))
            tasks = results / "tasks"
            places.append(tasks if tasks.is_dir() else results)
        try:
            for place in places:
                probe = place / f".probe-{worker.pid}"
                try:
                    probe.write_bytes(bytes(_PROBE_BYTES))
                finally:
                    probe.unlink(missing_ok=True)
        except OSError:
            return False
        return True

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
        elif worker.is_idle:
            yield from self._end(worker, waiting, Kind.CRASH, "a process did not begin its batch")
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
        while not worker.is_ended and (messages := worker.messages()) is not None:
            yield from self._events(worker, messages, waiting)
        if worker.is_ended:
            return
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
        if (
            task is not None
            and self._may_have_another_cause(worker, task, kind)
            and not out_of_memory
        ):
            self._try_again(worker, task, waiting)
            return
        if task is not None:
            worker.pending.remove(task)
        rest = self._replace(worker, waiting)
        message = of_others(message, MOST_MESSAGE)
        if task is not None:
            self._idle_deaths = 0
            seconds = time.monotonic() - worker.since
            yield TaskEnded(
                *(task, worker.number, kind, seconds, 0),
                *(message, of_others(output, MOST_TRACEBACK)),
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
        self._has_replaced = True
        self._end_adopted()
        rest = list(worker.pending)
        if rest:
            waiting.appendleft(rest)
        return rest

    def _end_adopted(self) -> None:
        """End what workers that are gone have left running."""
        living = {each.pid for each in self._workers if each is not None}
        waiting = set() if self._prestarted is None else self._prestarted.pids
        end_adopted(frozenset(living | waiting))


def _check_turn(worker: WorkerProcess, message: Answer) -> None:
    """Raise ``GarbledError`` when a worker says what is not its to say now."""
    if isinstance(message, Started):
        if worker.current is not None or message.task not in worker.pending:
            raise GarbledError("it began a task that is not its own")
    elif isinstance(message, Ended):
        if message.task != worker.current or (worker.waits_for is not None):
            raise GarbledError("it ended a task that it had not begun")
    elif isinstance(message, Needs) and (worker.current is None or worker.waits_for is not None):
        raise GarbledError("it asked for data out of turn")


def _garbled(how: str) -> str:
    return (
        "the task's process answered what no process of ours does, and was ended: the strategy "
        f"writes where it should not, or changes the interpreter ({how})"
    )
