"""A validation whose searches ran inside its splits, read from what they stored.

The search of a split is a run of its own: the search of the experiment over the split's training
windows alone. One more run tests the point that each split chose on the windows of its test. So no
point is tested on results that it was proposed or chosen by.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, NamedTuple

from trading_runtime.canonical import canonical_json, digest
from trading_runtime.errors import UsageError
from trading_runtime.planning.identity import partition_digests
from trading_runtime.records.plan import Plan, Point, read_plan
from trading_runtime.records.result import read_result
from trading_runtime.records.run_files import generation_id
from trading_runtime.results.run_records import read_table
from trading_runtime.results.validation import (
    Choice,
    Split,
    Walked,
    Windows,
    splits_of,
    windows_of,
)
from trading_runtime.storage.files import read_json

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from trading_runtime.records.run_files import RunFiles
    from trading_runtime.results.store import Store

_LONGEST_STEM = 48
_SHOWN_DIGITS = 4
_DIGITS_OF_TESTS = 8
_OF_A_SEARCH = ("parameters", "constraints", "objective", "further_objectives", "search")
"""What two experiments have in common when they search alike."""


class SplitSearch(NamedTuple):
    """The search inside a split, which has ended."""

    run_id: str
    tried: int
    """Points that were tried, those that failed included."""
    failed: int
    """Those of the points that the search ended with of which a task failed."""
    best: Point | None
    """As the plan of its run has it; ``None`` when no point has a value."""
    trained: float | None
    """The objective of the best point on the training windows."""


class Nested(NamedTuple):
    """The searches inside all splits of a run, which have ended."""

    splits: Sequence[Split]
    searches: Sequence[SplitSearch]
    points: Sequence[Point]
    """The different points that were chosen, numbered in the order of splits."""
    chosen: Sequence[int | None]
    """The number of the point chosen in each split."""

    @property
    def tried(self) -> int:
        """Points that were tried in all splits together."""
        return sum(each.tried for each in self.searches)

    def tests_id(self, run_id: str) -> str:
        """Return the id of the run that tests the chosen points."""
        named = [
            [each.run_id, None if each.best is None else each.best.index] for each in self.searches
        ]
        tests = [list(split.test) for split in self.splits]
        return f"{_stem(run_id)}-tests-{digest([named, tests])[:_DIGITS_OF_TESTS]}"

    def tests_of(self, plan: Plan) -> Iterator[tuple[int, tuple[int, int]]]:
        """Yield the number of each chosen point with each window that it is tested on, once."""
        bounds = windows_of(plan)
        found = {
            (point, bounds[window]): None
            for split, point in zip(self.splits, self.chosen, strict=True)
            if point is not None
            for window in split.test
        }
        yield from found


class NestedTests(NamedTuple):
    """The tests of the points that were chosen by searches inside splits."""

    plan: Plan
    """Its points are those that choices name."""
    windows: Windows
    choices: list[Choice]
    nested: Nested


def split_id(run_id: str, number: int, train: Sequence[tuple[int, int]]) -> str:
    """Return the id of the run that searches in a split; ``train`` are its training windows."""
    key = digest([list(bounds) for bounds in train])[:_SHOWN_DIGITS]
    return f"{_stem(run_id)}-s{number:02}-{key}"


def _stem(run_id: str) -> str:
    """Return what ids of runs begin with, another one for each run; long ids are cut."""
    if len(run_id) <= _LONGEST_STEM:
        return run_id
    key = digest(run_id)[:_SHOWN_DIGITS]
    return f"{run_id[: _LONGEST_STEM - len(key) - 1].rstrip('.-')}-{key}"


def read_nested(store: Store, files: RunFiles, plan: Plan, settings: Mapping[str, Any]) -> Nested:
    """Return what the searches inside the splits of a run chose.

    Raises ``UsageError`` when one has not ended or is another search, or there are too few windows.
    """
    run_id, bounds = files.folder.name, windows_of(plan)
    splits = splits_of(settings, len(bounds))
    searches = []
    for number, split in enumerate(splits):
        train = [bounds[window] for window in split.train]
        found = read_search(store, files, plan, split_id(run_id, number, train), train)
        if found is None:
            raise UsageError(
                f"run {run_id!r}: split {number} has not been searched; 'trading-runtime results "
                f"walk-forward {run_id} --nested' does that"
            )
        searches.append(found)
    return nested_of(splits, searches)


def nested_of(splits: Sequence[Split], searches: Sequence[SplitSearch]) -> Nested:
    """Number the points that were chosen, equal ones as one."""
    numbers: dict[bytes, int] = {}
    points: list[Point] = []
    chosen: list[int | None] = []
    for each in searches:
        if each.best is None:
            chosen.append(None)
            continue
        key = canonical_json(dict(each.best.config))
        if key not in numbers:
            numbers[key] = len(points)
            points.append(dataclasses.replace(each.best, index=len(points)))
        chosen.append(numbers[key])
    return Nested(splits, searches, points, chosen)


def read_search(
    store: Store, files: RunFiles, plan: Plan, name: str, train: Sequence[tuple[int, int]]
) -> SplitSearch | None:
    """Return the search in run ``name``, inside a split of another; ``None`` unless it ended.

    ``files`` and ``plan`` are those of the run that is validated. Raises ``UsageError`` when it is
    not the search of that run, or had other windows, data or code.
    """
    inside = store.run(name)
    result = read_result(inside)
    if result is None or result.counts.missing:
        return None
    searched = read_plan(inside.plan)
    ours, theirs = (read_json(each.experiment) or {} for each in (files, inside))
    if (
        searched.common.content != plan.common.content
        or not has_windows_of(searched, plan, train)
        or any(ours.get(key) != theirs.get(key) for key in _OF_A_SEARCH)
    ):
        raise UsageError(
            f"run {name!r} is no search inside a split of run {files.folder.name!r}: it has "
            "another search, other code, windows or data; run the experiment with another run id"
        )
    first = store.run(generation_id(name, 0)).plan
    # Of successive halving, the run itself has only the points of its last rung.
    tried = max(len(searched.points), len(read_plan(first).points) if first.exists() else 0)
    table = read_table(inside.points, result.tables)
    best = result.best
    return SplitSearch(
        name,
        tried,
        int((table["ok"] < table["tasks"]).sum()),
        None if best is None else searched.points[best.point],
        None if best is None else float(best.value),
    )


def has_windows_of(plan: Plan, run: Plan, windows: Collection[tuple[int, int]]) -> bool:
    """Whether a plan has these windows of a run and no others, with the same data."""
    ours = [item for item in run.partitions if (item.start, item.end) in windows]
    theirs = partition_digests(plan.partitions, plan.instruments)
    return [*partition_digests(ours, run.instruments)] == [*theirs]


def read_tests(store: Store, files: RunFiles, plan: Plan, nested: Nested) -> NestedTests:
    """Return the tests of the chosen points, which have run.

    Raises ``UsageError`` when they did not run, or one is missing.
    """
    run_id = files.folder.name
    name = nested.tests_id(run_id)
    of_tests = store.run(name)
    result = read_result(of_tests)
    if result is None:
        raise UsageError(
            f"run {run_id!r}: the points that its splits chose have not been tested (run "
            f"{name!r}); 'trading-runtime results walk-forward {run_id} --nested' does that"
        )
    if not result.complete:
        raise UsageError(
            f"run {run_id!r}: points that its splits chose fail in their tests; 'trading-runtime "
            f"runs show {name}' says why; 'trading-runtime results walk-forward {run_id} --nested' "
            "tries them again"
        )
    tests = read_plan(of_tests.plan)
    windows = Windows.of_run(tests, store, of_tests, plan)
    windows.undone.refuse_missing()
    choices = []
    for split, search, point in zip(nested.splits, nested.searches, nested.chosen, strict=True):
        row = {} if point is None else windows.row(point, split.test)
        value = row.get(plan.objective.metric)
        tested = None if value is None else float(value)
        failed = point is not None and row["ok"] < row["tasks"]
        choices.append(Choice(split, point, search.trained, tested, search.failed, failed))
    return NestedTests(tests, windows, choices, nested)


def read_tested(
    store: Store, files: RunFiles, plan: Plan, settings: Mapping[str, Any]
) -> NestedTests:
    """Return searches and tests of a run as ``read_nested`` and ``read_tests`` do."""
    return read_tests(store, files, plan, read_nested(store, files, plan, settings))


def walk_nested(store: Store, files: RunFiles, plan: Plan, settings: Mapping[str, Any]) -> Walked:
    """Return a walk-forward whose searches ran inside its splits; raises as ``read_tested``."""
    found = read_tested(store, files, plan, settings)
    curve = found.windows.curve(found.choices)
    return Walked(
        found.windows.bounds, found.plan.points, found.choices, curve, found.nested.searches
    )
