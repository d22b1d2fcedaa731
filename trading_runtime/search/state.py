"""How far a search is: what it knows, what it asks for next, and why it ends."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from trading_runtime.errors import UsageError
from trading_runtime.records.run_files import generation_id
from trading_runtime.results.front import non_dominated
from trading_runtime.search.asking import Evaluated, SearchInputs, Space, ask, check_search_plan
from trading_runtime.search.generations import (
    keep_generation,
    read_generation,
    refuse_other_search,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    import polars as pl

    from trading_runtime.records.plan import Plan
    from trading_runtime.results.store import Store
    from trading_runtime.search.asking import Asked


class Search(ABC):
    """A search of a run, from one generation to the next; whoever computes them tells the results.

    Everything in it follows from stored generations and their results, so a search that was
    interrupted, or whose generations are computed by different processes, continues as one that was
    not.
    """

    def __init__(self, store: Store, run_id: str, inputs: SearchInputs) -> None:
        """Begin at the first generation.

        Raises ``UsageError`` when the method cannot search this space.
        """
        self._store, self._run_id = store, run_id
        self.inputs = inputs
        self.space = Space.of(inputs)
        check_search_plan(self.space, inputs.search)
        self.generations = 0
        """Those whose results are known."""

    @property
    def generation_id(self) -> str:
        """The id of the run that computes the next generation."""
        return generation_id(self._run_id, self.generations)

    @abstractmethod
    def next_asked(self) -> list[Asked] | None:
        """Return the points of the next generation, now stored; ``None`` when the search ended.

        Raises ``UsageError`` when the run id belongs to another search.
        """

    @abstractmethod
    def tell(self, asked: Sequence[Asked], points: pl.DataFrame) -> None:
        """Take in the results of a generation: the points of its run, in the order of ``asked``."""

    @abstractmethod
    def last_asked(self) -> list[Asked]:
        """Return the points of the run itself, once the search has ended.

        Raises ``UsageError`` when the search never began.
        """

    @abstractmethod
    def on_windows(self, plan: Plan, workers: int) -> Plan:
        """Return the plan with the windows of the next generation."""

    @property
    @abstractmethod
    def how(self) -> str:
        """A sentence: how many points there were in what steps, and why the search ended."""

    @property
    @abstractmethod
    def progress(self) -> str:
        """A line about the generations so far."""

    def _kept(self, asked: Callable[[], list[Asked]]) -> list[Asked]:
        """Return the points of the next generation as stored, or store those that are asked for."""
        stored = read_generation(self._store, self._run_id, self.generations)
        if stored is None:
            found = asked()
            if not found:
                return found
            stored = keep_generation(
                self._store, self._run_id, self.generations, self.inputs, found
            )
        refuse_other_search(stored, self.inputs, self._run_id)
        return stored.asked


class AdaptiveSearch(Search):
    """A search whose generations are asked for by the results of all earlier ones."""

    def __init__(self, store: Store, run_id: str, inputs: SearchInputs, windows: int) -> None:
        """``windows`` is the number of partitions: the tasks of a point."""
        super().__init__(store, run_id, inputs)
        self._windows = windows
        self.evaluated: list[Evaluated] = []
        self.why = ""
        """Why the search ended; empty while it continues."""
        self._tasks = self._without_better = 0

    def next_asked(self) -> list[Asked] | None:
        """Return the points of the next generation, unless the search has ended."""
        self.why = self._ended()
        if self.why:
            return None
        asked = self._kept(lambda: ask(self.space, self.inputs, self.generations, self.evaluated))
        if not asked:
            self.why = "every allowed point was tried"
        return asked or None

    def tell(self, asked: Sequence[Asked], points: pl.DataFrame) -> None:
        """Take in the results of a generation."""
        before = best_of(self.evaluated, self.inputs)
        self.evaluated += evaluated_points(asked, points, self.inputs)
        after = best_of(self.evaluated, self.inputs)
        self._without_better = 0 if after != before else self._without_better + 1
        self._tasks += len(asked) * self._windows
        self.generations += 1

    def last_asked(self) -> list[Asked]:
        """Return all points that were asked for."""
        if not self.evaluated:
            raise UsageError(f"search.budget: {self.why}; allow more tasks")
        return [each.asked for each in self.evaluated]

    def on_windows(self, plan: Plan, workers: int) -> Plan:
        """Return the plan itself: every generation has all windows."""
        del workers
        return plan

    @property
    def how(self) -> str:
        """A sentence: how many generations and points there were, and why the search ended."""
        from trading_runtime.report.formatting import counted

        return (
            f"{self.inputs.search.method}: {counted(len(self.evaluated), 'point')} in "
            f"{counted(self.generations, 'generation')}; {self.why}"
        )

    @property
    def progress(self) -> str:
        """A line about the generations so far."""
        from trading_runtime.report.formatting import counted

        best = best_of(self.evaluated, self.inputs)
        failed = sum(each.value is None for each in self.evaluated)
        undone = f", {failed:,} of them without a value" if failed else ""
        known = f"{self.inputs.objective.metric} {best[0][0]:.6g}" if best else "none has a value"
        front = f"; on the front: {len(best):,}" if len(self.inputs.objectives) > 1 else ""
        return (
            f"generation {self.generations}: {counted(len(self.evaluated), 'point')}{undone}; "
            f"best so far: {known}{front}"
        )

    def _ended(self) -> str:
        """Return why no further generation is asked for, or nothing."""
        settings, asked = self.inputs.search, len(self.evaluated)
        points = settings.points or 0
        if asked >= points:
            return f"all {points:,} points were asked"
        if settings.patience is not None and self._without_better >= settings.patience:
            from trading_runtime.report.formatting import counted

            return (
                f"{counted(self._without_better, 'generation')} in a row found nothing better "
                "(search.patience)"
            )
        size = min(settings.generation, points - asked)
        if settings.budget is not None and self._tasks + size * self._windows > settings.budget:
            return f"another generation would go beyond {settings.budget:,} tasks (search.budget)"
        return ""


def objective_values(points: pl.DataFrame, metric: str) -> list[float | None]:
    """Return the objective of each point in their order, ``None`` where it failed."""
    values = points.sort("point")[metric].to_list()
    return [None if value is None else float(value) for value in values]


def evaluated_points(
    asked: Iterable[Asked], points: pl.DataFrame, inputs: SearchInputs
) -> list[Evaluated]:
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
    kept = [known[place] for place in non_dominated(known, directions)]
    return kept if directions[0] == "minimize" else kept[::-1]
