"""Reduce a run over its tasks: plan against store gives tables, points, counts and the digest."""

from __future__ import annotations

import gc
import itertools
import os
import pickle
import subprocess
import sys
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from trading_runtime.canonical import digest
from trading_runtime.collector import collector_paused
from trading_runtime.planning.run_warnings import no_fills, no_orders
from trading_runtime.records.plan import read_plan
from trading_runtime.records.result import BestPoint, RunResult, TaskCounts
from trading_runtime.records.run_files import RunFiles
from trading_runtime.results.benchmark import buy_and_hold
from trading_runtime.results.calendar import Calendar
from trading_runtime.results.frames import (
    best,
    points_frame,
    read_frame,
    results_frame,
    write_frame,
)
from trading_runtime.results.front import front_of
from trading_runtime.results.judgement import judge
from trading_runtime.results.points import (
    MISSING,
    OK,
    aggregate_point,
    chained_curve,
    point_days,
    point_returns,
)
from trading_runtime.results.reuse import ReusedTables, earlier_tables, table_digests
from trading_runtime.results.store import Store
from trading_runtime.results.task_reader import TaskPart, TaskReader
from trading_runtime.storage.files import storage_errors, write_file
from trading_runtime.storage.scratch import Scratch

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from decimal import Decimal

    import polars as pl

    from trading_runtime.records.failures import TaskFailure
    from trading_runtime.records.plan import Plan
    from trading_runtime.records.run_warnings import RunWarning
    from trading_runtime.results.benchmark import Benchmark
    from trading_runtime.results.points import CurvePoint


_FEWEST_TASKS = 5_000
"""Below this, processes take longer to start than to read."""
_TASKS_AT_ONCE = 2_000
"""Tasks whose points are kept in one part."""
_READING = {
    # One thread in each: there are as many processes as processors.
    "POLARS_MAX_THREADS": "1",
    # Tables of many results are opened ahead: one by one, threads would wait for each other.
    "POLARS_MAX_CONCURRENT_SCANS": "64",
    "POLARS_NUM_READERS_PRE_INIT": "64",
}
"""How processes that read results decode tables."""
_PACKAGE_PARENT = Path(__file__).resolve().parent.parent.parent


def read_in_processes(plan: Plan, store: Store, files: RunFiles) -> Iterator[TaskPart] | None:
    """Yield the parts read for all points, in order; ``None`` when processes are not worthwhile.

    What a process could not read, for whatever reason, is read here.
    """
    count = min(os.cpu_count() or 1, len(plan.points))
    if (
        count < 2  # noqa: PLR2004 - one process is no gain
        or len(plan.tasks) < _FEWEST_TASKS
        or not store.copy.is_complete
        or not files.plan.is_file()
    ):
        return None
    return _parts(plan, store, files, count)


def _parts(plan: Plan, store: Store, files: RunFiles, count: int) -> Iterator[TaskPart]:
    bounds = [len(plan.points) * number // count for number in range(count + 1)]
    search = os.pathsep.join([str(_PACKAGE_PARENT), os.environ.get("PYTHONPATH", "")])
    with Scratch() as scratch:
        started = []
        for first, last in itertools.pairwise(bounds):
            target = scratch.path / str(first)
            process = subprocess.Popen(
                [
                    *(sys.executable, "-P", "-m", __name__),
                    *(files.plan.absolute(), store.root.absolute(), files.folder.absolute()),
                    *(str(first), str(last), target),
                ],
                stdin=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=os.environ | _READING | {"PYTHONPATH": search},
            )
            started.append((first, last, target, process))
        try:
            for first, last, target, process in started:
                if process.wait() == 0:
                    with target.open("rb") as file:
                        for _ in _some_points(plan, first, last):
                            yield pickle.load(file)  # noqa: S301 - written by our own process
                else:
                    yield read_points(plan, TaskReader(plan, store, files), first, last)
        finally:
            for *_, process in started:
                process.kill()
                process.wait()


def _some_points(plan: Plan, first: int, last: int) -> Iterator[range]:
    """Yield the points from ``first`` to before ``last`` in the parts that are read at once."""
    size = max(1, _TASKS_AT_ONCE * len(plan.points) // len(plan.tasks))
    for start in range(first, last, size):
        yield range(start, min(start + size, last))


def main() -> None:
    """Read the points that the command line names, and write the parts to the file it names."""
    gc.disable()
    plan_file, results, run, first, last, target = sys.argv[1:]
    plan = read_plan(Path(plan_file))
    reader = TaskReader(plan, Store(Path(results)), RunFiles(Path(run)))
    with Path(target).open("wb") as file:
        for some in _some_points(plan, int(first), int(last)):
            pickle.dump(read_points(plan, reader, some.start, some.stop), file)


@dataclass(frozen=True)
class Reduction:
    """The outcome of a run's tasks."""

    result: RunResult
    results: pl.DataFrame
    points: pl.DataFrame
    curve: list[CurvePoint]
    """Chained equity of the best point; empty when none is named."""
    returns: list[tuple[int, Decimal | None]]
    """Each day of the best point, since the epoch, with its return."""
    benchmark: Benchmark | None
    """Holding the instruments over the windows of the best point."""
    failures: list[TaskFailure]


def reduce_run(  # noqa: PLR0913 - what a summary is made from
    plan: Plan,
    store: Store,
    files: RunFiles,
    *,
    allow_incomplete: bool = False,
    verified: Mapping[str, str] = MappingProxyType({}),
    drawn: int | None = None,
    reuse: bool = True,
) -> Reduction:
    """Read every task of ``plan`` from the store, and write the run's tables and ``result.json``.

    The store decides what is done, not the process that ran the tasks. A damaged stored result is
    quarantined, and counts as a failure of kind ``data``. Raises ``StorageError`` when nothing can
    be written. Without ``reuse``, every result is read from its own files, and every table is made.
    ``verified``: see ``earlier_tables``; ``drawn``: see ``judge``.
    """
    store.refresh(plan.task_ids)
    store.fetch_results(plan.task_ids, plan.digest if reuse else None)
    reused = earlier_tables(plan, store, files, verified, drawn) if reuse else None
    if reused is not None:
        return _again(plan, store, files, reused)
    reader = TaskReader(plan, store, files)
    rows = []
    for part in read_in_processes(plan, store, files) or [read_points(plan, reader)]:
        rows += part.rows
        reader.add(part)
    points = points_frame(rows)
    results = results_frame(plan, reader.statuses, reader.table.statistics())
    of_tasks = counts(reader.statuses)
    complete = of_tasks.ok == of_tasks.planned
    chosen = None
    if complete or allow_incomplete:
        chosen = best(
            points, plan.objective.metric, plan.objective.direction, allow_incomplete=True
        )
    curve, returns, benchmark = _best_curves(plan, store, files, chosen)
    held = None if benchmark is None else benchmark.on(day for day, _ in returns)
    luck = judge(rows, None if chosen is None else chosen.point, drawn, held)
    result = RunResult(
        run_digest=digest(sorted(reader.manifest_digests.items())),
        complete=complete,
        counts=of_tasks,
        failed_by_kind=_failed_by_kind(reader.statuses),
        objective=plan.objective,
        best=chosen,
        front=None if chosen is None else front_of(points, plan.objectives),
        luck=luck,
        incidents=reader.table.incidents(),
        warnings=_warnings(plan, results),
    )
    with storage_errors(files.folder):
        write_frame(results, files.results)
        write_frame(points, files.points)
    if complete:
        result = replace(result, tables=table_digests(plan, result.run_digest, files, drawn))
    write_file(files.result, result.to_json())
    failures = list(reader.failures.values())
    return Reduction(result, results, points, curve, returns, benchmark, failures)


def _best_curves(
    plan: Plan, store: Store, files: RunFiles, chosen: BestPoint | None
) -> tuple[list[CurvePoint], list[tuple[int, Decimal | None]], Benchmark | None]:
    """Return curve, daily returns and benchmark of the best point."""
    if chosen is None:
        return [], [], None
    # A second reader: the tables have what they need of these tasks already.
    reader = TaskReader(plan, store, files)
    tasks = map(plan.tasks.__getitem__, plan.tasks.of_point(chosen.point))
    outcomes = list(reader.outcomes(tasks))
    curve = chained_curve(outcomes)
    days = point_days(outcomes, Calendar.of_plan(plan))
    return curve, point_returns(curve, days), buy_and_hold(outcomes)


def read_points(
    plan: Plan, reader: TaskReader, first: int = 0, last: int | None = None
) -> TaskPart:
    """Read the results of the points from ``first`` to before ``last``, and aggregate each."""
    calendar = Calendar.of_plan(plan)
    points = plan.points[first:last]
    tasks = [reader.by_point.get(point.index, []) for point in points]
    outcomes = reader.outcomes(task for of_point in tasks for task in of_point)
    # There are millions of samples and trades, without cycles.
    with collector_paused():
        rows = [
            aggregate_point(
                point.index, point.parameters, list(islice(outcomes, len(of_point))), calendar
            )
            for point, of_point in zip(points, tasks, strict=True)
        ]
    return reader.part(rows)


def _again(plan: Plan, store: Store, files: RunFiles, reused: ReusedTables) -> Reduction:
    """Copy the tables of an earlier run with identical results into this run."""
    results, points = read_frame(reused.results), read_frame(reused.points)
    result = replace(reused.result, warnings=_warnings(plan, results))
    write_file(files.results, reused.results)
    write_file(files.points, reused.points)
    write_file(files.result, result.to_json())
    curves = _best_curves(plan, store, files, result.best)
    return Reduction(result, results, points, *curves, [])


def counts(statuses: Mapping[str, str]) -> TaskCounts:
    """Return the number of tasks, and how they ended, from their statuses by task id."""
    planned = len(statuses)
    ok = sum(status == OK for status in statuses.values())
    missing = sum(status == MISSING for status in statuses.values())
    failed = planned - ok - missing
    return TaskCounts(planned=planned, ok=ok, failed=failed, missing=missing)


def _warnings(plan: Plan, results: pl.DataFrame) -> list[RunWarning]:
    """Return the warnings of the plan, and the one about tasks that never traded."""
    warnings = list(plan.warnings)
    done = results.filter(results["status"] == OK)
    orders = int(done["orders"].sum())
    if done.height and not orders:
        warnings.append(no_orders(done.height))
    elif done.height and not done["fills"].sum():
        warnings.append(no_fills(orders))
    return warnings


def _failed_by_kind(statuses: Mapping[str, str]) -> dict[str, int]:
    kinds = [status for status in statuses.values() if status not in (OK, MISSING)]
    return {kind: kinds.count(kind) for kind in sorted(set(kinds))}


if __name__ == "__main__":
    main()
