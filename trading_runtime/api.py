"""Run experiments and look at results from Python: what the command line does, for notebooks.

>>> from trading_runtime import api
>>> run = api.run("experiment.yaml")
>>> run.points.sort("sharpe", descending=True).head(1)["point"].item() == run.best_point
True

Tables are polars frames; ``to_pandas`` converts one. Charts need the extra ``charts``.
"""

from __future__ import annotations

import datetime as dt
import html
import json
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from trading_runtime.config.project_file import results_here
from trading_runtime.errors import Kind, UsageError
from trading_runtime.execution.preparation import PreparedRun, prepare_run
from trading_runtime.execution.workers.prestarted import PrestartedWorker
from trading_runtime.records.failures import read_failure
from trading_runtime.records.forms import to_document
from trading_runtime.records.plan import read_plan
from trading_runtime.records.result import read_result
from trading_runtime.records.trials import read_trials
from trading_runtime.results.store import open_store
from trading_runtime.runs.opening import check_run_id, new_run_id

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    import pandas as pd
    import polars as pl
    from plotly.graph_objects import Figure

    from trading_runtime.records.plan import Plan, Task
    from trading_runtime.records.result import RunResult
    from trading_runtime.records.run_files import RunFiles
    from trading_runtime.results.store import Store

__all__ = [
    "Plots",
    "PreparedRun",
    "Run",
    "TaskResult",
    "WalkForwardFrames",
    "open_run",
    "plan",
    "run",
    "runs",
    "to_pandas",
]

_SHOWN_POINTS = 5


class WalkForwardFrames(NamedTuple):
    """A walk-forward as tables."""

    splits: pl.DataFrame
    """A row for each split: times, chosen point and parameters, objective trained and tested."""
    equity: pl.DataFrame
    """``ts``, ``equity`` and ``growth`` of the tests, one after the other."""


@dataclass(frozen=True)
class Run:
    """A run that ended, and its results.

    >>> run = api.open_run("latest")
    >>> run.kind
    <Kind.OK: 'ok'>
    >>> run.result["counts"]
    {'planned': 12, 'ok': 12, 'failed': 0, 'missing': 0}
    """

    run_id: str
    files: RunFiles
    summary: RunResult
    """Its result, typed."""
    computed: int
    """Tasks that were computed; all others were already stored."""
    seconds: float
    """Wall-clock time of the run."""
    search: str = ""
    """How an adaptive search ended, as a sentence."""
    _store: Store | None = field(default=None, repr=False, compare=False)

    @property
    def result(self) -> dict[str, Any]:
        """Content of ``result.json``."""
        return self.summary.to_document()

    @property
    def kind(self) -> Kind:
        """``ok`` when every planned task is ok, else ``incomplete``."""
        return Kind.OK if self.summary.complete else Kind.INCOMPLETE

    @property
    def results(self) -> pl.DataFrame:
        """One row per task: its status and statistics."""
        return _read_frame(self.files.results)

    @property
    def points(self) -> pl.DataFrame:
        """One row per point, aggregated over partitions.

        >>> run.points["param.every"].to_list()
        [20, 30, 40, 50]
        """
        return _read_frame(self.files.points)

    @property
    def failures(self) -> list[dict[str, Any]]:
        """The failed tasks, sorted by task id, as in their failure files."""
        found = (read_failure(path) for path in sorted(self.files.failures.glob("*.json")))
        return [failure.to_document() for failure in found if failure is not None]

    @property
    def trials(self) -> dict[str, Any]:
        """Content of ``trials.json``: what had been tried on the same data when the run ended."""
        trials = read_trials(self.files)
        return {} if trials is None else to_document(trials)

    @property
    def report(self) -> Path:
        """The path of the report's page."""
        return self.files.report_page

    @property
    def best_point(self) -> int | None:
        """The number of the best point; ``None`` when none is named."""
        best = self.summary.best
        return None if best is None else best.point

    @property
    def front(self) -> pl.DataFrame:
        """The rows of ``points`` that no other beats in all objectives, the best first.

        Of a run with a single objective it is its best point.
        """
        front, points = self.summary.front, self.points
        if front is None:
            return points.filter(points["point"] == self.best_point)
        import polars as pl

        order = pl.DataFrame({"point": [each.point for each in front.points]}, {"point": pl.Int32})
        return order.join(points, on="point", how="left", maintain_order="left")

    @property
    def importance(self) -> pl.DataFrame:
        """How much of the objective's variance each parameter explains alone, the largest first.

        Columns: ``parameter`` and ``share``, epsilon squared from 0 to 1.
        """
        import polars as pl

        from trading_runtime.results.importance import importances

        found = importances(self.points, self.summary.objective.metric)
        return pl.DataFrame(found, {"parameter": pl.String, "share": pl.Float64}, orient="row")

    @property
    def best_so_far(self) -> pl.DataFrame:
        """The objective of each point in the order of points, and the best up to it.

        Columns: ``point``, ``value`` and ``best``.
        """
        import polars as pl

        from trading_runtime.results.importance import best_so_far

        objective = self.summary.objective
        steps = best_so_far(self.points, objective.metric, objective.direction)
        schema = {"point": pl.Int32, "value": pl.Float64, "best": pl.Float64}
        return pl.DataFrame(steps, schema, orient="row")

    @property
    def logits(self) -> pl.DataFrame:
        """The logits whose share at or below zero is the probability of overfitting.

        Columns: ``logit`` and ``count``; empty when there is too little to judge.
        """
        import polars as pl

        split = None if self.summary.luck is None else self.summary.luck.overfitting
        schema = {"logit": pl.Float64, "count": pl.Int64}
        return pl.DataFrame([] if split is None else split.logits, schema, orient="row")

    def walk_forward(  # noqa: PLR0913 - the names of skfolio
        self,
        train_size: int,
        test_size: int,
        *,
        purged_size: int = 0,
        expand_train: bool = False,
        reduce_test: bool = False,
        nested: bool = False,
    ) -> WalkForwardFrames:
        """Choose points on some windows and test them on those that follow, from stored results.

        Sizes are in windows of the run. The chosen path is not run as continuous tasks; for that
        see the command ``results walk-forward``. With ``nested``, the point of each split is the
        one that the search inside it chose, which that command has run.

        >>> run.walk_forward(train_size=1, test_size=1).splits.height
        2

        Raises ``UsageError`` when there are too few windows, or a task is missing.
        """
        from trading_runtime.results.frames import curve_frame, splits_frame
        from trading_runtime.results.nested import walk_nested
        from trading_runtime.results.validation import walk_over

        settings = {
            "method": "walk-forward",
            "train_size": train_size,
            "test_size": test_size,
            "purged_size": purged_size,
            "expand_train": expand_train,
            "reduce_test": reduce_test,
        }
        if nested:
            walked = walk_nested(self._stored, self.files, self._plan, settings)
        else:
            walked = walk_over(self._plan, self._stored, self.files, settings)
        return WalkForwardFrames(splits_frame(walked), curve_frame(walked.curve))

    def task(self, point: int | None = None, partition: int = 0) -> TaskResult:
        """Return the result of one point, by default the best, in one partition.

        >>> run.task(0, partition=2).fills.columns[:3]
        ['fill', 'order_id', 'trade_id']

        Raises ``UsageError`` when the run has no such task.
        """
        chosen = self._chosen(point)
        for index, task in enumerate(self._plan.tasks):
            if (task.point, task.partition) == (chosen, partition):
                return TaskResult(self, task, index)
        last = len(self._plan.partitions) - 1
        raise UsageError(f"partition {partition}: the run's partitions are 0 to {last}")

    def equity(self, point: int | None = None) -> pl.DataFrame:
        """Return the equity of a point, by default the best, over all its partitions.

        Columns: ``ts``; ``equity``, the initial equity and the profits since, in the currency of
        the statistics; ``growth``, what one unit of money became with everything reinvested.

        >>> run.equity(0).columns
        ['ts', 'equity', 'growth']

        Raises ``UsageError`` when a task of the point has no result.
        """
        from trading_runtime.results.frames import equity_frame

        return equity_frame(self._plan, self._stored, self._chosen(point))

    def returns(self, point: int | None = None) -> pl.DataFrame:
        """Return the daily returns of a point, by default the best.

        Columns: ``day`` and ``return``, a share; null after a ruin. These are the returns that the
        ratios in ``points`` are made from.

        >>> run.returns(0)["day"].to_list()[0]
        datetime.date(2024, 1, 1)

        Raises ``UsageError`` when a task of the point has no result.
        """
        from trading_runtime.results.frames import returns_frame

        return returns_frame(self._plan, self._stored, self._chosen(point))

    @property
    def plot(self) -> Plots:
        """Charts of this run, as figures of Plotly."""
        return Plots(self)

    @cached_property
    def _plan(self) -> Plan:
        return read_plan(self.files.plan)

    @property
    def _stored(self) -> Store:
        return self._store or open_store(self.files.folder.parent.parent)

    def _chosen(self, point: int | None) -> int:
        if point is None:
            if self.best_point is None:
                raise UsageError(f"run {self.run_id!r} names no best point; give a point's number")
            return self.best_point
        last = len(self._plan.points) - 1
        if not 0 <= point <= last:
            raise UsageError(f"point {point}: the run's points are 0 to {last}")
        return point

    def _repr_html_(self) -> str:
        """Show status, the best points and the equity curve in a notebook."""
        from trading_runtime.report.content import points_table

        objective, counts, points = self.summary.objective, self.summary.counts, self.points
        table = points_table(points, objective.metric, objective.direction, self.summary.best)
        rows = [table.columns, *table.rows[:_SHOWN_POINTS]]
        cells = "".join(
            f"<tr>{''.join(f'<{tag}>{html.escape(cell)}</{tag}>' for cell in row)}</tr>"
            for tag, row in zip(["th", *["td"] * len(rows)], rows, strict=False)
        )
        picture = self.files.report_page.parent / "equity.svg"
        drawn = picture.read_text(encoding="utf-8") if picture.is_file() else ""
        status = "complete" if self.summary.complete else "incomplete"
        return (
            f"<h4>{html.escape(self.run_id)}: {status}, {counts.ok:,} of {counts.planned:,} "
            f"tasks ok</h4><p>{objective.direction} {objective.metric}; the first "
            f"{len(rows) - 1} of {points.height:,} points</p><table>{cells}</table>{drawn}"
        )


@dataclass(frozen=True)
class TaskResult:
    """What one task left: its tables, its statistics, and the engine's log.

    Money and prices are exact decimals, times are in UTC. A table is read, and its sha256 compared,
    when it is asked for. Raises ``UsageError`` when the task has no result, ``DataError`` when it
    is damaged.

    >>> task = run.task(0, partition=1)
    >>> task.orders.height == task.summary["orders"]
    True
    """

    run: Run = field(repr=False)
    task: Task
    index: int

    @property
    def orders(self) -> pl.DataFrame:
        """One row per order, with its final status."""
        return self._table("orders")

    @property
    def fills(self) -> pl.DataFrame:
        """One row per fill; ``value`` and ``fee`` are in the currency of the statistics."""
        return self._table("fills")

    @property
    def positions(self) -> pl.DataFrame:
        """One row per position, with its profit; ``ts_closed`` is null while it is open."""
        return self._table("positions")

    @property
    def equity(self) -> pl.DataFrame:
        """The sampled equity."""
        return self._table("equity")

    @property
    def summary(self) -> dict[str, Any]:
        """Content of ``summary.json``: the task's statistics."""
        content: dict[str, Any] = json.loads(self._file("summary.json"))
        return content

    @property
    def log(self) -> str:
        """What the engine logs, and the strategy prints, when the task is run again.

        Logs are not stored: the task is repeated in a process of its own. Raises ``UsageError``
        when the strategy's code has changed since.
        """
        from trading_runtime.verification.replay import task_log
        from trading_runtime.verification.rerun import (
            STRATEGY_CODE,
            changed_inputs,
            found_origin,
            refuse_changed_inputs,
        )

        with found_origin(self.run._stored, self.run.files) as origin:  # noqa: SLF001 - a part of it
            changed = [item for item in changed_inputs(origin) if item.path == STRATEGY_CODE]
            refuse_changed_inputs(changed, origin)
            return task_log(origin, self.index, "INFO")

    def _table(self, name: str) -> pl.DataFrame:
        from trading_runtime.results.frames import read_frame

        return read_frame(self._file(f"{name}.parquet"))

    def _file(self, name: str) -> bytes:
        task, store = self.task, self.run._stored  # noqa: SLF001 - a part of the run
        if not store.has_task(task.task_id):
            raise UsageError(
                f"point {task.point} has no result for partition {task.partition}: its task failed "
                "or is missing; see run.failures"
            )
        return store.read_task_file(task.task_id, name)


@dataclass(frozen=True)
class Plots:
    """Charts of a run; each is a figure of Plotly, which a notebook shows.

    Raises ``UsageError`` when Plotly is not installed.
    """

    run: Run = field(repr=False)

    def equity(self, point: int | None = None) -> Figure:
        """Return equity and drawdown of a point, by default the best."""
        from trading_runtime.charts.figures import equity_figure

        return equity_figure(self.run.equity(point))

    def heat_map(
        self, x: str | None = None, y: str | None = None, statistic: str | None = None
    ) -> Figure:
        """Return a statistic, by default the objective, over two parameters.

        ``x`` and ``y`` are names of parameters, by default the first two that vary. Where several
        points share a cell, it has the best of them.
        """
        from trading_runtime.charts.figures import heat_map_figure

        return heat_map_figure(self.run.points, self.run.summary.objective, (x, y), statistic)

    def trades(self, point: int | None = None, partition: int | None = None) -> Figure:
        """Return the price with entries, exits and orders, and position, equity and drawdown.

        The point is by default the best, the partition the first in which it traded.
        """
        from trading_runtime.charts.trades import first_traded, read_trades, trades_figure

        if partition is None:
            point = self.run._chosen(point)  # noqa: SLF001
            partition = first_traded(self.run.files, point)
        task = self.run.task(point, partition)
        return trades_figure(read_trades(self.run.files, self.run._stored, task.index))  # noqa: SLF001


def plan(experiment: str | Path | Mapping[str, Any], *, workers: int | None = None) -> PreparedRun:
    """Check the experiment and expand it to tasks; nothing is started, no row is read.

    >>> len(api.plan("experiment.yaml").plan.tasks)
    12

    Raises what ``execution.preparation.prepare_run`` raises.
    """
    with PrestartedWorker() as prestarted:
        return prepare_run(experiment, workers, prestarted.check)


def run(  # noqa: PLR0913 - keyword-only choices of one call
    experiment: str | Path | Mapping[str, Any],
    *,
    run_id: str | None = None,
    workers: int | None = None,
    allow_incomplete: bool = False,
    show_progress: bool = False,
    should_stop: Callable[[], bool] = lambda: False,
    prestarted: PrestartedWorker | None = None,
) -> Run:
    """Run an experiment on this machine and summarise it.

    ``experiment`` is the path of a file, or its content as a mapping, whose paths then start at the
    current folder. ``run_id`` names the run; the same id with the same plan resumes it. With
    ``allow_incomplete`` a best point is named even if tasks failed. Failed tasks do not raise: see
    ``Run.kind``.

    >>> run = api.run("experiment.yaml", run_id="first")
    >>> run.best_point in range(4)
    True

    Raises what ``plan`` and ``execution.local_run.LocalRun.execute`` raise, and ``UsageError`` for
    an invalid run id.
    """
    from trading_runtime.execution.local_run import LocalRun

    if run_id is not None:
        check_run_id(run_id)
    with PrestartedWorker() if prestarted is None else nullcontext(prestarted) as worker:
        prepared = prepare_run(experiment, workers, worker.check)
        if run_id is None:
            taken = set(prepared.store.run_ids())
            run_id = new_run_id(prepared.loaded.experiment.name, dt.datetime.now(dt.UTC), taken)
        asked = prepared.loaded.experiment.search
        if asked is not None and asked.is_adaptive:
            from trading_runtime.search.running import run_search

            searched = run_search(
                prepared,
                run_id,
                should_stop=should_stop,
                show_progress=show_progress,
                prestarted=worker,
                allow_incomplete=allow_incomplete,
            )
            ended, how, files = searched.outcome, searched.how, searched.run.files
        else:
            started = LocalRun(prepared, run_id, should_stop, show_progress, worker)
            ended, how, files = (
                started.execute(allow_incomplete=allow_incomplete),
                "",
                started.files,
            )
    result = ended.reduction.result
    return Run(run_id, files, result, ended.computed, ended.seconds, how, prepared.store)


def runs(results: str | Path | None = None) -> pl.DataFrame:
    """Return the runs in a results folder, the oldest first.

    Columns: ``run_id``, ``experiment``, ``status``, ``started``, ``ended``, ``planned``, ``ok`` and
    ``failed``. The folder is ``TRADING_RUNTIME_RESULTS``, else what the project file says, else
    ``results``.

    >>> api.runs()["run_id"].to_list()
    ['first']
    """
    import polars as pl

    from trading_runtime.runs.finding import runs_by_start
    from trading_runtime.runs.overview import overview

    store = open_store(results_here() if results is None else results)
    texts = ("run_id", "experiment", "status", "started", "ended")
    types = dict.fromkeys(texts, pl.String) | dict.fromkeys(("planned", "ok", "failed"), pl.Int64)
    found = [overview(store, run_id).to_document() for run_id in runs_by_start(store)]
    return pl.DataFrame([{name: each[name] for name in types} for each in found], schema=types)


def open_run(run_id: str = "latest", results: str | Path | None = None) -> Run:
    """Return a stored run by its id, or the latest one.

    ``results`` is the folder or the address in S3, by default the one of ``runs``.

    >>> api.open_run("first").run_id
    'first'

    Raises ``UsageError`` when there is no such run, or when it did not reach its summary.
    """
    from trading_runtime.runs.finding import named_run

    place = results_here() if results is None else results
    store = open_store(place)
    found = named_run(store, run_id, str(place), "results=")
    files = store.run(found)
    result = read_result(files)
    if result is None:
        raise UsageError(f"{files.result}: the run {found!r} has no result; see 'runs list'")
    return Run(found, files, result, computed=0, seconds=0.0, _store=store)


def to_pandas(frame: pl.DataFrame) -> pd.DataFrame:
    """Return a table for pandas: decimals as floats, the first column of times as index.

    >>> api.to_pandas(run.returns(0)).index.name
    'day'

    Raises ``UsageError`` when pandas is not installed.
    """
    import polars as pl
    import polars.selectors as cs

    try:
        import pandas as pd
    except ImportError as error:
        raise UsageError("pandas is not installed; run 'pip install pandas'") from error
    floats = frame.with_columns(cs.decimal().cast(pl.Float64))
    content = {name: floats[name].to_list() for name in floats.columns}
    times = [name for name, kind in floats.schema.items() if kind.is_temporal()]
    found = pd.DataFrame(content)
    for name in times:
        # Nanoseconds, which Python's own times do not have.
        zone = getattr(floats.schema[name], "time_zone", None)
        stamps = floats[name].cast(pl.Datetime("ns")).to_physical().to_list()
        found[name] = pd.to_datetime(stamps, unit="ns", utc=zone is not None)
    return found.set_index(times[0]) if times else found


def _read_frame(path: Path) -> pl.DataFrame:
    import polars as pl

    return pl.read_parquet(path)
