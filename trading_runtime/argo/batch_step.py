"""The step ``batch``: one pod computes what is missing of one batch of a plan."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trading_runtime.argo.outputs import PodProgress
from trading_runtime.argo.planned_run import open_planned_run
from trading_runtime.argo.pod_log import pod_name
from trading_runtime.config.code_archive import strategy_folder
from trading_runtime.config.strategy_code import StrategyCode, find_strategy_code
from trading_runtime.control.kill_switch import KillSwitch, StopControl
from trading_runtime.errors import Kind, TransientError, UsageError
from trading_runtime.execution.computation import Computation, Share
from trading_runtime.execution.executors.pods import PodExecutor
from trading_runtime.execution.workers.memory import memory_limit
from trading_runtime.execution.workers.prestarted import PrestartedWorker
from trading_runtime.execution.workers.processes import Job
from trading_runtime.planning.environment import refuse_other_environment
from trading_runtime.records.failures import read_missing
from trading_runtime.runs.heartbeat import Heartbeat

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from trading_runtime.argo.planned_run import SharedPlannedRun

OUT_OF_MEMORY_EXIT_CODE = 137
"""The exit code of a process that the kernel kills for memory: Argo retries with more."""
FIRST_ROUND = 1


@dataclass(frozen=True)
class BatchOrder:
    """What a pod is to compute."""

    number: int
    """The batch, counted from 0."""
    round_number: int = FIRST_ROUND
    """The first round computes the plan's batches, the second those that ``check`` made."""
    workers: int = 1

    @property
    def name(self) -> str:
        """The name of what the pod leaves, without its own."""
        return f"batch-{self.round_number}-{self.number}"


def run_batch_step(
    results: str,
    run_id: str,
    order: BatchOrder,
    should_stop: Callable[[], bool] = lambda: False,
) -> int:
    """Run one batch of a plan, or of what ``check`` found missing.

    Tasks that are stored, or whose failure would repeat, are left alone. Returns the pod's exit
    code: 137 when a task ran out of memory, 75 when one was transient, else 0; all other failures
    are facts in the store, which ``summary`` judges.

    Raises ``UsageError`` when there is no such run or batch, or this image cannot compute the
    plan's tasks, ``StoppedError`` when asked to stop, ``KilledError`` when the kill switch is on or
    is turned on, ``TransientError`` when a result was damaged in the storage, and ``StorageError``
    when nothing can be written; finished tasks are kept.
    """
    with contextlib.ExitStack() as stack:
        # While the plan is read, the engine is imported. In the second round a pod may be the next
        # one of a batch that was done when its pod was lost: it looks first.
        prestarted = None
        if order.round_number == FIRST_ROUND:
            prestarted = stack.enter_context(PrestartedWorker())
        run = open_planned_run(results, run_id)
        KillSwitch(run.store).refuse_start(run_id)
        refuse_other_environment(run.plan.common)
        batch = _Batch(run, order)
        exit_code = Kind.OK.exit_code
        with Heartbeat(run.store.objects, run_id):
            if batch.pending:
                prestarted = prestarted or stack.enter_context(PrestartedWorker())
                with _strategy_code(run) as (folder, code):
                    executor = PodExecutor(_job(run, folder, code), order.workers, prestarted)
                    exit_code = batch.compute(executor, should_stop)
            batch.pack()
        return exit_code


class _Batch:
    """The tasks of one batch: those to be computed here, and their outcomes."""

    def __init__(self, run: SharedPlannedRun, order: BatchOrder) -> None:
        self._run, self._order = run, order
        tasks = _tasks(run, order)
        self._total = len(tasks)
        ids = {index: run.plan.tasks[index].task_id for index in tasks}
        self._ids = list(ids.values())
        stored = run.store.stored_of(self._ids)
        self._failed = run.shared.failures().keys() & set(ids.values())
        final = {task_id for task_id in self._failed - stored if not run.may_pass(task_id)}
        self.pending = [index for index, task_id in ids.items() if task_id not in stored | final]

    def compute(self, executor: PodExecutor, should_stop: Callable[[], bool]) -> int:
        """Compute the pending tasks, and return the pod's exit code."""
        run, order = self._run, self._order
        control = StopControl(run.store, run.run_id, should_stop, run.shared.stop_requested)
        name = f"{order.name}-{pod_name()}"
        with run.shared.open_journal(name) as journal:
            computation = Computation(
                run.shared,
                run.plan.tasks,
                journal,
                control,
                Share(run.run_id, self._total),
                memory_limit_bytes=memory_limit(),
            )
            progress = PodProgress(self._total - len(self.pending), self._total)
            try:
                computation.run(
                    executor, {order.number: self.pending}, progress, failed_before=self._failed
                )
            finally:
                run.shared.publish_when_due(now=True)
        if computation.out_of_memory:
            return OUT_OF_MEMORY_EXIT_CODE
        is_transient = Kind.TRANSIENT in computation.kinds
        return (Kind.TRANSIENT if is_transient else Kind.OK).exit_code

    def pack(self) -> None:
        """Verify every stored result of the batch, and pack what the summary needs of them.

        Raises ``TransientError`` when one is damaged: it is quarantined, and the next attempt at
        the batch computes it again.
        """
        store = self._run.store
        stored = store.stored_of(self._ids)
        damages = store.pack(self._run.plan.digest, [each for each in self._ids if each in stored])
        for task_id in damages:
            store.quarantine(task_id)
        for error in damages.values():
            raise TransientError(
                f"{error}; {len(damages):,} of {len(stored):,} results of this batch were damaged "
                "and quarantined: the next attempt at it computes them again"
            )


def _job(run: SharedPlannedRun, folder: Path, code: StrategyCode) -> Job:
    return Job(
        plan=run.plan,
        plan_file=run.shared.files.plan.absolute(),
        folder=folder,
        dataset=run.metadata.dataset,
        results=run.store.place,
        task_seconds=run.plan.task_seconds,
        task_memory=run.plan.task_memory,
        search_paths=code.search_paths,
    )


def _tasks(run: SharedPlannedRun, order: BatchOrder) -> list[int]:
    """Return the tasks of a batch."""
    number, round_number = order.number, order.round_number
    batches: Sequence[Sequence[int]] = run.plan.batches
    if round_number != FIRST_ROUND:
        run.shared.read(run.shared.files.missing)
        missing = read_missing(run.shared.files.missing)
        batches = () if missing is None else missing.batches
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
    """Find the strategy's code in this pod; also yields the base folder of its paths."""
    strategy, metadata = run.plan.strategy, run.metadata
    with strategy_folder(
        run.store.objects, metadata.code_archive, metadata.experiment_file
    ) as folder:
        code = find_strategy_code(strategy.path, folder, strategy.code, run.plan.common.config_path)
        if code.digest != run.plan.common.strategy_code:
            raise UsageError(
                f"{strategy.path}: this pod has other code of the strategy than the plan was "
                "made with; use one image for all pods of a run"
            )
        yield folder, code
