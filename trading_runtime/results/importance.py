"""How much each parameter matters to the objective, and how good the search was along its way."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

from trading_runtime.results.frames import PARAMETER_PREFIX, varied_parameters

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import polars as pl

_MOST_GROUPS = 8
"""Numbers with more values than this are put into ranges, each with as many of the values."""


class Importance(NamedTuple):
    """How much of the objective's variance a parameter explains alone."""

    parameter: str
    share: float | None
    """From 0 to 1; ``None`` where there are no more points than groups of values."""


class Step(NamedTuple):
    """A point of a search, in the order in which they were asked for."""

    point: int
    value: float | None
    best: float | None
    """The best value up to here."""


def importances(points: pl.DataFrame, metric: str) -> list[Importance]:
    """Return the importance of each parameter that varies, the largest first.

    The share is epsilon squared, which corrects the share of the variance between groups of points
    with the same value for the number of groups: 1 - (n - 1) / (n - k) x within / total, and 0 when
    that is less. What parameters explain only together is in none. Source: Kelley, "An unbiased
    correlation ratio measure", Proceedings of the National Academy of Sciences 21(9), 1935.
    """
    known = points.drop_nulls(metric)
    values = [float(value) for value in known[metric]]
    found = [
        Importance(name, _explained(values, _groups(known[PARAMETER_PREFIX + name])))
        for name in varied_parameters(points)
    ]
    return sorted(found, key=lambda each: (each.share is None, -(each.share or 0)))


def best_so_far(points: pl.DataFrame, metric: str, direction: str) -> list[Step]:
    """Return each point with the best value up to it, in the order of points."""
    better, best = (min if direction == "minimize" else max), None
    steps = []
    for point, given in points.sort("point").select("point", metric).iter_rows():
        value = None if given is None else float(given)
        best = better((each for each in (best, value) if each is not None), default=None)
        steps.append(Step(point, value, best))
    return steps


def _groups(column: pl.Series) -> list[Any]:
    """Return the group of each row: its value, or for many numbers a range of values."""
    if not column.dtype.is_numeric() or column.n_unique() <= _MOST_GROUPS:
        return column.to_list()
    ranks = column.rank("dense").to_list()
    largest = max(ranks)
    return [(rank - 1) * _MOST_GROUPS // largest for rank in ranks]


def _explained(values: Sequence[float], groups: Sequence[Any]) -> float | None:
    count, different = len(values), len(set(groups))
    if count <= different or not count:
        return None
    mean = math.fsum(values) / count
    total = math.fsum((value - mean) ** 2 for value in values)
    if not total:
        return 0.0
    within = math.fsum(_deviations(values, groups))
    return max(0.0, 1 - (count - 1) / (count - different) * within / total)


def _deviations(values: Sequence[float], groups: Sequence[Any]) -> Iterator[float]:
    by_group: dict[Any, list[float]] = {}
    for value, group in zip(values, groups, strict=True):
        by_group.setdefault(group, []).append(value)
    for each in by_group.values():
        mean = math.fsum(each) / len(each)
        yield from ((value - mean) ** 2 for value in each)
