"""Successive halving: many points on few windows, the best of them on more, a few on all.

Rungs are synchronous and windows are the fidelity: a rung is a run of its own over some windows,
and the last one is the run itself, over all. The windows of a rung are among those of the next one,
so nothing is computed twice. Source: Jamieson and Talwalkar, "Non-stochastic Best Arm
Identification and Hyperparameter Optimization", AISTATS 2016.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, NamedTuple

from trading_runtime.errors import DataError, UsageError
from trading_runtime.planning.plan import with_tasks
from trading_runtime.records.plan import read_plan
from trading_runtime.records.result import read_result
from trading_runtime.records.run_files import generation_id
from trading_runtime.results.run_records import read_table
from trading_runtime.results.validation import windows_of
from trading_runtime.search.asking import SearchInputs, Space, ask
from trading_runtime.search.generations import (
    CheckedSearch,
    name_of,
    read_generation,
    refuse_other_points,
)
from trading_runtime.search.state import Search, objective_values

if TYPE_CHECKING:
    from collections.abc import Sequence

    import polars as pl

    from trading_runtime.records.plan import Plan
    from trading_runtime.records.run_files import RunFiles
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


class Halving(Search):
    """A search whose generations are rungs; the last rung is the run itself."""

    def __init__(self, store: Store, run_id: str, inputs: SearchInputs, plan: Plan) -> None:
        """``plan`` has all windows; raises ``UsageError`` when the rungs exceed the budget."""
        super().__init__(store, run_id, inputs)
        self._asked = ask(self.space, inputs, 0, [])
        self._windows = windows_of(plan)
        self._rungs = rungs_of(len(self._asked), len(self._windows), inputs.search.eta)
        _check_budget(inputs, self._rungs)

    def next_asked(self) -> list[Asked] | None:
        """Return the points of the next rung; ``None`` when that is the last one."""
        self._asked = self._kept(lambda: self._asked)
        return self._asked if self.generations < len(self._rungs) - 1 else None

    def tell(self, asked: Sequence[Asked], points: pl.DataFrame) -> None:
        """Take in the results of a rung: its best points advance."""
        values = objective_values(points, self.inputs.objective.metric)
        self.generations += 1
        self._asked = _best(
            asked, values, self._rungs[self.generations].points, self.inputs.objective.direction
        )

    def last_asked(self) -> list[Asked]:
        """Return the points of the last rung."""
        return self._asked

    def on_windows(self, plan: Plan, workers: int) -> Plan:
        """Return the plan with the windows of the next rung."""
        kept = window_order(len(self._windows))[: self._rungs[self.generations].windows]
        if len(kept) == len(self._windows):
            return plan
        windows = {self._windows[place] for place in kept}
        return with_tasks(plan, lambda _, window: window in windows, workers)

    @property
    def how(self) -> str:
        """A sentence: how many points each rung had, and on how many windows."""
        steps = ", ".join(f"{rung.points:,} on {rung.windows:,}" for rung in self._rungs)
        return f"{self.inputs.search.method}: points on windows: {steps}"

    @property
    def progress(self) -> str:
        """A line about the last rung whose results are known."""
        if not self.generations:
            return "nothing is known yet"
        from trading_runtime.report.formatting import counted

        rung = self._rungs[self.generations - 1]
        return (
            f"rung {self.generations} of {len(self._rungs)}: {counted(rung.points, 'point')} on "
            f"{counted(rung.windows, 'window')}; {self._rungs[self.generations].points:,} advance"
        )


def check_halving(store: Store, run_id: str, inputs: SearchInputs) -> CheckedSearch:
    """Choose the points of every rung again, from the results that the rungs have stored.

    Raises ``DataError`` when a rung's results are missing or damaged.
    """
    asked = ask(Space.of(inputs), inputs, 0, [])
    differs, points = None, 0
    bounds = {(each.start, each.end) for each in read_plan(store.run(run_id).plan).partitions}
    rungs = rungs_of(len(asked), len(bounds), inputs.search.eta)
    for number in range(len(rungs)):
        name = f"{store.objects.url}/{name_of(run_id, number)}"
        stored = read_generation(store, run_id, number)
        if stored is None:
            raise DataError(f"{name}: is missing: the search has {len(rungs)} rungs; restore it")
        is_last = number == len(rungs) - 1
        files = store.run(run_id if is_last else generation_id(run_id, number))
        refuse_other_points(name, stored, inputs, read_plan(files.plan).points)
        if number:
            values = _values_of(store.run(generation_id(run_id, number - 1)), inputs)
            asked = _best(asked, values, len(stored.asked), inputs.objective.direction)
        if differs is None and asked != stored.asked:
            differs = number
        asked = stored.asked
        points += len(asked)
    return CheckedSearch(len(rungs), points, differs)


def _values_of(files: RunFiles, inputs: SearchInputs) -> list[float | None]:
    """Return the objective of each point of a rung."""
    result = read_result(files)
    if result is None:
        raise DataError(f"{files.result}: is missing; run the experiment again with this run id")
    return objective_values(read_table(files.points, result.tables), inputs.objective.metric)


def _best(
    asked: Sequence[Asked], values: Sequence[float | None], count: int, direction: str
) -> list[Asked]:
    """Return the points with the best values, in their order; those that failed come last."""
    sign = 1.0 if direction == "minimize" else -1.0

    def rank(place: int) -> tuple[bool, float, int]:
        value = values[place]
        return value is None, 0.0 if value is None else sign * value, place

    return [asked[place] for place in sorted(sorted(range(len(asked)), key=rank)[:count])]


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
