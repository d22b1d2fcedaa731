"""The step ``batch``: one pod computes what is missing of one batch of a plan."""

from __future__ import annotations

import contextlib
import platform
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from trading_runtime.argo.code_archive import unpacked_code
from trading_runtime.argo.outputs import PodProgress
from trading_runtime.argo.planned_run import may_pass, open_planned_run
from trading_runtime.config.strategy_code import StrategyCode, find_strategy_code
from trading_runtime.control.kill_switch import KillSwitch, KillWatch
from trading_runtime.errors import (
    KilledError,
    Kind,
    StoppedError,
    TradingRuntimeError,
    UsageError,
)
from trading_runtime.execution.recording import TaskRecords
from trading_runtime.execution.workers.memory import memory_limit
from trading_runtime.execution.workers.pool import Event, Job, TaskEnded, WorkerPool
from trading_runtime.execution.workers.processes import TASK_MEMORY, WorkerAhead, fork_or_start
from trading_runtime.planning.environment import refuse_other_environment
from trading_runtime.records.events import BatchCompleted, BatchFailed, BatchStarted
from trading_runtime.storage.folders import open_folder
from trading_runtime.storage.s3 import is_s3

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from trading_runtime.argo.planned_run import SharedPlannedRun

OUT_OF_MEMORY_EXIT_CODE = 137
"""What the kernel leaves of a process that took too much: Argo tries again with more."""
FIRST_ROUND = 1
_OWN_MEMORY = 150 << 20
"""What this process takes itself, plan and code included."""
_SHARE_OF_MEMORY = 0.9
"""Of the rest: a task's memory grows between two looks at it."""
_LEAST_MEMORY = 128 << 20


@dataclass(frozen=True)
class BatchOrder:
    """What a pod is told to compute."""

    number: int
    """Of the batch, counted from 0."""
    round_number: int = FIRST_ROUND
    """The first computes the plan's batches, the second those that ``check`` made."""
    workers: int = 1


def run_batch_step(
    results: str,
    run_id: str,
    order: BatchOrder,
    should_stop: Callable[[], bool] = lambda: False,
) -> int:
    """Run one batch of a plan, or of what ``check`` found missing.

    Tasks that are stored, or failed in a way that would repeat itself, are left alone. Returns the
    pod's exit code: 137 when a task ran out of memory, 75 when one was transient, else 0; all other
    failures are facts in the store, which ``summary`` judges.

    Raises ``UsageError`` when there is no such run or batch, or this image cannot compute the
    plan's tasks, ``StoppedError`` when asked to stop, and ``KilledError`` when the kill switch is
    on or is switched on; finished tasks are kept.
    """
    with WorkerAhead(fork_or_start) as ahead:
        run = open_planned_run(results, run_id)
        KillSwitch(run.store).refuse_start(run_id)
        refuse_other_environment(run.plan.common.content)
        batch = _Batch(run, order)
        if batch.pending:
            with _strategy_code(run) as (folder, code):
                batch.compute(folder, code, ahead, should_stop)
        return batch.exit_code


class _Batch:
    """The tasks of one batch: which are to be computed here, and what came of them."""

    def __init__(self, run: SharedPlannedRun, order: BatchOrder) -> None:
        self._run, self._shared, self._order = run, run.shared, order
        tasks = _tasks(run, order)
        self._total = len(tasks)
        self._ids = {index: run.plan.tasks[index].task_id for index in tasks}
        stored = run.store.stored_of(list(self._ids.values()))
        self._failed = self._shared.failures().keys() & set(self._ids.values())
        failures = {task_id: run.failure(task_id) for task_id in self._failed - stored}
        final = {task_id for task_id, content in failures.items() if not may_pass(content)}
        done = stored | final
        self.pending = [index for index, task_id in self._ids.items() if task_id not in done]
        self.exit_code = Kind.OK.exit_code
        self._begun = self._ended = self._killed = 0

    def compute(
        self,
        folder: Path,
        code: StrategyCode,
        ahead: WorkerAhead,
        should_stop: Callable[[], bool],
    ) -> None:
        """Compute the pending tasks in worker processes; raises ``StoppedError`` when stopped."""
        name = f"batch-{self._order.round_number}-{self._order.number}-{_pod_name()}"
        with self._shared.open_journal(name) as journal:
            records = TaskRecords(self._shared.files, journal, self._run.plan.tasks)
            started = time.monotonic()
            journal.write(
                BatchStarted(
                    batch=self._order.number,
                    tasks=len(self.pending),
                    memory_limit_bytes=memory_limit(),
                )
            )
            try:
                self._run_tasks(self._job(folder, code), ahead, records, should_stop)
                ok = len(records.measured)
                journal.write(
                    BatchCompleted(
                        batch=self._order.number,
                        seconds=round(time.monotonic() - started, 6),
                        ok=ok,
                        failed=len(self.pending) - ok,
                    )
                )
            except BaseException as error:
                kind = error.kind if isinstance(error, TradingRuntimeError) else Kind.INTERNAL
                left = len(self.pending) - self._begun
                journal.write(
                    BatchFailed(batch=self._order.number, kind=kind, left=left, message=str(error))
                )
                raise
            finally:
                self._shared.publish_journals(now=True)

    def _job(self, folder: Path, code: StrategyCode) -> Job:
        run = self._run
        memory, memory_by = _memory(run.plan.task_memory, self._order.workers)
        return Job(
            plan=self._shared.files.plan.absolute(),
            folder=folder,
            dataset=run.metadata["dataset"],
            results=run.store.place,
            task_seconds=run.plan.task_seconds,
            task_memory=memory,
            memory_by=memory_by,
            search_paths=code.search_paths,
        )

    def _run_tasks(
        self,
        job: Job,
        ahead: WorkerAhead,
        records: TaskRecords,
        should_stop: Callable[[], bool],
    ) -> None:
        progress = PodProgress(self._total - len(self.pending), self._total)

        killed = KillWatch(self._run.store, self._run.run_id)

        def is_stopped() -> bool:
            return killed() or should_stop() or self._shared.stop_requested()

        def events(pool: WorkerPool) -> Iterator[Event]:
            yield from pool.run(batches)
            if killed.found is not None:
                yield from pool.kill()

        share = -(-len(self.pending) // self._order.workers)
        batches = [self.pending[at : at + share] for at in range(0, len(self.pending), share)]
        with WorkerPool(job, len(batches), is_stopped, ahead) as pool:
            for event in events(pool):
                records.record(event)
                if isinstance(event, TaskEnded):
                    self._note_end(event)
                    progress.task_ended()
                else:
                    self._begun += 1
                self._shared.publish_journals()
        left = len(self.pending) - self._ended
        if killed.found is not None and (left or self._killed):
            raise KilledError(
                f"run {self._run.run_id!r}: this batch has {left + self._killed:,} of "
                f"{self._total:,} tasks left: the kill switch is {killed.found.shown}; finished "
                "tasks are kept"
            )
        if left:
            raise StoppedError(
                f"run {self._run.run_id!r}: this batch has {left:,} of {self._total:,} tasks "
                "left; finished ones are kept"
            )

    def _note_end(self, event: TaskEnded) -> None:
        self._ended += 1
        self._killed += event.status == Kind.KILLED
        task_id = self._ids[event.task]
        failure = self._shared.files.failure(task_id)
        if event.status == Kind.OK:
            if task_id in self._failed:
                self._shared.remove(failure)
            return
        # Before the journal says so: what is told of a failure can be read then.
        self._shared.publish(failure)
        if event.out_of_memory:
            self.exit_code = OUT_OF_MEMORY_EXIT_CODE
        elif event.status == Kind.TRANSIENT and self.exit_code == Kind.OK.exit_code:
            self.exit_code = Kind.TRANSIENT.exit_code


def _tasks(run: SharedPlannedRun, order: BatchOrder) -> list[int]:
    """Return the tasks that a batch was made for."""
    number, round_number = order.number, order.round_number
    batches: Sequence[Sequence[int]]
    if round_number == FIRST_ROUND:
        batches = run.plan.batches
    else:
        batches = (run.shared.read_json(run.shared.files.missing) or {"batches": []})["batches"]
    if not 0 <= number < len(batches):
        raise UsageError(
            f"run {run.run_id!r}: there is no batch {number} in round {round_number}; it has "
            f"{len(batches)}, counted from 0"
        )
    if round_number == FIRST_ROUND:
        tasks = run.plan.tasks
        return [index for index in range(*batches[number]) if not tasks[index].cached]
    return list(batches[number])


@contextlib.contextmanager
def _strategy_code(run: SharedPlannedRun) -> Iterator[tuple[Path, StrategyCode]]:
    """Find the strategy's code in this pod; yields also the folder that its paths start in."""
    strategy, archive = run.plan.strategy, run.metadata.get("code_archive")
    file = run.metadata["experiment_file"]
    with contextlib.ExitStack() as stack:
        if archive:
            folder = stack.enter_context(unpacked_code(open_folder(run.store.place), archive))
        elif is_s3(file):
            # The image holds the code, and an empty folder nothing that could hide it.
            empty = tempfile.TemporaryDirectory(prefix="trading-runtime-")
            folder = Path(stack.enter_context(empty))
        else:
            folder = Path(file).parent
        code = find_strategy_code(strategy.path, folder, strategy.code, run.plan.common.config_path)
        if code.digest != run.plan.common.strategy_code:
            raise UsageError(
                f"{strategy.path}: this pod has other code of the strategy than the plan was "
                "made with; use one image for all pods of a run"
            )
        yield folder, code


def _memory(asked: int | None, workers: int) -> tuple[int, str]:
    """Return the bytes that a task may have, and what says so: the experiment, or the pod.

    The kernel, where the pod's own limit is met, may end this process together with the worker,
    and nobody would be left to say why.
    """
    room = int((memory_limit() - _OWN_MEMORY) * _SHARE_OF_MEMORY / workers)
    room = max(room, _LEAST_MEMORY)
    if asked is not None and asked <= room:
        return asked, TASK_MEMORY
    return room, "what the pod has for it"


def _pod_name() -> str:
    # A run id's characters, whatever the host is called.
    kept = "".join(letter for letter in platform.node().lower() if letter.isalnum())
    return kept[-12:] or "pod"
