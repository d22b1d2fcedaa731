"""Reduce a run over its tasks: plan against store gives tables, points, counts and the digest."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from trading_runtime.canonical import digest
from trading_runtime.errors import DataError, Kind
from trading_runtime.redaction import redacted
from trading_runtime.results.frames import (
    best,
    points_frame,
    read_frame,
    results_frame,
    write_frame,
)
from trading_runtime.results.points import (
    MISSING,
    OK,
    TaskOutcome,
    aggregate_point,
    chained_curve,
)
from trading_runtime.results.reading_processes import read_in_processes
from trading_runtime.results.reuse import ReusedTables, earlier_tables, tables_identity
from trading_runtime.results.statistics import Trade
from trading_runtime.results.store import MANIFEST, read_json, storage_errors, write_file
from trading_runtime.time_units import parse_instant

if TYPE_CHECKING:
    from collections.abc import Mapping

    import polars as pl

    from trading_runtime.results.points import CurvePoint
    from trading_runtime.results.store import RunFiles, Store

RESULT_FORMAT = 1


@dataclass(frozen=True)
class Reduction:
    """What the tasks of a run came to."""

    result: dict[str, Any]
    """Content of ``result.json``."""
    results: pl.DataFrame
    points: pl.DataFrame
    curve: list[CurvePoint]
    """Chained equity of the best point; empty when none is named."""
    failures: list[dict[str, Any]]


def reduce_run(
    plan: Mapping[str, Any], store: Store, files: RunFiles, *, allow_incomplete: bool = False
) -> Reduction:
    """Read every task of ``plan`` from the store, and write the run's tables and ``result.json``.

    The store is the judge of what is done, not whoever ran the tasks. A stored result that is
    damaged is set aside, and counts as a failure of kind ``data``. Raises ``StorageError`` when
    nothing can be written.
    """
    store.look_again([task["task_id"] for task in plan["tasks"]])
    reused = earlier_tables(plan, store, files)
    if reused is not None:
        return _again(plan, store, files, reused)
    reader = TaskReader(plan, store, files)
    rows = []
    for part in read_in_processes(plan, store, files) or [read_points(plan, reader)]:
        rows += part.rows
        reader.add(part)
    points = points_frame(rows)
    results = results_frame(plan, reader.statuses, reader.summaries)
    counts = _counts(plan, reader.statuses)
    complete = counts["ok"] == counts["planned"]
    chosen = None
    if complete or allow_incomplete:
        chosen = best(points, plan["objective"], allow_incomplete=True)
    result = {
        "format": RESULT_FORMAT,
        "run_digest": digest(sorted(reader.manifest_digests.items())),
        "complete": complete,
        "counts": counts,
        "failed_by_kind": _failed_by_kind(reader.statuses),
        "objective": plan["objective"],
        "best": chosen,
    }
    with storage_errors(files.folder):
        write_frame(results, files.results)
        write_frame(points, files.points)
    if complete:
        result |= tables_identity(plan, result["run_digest"], files)
    write_file(files.result, json.dumps(result, indent=1, ensure_ascii=False) + "\n")
    curve = []
    if chosen is not None:
        curve = chained_curve(reader.outcome(task) for task in reader.by_point[chosen["point"]])
    return Reduction(result, results, points, curve, list(reader.failures.values()))


@dataclass(frozen=True)
class Part:
    """What reading some of a run's points gave; the mappings go by task id."""

    rows: list[dict[str, Any]]
    """A row of ``points.parquet`` for each of these points."""
    statuses: dict[str, str]
    summaries: dict[str, dict[str, Any]]
    manifest_digests: dict[str, str]
    failures: dict[str, dict[str, Any]]


def read_points(
    plan: Mapping[str, Any], reader: TaskReader, first: int = 0, last: int | None = None
) -> Part:
    """Read the results of the points from ``first`` to before ``last``, and aggregate each."""
    by_point = reader.by_point
    periods = plan["common"]["periods_per_year"]
    rows = [
        aggregate_point(
            point["index"],
            point["parameters"],
            [reader.outcome(task) for task in by_point.get(point["index"], [])],
            periods,
        )
        for point in plan["points"][first:last]
    ]
    return reader.part(rows)


def _by_point(plan: Mapping[str, Any]) -> dict[int, list[dict[str, Any]]]:
    by_point: dict[int, list[dict[str, Any]]] = {}
    for task in plan["tasks"]:
        by_point.setdefault(task["point"], []).append(task)
    return by_point


def _again(
    plan: Mapping[str, Any], store: Store, files: RunFiles, reused: ReusedTables
) -> Reduction:
    """Write the tables of an earlier run with the very same results as those of this one."""
    write_file(files.results, reused.results)
    write_file(files.points, reused.points)
    write_file(files.result, json.dumps(reused.result, indent=1, ensure_ascii=False) + "\n")
    chosen = reused.result["best"]
    curve = []
    if chosen is not None:
        reader = TaskReader(plan, store, files)
        tasks = [task for task in plan["tasks"] if task["point"] == chosen["point"]]
        curve = chained_curve(reader.outcome(task) for task in tasks)
    results, points = read_frame(reused.results), read_frame(reused.points)
    return Reduction(reused.result, results, points, curve, [])


class TaskReader:
    """Reads the outcome of each task once, and keeps what the tables need of it."""

    def __init__(self, plan: Mapping[str, Any], store: Store, files: RunFiles) -> None:
        self._store = store
        self._files = files
        self._windows = {
            item["index"]: (
                parse_instant(item["start"]),
                parse_instant(item["end"]),
                tuple(item["instruments"]),
            )
            for item in plan["partitions"]
        }
        self.by_point = _by_point(plan)
        self._failed = {path.stem for path in files.failures.glob("*.json")}
        self.statuses: dict[str, str] = {}
        self.summaries: dict[str, dict[str, Any]] = {}
        self.manifest_digests: dict[str, str] = {}
        self.failures: dict[str, dict[str, Any]] = {}

    def part(self, rows: list[dict[str, Any]]) -> Part:
        """Return what was read since the last part."""
        part = Part(rows, self.statuses, self.summaries, self.manifest_digests, self.failures)
        self.statuses, self.summaries, self.manifest_digests, self.failures = {}, {}, {}, {}
        return part

    def add(self, part: Part) -> None:
        """Take over what another reader has read."""
        self.statuses |= part.statuses
        self.summaries |= part.summaries
        self.manifest_digests |= part.manifest_digests
        self.failures |= part.failures

    def outcome(self, task: Mapping[str, Any]) -> TaskOutcome:
        """Return what a task came to, and keep what the tables need of it."""
        identity = task["task_id"]
        start, end, instruments = self._windows[task["partition"]]
        try:
            status = self._status(identity)
            if status == OK:
                content = self._read(identity)
                summary = json.loads(content["summary.json"])
                equity = _equity(content["equity.parquet"])
                trades = _trades(content["positions.parquet"])
                self.summaries[identity] = summary
                self.statuses[identity] = OK
                self.manifest_digests[identity] = hashlib.sha256(content[MANIFEST]).hexdigest()
                return TaskOutcome(
                    task["partition"], start, end, instruments, OK, summary, equity, trades
                )
        except DataError as error:
            status = Kind.DATA
            self.failures[identity] = failure(identity, Kind.DATA, str(error))
        self.statuses[identity] = status
        return TaskOutcome(task["partition"], start, end, instruments, status)

    def _read(self, task_id: str) -> dict[str, bytes]:
        try:
            return self._store.read_task(task_id)
        except DataError as error:
            # Out of the way, it cannot be taken for a result again: the next run computes it.
            self._store.set_aside(task_id)
            message = f"{error}; it was set aside: run again to compute it"
            write_failure(self._files, failure(task_id, Kind.DATA, message))
            raise DataError(message) from error

    def _status(self, task_id: str) -> str:
        failed = read_json(self._files.failure(task_id)) if task_id in self._failed else None
        if failed is not None:
            self.failures[task_id] = failed
            return str(failed["kind"])
        # What is not whole is found when it is read, right after.
        return OK if self._store.has_manifest(task_id) else MISSING


def failure(
    task_id: str, kind: str, message: str, traceback: str = "", *, out_of_memory: bool = False
) -> dict[str, Any]:
    """Return the content of a task's failure file.

    ``out_of_memory`` tells apart, among those of kind ``crash``, the task that more memory helps.
    """
    return {
        "task_id": task_id,
        "kind": kind,
        "exit_code": Kind(kind).exit_code,
        "out_of_memory": out_of_memory,
        "message": message,
        "traceback": traceback,
    }


def write_failure(files: RunFiles, content: Mapping[str, Any]) -> None:
    """Write a task's failure file, without what is secret.

    Raises ``StorageError`` when it cannot be written.
    """
    write_file(files.failure(content["task_id"]), json.dumps(redacted(content), indent=1) + "\n")


def _counts(plan: Mapping[str, Any], statuses: Mapping[str, str]) -> dict[str, int]:
    planned = len(plan["tasks"])
    ok = sum(status == OK for status in statuses.values())
    missing = sum(status == MISSING for status in statuses.values())
    return {"planned": planned, "ok": ok, "failed": planned - ok - missing, "missing": missing}


def _failed_by_kind(statuses: Mapping[str, str]) -> dict[str, int]:
    kinds = [status for status in statuses.values() if status not in (OK, MISSING)]
    return {kind: kinds.count(kind) for kind in sorted(set(kinds))}


def _table(content: bytes, columns: list[str]) -> pa.Table:
    # For small files several times faster than pq.read_table, which makes a dataset of each.
    with pq.ParquetFile(pa.BufferReader(content), pre_buffer=False) as file:
        return file.read(columns, use_threads=False)


def _equity(content: bytes) -> list[tuple[int, Any]]:
    table = _table(content, ["ts", "equity"])
    times = _instants(table["ts"])
    return list(zip(times, table["equity"].to_pylist(), strict=True))


def _trades(content: bytes) -> list[Trade]:
    table = _table(content, ["realized_pnl", "ts_opened", "ts_closed"])
    return [
        Trade(profit, opened, closed)
        for profit, opened, closed in zip(
            table["realized_pnl"].to_pylist(),
            _instants(table["ts_opened"]),
            _instants(table["ts_closed"]),
            strict=True,
        )
    ]


def _instants(column: pa.ChunkedArray) -> list[Any]:
    return [value for chunk in column.chunks for value in chunk.view(pa.int64()).to_pylist()]
