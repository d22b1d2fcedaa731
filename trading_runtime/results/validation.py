"""Walk-forward and combinatorial validation: choose on some windows, test on others.

Windows are the run's partitions in order of time; those of one time belong together. Nothing is
recomputed: a point is chosen by its stored results on the training windows, and judged by its
stored results on the test windows. The names are those of skfolio, a window being an observation.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from trading_runtime.errors import UsageError
from trading_runtime.results.calendar import Calendar
from trading_runtime.results.points import MISSING, OK, aggregate_point, chained_curve
from trading_runtime.results.task_reader import TaskReader

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from trading_runtime.records.failures import TaskFailure
    from trading_runtime.records.plan import Plan, PlannedObjective, Point
    from trading_runtime.records.run_files import RunFiles
    from trading_runtime.results.nested import SplitSearch
    from trading_runtime.results.points import CurvePoint, TaskOutcome
    from trading_runtime.results.store import Store


_NO_SIZES = ("method", "nested", "split")


class Split(NamedTuple):
    """Indices of the training and the test windows, in order of time."""

    train: tuple[int, ...]
    test: tuple[int, ...]


class Choice(NamedTuple):
    """The choice made in a split; ``None`` where no point has a value on its windows."""

    split: Split
    point: int | None
    trained: float | None
    """The objective of the point on the windows it was chosen by."""
    tested: float | None
    """The same on the test windows."""
    left_out: int = 0
    """Points that could not be chosen, because a task of theirs on the training windows failed."""
    failed: bool = False
    """Whether the point failed on a test window, so that nothing is known of the test."""


SEEN_BY_THE_SEARCH = (
    "the search proposed its points by their results on all windows, those of the tests included, "
    "so these tests are too kind to them; search inside the splits (validation.nested), or test on "
    "rows that it has not seen, such as a hold-out"
)
"""What is said of tests over the points of an adaptive search."""


class Undone(NamedTuple):
    """The tasks of a run that have no result."""

    run_id: str
    failures: Mapping[int, Sequence[TaskFailure]]
    """The failures of each point, in order of its tasks."""
    missing: Mapping[int, int]
    """How many tasks of each point were not computed."""

    @classmethod
    def of(cls, plan: Plan, run_id: str, reader: TaskReader) -> Self:
        """Return those of a run whose tasks have been read."""
        failures: dict[int, list[TaskFailure]] = {}
        missing: dict[int, int] = {}
        for task in plan.tasks if set(reader.statuses.values()) - {OK} else ():
            if reader.statuses[task.task_id] == MISSING:
                missing[task.point] = missing.get(task.point, 0) + 1
            elif (failure := reader.failures.get(task.task_id)) is not None:
                failures.setdefault(task.point, []).append(failure)
        return cls(run_id, failures, missing)

    def failure(self, point: int) -> str:
        """Return what the first failed task of a point failed with; empty when none did."""
        failed = self.failures.get(point)
        return f"{failed[0].kind}: {failed[0].message.partition('\n')[0]}" if failed else ""

    def refuse_point(self, point: int) -> None:
        """Raise ``UsageError`` when a task of a point failed or is missing."""
        failed, missing = len(self.failures.get(point, ())), self.missing.get(point, 0)
        if failed:
            raise UsageError(
                f"run {self.run_id!r}, point {point}: {_tasks(failed)} failed: "
                f"{self.failure(point)}; choose another point, or change what failed"
            )
        if missing:
            raise UsageError(
                f"run {self.run_id!r}, point {point}: {_tasks(missing)} without a result; "
                "run the experiment again with this run id first"
            )

    def refuse_missing(self) -> None:
        """Raise ``UsageError`` when a task is missing; one that failed does not matter."""
        missing = sum(self.missing.values())
        if missing:
            failed = sum(map(len, self.failures.values()))
            also = f", and {_tasks(failed)} failed" if failed else ""
            raise UsageError(
                f"run {self.run_id!r}: {_tasks(missing)} without a result{also}; run the "
                "experiment again with this run id first"
            )


class Windows:
    """The results of a run by point and window."""

    def __init__(
        self,
        parameters: Mapping[int, Mapping[str, Any]],
        outcomes: Iterable[tuple[int, TaskOutcome]],
        calendar: Calendar,
        bounds: Iterable[tuple[int, int]] = (),
        undone: Undone | None = None,
    ) -> None:
        """Take the parameters by point, and the outcome of each task with its point.

        ``bounds`` are windows that may have no outcome.
        """
        self.parameters = parameters
        self.undone = undone or Undone("", {}, {})
        self._calendar = calendar
        found: dict[tuple[int, int], dict[int, list[TaskOutcome]]] = {each: {} for each in bounds}
        for point, outcome in outcomes:
            window = found.setdefault((outcome.start, outcome.end), {})
            window.setdefault(point, []).append(outcome)
        self.bounds = sorted(found)
        """Start and end of each window, in order of time."""
        self._outcomes = [found[bounds] for bounds in self.bounds]

    @classmethod
    def of_run(cls, plan: Plan, store: Store, files: RunFiles, whole: Plan | None = None) -> Self:
        """Read the stored results of a run, some of which may have failed or be missing.

        ``whole`` is a plan whose windows are counted where the run has only some of them.
        """
        reader = TaskReader(plan, store, files)
        store.refresh(plan.task_ids)
        outcomes = list(reader.outcomes(plan.tasks))
        return cls(
            {point.index: point.parameters for point in plan.points},
            zip((task.point for task in plan.tasks), outcomes, strict=True),
            Calendar.of_plan(whole or plan),
            () if whole is None else windows_of(whole),
            Undone.of(plan, files.folder.name, reader),
        )

    def outcomes(self, point: int, windows: Iterable[int]) -> list[TaskOutcome]:
        """Return the outcomes of a point's tasks on some windows."""
        return [each for window in windows for each in self._outcomes[window].get(point, ())]

    def row(self, point: int, windows: Iterable[int]) -> dict[str, Any]:
        """Return the row that ``points.parquet`` would have for some windows alone."""
        outcomes = self.outcomes(point, windows)
        return aggregate_point(point, self.parameters[point], outcomes, self._calendar)

    def all(self) -> dict[str, Any]:
        """Return the row of all windows in succession, over all points."""
        outcomes = [
            outcome
            for window in self._outcomes
            for of_point in window.values()
            for outcome in of_point
        ]
        return aggregate_point(-1, {}, outcomes, self._calendar)

    def tests(self, chosen: Iterable[Choice]) -> list[TaskOutcome]:
        """Return the outcomes of the test windows in succession, each with its chosen point."""
        return [
            outcome
            for choice in chosen
            if choice.point is not None
            for outcome in self.outcomes(choice.point, choice.split.test)
        ]

    def path(self, chosen: Iterable[Choice]) -> dict[str, Any]:
        """Return the row of the test windows in succession, each with its chosen point."""
        return aggregate_point(-1, {}, self.tests(chosen), self._calendar)

    def paths(self, chosen: Iterable[Choice]) -> list[dict[str, Any]]:
        """Return the row of each path: every tested window once, in succession.

        With several folds to test on, a window is tested in several splits; path i has the point
        chosen in the i-th of them, as those of skfolio have.
        """
        tests: dict[int, list[int | None]] = {}
        for choice in chosen:
            for window in choice.split.test:
                tests.setdefault(window, []).append(choice.point)
        return [
            aggregate_point(
                -1,
                {},
                [
                    outcome
                    for window, points in sorted(tests.items())
                    if (point := points[number]) is not None
                    for outcome in self.outcomes(point, (window,))
                ],
                self._calendar,
            )
            for number in range(max(map(len, tests.values()), default=0))
        ]

    def curve(self, chosen: Iterable[Choice]) -> list[CurvePoint]:
        """Return the equity of the test windows in succession; empty when one has no result."""
        tests = self.tests(chosen)
        return chained_curve(tests) if all(each.status == OK for each in tests) else []


def windows_of(plan: Plan) -> list[tuple[int, int]]:
    """Return start and end of each window of a plan, in order of time."""
    return sorted({(partition.start, partition.end) for partition in plan.partitions})


def walk_forward(  # noqa: PLR0913 - the names of skfolio
    windows: int,
    *,
    train_size: int,
    test_size: int,
    purged_size: int = 0,
    expand_train: bool = False,
    reduce_test: bool = False,
) -> list[Split]:
    """Return splits that test on what follows their training windows, one after the other.

    Split i tests from ``train_size + purged_size + i * test_size``. ``expand_train`` trains on all
    windows from the first one; ``reduce_test`` keeps a shorter last test.

    >>> walk_forward(5, train_size=2, test_size=1)[-1]
    Split(train=(2, 3), test=(4,))
    """
    splits = []
    for start in range(train_size + purged_size, windows, test_size):
        end = start + test_size
        if end > windows and not reduce_test:
            break
        last = start - purged_size
        first = 0 if expand_train else last - train_size
        splits.append(Split(tuple(range(first, last)), tuple(range(start, min(end, windows)))))
    return splits


def combinatorial_purged(
    windows: int, *, n_folds: int, n_test_folds: int, purged_size: int = 0, embargo_size: int = 0
) -> list[Split]:
    """Return a split for each choice of ``n_test_folds`` of ``n_folds`` to test on.

    Folds have equal length; the last one also gets the remainder. Training uses all other windows,
    except the ``purged_size`` ones on either side of a test and the ``embargo_size`` ones after
    these. Source: Lopez de Prado, "Advances in Financial Machine Learning", chapter 12, 2018.
    """
    size = windows // n_folds
    ends = [*(size * number for number in range(n_folds)), windows]
    folds = list(itertools.starmap(range, itertools.pairwise(ends)))
    splits = []
    for chosen in itertools.combinations(range(n_folds), n_test_folds):
        test = [window for number in chosen for window in folds[number]]
        kept_out = set(test)
        for number in chosen:
            fold = folds[number]
            kept_out |= set(range(fold.start - purged_size, fold.start))
            kept_out |= set(range(fold.stop, fold.stop + purged_size + embargo_size))
        train = tuple(window for window in range(windows) if window not in kept_out)
        splits.append(Split(train, tuple(test)))
    return splits


def splits_of(settings: Mapping[str, Any], windows: int) -> list[Split]:
    """Return the splits that the experiment's ``validation`` asks for.

    Raises ``UsageError`` when there are too few windows for one.
    """
    asked = {name: value for name, value in settings.items() if name not in _NO_SIZES}
    make = walk_forward if settings["method"] == "walk-forward" else combinatorial_purged
    splits = make(windows, **asked)
    if not splits or not all(split.train and split.test for split in splits):
        raise UsageError(
            f"validation: {windows} {'window is' if windows == 1 else 'windows are'} too few for "
            "these sizes; use smaller ones, or cut the data into more partitions"
        )
    return splits


def split_of(settings: Mapping[str, Any], windows: int, number: int) -> Split:
    """Return one of the splits that ``splits_of`` returns; raises ``UsageError`` as it does."""
    splits = splits_of(settings, windows)
    if number >= len(splits):
        raise UsageError(
            f"validation.split: {number}: the splits of {windows} windows are 0 to "
            f"{len(splits) - 1}"
        )
    return splits[number]


def choose(
    windows: Windows, splits: Sequence[Split], objective: PlannedObjective
) -> Iterator[Choice]:
    """Yield for each split the point with the best objective on its training windows.

    Of equal ones the lower point is chosen; an undefined value never is, nor a point that failed
    there. How a point does on the test windows has no part in it, even when it fails there.
    """
    metric, sign = objective.metric, -1 if objective.direction == "minimize" else 1
    for split in splits:
        best: tuple[float, int] | None = None
        left_out = 0
        for point in windows.parameters:
            row = windows.row(point, split.train)
            left_out += _is_undone(row)
            value = row[metric]
            if value is not None and (best is None or (sign * float(value), -point) > best):
                best = sign * float(value), -point
        if best is None:
            yield Choice(split, None, None, None, left_out)
            continue
        row = windows.row(-best[1], split.test)
        tested = None if row[metric] is None else float(row[metric])
        yield Choice(split, -best[1], sign * best[0], tested, left_out, _is_undone(row))


def choices_over(
    windows: Windows, settings: Mapping[str, Any], objective: PlannedObjective
) -> list[Choice]:
    """Return what is chosen in each split that ``validation`` of the experiment makes.

    Raises ``UsageError`` when there are too few windows, or a task is missing.
    """
    windows.undone.refuse_missing()
    return list(choose(windows, splits_of(settings, len(windows.bounds)), objective))


class Walked(NamedTuple):
    """A walk-forward over stored results: what was chosen, and how the tests went."""

    bounds: Sequence[tuple[int, int]]
    """Start and end of each window, in order of time."""
    points: Sequence[Point]
    """Those that choices name."""
    choices: Sequence[Choice]
    curve: Sequence[CurvePoint]
    """Equity of the tests, one after the other; empty when the point of one failed there."""
    searches: Sequence[SplitSearch] = ()
    """Those inside the splits, if they were searched."""

    def span(self, windows: Sequence[int]) -> tuple[int, int]:
        """Return start and end of successive windows."""
        return self.bounds[windows[0]][0], self.bounds[windows[-1]][1]


def walk_over(plan: Plan, store: Store, files: RunFiles, settings: Mapping[str, Any]) -> Walked:
    """Walk forward over a run as ``validation`` of the experiment asks.

    Raises ``UsageError`` when there are too few windows, or a task is missing.
    """
    windows = Windows.of_run(plan, store, files)
    choices = choices_over(windows, settings, plan.objective)
    return Walked(windows.bounds, plan.points, choices, windows.curve(choices))


class Stability(NamedTuple):
    """How stable the chosen points are."""

    splits: int
    points: int
    """Different points that were chosen."""
    changes: int
    """Splits with another point than the split before."""
    commonest: int | None
    commonest_share: float | None


def stability(choices: Sequence[Choice]) -> Stability:
    """Return how stable the chosen points are: how many, how often they change, the commonest."""
    points = [choice.point for choice in choices if choice.point is not None]
    counts = {point: points.count(point) for point in sorted(set(points))}
    commonest = max(counts, key=lambda point: (counts[point], -point), default=None)
    changes = sum(one != other for one, other in itertools.pairwise(points))
    share = None if commonest is None else round(counts[commonest] / len(points), 12)
    return Stability(len(choices), len(counts), changes, commonest, share)


class Stretch(NamedTuple):
    """Successive tests with the same point: what one task can run without a seam."""

    point: int
    start: int
    end: int
    windows: tuple[int, ...] = ()
    warmup: int | None = None
    """Nanoseconds of warm-up; the experiment's when ``None``."""


def window_stretches(windows: Windows, choices: Iterable[Choice]) -> list[Stretch]:
    """Return the chosen path as stretches, in order of time."""
    found: list[Stretch] = []
    for choice in choices:
        if choice.point is None:
            continue
        start, end = (
            windows.bounds[choice.split.test[0]][0],
            windows.bounds[choice.split.test[-1]][1],
        )
        before = found[-1] if found else None
        if before is not None and before.point == choice.point and before.end == start:
            found[-1] = before._replace(end=end, windows=before.windows + choice.split.test)
        else:
            found.append(Stretch(choice.point, start, end, choice.split.test))
    return found


def _is_undone(row: Mapping[str, Any]) -> bool:
    """Whether a task that a row is about failed."""
    return bool(row["ok"] < row["tasks"])


def _tasks(count: int) -> str:
    return f"{count:,} {'task' if count == 1 else 'tasks'}"
