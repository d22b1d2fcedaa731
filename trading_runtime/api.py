"""Plan and run experiments from Python: the same steps as the command line, for notebooks.

from trading_runtime import api

run = api.run("trading_runtime/local/local.json")
run.points.sort("sharpe", descending=True).head()
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from trading_runtime.errors import Kind, UsageError
from trading_runtime.execution.preparation import PreparedRun, check_here, prepare_run
from trading_runtime.records.failures import read_failure
from trading_runtime.records.result import read_result
from trading_runtime.results.opening import open_store
from trading_runtime.runs.opening import check_run_id, new_run_id
from trading_runtime.storage.files import read_json

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import polars as pl

    from trading_runtime.execution.workers.processes import PrestartedWorker
    from trading_runtime.records.result import RunResult
    from trading_runtime.records.run_files import RunFiles


@dataclass(frozen=True)
class Run:
    """A run that ended, and its results."""

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
        """One row per task."""
        return _read_frame(self.files.results)

    @property
    def points(self) -> pl.DataFrame:
        """One row per point, aggregated over partitions."""
        return _read_frame(self.files.points)

    @property
    def failures(self) -> list[dict[str, Any]]:
        """The failed tasks, sorted by task id, as in their failure files."""
        found = (read_failure(path) for path in sorted(self.files.failures.glob("*.json")))
        return [failure.to_document() for failure in found if failure is not None]

    @property
    def trials(self) -> dict[str, Any]:
        """Content of ``trials.json``: what had been tried on the same data when the run ended."""
        return read_json(self.files.trials) or {}

    @property
    def report(self) -> Path:
        """The path of the report's page."""
        return self.files.report_page


def plan(experiment: str | Path, *, workers: int | None = None) -> PreparedRun:
    """Check the experiment file and expand it to tasks; nothing is started, no row is read.

    Raises what ``execution.preparation.prepare_run`` raises.
    """
    return prepare_run(experiment, workers)


def run(  # noqa: PLR0913 - keyword-only choices of one call
    experiment: str | Path,
    *,
    run_id: str | None = None,
    workers: int | None = None,
    allow_incomplete: bool = False,
    show_progress: bool = False,
    should_stop: Callable[[], bool] = lambda: False,
    prestarted: PrestartedWorker | None = None,
) -> Run:
    """Run an experiment on this machine and summarise it.

    ``run_id`` names the run; the same id with the same plan resumes it. With ``allow_incomplete`` a
    best point is named even if tasks failed. Failed tasks do not raise: see ``Run.kind``.

    Raises what ``plan`` and ``execution.local_run.LocalRun.execute`` raise, and ``UsageError`` for
    an invalid run id.
    """
    from trading_runtime.execution.local_run import LocalRun

    if run_id is not None:
        check_run_id(run_id)
    prepared = prepare_run(
        experiment, workers, check_here if prestarted is None else prestarted.check
    )
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
            prestarted=prestarted,
            allow_incomplete=allow_incomplete,
        )
        last = searched.outcome
        result, how = last.reduction.result, searched.how
        return Run(run_id, searched.run.files, result, last.computed, last.seconds, how)
    started = LocalRun(prepared, run_id, should_stop, show_progress, prestarted)
    ended = started.execute(allow_incomplete=allow_incomplete)
    return Run(run_id, started.files, ended.reduction.result, ended.computed, ended.seconds)


def open_run(results: str | Path, run_id: str) -> Run:
    """Return a run stored in the folder ``results``; raises ``UsageError`` when there is none."""
    files = open_store(results).run(check_run_id(run_id))
    result = read_result(files)
    if result is None:
        raise UsageError(f"{files.result}: the run {run_id!r} has no result; see 'runs list'")
    return Run(run_id, files, result, computed=0, seconds=0.0)


def _read_frame(path: Path) -> pl.DataFrame:
    import polars as pl

    return pl.read_parquet(path)
