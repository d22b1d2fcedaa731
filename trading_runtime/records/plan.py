"""The plan of a run, typed: the content of ``plan.json``, read and checked in one place."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from trading_runtime.canonical import digest
from trading_runtime.errors import DataError, UsageError
from trading_runtime.records.forms import check_form, read_as, to_document
from trading_runtime.records.inputs import CommonInputs
from trading_runtime.records.instruments import InstrumentDefinition
from trading_runtime.records.planned_data import DataTables, data_documents
from trading_runtime.records.run_warnings import read_warnings
from trading_runtime.storage.files import MOST_DOCUMENT, read_bytes
from trading_runtime.text import for_records
from trading_runtime.units import format_instant, parse_instant

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from trading_runtime.records.forms import Form
    from trading_runtime.records.planned_data import PlannedSeries
    from trading_runtime.records.run_warnings import RunWarning

PLAN_FORMAT = 1

_TASK_ID = re.compile(r"[0-9a-f]{64}")
_ENDS = 2
"""The first task of a batch, and the one after its last."""
_INSTANTS = ("start", "end", "warmup_start")
_OPTIONAL_NUMBER = (int, float, type(None))
_FORM: Form = {
    "strategy": {"path": str, "code": [str], "config": dict},
    "instruments": dict,
    "experiment_name": str,
    "objective": {"metric": str, "direction": str},
    "dataset_digest": str,
    "points": [{"parameters": dict, "config": dict, "index": int}],
    "partitions": [
        {
            "start": str,
            "end": str,
            "warmup_start": str,
            "instruments": [str],
            "index": int,
            "rows_min": int,
            "rows_max": int,
            "bytes": int,
            "warmup_short": bool,
        }
    ],
    "empty_windows": [{"start": str, "end": str, "instruments": [str]}],
    "task_seconds": int,
    "batches": [[int]],
}
"""The form of everything but the tasks, which may be many, and of ``common``, a record."""


class Task(NamedTuple):
    """One point on one partition."""

    task_id: str
    partition: int
    """Index of the partition in the plan."""
    point: int
    """Index of the point in the plan."""
    cached: bool
    """Whether the result was already stored when the plan was made."""
    seconds: float | None
    """Estimated duration; ``None`` when nothing was measured."""


@dataclass(frozen=True, slots=True)
class Point:
    """One combination of parameters."""

    index: int
    parameters: Mapping[str, Any]
    """The values as shown to people and in tables."""
    config: Mapping[str, Any]
    """The same in the encoded form, see ``planning.identity.encode_values``."""

    def to_document(self) -> dict[str, Any]:
        """Return the point as ``plan.json`` states it."""
        return {"index": self.index, "parameters": self.parameters, "config": self.config}


@dataclass(frozen=True, slots=True)
class PlannedPartition:
    """One window ``[start, end)`` with its data; instants are nanoseconds since the epoch."""

    index: int
    start: int
    end: int
    warmup_start: int
    instruments: tuple[str, ...]
    rows_min: int
    rows_max: int
    bytes: int
    warmup_short: bool
    data: Sequence[PlannedSeries]
    data_end: int | None = None
    """The last row of the dataset's series, where the window is longer and holding is charged."""

    def to_document(self, data: Any) -> dict[str, Any]:
        """Return the partition as ``plan.json`` states it, with ``data`` as it is there."""
        return {
            "index": self.index,
            "start": format_instant(self.start),
            "end": format_instant(self.end),
            "warmup_start": format_instant(self.warmup_start),
            "instruments": list(self.instruments),
            "rows_min": self.rows_min,
            "rows_max": self.rows_max,
            "bytes": self.bytes,
            "warmup_short": self.warmup_short,
            **({} if self.data_end is None else {"data_end": format_instant(self.data_end)}),
            "data": data,
        }


class ReturnDays(NamedTuple):
    """Days that count as returns, over all partitions."""

    least: int
    """Days known to count."""
    most: int
    """Days not known not to count: a row group of several days may have no rows on some of them."""


class EmptyWindow(NamedTuple):
    """A window without rows: listed, not planned. Instants are nanoseconds since the epoch."""

    start: int
    end: int
    instruments: tuple[str, ...]

    def to_document(self) -> dict[str, Any]:
        """Return the window as ``plan.json`` states it."""
        return {
            "start": format_instant(self.start),
            "end": format_instant(self.end),
            "instruments": list(self.instruments),
        }


@dataclass(frozen=True, slots=True)
class PlannedObjective:
    """The metric by which the best point is chosen."""

    metric: str
    direction: str


class PlannedStrategy(NamedTuple):
    """Where the strategy's code is, and the config that all points share."""

    path: str
    code: tuple[str, ...]
    """Further modules and folders of its code."""
    config: Mapping[str, Any]
    """In the encoded form."""
    files: Mapping[str, str] | None
    """The sha256 of each file of the code; ``None`` in a plan of an earlier version."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Every task of an experiment with its id, in batches: the content of ``plan.json``."""

    experiment_name: str
    objective: PlannedObjective
    further_objectives: Sequence[PlannedObjective] = ()
    dataset_digest: str
    common: CommonInputs
    strategy: PlannedStrategy
    task_seconds: int
    """Time limit of a task."""
    task_memory: int | None
    """Memory limit of a task, in bytes; ``None`` without a limit."""
    instruments: Mapping[str, InstrumentDefinition]
    """The dataset's instrument definitions by id."""
    warnings: Sequence[RunWarning]
    partitions: Sequence[PlannedPartition]
    days: ReturnDays | None
    """``None`` in a plan of an earlier version."""
    empty_windows: Sequence[EmptyWindow]
    points: Sequence[Point]
    tasks: Sequence[Task]
    """Ordered by partition, then by point."""
    batches: Sequence[tuple[int, int]]
    """The first task, and the one after the last, of each batch."""

    @property
    def task_ids(self) -> list[str]:
        """The ids of all tasks, in the plan's order."""
        return [task.task_id for task in self.tasks]

    @property
    def digest(self) -> str:
        """The sha256 over the ids of all tasks: equal for plans that ask for the same results."""
        return digest(sorted(self.task_ids))

    @property
    def configs(self) -> list[dict[str, Any]]:
        """The strategy's encoded config for each point."""
        return [self.config(number) for number in range(len(self.points))]

    @property
    def uncached(self) -> list[int]:
        """Indices of the tasks whose results are not stored."""
        return [index for index, task in enumerate(self.tasks) if not task.cached]

    @property
    def seconds(self) -> float | None:
        """Estimated computing time of the uncached tasks on one worker; ``None`` when unknown."""
        known: list[float] = []
        for task in self.tasks:
            if not task.cached:
                if task.seconds is None:
                    return None
                known.append(task.seconds)
        return sum(known)

    @property
    def trial_seconds(self) -> float | None:
        """Estimated computing time of all tasks of one point; ``None`` when unknown."""
        known = [task.seconds for task in self.tasks if task.point == 0]
        return None if None in known else sum(filter(None, known))

    def config(self, point: int) -> dict[str, Any]:
        """Return the strategy's encoded config of a point."""
        return {**self.strategy.config, **self.points[point].config}

    def to_document(self) -> dict[str, Any]:
        """Return the content of ``plan.json``."""
        further = [to_document(each) for each in self.further_objectives]
        data, tables = data_documents([partition.data for partition in self.partitions])
        return {
            "format": PLAN_FORMAT,
            "experiment_name": self.experiment_name,
            "objective": to_document(self.objective),
            **({"further_objectives": further} if further else {}),
            "dataset_digest": self.dataset_digest,
            "common": self.common.content,
            "strategy": self.strategy._asdict(),
            "task_seconds": self.task_seconds,
            "task_memory": self.task_memory,
            "instruments": {name: item.content for name, item in self.instruments.items()},
            "warnings": [item.document() for item in self.warnings],
            "partitions": [
                partition.to_document(of_it)
                for partition, of_it in zip(self.partitions, data, strict=True)
            ],
            **({"tables": tables} if tables else {}),
            "days": self.days and self.days._asdict(),
            "empty_windows": [window.to_document() for window in self.empty_windows],
            "points": [point.to_document() for point in self.points],
            # Written out, since there may be 100,000 of them: ``_asdict`` takes five times as long.
            "tasks": [
                {
                    "task_id": task_id,
                    "partition": partition,
                    "point": point,
                    "cached": cached,
                    "seconds": seconds,
                }
                for task_id, partition, point, cached, seconds in self.tasks
            ],
            "batches": self.batches,
        }

    @property
    def objectives(self) -> list[PlannedObjective]:
        """All objectives; the first names the best point."""
        return [self.objective, *self.further_objectives]

    def to_json(self) -> str:
        """Return the text of ``plan.json``."""
        text = json.dumps(self.to_document(), ensure_ascii=False, separators=(",", ":"))
        return for_records(text) + "\n"


def read_plan(path: Path) -> Plan:
    """Return the plan that a run stored in ``path``, checked as a whole.

    Raises ``UsageError`` when there is none, ``DataError`` when it cannot be read or is not a plan.
    """
    try:
        content = json.loads(read_bytes(path, MOST_DOCUMENT))
    except FileNotFoundError as error:
        raise UsageError(
            f"{path}: there is no plan: the run did not reach its start; run the experiment "
            "again with this run id"
        ) from error
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path}: cannot be read: {error}") from error
    try:
        return plan_from_document(content)
    except ValueError as error:
        raise DataError(f"{path}: damaged: {error}; run the experiment again") from error
    except DataError as error:
        raise DataError(f"{path}: {error}") from error


def plan_from_document(content: Any) -> Plan:
    """Return the plan that ``plan.json`` states.

    Raises ``ValueError`` naming the place that does not have the right form.
    """
    _check(content)
    strategy = content["strategy"]
    return Plan(
        experiment_name=content["experiment_name"],
        objective=read_as(PlannedObjective, content["objective"]),
        further_objectives=tuple(
            read_as(PlannedObjective, each) for each in content.get("further_objectives", ())
        ),
        dataset_digest=content["dataset_digest"],
        common=CommonInputs.from_document(content["common"]),
        strategy=PlannedStrategy(
            strategy["path"],
            tuple(strategy["code"]),
            strategy["config"],
            strategy.get("files"),
        ),
        task_seconds=content["task_seconds"],
        task_memory=content.get("task_memory"),
        instruments={
            name: InstrumentDefinition.from_document(item, f"instruments.{name}")
            for name, item in content["instruments"].items()
        },
        warnings=tuple(read_warnings(content)),
        partitions=_partitions(content),
        days=_days(content.get("days")),
        empty_windows=tuple(
            EmptyWindow(
                parse_instant(item["start"]), parse_instant(item["end"]), tuple(item["instruments"])
            )
            for item in content["empty_windows"]
        ),
        points=tuple(
            Point(item["index"], item["parameters"], item["config"]) for item in content["points"]
        ),
        tasks=tuple(
            Task(
                item["task_id"],
                item["partition"],
                item["point"],
                item["cached"],
                item["seconds"],
            )
            for item in content["tasks"]
        ),
        batches=tuple((first, last) for first, last in content["batches"]),
    )


def is_task_id(text: object) -> bool:
    """Return whether ``text`` is a complete task id."""
    return isinstance(text, str) and _TASK_ID.fullmatch(text) is not None


def _check(content: Any) -> None:
    if not isinstance(content, dict):
        raise ValueError("of the wrong type, no JSON object")  # noqa: TRY004 - a fault of the file, not of the code
    try:
        for part in ("common", "strategy", "instruments"):
            _must(isinstance(content[part], dict), part)
        points, partitions = range(len(content["points"])), range(len(content["partitions"]))
        for number, task in enumerate(content["tasks"]):
            if not (
                is_task_id(task["task_id"])
                and task["point"] in points
                and task["partition"] in partitions
                and isinstance(task["cached"], bool)
                and isinstance(task["seconds"], _OPTIONAL_NUMBER)
            ):
                _refuse_task(task, f"tasks[{number}]", points, partitions)
    except (KeyError, TypeError) as error:
        raise ValueError(f"{error} is missing or of the wrong type") from error
    check_form(content, _FORM)
    files = content["strategy"].get("files")
    _must(files is None or isinstance(files, dict), "strategy.files")
    memory = content.get("task_memory")
    _must(memory is None or isinstance(memory, int), "task_memory")
    for number, partition in enumerate(content["partitions"]):
        if partition.get("data_end") is not None:
            check_form(partition["data_end"], str, f"partitions[{number}].data_end")
    if content.get("days") is not None:
        check_form(content["days"], {"least": int, "most": int}, "days")
    _must(all(len(batch) == _ENDS for batch in content["batches"]), "batches")


def _refuse_task(task: Mapping[str, Any], place: str, points: range, partitions: range) -> None:
    """Raise ``ValueError`` naming the field of a task that has the wrong form."""
    _must(is_task_id(task["task_id"]), f"{place}.task_id")
    _must(task["point"] in points, f"{place}.point")
    _must(task["partition"] in partitions, f"{place}.partition")
    _must(isinstance(task["cached"], bool), f"{place}.cached")
    _must(isinstance(task["seconds"], _OPTIONAL_NUMBER), f"{place}.seconds")


def _must(holds: bool, place: str) -> None:  # noqa: FBT001 - reads as a sentence
    if not holds:
        raise ValueError(f"{place} is of the wrong form")


def _days(item: Mapping[str, int] | None) -> ReturnDays | None:
    return None if item is None else ReturnDays(item["least"], item["most"])


def _partitions(content: Mapping[str, Any]) -> tuple[PlannedPartition, ...]:
    tables = DataTables(content.get("tables", []))
    return tuple(
        _partition(item, tables.data(item.get("data"), f"partitions[{number}].data"))
        for number, item in enumerate(content["partitions"])
    )


def _partition(item: Mapping[str, Any], data: Sequence[PlannedSeries]) -> PlannedPartition:
    start, end, warmup_start = (parse_instant(item[key]) for key in _INSTANTS)
    data_end = item.get("data_end")
    return PlannedPartition(
        index=item["index"],
        start=start,
        end=end,
        warmup_start=warmup_start,
        instruments=tuple(item["instruments"]),
        rows_min=item["rows_min"],
        rows_max=item["rows_max"],
        bytes=item["bytes"],
        warmup_short=item["warmup_short"],
        data_end=None if data_end is None else parse_instant(data_end),
        data=data,
    )
