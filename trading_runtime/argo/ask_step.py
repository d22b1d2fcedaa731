"""The step ``ask``: what a search computes next, from the results of what it computed before.

A generation is a run of its own, as on a laptop. The step goes through the stored generations,
summarises the one whose tasks were computed last, and plans the next one; or, once the search has
ended, the run itself. So it may be repeated at any moment, and a workflow with the same
run id continues where another one ended.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from trading_runtime.argo.check_step import missing_tasks
from trading_runtime.argo.plan_step import (
    batch_tasks,
    begin_in_pods,
    fetched_experiment,
    most_rounds,
    with_pod_batches,
)
from trading_runtime.argo.planned_run import find_planned_run
from trading_runtime.argo.summary_step import run_summary_step
from trading_runtime.errors import UsageError
from trading_runtime.execution.preparation import naming, prepare_loaded
from trading_runtime.records.result import read_result
from trading_runtime.results.run_records import read_table
from trading_runtime.runs.metadata import Status
from trading_runtime.search.running import planned_for, search_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    import polars as pl

    from trading_runtime.argo.plan_step import PodSettings
    from trading_runtime.records.plan import Plan
    from trading_runtime.results.store import Store
    from trading_runtime.search.asking import Asked


class AskedBatches(NamedTuple):
    """What the workflow does next."""

    run_id: str
    """The run whose batches are to be computed."""
    batch_tasks: tuple[int, ...]
    """How many tasks each of these batches has."""
    rounds: int
    """Of the workflow; none follows the one that finds the search ended."""
    ended: str
    """How the search ended; empty while it continues."""
    progress: str

    @property
    def batches(self) -> int:
        """The number of batches."""
        return len(self.batch_tasks)


def run_ask_step(experiment: str, run_id: str, settings: PodSettings, number: int) -> AskedBatches:
    """Plan the next generation of a search that the step ``plan`` has checked.

    ``number`` is that of the round, counted from 0: what is done does not depend on it.

    Raises ``UsageError`` when the run id belongs to another search or to other code, or the search
    was asked to stop, and what the steps ``plan`` and ``summary`` raise.
    """
    with fetched_experiment(experiment, settings.code) as loaded, naming(experiment):
        prepared = prepare_loaded(loaded, 1)
        search = search_of(prepared, run_id)
        rounds = most_rounds(search.inputs.search)

        def begin(asked: Sequence[Asked], name: str) -> tuple[int, ...]:
            planned = with_pod_batches(
                planned_for(prepared, search, asked), settings.batch_seconds, settings.most_batches
            )
            begin_in_pods(planned, name, settings)
            return batch_tasks(planned.plan)

        while (asked := search.next_asked()) is not None:
            name = search.generation_id
            points = _points_of(prepared.store, name, search.on_windows(prepared.plan, 1))
            if points is None:
                return AskedBatches(name, begin(asked, name), rounds, "", search.progress)
            search.tell(asked, points)
        # What is left to compute: the last rung, and tasks that failed in their generation.
        tasks = begin(search.last_asked(), run_id)
        return AskedBatches(run_id, tasks, number + 1, search.how, search.progress)


def _points_of(store: Store, run_id: str, plan: Plan) -> pl.DataFrame | None:
    """Return the points of a generation's run; ``None`` while there are tasks to compute."""
    run = find_planned_run(store.place, run_id)
    if run is None:
        return None
    if (run.plan.common, run.plan.partitions) != (plan.common, plan.partitions):
        raise UsageError(
            f"run {run_id!r} exists with another plan (other code, data or windows); choose "
            "another run id"
        )
    if run.shared.stop_requested():
        raise UsageError(
            f"run {run_id!r} was asked to stop; submit the experiment again with the run id of the "
            "search to continue"
        )
    if missing_tasks(run):
        return None
    if run.metadata.status not in {Status.COMPLETE, Status.INCOMPLETE}:
        run_summary_step(store.place, run_id, allow_incomplete=True)
    files = store.run(run_id)
    result = read_result(files)
    return read_table(files.points, None if result is None else result.tables)
