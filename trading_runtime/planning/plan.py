"""The plan: every task of an experiment with its id, in batches, before anything starts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from trading_runtime.canonical import digest
from trading_runtime.collector import collector_paused
from trading_runtime.config.sizes import parse_size
from trading_runtime.errors import UsageError
from trading_runtime.planning.days import planned_days
from trading_runtime.planning.identity import (
    common_inputs,
    encode_values,
    partition_digests,
    shown_values,
    task_id_of_digests,
)
from trading_runtime.planning.partitions import choose_series, partitions
from trading_runtime.planning.piece_table import TablePieces
from trading_runtime.planning.points import expand_points
from trading_runtime.planning.run_warnings import embargo_warnings, find_warnings
from trading_runtime.planning.unsupported import main_venue, refuse_unsupported
from trading_runtime.records.plan import (
    Plan,
    PlannedObjective,
    PlannedPartition,
    PlannedStrategy,
    PlannedTasks,
    Point,
)
from trading_runtime.records.planned_data import PlannedSeries

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from typing import Any

    from trading_runtime.config.experiment import Experiment
    from trading_runtime.config.strategy_code import StrategyCode
    from trading_runtime.datasets.manifest import Manifest
    from trading_runtime.planning.partitions import Partition
    from trading_runtime.planning.piece_table import Piece
    from trading_runtime.planning.points import PointList
    from trading_runtime.records.inputs import CommonInputs


_MOST_TASKS_OF_A_BATCH = 256
_BATCHES_PER_WORKER = 4

type Window = tuple[int, int]
"""Start and end of a partition, in nanoseconds since the epoch."""
IsCached = Callable[[str], bool]
"""Whether the store has the result of the task with this id."""


@dataclass(frozen=True)
class Rate:
    """How long earlier tasks took on this machine, to estimate the next ones."""

    seconds_per_task: float
    rows_per_second: float


@collector_paused()
def make_plan(  # noqa: PLR0913 - what a plan is made from
    experiment: Experiment,
    manifest: Manifest,
    code: StrategyCode,
    *,
    is_cached: IsCached,
    workers: int,
    rate: Rate | None = None,
    points: PointList | None = None,
    windows: Callable[[Sequence[Window]], Collection[Window]] | None = None,
    session: Mapping[str, str] | None = None,
) -> Plan:
    """Expand ``experiment`` over the dataset of ``manifest`` into a plan.

    ``points`` are those of the plan when a search has asked for them. ``windows`` is given all
    windows in order of time, and returns those to plan. ``session`` names the session that the plan
    is for, so that its results are not mistaken for a backtest's.

    Raises ``UsageError`` when the experiment asks for what the dataset does not have, for more than
    one venue, or has no single currency to state results in; ``SettingsError`` for settings that
    the data cannot support.
    """
    chosen = choose_series(manifest, experiment.dataset, experiment.partitions)
    cut = partitions(chosen, experiment.partitions)
    if code.is_builtin and (experiment.partitions.warmup or experiment.at_end == "close"):
        what = "partitions.warmup" if experiment.partitions.warmup else "at_end: close"
        raise UsageError(
            f"{what}: cannot be enforced on {experiment.strategy.path}, which runs inside the "
            "engine; leave it out, or use a strategy written in Python"
        )
    definitions = {item.id: item for item in manifest.instruments}
    groups = {item.instruments for item in cut.partitions}
    traded = (instrument for names in groups for instrument in names)
    common = shared_inputs(experiment, code, traded, session)
    points = points or expand_points(experiment)
    refuse_unsupported(experiment, manifest, chosen)
    is_charged = any(venue.swap is not None for venue in common.all_venues.values())
    kept = cut.partitions if windows is None else _on(windows, cut.partitions)
    planned = tuple(
        _planned(number, item, is_charged=is_charged) for number, item in enumerate(kept)
    )
    common_digest = digest(common.content)
    fixed = encode_values(experiment.strategy.config)
    configs = [digest(fixed | encode_values(point)) for point in points.points]
    tasks = PlannedTasks()
    digests = partition_digests(planned, definitions)
    for partition, of_partition in zip(planned, digests, strict=True):
        seconds = None if rate is None else _seconds(partition.rows_max, rate)
        for number, config in enumerate(configs):
            identity = task_id_of_digests(common_digest, config, of_partition)
            cached = is_cached(identity)
            tasks.add(identity, partition.index, number, cached=cached, seconds=seconds)
    return Plan(
        experiment_name=experiment.name,
        objective=PlannedObjective(experiment.objective.metric, experiment.objective.direction),
        further_objectives=tuple(
            PlannedObjective(each.metric, each.direction) for each in experiment.further_objectives
        ),
        dataset_digest=manifest.digest,
        common=common,
        strategy=planned_strategy(experiment, code, fixed),
        task_seconds=experiment.limits.task_seconds,
        task_memory=_bytes(experiment.limits.task_memory),
        instruments=definitions,
        warnings=(
            *find_warnings(experiment, manifest, chosen, points),
            *embargo_warnings(experiment, _windows(cut.partitions)),
        ),
        partitions=planned,
        days=planned_days(kept, every_day=experiment.statistics.calendar == "every_day"),
        empty_windows=cut.empty,
        points=tuple(
            Point(number, shown_values(point), encode_values(point))
            for number, point in enumerate(points.points)
        ),
        tasks=tasks,
        batches=batches([task.cached for task in tasks], workers),
    )


def batches(cached: Sequence[bool], workers: int) -> tuple[tuple[int, int], ...]:
    """Return ``(first, last + 1)`` of each batch of consecutive tasks.

    ``cached`` says for each task whether its result is stored. Batches are large enough that the
    data of a partition is not cut again for every few tasks. Those of several workers are smaller
    at the end, so that all finish at about the same time.
    """
    pending = len(cached) - sum(cached)
    most = -(-pending // (workers * _BATCHES_PER_WORKER)) if pending else len(cached)
    most = max(1, min(most, _MOST_TASKS_OF_A_BATCH))

    def size_of_next(left: int) -> int:
        return most if workers == 1 else max(1, min(most, -(-left // (2 * workers))))

    result: list[tuple[int, int]] = []
    first = count = 0
    size = size_of_next(pending) if pending else most
    for index, is_stored in enumerate(cached):
        count += not is_stored
        if count == size or index == len(cached) - 1:
            result.append((first, index + 1))
            pending -= count
            first, count, size = index + 1, 0, size_of_next(pending)
    return tuple(result)


def _on(
    windows: Callable[[Sequence[Window]], Collection[Window]], cut: Sequence[Partition]
) -> list[Partition]:
    kept = windows(_windows(cut))
    return [item for item in cut if (item.start, item.end) in kept]


def _windows(cut: Sequence[Partition]) -> list[Window]:
    """Return start and end of each window, in order of time."""
    return sorted({(item.start, item.end) for item in cut})


def with_tasks(plan: Plan, is_wanted: Callable[[int, Window], bool], workers: int) -> Plan:
    """Return the plan with some of its tasks alone, and the partitions that these are on.

    ``is_wanted`` is given the index of a task's point, and its window.
    """
    windows = [(item.start, item.end) for item in plan.partitions]
    wanted = [task for task in plan.tasks if is_wanted(task.point, windows[task.partition])]
    used = {task.partition for task in wanted}
    kept = [item for item in plan.partitions if item.index in used]
    place = {item.index: number for number, item in enumerate(kept)}
    tasks = [task._replace(partition=place[task.partition]) for task in wanted]
    return replace(
        plan,
        partitions=tuple(replace(item, index=place[item.index]) for item in kept),
        days=None,
        tasks=PlannedTasks(tasks),
        batches=batches([task.cached for task in tasks], workers),
    )


def shared_inputs(
    experiment: Experiment,
    code: StrategyCode,
    traded: Iterable[str],
    session: Mapping[str, str] | None,
) -> CommonInputs:
    """Return the inputs that all tasks of a plan share; ``traded`` are ids of its instruments.

    Raises ``UsageError`` as ``make_plan`` does.
    """
    venue_name = main_venue(experiment, traded)
    currency = _statistics_currency(experiment)
    return common_inputs(experiment, code, venue_name, currency, session)


def planned_strategy(
    experiment: Experiment, code: StrategyCode, config: Mapping[str, Any]
) -> PlannedStrategy:
    """Return the strategy as a plan states it, with its encoded ``config``."""
    settings = experiment.strategy
    return PlannedStrategy(settings.path, tuple(settings.code), config, dict(code.sha256))


def _statistics_currency(experiment: Experiment) -> str:
    """Return the one currency that results are stated in.

    Raises ``UsageError`` when the account holds several and none is named.
    """
    named = experiment.statistics.currency
    if named is None and not experiment.venues:
        named = experiment.venue.base_currency
    held = sorted(
        {currency for _, venue in experiment.venue_sections() for currency in venue.currencies}
    )
    if named is None and len(held) > 1:
        raise UsageError(
            f"statistics.currency: missing, and venue.balances hold {', '.join(held)}; name one"
        )
    return named or held[0]


def _bytes(size: int | str | None) -> int | None:
    return None if size is None else parse_size(size)


def _seconds(rows: int, rate: Rate) -> float:
    return round(max(rate.seconds_per_task * 0.1, rows / rate.rows_per_second), 4)


def _planned(number: int, partition: Partition, *, is_charged: bool) -> PlannedPartition:
    """Return a partition as a plan states it: its row groups by series, and the files of these.

    Where the data ends is left out if nothing is charged for holding a position: no result depends
    on it then, and a task stays the same when later data is appended.
    """
    return PlannedPartition(
        index=number,
        start=partition.start,
        end=partition.end,
        warmup_start=partition.warmup_start,
        instruments=partition.instruments,
        rows_min=partition.rows_min,
        rows_max=partition.rows_max,
        bytes=partition.bytes,
        warmup_short=partition.warmup_short,
        data=_data(partition.row_groups),
        data_end=partition.data_end if is_charged else None,
    )


def _data(pieces: Sequence[Piece]) -> Sequence[PlannedSeries]:
    if isinstance(pieces, TablePieces):
        return pieces.data
    series: dict[tuple[str, str], list[tuple[Any, ...]]] = {}
    for file, group in pieces:
        series.setdefault((file.type, file.identifier), []).append(
            (
                *(file.type, file.identifier, file.instrument_id, file.path, file.footer_offset),
                *(group.index, group.offset, group.bytes),
                *(file.schema_sha256, file.footer_sha256, group.sha256),
            )
        )
    return tuple(map(PlannedSeries.of, series.values()))
