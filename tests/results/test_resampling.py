"""Tests over all trials: against slow implementations, and on made-up trials of known skill."""

from __future__ import annotations

import itertools
import math
import random
import statistics
from fractions import Fraction
from functools import cache

import numpy as np
import pytest

from tests.results import arch_opinion
from trading_runtime.results.luck import Track, deflated_sharpe, sample_variance
from trading_runtime.results.resampling import (
    Matrix,
    block_length,
    probability_of_overfitting,
    resampled,
    sharpe_interval,
    superiority,
    uniform,
)

YEAR = 250
RANDOM_MATRICES = 40


def made_up(days: int, trials: int, seed: int, skill: float = 0.0) -> Matrix:
    """Return returns of trials without skill, but for the last: ``skill`` is its Sharpe ratio."""
    returns = np.random.default_rng(seed).normal(0, 0.01, (days, trials))
    returns[:, -1] += skill * 0.01
    return returns


@cache
def random_matrices() -> list[Matrix]:
    """Return a hundred returns of twenty trials without skill, forty times."""
    return [made_up(100, 20, seed) for seed in range(RANDOM_MATRICES)]


def slow_overfitting(returns: Matrix, blocks: int) -> tuple[float, list[float]]:
    """Return PBO and all logits, as the paper says it: with lists and the standard library."""
    days, trials = returns.shape
    columns = returns.T.tolist()
    parts = [
        range(days * number // blocks, days * (number + 1) // blocks) for number in range(blocks)
    ]
    logits = []
    for chosen in itertools.combinations(range(blocks), blocks // 2):
        inside = [day for number in chosen for day in parts[number]]
        outside = [day for number in range(blocks) if number not in chosen for day in parts[number]]
        before = [ratio([column[day] for day in inside]) for column in columns]
        after = [ratio([column[day] for day in outside]) for column in columns]
        reached = after[before.index(max(before))]
        places = [1 + place for place, value in enumerate(sorted(after)) if value == reached]
        share = statistics.mean(places) / (trials + 1)
        logits.append(math.log(share / (1 - share)))
    return sum(logit <= 0 for logit in logits) / len(logits), logits


def ratio(values: list[float]) -> float:
    """Return the Sharpe ratio; 0 when nothing deviates."""
    deviation = statistics.stdev(values)
    return statistics.fmean(values) / deviation if deviation > 1e-15 else 0.0


@pytest.mark.parametrize(
    ("days", "trials", "blocks"), [(8, 3, 4), (10, 2, 4), (21, 5, 10), (27, 3, 12)]
)
def test_overfitting_is_what_a_slow_implementation_gives(
    days: int, trials: int, blocks: int
) -> None:
    returns = made_up(days, trials, seed=days)
    found = probability_of_overfitting(returns)
    probability, logits = slow_overfitting(returns, blocks)
    assert found is not None
    assert found.blocks == blocks
    assert found.probability == probability
    assert sorted(found.logits) == pytest.approx(sorted(logits), abs=1e-12)


def test_equal_trials_share_their_rank() -> None:
    # Four trials, each there twice: the chosen one's twin is as good in the other half.
    returns = np.repeat(made_up(16, 4, seed=3), 2, axis=1)
    found = probability_of_overfitting(returns)
    probability, logits = slow_overfitting(returns, 8)
    assert found is not None
    assert found.probability == probability
    assert sorted(found.logits) == pytest.approx(sorted(logits), abs=1e-12)
    ranks = {round(9 / (1 + math.exp(-logit)), 6) for logit in found.logits}
    assert ranks <= {1.5, 3.5, 5.5, 7.5}


def test_trials_that_never_traded_are_no_better_than_one_another() -> None:
    found = probability_of_overfitting(np.zeros((24, 5)))
    assert found is not None
    assert found.probability == 1
    assert set(found.logits) == {0.0}


def test_the_truly_best_trial_is_never_overfitted() -> None:
    found = probability_of_overfitting(made_up(YEAR, 20, seed=5, skill=3.0))
    assert found is not None
    assert found.probability == 0


def test_random_trials_are_overfitted_in_half_of_the_splits() -> None:
    found = [probability_of_overfitting(returns) for returns in random_matrices()]
    values = [each.probability for each in found if each is not None]
    # One matrix deviates by 0.19, so the mean of forty by 0.03: three of these are allowed.
    assert len(values) == RANDOM_MATRICES
    assert statistics.fmean(values) == pytest.approx(0.5, abs=0.09)


def test_of_random_trials_a_twentieth_at_most_passes_for_skill() -> None:
    passed = 0
    for returns in random_matrices():
        tracks = [Track.of(column) for column in returns.T.tolist()]
        known = [track for track in tracks if track is not None]
        variance = sample_variance([track.sharpe for track in known])
        assert variance is not None
        best = max(known, key=lambda track: track.sharpe)
        passed += (deflated_sharpe(best, len(known), variance) or 0) > 0.95
    assert passed <= RANDOM_MATRICES / 20


def test_one_good_trial_among_a_hundred_is_found() -> None:
    returns = made_up(2 * YEAR, 100, seed=11, skill=0.35)
    tracks = [Track.of(column) for column in returns.T.tolist()]
    known = [track for track in tracks if track is not None]
    assert max(known, key=lambda track: track.sharpe) is known[-1]
    variance = sample_variance([track.sharpe for track in known])
    assert variance is not None
    assert (deflated_sharpe(known[-1], 100, variance) or 0) > 0.95
    found = probability_of_overfitting(returns)
    assert found is not None
    assert found.probability < 0.05
    tested = superiority(returns, np.zeros(len(returns)), resampled(len(returns)))
    assert tested.hansen < 0.01
    assert tested.white < 0.01


def slow_superiority(
    returns: Matrix, benchmark: list[float], counts: Matrix
) -> tuple[float, float]:
    """Return the p-values of White and Hansen, trial by trial and resample by resample."""
    days = len(benchmark)
    root = math.sqrt(days)
    weights = counts.tolist()
    trials = [
        [value - other for value, other in zip(column, benchmark, strict=True)]
        for column in returns.T.tolist()
    ]
    means = [math.fsum(trial) / days for trial in trials]
    again = [[math.sumprod(row, trial) / days for row in weights] for trial in trials]
    deviations = [
        root * math.sqrt(math.fsum((value - mean) ** 2 for value in values) / len(values))
        for mean, values in zip(means, again, strict=True)
    ]
    largest = root * max(means)
    best = max(0.0, *(root * m / w for m, w in zip(means, deviations, strict=True)))
    white = hansen = 0
    for number in range(len(weights)):
        moved = [values[number] - mean for values, mean in zip(again, means, strict=True)]
        white += root * max(moved) >= largest
        studentised = [0.0]
        for mean, deviation, values in zip(means, deviations, again, strict=True):
            limit = -math.sqrt(deviation**2 / days * 2 * math.log(math.log(days)))
            centre = mean if mean >= limit else 0.0
            studentised.append(root * (values[number] - centre) / deviation)
        hansen += max(studentised) >= best
    return white / len(weights), hansen / len(weights)


@pytest.mark.parametrize("skill", [-0.5, 0.1, 0.3])
def test_superiority_is_what_a_slow_implementation_gives(skill: float) -> None:
    returns = made_up(60, 6, seed=2, skill=skill)
    returns[:, 0] -= 0.02  # hopeless: not centred by Hansen
    benchmark = made_up(60, 1, seed=9)[:, 0] / 3
    counts = resampled(60, resamples=200)
    found = superiority(returns, benchmark, counts)
    slow = slow_superiority(returns, benchmark.tolist(), counts)
    assert (found.white, found.hansen) == pytest.approx(slow, abs=1e-12)


@pytest.mark.parametrize(
    ("benchmark", "white", "hansen"),
    # The output of ``arch_opinion.py``, whose resamples are its own.
    [("not trading", 0.5954, 0.0246), ("buy-and-hold", 0.7586, 0.157)],
)
def test_superiority_is_what_the_package_arch_gives(
    benchmark: str, white: float, hansen: float
) -> None:
    held = arch_opinion.benchmarks()[benchmark]
    counts = resampled(arch_opinion.DAYS, resamples=5_000)
    found = superiority(arch_opinion.trials(), held, counts)

    # Three standard errors of a difference between two shares of 5,000.
    assert found.white == pytest.approx(white, abs=3 * math.sqrt(2 * white * (1 - white) / 5_000))
    assert found.hansen == pytest.approx(
        hansen, abs=3 * math.sqrt(2 * hansen * (1 - hansen) / 5_000)
    )


def test_no_trial_better_than_the_benchmark_is_certainly_luck() -> None:
    returns = made_up(60, 4, seed=2) - 0.05
    assert superiority(returns, np.zeros(60), resampled(60, resamples=100)).hansen == 1


def test_the_interval_of_a_sharpe_ratio_holds_the_true_one_as_often_as_it_says() -> None:
    true, held = 0.1, 0
    counts = resampled(YEAR, resamples=400)
    for seed in range(200):
        low, high = sharpe_interval(made_up(YEAR, 1, seed, skill=true)[:, 0], counts)
        held += low <= true <= high
    # 95 % of 200 is 190, less what a short series costs the percentile bootstrap.
    assert 178 <= held <= 198


def test_random_numbers_are_those_that_splitmix64_is_known_by() -> None:
    # The first outputs for the seed 1234567, as published with the reference implementation.
    outputs = [6457827717110365317, 3203168211198807973, 9817491932198370423]
    assert uniform(1234567, 3).tolist() == [(output >> 11) / 2**53 for output in outputs]


def test_a_resample_holds_as_many_days_in_blocks_of_the_length_asked_for() -> None:
    counts = resampled(YEAR)
    assert block_length(YEAR) == 6
    assert (counts.sum(axis=1) == YEAR).all()
    # Every day is as probable as any other.
    assert counts.mean(axis=0) == pytest.approx(np.ones(YEAR), abs=0.25)
    # Days that follow each other come together: neighbours' counts are correlated by 5/6.
    beside = np.corrcoef(counts.ravel(), np.roll(counts, 1, axis=1).ravel())[0, 1]
    assert beside == pytest.approx(5 / 6, abs=0.02)


def test_results_do_not_depend_on_the_order_in_which_numbers_are_added() -> None:
    # The days in another order, and with them the resamples: not a bit may change.
    returns = made_up(50, 30, seed=4)
    counts = resampled(50, resamples=100)
    order = random.Random(1).sample(range(50), 50)  # noqa: S311 - any order
    zeros = np.zeros(50)
    assert superiority(returns[order], zeros, counts[:, order]) == superiority(
        returns, zeros, counts
    )
    assert sharpe_interval(returns[order, 0], counts[:, order]) == sharpe_interval(
        returns[:, 0], counts
    )


def test_returns_lose_nothing_that_shows() -> None:
    returns = made_up(3_000, 1, seed=6)[:, 0]
    counts = np.ones((1, 3_000))
    exact = [Fraction(value) for value in returns.tolist()]
    mean = sum(exact) / 3_000
    variance = sum((value - mean) ** 2 for value in exact) / 2_999
    low, high = sharpe_interval(returns, np.repeat(counts, 40, axis=0))
    assert low == high == pytest.approx(float(mean) / math.sqrt(variance), rel=1e-9)
