"""Points over periods without a seam: one task each, where a run has one per window.

A task starts flat, so positions and the state of a strategy end with each window. Running the same
point over the same time in one task shows how much that matters.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, NamedTuple

from trading_runtime.config.experiment import GridSampling, PartitionUnit
from trading_runtime.config.loading import load_experiment
from trading_runtime.errors import IncompleteError, UsageError
from trading_runtime.execution.local_run import LocalRun
from trading_runtime.execution.preparation import prepare_loaded
from trading_runtime.planning.identity import decode_values
from trading_runtime.planning.plan import batches
from trading_runtime.records.metadata import read_metadata
from trading_runtime.records.plan import PlannedPartition, PlannedTasks, Point, read_plan
from trading_runtime.records.result import read_result
from trading_runtime.results.calendar import Calendar
from trading_runtime.results.validation import (
    Choice,
    Stretch,
    Windows,
    choices_over,
    stability,
    window_stretches,
    windows_of,
)
from trading_runtime.units import format_duration, format_instant

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from trading_runtime.config.experiment import Experiment
    from trading_runtime.config.loading import LoadedExperiment
    from trading_runtime.execution.preparation import PreparedRun
    from trading_runtime.records.plan import Plan
    from trading_runtime.records.result import LuckStatistics
    from trading_runtime.results.nested import Nested
    from trading_runtime.results.store import Store
    from trading_runtime.results.validation import Stability

_SHOWN_DIGITS = 8
_LONGEST_STEM = 36


class Source(NamedTuple):
    """A complete run, and the experiment it came from."""

    store: Store
    run_id: str
    plan: Plan
    loaded: LoadedExperiment
    windows: Windows

    @classmethod
    def of(cls, store: Store, run_id: str, experiment: Path | None = None) -> Source:
        """Read a run; its experiment file is where the metadata say, unless it is named.

        Raises ``UsageError`` when the file does not exist.
        """
        files = store.run(run_id)
        plan, loaded = read_plan(files.plan), experiment_of_run(store, run_id, experiment)
        return cls(store, run_id, plan, loaded, Windows.of_run(plan, store, files))

    @classmethod
    def without_results(cls, store: Store, run_id: str, loaded: LoadedExperiment) -> Source:
        """Return a run with its windows, and none of its results."""
        plan = read_plan(store.run(run_id).plan)
        windows = Windows({}, (), Calendar.of_plan(plan), windows_of(plan))
        return cls(store, run_id, plan, loaded, windows)

    @property
    def luck(self) -> LuckStatistics | None:
        """What tells skill from luck of the run's best point."""
        result = read_result(self.store.run(self.run_id))
        return None if result is None else result.luck

    def best(self) -> int:
        """Return the run's best point; raises ``UsageError`` when it names none."""
        result = read_result(self.store.run(self.run_id))
        if result is None or result.best is None:
            raise UsageError("the run names no best point; give --point N")
        return result.best.point

    def checked(self, point: int) -> int:
        """Return ``point``; raises ``UsageError`` when the run has none, or it has no result."""
        last = len(self.plan.points) - 1
        if point not in range(last + 1):
            raise UsageError(f"--point {point}: the run's points are 0 to {last}")
        self.windows.undone.refuse_point(point)
        return point


def experiment_of_run(
    store: Store, run_id: str, experiment: Path | None = None
) -> LoadedExperiment:
    """Load the experiment of a run: from ``experiment``, or from where its metadata say.

    Raises ``UsageError`` when the file does not exist.
    """
    files = store.run(run_id)
    metadata = read_metadata(files)
    if experiment is None and metadata is None:
        raise UsageError(
            f"{files.metadata}: there is none, which would name the experiment file; give "
            "--experiment FILE"
        )
    return load_experiment(experiment or (metadata.experiment_file if metadata else ""))


class Continuous(NamedTuple):
    """The results of the periods that were run."""

    run_id: str
    computed: int
    windows: Windows


def run_continuously(  # noqa: PLR0913 - keyword-only choices of one call
    source: Source,
    asked: Sequence[Stretch],
    what: str,
    *,
    workers: int | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    show_progress: bool = False,
) -> Continuous:
    """Run one task for each period (for each of its instruments, if the run separates them).

    The tasks belong to a separate run, cached like any other; ``what`` is part of its id. Raises
    what ``LocalRun.execute`` raises, and ``UsageError`` when the experiment is no longer that of
    the run.
    """
    merged = prepare_stretches(source, asked, workers)
    plan = merged.plan
    stem = source.run_id[:_LONGEST_STEM].rstrip(".-")
    run_id = f"{stem}-{what}-{plan.digest[:_SHOWN_DIGITS]}"
    run = LocalRun(merged, run_id, should_stop, show_progress)
    ended = run.execute(allow_incomplete=True)
    return Continuous(run_id, ended.computed, Windows.of_run(plan, source.store, run.files))


def prepare_stretches(
    source: Source, asked: Sequence[Stretch], workers: int | None = None
) -> PreparedRun:
    """Plan one task for each period, in their order (for each instrument, if they are separated).

    Raises ``UsageError`` when the experiment is no longer that of the run.
    """
    prepared = [_prepared(source, stretch, workers) for stretch in asked]
    plan = _merged(source, asked, [each.plan for each in prepared], prepared[0].workers)
    return dataclasses.replace(prepared[0], loaded=source.loaded, store=source.store, plan=plan)


def single_point(source: Source, point: int) -> Experiment:
    """Return the run's experiment with one point of its plan and nothing to choose."""
    experiment = source.loaded.experiment
    config = decode_values(dict(source.plan.points[point].config))
    return experiment.model_copy(
        update={
            "results": source.store.place,
            "parameters": {},
            "constraints": [],
            "sampling": GridSampling(),
            "search": None,
            "validation": None,
            "strategy": experiment.strategy.model_copy(
                update={"config": experiment.strategy.config | config}
            ),
        }
    )


def prepare_same(source: Source, experiment: Experiment, workers: int | None) -> PreparedRun:
    """Plan an experiment that only has other points or windows than the run.

    Raises ``UsageError`` when code, settings or versions are no longer those of the run.
    """
    loaded = dataclasses.replace(source.loaded, experiment=experiment)
    prepared = prepare_loaded(loaded, workers, store=source.store)
    refuse_other_code(source, prepared.plan)
    return prepared


def refuse_other_code(source: Source, plan: Plan) -> None:
    """Raise ``UsageError`` when code, settings or versions are no longer those of the run."""
    if plan.common.content != source.plan.common.content:
        raise UsageError(
            f"run {source.run_id!r}: its experiment, code or versions are not those of the run any "
            "more; 'trading-runtime why' says what differs; use what the run used, or run the "
            "experiment again"
        )


def _prepared(source: Source, stretch: Stretch, workers: int | None) -> PreparedRun:
    alone = single_point(source, stretch.point)
    window = {
        "by": PartitionUnit.WHOLE,
        "count": 1,
        "length": None,
        "start": format_instant(stretch.start),
        "end": format_instant(stretch.end),
    }
    if stretch.warmup is not None:
        window["warmup"] = _warmup(stretch.warmup)
    partitions = alone.partitions.model_copy(update=window)
    return prepare_same(source, alone.model_copy(update={"partitions": partitions}), workers)


def _warmup(nanoseconds: int) -> str | None:
    return format_duration(nanoseconds) if nanoseconds else None


def _numbers(points: Iterable[int]) -> dict[int, int]:
    """Return the index in the merged plan of each point of the source's plan."""
    return {point: number for number, point in enumerate(sorted(set(points)))}


def _merged(source: Source, asked: Sequence[Stretch], plans: Sequence[Plan], workers: int) -> Plan:
    """Return one plan with the tasks of all plans, in which equal points are merged."""
    numbers = _numbers(stretch.point for stretch in asked)
    points = [
        Point(number, source.plan.points[point].parameters, source.plan.points[point].config)
        for point, number in numbers.items()
    ]
    partitions: list[PlannedPartition] = []
    tasks = PlannedTasks()
    for stretch, plan in zip(asked, plans, strict=True):
        for task in plan.tasks:
            place = len(partitions)
            partitions.append(dataclasses.replace(plan.partitions[task.partition], index=place))
            point = numbers[stretch.point]
            tasks.add(task.task_id, place, point, cached=task.cached, seconds=task.seconds)
    return dataclasses.replace(
        plans[0],
        strategy=source.plan.strategy,
        objective=source.plan.objective,
        days=None,
        empty_windows=[],
        points=points,
        partitions=partitions,
        tasks=tasks,
        batches=batches([task.cached for task in tasks], workers),
    )


class Seam(NamedTuple):
    """A point over all windows: their results chained, and one task without a seam."""

    point: int
    parameters: Mapping[str, Any]
    summed: Mapping[str, Any]
    continuous: Mapping[str, Any]


class Seams(NamedTuple):
    """What seams do to some points of a run."""

    points: list[Seam]
    run_id: str
    """Id of the run with the continuous tasks."""
    computed: int


def measure_seams(source: Source, points: Sequence[int], **how: Any) -> Seams:
    """Run points over the whole time of a run in one task, and put both results side by side.

    Raises ``IncompleteError`` when a point fails there.
    """
    bounds = source.windows.bounds
    every = tuple(range(len(bounds)))
    asked = [Stretch(point, bounds[0][0], bounds[-1][1], every) for point in points]
    ran = run_continuously(source, asked, "seams", **how)
    numbers = _numbers(points)
    for point, number in numbers.items():
        if failure := ran.windows.undone.failure(number):
            raise IncompleteError(
                f"run {source.run_id!r}, point {point}: has results on all windows, and fails when "
                f"they are one (run {ran.run_id!r}): {failure}"
            )
    return Seams(
        [
            Seam(
                point,
                source.plan.points[point].parameters,
                source.windows.row(point, every),
                ran.windows.row(numbers[point], range(len(ran.windows.bounds))),
            )
            for point in points
        ],
        ran.run_id,
        ran.computed,
    )


class Validated(NamedTuple):
    """The result of choosing on some windows and testing on others."""

    choices: list[Choice]
    points: Sequence[Point]
    """Those that choices name."""
    stability: Stability
    paths: Sequence[Mapping[str, Any]]
    """Statistics of the chained tests, each with its chosen point: of a single path, or of as many
    as there are splits that test a window."""
    continuous: Mapping[str, Any] | None
    """The same path as continuous tasks; ``None`` when tests do not form a path through time, or a
    chosen point failed on its test."""
    run_id: str | None
    computed: int
    """Continuous tasks that were computed."""
    seen_by_search: bool
    """Whether an adaptive search proposed the points, by their results on the tests as well."""
    nested: Nested | None
    """The searches inside the splits, if they were searched."""
    computed_inside: int = 0
    """Tasks of these searches, and of their tests, that were computed."""
    failure: str = ""
    """What the first continuous task that failed failed with."""

    @property
    def tested(self) -> Mapping[str, Any] | None:
        """Statistics of the tests where these are a single path."""
        return self.paths[0] if len(self.paths) == 1 else None

    @property
    def left_out(self) -> int:
        """The most points that a split could not choose because they failed."""
        return max(choice.left_out for choice in self.choices)


def validate(source: Source, settings: Mapping[str, Any], **how: Any) -> Validated:
    """Choose a point in each split from stored results, then run the chosen path.

    Raises ``UsageError`` when there are too few windows, or no point has a value.
    """
    choices = choices_over(source.windows, settings, source.plan.objective)
    return judged(source, choices, settings, **how)


def judged(
    source: Source,
    choices: list[Choice],
    settings: Mapping[str, Any],
    nested: Nested | None = None,
    **how: Any,
) -> Validated:
    """Judge what was chosen in each split, and run the chosen path.

    ``source`` has the points that choices name, and their results on the tests. Raises
    ``UsageError`` when no point has a value.
    """
    if all(choice.point is None for choice in choices):
        raise no_value(source)
    asked = source.loaded.experiment.search
    found = Validated(
        choices,
        source.plan.points,
        stability(choices),
        source.windows.paths(choices),
        continuous=None,
        run_id=None,
        computed=0,
        seen_by_search=nested is None and asked is not None and asked.is_adaptive,
        nested=nested,
    )
    if settings["method"] != "walk-forward" or any(choice.failed for choice in choices):
        return found
    path = window_stretches(source.windows, choices)
    ran = run_continuously(source, path, "walk-forward", **how)
    # The merged run has a window for each period, with the one point chosen for it.
    failures = (ran.windows.undone.failure(number) for number in ran.windows.parameters)
    return found._replace(
        continuous=ran.windows.all(),
        run_id=ran.run_id,
        computed=ran.computed,
        failure=next(filter(None, failures), ""),
    )


def no_value(source: Source) -> UsageError:
    """Return the error of a validation that can choose in no split."""
    failed = len(source.windows.undone.failures)
    also = f" ({failed:,} of {len(source.plan.points):,} points failed)" if failed else ""
    return UsageError(
        f"validation: {source.plan.objective.metric} is undefined for every point on the windows "
        f"to train on{also}; use larger ones, or another objective"
    )
