"""Tests that look at the returns of all trials together: by splitting them, and by the bootstrap.

Returns are a matrix, a row for each day and a column for each trial. Results are the same bits on
every machine: returns are rounded to a grid so fine that it shows in no result, and so coarse that
their sums are exact in whatever order a processor adds them; random numbers are our own.
"""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from trading_runtime.records.result import SkillTest
from trading_runtime.results.luck import CONFIDENCE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

type Matrix = NDArray[np.float64]
"""Returns: a row for each day, a column for each trial."""

RESAMPLES = 1_000
SEED = 20_140_514
"""The seed of the bootstrap, the same for all runs: a p-value must not depend on a choice."""
MOST_BLOCKS = 16
FEWEST_DAYS = 8
"""With fewer there are no four blocks of two days each."""
_DAYS_OF_A_BLOCK = 2
_MOST_RATIOS = 50_000_000
_AT_ONCE = 4_000_000
_MANTISSA = 53


class Overfitting(NamedTuple):
    """What splitting the days in halves says about choosing the best trial by its Sharpe ratio."""

    probability: float
    """How often the best of one half is in the worse half of the other (PBO)."""
    blocks: int
    logits: tuple[float, ...]
    """Logits of the chosen trial's rank in the other half, by split; above zero is good."""


def probability_of_overfitting(returns: Matrix) -> Overfitting | None:
    """Return PBO by combinatorially symmetric cross-validation, choosing by the Sharpe ratio.

    Days are cut into S blocks as equal as can be. In each of the C(S, S/2) splits the trial with
    the best Sharpe ratio in one half of the blocks (the first of equals) is ranked in the other
    half: w = rank / (N + 1), equals sharing their mean rank; logit w / (1 - w) at or below zero
    counts. A ratio without deviation is zero. S is 16, less where blocks would be shorter than two
    days or the splits of many trials too many. ``None`` for one trial, or below eight days.

    Source: Bailey, Borwein, Lopez de Prado and Zhu, "The Probability of Backtest Overfitting",
    Journal of Computational Finance 20(4), 2017.
    """
    days, trials = returns.shape
    if days < FEWEST_DAYS or trials < 2:  # noqa: PLR2004 - there must be a choice
        return None
    blocks = min(MOST_BLOCKS, 2 * (days // (2 * _DAYS_OF_A_BLOCK)))
    while blocks > 4 and math.comb(blocks, blocks // 2) * trials > _MOST_RATIOS:  # noqa: PLR2004
        blocks -= 2
    bounds = [days * number // blocks for number in range(blocks + 1)]
    sizes = np.diff(np.array(bounds)).astype(np.float64)
    sums = np.add.reduceat(_on_grid(returns), bounds[:-1], axis=0)
    squares = np.add.reduceat(_on_grid(returns * returns), bounds[:-1], axis=0)
    halves = np.array(
        [
            [number in chosen for number in range(blocks)]
            for chosen in map(frozenset, itertools.combinations(range(blocks), blocks // 2))
        ],
        dtype=np.float64,
    )
    logits: list[float] = []
    # The second half of the combinations are the complements of the first.
    for some in _parts(halves[: len(halves) // 2], max(1, _AT_ONCE // trials)):
        one, other = (
            _ratios(half @ sums, half @ squares, (half @ sizes)[:, None])
            for half in (some, 1 - some)
        )
        logits += [*_logits(one, other), *_logits(other, one)]
    return Overfitting(sum(logit <= 0 for logit in logits) / len(logits), blocks, tuple(logits))


def superiority(returns: Matrix, benchmark: Matrix, counts: Matrix) -> SkillTest:
    """Return how probable the best mean return above the benchmark's is by luck alone.

    ``counts`` are those of ``resampled``. White: the largest sqrt(T) d over all trials, d being the
    mean of returns less the benchmark's, against the largest sqrt(T) (d* - d) of each resample.
    Hansen: the same divided by the standard deviation of each trial's sqrt(T) d*, at least zero;
    trials that are worse than the benchmark by more than sqrt(2 log log T) of their standard errors
    are not centred, so that bad ones do not hide a good one.

    Sources: White, "A Reality Check for Data Snooping", Econometrica 68(5), 2000; Hansen, "A Test
    for Superior Predictive Ability", Journal of Business and Economic Statistics 23(4), 2005.
    """
    days, trials = returns.shape
    root, size = math.sqrt(days), max(1, _AT_ONCE // len(counts))
    largest, studentised = -math.inf, 0.0
    resampled_largest = np.full(len(counts), -np.inf)
    resampled_studentised = np.zeros(len(counts))
    for first in range(0, trials, size):
        above = _on_grid(returns[:, first : first + size] - benchmark[:, None])
        mean = above.sum(axis=0) / days
        moved = root * (counts @ above / days - mean)
        largest = max(largest, root * float(mean.max()))
        resampled_largest = np.maximum(resampled_largest, moved.max(axis=1))
        # Rows one after the other: the same order of additions on every machine.
        deviation = np.sqrt(sum(row * row for row in moved) / len(moved))
        live = deviation > 0  # the others are the benchmark itself
        if live.any():
            scale, ratio = deviation[live], root * mean[live] / deviation[live]
            studentised = max(studentised, float(ratio.max()))
            hopeless = ratio < -math.sqrt(2 * math.log(math.log(days)))
            shifted = moved[:, live] / scale + np.where(hopeless, ratio, 0.0)
            resampled_studentised = np.maximum(resampled_studentised, shifted.max(axis=1))
    return SkillTest(
        white=float((resampled_largest >= largest).sum()) / len(counts),
        hansen=float((resampled_studentised >= studentised).sum()) / len(counts),
    )


def sharpe_interval(returns: Matrix, counts: Matrix) -> tuple[float, float]:
    """Return the 95 % confidence interval of the Sharpe ratio of one period.

    Percentiles over the resamples of ``counts``; resamples without any deviation are zero. Source:
    Politis and Romano, "The Stationary Bootstrap", Journal of the American Statistical Association
    89(428), 1994.
    """
    column = returns[:, None]
    ratios = _ratios(
        counts @ _on_grid(column),
        counts @ _on_grid(column * column),
        np.full((len(counts), 1), float(len(returns))),
    )
    ordered = np.sort(ratios[:, 0]).tolist()
    left_out = round(len(ordered) * (1 - CONFIDENCE) / 2)
    return ordered[left_out], ordered[-1 - left_out]


def block_length(days: int) -> int:
    """Return the mean length of a block of the bootstrap: the cube root of the number of days."""
    return max(1, round(math.cbrt(days)))


def resampled(days: int, resamples: int = RESAMPLES, seed: int = SEED) -> Matrix:
    """Return how often each resample of the stationary bootstrap contains each day, a row for each.

    Blocks begin anywhere, continue past the last day with the first, and end with the probability
    1 / ``block_length``. Source: as ``sharpe_interval``.
    """
    ending = 1 / block_length(days)
    drawn = uniform(seed, 2 * days * resamples).reshape(days, 2, resamples)
    rows = np.arange(resamples)
    counts = np.zeros((resamples, days))
    place = np.zeros(resamples, np.int64)
    for day, (ends, begins) in enumerate(drawn):
        anew = (begins * days).astype(np.int64)
        place = np.where(ends < ending, anew, (place + 1) % days) if day else anew
        counts[rows, place] += 1
    return counts


def uniform(seed: int, count: int) -> Matrix:
    """Return numbers from 0 to below 1: the upper 53 bits of what SplitMix64 draws from ``seed``.

    Source: Steele, Lea and Flood, "Fast Splittable Pseudorandom Number Generators", OOPSLA 2014.
    """
    with np.errstate(over="ignore"):
        state = np.uint64(seed) + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(
            0x9E3779B97F4A7C15
        )
        state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        state ^= state >> np.uint64(31)
    return (state >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _on_grid(values: Matrix) -> Matrix:
    """Return ``values`` as multiples of a power of two: sums of one for each day are then exact.

    The grid is that of each column, about 2^-40 of its largest value for a few thousand days.
    """
    bits = _MANTISSA - 1 - math.ceil(math.log2(max(2, len(values))))
    _, exponent = np.frexp(np.abs(values).max(axis=0))
    cut: Matrix = np.ldexp(np.rint(np.ldexp(values, bits - exponent)), exponent - bits)
    return cut


def _logits(inside: Matrix, outside: Matrix) -> list[float]:
    """Return the logit of the outside rank of the trial that is best inside, per row of ratios."""
    trials = inside.shape[1]
    reached = outside[np.arange(len(inside)), inside.argmax(axis=1)][:, None]
    below = (outside < reached).sum(axis=1)
    equal = (outside == reached).sum(axis=1)
    ranks = (below + (equal + 1) / 2).tolist()
    return [math.log(rank / (trials + 1 - rank)) for rank in ranks]


def _ratios(sums: Matrix, squares: Matrix, count: Matrix) -> Matrix:
    """Return mean / sample standard deviation from sums; 0 where nothing deviates."""
    mean = sums / count
    variance = (squares - sums * mean) / (count - 1)
    deviates = variance > squares * 1e-10  # what rounding to the grid may leave of nothing
    return np.where(deviates, mean / np.sqrt(np.where(deviates, variance, 1.0)), 0.0)


def _parts(rows: Matrix, size: int) -> Iterator[Matrix]:
    for first in range(0, len(rows), size):
        yield rows[first : first + size]
