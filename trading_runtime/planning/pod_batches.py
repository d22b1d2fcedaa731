"""Batches for pods: how many tasks a pod computes, by how long they are thought to take.

Every step of a pod imports this, so it imports nothing that takes time.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trading_runtime.records.plan import Plan, Task

BATCH_SECONDS = 420.0
"""How long a pod works by default: long compared with its start, short enough to lose."""
MOST_BATCHES = 1_000
"""Argo names nodes by 32-bit hashes, and silently skips one whose name's hash is taken: at some
thousand nodes a workflow that begins to happen."""
_ASSUMED_ROWS_PER_SECOND = 20_000.0
_ASSUMED_SECONDS = 0.5
_FEWEST_UNMEASURED = 4


def pod_batches(
    plan: Plan,
    indices: Sequence[int],
    seconds: float = BATCH_SECONDS,
    most: int = MOST_BATCHES,
) -> list[list[int]]:
    """Return the tasks of each batch: ``indices`` of the plan's tasks, in their order.

    A batch takes about ``seconds`` as the plan estimates its tasks, more when there would be more
    than ``most`` batches. For tasks without measurements, a slow machine is assumed, and they are
    spread over at least a few batches.
    """
    weights = [_task_seconds(plan, plan.tasks[index]) for index in indices]
    total = math.fsum(weights)
    count = math.ceil(total / seconds)
    if any(plan.tasks[index].seconds is None for index in indices):
        count = max(count, _FEWEST_UNMEASURED)
    count = max(1, min(count, most, len(indices)))
    found: list[list[int]] = [[] for _ in range(count)]
    before = 0.0
    for index, weight in zip(indices, weights, strict=True):
        # The middle of the task, as a share of all of them.
        place = int((before + weight / 2) / total * count)
        found[min(place, count - 1)].append(index)
        before += weight
    return [batch for batch in found if batch]


def _task_seconds(plan: Plan, task: Task) -> float:
    if task.seconds is not None:
        return max(float(task.seconds), 1e-6)
    rows = plan.partitions[task.partition].rows_max
    return _ASSUMED_SECONDS + float(rows) / _ASSUMED_ROWS_PER_SECOND
