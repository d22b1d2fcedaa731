"""The executor of a pod: worker processes that share one batch and the pod's memory."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from trading_runtime.execution.executors.local import LocalExecutor
from trading_runtime.execution.workers.memory import memory_limit
from trading_runtime.execution.workers.processes import TASK_MEMORY

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from trading_runtime.control.kill_switch import StopControl
    from trading_runtime.execution.executor import TaskEvent
    from trading_runtime.execution.workers.prestarted import PrestartedWorker
    from trading_runtime.execution.workers.processes import Job

_OWN_MEMORY = 150 << 20
"""Memory of this process itself, including plan and code."""
_SHARE_OF_MEMORY = 0.9
"""Share of the rest: a task's memory grows between two measurements."""
_LEAST_MEMORY = 128 << 20


class PodExecutor:
    """Splits each batch among a pod's worker processes."""

    def __init__(self, job: Job, workers: int, prestarted: PrestartedWorker | None = None) -> None:
        self._workers = workers
        memory, memory_by = _memory(job.task_memory, workers)
        job = replace(job, task_memory=memory, memory_by=memory_by)
        self._processes = LocalExecutor(job, workers, prestarted)

    def run(self, batches: Sequence[Sequence[int]], control: StopControl) -> Iterator[TaskEvent]:
        """Compute the tasks of all batches (see ``execution.executor.Executor``)."""
        shares = [share for batch in batches for share in self._shares(batch)]
        yield from self._processes.run(shares, control)

    def _shares(self, batch: Sequence[int]) -> list[Sequence[int]]:
        size = max(1, -(-len(batch) // self._workers))
        return [batch[at : at + size] for at in range(0, len(batch), size)]


def _memory(asked: int | None, workers: int) -> tuple[int, str]:
    """Return the memory limit of a task, in bytes, and what sets it: the experiment or the pod.

    At the pod's own limit, the kernel may end this process together with the worker, and no process
    would be left to report why.
    """
    room = int((memory_limit() - _OWN_MEMORY) * _SHARE_OF_MEMORY / workers)
    room = max(room, _LEAST_MEMORY)
    if asked is not None and asked <= room:
        return asked, TASK_MEMORY
    return room, "what the pod has for it"
