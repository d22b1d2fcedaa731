"""Whether a point's result holds when something that should not matter changes.

Some checks only read stored results: neighbours of the point, its trades in another order or with
some of them missing. The others run twins of the point: the same with higher fees, latency, another
seed or other windows. Twins are stored like any other tasks, and are no trials.
"""

from __future__ import annotations

import dataclasses
import functools
import random
import statistics
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

from trading_runtime.config.experiment import PartitionUnit
from trading_runtime.config.venue import LatencySettings
from trading_runtime.datasets.bar_lengths import bar_length
from trading_runtime.execution.local_run import LocalRun
from trading_runtime.execution.preparation import prepare_loaded
from trading_runtime.search.asking import seed_of
from trading_runtime.search.continuous import prepare_same, single_point
from trading_runtime.units import format_duration, parse_duration

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from trading_runtime.config.experiment import Experiment
    from trading_runtime.config.fields import Model
    from trading_runtime.config.venue import VenueSettings
    from trading_runtime.search.continuous import Source

_DRAWS = 1_000
_SHOWN_DIGITS = 8
_LONGEST_STEM = 30
_KEPT = 0.5
"""The share of the objective that must be left for a result to hold."""
_LIKELY = 0.95


class Finding(NamedTuple):
    """What one check found."""

    name: str
    value: float | None
    """The objective, or what the check measures instead; ``None`` when it is undefined."""
    holds: bool | None
    """``None`` when there is nothing to compare with."""
    text: str


class Robustness(NamedTuple):
    """All findings about a point."""

    point: int
    objective: float | None
    findings: list[Finding]
    run_ids: list[str]
    """Runs of the twins."""
    computed: int


class Twin(NamedTuple):
    """The point with something changed."""

    name: str
    experiment: Experiment


def check_robustness(
    source: Source,
    point: int,
    *,
    workers: int | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    show_progress: bool = False,
) -> Robustness:
    """Run all checks of a point of a complete run.

    Raises what ``LocalRun.execute`` raises, and ``UsageError`` when code, settings or versions are
    no longer those of the run.
    """
    windows = range(len(source.windows.bounds))
    metric = source.plan.objective.metric
    base = _value(source.windows.row(point, windows), metric)
    alone = single_point(source, point)
    prepare_same(source, alone, workers)
    findings = [_neighbours(source, point, base), *_trades(source, point)]
    run_ids, computed = [], 0
    for twin in twins(source, alone):
        loaded = dataclasses.replace(source.loaded, experiment=twin.experiment)
        prepared = prepare_loaded(loaded, workers, store=source.store)
        stem = source.run_id[:_LONGEST_STEM].rstrip(".-")
        run_id = f"{stem}-twin-{prepared.plan.digest[:_SHOWN_DIGITS]}"
        run = LocalRun(prepared, run_id, should_stop, show_progress, has_trials=False)
        ended = run.execute(allow_incomplete=True)
        run_ids.append(run_id)
        computed += ended.computed
        failed = len(ended.reduction.failures)
        if failed:
            text = f"{failed:,} tasks failed; 'trading-runtime runs show {run_id}' says why"
            findings.append(Finding(twin.name, None, holds=False, text=text))
            continue
        value = _value(ended.reduction.points.row(0, named=True), metric)
        findings.append(
            Finding(twin.name, value, _holds(source, base, value), f"{metric} {_shown(value)}")
        )
    return Robustness(point, base, findings, run_ids, computed)


def twins(source: Source, alone: Experiment) -> Iterator[Twin]:
    """Yield the twins of an experiment with a single point."""
    settings = alone.robustness
    factor = settings.fee_factor
    dearer = _venues(alone, functools.partial(_with_fees, factor=factor))
    yield Twin(f"fees x {factor.normalize():f}", dearer)
    delays = {f"latency + {settings.latency}": parse_duration(settings.latency)}
    if (bar := _shortest_bar(source)) is not None:
        delays[f"one bar late ({format_duration(bar)})"] = bar
    for name, delay in delays.items():
        yield Twin(name, _venues(alone, functools.partial(_with_latency, delay=delay)))
    for number in range(1, settings.seeds + 1):
        seed = (alone.seed + number) % 2**32
        yield Twin(f"seed {seed}", alone.model_copy(update={"seed": seed}))
    partitions = alone.partitions
    if partitions.by is not PartitionUnit.WHOLE and len(source.windows.bounds) > 1:
        longer: dict[str, Any] = {"count": partitions.count * 2}
        if partitions.length is not None:
            longer = {"length": format_duration(parse_duration(partitions.length) * 2)}
        changed = {"partitions": partitions.model_copy(update=longer)}
        yield Twin("windows twice as long", alone.model_copy(update=changed))


def _venues(experiment: Experiment, change: Callable[[VenueSettings], VenueSettings]) -> Experiment:
    others = {name: change(venue) for name, venue in experiment.venues.items()}
    return experiment.model_copy(update={"venue": change(experiment.venue), "venues": others})


def _with_fees(venue: VenueSettings, factor: Decimal) -> VenueSettings:
    by_instrument = {
        name: _multiplied(fees, factor) for name, fees in venue.fees_by_instrument.items()
    }
    return venue.model_copy(
        update={"fees": _multiplied(venue.fees, factor), "fees_by_instrument": by_instrument}
    )


def _multiplied(fees: Model, factor: Decimal) -> Model:
    """Return fees with every rate and amount multiplied; a rebate stays what it is."""
    changed: dict[str, Any] = {}
    for name, value in fees:
        if name in {"maker", "taker"}:
            changed[name] = value * factor if value > 0 else value
        elif name == "amount":
            amount, currency = value.split(" ")
            changed[name] = f"{(Decimal(amount) * factor).normalize():f} {currency}"
        elif name == "tiers":
            changed[name] = [_multiplied(tier, factor) for tier in value]
    return fees.model_copy(update=changed)


def _with_latency(venue: VenueSettings, delay: int) -> VenueSettings:
    latency = venue.latency
    base = delay + (parse_duration(latency.base) if latency.base else 0)
    changed = LatencySettings(**latency.model_dump() | {"base": format_duration(base)})
    return venue.model_copy(update={"latency": changed})


def _shortest_bar(source: Source) -> int | None:
    """Return the length of the shortest bars that tasks are fed, ``None`` without any."""
    names = {
        series.identifier
        for partition in source.plan.partitions
        for series in partition.data
        if series.type == "bars"
    }
    specifications = ("-".join(name.rsplit("-", 4)[1:4]) for name in names)
    lengths = (bar_length(text, "UTC") for text in specifications)
    return min((each.shortest for each in lengths if each is not None), default=None)


def _neighbours(source: Source, point: int, base: float | None) -> Finding:
    """Compare a point with those that differ in one parameter, by one step."""
    name = "neighbours"
    near = neighbours([each.parameters for each in source.plan.points], point)
    windows = range(len(source.windows.bounds))
    metric = source.plan.objective.metric
    values = [_value(source.windows.row(each, windows), metric) for each in near]
    known = [value for value in values if value is not None]
    undone = source.windows.undone
    failed = sum(each in undone.failures for each in near)
    missing = sum(each in undone.missing and each not in undone.failures for each in near)
    counts = {
        "failed": failed,
        "not computed": missing,
        "without a value": len(near) - len(known) - failed - missing,
    }
    left = "".join(f", {count:,} {what}" for what, count in counts.items() if count)
    if not known:
        return Finding(name, None, None, f"the run has none with a value{left}")
    middle = statistics.median(known)
    holds = _holds(source, base, middle)
    shape = {True: "a plateau", False: "a spike", None: "nothing to compare"}[holds]
    text = f"{shape}: median {metric} {_shown(middle)} of {len(known):,}{left}"
    return Finding(name, middle, holds, text)


def neighbours(points: Sequence[Mapping[str, Any]], point: int) -> list[int]:
    """Return the points that differ from one in a single parameter, by the next value there is."""
    mine = points[point]
    found: dict[tuple[str, bool], tuple[Any, int]] = {}
    for number, other in enumerate(points):
        changed = [name for name in mine if other[name] != mine[name]]
        if len(changed) != 1:
            continue
        [name] = changed
        try:
            distance, is_above = abs(other[name] - mine[name]), other[name] > mine[name]
        except TypeError:
            # Values without an order: all are near.
            found[f"{name} {number}", True] = Decimal(number), number
            continue
        key = name, is_above
        if key not in found or distance < found[key][0]:
            found[key] = distance, number
    return sorted(number for _, number in found.values())


def _trades(source: Source, point: int) -> Iterator[Finding]:
    """Judge the point's closed trades, in another order and with some of them missing."""
    windows = range(len(source.windows.bounds))
    profits = [
        float(trade.realized_pnl)
        for outcome in source.windows.outcomes(point, windows)
        for trade in outcome.trades
        if trade.ts_closed is not None
    ]
    if len(profits) < 2:  # noqa: PLR2004 - one trade has no order
        yield Finding("trades shuffled", None, None, "fewer than two closed trades")
        return
    chance = random.Random(seed_of(source.loaded.experiment.seed, "trades"))  # noqa: S311
    actual = deepest_loss(profits)
    drawn = sorted(deepest_loss(chance.sample(profits, len(profits))) for _ in range(_DRAWS))
    likely = drawn[int(_LIKELY * _DRAWS) - 1]
    text = f"deepest loss {_shown(actual)} as it was, {_shown(likely)} in 95 % of the orders"
    yield Finding("trades shuffled", likely, likely <= 2 * actual, text)

    share = source.loaded.experiment.robustness.dropped
    kept = max(1, len(profits) - max(1, round(len(profits) * float(share))))
    totals = sorted(sum(chance.sample(profits, kept)) for _ in range(_DRAWS))
    gains = sum(total > 0 for total in totals) / _DRAWS
    holds = gains >= _LIKELY if sum(profits) > 0 else None
    text = f"{len(profits) - kept:,} of {len(profits):,} left out: a profit in {gains:.0%} of draws"
    yield Finding("trades dropped", gains, holds, text)

    best = sum(sorted(profits)[:kept])
    text = f"without the best {len(profits) - kept:,}: {_shown(best)} of {_shown(sum(profits))}"
    yield Finding("best trades", best, best > 0 if sum(profits) > 0 else None, text)


def deepest_loss(profits: Sequence[float]) -> float:
    """Return the deepest fall of the sum of ``profits`` below its highest value so far."""
    total = peak = deepest = 0.0
    for profit in profits:
        total += profit
        peak = max(peak, total)
        deepest = max(deepest, peak - total)
    return deepest


def _value(row: Mapping[str, Any], metric: str) -> float | None:
    value = row[metric]
    return None if value is None else float(value)


def _holds(source: Source, base: float | None, value: float | None) -> bool | None:
    """Whether half of the objective is left, or what is minimised at most doubles.

    ``None`` when there is nothing to lose.
    """
    if base is None or base <= 0:
        return None
    if source.plan.objective.direction == "minimize":
        return value is not None and value <= base / _KEPT
    return value is not None and value >= base * _KEPT


def _shown(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.6g}"
