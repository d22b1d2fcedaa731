"""Searches inside the splits of a validation, and tests of the points that they choose.

Each split's search is a run of its own: the experiment's search over the training windows of that
split. Its tasks are stored like any others, so what the run itself or another split has computed is
not computed again. A command that was interrupted continues where it ended.
"""

from __future__ import annotations

import contextlib
import dataclasses
import sys
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter

from trading_runtime.config.experiment import GridSampling, Validation
from trading_runtime.errors import DataError, UsageError
from trading_runtime.execution.local_run import LocalRun
from trading_runtime.execution.preparation import prepare_loaded
from trading_runtime.execution.workers.prestarted import PrestartedWorker
from trading_runtime.planning.identity import decode_values
from trading_runtime.planning.plan import with_tasks
from trading_runtime.planning.points import PointList
from trading_runtime.results.nested import (
    has_windows_of,
    nested_of,
    read_search,
    read_tests,
    split_id,
)
from trading_runtime.results.validation import splits_of
from trading_runtime.search.asking import SearchInputs
from trading_runtime.search.continuous import judged, no_value, refuse_other_code
from trading_runtime.search.generations import read_generation, refuse_other_search
from trading_runtime.search.running import run_search

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from trading_runtime.config.loading import LoadedExperiment
    from trading_runtime.execution.preparation import PreparedRun
    from trading_runtime.planning.plan import Window
    from trading_runtime.records.plan import Plan
    from trading_runtime.records.run_files import RunFiles
    from trading_runtime.results.nested import Nested, SplitSearch
    from trading_runtime.results.validation import Split
    from trading_runtime.search.continuous import Source, Validated

_VALIDATION: TypeAdapter[Validation] = TypeAdapter(Validation)


def validate_nested(
    source: Source,
    settings: Mapping[str, Any],
    *,
    workers: int | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    show_progress: bool = False,
) -> Validated:
    """Search inside each split, test the points chosen on what follows, and run the chosen path.

    Raises what ``LocalRun.execute`` raises, and ``UsageError`` when the run has no adaptive search,
    there are too few windows, or no point has a value.
    """
    refuse_unsearched(source)
    with PrestartedWorker() as worker:
        worker.keeps = True
        files = source.store.run(source.run_id)
        inside = _Inside(source, files, settings, workers, should_stop, show_progress, worker)
        splits = splits_of(settings, len(source.windows.bounds))
        searches, computed = [], 0
        for number, split in enumerate(splits):
            found, of_split = inside.searched(number, split, len(splits))
            searches.append(found)
            computed += of_split
        nested = nested_of(splits, searches)
        if not nested.points:
            raise no_value(source)
        computed += inside.test(nested)
    tested = read_tests(source.store, inside.files, source.plan, nested)
    validated = judged(
        source._replace(plan=tested.plan, windows=tested.windows),
        tested.choices,
        settings,
        nested,
        workers=workers,
        should_stop=should_stop,
        show_progress=show_progress,
    )
    return validated._replace(computed_inside=computed)


def refuse_unsearched(source: Source) -> None:
    """Raise ``UsageError`` unless the run has the adaptive search that its experiment asks for."""
    experiment = source.loaded.experiment
    first = read_generation(source.store, source.run_id, 0)
    if first is None or experiment.search is None or not experiment.search.is_adaptive:
        raise UsageError(
            f"run {source.run_id!r} has no search that follows results (tpe, cma-es, nsga-ii, "
            "successive-halving): its points are chosen on the training windows alone without "
            "--nested"
        )
    refuse_other_search(first, SearchInputs.of(experiment), source.run_id)


def of_split(
    loaded: LoadedExperiment, settings: Mapping[str, Any], number: int
) -> LoadedExperiment:
    """Return the experiment that searches the training windows of a split alone."""
    asked = _VALIDATION.validate_python({**settings, "nested": True, "split": number})
    experiment = loaded.experiment.model_copy(update={"validation": asked})
    return dataclasses.replace(loaded, experiment=experiment)


@dataclasses.dataclass(frozen=True)
class _Inside:
    """What runs inside the splits of a run, with the same workers for all of them."""

    source: Source
    files: RunFiles
    settings: Mapping[str, Any]
    workers: int | None
    should_stop: Callable[[], bool]
    show_progress: bool
    worker: PrestartedWorker

    def searched(self, number: int, split: Split, of: int) -> tuple[SplitSearch, int]:
        """Search inside a split unless that is done; return what it chose, and tasks computed."""
        source = self.source
        train = [source.windows.bounds[window] for window in split.train]
        name = split_id(source.run_id, number, train)
        stored = (source.store, self.files, source.plan, name, train)
        found, computed = None, 0
        # What is damaged is made again from results that are stored.
        with contextlib.suppress(DataError):
            found = read_search(*stored)
        if found is None or found.failed:
            if self.show_progress:
                sys.stderr.write(f"split {number + 1} of {of}: run {name}\n")
            prepared = self._prepared(of_split(source.loaded, self.settings, number))
            self._refuse_other_data(prepared.plan, train)
            computed = run_search(
                prepared,
                name,
                should_stop=self.should_stop,
                show_progress=self.show_progress,
                prestarted=self.worker,
                allow_incomplete=True,
                is_inside=True,
            ).outcome.computed
            found = read_search(*stored)
        if found is None:
            raise UsageError(
                f"run {name!r}: some of its tasks have no result; 'trading-runtime runs show "
                f"{name}' says why, and the same command tries them again"
            )
        return found, computed

    def test(self, nested: Nested) -> int:
        """Run the chosen points on the windows of their tests; return how many tasks that took."""
        experiment = self.source.loaded.experiment.model_copy(
            update={"search": None, "validation": None, "sampling": GridSampling()}
        )
        loaded = dataclasses.replace(self.source.loaded, experiment=experiment)
        points = PointList([decode_values(dict(point.config)) for point in nested.points])
        prepared = self._prepared(loaded, points)
        wanted = {*nested.tests_of(self.source.plan)}
        plan = with_tasks(
            prepared.plan, lambda point, window: (point, window) in wanted, prepared.workers
        )
        self._refuse_other_data(plan, {window for _, window in wanted})
        run = LocalRun(
            dataclasses.replace(prepared, plan=plan),
            nested.tests_id(self.source.run_id),
            *(self.should_stop, self.show_progress and bool(plan.uncached), self.worker),
            has_report=False,
        )
        return run.execute(allow_incomplete=True).computed

    def _prepared(self, loaded: LoadedExperiment, points: PointList | None = None) -> PreparedRun:
        """Plan an experiment; raises ``UsageError`` when its code is not that of the run."""
        # Later generations are planned for the results that the experiment names.
        place = {"results": self.source.store.place}
        loaded = dataclasses.replace(loaded, experiment=loaded.experiment.model_copy(update=place))
        prepared = prepare_loaded(
            loaded, self.workers, self.worker.check, points, store=self.source.store
        )
        refuse_other_code(self.source, prepared.plan)
        return prepared

    def _refuse_other_data(self, plan: Plan, windows: Collection[Window]) -> None:
        """Raise ``UsageError`` unless a plan has these windows of the run, with the same data."""
        if not has_windows_of(plan, self.source.plan, windows):
            raise UsageError(
                f"run {self.source.run_id!r}: its windows or their data are not those of the "
                "experiment any more; use what the run used, or run the experiment again with "
                "another run id"
            )
