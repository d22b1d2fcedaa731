"""An adaptive search on this machine: generation after generation, then one run over all points.

Each generation is a separate run, so nothing computed is lost however the process ends. The last
run has all points, whose results are all stored by then: its tables, report and statistics are
those of any other run.
"""

from __future__ import annotations

import dataclasses
import sys
from typing import TYPE_CHECKING, NamedTuple

from trading_runtime.errors import UsageError
from trading_runtime.execution.local_run import LocalRun
from trading_runtime.execution.preparation import prepare_loaded
from trading_runtime.planning.points import PointList
from trading_runtime.search.asking import SearchInputs
from trading_runtime.search.state import SearchState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from trading_runtime.execution.local_run import RunOutcome
    from trading_runtime.execution.preparation import PreparedRun
    from trading_runtime.execution.workers.processes import PrestartedWorker
    from trading_runtime.search.asking import Asked, Space


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
    prestarted: PrestartedWorker | None,
    allow_incomplete: bool,
) -> Searched:
    """Search as the experiment says, then run all points that were asked for.

    The same run id resumes where it ended. Raises what ``LocalRun.execute`` raises, and
    ``UsageError`` when the method cannot search this space, or when the run id belongs to another
    search.
    """
    search = SearchState(
        prepared.store,
        run_id,
        SearchInputs.of(prepared.loaded.experiment),
        len(prepared.plan.partitions),
    )
    computed, seconds = 0, 0.0
    while (asked := search.next_asked()) is not None:
        planned = planned_for(prepared, search.space, asked)
        generation = LocalRun(planned, search.generation_id, should_stop, show_progress, prestarted)
        ended = generation.execute(allow_incomplete=True)
        prestarted = None
        computed, seconds = computed + ended.computed, seconds + ended.seconds
        search.tell(asked, ended.reduction.points)
        if show_progress:
            sys.stderr.write(f"{search.progress}\n")
    planned = whole_search(prepared, search)
    run = LocalRun(planned, run_id, should_stop, show_progress=False, prestarted=None)
    last = run.execute(allow_incomplete=allow_incomplete)
    outcome = dataclasses.replace(
        last, computed=computed + last.computed, seconds=seconds + last.seconds
    )
    return Searched(run, outcome, search.how)


def whole_search(prepared: PreparedRun, search: SearchState) -> PreparedRun:
    """Plan all points of a search that ended; raises ``UsageError`` when it never began."""
    if not search.evaluated:
        raise UsageError(f"search.budget: {search.why}; allow more tasks")
    return planned_for(prepared, search.space, [each.asked for each in search.evaluated])


def planned_for(prepared: PreparedRun, space: Space, asked: Iterable[Asked]) -> PreparedRun:
    """Plan the experiment of a prepared run with the points that were asked for."""
    points = PointList([space.point(each.indices) for each in asked])
    return prepare_loaded(prepared.loaded, prepared.workers, points=points)
