"""How numbers and times are written for people."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from trading_runtime.report.formatting import counted, duration, instant, statistic, value_text
from trading_runtime.report.pictures.canvas import cell_places, tick
from trading_runtime.units import parse_instant


@pytest.mark.parametrize(
    ("metric", "value", "text"),
    [
        ("net_profit", "1234567.891", "1,234,567.89"),
        ("net_profit", "-12", "\N{MINUS SIGN}12.00"),
        ("net_profit", "0", "0.00"),
        ("net_profit", "0.00012345", "0.000123"),
        ("net_profit", "-0.99999", "\N{MINUS SIGN}1.000"),
        ("return", 0.0512, "5.12%"),
        ("return", -0.00004, "\N{MINUS SIGN}0.0040%"),
        ("return", -0.0, "0.00%"),
        ("sharpe", 1.23456, "1.23"),
        ("sharpe", -0.001, "0.00"),
        ("profit_factor", 12345678.0, "1.23e07"),
        ("turnover", 12.34, "12.3\N{MULTIPLICATION SIGN}"),
        ("trades", 12345, "12,345"),
        ("max_drawdown_seconds", 90_061.0, "1d 1h"),
        ("max_drawdown_seconds", 0.0, "0s"),
        ("sortino", None, "\N{EN DASH}"),
    ],
)
def test_a_statistic_is_written_in_its_form(metric: str, value: Any, text: str) -> None:
    assert statistic(metric, value) == text


def test_durations_have_their_two_largest_units() -> None:
    assert duration(0.25) == "250ms"
    assert duration(3_725) == "1h 2m"


def test_instants_leave_out_what_says_nothing() -> None:
    assert instant(parse_instant("2022-01-03")) == "2022-01-03"
    assert instant(parse_instant("2022-01-03T05:30")) == "2022-01-03 05:30"
    assert instant(parse_instant("2022-01-03T05:30:10")) == "2022-01-03 05:30:10"


def test_parameters_are_written_without_idle_zeros() -> None:
    values = [Decimal("0.1000"), Decimal("10.0"), 10, True, None, "x", 0.5]
    assert [value_text(value) for value in values] == [
        "0.1",
        "10",
        "10",
        "true",
        "\N{EN DASH}",
        "x",
        "0.5",
    ]


def test_a_count_has_the_noun_that_fits() -> None:
    assert [counted(1, "task"), counted(2_000, "task")] == ["1 task", "2,000 tasks"]


def test_ticks_are_short_and_cells_have_three_digits() -> None:
    assert [tick(value, "money") for value in (112_000, 2.5, 0, 0.25, -7.0)] == [
        "112,000", "2.5", "0", "0.25", "\N{MINUS SIGN}7",
    ]  # fmt: skip
    assert tick(-0.02, "percent") == "\N{MINUS SIGN}2%"
    assert cell_places([0.5, -12.3], "ratio") == 1
    assert tick(0.5, "ratio", places=1) == "0.5"
