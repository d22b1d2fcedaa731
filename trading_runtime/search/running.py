"""A search on this machine: generation after generation, then the run itself.

Each generation is a separate run, so nothing computed is lost however the process ends. The last
run has all points, whose results are all stored by then, or those of the last rung on all windows:
its tables, report and statistics are those of any other run.
"""

from __future__ import annotations

import dataclasses
import functools
import sys
from typing import TYPE_CHECKING, NamedTuple

from trading_runtime.errors import IncompleteError
from trading_runtime.execution.local_run import LocalRun
from trading_runtime.execution.preparation import check_here, prepare_loaded
from trading_runtime.planning.points import PointList
from trading_runtime.search.asking import SearchInputs, import_sampler
from trading_runtime.search.state import AdaptiveSearch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from trading_runtime.execution.local_run import RunOutcome
    from trading_runtime.execution.preparation import Check, PreparedRun
    from trading_runtime.execution.workers.prestarted import PrestartedWorker
    from trading_runtime.search.asking import Asked
    from trading_runtime.search.state import Search


class Searched(NamedTuple):
    """How a search ended."""

    run: LocalRun
    outcome: RunOutcome
    """The last run's; tasks and seconds are those of all generations."""
    how: str
    """A sentence: how many generations and points there were, and why the search ended."""


def run_search(  # noqa: PLR0913 - what a run is started with
    prepared: PreparedRun,
    run_id: str,
    *,
    should_stop: Callable[[], bool],
    show_progress: bool,
    prestarted: PrestartedWorker,
    allow_incomplete: bool,
    is_inside: bool = False,
) -> Searched:
    """Search as the experiment says, then run the points that the search ends with.

    A search that is inside a split of another run keeps its workers for the next one, and has no
    report. The same run id resumes where it ended. Raises what ``LocalRun.execute`` raises, and
    ``IncompleteError`` when equal failures end a generation (``limits.stop_after``), and
    ``UsageError`` when the method cannot search this space, or when the run id belongs to another
    search.
    """
    search = search_of(prepared, run_id)
    prestarted.keeps = True
    computed, seconds = 0, 0.0
    while (asked := search.next_asked()) is not None:
        generation = LocalRun(
            planned_for(prepared, search, asked, prestarted.check),
            *(search.generation_id, should_stop, show_progress, prestarted),
            has_report=False,
            meanwhile=functools.partial(import_sampler, search.inputs.search),
        )
        ended = generation.execute(allow_incomplete=True)
        computed, seconds = computed + ended.computed, seconds + ended.seconds
        if missing := ended.reduction.result.counts.missing:
            # Points that were never tried are not asked from as if they had failed.
            raise IncompleteError(
                f"run {search.generation_id!r}: {missing:,} tasks not started after as many equal "
                "failures as limits.stop_after allows, so the search asks for no more points; "
                f"'trading-runtime runs show {search.generation_id}' says what failed"
            )
        search.tell(asked, ended.reduction.points)
        if show_progress:
            sys.stderr.write(f"{search.progress}\n")
    planned = planned_for(prepared, search, search.last_asked(), prestarted.check)
    prestarted.keeps = is_inside
    if not is_inside and not planned.plan.uncached:
        prestarted.end_idle()
    show_progress = show_progress and bool(planned.plan.uncached)
    run = LocalRun(
        *(planned, run_id, should_stop, show_progress, prestarted), has_report=not is_inside
    )
    last = run.execute(allow_incomplete=allow_incomplete)
    outcome = dataclasses.replace(
        last, computed=computed + last.computed, seconds=seconds + last.seconds
    )
    return Searched(run, outcome, search.how)


def search_of(prepared: PreparedRun, run_id: str) -> Search:
    """Return the search of a prepared run, at its beginning.

    Raises ``UsageError`` when the method cannot search this space, or within its budget.
    """
    inputs, plan = SearchInputs.of(prepared.loaded.experiment), prepared.plan
    if inputs.search.method == "successive-halving":
        # It reads tables, and no worker has a task while what that takes is imported.
        from trading_runtime.search.halving import Halving

        return Halving(prepared.store, run_id, inputs, plan)
    return AdaptiveSearch(prepared.store, run_id, inputs, len(plan.partitions))


def planned_for(
    prepared: PreparedRun, search: Search, asked: Iterable[Asked], check: Check = check_here
) -> PreparedRun:
    """Plan the points that a search asks for next, on the windows that it wants.

    The first ones are those of ``prepared`` already; others are checked as ``prepare_run`` does.
    """
    points = [search.space.point(each.indices) for each in asked]
    planned = prepared
    first = [dict(point.parameters) for point in prepared.plan.points]
    if search.generations or points != first:
        planned = prepare_loaded(prepared.loaded, prepared.workers, check, PointList(points))
    return dataclasses.replace(planned, plan=search.on_windows(planned.plan, planned.workers))
