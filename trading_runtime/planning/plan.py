"""The plan: every task of an experiment with its id, in batches, before anything is started."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from trading_runtime.canonical import digest
from trading_runtime.config.sizes import parse_size
from trading_runtime.errors import UsageError
from trading_runtime.planning.days import planned_days
from trading_runtime.planning.identity import (
    common_inputs,
    encode_values,
    partition_inputs,
    task_id_of_digests,
)
from trading_runtime.planning.partitions import choose_series, partitions
from trading_runtime.planning.points import expand_points
from trading_runtime.planning.run_warnings import find_warnings
from trading_runtime.planning.unsupported import refuse_unsupported
from trading_runtime.units import format_instant

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from trading_runtime.config.experiment import Experiment
    from trading_runtime.config.strategy_code import StrategyCode
    from trading_runtime.datasets.manifest import Manifest
    from trading_runtime.planning.partitions import Partition, PartitionList


PLAN_FORMAT = 1
_MOST_TASKS_OF_A_BATCH = 256
_BATCHES_PER_WORKER = 4

IsCached = Callable[[str], bool]
"""Whether the store has the result of the task with this id."""


@dataclass(frozen=True)
class Rate:
    """What earlier tasks took on this machine, to estimate the next ones by."""

    seconds_per_task: float
    rows_per_second: float


@dataclass(frozen=True)
class Plan:
    """An immutable list of tasks and batches; ``document`` is the content of ``plan.json``."""

    document: dict[str, Any]

    @property
    def tasks(self) -> list[dict[str, Any]]:
        """The tasks, ordered by partition, then by point."""
        tasks: list[dict[str, Any]] = self.document["tasks"]
        return tasks

    @property
    def digest(self) -> str:
        """The sha256 over the ids of all tasks: equal for plans that ask for the same results."""
        return digest(sorted(task["task_id"] for task in self.tasks))

    @property
    def configs(self) -> list[dict[str, Any]]:
        """The strategy's encoded config of every point."""
        fixed = self.document["strategy"]["config"]
        return [fixed | point["config"] for point in self.document["points"]]

    @property
    def uncached(self) -> list[int]:
        """Indices of the tasks whose results are not stored."""
        return [index for index, task in enumerate(self.tasks) if not task["cached"]]

    @property
    def seconds(self) -> float | None:
        """Estimated computing time of the uncached tasks on one worker; ``None`` when unknown."""
        known = [self.tasks[index]["seconds"] for index in self.uncached]
        return None if any(value is None for value in known) else sum(known)

    def to_json(self) -> str:
        """Return the text of ``plan.json``."""
        return json.dumps(self.document, ensure_ascii=False, separators=(",", ":")) + "\n"


def make_plan(  # noqa: PLR0913 - what a plan is made from
    experiment: Experiment,
    manifest: Manifest,
    code: StrategyCode,
    *,
    is_cached: IsCached,
    workers: int,
    rate: Rate | None = None,
    session: Mapping[str, str] | None = None,
) -> Plan:
    """Expand ``experiment`` over the dataset of ``manifest`` to a plan.

    ``session`` names the session whose plan it is, so that what it did is taken for no backtest.

    Raises ``UsageError`` when the experiment asks for what the dataset does not have, for more than
    one venue, or has no single currency to state results in; ``SettingsError`` for settings that
    the data cannot support.
    """
    cut = partitions(manifest, experiment.dataset, experiment.partitions)
    if code.is_builtin and (experiment.partitions.warmup or experiment.at_end == "close"):
        what = "partitions.warmup" if experiment.partitions.warmup else "at_end: close"
        raise UsageError(
            f"{what}: cannot be enforced on {experiment.strategy.path}, which runs inside the "
            "engine; leave it out, or use a strategy written in Python"
        )
    definitions = {item["id"]: item for item in manifest.instruments}
    common = common_inputs(experiment, code, _venue_name(cut), statistics_currency(experiment))
    if session is not None:
        common["session"] = dict(session)
    points = expand_points(experiment)
    chosen = choose_series(manifest, experiment.dataset)
    refuse_unsupported(experiment, manifest, chosen)
    warnings = find_warnings(experiment, manifest, chosen, points)
    planned = [_partition(item) for item in cut.partitions]
    days = planned_days(cut.partitions, every_day=experiment.statistics.calendar == "every_day")
    common_digest = digest(common)
    fixed = encode_values(experiment.strategy.config)
    configs = [digest(fixed | encode_values(point)) for point in points.points]
    tasks = []
    for partition in planned:
        partition_digest = digest(partition_inputs(partition, definitions))
        seconds = None if rate is None else _seconds(partition["rows_max"], rate)
        for number, config in enumerate(configs):
            identity = task_id_of_digests(common_digest, config, partition_digest)
            tasks.append(
                {
                    "task_id": identity,
                    "partition": partition["index"],
                    "point": number,
                    "cached": is_cached(identity),
                    "seconds": seconds,
                }
            )
    return Plan(
        {
            "format": PLAN_FORMAT,
            "experiment_name": experiment.name,
            "objective": experiment.objective.model_dump(),
            "dataset_digest": manifest.digest,
            "common": common,
            "strategy": {
                "path": experiment.strategy.path,
                "code": experiment.strategy.code,
                "config": fixed,
                "files": dict(code.sha256),
            },
            "task_seconds": experiment.limits.task_seconds,
            "task_memory": _bytes(experiment.limits.task_memory),
            "instruments": definitions,
            "warnings": [item.document() for item in warnings],
            "partitions": [_shown(partition) for partition in planned],
            "days": days._asdict(),
            "empty_windows": [
                {
                    "start": format_instant(window.start),
                    "end": format_instant(window.end),
                    "instruments": list(window.instruments),
                }
                for window in cut.empty
            ],
            "points": [
                {"index": number, "parameters": _plain(point), "config": encode_values(point)}
                for number, point in enumerate(points.points)
            ],
            "tasks": tasks,
            "batches": batches(tasks, workers),
        }
    )


def batches(tasks: Sequence[Mapping[str, Any]], workers: int) -> list[list[int]]:
    """Return ``[first, last + 1]`` of each batch of consecutive tasks.

    Batches are small enough that workers end at about the same time, and large enough that the
    data of a partition is not cut again for every few tasks.
    """
    pending = sum(not task["cached"] for task in tasks)
    size = -(-pending // (workers * _BATCHES_PER_WORKER)) if pending else len(tasks)
    size = max(1, min(size, _MOST_TASKS_OF_A_BATCH))
    result: list[list[int]] = []
    first = count = 0
    for index, task in enumerate(tasks):
        count += not task["cached"]
        if count == size or index == len(tasks) - 1:
            result.append([first, index + 1])
            first, count = index + 1, 0
    return result


def statistics_currency(experiment: Experiment) -> str:
    """Return the one currency that results are stated in.

    Raises ``UsageError`` when the account holds several and none is named.
    """
    named = experiment.statistics.currency or experiment.venue.base_currency
    held = sorted({balance.split()[1] for balance in experiment.venue.balances})
    if named is None and len(held) > 1:
        raise UsageError(
            f"statistics.currency: missing, and venue.balances hold {', '.join(held)}; name one"
        )
    return named or held[0]


def _venue_name(cut: PartitionList) -> str:
    names = {
        instrument.rpartition(".")[2] for item in cut.partitions for instrument in item.instruments
    }
    if len(names) > 1:
        raise UsageError(
            f"dataset.instruments: one venue is simulated, and these are of {len(names)} "
            f"({', '.join(sorted(names))}); name the instruments of one of them"
        )
    return names.pop()


def _bytes(size: int | str | None) -> int | None:
    return None if size is None else parse_size(size)


def _seconds(rows: int, rate: Rate) -> float:
    return round(max(rate.seconds_per_task * 0.1, rows / rate.rows_per_second), 4)


def _partition(partition: Partition) -> dict[str, Any]:
    """Return a partition as workers read it, instants still in nanoseconds."""
    series: dict[tuple[str, str], dict[str, Any]] = {}
    for file, group in partition.row_groups:
        entry = series.setdefault(
            (file.type, file.identifier),
            {
                "type": file.type,
                "identifier": file.identifier,
                "instrument_id": file.instrument_id,
                "schemas": [],
                "files": [],
                "row_groups": [],
            },
        )
        if not entry["files"] or entry["files"][-1]["path"] != file.path:
            entry["files"].append(
                {
                    "path": file.path,
                    "footer_offset": file.footer_offset,
                    "footer_sha256": file.footer_sha256,
                }
            )
        if file.schema_sha256 not in entry["schemas"]:
            entry["schemas"].append(file.schema_sha256)
        entry["row_groups"].append(
            {
                "path": file.path,
                "index": group.index,
                "offset": group.offset,
                "bytes": group.bytes,
                "sha256": group.sha256,
            }
        )
    return {
        "index": partition.index,
        "start": partition.start,
        "end": partition.end,
        "warmup_start": partition.warmup_start,
        "instruments": list(partition.instruments),
        "rows_min": partition.rows_min,
        "rows_max": partition.rows_max,
        "bytes": partition.bytes,
        "warmup_short": partition.warmup_short,
        "data": list(series.values()),
    }


def _shown(partition: dict[str, Any]) -> dict[str, Any]:
    return partition | {
        key: format_instant(partition[key]) for key in ("start", "end", "warmup_start")
    }


def _plain(value: Any) -> Any:
    """Return parameters as people and tables read them: decimals as their digits."""
    if isinstance(value, Decimal):
        return encode_values(value)["$decimal"]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value


BATCH_SECONDS = 420.0
"""How long a pod works by default: long compared with its start, short enough to lose."""
MOST_BATCHES = 1_000
"""Argo names nodes by 32-bit hashes, and silently skips one whose name's hash is taken: at some
thousand nodes a workflow that begins to happen."""
_ASSUMED_ROWS_PER_SECOND = 20_000.0
_ASSUMED_SECONDS = 0.5
_FEWEST_UNMEASURED = 4


def pod_batches(
    plan: Mapping[str, Any],
    indices: Sequence[int],
    seconds: float = BATCH_SECONDS,
    most: int = MOST_BATCHES,
) -> list[list[int]]:
    """Return the tasks of each batch: ``indices`` of the plan's tasks, in their order.

    A batch takes about ``seconds`` as the plan estimates its tasks, more when there would be more
    than ``most`` batches. Of tasks that nothing was measured for, a slow machine is assumed, and
    they are spread over a few batches at least.
    """
    weights = [_task_seconds(plan, plan["tasks"][index]) for index in indices]
    total = math.fsum(weights)
    count = math.ceil(total / seconds)
    if any(plan["tasks"][index]["seconds"] is None for index in indices):
        count = max(count, _FEWEST_UNMEASURED)
    count = max(1, min(count, most, len(indices)))
    found: list[list[int]] = [[] for _ in range(count)]
    before = 0.0
    for index, weight in zip(indices, weights, strict=True):
        # The middle of the task, as a share of the way through all of them.
        place = int((before + weight / 2) / total * count)
        found[min(place, count - 1)].append(index)
        before += weight
    return [batch for batch in found if batch]


def _task_seconds(plan: Mapping[str, Any], task: Mapping[str, Any]) -> float:
    if task["seconds"] is not None:
        return max(float(task["seconds"]), 1e-6)
    rows = plan["partitions"][task["partition"]]["rows_max"]
    return _ASSUMED_SECONDS + float(rows) / _ASSUMED_ROWS_PER_SECOND
