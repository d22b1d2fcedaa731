"""Whether a search that ran would ask for the same again, here and now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trading_runtime.errors import DataError, UsageError
from trading_runtime.records.result import read_result
from trading_runtime.results.run_records import read_table
from trading_runtime.search.asking import Evaluated, Space, ask
from trading_runtime.search.generations import CheckedSearch, read_generation
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
    evaluated: list[Evaluated] = []
    number = 0
    differs = None
    while (stored := read_generation(store, run_id, number)) is not None:
        if differs is None:
            asked = ask(Space.of(stored.inputs), stored.inputs, number, evaluated)
            if asked != stored.asked:
                differs = number
        these = points[len(evaluated) : len(evaluated) + len(stored.asked)]
        if these.height != len(stored.asked):
            raise DataError(
                f"{files.points}: has {points.height:,} points, fewer than the search asked for; "
                "run the experiment again with this run id"
            )
        evaluated += evaluated_points(stored.asked, these, first.inputs)
        number += 1
    return CheckedSearch(number, len(evaluated), differs)
