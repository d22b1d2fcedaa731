"""The plan of a session whose data arrives: one task, whose rows are known at its end."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from trading_runtime.canonical import digest
from trading_runtime.planning.identity import (
    encode_values,
    partition_digest,
    partition_inputs,
    task_id,
)
from trading_runtime.planning.plan import planned_strategy, shared_inputs
from trading_runtime.records.plan import (
    Plan,
    PlannedObjective,
    PlannedPartition,
    PlannedTasks,
    Point,
    ReturnDays,
    Task,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from trading_runtime.config.experiment import Experiment
    from trading_runtime.config.strategy_code import StrategyCode
    from trading_runtime.records.instruments import InstrumentDefinition


class ArrivingWindow(NamedTuple):
    """What a session saw, or is going to see; instants are nanoseconds since the epoch."""

    start: int
    end: int
    rows: int = 0
    days: int = 0
    """UTC days that count as returns."""


def arriving_plan(  # noqa: PLR0913, PLR0917 - what a plan is made from
    experiment: Experiment,
    code: StrategyCode,
    instruments: Sequence[InstrumentDefinition],
    window: ArrivingWindow,
    session: Mapping[str, str],
    dataset_digest: str,
) -> Plan:
    """Return the plan; ``instruments`` are definitions, or only ids while the venue is not asked.

    Raises ``UsageError`` as ``make_plan`` does.
    """
    definitions = {item.id: item for item in instruments}
    common = shared_inputs(experiment, code, definitions, session)
    partition = PlannedPartition(
        index=0,
        start=window.start,
        end=window.end,
        warmup_start=window.start,
        instruments=tuple(definitions),
        rows_min=0,
        rows_max=window.rows,
        bytes=0,
        warmup_short=False,
        data=(),
    )
    fixed = encode_values(experiment.strategy.config)
    identity = task_id(
        digest(common.content), fixed, partition_digest(partition_inputs(partition, definitions))
    )
    return Plan(
        experiment_name=experiment.name,
        objective=PlannedObjective(experiment.objective.metric, experiment.objective.direction),
        dataset_digest=dataset_digest,
        common=common,
        strategy=planned_strategy(experiment, code, fixed),
        task_seconds=experiment.limits.task_seconds,
        task_memory=None,
        instruments=definitions,
        warnings=(),
        partitions=(partition,),
        days=ReturnDays(window.days, window.days),
        empty_windows=(),
        points=(Point(0, {}, {}),),
        tasks=PlannedTasks([Task(identity, 0, 0, cached=False, seconds=None)]),
        batches=((0, 1),),
    )
