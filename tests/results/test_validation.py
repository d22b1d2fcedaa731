"""Choosing on some windows and looking at others."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from tests.results.observed import YEAR, throughout
from tests.results.skfolio_opinion import combinatorial_cases, digest, walk_forward_cases
from trading_runtime.errors import UsageError
from trading_runtime.records.plan import PlannedObjective
from trading_runtime.results.calendar import observed_facts
from trading_runtime.results.points import TaskOutcome
from trading_runtime.results.statistics import Fills, task_statistics
from trading_runtime.results.validation import (
    Choice,
    Split,
    Stability,
    Stretch,
    Windows,
    choose,
    combinatorial_purged,
    splits_of,
    stability,
    walk_forward,
    window_stretches,
)
from trading_runtime.units import DAY

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

NET_PROFIT = PlannedObjective("net_profit", "maximize")


# What skfolio 1.12.2 gives for the same arguments, as (first train, last train, first test, last
# test) of each split.
@pytest.mark.parametrize(
    ("windows", "sizes", "expected"),
    [
        (
            12,
            {"train_size": 3, "test_size": 2},
            [(0, 2, 3, 4), (2, 4, 5, 6), (4, 6, 7, 8), (6, 8, 9, 10)],
        ),
        (
            12,
            {"train_size": 3, "test_size": 2, "purged_size": 1, "expand_train": True},
            [(0, 2, 4, 5), (0, 4, 6, 7), (0, 6, 8, 9), (0, 8, 10, 11)],
        ),
        (
            13,
            {"train_size": 4, "test_size": 3, "purged_size": 2, "reduce_test": True},
            [(0, 3, 6, 8), (3, 6, 9, 11), (6, 9, 12, 12)],
        ),
    ],
)
def test_walk_forward_splits_are_those_of_skfolio(
    windows: int, sizes: dict[str, Any], expected: list[tuple[int, int, int, int]]
) -> None:
    found = walk_forward(windows, **sizes)

    assert [(s.train[0], s.train[-1], s.test[0], s.test[-1]) for s in found] == expected
    for split in found:
        assert split.train == tuple(range(split.train[0], split.train[-1] + 1))
        assert split.test == tuple(range(split.test[0], split.test[-1] + 1))


def test_combinatorial_splits_are_those_of_skfolio() -> None:
    found = combinatorial_purged(20, n_folds=4, n_test_folds=2, purged_size=1, embargo_size=1)

    assert found == [
        Split((12, 13, 14, 15, 16, 17, 18, 19), (0, 1, 2, 3, 4, 5, 6, 7, 8, 9)),
        Split((7, 8, 17, 18, 19), (0, 1, 2, 3, 4, 10, 11, 12, 13, 14)),
        Split((7, 8, 9, 10, 11, 12, 13), (0, 1, 2, 3, 4, 15, 16, 17, 18, 19)),
        Split((0, 1, 2, 3, 17, 18, 19), (5, 6, 7, 8, 9, 10, 11, 12, 13, 14)),
        Split((0, 1, 2, 3, 12, 13), (5, 6, 7, 8, 9, 15, 16, 17, 18, 19)),
        Split((0, 1, 2, 3, 4, 5, 6, 7, 8), (10, 11, 12, 13, 14, 15, 16, 17, 18, 19)),
    ]


def test_splits_of_every_kind_are_those_of_skfolio() -> None:
    # The output of ``skfolio_opinion.py``, for 144 and 72 combinations of arguments.
    assert (
        digest(walk_forward(windows, **sizes) for windows, sizes in walk_forward_cases())
        == "bcfd976857f1b679ea717ee0564303e2711d3f3069997923a26a8bef7637af39"
    )
    assert (
        digest(combinatorial_purged(windows, **sizes) for windows, sizes in combinatorial_cases())
        == "91b8417c1e84c0928a7dd19b1f9c599c564d8ccfe6c1fa7a612d7adee13b07a5"
    )


def test_too_few_windows_are_refused() -> None:
    with pytest.raises(UsageError, match="3 windows are too few for these sizes"):
        splits_of({"method": "walk-forward", "train_size": 3, "test_size": 1}, 3)


def windows_of(
    profits: Sequence[Sequence[int]], failed: Collection[tuple[int, int]] = ()
) -> Windows:
    """Return the results of points (outer) over days (inner) that made these profits.

    ``failed`` are points and days without a result.
    """
    outcomes = []
    for point, by_day in enumerate(profits):
        for day, profit in enumerate(by_day):
            start, end = day * DAY, (day + 1) * DAY
            seen = throughout(start, end)
            equity = [(start, Decimal(1_000)), (end, Decimal(1_000 + profit))]
            summary = {
                **task_statistics(equity, seen, Fills(), [], YEAR),
                **observed_facts(seen),
                **dict.fromkeys(
                    ("orders", "denied_orders", "partly_filled_orders", "funding_settlements"), 0
                ),
                **dict.fromkeys(("warmup_denied_orders", "warmup_short"), 0),
                "funding": "0",
            }
            outcome = TaskOutcome(day, start, end, ("BTC",), "ok", summary, equity)
            if (point, day) in failed:
                outcome = TaskOutcome(day, start, end, ("BTC",), "strategy")
            outcomes.append((point, outcome))
    return Windows({point: {"n": point} for point in range(len(profits))}, outcomes, YEAR)


def test_the_best_of_the_train_windows_is_judged_on_the_test_windows_alone() -> None:
    windows = windows_of([[9, 9, 1, 1, 0], [1, 1, 5, 5, 7]])
    choices = list(choose(windows, walk_forward(5, train_size=2, test_size=1), NET_PROFIT))

    assert choices == [
        Choice(Split((0, 1), (2,)), 0, 18, 1),
        Choice(Split((1, 2), (3,)), 0, 10, 1),
        Choice(Split((2, 3), (4,)), 1, 10, 7),
    ]
    assert windows.path(choices)["net_profit"] == "9"
    assert stability(choices) == Stability(
        splits=3, points=2, changes=1, commonest=0, commonest_share=0.666666666667
    )
    assert window_stretches(windows, choices) == [
        Stretch(0, 2 * DAY, 4 * DAY, (2, 3)),
        Stretch(1, 4 * DAY, 5 * DAY, (4,)),
    ]


def test_of_equal_points_the_lower_is_chosen_and_less_can_be_better() -> None:
    windows = windows_of([[5, 0], [5, 0], [2, 0]])
    splits = [Split((0,), (1,))]

    assert [each.point for each in choose(windows, splits, NET_PROFIT)] == [0]
    least = PlannedObjective("net_profit", "minimize")
    assert [each.point for each in choose(windows, splits, least)] == [2]


def test_where_nothing_is_defined_nothing_is_chosen() -> None:
    windows = windows_of([[5, 0], [5, 0]])
    choices = list(
        choose(windows, [Split((0,), (1,))], PlannedObjective("profit_factor", "maximize"))
    )

    assert [each.point for each in choices] == [None]
    assert window_stretches(windows, choices) == []
    assert stability(choices).commonest is None


def test_a_path_has_each_window_once_as_those_of_skfolio_have() -> None:
    """Four folds of a window each, two of them tested: three paths over six splits."""
    profits = [[1, 2, 4, 8], [16, 32, 64, 128], [256, 512, 1_024, 2_048]]
    windows = windows_of(profits)
    splits = combinatorial_purged(4, n_folds=4, n_test_folds=2)
    chosen = [0, 1, 2, 0, 1, 2]
    choices = [
        Choice(split, point, None, None) for split, point in zip(splits, chosen, strict=True)
    ]

    # ``recombined_paths`` of skfolio 1.12.2: the split of each fold (row) in each path (column).
    recombined = [[0, 1, 2], [0, 3, 4], [1, 3, 5], [2, 4, 5]]
    assert [path["net_profit"] for path in windows.paths(choices)] == [
        str(sum(profits[chosen[of_fold[path]]][fold] for fold, of_fold in enumerate(recombined)))
        for path in range(3)
    ]


def test_a_point_that_failed_is_not_chosen_and_counts_and_its_test_is_unknown() -> None:
    """Point 1 is the best, and fails on the third day."""
    windows = windows_of([[1, 1, 1, 1], [9, 9, 9, 9]], failed={(1, 2)})
    choices = list(choose(windows, walk_forward(4, train_size=1, test_size=1), NET_PROFIT))

    assert choices == [
        Choice(Split((0,), (1,)), 1, 9, 9),
        Choice(Split((1,), (2,)), 1, 9, None, 0, failed=True),
        Choice(Split((2,), (3,)), 0, 1, 1, 1),
    ]
    assert windows.path(choices)["net_profit"] is None
    assert windows.curve(choices) == []
    assert len(windows.curve(choices[:1])) == 2
