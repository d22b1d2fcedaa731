"""The statistics of one task: what its equity, fills and positions say about it.

Everything is computed with ``decimal`` at a fixed precision, whatever the caller's decimal context:
sums of money are exact, so the order of the records does not matter, and the same input gives the
same digits on every machine. Ratios are rounded to 12 significant digits; undefined is ``None``.
"""

from __future__ import annotations

import decimal
import itertools
from bisect import bisect_right
from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

from trading_runtime.results.calendar import common_length, day_count, union
from trading_runtime.results.exact import EXACT, TWELVE_DIGITS, money_text, rounded
from trading_runtime.units import DAY, day_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from trading_runtime.datasets.observed_days import Observed
    from trading_runtime.results.calendar import Calendar, Interval

_NO_DEVIATION = Decimal("1e-12")
_ZERO = Decimal(0)


def volatility(
    returns: Sequence[Decimal | None], periods_per_year: Decimal | None
) -> Decimal | None:
    """Return the annualised standard deviation of daily returns: s * sqrt(periods_per_year).

    s is the sample standard deviation (ddof 1). ``None`` for fewer than two returns, or when one of
    them is ``None``.
    """
    known = _known(returns)
    if known is None or periods_per_year is None:
        return None
    with decimal.localcontext(EXACT):
        return _deviation(known) * periods_per_year.sqrt()


def sharpe_ratio(
    returns: Sequence[Decimal | None], periods_per_year: Decimal | None
) -> Decimal | None:
    """Return the annualised Sharpe ratio: mean / s * sqrt(periods_per_year), risk-free rate 0.

    s is the sample standard deviation (ddof 1) of the daily returns. ``None`` for fewer than two
    returns, when one of them is ``None``, or when they do not deviate (below 1e-12 of the largest).
    Source: Sharpe, "The Sharpe Ratio", Journal of Portfolio Management 21(1), 1994.
    """
    known = _known(returns)
    if known is None or periods_per_year is None:
        return None
    with decimal.localcontext(EXACT):
        return _ratio(known, _deviation(known), periods_per_year)


def sortino_ratio(
    returns: Sequence[Decimal | None], periods_per_year: Decimal | None
) -> Decimal | None:
    """Return the annualised Sortino ratio: mean / d * sqrt(periods_per_year), target return 0.

    d = sqrt(mean(min(r, 0)^2)) over all daily returns, those above the target counting as zero.
    ``None`` for fewer than two returns, when one of them is ``None``, or when none is below zero.
    Source: Sortino and Price, "Performance Measurement in a Downside Risk Framework", Journal of
    Investing 3(3), 1994.
    """
    known = _known(returns)
    if known is None or periods_per_year is None:
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


def _ratio(
    returns: Sequence[Decimal], deviation: Decimal, periods_per_year: Decimal
) -> Decimal | None:
    # Equity is stored to 16 decimal places: returns that differ only in what that cuts off are
    # equal, and dividing by their difference would give an enormous ratio from nothing.
    if deviation <= _NO_DEVIATION * max(abs(value) for value in returns):
        return None
    mean = sum(returns, _ZERO) / len(returns)
    return mean / deviation * periods_per_year.sqrt()


type Samples = Sequence[tuple[int, Decimal]]
"""Equity over time: (nanoseconds since the epoch, amount), in order of time, never empty."""

type Statistic = str | float | int | bool | None
"""A value of a summary: money is a decimal text, a ratio a float, undefined is ``None``."""

_FORTY_DIGITS = decimal.Context(prec=40, rounding=decimal.ROUND_HALF_EVEN)
_SECOND = 1_000_000_000


class Fills(NamedTuple):
    """What all fills together moved and cost, in the statistics currency."""

    number: int = 0
    value: Decimal = _ZERO
    fee: Decimal = _ZERO


class Trade(NamedTuple):
    """One position: its profit (fees included) and its life; ``ts_closed`` is None while open."""

    realized_pnl: Decimal
    ts_opened: int
    ts_closed: int | None


class Drawdown(NamedTuple):
    """The deepest fall: a share of its peak, and the seconds from the peak to its recovery."""

    depth: Decimal
    seconds: Decimal


def task_statistics(
    equity: Samples,
    observed: Observed | None,
    fills: Fills,
    positions: Iterable[Trade],
    calendar: Calendar,
) -> dict[str, Statistic]:
    """Return the statistics of one task, in the order that ``summary.json`` has them.

    Money (``initial_equity``, ``final_equity``, ``net_profit``, ``fees``, ``traded_value``,
    ``expectancy``) is a decimal string; ratios are floats of 12 significant digits; undefined is
    ``None``. ``net_profit`` is final less initial equity, so it includes the value of open
    positions at the window's end. ``fills`` counts fills, ``trades`` closed positions. What depends
    on time (returns, drawdown, exposure) is clipped to the data, from its first row to its last:
    ``observed``, which is ``None`` for a window without rows. Raises ``ValueError`` when ``equity``
    is empty or not in order of time.
    """
    _times(equity)
    positions = list(positions)
    with decimal.localcontext(EXACT):
        initial, final = equity[0][1], equity[-1][1]
        days = calendar.days(() if observed is None else observed.days)
        curve = clipped(equity, observed)
        tested = () if observed is None else [(observed.first, observed.last)]
        return {
            "initial_equity": money_text(initial),
            "final_equity": money_text(final),
            "net_profit": money_text(final - initial),
            "fees": money_text(fills.fee),
            "traded_value": money_text(fills.value),
            **curve_statistics(curve, daily_returns(curve, days), days, calendar),
            "exposure": rounded(exposure(positions, tested)),
            "turnover": rounded(turnover(fills.value, initial)),
            "fills": fills.number,
            **trade_statistics(positions),
            "open_positions": sum(trade.ts_closed is None for trade in positions),
            "ruined": ruin(equity) is not None,
        }


def clipped(equity: Samples, observed: Observed | None) -> Samples:
    """Return ``equity`` as if it began with the first row of the data and ended with the last.

    Samples before or after the data are given the time of the first or the last row.
    """
    if observed is None:
        return equity
    first, last, _ = observed
    return [
        (ts if first <= ts <= last else min(max(ts, first), last), value) for ts, value in equity
    ]


def curve_statistics(
    equity: Samples,
    returns: Sequence[Decimal | None],
    days: Sequence[Interval],
    calendar: Calendar,
) -> dict[str, Statistic]:
    """Return ``days``, returns, ratios and the maximum drawdown.

    ``returns`` are the daily returns of ``equity``. ``days`` is their number, ``periods_per_year``
    annualises them, ``return`` is final / initial - 1. An account that was ruined
    has no return and none of the ratios derived from returns; its drawdown is stated.
    """
    year = calendar.year(days, day_of(equity[0][0]))
    fall = maximum_drawdown(equity)
    return {
        "days": day_count(days),
        "periods_per_year": rounded(year),
        "return": rounded(total_return(equity)),
        "volatility": rounded(volatility(returns, year)),
        "sharpe": rounded(sharpe_ratio(returns, year)),
        "sortino": rounded(sortino_ratio(returns, year)),
        "max_drawdown": rounded(fall and fall.depth),
        "max_drawdown_seconds": rounded(fall and fall.seconds),
    }


def trade_statistics(positions: Iterable[Trade]) -> dict[str, Statistic]:
    """Return ``trades``, ``win_rate``, ``profit_factor`` and ``expectancy`` of closed positions.

    ``win_rate`` is the share with a profit above zero; ``profit_factor`` is gross profit / gross
    loss, ``None`` when nothing was lost; ``expectancy`` is the mean profit of a trade, fees
    included, in the statistics currency. Source: Pardo, "The Evaluation and Optimization of Trading
    Strategies", 2nd ed., 2008; Tharp, "Trade Your Way to Financial Freedom", 2nd ed., 2007
    (expectancy, here in money instead of multiples of risk).
    """
    profits = [trade.realized_pnl for trade in positions if trade.ts_closed is not None]
    with decimal.localcontext(EXACT):
        won = sum((profit for profit in profits if profit > 0), _ZERO)
        lost = -sum((profit for profit in profits if profit < 0), _ZERO)
        wins = sum(profit > 0 for profit in profits)
        count = len(profits)
        return {
            "trades": count,
            "win_rate": rounded(Decimal(wins) / count if count else None),
            "profit_factor": rounded(won / lost if lost else None),
            "expectancy": _mean_money((won - lost) / count) if count else None,
        }


def total_return(equity: Samples) -> Decimal | None:
    """Return final / initial equity - 1, or ``None`` for an account that was ruined."""
    if ruin(equity) is not None:
        return None
    with decimal.localcontext(EXACT):
        return equity[-1][1] / equity[0][1] - 1


def daily_returns(equity: Samples, days: Sequence[Interval]) -> list[Decimal | None]:
    """Return the simple return of each of ``days``, the days since the epoch that count.

    r[i] = e[i] / e[i-1] - 1, where e[i] is the equity of the last sample at or before the midnight
    that ends day i, and e[0] the equity at the start. What moves equity on a day that does not
    count is part of the next one that does. The first and the last day may be partial. A return
    that ends at or after the account's ruin is ``None``.
    """
    times = _times(equity)
    ruined_at = ruin(equity)
    returns: list[Decimal | None] = []
    place, before = 0, equity[0][1]
    with decimal.localcontext(EXACT):
        for day in itertools.chain.from_iterable(itertools.starmap(range, days)):
            midnight = (day + 1) * DAY
            place = bisect_right(times, midnight, place)
            after = equity[max(place - 1, 0)][1]
            sound = ruined_at is None or midnight < ruined_at
            returns.append(after / before - 1 if sound else None)
            before = after
    return returns


def maximum_drawdown(equity: Samples) -> Drawdown | None:
    """Return the largest (peak - equity) / peak over all samples, and how long it lasted.

    The depth is a positive share of the peak, 0 when equity never fell, above 1 when it fell below
    zero. It lasts from the peak (its last sample) to the first sample at or above the peak, or to
    the end. Of equally deep ones the first counts. ``None`` when equity starts at or below zero.
    Source: Magdon-Ismail and Atiya, "Maximum Drawdown", Risk 17(10), 2004.
    """
    _times(equity)
    peak_ts, peak = equity[0]
    if peak <= 0:
        return None
    worst = Drawdown(_ZERO, _ZERO)
    low = peak
    with decimal.localcontext(EXACT):
        for ts, value in equity[1:]:
            if value < peak:
                low = min(low, value)
                continue
            worst = _deeper(worst, peak, low, ts - peak_ts)
            peak_ts, peak, low = ts, value, value
        return _deeper(worst, peak, low, equity[-1][0] - peak_ts)


def exposure(positions: Iterable[Trade], windows: Sequence[Interval]) -> Decimal | None:
    """Return the share of the windows' time during which at least one position was open.

    Time is counted once however many positions are open; time outside the windows does not count; a
    position that is still open lasts to the end. ``None`` when the windows have no length.
    """
    tested = union(windows)
    end = max((stop for _, stop in tested), default=0)
    held = union(
        (trade.ts_opened, end if trade.ts_closed is None else trade.ts_closed)
        for trade in positions
    )
    total = sum(stop - start for start, stop in tested)
    if not total:
        return None
    with decimal.localcontext(EXACT):
        return Decimal(common_length(held, tested)) / total


def turnover(traded_value: Decimal, initial_equity: Decimal) -> Decimal | None:
    """Return traded value / initial equity; ``None`` when equity starts at or below zero."""
    if initial_equity <= 0:
        return None
    with decimal.localcontext(EXACT):
        return traded_value / initial_equity


def ruin(equity: Samples) -> int | None:
    """Return the time of the first sample at or below zero, or ``None`` when there is none."""
    return next((ts for ts, value in equity if value <= 0), None)


def _mean_money(value: Decimal) -> str:
    return money_text(TWELVE_DIGITS.plus(value))


def _times(equity: Samples) -> list[int]:
    """Return the times of samples; raises ``ValueError`` unless they are in order."""
    times = [ts for ts, _ in equity]
    if not times:
        raise ValueError("equity has no samples")
    if times != sorted(times):
        before, after = next(pair for pair in itertools.pairwise(times) if pair[1] < pair[0])
        raise ValueError(f"equity is not in order of time: {after} after {before}")
    return times


def _deeper(worst: Drawdown, peak: Decimal, low: Decimal, nanoseconds: int) -> Drawdown:
    # Cut to fewer digits than it is computed with, so that equal falls from peaks that were
    # chained on different ways are equal.
    depth = _FORTY_DIGITS.divide(peak - low, peak)
    return Drawdown(depth, Decimal(nanoseconds) / _SECOND) if depth > worst.depth else worst
