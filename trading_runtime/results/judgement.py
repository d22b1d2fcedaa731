"""What the statistics of luck say about a run: in ``result.json``, and as sentences for people.

All of it follows from the results of the run's own tasks, so it is the same for the same task ids.
The number of trials that others have made on the same data is separate: see ``ledger``.
"""

from __future__ import annotations

import math
from dataclasses import is_dataclass, replace
from typing import TYPE_CHECKING, Any

from trading_runtime.records.result import Bootstrap, LuckStatistics, OverfittingTest
from trading_runtime.results.luck import (
    Track,
    deflated_sharpe,
    minimum_track_record,
    probabilistic_sharpe,
    sample_variance,
    sharpe_by_luck,
)
from trading_runtime.results.points import DAILY_RETURNS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from trading_runtime.records.result import SkillTest
    from trading_runtime.records.trials import TrialCount

FEWEST_DAYS = 20
"""Below this, a Sharpe ratio says nothing that any of these statistics could qualify."""
_SIGNIFICANT = 0.05
_NO_VARIANCE = 1e-18
_SURE = 0.95


def judge(
    rows: Sequence[Mapping[str, Any]],
    best: int | None,
    drawn: int | None = None,
    held: Sequence[float] | None = None,
) -> LuckStatistics | None:
    """Return the section ``luck`` of ``result.json``; ``None`` when there is too little to judge.

    ``rows`` are those that ``aggregate_point`` makes, ``best`` the point that is named. Points that
    were ruined or are incomplete have no returns and are counted as ``left_out``. Of an adaptive
    search the first ``drawn`` points were drawn at random: only these deviate as independent trials
    do; later ones cluster around the best. ``held`` are the returns of buy-and-hold on the same
    days; without them nothing is tested against it. Sharpe ratios are annualised where they are
    stated, and daily wherever they are used in computations.
    """
    columns = {row["point"]: row[DAILY_RETURNS] for row in rows if row[DAILY_RETURNS] is not None}
    if best is None or best not in columns or len(columns[best]) < FEWEST_DAYS:
        return None
    track = Track.of(columns[best])
    year = next(row["periods_per_year"] for row in rows if row["point"] == best)
    if track is None or year is None:
        return None
    independent = [point for point in sorted(columns) if drawn is None or point < drawn]
    tracks = [Track.of(columns[point]) for point in independent]
    between = sample_variance([each.sharpe for each in tracks if each is not None])
    # With fewer than two that differ: that of trials without skill, which follows from the track's
    # length alone.
    if between is None or between <= _NO_VARIANCE * track.sharpe**2:
        between = 1 / (track.returns - 1)
    luck: LuckStatistics = _rounded(
        LuckStatistics(
            point=best,
            days=track.returns,
            periods_per_year=year,
            points=len(rows),
            left_out=len(rows) - len(columns),
            daily_sharpe=track.sharpe,
            skewness=track.skewness,
            kurtosis=track.kurtosis,
            variance_of_daily_sharpes=between,
            variance_of_points=len(independent),
            probabilistic_sharpe=probabilistic_sharpe(track),
            minimum_track_record_days=minimum_track_record(track),
            **_deflated(track, len(rows), between, year),
            **_resampled(columns, best, year, held),
        )
    )
    return luck


def drawn_points(experiment: Mapping[str, Any] | None) -> int | None:
    """Return how many points an adaptive search drew at random; ``None`` for other runs.

    None of the points that successive halving leaves: they were chosen by their results.
    ``experiment`` is the content of a run's ``experiment.json``.
    """
    search = (experiment or {}).get("search") or {}
    if search.get("method") == "successive-halving":
        return 0
    return search["generation"] if search.get("method") in {"tpe", "cma-es", "nsga-ii"} else None


def deflated(luck: LuckStatistics, trials: int) -> LuckStatistics:
    """Return ``luck`` recomputed for a number of trials other than the run's points."""
    track = Track(luck.days, luck.daily_sharpe, luck.skewness, luck.kurtosis)
    spread = luck.variance_of_daily_sharpes, luck.periods_per_year
    now: LuckStatistics = _rounded(replace(luck, **_deflated(track, trials, *spread)))
    return now


def _deflated(track: Track, trials: int, variance: float, year: float) -> dict[str, Any]:
    return {
        "trials": trials,
        "sharpe_by_luck": sharpe_by_luck(trials, variance) * math.sqrt(year),
        "deflated_sharpe": deflated_sharpe(track, trials, variance),
    }


def _resampled(
    columns: Mapping[int, Sequence[float]], best: int, year: float, held: Sequence[float] | None
) -> dict[str, Any]:
    import numpy as np  # needed at the end of a run only

    from trading_runtime.results import resampling

    returns = np.array([columns[point] for point in sorted(columns)]).T
    days = len(returns)
    counts = resampling.resampled(days)
    low, high = resampling.sharpe_interval(np.array(columns[best]), counts)
    split = resampling.probability_of_overfitting(returns)
    return {
        "sharpe_interval": (low * math.sqrt(year), high * math.sqrt(year)),
        "overfitting": split
        and OverfittingTest(
            probability=split.probability,
            blocks=split.blocks,
            splits=len(split.logits),
            logits=_histogram(split.logits),
        ),
        "against_not_trading": resampling.superiority(returns, np.zeros(days), counts),
        "against_buy_and_hold": None
        if held is None
        else resampling.superiority(returns, np.array(held), counts),
        "bootstrap": Bootstrap(
            resamples=len(counts),
            block_days=resampling.block_length(days),
            seed=resampling.SEED,
        ),
    }


def _histogram(logits: Iterable[float]) -> tuple[tuple[float, int], ...]:
    """Return (rank logit, count) in order, for the distribution of logits."""
    counted: dict[float, int] = {}
    for logit in logits:
        counted[logit] = counted.get(logit, 0) + 1
    return tuple(sorted(counted.items()))


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.12g}") + 0.0
    if isinstance(value, tuple):
        return tuple(map(_rounded, value))
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{name: _rounded(item) for name, item in vars(value).items()})
    return value


def verdict(luck: LuckStatistics | None, spent: TrialCount | None) -> Iterator[str]:
    """Yield what matters most about the best point: a sentence that tells skill from luck.

    ``spent`` says how much had been tried when the run ended; a second sentence, which comes first,
    says why that is not known.
    """
    if spent is not None and spent.problem:
        yield f"How many trials there were on this data is not known: {spent.problem}"
    if luck is None:
        if spent is not None and spent.trials is not None and spent.trials > 1:
            yield (
                f"These are {spent.trials:,} trials on this data. Skill cannot be distinguished "
                f"from luck without a best point that has {FEWEST_DAYS} daily returns which differ."
            )
        return
    counted = _over_all_trials(luck, spent)
    yield _interval(luck) if counted.trials <= 1 else _against_luck(counted)


def findings(luck: LuckStatistics | None, spent: TrialCount | None) -> Iterator[str]:
    """Yield what else the statistics say about the best point, one plain sentence each."""
    if luck is None:
        return
    if _over_all_trials(luck, spent).trials > 1:
        yield _interval(luck)
    if luck.probabilistic_sharpe is not None:
        by_luck = 1 - luck.probabilistic_sharpe
        yield f"Had it been the only trial, luck would do as well with probability {by_luck:.1%}."
    needed = luck.minimum_track_record_days
    if needed is None:
        yield "No number of days would show that the Sharpe ratio is above zero."
    else:
        yield (
            f"It takes {math.ceil(needed):,} days to show that the Sharpe ratio is above zero; "
            f"there are {luck.days:,}."
        )
    split = luck.overfitting
    if split is not None:
        yield (
            "Chosen on one half of the days, the best point is among the worse half on the other "
            f"in {split.probability:.1%} of {split.splits:,} splits."
        )
    yield _about_skill("not trading", luck.against_not_trading)
    if luck.against_buy_and_hold is not None:
        yield _about_skill("buy-and-hold", luck.against_buy_and_hold)


def _about_skill(benchmark: str, tested: SkillTest) -> str:
    return (
        f"That a point beats {benchmark} {_verdict(tested)}: luck does as well with probability "
        f"{tested.hansen:.1%} (Hansen) or {tested.white:.1%} (White)."
    )


def _over_all_trials(luck: LuckStatistics, spent: TrialCount | None) -> LuckStatistics:
    return deflated(luck, spent.trials) if spent is not None and spent.trials else luck


def _interval(luck: LuckStatistics) -> str:
    low, high = luck.sharpe_interval
    return (
        f"The Sharpe ratio is {_annual(luck)}, with a 95% confidence interval from {_ratio(low)} "
        f"to {_ratio(high)}."
    )


def _against_luck(luck: LuckStatistics) -> str:
    """Return how the best point compares with the luckiest of as many trials without skill."""
    said = (
        f"Of {luck.trials:,} trials, the best Sharpe ratio by luck alone would be "
        f"{_ratio(luck.sharpe_by_luck)}; this one is {_annual(luck)}"
    )
    if luck.deflated_sharpe is None:
        return f"{said}."
    is_shown = luck.deflated_sharpe > _SURE
    judged = "more than luck explains" if is_shown else "luck until proven otherwise"
    return (
        f"{said}, and luck does as well with probability {1 - luck.deflated_sharpe:.1%}: {judged}."
    )


def _annual(luck: LuckStatistics) -> str:
    return _ratio(luck.daily_sharpe * math.sqrt(luck.periods_per_year))


def _ratio(value: float) -> str:
    return f"{value:.2f}".replace("-", "\N{MINUS SIGN}")


def _verdict(tested: SkillTest) -> str:
    """Return whether two tests show something; "in doubt" when only one of them does."""
    values = {"Hansen": tested.hansen, "White": tested.white}
    by = [name for name, value in values.items() if value <= _SIGNIFICANT]
    if len(by) == 1:
        [other] = values.keys() - {*by}
        return f"is in doubt, since {by[0]}'s test shows it and {other}'s does not"
    return "is shown" if by else "is not shown"
