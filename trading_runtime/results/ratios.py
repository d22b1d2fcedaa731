"""Ratios of daily returns: volatility, Sharpe and Sortino, annualised."""

from __future__ import annotations

import decimal
from decimal import Decimal
from typing import TYPE_CHECKING

from trading_runtime.results.exact import EXACT

if TYPE_CHECKING:
    from collections.abc import Sequence

_NO_DEVIATION = Decimal("1e-12")
_ZERO = Decimal(0)


def volatility(returns: Sequence[Decimal | None], periods_per_year: int) -> Decimal | None:
    """Return the annualised standard deviation of daily returns: s * sqrt(periods_per_year).

    s is the sample standard deviation (ddof 1). ``None`` for fewer than two returns, or when one of
    them is ``None``.
    """
    known = _known(returns)
    if known is None:
        return None
    with decimal.localcontext(EXACT):
        return _deviation(known) * Decimal(periods_per_year).sqrt()


def sharpe_ratio(returns: Sequence[Decimal | None], periods_per_year: int) -> Decimal | None:
    """Return the annualised Sharpe ratio: mean / s * sqrt(periods_per_year), risk-free rate 0.

    s is the sample standard deviation (ddof 1) of the daily returns. ``None`` for fewer than two
    returns, when one of them is ``None``, or when they do not deviate (below 1e-12 of the largest).
    Source: Sharpe, "The Sharpe Ratio", Journal of Portfolio Management 21(1), 1994.
    """
    known = _known(returns)
    if known is None:
        return None
    with decimal.localcontext(EXACT):
        return _ratio(known, _deviation(known), periods_per_year)


def sortino_ratio(returns: Sequence[Decimal | None], periods_per_year: int) -> Decimal | None:
    """Return the annualised Sortino ratio: mean / d * sqrt(periods_per_year), target return 0.

    d = sqrt(mean(min(r, 0)^2)) over all daily returns, those above the target counting as zero.
    ``None`` for fewer than two returns, when one of them is ``None``, or when none is below zero.
    Source: Sortino and Price, "Performance Measurement in a Downside Risk Framework", Journal of
    Investing 3(3), 1994.
    """
    known = _known(returns)
    if known is None:
        return None
    with decimal.localcontext(EXACT):
        squares = sum((min(value, _ZERO) ** 2 for value in known), _ZERO)
        return _ratio(known, (squares / len(known)).sqrt(), periods_per_year)


def _known(returns: Sequence[Decimal | None]) -> list[Decimal] | None:
    known = [value for value in returns if value is not None]
    return known if len(known) == len(returns) > 1 else None


def _deviation(returns: Sequence[Decimal]) -> Decimal:
    mean = sum(returns, _ZERO) / len(returns)
    squares = sum(((value - mean) ** 2 for value in returns), _ZERO)
    return (squares / (len(returns) - 1)).sqrt()


def _ratio(returns: Sequence[Decimal], deviation: Decimal, periods_per_year: int) -> Decimal | None:
    # Equity is stored to 16 decimal places: returns that differ only in what that cuts off are
    # equal, and dividing by their difference would give an enormous ratio from nothing.
    if deviation <= _NO_DEVIATION * max(abs(value) for value in returns):
        return None
    mean = sum(returns, _ZERO) / len(returns)
    return mean / deviation * Decimal(periods_per_year).sqrt()
