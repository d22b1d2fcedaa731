"""The executor of a laptop: worker processes on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trading_runtime.execution.workers.pool import WorkerPool

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from trading_runtime.control.kill_switch import StopControl
    from trading_runtime.execution.executor import TaskEvent
    from trading_runtime.execution.workers.prestarted import PrestartedWorker
    from trading_runtime.execution.workers.processes import Job


class LocalExecutor:
    """Gives each batch to one of several worker processes."""

    def __init__(self, job: Job, workers: int, prestarted: PrestartedWorker | None = None) -> None:
        self._job = job
        self._workers = workers
        self._prestarted = prestarted

    def run(self, batches: Sequence[Sequence[int]], control: StopControl) -> Iterator[TaskEvent]:
        """Compute the tasks of all batches (see ``execution.executor.Executor``)."""
        if not batches:
            return
        workers = min(self._workers, len(batches))
        with WorkerPool(self._job, workers, control.should_end, self._prestarted) as pool:
            yield from pool.run(batches)
            if control.killed is not None:
                yield from pool.kill()
