"""Formulas about luck give the values that their papers print."""

from __future__ import annotations

import math
import random
from fractions import Fraction

import pytest

from trading_runtime.results.luck import (
    Track,
    deflated_sharpe,
    luckiest,
    minimum_backtest_years,
    minimum_track_record,
    probabilistic_sharpe,
    sample_variance,
    sharpe_by_luck,
)

DAYS = 250
OF_A_HEDGE_FUND = {"skewness": -2.448, "kurtosis": 10.164}


@pytest.mark.parametrize(
    ("track", "printed"),
    [
        (Track(24, 0.458, 0, 3), 0.982),
        (Track(24, 0.458, **OF_A_HEDGE_FUND), 0.913),
        (Track(36, 0.458, **OF_A_HEDGE_FUND), 0.953),
    ],
    ids=["as-if-normal", "skewed", "skewed-for-three-years"],
)
def test_the_probabilistic_sharpe_ratio_is_that_of_the_paper(track: Track, printed: float) -> None:
    # Bailey and Lopez de Prado 2012: two years of monthly returns, mean 0.036 and deviation 0.079;
    # the last digit printed of the third is cut, not rounded.
    assert probabilistic_sharpe(track) == pytest.approx(printed, abs=0.00051)


@pytest.mark.parametrize(
    ("periods", "skewness", "kurtosis", "years"),
    [(250, 0, 3, 2.73), (52, 0, 3, 2.83), (12, 0, 3, 3.24), (12, -0.72, 5.78, 4.99)],
    ids=["daily", "weekly", "monthly", "monthly-of-hedge-funds"],
)
def test_the_minimum_track_record_is_that_of_the_paper(
    periods: int, skewness: float, kurtosis: float, years: float
) -> None:
    # The same paper: a Sharpe ratio of 2 a year that is to be told from 1.
    root = math.sqrt(periods)
    needed = minimum_track_record(Track(1_000, 2 / root, skewness, kurtosis), 1 / root)
    assert needed is not None
    assert round(needed / periods, 2) == years


@pytest.mark.parametrize(("trials", "printed"), [(100, 0.9004), (46, 0.9505)])
def test_the_deflated_sharpe_ratio_is_that_of_the_paper(trials: int, printed: float) -> None:
    # Bailey and Lopez de Prado 2014: five years of days, 2.5 a year, variance of trials 1/2 a year.
    track = Track(1_250, 2.5 / math.sqrt(DAYS), -3, 10)
    found = deflated_sharpe(track, trials, 0.5 / DAYS)
    assert found is not None
    assert round(found, 4) == printed


def test_the_hurdle_of_a_hundred_trials_is_that_of_the_paper() -> None:
    assert round(sharpe_by_luck(100, 0.5 / DAYS), 4) == 0.1132


def test_45_trials_are_what_five_years_bear() -> None:
    # Bailey, Borwein, Lopez de Prado and Zhu 2014, for a Sharpe ratio of 1.
    assert minimum_backtest_years(45) <= 5 < minimum_backtest_years(46)


def test_an_annualised_sharpe_ratio_would_pass_for_skill() -> None:
    # Why the formulas take that of one period: the same track, annualised, is 'certain'.
    wrong = deflated_sharpe(Track(1_250, 2.5, -3, 10), 100, 0.5)
    assert wrong is not None
    assert wrong > 0.98


def test_luck_expects_the_mean_of_the_largest_of_many_normal_numbers() -> None:
    chance = random.Random(1)  # noqa: S311 - made-up numbers
    largest = [max(chance.gauss() for _ in range(50)) for _ in range(4_000)]
    assert luckiest(50) == pytest.approx(sum(largest) / len(largest), abs=0.03)


def test_one_trial_has_no_luck_to_expect() -> None:
    assert luckiest(1) == 0
    assert sharpe_by_luck(1, 0.5) == 0


def test_a_track_has_the_moments_that_exact_fractions_give() -> None:
    returns = [0.01, -0.02, 0.03, 0.0, 0.01, -0.01, 0.05]
    exact = [Fraction(value) for value in returns]
    mean = sum(exact) / 7
    squares, cubes, fourths = (
        sum((value - mean) ** power for value in exact) for power in (2, 3, 4)
    )
    track = Track.of(returns)
    assert track is not None
    assert track.returns == 7
    assert track.sharpe == pytest.approx(float(mean) / math.sqrt(squares / 6), rel=1e-14)
    assert track.skewness == pytest.approx(float(cubes / 7) / float(squares / 7) ** 1.5, rel=1e-14)
    assert track.kurtosis == pytest.approx(float(fourths / 7 / (squares / 7) ** 2), rel=1e-14)


@pytest.mark.parametrize("returns", [[], [0.1], [0.0] * 9, [0.1] * 9])
def test_returns_that_do_not_deviate_are_no_track(returns: list[float]) -> None:
    assert Track.of(returns) is None


def test_what_is_undefined_is_none() -> None:
    assert minimum_track_record(Track(9, 0.1, 0, 3), 0.1) is None
    # Skewness so high that the approximation gives a negative variance.
    assert probabilistic_sharpe(Track(9, 1.0, 3, 3)) is None
    assert sample_variance([0.1]) is None
