"""Reads the results of tasks: each is verified alone, the tables of many are decoded together."""

from __future__ import annotations

import functools
import hashlib
import json
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

import polars as pl

from trading_runtime.errors import DataError, Kind, UsageError
from trading_runtime.records.failures import TaskFailure, read_failure, write_failure
from trading_runtime.records.task_manifest import MANIFEST, files_of
from trading_runtime.results.exact import amounts
from trading_runtime.results.points import MISSING, OK, TaskOutcome
from trading_runtime.results.statistics import Trade
from trading_runtime.results.task_table import TaskTable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from decimal import Decimal

    from trading_runtime.records.plan import Plan, Task
    from trading_runtime.records.run_files import RunFiles
    from trading_runtime.records.task_manifest import ResultFile
    from trading_runtime.results.store import Store


def equities(tables: Sequence[bytes], rows: Sequence[int]) -> Iterator[list[tuple[int, Decimal]]]:
    """Yield the samples (nanoseconds since the epoch, amount) of each ``equity.parquet``.

    ``rows`` are the row counts stated in the manifests. Raises ``DataError`` when the tables
    differ.
    """
    table = _read(tables, rows, ["ts", "equity"])
    return _parted(
        zip(_numbers(table["ts"]), amounts(_numbers(table["equity"])), strict=True), rows
    )


def trades(tables: Sequence[bytes], rows: Sequence[int]) -> Iterator[list[Trade]]:
    """Yield the trades of each ``positions.parquet``; otherwise like ``equities``."""
    table = _read(tables, rows, ["realized_pnl", "ts_opened", "ts_closed"])
    profits = amounts(_numbers(table["realized_pnl"]))
    return _parted(
        map(Trade, profits, _numbers(table["ts_opened"]), _numbers(table["ts_closed"])), rows
    )


def _read(tables: Sequence[bytes], rows: Sequence[int], columns: list[str]) -> pl.DataFrame:
    if not tables:
        return pl.DataFrame(schema=dict.fromkeys(columns, pl.Int64))
    table = pl.read_parquet(list(tables), columns=columns)
    if table.height != sum(rows):
        raise DataError(
            f"stored results hold tables of {table.height:,} rows where their manifests state "
            f"{sum(rows):,}; run 'trading-runtime runs check' to see which are damaged"
        )
    return table


def _numbers(column: pl.Series) -> list[Any]:
    """Return times as nanoseconds, and amounts as whole numbers of 1e-16."""
    return column.to_physical().to_list()


def _parted[Item](items: Iterable[Item], rows: Sequence[int]) -> Iterator[list[Item]]:
    left = iter(items)
    return (list(islice(left, count)) for count in rows)


_AT_ONCE, _ROWS_AT_ONCE = 400, 500_000
"""Results whose tables are decoded together: singly, opening them takes most of the time. Rows take
far more memory than their files."""
_TABLES = ("equity.parquet", "positions.parquet")


def stored_outcomes(plan: Plan, store: Store, point: int) -> list[TaskOutcome]:
    """Return the outcomes of a point's tasks, in order of partitions; nothing is changed.

    Raises ``UsageError`` when a task has no result, ``DataError`` when one is damaged.
    """
    outcomes = []
    for task in sorted(map(plan.tasks.__getitem__, plan.tasks.of_point(point)), key=_by_partition):
        if not store.has_task(task.task_id):
            raise UsageError(
                f"point {point} has no result for partition {task.partition}: its task failed or "
                "is missing; run the experiment again with this run id"
            )
        files = store.read_task(task.task_id)
        rows = files_of(files[MANIFEST])
        equity, positions = (([files[name]], [rows[name].rows or 0]) for name in _TABLES)
        window = plan.partitions[task.partition]
        outcomes.append(
            TaskOutcome(
                *(task.partition, window.start, window.end, window.instruments, OK),
                json.loads(files["summary.json"]),
                next(equities(*equity)),
                next(trades(*positions)),
            )
        )
    return outcomes


def _by_partition(task: Task) -> int:
    return task.partition


@dataclass(frozen=True)
class TaskPart:
    """What was read for some of a run's points; the mappings are by task id."""

    rows: list[dict[str, Any]]
    """A row of ``points.parquet`` for each of these points."""
    statuses: dict[str, str]
    table: TaskTable
    manifest_digests: dict[str, str]
    failures: dict[str, TaskFailure]


class _Content(NamedTuple):
    """The files of a result that are decoded, and the rows that the manifest states of each."""

    files: dict[str, bytes]
    rows: dict[str, int]


class TaskReader:
    """Reads the outcome of each task once, and keeps what the tables need of it."""

    def __init__(self, plan: Plan, store: Store, files: RunFiles) -> None:
        self._store = store
        self._files = files
        self._windows = {
            item.index: (
                item.start,
                item.end,
                item.instruments,
            )
            for item in plan.partitions
        }
        self._plan = plan
        self._failed = {path.stem for path in files.failures.glob("*.json")}
        self.statuses: dict[str, str] = {}
        self.table = TaskTable()
        self.manifest_digests: dict[str, str] = {}
        self.failures: dict[str, TaskFailure] = {}

    @functools.cached_property
    def by_point(self) -> dict[int, list[Task]]:
        """The tasks of each point."""
        found: dict[int, list[Task]] = {}
        for task in self._plan.tasks:
            found.setdefault(task.point, []).append(task)
        return found

    def part(self, rows: list[dict[str, Any]]) -> TaskPart:
        """Return what was read since the last part."""
        part = TaskPart(rows, self.statuses, self.table, self.manifest_digests, self.failures)
        self.statuses, self.table, self.manifest_digests, self.failures = {}, TaskTable(), {}, {}
        return part

    def add(self, part: TaskPart) -> None:
        """Add what another reader has read."""
        self.statuses |= part.statuses
        self.table.merge(part.table)
        self.manifest_digests |= part.manifest_digests
        self.failures |= part.failures

    def outcomes(self, tasks: Iterable[Task]) -> Iterator[TaskOutcome]:
        """Yield the outcome of each task, and keep what the tables need of it."""
        read: list[tuple[Task, _Content | None]] = []
        rows = 0
        for task in tasks:
            content = self._content(task.task_id)
            read.append((task, content))
            rows += 0 if content is None else sum(content.rows.values())
            if len(read) == _AT_ONCE or rows > _ROWS_AT_ONCE:
                yield from self._decoded(read)
                read, rows = [], 0
        yield from self._decoded(read)

    def _decoded(self, read: Sequence[tuple[Task, _Content | None]]) -> Iterator[TaskOutcome]:
        whole = [content for _, content in read if content is not None]
        equity, positions = (
            ([content.files[name] for content in whole], [content.rows[name] for content in whole])
            for name in _TABLES
        )
        summaries = {
            task.task_id: json.loads(content.files["summary.json"])
            for task, content in read
            if content is not None
        }
        self.table.add(summaries)
        tables = zip(equities(*equity), trades(*positions), strict=True)
        for task, content in read:
            identity = task.task_id
            of_task = (
                task.partition,
                *self._windows[task.partition],
                self.statuses[identity],
            )
            if content is None:
                yield TaskOutcome(*of_task)
            else:
                yield TaskOutcome(*of_task, summaries[identity], *next(tables))

    def _content(self, task_id: str) -> _Content | None:
        """Return the verified files of a task that is ok, and note the status of any task."""
        content = None
        try:
            status = self._status(task_id)
            if status == OK:
                files, stated = self._read(task_id)
                self.manifest_digests[task_id] = hashlib.sha256(files[MANIFEST]).hexdigest()
                # All were verified; only these are decoded.
                content = _Content(
                    {name: files[name] for name in ("summary.json", *_TABLES)},
                    {name: stated[name].rows or 0 for name in _TABLES},
                )
        except DataError as error:
            status = Kind.DATA
            self.failures[task_id] = TaskFailure.of(task_id, Kind.DATA, str(error))
        self.statuses[task_id] = status
        return content

    def _read(self, task_id: str) -> tuple[dict[str, bytes], dict[str, ResultFile]]:
        try:
            return self._store.read_reduced(task_id)
        except DataError as error:
            # Out of the way, it cannot be taken for a result again: the next run computes it.
            self._store.quarantine(task_id)
            message = f"{error}; it was quarantined: run again to compute it"
            write_failure(self._files, TaskFailure.of(task_id, Kind.DATA, message))
            raise DataError(message) from error

    def _status(self, task_id: str) -> str:
        failed = read_failure(self._files.failure(task_id)) if task_id in self._failed else None
        if failed is not None:
            self.failures[task_id] = failed
            return failed.kind
        # Damage is detected when it is read, right after.
        return OK if self._store.has_manifest(task_id) else MISSING
