"""The front of several objectives: the points that no other beats in all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trading_runtime.records.result import Front, FrontPoint

if TYPE_CHECKING:
    from collections.abc import Sequence

    import polars as pl

    from trading_runtime.records.plan import PlannedObjective


def front_of(points: pl.DataFrame, objectives: Sequence[PlannedObjective]) -> Front | None:
    """Return the front of a run, ``None`` when it has a single objective.

    A point without a value of some objective is not on it.
    """
    if len(objectives) == 1:
        return None
    # What plans a search compares values, and has no table.
    from trading_runtime.results.frames import json_value, ranked, row_parameters

    first, metrics = objectives[0], [each.metric for each in objectives]
    known = ranked(points.drop_nulls(metrics), first.metric, first.direction)
    kept = non_dominated(known.select(metrics).rows(), [each.direction for each in objectives])
    return Front(
        objectives=tuple(objectives),
        points=tuple(
            FrontPoint(
                point=row["point"],
                parameters=row_parameters(row),
                values=tuple(json_value(row[metric]) for metric in metrics),
            )
            for row in known[kept].iter_rows(named=True)
        ),
    )


def non_dominated(values: Sequence[Sequence[Any]], directions: Sequence[str]) -> list[int]:
    """Return the places of those that none beats: is nowhere worse, and better somewhere."""
    signs = [1 if direction == "minimize" else -1 for direction in directions]
    costs = [
        tuple(sign * value for sign, value in zip(signs, each, strict=True)) for each in values
    ]
    found: list[int] = []
    # What beats another comes before it in this order, so only what was found can beat the next.
    for place in sorted(range(len(costs)), key=lambda place: costs[place]):
        mine = costs[place]
        if not any(
            costs[other] != mine
            and all(one <= two for one, two in zip(costs[other], mine, strict=True))
            for other in found
        ):
            found.append(place)
    return sorted(found)
