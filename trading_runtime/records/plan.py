"""The plan of a run, typed: the content of ``plan.json``, read and checked in one place."""

from __future__ import annotations

import json
import math
import re
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, overload

from trading_runtime.canonical import digest
from trading_runtime.errors import DataError, UsageError
from trading_runtime.records.forms import check_form, parse_with_items, read_as, to_document
from trading_runtime.records.inputs import CommonInputs
from trading_runtime.records.instruments import InstrumentDefinition
from trading_runtime.records.planned_data import DataTables, data_documents
from trading_runtime.records.run_warnings import read_warnings
from trading_runtime.storage.files import MOST_DOCUMENT, read_bytes
from trading_runtime.text import for_records
from trading_runtime.units import format_instant, parse_instant

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from trading_runtime.records.forms import Form
    from trading_runtime.records.planned_data import PlannedSeries
    from trading_runtime.records.run_warnings import RunWarning

PLAN_FORMAT = 1

_TASK_ID = re.compile(r"[0-9a-f]{64}")
_ID_BYTES = 32
_ENDS = 2
"""The first task of a batch, and the one after its last."""
_INSTANTS = ("start", "end", "warmup_start")
_OPTIONAL_NUMBER = (int, float, type(None))
_MOST_PLACES = 1 << 32
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


class PlannedTasks(Sequence[Task]):  # noqa: PLW1641 - grows, so it has no hash
    """The tasks of a plan, in columns: a record of a task is made when it is asked for.

    100,000 tasks take 5 MB in this form, and more than 20 MB as records.
    """

    __slots__ = ("_cached", "_ids", "_partitions", "_points", "_seconds")

    def __init__(self, tasks: Iterable[Task] = ()) -> None:
        self._ids = bytearray()
        self._partitions = array("I")
        self._points = array("I")
        self._cached = bytearray()
        self._seconds = array("d")
        """Not a number where nothing was measured."""
        for task in tasks:
            self.add(*task[:3], cached=task.cached, seconds=task.seconds)

    def add(
        self, task_id: str, partition: int, point: int, *, cached: bool, seconds: float | None
    ) -> None:
        """Append a task with these fields."""
        binary = bytes.fromhex(task_id)
        if len(binary) != _ID_BYTES:
            raise ValueError(f"{task_id[:80]!r} is no task id")
        self._partitions.append(partition)
        self._points.append(point)
        self._cached.append(cached)
        self._seconds.append(math.nan if seconds is None else seconds)
        self._ids += binary

    def __len__(self) -> int:  # noqa: D105 - as any sequence
        return len(self._cached)

    @overload
    def __getitem__(self, place: int) -> Task: ...
    @overload
    def __getitem__(self, place: slice) -> list[Task]: ...
    def __getitem__(self, place: int | slice) -> Task | list[Task]:  # noqa: D105 - as any sequence
        numbers = range(len(self))[place]
        if isinstance(numbers, range):
            return [self._task(number) for number in numbers]
        return self._task(numbers)

    def __iter__(self) -> Iterator[Task]:  # noqa: D105 - as any sequence
        return map(self._task, range(len(self)))

    def __eq__(self, other: object) -> bool:
        """Return whether all tasks are equal."""
        return isinstance(other, PlannedTasks) and self._columns() == other._columns()

    @property
    def ids(self) -> list[str]:
        """The ids of all tasks, in their order."""
        text, size = self._ids.hex(), 2 * _ID_BYTES
        return [text[first : first + size] for first in range(0, len(text), size)]

    @property
    def uncached(self) -> list[int]:
        """The indices of the tasks whose results were not stored when the plan was made."""
        return [number for number, cached in enumerate(self._cached) if not cached]

    def seconds(self, indices: Iterable[int]) -> float | None:
        """Return the estimated duration of some tasks together; ``None`` when one is unknown."""
        total = sum(self._seconds[number] for number in indices)
        return None if math.isnan(total) else total

    def of_point(self, point: int) -> list[int]:
        """Return the indices of the tasks of a point."""
        return [number for number, each in enumerate(self._points) if each == point]

    def check_places(self, points: int, partitions: int) -> None:
        """Raise ``ValueError`` naming a task of a point or a partition that the plan lacks."""
        for name, column, count in (
            ("point", self._points, points),
            ("partition", self._partitions, partitions),
        ):
            if column and max(column) >= count:
                number = next(n for n, value in enumerate(column) if value >= count)
                _must(holds=False, place=f"tasks[{number}].{name}")

    def read(self, item: Any) -> None:
        """Append a task that ``plan.json`` states.

        Raises ``ValueError`` naming what does not have the right form.
        """
        try:
            task_id, partition, point = item["task_id"], item["partition"], item["point"]
            cached, seconds = item["cached"], item["seconds"]
        except (KeyError, TypeError) as error:
            raise ValueError(f"{error} is missing or of the wrong type") from error
        place = f"tasks[{len(self)}]"
        _must(is_task_id(task_id), f"{place}.task_id")
        _must(isinstance(cached, bool), f"{place}.cached")
        _must(isinstance(seconds, _OPTIONAL_NUMBER), f"{place}.seconds")
        for name, number in (("point", point), ("partition", partition)):
            _must(isinstance(number, int) and 0 <= number < _MOST_PLACES, f"{place}.{name}")
        try:
            self.add(task_id, partition, point, cached=cached, seconds=seconds)
        except OverflowError:
            _must(holds=False, place=f"{place}.seconds")

    def read_all(self, items: Sequence[Any]) -> None:
        """Append tasks as ``read`` does, at a fraction of the cost.

        Raises ``ValueError`` without a place when one does not have the right form.
        """
        try:
            ids = [item["task_id"] for item in items]
            cached = [item["cached"] for item in items]
            seconds = [item["seconds"] for item in items]
            _must(all(map(is_task_id, ids)), "tasks.task_id")
            _must(all(isinstance(value, bool) for value in cached), "tasks.cached")
            _must(all(isinstance(value, _OPTIONAL_NUMBER) for value in seconds), "tasks.seconds")
            self._partitions.extend([item["partition"] for item in items])
            self._points.extend([item["point"] for item in items])
            self._seconds.extend([math.nan if value is None else value for value in seconds])
        except (KeyError, TypeError, OverflowError) as error:
            raise ValueError(f"{error} is missing or of the wrong type") from error
        self._cached.extend(cached)
        self._ids += bytes.fromhex("".join(ids))

    def to_json(self) -> str:
        """Return the list of ``plan.json``: many records would take time and memory to write."""
        texts = {value: json.dumps(value) for value in set(self._seconds)}
        items = (
            f'{{"task_id":"{self._id(number)}","partition":{partition},"point":{point},'
            f'"cached":{"true" if cached else "false"},'
            f'"seconds":{"null" if math.isnan(seconds) else texts[seconds]}}}'
            for number, (partition, point, cached, seconds) in enumerate(
                zip(self._partitions, self._points, self._cached, self._seconds, strict=True)
            )
        )
        return f"[{','.join(items)}]"

    def _task(self, number: int) -> Task:
        seconds = self._seconds[number]
        return Task(
            self._id(number),
            self._partitions[number],
            self._points[number],
            bool(self._cached[number]),
            None if math.isnan(seconds) else seconds,
        )

    def _id(self, number: int) -> str:
        first = number * _ID_BYTES
        return self._ids[first : first + _ID_BYTES].hex()

    def _columns(self) -> tuple[bytes | bytearray | array[int], ...]:
        # As bytes, since what is not a number is not equal to itself.
        seconds = self._seconds.tobytes()
        return self._ids, self._partitions, self._points, self._cached, seconds


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
    tasks: PlannedTasks
    """Ordered by partition, then by point."""
    batches: Sequence[tuple[int, int]]
    """The first task, and the one after the last, of each batch."""

    @property
    def task_ids(self) -> list[str]:
        """The ids of all tasks, in the plan's order."""
        return self.tasks.ids

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
        return self.tasks.uncached

    @property
    def seconds(self) -> float | None:
        """Estimated computing time of the uncached tasks on one worker; ``None`` when unknown."""
        return self.tasks.seconds(self.tasks.uncached)

    @property
    def trial_seconds(self) -> float | None:
        """Estimated computing time of all tasks of one point; ``None`` when unknown."""
        return self.tasks.seconds(self.tasks.of_point(0))

    def config(self, point: int) -> dict[str, Any]:
        """Return the strategy's encoded config of a point."""
        return {**self.strategy.config, **self.points[point].config}

    def to_document(self) -> dict[str, Any]:
        """Return the content of ``plan.json``."""
        tasks = [task._asdict() for task in self.tasks]
        return self._document() | {"tasks": tasks, "batches": self.batches}

    def _document(self) -> dict[str, Any]:
        """Return the content of ``plan.json`` but for the tasks and batches at its end."""
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
        }

    @property
    def objectives(self) -> list[PlannedObjective]:
        """All objectives; the first names the best point."""
        return [self.objective, *self.further_objectives]

    def to_json(self) -> str:
        """Return the text of ``plan.json``."""
        text = json.dumps(self._document(), ensure_ascii=False, separators=(",", ":"))
        batches = json.dumps(self.batches, separators=(",", ":"))
        head = for_records(text).removesuffix("}")
        return f'{head},"tasks":{self.tasks.to_json()},"batches":{batches}}}\n'


def read_plan(path: Path) -> Plan:
    """Return the plan that a run stored in ``path``, checked as a whole.

    Raises ``UsageError`` when there is none, ``DataError`` when it cannot be read or is not a plan.
    """
    try:
        content = _parsed(read_bytes(path, MOST_DOCUMENT))
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
    tasks = _check(content)
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
        tasks=tasks,
        batches=tuple((first, last) for first, last in content["batches"]),
    )


def is_task_id(text: object) -> bool:
    """Return whether ``text`` is a complete task id."""
    return isinstance(text, str) and _TASK_ID.fullmatch(text) is not None


def _parsed(content: bytes) -> Any:
    """Return the content of ``plan.json``, in which sound tasks are ``PlannedTasks`` already.

    Parsed as a whole, the tasks would for a moment take several times the memory of the plan.
    """
    tasks = PlannedTasks()
    try:
        return parse_with_items(content, "tasks", tasks.read_all) | {"tasks": tasks}
    except ValueError:
        # Parsed as a whole, the document shows what is wrong with it.
        return json.loads(content)


def _check(content: Any) -> PlannedTasks:
    """Raise ``ValueError`` when this is no plan; return its tasks."""
    if not isinstance(content, dict):
        raise ValueError("of the wrong type, no JSON object")  # noqa: TRY004 - a fault of the file, not of the code
    try:
        for part in ("common", "strategy", "instruments"):
            _must(isinstance(content[part], dict), part)
        points, partitions = len(content["points"]), len(content["partitions"])
        tasks = content["tasks"]
        if not isinstance(tasks, PlannedTasks):
            items, tasks = tasks, PlannedTasks()
            for item in items:
                tasks.read(item)
    except (KeyError, TypeError) as error:
        raise ValueError(f"{error} is missing or of the wrong type") from error
    tasks.check_places(points, partitions)
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
    return tasks


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
