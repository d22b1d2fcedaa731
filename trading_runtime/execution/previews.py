"""What a run would be: what changed since the last plan, and which trial it is."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

from trading_runtime.errors import DataError, UsageError
from trading_runtime.records.plan import read_plan
from trading_runtime.results.calendar import DAYS_OF_A_YEAR
from trading_runtime.results.judgement import FEWEST_DAYS
from trading_runtime.results.ledger import trials_with
from trading_runtime.results.luck import sharpe_by_luck

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from trading_runtime.config.experiment import CostSettings
    from trading_runtime.execution.preparation import PreparedRun
    from trading_runtime.records.plan import Plan


_MOST_PLANS = 20


class PlanChanges(NamedTuple):
    """What changed since an earlier run, in words."""

    run_id: str
    changes: tuple[str, ...]


def changes_since_last_run(prepared: PreparedRun) -> PlanChanges | None:
    """Return what changed in code and versions since the last run of the same experiment.

    ``None`` when all tasks are stored, when no earlier run of this experiment and strategy is known
    here, or when nothing changed.
    """
    now = prepared.plan
    if not prepared.plan.uncached:
        return None
    for path in prepared.store.newest_run_files("plan.json", _MOST_PLANS):
        try:
            then = read_plan(path)
        except (DataError, UsageError):
            continue  # a damaged plan, or one that has just been removed
        if then.experiment_name != now.experiment_name or then.strategy.files is None:
            continue
        if then.common.strategy_path != now.common.strategy_path:
            continue
        changes = tuple(_changes(then, now))
        return PlanChanges(path.parent.name, changes) if changes else None
    return None


def _changes(then: Plan, now: Plan) -> Iterator[str]:
    yield from _differing(then.strategy.files or {}, now.strategy.files or {})
    before, after = then.common, now.common
    if before.runtime_code != after.runtime_code:
        yield "trading-runtime's own code changed"
    for earlier, later in ((before.engine, after.engine), (before.packages, after.packages)):
        for name in sorted(earlier.keys() | later.keys()):
            first, second = earlier.get(name), later.get(name)
            if first != second:
                yield f"{name} {first or 'not used'} -> {second or 'not used'}"
    for what in ("python", "system", "machine"):
        first, second = getattr(before, what), getattr(after, what)
        if first != second:
            yield f"{what} {first} -> {second}"


def _differing(then: Mapping[str, str], now: Mapping[str, str]) -> Iterator[str]:
    for name in sorted(then.keys() | now.keys()):
        if name not in then:
            yield f"{name} added"
        elif name not in now:
            yield f"{name} removed"
        elif then[name] != now[name]:
            yield f"{name} changed"


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
    price = round(price, _SHOWN_DIGITS - 1 - price.adjusted()) if price else Decimal(0)
    return f"{price:f} {currency}"


def _by_luck(plan: Plan, trials: int, days: int) -> float | None:
    """Return the expected best Sharpe ratio of trials without skill.

    The variance of their daily Sharpe ratios is 1 / (days - 1).
    """
    if days < FEWEST_DAYS:
        return None
    year = plan.common.periods_per_year or DAYS_OF_A_YEAR
    return sharpe_by_luck(trials, 1 / (days - 1)) * math.sqrt(year)
