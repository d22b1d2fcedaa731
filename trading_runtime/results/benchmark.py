"""What holding the instruments would have made, and how a strategy's returns relate to that."""

from __future__ import annotations

import decimal
import itertools
from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

from trading_runtime.results.exact import EXACT
from trading_runtime.units import DAY

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from trading_runtime.results.points import TaskOutcome

_ZERO, _ONE = Decimal(0), Decimal(1)
_FEWEST_DAYS = 2


class Benchmark(NamedTuple):
    """Holding all instruments with equal weights, without costs."""

    start: int
    """When it was bought, in nanoseconds since the epoch."""
    returns: Sequence[tuple[int, Decimal]]
    """Each day since the epoch with its return."""

    @property
    def curve(self) -> list[tuple[int, Decimal]]:
        """What one unit of money became, at the start and at the end of each day."""
        growth, found = _ONE, [(self.start, _ONE)]
        with decimal.localcontext(EXACT):
            for day, value in self.returns:
                growth *= _ONE + value
                found.append(((day + 1) * DAY, growth))
        return found

    def on(self, days: Iterable[int]) -> list[float]:
        """Return what was made on each of these days since the epoch; 0 while nothing was held."""
        known = dict(self.returns)
        return [float(known.get(day, _ZERO)) for day in days]


class Relation(NamedTuple):
    """How returns relate to those of a benchmark.

    ``beta`` is their covariance / the variance of the benchmark; ``alpha`` is the mean return less
    beta times the benchmark's, times the days of a year. Source: Jensen, "The Performance of Mutual
    Funds in the Period 1945-1964", Journal of Finance 23(2), 1968; risk-free rate 0.
    """

    alpha: Decimal
    beta: Decimal


def buy_and_hold(outcomes: Iterable[TaskOutcome]) -> Benchmark | None:
    """Return the benchmark of a point's windows; ``None`` when their prices are not known.

    A day's return is the mean of those of all instruments: weights are equal every morning. Within
    a window it is from one day's last price to the next, on the first day from the first price;
    between windows nothing is held, as in the account. A day on which a window has no row after its
    first one is no day of that window: a row at midnight belongs to the day that ends there.
    """
    by_day: dict[int, list[Decimal]] = {}
    starts = []
    with decimal.localcontext(EXACT):
        for outcome in outcomes:
            closes = (outcome.summary or {}).get("daily_closes", {})
            observed = outcome.observed
            if not closes or observed is None:
                continue
            starts.append(observed.first)
            counting = set(itertools.chain.from_iterable(itertools.starmap(range, observed.days)))
            for (_, first), *days in closes.values():
                before = Decimal(first)
                for day, text in days:
                    price = Decimal(text)
                    if before > 0 and day in counting:
                        by_day.setdefault(day, []).append(price / before - 1)
                    before = price
        if not by_day:
            return None
        means = [(day, sum(each, _ZERO) / len(each)) for day, each in sorted(by_day.items())]
    return Benchmark(min(starts), means)


def relation(
    returns: Iterable[tuple[int, Decimal | None]],
    benchmark: Benchmark,
    periods_per_year: Decimal | None,
) -> Relation | None:
    """Return alpha and beta over the days that both have.

    ``None`` for fewer than two days, when a return is ``None``, or when the benchmark did not move.
    """
    other = dict(benchmark.returns)
    pairs = [(value, other[day]) for day, value in returns if day in other]
    known = [(ours, theirs) for ours, theirs in pairs if ours is not None]
    if len(known) < len(pairs) or len(known) < _FEWEST_DAYS or periods_per_year is None:
        return None
    with decimal.localcontext(EXACT):
        count = len(known)
        mean = sum((ours for ours, _ in known), _ZERO) / count
        mean_of_other = sum((theirs for _, theirs in known), _ZERO) / count
        variance = sum(((theirs - mean_of_other) ** 2 for _, theirs in known), _ZERO)
        if not variance:
            return None
        common = sum(((one - mean) * (two - mean_of_other) for one, two in known), _ZERO)
        beta = common / variance
        return Relation((mean - beta * mean_of_other) * periods_per_year, beta)
