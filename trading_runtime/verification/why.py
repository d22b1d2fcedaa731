"""Why two tasks or two runs differ: first their inputs, then their results."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from trading_runtime.canonical import canonical_json, decimal_text
from trading_runtime.errors import DataError
from trading_runtime.planning.identity import decode_values, partition_inputs
from trading_runtime.records.forms import to_document
from trading_runtime.records.task_manifest import MANIFEST, files_of, parse_manifest
from trading_runtime.storage.files import read_bytes
from trading_runtime.units import format_instant

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    import pyarrow as pa

    from trading_runtime.records.plan import Plan, PlannedPartition, Point
    from trading_runtime.records.task_manifest import ResultFile
    from trading_runtime.results.store import Store


FILES = (
    "orders.parquet",
    "fills.parquet",
    "positions.parquet",
    "equity.parquet",
    "summary.json",
    "manifest.json",
)
"""The files of a result in the order in which one difference leads to the next."""

ABSENT = "absent"
_INSTANTS = {"start", "end", "warmup_start", "data_end"}
_NAMING = {"order_id", "position", "instrument_id", "ts", "ts_init", "ts_opened"}
_MOST_CHARACTERS = 100


@dataclass(frozen=True)
class InputDifference:
    """One input key that differs."""

    path: str
    """Such as ``common.venue.fees.taker`` or ``partition.data[0].row_groups[3]``."""
    first: str
    second: str

    def __str__(self) -> str:
        """Return the difference as one line."""
        return f"{self.path}: {self.first} vs {self.second}"


@dataclass(frozen=True)
class FileDifference:
    """The first place where the files of two results differ."""

    file: str
    first: str
    second: str
    row: int | None = None
    """Counted from 0, as fills and positions are."""
    column: str | None = None
    """Column of a table, or key of a document."""
    about: str = ""
    """Cells of the row that identify the order, fill, position or moment."""

    def summary(self, first: str, second: str) -> str:
        """Return the difference as one line, given names for the two results."""
        place = self.file
        if self.row is not None:
            place += f", row {self.row}"
        if self.column is not None:
            place += f", {'column' if self.file.endswith('.parquet') else 'key'} {self.column}"
        about = f" ({self.about})" if self.about else ""
        return f"{place}: {first} {self.first}, {second} {self.second}{about}"


def input_differences(first: Any, second: Any, path: str = "") -> list[InputDifference]:
    """Return every key at which two JSON documents differ, in order of their paths."""
    return list(_differences(first, second, path))


def first_difference(
    first: Mapping[str, bytes], second: Mapping[str, bytes], *, ignored: Collection[str] = ()
) -> FileDifference | None:
    """Return the first place where two results differ, ``None`` when all bytes are the same.

    Each result is the content of its files by name. ``ignored`` keys of documents do not count.
    Different bytes with the same rows count only when nothing else differs.
    """
    only_bytes = None
    for name in (*FILES, *sorted((first.keys() | second.keys()).difference(FILES))):
        one, other = first.get(name), second.get(name)
        if one == other:
            continue
        if one is None or other is None:
            return FileDifference(name, _presence(one), _presence(other))
        is_table = name.endswith(".parquet")
        found = _in_tables(name, one, other) if is_table else _in_keys(name, one, other, ignored)
        if found is not None:
            return found
        if is_table:
            only_bytes = only_bytes or _of_sizes(name, one, other, "the same rows")
    return only_bytes


def _differences(first: Any, second: Any, path: str) -> Iterator[InputDifference]:
    first, second = (_decimal(value) for value in (first, second))
    if isinstance(first, dict) and isinstance(second, dict):
        for key in sorted(first.keys() | second.keys()):
            inner = f"{path}.{key}" if path else str(key)
            yield from _differences(first.get(key, _Absent), second.get(key, _Absent), inner)
    elif isinstance(first, list) and isinstance(second, list):
        for index in range(max(len(first), len(second))):
            one, other = (each[index] if index < len(each) else _Absent for each in (first, second))
            yield from _differences(one, other, f"{path}[{index}]")
    elif type(first) is not type(second) or first != second:
        yield InputDifference(path, _shown(first, path), _shown(second, path))


class _Absent:
    """Placeholder for a key that only the other document has."""


def _decimal(value: Any) -> Any:
    """Return an encoded decimal as a number, anything else unchanged."""
    decoded = decode_values(value) if isinstance(value, dict) and len(value) == 1 else value
    return decoded if isinstance(decoded, Decimal) else value


def _shown(value: Any, path: str) -> str:
    if value is _Absent:
        return ABSENT
    if isinstance(value, Decimal):
        return decimal_text(value)
    if isinstance(value, int) and path.rpartition(".")[2] in _INSTANTS:
        return format_instant(value)
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _MOST_CHARACTERS else text[: _MOST_CHARACTERS - 3] + "..."


def _presence(content: bytes | None) -> str:
    return ABSENT if content is None else f"{len(content)} bytes"


def _of_sizes(name: str, first: bytes, second: bytes, about: str) -> FileDifference:
    sizes = _presence(first), _presence(second)
    return FileDifference(name, sizes[0], sizes[1], about=f"{about}, written otherwise")


def _in_keys(
    name: str, first: bytes, second: bytes, ignored: Collection[str]
) -> FileDifference | None:
    one, other = (_document(content) for content in (first, second))
    if not isinstance(one, dict) or not isinstance(other, dict):
        return FileDifference(name, _shown(one, ""), _shown(other, ""))
    for key in [*one, *(key for key in other if key not in one)]:
        if key not in ignored:
            for found in _differences(one.get(key, _Absent), other.get(key, _Absent), key):
                return FileDifference(name, found.first, found.second, column=found.path)
    return None if ignored else _of_sizes(name, first, second, "the same values")


def _document(content: bytes) -> Any:
    try:
        return json.loads(content)
    except ValueError:
        return "no JSON"


def _in_tables(name: str, first: bytes, second: bytes) -> FileDifference | None:

    one, other = _table(first), _table(second)
    if one is None or other is None:
        readable, unreadable = "Parquet", "no Parquet"
        return FileDifference(
            name, unreadable if one is None else readable, unreadable if other is None else readable
        )
    for column in [*one.column_names, *other.column_names]:
        kind, other_kind = _kind(one, column), _kind(other, column)
        if kind != other_kind:
            return FileDifference(name, kind, other_kind, column=column)
    rows = min(one.num_rows, other.num_rows)
    places = [
        (row, number)
        for number, column in enumerate(one.column_names)
        if (row := _first_row(one[column].slice(0, rows), other[column].slice(0, rows))) is not None
    ]
    if places:
        row, number = min(places)
        column = one.column_names[number]
        cell, other_cell = _cell(one, column, row), _cell(other, column, row)
        about = _about(one, row, apart_from=column)
        return FileDifference(name, cell, other_cell, row, column, about)
    if one.num_rows != other.num_rows:
        about = _about(max(one, other, key=len), rows)
        counts = f"{one.num_rows} rows", f"{other.num_rows} rows"
        return FileDifference(name, counts[0], counts[1], rows, about=about)
    return None


def _table(content: bytes) -> pa.Table | None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.read_table(io.BytesIO(content))
    except (OSError, pa.ArrowException):
        return None


def _kind(table: pa.Table, column: str) -> str:
    if column not in table.column_names:
        return ABSENT
    return str(table.schema.field(column).type)


def _first_row(first: pa.ChunkedArray, second: pa.ChunkedArray) -> int | None:
    import pyarrow.compute as pc

    one, other = first.combine_chunks(), second.combine_chunks()
    unequal = pc.fill_null(pc.not_equal(one, other), fill_value=False)
    mask = pc.or_(unequal, pc.xor(pc.is_null(one), pc.is_null(other)))
    row = pc.index(mask, value=True).as_py()
    return None if row < 0 else int(row)


def _cell(table: pa.Table, column: str, row: int) -> str:
    import pyarrow as pa

    value = table[column][row]
    if pa.types.is_timestamp(value.type):
        # Python's own datetime has no nanoseconds.
        number = value.cast(pa.int64()).as_py()
        return "null" if number is None else format_instant(number)
    plain = value.as_py()
    if plain is None:
        return "null"
    return decimal_text(plain) if isinstance(plain, Decimal) else str(plain)


def _about(table: pa.Table, row: int, apart_from: str = "") -> str:
    names = [name for name in table.column_names if name in _NAMING and name != apart_from]
    return ", ".join(f"{name} {_cell(table, name, row)}" for name in names)


_SUMMARY = "summary.json"
_IGNORED = frozenset({"task_id", "files", "inputs", "digest"})
"""Keys of summary and manifest that identify the task, or repeat what other files contain."""


@dataclass(frozen=True)
class TaskComparison:
    """Two stored results, and what differs between them."""

    first: str
    second: str
    """Their task ids."""
    inputs: list[InputDifference]
    result: FileDifference | None

    @property
    def same(self) -> bool:
        """Whether neither inputs nor results differ."""
        return not self.inputs and self.result is None


@dataclass(frozen=True)
class RunComparison:
    """Two planned runs, and what differs between them."""

    inputs: list[InputDifference]
    """In what all tasks share, in the objective, and in the data of windows that both have."""
    points: tuple[list[Point], list[Point]]
    """The points that only the first, and only the second run has."""
    windows: tuple[list[str], list[str]]
    """Partitions that only the first, and only the second run has."""
    shared: int
    """Tasks with the same id in both."""
    equal: int
    """Pairs (same parameters, same window) with the same result."""
    different: int
    missing: tuple[int, int]
    """Pairs with only the second, and only the first result stored."""
    first_pair: TaskComparison | None
    """The first pair with different results, in order of the first run's plan."""

    @property
    def same(self) -> bool:
        """Whether nothing differs."""
        return not (
            self.inputs
            or any(self.points)
            or any(self.windows)
            or self.different
            or any(self.missing)
        )


@dataclass(frozen=True)
class RunSide:
    """A run's plan and the store that has its results."""

    store: Store
    plan: Plan

    def windows(self) -> dict[str, int]:
        """Return the index of each partition by its window and instruments."""
        return {_window(item): item.index for item in self.plan.partitions}

    def partition_inputs(self, index: int) -> dict[str, Any]:
        """Return the inputs of a partition; its instants are texts, as a plan shows them."""
        planned = self.plan.partitions[index]
        found = partition_inputs(planned, self.plan.instruments).to_document()
        return found | {key: format_instant(found[key]) for key in _INSTANTS & found.keys()}

    def points(self) -> dict[bytes, Point]:
        """Return each point by the canonical form of its parameters."""
        return {_key(item): item for item in self.plan.points}

    def tasks(self) -> dict[tuple[bytes, str], str]:
        """Return each task's id by its parameters and window, in the plan's order."""
        keys = [_key(point) for point in self.plan.points]
        names = [_window(partition) for partition in self.plan.partitions]
        return {(keys[task.point], names[task.partition]): task.task_id for task in self.plan.tasks}


def compare_tasks(first: Store, first_id: str, second: Store, second_id: str) -> TaskComparison:
    """Compare two stored results: all inputs, then rows and statistics up to the first difference.

    Raises ``DataError`` when one of them is damaged.
    """
    pairs = ((first, first_id), (second, second_id))
    result, other_result = (store.read_task(identity) for store, identity in pairs)
    inputs, other_inputs = (
        parse_manifest(files[MANIFEST]).inputs for files in (result, other_result)
    )
    return TaskComparison(
        first_id,
        second_id,
        input_differences(inputs, other_inputs),
        first_difference(result, other_result, ignored=_IGNORED),
    )


def compare_runs(first: RunSide, second: RunSide) -> RunComparison:
    """Compare two runs: first their requests, then the results of corresponding tasks.

    Tasks correspond when they have the same parameters and the same window. Raises ``DataError``
    when a result that differs is damaged.
    """
    points = first.points(), second.points()
    tasks = first.tasks(), second.tasks()
    equal = different = 0
    missing = [0, 0]
    first_pair = None
    for key in [key for key in tasks[0] if key in tasks[1]]:
        ids = tasks[0][key], tasks[1][key]
        stored = first.store.has_task(ids[0]), second.store.has_task(ids[1])
        if not all(stored):
            if any(stored):
                missing[stored.index(False)] += 1
        elif _is_same(first.store, ids[0], second.store, ids[1]):
            equal += 1
        else:
            different += 1
            first_pair = first_pair or compare_tasks(first.store, ids[0], second.store, ids[1])
    windows = first.windows(), second.windows()
    return RunComparison(
        inputs=[
            *input_differences(_shared_inputs(first), _shared_inputs(second)),
            *_data_differences(first, second),
        ],
        points=(
            [value for key, value in points[0].items() if key not in points[1]],
            [value for key, value in points[1].items() if key not in points[0]],
        ),
        windows=(
            [name for name in windows[0] if name not in windows[1]],
            [name for name in windows[1] if name not in windows[0]],
        ),
        shared=len(set(tasks[0].values()) & set(tasks[1].values())),
        equal=equal,
        different=different,
        missing=(missing[0], missing[1]),
        first_pair=first_pair,
    )


def _is_same(first: Store, first_id: str, second: Store, second_id: str) -> bool:
    """Compare by the manifests alone, which contain the sha256 of every file."""
    if first_id == second_id:
        if first.root.absolute() == second.root.absolute():
            return True
        return first.manifest_digest(first_id) == second.manifest_digest(second_id)
    files, other_files = (
        {name: facts for name, facts in _files(*pair).items() if name != _SUMMARY}
        for pair in ((first, first_id), (second, second_id))
    )
    if files != other_files:
        return False
    # The summary contains the task's id, so it is never the same file in two tasks.
    summary, other_summary = (
        {_SUMMARY: store.read_task_file(identity, _SUMMARY)}
        for store, identity in ((first, first_id), (second, second_id))
    )
    return first_difference(summary, other_summary, ignored=_IGNORED) is None


def _files(store: Store, identity: str) -> dict[str, ResultFile]:
    path = store.task(identity) / MANIFEST
    try:
        return files_of(read_bytes(path))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path}: damaged: it names no files; run the experiment again") from error


def _shared_inputs(run: RunSide) -> dict[str, Any]:
    return {
        "common": run.plan.common.content,
        "config": run.plan.strategy.config,
        "objectives": [to_document(each) for each in run.plan.objectives],
    }


def _data_differences(first: RunSide, second: RunSide) -> list[InputDifference]:
    """Return what differs in the data of windows that both runs have."""
    other = second.windows()
    return [
        found
        for name, index in first.windows().items()
        if name in other
        for found in input_differences(
            first.partition_inputs(index),
            second.partition_inputs(other[name]),
            f"partition[{index}]",
        )
    ]


def _window(partition: PlannedPartition) -> str:
    instruments = ", ".join(partition.instruments)
    start, end = format_instant(partition.start), format_instant(partition.end)
    return f"{start} to {end} of {instruments}"


def _key(point: Point) -> bytes:
    return canonical_json(point.parameters)


def comparison_document(comparison: TaskComparison | RunComparison) -> dict[str, Any]:
    """Return a comparison as JSON content."""
    if isinstance(comparison, TaskComparison):
        return {
            "first": comparison.first,
            "second": comparison.second,
            "same": comparison.same,
            "inputs": [vars(item) for item in comparison.inputs],
            "result": None if comparison.result is None else vars(comparison.result),
        }
    pair = comparison.first_pair
    return {
        "same": comparison.same,
        "inputs": [vars(item) for item in comparison.inputs],
        "points_only_in": [[point.parameters for point in side] for side in comparison.points],
        "windows_only_in": list(comparison.windows),
        "tasks": {
            "shared": comparison.shared,
            "same": comparison.equal,
            "different": comparison.different,
            "missing_in": list(comparison.missing),
        },
        "first_different_pair": None if pair is None else comparison_document(pair),
    }
