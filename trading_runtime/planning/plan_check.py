"""Whether a stored plan is consistent: its task ids follow from its inputs, without a dataset."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trading_runtime.canonical import digest
from trading_runtime.planning.identity import (
    decode_values,
    partition_digest,
    partition_inputs,
    shown_values,
    task_id_of_digests,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trading_runtime.records.plan import Plan


def plan_contradictions(plan: Plan) -> Iterator[str]:
    """Yield what in a plan does not match its task ids, at most one line of a kind.

    Ids cover engine, packages, code, venue, fees, seed and settings (``common``), the strategy's
    config with each point's parameters, instruments, windows and data.
    """
    for point in plan.points:
        if point.parameters != shown_values(decode_values(point.config)):
            yield f"points[{point.index}].parameters are not those of its config"
            break
    try:
        common = digest(plan.common.content)
        configs = [digest(plan.config(number)) for number in range(len(plan.points))]
        partitions = [
            partition_digest(partition_inputs(item, plan.instruments)) for item in plan.partitions
        ]
    except (KeyError, ValueError, TypeError) as error:
        yield f"its inputs are damaged: {error} is missing or of the wrong form"
        return
    for number, task in enumerate(plan.tasks):
        found = task_id_of_digests(common, configs[task.point], partitions[task.partition])
        if found != task.task_id:
            yield f"tasks[{number}].task_id does not follow from the inputs that the plan states"
            return
