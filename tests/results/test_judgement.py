"""What a run says about skill and luck."""

from __future__ import annotations

import math
import re
import statistics
from array import array
from dataclasses import replace
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from trading_runtime.records.trials import TrialCount
from trading_runtime.results.judgement import FEWEST_DAYS, deflated, findings, judge, verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trading_runtime.records.result import LuckStatistics

YEAR = 365.0


def row(point: int, returns: Sequence[float] | None) -> dict[str, Any]:
    """Return what matters here of a point's row."""
    known = None if returns is None else array("d", returns)
    return {"point": point, "periods_per_year": YEAR, "daily_returns": known}


def drawn(seed: int, days: int = 60, mean: float = 0.0) -> list[float]:
    """Return normal returns of one point."""
    values: list[float] = np.random.default_rng(seed).normal(mean, 0.01, days).tolist()
    return values


def daily(returns: Sequence[float]) -> float:
    """Return the Sharpe ratio of a day."""
    return statistics.fmean(returns) / statistics.stdev(returns)


def judged(rows: Sequence[dict[str, Any]], best: int) -> LuckStatistics:
    """Return the judgement, which there must be."""
    luck = judge(rows, best)
    assert luck is not None
    return luck


def spent(trials: int | None, problem: str | None = None) -> TrialCount:
    """Return what a run's ``trials.json`` says."""
    return TrialCount(of_this_run=1, trials=trials, problem=problem)


def test_the_best_point_is_held_against_what_its_own_points_would_come_to_by_luck() -> None:
    returns = [drawn(seed) for seed in range(8)]
    luck = judged([row(point, each) for point, each in enumerate(returns)], 3)

    assert luck.daily_sharpe == pytest.approx(daily(returns[3]), rel=1e-11)
    spread = statistics.stdev(map(daily, returns))
    quantile = NormalDist().inv_cdf
    euler = 0.5772156649
    largest = (1 - euler) * quantile(1 - 1 / 8) + euler * quantile(1 - math.exp(-1) / 8)
    assert luck.sharpe_by_luck == pytest.approx(spread * largest * math.sqrt(365), rel=1e-9)
    hurdle = luck.sharpe_by_luck / math.sqrt(365)
    sharpe, skewness, kurtosis = luck.daily_sharpe, luck.skewness, luck.kurtosis
    error = math.sqrt((1 - skewness * sharpe + (kurtosis - 1) / 4 * sharpe**2) / 59)
    expected = NormalDist(hurdle, error).cdf(sharpe)
    assert luck.deflated_sharpe == pytest.approx(expected, rel=1e-9)
    assert luck.sharpe_interval[0] < sharpe * math.sqrt(365) < luck.sharpe_interval[1]


def test_more_trials_raise_the_hurdle_and_nothing_else() -> None:
    luck = judged([row(point, drawn(point)) for point in range(8)], 3)

    assert deflated(luck, 8) == luck
    more = deflated(luck, 800)
    assert more.sharpe_by_luck > luck.sharpe_by_luck
    assert more.deflated_sharpe is not None
    assert luck.deflated_sharpe is not None
    assert more.deflated_sharpe < luck.deflated_sharpe


def test_a_single_point_has_no_hurdle_until_others_were_tried() -> None:
    luck = judged([row(0, drawn(1))], 0)

    assert luck.sharpe_by_luck == 0
    assert luck.deflated_sharpe == luck.probabilistic_sharpe
    assert luck.overfitting is None
    # Of trials without skill over 60 days, the Sharpe ratios deviate by 1 / sqrt(59).
    chance = np.random.default_rng(2)
    best = [max(daily(chance.normal(0, 1, 60).tolist()) for _ in range(20)) for _ in range(150)]
    hurdle = deflated(luck, 20).sharpe_by_luck / math.sqrt(365)
    assert hurdle == pytest.approx(statistics.fmean(best), rel=0.06)


def test_points_that_do_the_same_have_the_hurdle_of_a_single_one() -> None:
    """Sizes leave a Sharpe ratio as it is, so such points say nothing of how trials deviate."""
    alone = judged([row(0, drawn(1))], 0)
    sizes = [row(point, [size * each for each in drawn(1)]) for point, size in enumerate((1, 2, 3))]
    same = judged(sizes, 0)

    assert same.variance_of_daily_sharpes == alone.variance_of_daily_sharpes
    assert deflated(same, 500).sharpe_by_luck == deflated(alone, 500).sharpe_by_luck > 5


def test_of_a_search_the_points_that_were_drawn_say_how_trials_deviate() -> None:
    drawn_points = [drawn(seed) for seed in range(6)]
    # What an adaptive search adds clusters around the best.
    clustered = [[value + 0.0001 * n for value in drawn_points[3]] for n in range(30)]
    rows = [row(point, each) for point, each in enumerate([*drawn_points, *clustered])]
    luck = judge(rows, 35, drawn=6)

    assert luck is not None
    spread = statistics.variance(map(daily, drawn_points))
    assert luck.variance_of_daily_sharpes == pytest.approx(spread, rel=1e-9)
    assert luck.variance_of_points == 6
    assert luck.trials == 36
    assert judged(rows, 35).variance_of_daily_sharpes < spread


def test_points_without_returns_are_left_out_and_counted() -> None:
    rows = [row(0, drawn(1)), row(1, None), row(2, drawn(2)), row(3, None)]
    luck = judged(rows, 2)

    assert (luck.points, luck.left_out, luck.trials) == (4, 2, 4)
    assert judge(rows, 1) is None


@pytest.mark.parametrize(
    ("returns", "best"),
    [
        (drawn(1, FEWEST_DAYS - 1), 0),
        ([0.0] * 30, 0),
        ([0.01] * 30, 0),
        (drawn(1), None),
    ],
    ids=["too-few-days", "never-traded", "no-deviation", "no-best-point"],
)
def test_too_little_is_not_judged(returns: list[float], best: int | None) -> None:
    assert judge([row(0, returns)], best) is None


def test_the_judgement_does_not_depend_on_the_order_of_the_points() -> None:
    rows = [row(point, drawn(point)) for point in range(6)]

    assert judge(rows, 2) == judge(rows[::-1], 2)


def test_trials_on_few_days_are_told_all_the_same() -> None:
    assert list(verdict(None, spent(1))) == []
    [said] = verdict(None, spent(12))
    assert said.startswith("These are 12 trials on this data.")
    assert list(findings(None, spent(12))) == []


def test_a_ledger_that_cannot_be_read_is_told() -> None:
    luck = judged([row(point, drawn(point)) for point in range(8)], 3)
    first, second = verdict(luck, spent(None, "ledger/x.json: damaged"))

    assert first.endswith("is not known: ledger/x.json: damaged")
    assert second.startswith("Of 8 trials")


def test_the_verdict_is_one_sentence_and_every_other_number_is_one_of_the_details() -> None:
    points = [row(point, drawn(point)) for point in range(30)]
    points.append(row(30, drawn(9, mean=0.02)))
    luck = judged(points, 30)
    [told] = verdict(luck, spent(243))
    said = list(findings(luck, spent(243)))

    sharpe = luck.daily_sharpe * math.sqrt(365)
    assert told.startswith("Of 243 trials, the best Sharpe ratio by luck alone would be ")
    # Of a deflated Sharpe ratio of 0.97, luck has the other three per cent.
    share = re.search(
        r"; this one is ([\d.]+), and luck does as well with probability (.+)%:", told
    )
    assert share is not None
    assert share[1] == f"{sharpe:.2f}"
    assert 1 - float(share[2]) / 100 == pytest.approx(
        deflated(luck, 243).deflated_sharpe, abs=0.0006
    )
    assert told.endswith(": more than luck explains.")
    assert said[0].startswith(f"The Sharpe ratio is {sharpe:.2f}, with a 95% confidence interval")
    assert "12,870 splits" in said[3]
    assert "beats not trading is shown" in said[4]
    poor = judged([row(p, drawn(p)) for p in range(30)], 4)
    assert next(verdict(poor, None)).endswith(": luck until proven otherwise.")
    assert "beats not trading is not shown" in [*findings(poor, None)][-1]


def test_of_a_single_trial_the_interval_is_the_verdict_and_said_once() -> None:
    luck = judged([row(0, drawn(1))], 0)

    [told] = verdict(luck, None)
    assert told.startswith("The Sharpe ratio is ")
    assert told not in [*findings(luck, None)]


def test_points_are_tested_against_buy_and_hold_on_the_same_days() -> None:
    held = drawn(7, mean=0.01)
    # Each point makes a little more than holding each day: better than nothing, barely than it.
    rows = [row(n, [a + b for a, b in zip(held, drawn(n), strict=True)]) for n in range(8)]
    luck = judge(rows, 3, held=held)
    # Against holding is what the difference is against not trading.
    above = judged([row(n, drawn(n)) for n in range(8)], 3)

    assert luck is not None
    assert luck.against_buy_and_hold == above.against_not_trading
    assert luck.against_not_trading.hansen < above.against_not_trading.hansen
    said = list(findings(luck, None))
    assert said[-2].startswith("That a point beats not trading is shown: ")
    assert said[-1].startswith("That a point beats buy-and-hold is not shown: ")


def test_where_prices_are_not_known_nothing_is_said_of_holding() -> None:
    luck = judged([row(point, drawn(point)) for point in range(4)], 1)

    assert luck.against_buy_and_hold is None
    assert "buy-and-hold" not in " ".join(findings(luck, None))


@pytest.mark.parametrize(
    ("hansen", "white", "said"),
    [
        (0.03, 0.04, "That a point beats not trading is shown: luck"),
        (0.03, 0.141, "is in doubt, since Hansen's test shows it and White's does not: luck does"),
        (0.06, 0.04, "is in doubt, since White's test shows it and Hansen's does not: luck does"),
        (0.06, 0.141, "That a point beats not trading is not shown: luck"),
    ],
)
def test_a_skill_is_shown_when_both_tests_say_so(hansen: float, white: float, said: str) -> None:
    luck = judged([row(point, drawn(point)) for point in range(4)], 1)
    tested = replace(luck.against_not_trading, hansen=hansen, white=white)
    luck = replace(luck, against_not_trading=tested)
    [told] = [each for each in findings(luck, None) if "beats not trading" in each]

    assert said in told
    assert told.endswith(f"{hansen:.1%} (Hansen) or {white:.1%} (White).")
