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
from trading_runtime.results.front import unbeaten
from trading_runtime.search.asking import Evaluated, SearchInputs, Space, ask, check_search_plan
from trading_runtime.search.generations import (
    generation_id,
    keep_generation,
    read_generation,
    refuse_other_search,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    import polars as pl

    from trading_runtime.config.experiment import SearchSettings
    from trading_runtime.execution.local_run import RunOutcome
    from trading_runtime.execution.preparation import PreparedRun
    from trading_runtime.execution.workers.processes import PrestartedWorker
    from trading_runtime.search.asking import Asked


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
    store, inputs = prepared.store, SearchInputs.of(prepared.loaded.experiment)
    space = Space.of(inputs)
    check_search_plan(space, inputs.search)
    evaluated: list[Evaluated] = []
    number = computed = tasks = without_better = 0
    windows = len(prepared.plan.partitions)
    seconds = 0.0
    while True:
        why = _ended(inputs.search, windows, evaluated, tasks, without_better)
        stored = None if why else read_generation(store, run_id, number)
        if not why and stored is None:
            asked = ask(space, inputs, number, evaluated)
            if not asked:
                why = "every allowed point that the search proposes was tried"
            else:
                stored = keep_generation(store, run_id, number, inputs, asked)
        if why or stored is None:
            break
        refuse_other_search(stored, inputs, run_id)
        planned = planned_for(prepared, space, stored.asked)
        name = generation_id(run_id, number)
        generation = LocalRun(planned, name, should_stop, show_progress, prestarted)
        ended = generation.execute(allow_incomplete=True)
        prestarted = None
        computed, seconds = computed + ended.computed, seconds + ended.seconds
        tasks += len(planned.plan.tasks)
        before = best_of(evaluated, inputs)
        evaluated += told_of(stored.asked, ended.reduction.points, inputs)
        after = best_of(evaluated, inputs)
        without_better = 0 if after != before else without_better + 1
        number += 1
        if show_progress:
            sys.stderr.write(f"{_progress(number, evaluated, after, inputs)}\n")
    if not evaluated:
        raise UsageError(f"search.budget: {why}; allow more tasks")
    planned = planned_for(prepared, space, [each.asked for each in evaluated])
    run = LocalRun(planned, run_id, should_stop, show_progress=False, prestarted=None)
    last = run.execute(allow_incomplete=allow_incomplete)
    outcome = dataclasses.replace(
        last, computed=computed + last.computed, seconds=seconds + last.seconds
    )
    how = f"{inputs.search.method}: {len(evaluated):,} points in {number:,} generations; {why}"
    return Searched(run, outcome, how)


def planned_for(prepared: PreparedRun, space: Space, asked: Iterable[Asked]) -> PreparedRun:
    """Plan the experiment of a prepared run with the points that were asked for."""
    points = PointList([space.point(each.indices) for each in asked])
    return prepare_loaded(prepared.loaded, prepared.workers, points=points)


def objective_values(points: pl.DataFrame, metric: str) -> list[float | None]:
    """Return the objective of each point in their order, ``None`` where it failed."""
    values = points.sort("point")[metric].to_list()
    return [None if value is None else float(value) for value in values]


def told_of(asked: Iterable[Asked], points: pl.DataFrame, inputs: SearchInputs) -> list[Evaluated]:
    """Return the results of points in their order; without a value of each objective, it failed."""
    values = [objective_values(points, each.metric) for each in inputs.objectives]
    return [
        Evaluated(point, None) if None in of_point else Evaluated(point, of_point[0], of_point[1:])
        for point, of_point in zip(asked, zip(*values, strict=True), strict=True)
    ]


def best_of(evaluated: Sequence[Evaluated], inputs: SearchInputs) -> list[tuple[float, ...]]:
    """Return the values that no others beat, each once, the best by the first objective first.

    With one objective that is the best value; nothing when every point failed.
    """
    known = sorted({each.values for each in evaluated if each.values is not None})
    directions = [each.direction for each in inputs.objectives]
    kept = [known[place] for place in unbeaten(known, directions)]
    return kept if directions[0] == "minimize" else kept[::-1]


def _ended(
    settings: SearchSettings,
    windows: int,
    evaluated: Sequence[Evaluated],
    tasks: int,
    without_better: int,
) -> str:
    """Return why the search ends, or nothing."""
    points = settings.points or 0
    if len(evaluated) >= points:
        return f"all {points:,} points were asked"
    if settings.patience is not None and without_better >= settings.patience:
        return f"{without_better} generations in a row found nothing better (search.patience)"
    size = min(settings.generation, points - len(evaluated))
    if settings.budget is not None and tasks + size * windows > settings.budget:
        return f"another generation would go beyond {settings.budget:,} tasks (search.budget)"
    return ""


def _progress(
    generations: int,
    evaluated: Sequence[Evaluated],
    best: Sequence[tuple[float, ...]],
    inputs: SearchInputs,
) -> str:
    failed = sum(each.value is None for each in evaluated)
    undone = f", {failed:,} of them without a value" if failed else ""
    known = f"{inputs.objective.metric} {best[0][0]:.6g}" if best else "none has a value"
    front = f"; on the front: {len(best):,}" if len(inputs.objectives) > 1 else ""
    return (
        f"generation {generations}: {len(evaluated):,} points{undone}; best so far: {known}{front}"
    )
