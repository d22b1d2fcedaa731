"""How much of a Sharpe ratio is luck: formulas for one series of returns and a number of trials.

Every Sharpe ratio in this module is for one period (a day), never annualised: the formulas hold for
nothing else. Moments are population moments, and kurtosis is 3 for a normal distribution.
``resampling`` has the tests that look at all trials together.
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

CONFIDENCE = 0.95
"""The confidence of the minimum track record, and of the interval of a Sharpe ratio."""
_NORMAL = NormalDist()
_EULER = 0.5772156649015329
_FEWEST_RETURNS = 2
_NO_DEVIATION = 1e-12


class Track(NamedTuple):
    """What the formulas need from a series of returns."""

    returns: int
    sharpe: float
    """Mean / sample standard deviation (ddof 1), of one period."""
    skewness: float
    kurtosis: float

    @classmethod
    def of(cls, returns: Sequence[float]) -> Track | None:
        """Return the track of ``returns``; ``None`` for fewer than two, or when none deviates."""
        count = len(returns)
        if count < _FEWEST_RETURNS:
            return None
        mean = math.fsum(returns) / count
        second, third, fourth = (
            math.fsum((value - mean) ** power for value in returns) / count for power in (2, 3, 4)
        )
        deviation = math.sqrt(second * count / (count - 1))
        if deviation <= _NO_DEVIATION * max(abs(value) for value in returns):
            return None
        # Products instead of powers: only these are rounded the same by every math library.
        return cls(
            count,
            mean / deviation,
            third / (second * math.sqrt(second)),
            fourth / (second * second),
        )

    @property
    def spread(self) -> float | None:
        """The factor by which the estimated Sharpe ratio of one period varies, squared.

        ``None`` where skewness and kurtosis are such that the approximation breaks down.
        """
        squared = 1 - self.skewness * self.sharpe + (self.kurtosis - 1) / 4 * self.sharpe**2
        return squared if squared > 0 else None


def probabilistic_sharpe(track: Track, hurdle: float = 0.0) -> float | None:
    """Return the probability that the true Sharpe ratio is above ``hurdle``.

    Phi((SR - SR*) sqrt(T - 1) / sqrt(1 - skewness SR + (kurtosis - 1) / 4 SR^2)). Source: Bailey
    and Lopez de Prado, "The Sharpe Ratio Efficient Frontier", Journal of Risk 15(2), 2012.
    """
    if track.spread is None:
        return None
    distance = (track.sharpe - hurdle) * math.sqrt(track.returns - 1)
    return _NORMAL.cdf(distance / math.sqrt(track.spread))


def minimum_track_record(track: Track, hurdle: float = 0.0) -> float | None:
    """Return how many returns it takes to tell the Sharpe ratio from ``hurdle`` with 95 %.

    1 + (1 - skewness SR + (kurtosis - 1) / 4 SR^2) (Z / (SR - SR*))^2. ``None`` when the ratio is
    not above the hurdle: no length would do. Source: as ``probabilistic_sharpe``.
    """
    if track.spread is None or track.sharpe <= hurdle:
        return None
    return 1 + track.spread * (_NORMAL.inv_cdf(CONFIDENCE) / (track.sharpe - hurdle)) ** 2


def luckiest(trials: int) -> float:
    """Return the expected maximum of ``trials`` standard normal numbers.

    (1 - g) Z(1 - 1/N) + g Z(1 - 1/(N e)), g being Euler's constant; 0 for one trial. Source: Bailey
    and Lopez de Prado, "The Deflated Sharpe Ratio", Journal of Portfolio Management 40(5), 2014.
    """
    if trials <= 1:
        return 0.0
    quantile = _NORMAL.inv_cdf
    return (1 - _EULER) * quantile(1 - 1 / trials) + _EULER * quantile(1 - 1 / (trials * math.e))


def sharpe_by_luck(trials: int, variance: float) -> float:
    """Return the expected best Sharpe ratio of ``trials`` without any skill.

    ``variance`` is that of the trials' Sharpe ratios. Source: as ``luckiest``.
    """
    return math.sqrt(variance) * luckiest(trials)


def deflated_sharpe(track: Track, trials: int, variance: float) -> float | None:
    """Return the probability that the true Sharpe ratio is above what luck alone yields.

    Source: as ``luckiest``.
    """
    return probabilistic_sharpe(track, sharpe_by_luck(trials, variance))


def minimum_backtest_years(trials: int, sharpe: float = 1.0) -> float:
    """Return the years below which ``trials`` without skill reach this annualised Sharpe ratio.

    (E[max] / SR)^2. Source: Bailey, Borwein, Lopez de Prado and Zhu, "Pseudo-Mathematics and
    Financial Charlatanism", Notices of the AMS 61(5), 2014.
    """
    return (luckiest(trials) / sharpe) ** 2


def sample_variance(values: Sequence[float]) -> float | None:
    """Return the variance of ``values`` (ddof 1); ``None`` for fewer than two."""
    if len(values) < _FEWEST_RETURNS:
        return None
    mean = math.fsum(values) / len(values)
    return math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1)
