"""What a search has asked for: stored once for each generation, and authoritative from then on."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

from trading_runtime.canonical import canonical_json
from trading_runtime.errors import DataError, UsageError
from trading_runtime.planning.identity import encode_values
from trading_runtime.search.asking import Asked, SearchInputs, Space

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trading_runtime.records.plan import Point
    from trading_runtime.results.store import Store

_FORMAT = 1


class Generation(NamedTuple):
    """The points of a generation, and the search that asked for them."""

    inputs: SearchInputs
    asked: list[Asked]


class CheckedSearch(NamedTuple):
    """The result of asking again."""

    generations: int
    points: int
    differs: int | None
    """The first generation that differs; the later ones follow from it."""


def name_of(run_id: str, number: int) -> str:
    """Return the name of a generation's file in a store."""
    return f"runs/{run_id}/search/{number:03}.json"


def read_generation(store: Store, run_id: str, number: int) -> Generation | None:
    """Return a stored generation, ``None`` when it was not asked for yet.

    Raises ``DataError`` when it is damaged.
    """
    name = name_of(run_id, number)
    try:
        content = json.loads(store.objects.read(name))
        asked = [
            Asked(tuple(map(int, each["indices"])), tuple(map(float, each["inner"])))
            for each in content["points"]
        ]
        return Generation(SearchInputs.from_document(content["search"]), asked)
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{store.objects.url}/{name}: damaged: {error}; remove it with all later ones, and run "
            "the experiment again with this run id"
        ) from error


def refuse_other_search(stored: Generation, inputs: SearchInputs, run_id: str) -> None:
    """Raise ``UsageError`` when another search has asked for a generation of this run."""
    if stored.inputs != inputs:
        raise UsageError(
            f"run {run_id!r} exists with another search; choose another --run-id, or leave it "
            "out to get a new one"
        )


def refuse_other_points(
    name: str, stored: Generation, inputs: SearchInputs, planned: Sequence[Point]
) -> None:
    """Raise ``DataError`` when a generation is not of its search, or not what a run computed.

    ``name`` is where it is stored; ``planned`` are the points of the run's plan.
    """
    space = Space.of(inputs)
    try:
        asked = [encode_values(space.point(each.indices)) for each in stored.asked]
    except (IndexError, ValueError):
        asked = []
    computed = [dict(each.config) for each in planned]
    if stored.inputs != inputs or not asked or asked != computed:
        raise DataError(
            f"{name}: damaged: its points are not those that the run computed; restore it, or run "
            "the experiment with another run id"
        )


def keep_generation(
    store: Store, run_id: str, number: int, inputs: SearchInputs, asked: Sequence[Asked]
) -> Generation:
    """Store a generation unless one exists, and return the stored one."""
    content = {
        "format": _FORMAT,
        "search": inputs.to_document(),
        "points": [{"indices": each.indices, "inner": each.inner} for each in asked],
    }
    store.objects.create(name_of(run_id, number), canonical_json(content) + b"\n")
    stored = read_generation(store, run_id, number)
    if stored is None:
        raise DataError(
            f"{store.objects.url}/{name_of(run_id, number)}: vanished as it was written"
        )
    return stored
