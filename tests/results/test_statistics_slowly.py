"""The statistics against a slow reckoning: fractions for sums, one day and one minute at a time."""

from __future__ import annotations

import math
import random
import statistics
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.results.observed import YEAR, throughout
from trading_runtime.results.statistics import Fills, Trade, task_statistics
from trading_runtime.units import DAY

MONDAY = 18_995 * DAY
HOUR = DAY // 24
AMOUNTS = st.decimals(min_value=1, max_value=10**6, places=2)
PROFITS = st.decimals(min_value=-(10**4), max_value=10**4, places=2)

CURVES = st.lists(AMOUNTS, min_size=24 * 3 + 1, max_size=24 * 3 + 1)
"""Equity every hour of three days."""
POSITIONS = st.lists(
    st.tuples(PROFITS, st.integers(0, 70), st.integers(1, 40)).map(
        lambda drawn: (
            drawn[0],
            drawn[1],
            drawn[1] + drawn[2] if drawn[1] + drawn[2] <= 72 else None,
        )
    ),
    max_size=8,
)
FILLS = st.lists(st.tuples(AMOUNTS, st.decimals(-5, 50, places=3)), max_size=8)


def close_to(value: Fraction | float | None) -> Any:
    return None if value is None else pytest.approx(float(value), rel=1e-11, abs=1e-13)


def slow_drawdown(values: list[Fraction]) -> Fraction:
    """Look at every pair of samples."""
    return max(
        (1 - low / values[peak] for peak in range(len(values)) for low in values[peak:]),
        default=Fraction(0),
    )


@settings(max_examples=50)
@given(CURVES, POSITIONS, FILLS, st.integers(0, 3))
def test_a_task_has_the_statistics_of_a_slow_reckoning(
    curve: list[Decimal],
    positions: list[tuple[Decimal, int, int | None]],
    fills: list[tuple[Decimal, Decimal]],
    seed: int,
) -> None:
    equity = [(MONDAY + hour * HOUR, value) for hour, value in enumerate(curve)]
    trades = [
        Trade(profit, MONDAY + opened * HOUR, None if closed is None else MONDAY + closed * HOUR)
        for profit, opened, closed in positions
    ]
    random.Random(seed).shuffle(trades)  # noqa: S311 - any order
    moved = Fills(len(fills), *(sum(each, Decimal(0)) for each in zip(*fills, strict=True)))

    found = task_statistics(equity, throughout(MONDAY, MONDAY + 3 * DAY), moved, trades, YEAR)

    values = [Fraction(value) for value in curve]
    returns = [values[24 * day + 24] / values[24 * day] - 1 for day in range(3)]
    mean, deviation = sum(returns) / 3, statistics.stdev(returns)
    losses = sum((min(one, Fraction(0)) ** 2 for one in returns), Fraction(0)) / 3
    root = math.sqrt(365)
    assert found["return"] == close_to(values[-1] / values[0] - 1)
    assert found["volatility"] == close_to(deviation * root)
    assert found["sharpe"] == close_to(float(mean) / deviation * root if deviation else None)
    assert found["sortino"] == close_to(float(mean) / math.sqrt(losses) * root if losses else None)
    assert found["max_drawdown"] == close_to(slow_drawdown(values))

    held = [
        any(opened <= hour < (72 if closed is None else closed) for _, opened, closed in positions)
        for hour in range(72)
    ]
    assert found["exposure"] == close_to(Fraction(sum(held), 72))
    made = [Fraction(profit) for profit, _, closed in positions if closed is not None]
    won, lost = sum(one for one in made if one > 0), -sum(one for one in made if one < 0)
    assert (found["trades"], found["open_positions"]) == (len(made), len(positions) - len(made))
    assert found["win_rate"] == close_to(
        Fraction(sum(one > 0 for one in made), len(made)) if made else None
    )
    assert found["profit_factor"] == close_to(Fraction(won) / lost if lost else None)
    expectancy = found["expectancy"]
    assert (None if expectancy is None else float(str(expectancy))) == close_to(
        sum(made) / len(made) if made else None
    )

    assert Fraction(str(found["fees"])) == sum(Fraction(fee) for _, fee in fills)
    traded = sum(Fraction(value) for value, _ in fills)
    assert Fraction(str(found["traded_value"])) == traded
    assert found["turnover"] == close_to(traded / values[0])
    assert Fraction(str(found["net_profit"])) == values[-1] - values[0]
