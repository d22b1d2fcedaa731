"""What one more trial costs: time, money, and the Sharpe ratio that luck alone yields."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

from trading_runtime.results.calendar import DAYS_OF_A_YEAR
from trading_runtime.results.judgement import FEWEST_DAYS
from trading_runtime.results.ledger import trials_with
from trading_runtime.results.luck import sharpe_by_luck

if TYPE_CHECKING:
    from trading_runtime.config.experiment import CostSettings
    from trading_runtime.execution.preparation import PreparedRun
    from trading_runtime.records.plan import Plan

_SECONDS_OF_AN_HOUR = 3_600
_SHOWN_DIGITS = 2


class NextTrial(NamedTuple):
    """One more trial after those of a plan."""

    trials: int
    """Trials on the plan's data once the plan has run."""
    days: int
    """Daily returns that the plan's points will have at most."""
    seconds: float | None
    """Time that a worker needs for one; ``None`` before a first run."""
    price: str | None
    """Price of that time; ``None`` when it, or the price of an hour, is unknown."""
    by_luck: float | None
    """Annualised Sharpe ratio of the best of ``trials`` without skill; ``None`` for too few
    days."""
    by_luck_then: float | None
    """The same with one trial more."""


def next_trial(prepared: PreparedRun) -> NextTrial:
    """Return what one more trial costs; raises ``DataError`` when the ledger is damaged."""
    plan = prepared.plan
    trials = trials_with(prepared.store, plan)
    days = 0 if plan.days is None else plan.days.most
    seconds = plan.trial_seconds
    return NextTrial(
        trials,
        days,
        seconds,
        price_of(seconds, prepared.loaded.experiment.costs),
        _by_luck(plan, trials, days),
        _by_luck(plan, trials + 1, days),
    )


def price_of(seconds: float | None, costs: CostSettings | None) -> str | None:
    """Return the price of so much time of a worker, with its currency."""
    if seconds is None or costs is None:
        return None
    amount, currency = costs.worker_hour.split(" ")
    price = Decimal(amount) * Decimal(seconds) / _SECONDS_OF_AN_HOUR
    if price:
        price = round(price, _SHOWN_DIGITS - 1 - price.adjusted())
    return f"{price:f} {currency}"


def _by_luck(plan: Plan, trials: int, days: int) -> float | None:
    """Return the expected best Sharpe ratio of trials without skill.

    The variance of their daily Sharpe ratios is 1 / (days - 1).
    """
    if days < FEWEST_DAYS:
        return None
    year = plan.common.periods_per_year or DAYS_OF_A_YEAR
    return sharpe_by_luck(trials, 1 / (days - 1)) * math.sqrt(year)
