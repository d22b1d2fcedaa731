"""What the statistics of luck say about a run: in ``result.json``, and as sentences for people.

All of it follows from the results of the run's own tasks, so it is the same for the same task ids.
The number of trials that others have made on the same data is separate: see ``ledger``.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

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

FEWEST_DAYS = 20
"""Below this, a Sharpe ratio says nothing that any of these statistics could qualify."""
LUCK_FORMAT = 1
_SIGNIFICANT = 0.05
_SURE = 0.95


def judge(
    rows: Sequence[Mapping[str, Any]], best: int | None, drawn: int | None = None
) -> dict[str, Any] | None:
    """Return the section ``luck`` of ``result.json``; ``None`` when there is too little to judge.

    ``rows`` are those that ``aggregate_point`` makes, ``best`` the point that is named. Points that
    were ruined or are incomplete have no returns and are counted as ``left_out``. Of an adaptive
    search the first ``drawn`` points were drawn at random: only these deviate as independent trials
    do; later ones cluster around the best. Sharpe ratios are annualised where they are stated, and
    daily wherever they are used in computations.
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
    # With fewer than two: that of trials without skill, which follows from the track's length
    # alone.
    variance = 1 / (track.returns - 1) if between is None else between
    facts = {
        "format": LUCK_FORMAT,
        "point": best,
        "days": track.returns,
        "periods_per_year": year,
        "points": len(rows),
        "left_out": len(rows) - len(columns),
        "daily_sharpe": track.sharpe,
        "skewness": track.skewness,
        "kurtosis": track.kurtosis,
        "variance_of_daily_sharpes": variance,
        "variance_of_points": len(independent),
        "probabilistic_sharpe": probabilistic_sharpe(track),
        "minimum_track_record_days": minimum_track_record(track),
        **_deflated(track, len(rows), variance, year),
        **_resampled(columns, best, year),
    }
    return {name: _rounded(value) for name, value in facts.items()}


def drawn_points(experiment: Mapping[str, Any] | None) -> int | None:
    """Return how many points an adaptive search drew at random; ``None`` for other runs.

    None of the points that successive halving leaves: they were chosen by their results.
    ``experiment`` is the content of a run's ``experiment.json``.
    """
    search = (experiment or {}).get("search") or {}
    if search.get("method") == "successive-halving":
        return 0
    return search["generation"] if search.get("method") in {"tpe", "cma-es", "nsga-ii"} else None


def deflated(luck: Mapping[str, Any], trials: int) -> dict[str, Any]:
    """Return ``luck`` recomputed for a number of trials other than the run's points."""
    track = Track(luck["days"], luck["daily_sharpe"], luck["skewness"], luck["kurtosis"])
    year, variance = luck["periods_per_year"], luck["variance_of_daily_sharpes"]
    return {
        name: _rounded(value) for name, value in _deflated(track, trials, variance, year).items()
    }


def _deflated(track: Track, trials: int, variance: float, year: float) -> dict[str, Any]:
    return {
        "trials": trials,
        "sharpe_by_luck": sharpe_by_luck(trials, variance) * math.sqrt(year),
        "deflated_sharpe": deflated_sharpe(track, trials, variance),
    }


def _resampled(columns: Mapping[int, Sequence[float]], best: int, year: float) -> dict[str, Any]:
    import numpy as np  # needed at the end of a run only

    from trading_runtime.results import resampling

    returns = np.array([columns[point] for point in sorted(columns)]).T
    days = len(returns)
    counts = resampling.resampled(days)
    low, high = resampling.sharpe_interval(np.array(columns[best]), counts)
    split = resampling.probability_of_overfitting(returns)
    idle = resampling.superiority(returns, np.zeros(days), counts)
    return {
        "sharpe_interval": [low * math.sqrt(year), high * math.sqrt(year)],
        "overfitting": split
        and {
            "probability": split.probability,
            "blocks": split.blocks,
            "splits": len(split.logits),
            "logits": _histogram(split.logits),
        },
        "against_not_trading": idle._asdict(),
        "bootstrap": {
            "resamples": len(counts),
            "block_days": resampling.block_length(days),
            "seed": resampling.SEED,
        },
    }


def _histogram(logits: Iterable[float]) -> list[list[float]]:
    """Return [rank logit, count] in order, for the distribution of logits."""
    counted: dict[float, int] = {}
    for logit in logits:
        counted[logit] = counted.get(logit, 0) + 1
    return [[logit, count] for logit, count in sorted(counted.items())]


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.12g}") + 0.0
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_rounded(item) for item in value]
    return value


def sentences(luck: Mapping[str, Any] | None, spent: Mapping[str, Any]) -> Iterator[str]:
    """Yield what the statistics say about the best point, one plain sentence each.

    ``luck`` is the section of ``result.json``, ``spent`` the content of ``trials.json``.
    """
    if spent.get("problem"):
        yield f"How many trials there were on this data is not known: {spent['problem']}"
    if luck is None:
        trials = spent.get("trials") or 0
        if trials > 1:
            yield (
                f"This makes {trials:,} trials on this data; fewer than {FEWEST_DAYS} daily "
                "returns say nothing of skill or luck."
            )
        return
    year = luck["periods_per_year"]
    sharpe = luck["daily_sharpe"] * math.sqrt(year)
    counted = spent if spent.get("trials") else luck
    yield from _about_luck(sharpe, counted)
    low, high = luck["sharpe_interval"]
    yield f"The Sharpe ratio is {sharpe:.2f}; with 95 % it lies between {low:.2f} and {high:.2f}."
    if luck["probabilistic_sharpe"] is not None:
        yield (
            f"Seen alone, it is above zero with a probability of "
            f"{_percent(luck['probabilistic_sharpe'])}."
        )
    needed = luck["minimum_track_record_days"]
    if needed is None:
        yield "No number of days would show that it is above zero."
    else:
        yield (
            f"It takes {math.ceil(needed):,} days to show that it is above zero; there are "
            f"{luck['days']:,}."
        )
    split = luck["overfitting"]
    if split is not None:
        yield (
            f"Chosen on one half of the days, the best point is in the worse half of all on the "
            f"other in {_percent(split['probability'])} of {split['splits']:,} splits."
        )
    for name, what in (("not_trading", "not trading"), ("buy_and_hold", "buying and holding")):
        tested = luck.get(f"against_{name}")
        if tested is not None:
            yield (
                f"That a point beats {what} {_verdict(tested)}: luck does as well with a "
                f"probability of {_percent(tested['hansen'])} (Hansen), "
                f"{_percent(tested['white'])} (White)."
            )


def _verdict(tested: Mapping[str, float]) -> str:
    """Return whether two tests show something; "in doubt" when only one of them does."""
    by = [name for name in ("Hansen", "White") if tested[name.lower()] <= _SIGNIFICANT]
    if len(by) == 1:
        other = "White" if by == ["Hansen"] else "Hansen"
        return f"is in doubt, since {by[0]}'s test shows it and {other}'s does not"
    return "is shown" if by else "is not shown"


def _about_luck(sharpe: float, counted: Mapping[str, Any]) -> Iterator[str]:
    trials, hurdle, probability = (
        counted[name] for name in ("trials", "sharpe_by_luck", "deflated_sharpe")
    )
    if trials <= 1:
        return
    yield (
        f"Of {trials:,} trials, the best Sharpe ratio by luck alone would be {hurdle:.2f}; "
        f"this one is {sharpe:.2f}."
    )
    if probability is not None:
        verdict = "skill" if probability > _SURE else "luck until proven otherwise"
        yield f"It is above that with a probability of {_percent(probability)}: {verdict}."


def _percent(share: float) -> str:
    return f"{share * 100:.1f} %"
