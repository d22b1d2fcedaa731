"""What the statistics of one task are, on cases small enough to compute by hand."""

from __future__ import annotations

import decimal
import math
import random
import subprocess
import sys
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.results.observed import PER_YEAR, THREE, YEAR, throughout
from trading_runtime.results.exact import rounded
from trading_runtime.results.statistics import (
    Drawdown,
    Fills,
    Trade,
    daily_returns,
    exposure,
    maximum_drawdown,
    sharpe_ratio,
    sortino_ratio,
    task_statistics,
    turnover,
    volatility,
)
from trading_runtime.units import DAY

HOUR = DAY // 24
NO_FILLS = Fills()
MONDAY = 18_995 * DAY  # 2022-01-03, a UTC midnight


def days(*values: float | str) -> list[tuple[int, Decimal]]:
    """Equity at successive midnights."""
    return [(MONDAY + i * DAY, Decimal(str(value))) for i, value in enumerate(values)]


def whole(equity: list[tuple[int, Decimal]]) -> list[Decimal | None]:
    """Daily returns where there is data from the first sample to the last."""
    return daily_returns(equity, throughout(equity[0][0], equity[-1][0]).days)


def numbers(*values: str) -> list[Decimal | None]:
    return [Decimal(value) for value in values]


def test_daily_returns_are_simple_and_between_midnights() -> None:
    # 110/100 - 1 = 0.1, 99/110 - 1 = -0.1, 108.9/99 - 1 = 0.1
    assert whole(days(100, 110, 99, "108.9")) == numbers("0.1", "-0.1", "0.1")


def test_samples_between_midnights_do_not_change_daily_returns() -> None:
    equity = days(100, 110)
    equity.insert(1, (MONDAY + 5 * HOUR, Decimal(3)))
    assert whole(equity) == numbers("0.1")


def test_a_window_within_days_has_its_partial_days_as_returns() -> None:
    # from 18:00 to 06:00: one return up to midnight, one after it
    equity = [
        (MONDAY + 18 * HOUR, Decimal(100)),
        (MONDAY + 24 * HOUR, Decimal(120)),
        (MONDAY + 30 * HOUR, Decimal(90)),
    ]
    assert whole(equity) == numbers("0.2", "-0.25")


def test_a_midnight_without_a_sample_has_the_equity_of_the_last_one() -> None:
    equity = [
        (MONDAY, Decimal(100)),
        (MONDAY + 20 * HOUR, Decimal(150)),
        (MONDAY + 2 * DAY, Decimal(75)),
    ]
    assert whole(equity) == numbers("0.5", "-0.5")


def test_volatility_is_annualised_with_one_degree_of_freedom_taken() -> None:
    # mean 1/30; squares (1/15)^2 + (2/15)^2 + (1/15)^2 = 6/225; / 2 = 3/225; x 3 periods = 9/225
    # and the root of 9/225 is 3/15
    assert rounded(volatility(numbers("0.1", "-0.1", "0.1"), Decimal(3))) == 0.2


def test_sharpe_ratio_is_mean_by_deviation_annualised() -> None:
    # (1/30) / sqrt(3/225) x sqrt(3) = (1/30) x 15 = 0.5
    assert rounded(sharpe_ratio(numbers("0.1", "-0.1", "0.1"), Decimal(3))) == 0.5


def test_sharpe_ratio_agrees_with_the_binary_arithmetic_of_the_standard_library() -> None:
    import statistics

    values = [0.013, -0.004, 0.0071, 0.0, -0.0162, 0.0055]
    expected = statistics.mean(values) / statistics.stdev(values) * math.sqrt(365)
    found = rounded(sharpe_ratio(numbers(*map(str, values)), PER_YEAR))
    assert found == pytest.approx(expected, rel=1e-11)


def test_sortino_ratio_counts_only_losses_but_over_all_returns() -> None:
    # d = sqrt((0 + 0.01 + 0) / 3); (1/30) / (0.1 / sqrt(3)) x sqrt(3) = (1/30) x 30 = 1
    assert rounded(sortino_ratio(numbers("0.1", "-0.1", "0.1"), Decimal(3))) == 1.0


def test_fewer_than_two_returns_have_no_ratios() -> None:
    for statistic in (volatility, sharpe_ratio, sortino_ratio):
        assert statistic(numbers("0.1"), PER_YEAR) is None
        assert statistic([], PER_YEAR) is None


def test_returns_that_do_not_deviate_have_no_ratio() -> None:
    assert sharpe_ratio(numbers("0.1", "0.1", "0.1"), PER_YEAR) is None
    assert sharpe_ratio(numbers("0", "0"), PER_YEAR) is None
    assert volatility(numbers("0.1", "0.1"), PER_YEAR) == 0
    # equal growth, of which 16 stored decimals cut off a little
    thirds = days(
        "90.0000000000000000", "120", "160", "213.3333333333333333", "284.4444444444444444"
    )
    assert sharpe_ratio(whole(thirds), PER_YEAR) is None


def test_without_a_loss_there_is_no_sortino_ratio() -> None:
    assert sortino_ratio(numbers("0.1", "0.2"), PER_YEAR) is None


def test_drawdown_is_the_deepest_share_of_a_peak_and_lasts_to_the_recovery() -> None:
    # falls: 100 -> 90 = 10 %, 120 -> 90 = 25 %; the second starts on day 3 and is made up on day 6
    fall = maximum_drawdown(days(100, 90, 110, 120, 100, 90, 121, 120))
    assert fall == Drawdown(Decimal("0.25"), Decimal(3 * 86_400))


def test_drawdown_that_is_not_made_up_lasts_to_the_end() -> None:
    assert maximum_drawdown(days(100, 110, 99, "108.9")) == Drawdown(
        Decimal("0.1"), Decimal(2 * 86_400)
    )


def test_of_equally_deep_drawdowns_the_first_counts() -> None:
    assert maximum_drawdown(days(100, 90, 100, 90, 95, 100)) == Drawdown(
        Decimal("0.1"), Decimal(86_400 * 2)
    )


def test_equity_that_never_falls_has_a_drawdown_of_nothing() -> None:
    assert maximum_drawdown(days(100, 100, 101)) == Drawdown(Decimal(0), Decimal(0))


def test_drawdown_below_zero_is_more_than_the_whole_peak() -> None:
    fall = maximum_drawdown(days(100, -50, 0))
    assert fall is not None
    assert fall.depth == Decimal("1.5")


def test_exposure_counts_time_once_and_only_inside_the_window() -> None:
    window = (10, 110)
    held = [
        Trade(Decimal(1), 0, 20),  # 10 to 20 of it inside
        Trade(Decimal(1), 30, 50),
        Trade(Decimal(1), 40, 60),  # 10 more
        Trade(Decimal(1), 105, None),  # open to the end: 5
    ]
    assert exposure(held, [window]) == Decimal("0.45")


def test_exposure_of_no_time_is_undefined_and_of_no_position_is_nothing() -> None:
    assert exposure([], [(5, 5)]) is None
    assert exposure([], [(5, 6)]) == 0


def test_turnover_is_traded_value_by_initial_equity() -> None:
    assert turnover(Decimal(250), Decimal(100)) == Decimal("2.5")
    assert turnover(Decimal(250), Decimal(0)) is None


TRADES = [
    Trade(Decimal(30), MONDAY, MONDAY + DAY),
    Trade(Decimal(-10), MONDAY + DAY, MONDAY + DAY + 12 * HOUR),
    Trade(Decimal(0), MONDAY + 2 * DAY, MONDAY + 2 * DAY + HOUR),
    Trade(Decimal(-5), MONDAY + 2 * DAY, MONDAY + 2 * DAY + HOUR),
    Trade(Decimal(99), MONDAY + 2 * DAY + 23 * HOUR, None),
]


def test_a_task_has_all_its_statistics_in_the_order_of_the_summary() -> None:
    equity = days(100, 110, 99, "108.9")
    fills = Fills(2, Decimal("199.5"), Decimal("0.075"))
    found = task_statistics(equity, throughout(MONDAY, MONDAY + 3 * DAY), fills, TRADES, THREE)
    assert list(found.items()) == [
        ("initial_equity", "100"),
        ("final_equity", "108.9"),
        ("net_profit", "8.9"),
        ("fees", "0.075"),
        ("traded_value", "199.5"),
        ("days", 3),
        ("periods_per_year", 3.0),
        ("return", 0.089),
        ("volatility", 0.2),
        ("sharpe", 0.5),
        ("sortino", 1.0),
        ("max_drawdown", 0.1),
        ("max_drawdown_seconds", 172_800.0),
        ("exposure", 0.527777777778),  # 24 + 12 + 1 + 1 of 72 hours = 19/36
        ("turnover", 1.995),
        ("fills", 2),
        ("trades", 4),  # the open one is none
        ("win_rate", 0.25),  # 1 of 4: a trade that made nothing is not won
        ("profit_factor", 2.0),  # 30 / (10 + 5)
        ("expectancy", "3.75"),  # (30 - 10 + 0 - 5) / 4
        ("open_positions", 1),
        ("ruined", False),
    ]


def test_a_task_without_trades_has_no_trade_ratios() -> None:
    found = task_statistics(
        days(100, 100, 100), throughout(MONDAY, MONDAY + 2 * DAY), NO_FILLS, [], YEAR
    )
    undefined = {name for name, value in found.items() if value is None}
    assert undefined == {"sharpe", "sortino", "win_rate", "profit_factor", "expectancy"}


def test_without_a_losing_trade_there_is_no_profit_factor() -> None:
    found = task_statistics(
        days(100, 130), throughout(MONDAY, MONDAY + DAY), NO_FILLS, TRADES[:1], YEAR
    )
    assert found["profit_factor"] is None
    assert found["win_rate"] == 1.0


def test_a_ruined_account_has_no_return_and_no_ratios_but_its_loss() -> None:
    found = task_statistics(
        days(100, 90, -1, 50), throughout(MONDAY, MONDAY + 3 * DAY), NO_FILLS, [], YEAR
    )
    assert found["ruined"] is True
    assert found["net_profit"] == "-50"
    assert found["max_drawdown"] == 1.01
    assert [found[name] for name in ("return", "volatility", "sharpe", "sortino")] == [None] * 4


def test_returns_before_a_ruin_are_known_and_later_ones_are_not() -> None:
    assert whole(days(100, 90, 0, 50)) == [Decimal("-0.1"), None, None]


def test_an_account_that_starts_with_nothing_has_no_ratios() -> None:
    found = task_statistics(days(0, 10), throughout(MONDAY, MONDAY + DAY), NO_FILLS, [], YEAR)
    assert found["ruined"] is True
    assert [found[name] for name in ("return", "max_drawdown", "turnover")] == [None] * 3


def test_equity_out_of_order_or_absent_is_refused() -> None:
    with pytest.raises(ValueError, match="order of time"):
        task_statistics(days(1, 2)[::-1], None, NO_FILLS, [], YEAR)
    with pytest.raises(ValueError, match="no samples"):
        task_statistics([], None, NO_FILLS, [], YEAR)


def test_the_decimal_context_that_a_strategy_left_behind_changes_nothing() -> None:
    equity = days("100000.1234567890123456", "100001.7654321", "99999.5")
    window = throughout(MONDAY, MONDAY + 2 * DAY)
    fills = Fills(1, Decimal("12345678.000000001"), Decimal("0.0000000001"))
    expected = task_statistics(equity, window, fills, TRADES, YEAR)
    with decimal.localcontext(prec=3, rounding=decimal.ROUND_UP):
        assert task_statistics(equity, window, fills, TRADES, YEAR) == expected


def test_statistics_import_neither_polars_nor_numpy() -> None:
    code = (
        "import sys, trading_runtime.results.statistics, trading_runtime.results.points;"
        "print([n for n in ('polars', 'numpy', 'pyarrow') if n in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"


AMOUNTS = st.decimals(min_value=1, max_value=10**9, places=6)
CURVES = st.lists(AMOUNTS, min_size=3, max_size=20)


def alike(value: Any) -> Any:
    """What agrees with ``value`` up to the rounding of 12 digits; undefined only with undefined."""
    return None if value is None else pytest.approx(value, rel=1e-11, abs=1e-15)


@given(CURVES)
def test_drawdown_lies_between_nothing_and_everything(values: list[Decimal]) -> None:
    fall = maximum_drawdown(days(*map(str, values)))
    assert fall is not None
    assert 0 <= fall.depth < 1
    assert 0 <= fall.seconds <= 86_400 * (len(values) - 1)
    assert (fall.depth == 0) == (values == sorted(values))


@given(CURVES, st.integers(min_value=2, max_value=1000))
def test_ratios_do_not_depend_on_the_size_of_the_account(
    values: list[Decimal], factor: int
) -> None:
    window = throughout(MONDAY, MONDAY + (len(values) - 1) * DAY)
    small = task_statistics(days(*map(str, values)), window, NO_FILLS, [], YEAR)
    large = task_statistics(days(*(str(v * factor) for v in values)), window, NO_FILLS, [], YEAR)
    for name in ("return", "volatility", "sharpe", "sortino", "max_drawdown"):
        assert large[name] == alike(small[name])


@given(
    st.lists(st.decimals(min_value=-(10**6), max_value=10**6, places=9), max_size=12),
    st.integers(),
)
def test_the_order_of_positions_does_not_matter(profits: list[Decimal], seed: int) -> None:
    held = [Trade(profit, MONDAY + i, MONDAY + 2 * i + 1) for i, profit in enumerate(profits)]
    window = throughout(MONDAY, MONDAY + DAY)
    expected = task_statistics(days(1, 2), window, NO_FILLS, held, YEAR)
    random.Random(seed).shuffle(held)  # noqa: S311 - any order
    assert task_statistics(days(1, 2), window, NO_FILLS, held, YEAR) == expected
