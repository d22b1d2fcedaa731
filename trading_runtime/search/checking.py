"""Whether a search that ran would ask for the same again, here and now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trading_runtime.errors import DataError, UsageError
from trading_runtime.records.plan import read_plan
from trading_runtime.records.result import read_result
from trading_runtime.results.run_records import read_table
from trading_runtime.search.asking import Evaluated, Space, ask
from trading_runtime.search.generations import (
    CheckedSearch,
    name_of,
    read_generation,
    refuse_other_points,
)
from trading_runtime.search.halving import check_halving
from trading_runtime.search.state import evaluated_points

if TYPE_CHECKING:
    from trading_runtime.results.store import Store


def check_asked(store: Store, run_id: str) -> CheckedSearch:
    """Ask for every generation of a run again, from the results that the run has stored.

    Raises ``UsageError`` when the run has no search or did not end, ``DataError`` when its files
    are damaged, or its points are not those that were asked for.
    """
    files = store.run(run_id)
    result = read_result(files)
    first = read_generation(store, run_id, 0)
    if first is None or result is None:
        raise UsageError(
            f"run {run_id!r} has no adaptive search that ended; --search is for runs whose "
            "experiment has 'search: {method: tpe | cma-es | nsga-ii | successive-halving}'"
        )
    if first.inputs.search.method == "successive-halving":
        return check_halving(store, run_id, first.inputs)
    points = read_table(files.points, result.tables).sort("point")
    planned = read_plan(files.plan).points
    evaluated: list[Evaluated] = []
    number = 0
    differs = None
    space = Space.of(first.inputs)
    while (stored := read_generation(store, run_id, number)) is not None:
        last = len(evaluated) + len(stored.asked)
        name = f"{store.objects.url}/{name_of(run_id, number)}"
        refuse_other_points(name, stored, first.inputs, planned[len(evaluated) : last])
        if differs is None and ask(space, first.inputs, number, evaluated) != stored.asked:
            differs = number
        evaluated += evaluated_points(stored.asked, points[len(evaluated) : last], first.inputs)
        number += 1
    if len(evaluated) < len(planned):
        raise DataError(
            f"{store.objects.url}/{name_of(run_id, number)}: is missing: the run has "
            f"{len(planned):,} points, and the generations before it {len(evaluated):,}; restore it"
        )
    return CheckedSearch(number, len(evaluated), differs)
