"""What skfolio makes of the splits of ``test_validation``: digests, printed as JSON.

It needs pandas, which must not be in the environment of the tests, so it runs in one of its own:

    python -m venv opinion && opinion/bin/pip install skfolio==1.12.2
    opinion/bin/python tests/results/skfolio_opinion.py
"""

from __future__ import annotations

import hashlib
import importlib
import itertools
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

type Splits = Iterable[tuple[Iterable[int], Iterable[int]]]
"""Training and test windows of each split."""


def walk_forward_cases() -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield numbers of windows with arguments."""
    names = ("train_size", "test_size", "purged_size", "expand_train", "reduce_test")
    values = ((1, 4, 7), (1, 3), (0, 1, 2), (False, True), (False, True))
    for windows in (11, 24):
        for chosen in itertools.product(*values):
            yield windows, dict(zip(names, chosen, strict=True))


def combinatorial_cases() -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield numbers of windows with arguments; some windows are left over after equal folds."""
    names = ("n_folds", "n_test_folds", "purged_size", "embargo_size")
    for windows in (30, 37):
        for chosen in itertools.product((4, 5), (2, 3), (0, 1, 2), (0, 1, 2)):
            yield windows, dict(zip(names, chosen, strict=True))


def digest(of_cases: Iterable[Splits]) -> str:
    """Return the sha256 of the splits of many cases."""
    content = [
        [[[int(window) for window in part] for part in split] for split in splits]
        for splits in of_cases
    ]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def opinion(numpy: Any, skfolio: Any) -> dict[str, str]:
    """Return the digests of skfolio's splits."""

    def splits(method: Any, windows: int, arguments: dict[str, Any]) -> Splits:
        found = method(**arguments).split(numpy.zeros((windows, 1)))
        # Its combinatorial tests come fold by fold.
        return [(train, numpy.concatenate([*map(numpy.atleast_1d, test)])) for train, test in found]

    return {
        "walk-forward": digest(splits(skfolio.WalkForward, *case) for case in walk_forward_cases()),
        "combinatorial-purged": digest(
            splits(skfolio.CombinatorialPurgedCV, *case) for case in combinatorial_cases()
        ),
    }


if __name__ == "__main__":
    found = opinion(
        importlib.import_module("numpy"), importlib.import_module("skfolio.model_selection")
    )
    print(json.dumps(found, indent=4))  # noqa: T201 - it is what this program is for
