"""How the partitions of a point come together, on cases small enough to compute by hand."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.results.observed import THREE, YEAR, throughout
from trading_runtime.config.statistic_names import POINT_STATISTICS
from trading_runtime.datasets.observed_days import Observed
from trading_runtime.results.calendar import Calendar, observed_facts
from trading_runtime.results.points import (
    TaskOutcome,
    aggregate_point,
    chained_curve,
)
from trading_runtime.results.statistics import Fills, Trade, task_statistics
from trading_runtime.units import DAY

HOUR = DAY // 24
MONDAY = 18_995 * DAY
NO_FILLS = Fills()


def outcome(  # noqa: PLR0913 - one argument for each thing a task leaves
    partition: int,
    start: int,
    values: list[int | str],
    *,
    step: int = DAY,
    trades: tuple[Trade, ...] = (),
    fills: Fills = NO_FILLS,
    instruments: tuple[str, ...] = ("BTC.SIM",),
    **more: Any,
) -> TaskOutcome:
    """A task that is ok: equity every ``step`` from ``start`` on."""
    equity = [(start + i * step, Decimal(value)) for i, value in enumerate(values)]
    seen = throughout(start, equity[-1][0])
    return outcome_of(
        equity, seen, trades, fills, partition=partition, instruments=instruments, **more
    )


def outcome_of(  # noqa: PLR0913 - one argument for each thing a task leaves
    equity: list[tuple[int, Decimal]],
    seen: Observed,
    trades: tuple[Trade, ...] = (),
    fills: Fills = NO_FILLS,
    *,
    partition: int = 0,
    instruments: tuple[str, ...] = ("BTC.SIM",),
    **more: Any,
) -> TaskOutcome:
    """A task that is ok, over the window of its equity; its rows lie as ``seen``."""
    window = (equity[0][0], equity[-1][0])
    summary = {
        **task_statistics(equity, seen, fills, trades, THREE),
        **observed_facts(seen),
        "orders": 2,
        "denied_orders": 1,
        "partly_filled_orders": 1,
        "funding": "-1.5",
        "funding_settlements": 2,
        "warmup_denied_orders": 3,
        "warmup_short": False,
        **more,
    }
    return TaskOutcome(partition, *window, instruments, "ok", summary, equity, trades)


def test_money_of_successive_partitions_is_summed_and_returns_are_chained() -> None:
    # growth 1 -> 1.1 and on to 1.1 x 0.9 = 0.99 and 1.1 x 0.99 = 1.089: returns 0.1, -0.1, 0.1,
    # for which volatility is 0.2, Sharpe 0.5 and Sortino 1 at 3 periods a year (see the tasks)
    first = outcome(0, MONDAY, [100, 110])
    second = outcome(1, MONDAY + DAY, [100, 90, 99])
    row = aggregate_point(7, {"fast": 5}, [first, second], THREE)
    assert row["point"] == 7
    assert row["parameters"] == {"fast": 5}
    assert [row[name] for name in ("tasks", "ok", "failed", "missing")] == [2, 2, 0, 0]
    assert row["net_profit"] == "9"  # +10 and -1
    assert (row["funding"], row["funding_settlements"]) == ("-3", 4)
    assert row["return"] == 0.089
    assert (row["volatility"], row["sharpe"], row["sortino"]) == (0.2, 0.5, 1.0)
    assert row["max_drawdown"] == 0.1  # 1.1 -> 0.99, over the seam
    assert row["max_drawdown_seconds"] == 2 * 86_400
    assert (row["orders"], row["denied_orders"], row["warmup_denied_orders"]) == (4, 2, 6)


def test_partitions_of_hours_are_one_daily_return() -> None:
    morning = outcome(0, MONDAY, [100, 110], step=12 * HOUR)
    evening = outcome(1, MONDAY + 12 * HOUR, [100, 105], step=12 * HOUR)
    row = aggregate_point(0, {}, [morning, evening], YEAR)
    assert row["return"] == 0.155  # 1.1 x 1.05 - 1
    assert row["sharpe"] is None


def test_days_between_windows_are_no_returns() -> None:
    # Friday +10 %, nothing on the weekend, Monday -10 %: a mean of 0, squares 0.01 + 0.01 over 1
    before = outcome(0, MONDAY, [100, 110])
    after = outcome(1, MONDAY + 3 * DAY, [100, 90])
    row = aggregate_point(0, {}, [before, after], THREE)
    assert (row["days"], row["return"]) == (2, -0.01)
    assert row["sharpe"] == pytest.approx(0)
    assert row["volatility"] == pytest.approx((0.02 * 3) ** 0.5, rel=1e-11)


def test_days_between_windows_are_returns_of_zero_where_every_day_counts() -> None:
    # returns 0.1, 0, 0, -0.1: squares 0.01 + 0.01 over 3, x 365
    before = outcome(0, MONDAY, [100, 110])
    after = outcome(1, MONDAY + 3 * DAY, [100, 90])
    row = aggregate_point(0, {}, [before, after], Calendar(every_day=True))
    assert (row["days"], row["periods_per_year"]) == (4, 365)
    assert row["volatility"] == pytest.approx((0.02 / 3 * 365) ** 0.5, rel=1e-11)


def test_a_day_that_several_tasks_observed_counts_once() -> None:
    # hours of one day, then the next day with two instruments beside each other
    hours = [
        outcome(i, MONDAY + i * HOUR, [100, 100 + i], step=HOUR, instruments=("A.SIM",))
        for i in range(3)
    ]
    beside = [
        outcome(3 + i, MONDAY + DAY, [100, 103], instruments=(name,))
        for i, name in enumerate(("A.SIM", "B.SIM"))
    ]
    row = aggregate_point(0, {}, [*hours, *beside], YEAR)
    assert row["days"] == 2


def test_windows_that_overhang_their_data_are_clipped_to_it() -> None:
    # A week of which two days have data, 12 hours of them with a position: not 12 of 168 hours.
    seen = Observed(MONDAY + 2 * DAY, MONDAY + 4 * DAY, ((MONDAY // DAY + 2, MONDAY // DAY + 4),))
    equity = [
        (MONDAY + i * DAY, Decimal(value))
        for i, value in enumerate((100, 100, 100, 110, 99, 99, 99, 99))
    ]
    held = Trade(Decimal(-1), MONDAY + 2 * DAY, MONDAY + 2 * DAY + 12 * HOUR)
    row = aggregate_point(0, {}, [outcome_of(equity, seen, (held,))], THREE)
    assert row["days"] == 2
    assert row["exposure"] == 0.25
    assert (
        row["max_drawdown_seconds"] == 86_400
    )  # from 110 to the last row, not to the window's end
    assert row["volatility"] == pytest.approx((0.02 * 3) ** 0.5, rel=1e-11)  # 0.1 and -0.1


def test_trades_are_pooled_over_partitions() -> None:
    won = Trade(Decimal(30), MONDAY, MONDAY + 6 * HOUR)
    still_open = Trade(Decimal(1000), MONDAY + 18 * HOUR, None)
    lost = Trade(Decimal(-10), MONDAY + DAY, MONDAY + DAY + 12 * HOUR)
    first = outcome(
        0,
        MONDAY,
        [100, 110],
        trades=(won, still_open),
        fills=Fills(2, Decimal(100), Decimal("0.5")),
    )
    second = outcome(
        1, MONDAY + DAY, [100, 90], trades=(lost,), fills=Fills(1, Decimal(50), Decimal("0.25"))
    )
    row = aggregate_point(0, {}, [first, second], YEAR)
    assert (row["trades"], row["win_rate"], row["profit_factor"]) == (2, 0.5, 3.0)
    assert row["expectancy"] == "10"
    assert row["open_positions"] == 1
    # 6 hours, 6 to the end of the first window (no further), 12: 24 of 48
    assert row["exposure"] == 0.5
    assert (row["fees"], row["traded_value"], row["turnover"]) == ("0.75", "150", 1.5)


def test_accounts_side_by_side_are_summed_on_one_clock_before_returns() -> None:
    # together 200 -> 210 -> 209: 0.05 and -1/210
    left = outcome(0, MONDAY, [100, 110, 99], instruments=("A.SIM",))
    right = outcome(1, MONDAY, [100, 100, 110], instruments=("B.SIM",))
    curve = chained_curve([left, right])
    assert [moment.equity for moment in curve] == [200, 210, 209]
    assert [moment.growth for moment in curve] == [1, Decimal("1.05"), Decimal("1.045")]
    row = aggregate_point(0, {}, [left, right], YEAR)
    assert (row["net_profit"], row["return"]) == ("9", 0.045)


def test_an_account_holds_its_equity_outside_its_own_window() -> None:
    # B is tested from Tuesday to Wednesday only; A from Monday to Thursday without a sample between
    wide = TaskOutcome(
        0,
        MONDAY,
        MONDAY + 3 * DAY,
        ("A.SIM",),
        "ok",
        observed_facts(throughout(MONDAY, MONDAY + 3 * DAY)),
        [(MONDAY, Decimal(100)), (MONDAY + 3 * DAY, Decimal(130))],
    )
    inner = outcome(1, MONDAY + DAY, [50, 60], instruments=("B.SIM",))
    curve = chained_curve([wide, inner])
    assert [(moment.ts - MONDAY) // DAY for moment in curve] == [0, 1, 2, 3]
    assert [moment.equity for moment in curve] == [150, 150, 160, 190]


def test_one_account_tested_in_two_windows_beside_another_has_its_initial_equity_once() -> None:
    # A in two windows of a day beside B in one of two: 100 + 100, A +10 then -5, B +2 at the end
    first = outcome(0, MONDAY, [100, 110], instruments=("A.SIM",))
    second = outcome(1, MONDAY + DAY, [100, 95], instruments=("A.SIM",))
    beside = TaskOutcome(
        2,
        MONDAY,
        MONDAY + 2 * DAY,
        ("B.SIM",),
        "ok",
        observed_facts(throughout(MONDAY, MONDAY + 2 * DAY)),
        [(MONDAY, Decimal(100)), (MONDAY + 2 * DAY, Decimal(102))],
    )
    curve = chained_curve([second, beside, first])
    assert [moment.equity for moment in curve] == [200, 210, 207]


@pytest.mark.parametrize(("status", "column"), [("strategy", "failed"), ("missing", "missing")])
def test_a_point_with_an_unfinished_task_has_counts_and_nothing_else(
    status: str, column: str
) -> None:
    first = outcome(0, MONDAY, [100, 110])
    second = TaskOutcome(1, MONDAY + DAY, MONDAY + 2 * DAY, ("BTC.SIM",), status)
    row = aggregate_point(0, {}, [first, second], YEAR)
    assert (row["tasks"], row["ok"], row[column]) == (2, 1, 1)
    assert all(row[name] is None for name in POINT_STATISTICS)


def test_a_ruined_partition_leaves_the_point_without_returns_even_if_growth_turns_up_again() -> (
    None
):
    ruined = outcome(0, MONDAY, [100, -20])
    second_ruined = outcome(1, MONDAY + DAY, [100, -20])
    row = aggregate_point(0, {}, [ruined, second_ruined], YEAR)
    assert row["ruined"] == 2
    assert row["net_profit"] == "-240"
    assert [row[name] for name in ("return", "volatility", "sharpe", "sortino")] == [None] * 4
    assert row["max_drawdown"] == 1.2  # what is lost once is not lost again


def test_a_ruined_account_beside_a_sound_one_leaves_the_point_without_returns() -> None:
    sound = outcome(0, MONDAY, [100, 110, 120], instruments=("A.SIM",))
    ruined = outcome(1, MONDAY, [100, 0, 0], instruments=("B.SIM",))
    row = aggregate_point(0, {}, [sound, ruined], YEAR)
    assert row["ruined"] == 1
    assert row["sharpe"] is None


def test_a_point_of_one_partition_has_the_statistics_of_its_task() -> None:
    only = outcome(0, MONDAY, [100, 103, 99, 104, 101])
    row = aggregate_point(0, {}, [only], THREE)
    assert only.summary is not None
    shared = set(POINT_STATISTICS) & set(only.summary)
    assert {name: row[name] for name in shared} == {name: only.summary[name] for name in shared}


def alike(value: Any) -> Any:
    """What agrees with ``value`` up to the rounding of 12 digits; undefined only with undefined."""
    return None if value is None else pytest.approx(value, rel=1e-11, abs=1e-15)


@given(
    st.lists(st.integers(min_value=50, max_value=200), min_size=5, max_size=12),
    st.data(),
)
def test_where_a_curve_is_cut_does_not_change_its_returns(
    values: list[int], data: st.DataObject
) -> None:
    cut = data.draw(st.integers(min_value=1, max_value=len(values) - 2))
    whole = outcome(0, MONDAY, list(values))
    head = outcome(0, MONDAY, list(values[: cut + 1]))
    tail = outcome(1, MONDAY + cut * DAY, list(values[cut:]))
    expected = aggregate_point(0, {}, [whole], YEAR)
    found = aggregate_point(0, {}, [tail, head], YEAR)
    for name in (
        "return",
        "volatility",
        "sharpe",
        "sortino",
        "max_drawdown",
        "max_drawdown_seconds",
    ):
        assert found[name] == alike(expected[name])


def test_growth_that_is_back_at_its_peak_over_a_seam_has_recovered() -> None:
    # 161 falls to 50 and is back at 161 after three days; the fall after that is no deeper. Over
    # the seam the growth is (139 / 161) * (161 / 139), which no decimal holds exactly.
    head = outcome(0, MONDAY, [161, 139])
    tail = outcome(1, MONDAY + DAY, [139, 50, 161, 50])
    found = aggregate_point(0, {}, [head, tail], YEAR)
    assert found["max_drawdown_seconds"] == 3 * 86_400
