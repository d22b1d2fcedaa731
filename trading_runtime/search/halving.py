"""Successive halving: many points on few windows, the best of them on more, a few on all.

Rungs are synchronous and windows are the fidelity: a rung is a run of its own over some windows,
and the last one is the run itself, over all. The windows of a rung are among those of the next one,
so nothing is computed twice. Source: Jamieson and Talwalkar, "Non-stochastic Best Arm
Identification and Hyperparameter Optimization", AISTATS 2016.
"""

from __future__ import annotations

import dataclasses
import itertools
import sys
from typing import TYPE_CHECKING, NamedTuple

from trading_runtime.errors import DataError, UsageError
from trading_runtime.execution.local_run import LocalRun
from trading_runtime.planning.plan import batches
from trading_runtime.records.result import read_result
from trading_runtime.results.run_records import read_table
from trading_runtime.search.asking import SearchInputs, Space, ask
from trading_runtime.search.generations import (
    CheckedSearch,
    generation_id,
    keep_generation,
    read_generation,
    refuse_other_search,
)
from trading_runtime.search.running import Searched, planned_for
from trading_runtime.search.state import objective_values

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from trading_runtime.execution.preparation import PreparedRun
    from trading_runtime.execution.workers.processes import PrestartedWorker
    from trading_runtime.records.plan import Plan
    from trading_runtime.results.store import Store
    from trading_runtime.search.asking import Asked


class Rung(NamedTuple):
    """How many points are tried on how many windows."""

    points: int
    windows: int


def rungs_of(points: int, windows: int, eta: int) -> list[Rung]:
    """Return the rungs; the last one has all windows.

    There are as many as both points and windows allow: each has one point in ``eta`` of the rung
    before, on ``eta`` times its windows, rounded up.
    """
    steps = 0
    while eta ** (steps + 1) <= min(points, windows):
        steps += 1
    return [
        Rung(-(-points // eta**rung), -(-windows // eta ** (steps - rung)))
        for rung in range(steps + 1)
    ]


def window_order(count: int) -> list[int]:
    """Return the numbers below ``count`` in an order of which any beginning is spread evenly.

    That is the order of their binary digits read backwards.
    """
    digits = max(1, (count - 1).bit_length())
    return sorted(range(count), key=lambda number: int(f"{number:0{digits}b}"[::-1], 2))


def run_halving(  # noqa: PLR0913 - what a run is started with
    prepared: PreparedRun,
    run_id: str,
    *,
    should_stop: Callable[[], bool],
    show_progress: bool,
    prestarted: PrestartedWorker | None,
    allow_incomplete: bool,
) -> Searched:
    """Run rung after rung; the same run id resumes where it ended.

    Raises what ``LocalRun.execute`` raises, and ``UsageError`` when the run id belongs to another
    search or ``search.budget`` is too small.
    """
    store, inputs = prepared.store, SearchInputs.of(prepared.loaded.experiment)
    space, windows = Space.of(inputs), _windows(prepared.plan)
    asked = ask(space, inputs, 0, [])
    rungs = rungs_of(len(asked), len(windows), inputs.search.eta)
    _check_budget(inputs, rungs)
    computed, seconds = 0, 0.0
    for number, rung in enumerate(rungs):
        stored = keep_generation(store, run_id, number, inputs, asked)
        refuse_other_search(stored, inputs, run_id)
        asked = stored.asked
        planned = planned_for(prepared, space, asked)
        is_last = number == len(rungs) - 1
        if not is_last:
            kept = {windows[place] for place in window_order(len(windows))[: rung.windows]}
            planned = dataclasses.replace(planned, plan=_on(planned.plan, kept, planned.workers))
        name = run_id if is_last else generation_id(run_id, number)
        run = LocalRun(planned, name, should_stop, show_progress, prestarted)
        ended = run.execute(allow_incomplete=allow_incomplete or not is_last)
        prestarted = None
        computed, seconds = computed + ended.computed, seconds + ended.seconds
        if is_last:
            break
        metric = inputs.objective.metric
        values = objective_values(ended.reduction.points, metric)
        asked = _best(asked, values, rungs[number + 1].points, inputs.objective.direction)
        if show_progress:
            sys.stderr.write(
                f"rung {number + 1} of {len(rungs)}: {len(values):,} points on {rung.windows:,} "
                f"windows; {len(asked):,} go on\n"
            )
    outcome = dataclasses.replace(ended, computed=computed, seconds=seconds)
    steps = ", ".join(f"{rung.points:,} on {rung.windows:,}" for rung in rungs)
    return Searched(run, outcome, f"{inputs.search.method}: points on windows: {steps}")


def check_halving(store: Store, run_id: str, inputs: SearchInputs) -> CheckedSearch:
    """Choose the points of every rung again, from the results that the rungs have stored.

    Raises ``DataError`` when a rung's results are missing or damaged.
    """
    asked = ask(Space.of(inputs), inputs, 0, [])
    differs, number, points = None, 0, 0
    while (stored := read_generation(store, run_id, number)) is not None:
        if number:
            files = store.run(generation_id(run_id, number - 1))
            result = read_result(files)
            if result is None:
                raise DataError(
                    f"{files.result}: is missing; run the experiment again with this run id"
                )
            values = objective_values(
                read_table(files.points, result.tables), inputs.objective.metric
            )
            asked = _best(asked, values, len(stored.asked), inputs.objective.direction)
        if differs is None and asked != stored.asked:
            differs = number
        asked = stored.asked
        points += len(asked)
        number += 1
    return CheckedSearch(number, points, differs)


def _best(
    asked: Sequence[Asked], values: Sequence[float | None], count: int, direction: str
) -> list[Asked]:
    """Return the points with the best values, in their order; those that failed come last."""
    sign = 1.0 if direction == "minimize" else -1.0

    def rank(place: int) -> tuple[bool, float, int]:
        value = values[place]
        return value is None, 0.0 if value is None else sign * value, place

    return [asked[place] for place in sorted(sorted(range(len(asked)), key=rank)[:count])]


def _windows(plan: Plan) -> list[tuple[int, int]]:
    return sorted({(partition.start, partition.end) for partition in plan.partitions})


def _on(plan: Plan, windows: set[tuple[int, int]], workers: int) -> Plan:
    """Return the plan with the tasks of some windows alone."""
    kept = [item for item in plan.partitions if (item.start, item.end) in windows]
    place = {item.index: number for number, item in enumerate(kept)}
    tasks = [
        task._replace(partition=place[task.partition])
        for task in plan.tasks
        if task.partition in place
    ]
    return dataclasses.replace(
        plan,
        partitions=tuple(dataclasses.replace(item, index=place[item.index]) for item in kept),
        days=None,
        tasks=tuple(tasks),
        batches=batches([task.cached for task in tasks], workers),
    )


def _check_budget(inputs: SearchInputs, rungs: Sequence[Rung]) -> None:
    """Raise ``UsageError`` when the rungs have more tasks than the budget.

    A point that is kept only adds the windows that it has not seen.
    """
    tasks = rungs[0].points * rungs[0].windows + sum(
        after.points * (after.windows - before.windows)
        for before, after in itertools.pairwise(rungs)
    )
    budget = inputs.search.budget
    if budget is not None and tasks > budget:
        raise UsageError(
            f"search.budget: {budget:,} tasks, and {inputs.search.method} of {rungs[0].points:,} "
            f"points takes {tasks:,}; ask for fewer points, or allow more tasks"
        )
