"""Months, buy and hold, and the rolling ratio, by hand."""

from __future__ import annotations

import dataclasses
import datetime as dt
import re
import statistics
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from tests.results.sample_run import sample_run
from trading_runtime.report.periods import benchmark_facts, months_table
from trading_runtime.report.pictures.equity import ROLLING_DAYS, rolling_sharpe_picture
from trading_runtime.report.write import write_report
from trading_runtime.results.benchmark import Benchmark
from trading_runtime.units import DAY

if TYPE_CHECKING:
    from pathlib import Path

    from trading_runtime.report.content import ReportInputs


def day(text: str) -> int:
    return (dt.date.fromisoformat(text) - dt.date(1970, 1, 1)).days


def inputs_with_benchmark(step: str) -> ReportInputs:
    """A run of four weeks beside an instrument that gains ``step`` a day."""
    inputs = sample_run({"fast": [1, 2]})
    first = inputs.curve[0].ts // DAY
    returns = [(first + n, Decimal(n % 3 - 1) / 1000) for n in range(28)]
    held = [(first + n, Decimal(step) * (1 + n % 2)) for n in range(28)]
    return dataclasses.replace(
        inputs, returns=returns, benchmark=Benchmark(inputs.curve[0].ts, held)
    )


def test_months_and_years_are_compounded() -> None:
    table = months_table(
        [
            (day("2023-12-30"), Decimal("0.1")),
            (day("2023-12-31"), Decimal("0.1")),
            (day("2024-01-01"), Decimal("-0.5")),
            (day("2024-03-01"), Decimal("0.5")),
        ]
    )

    assert table is not None
    blank = "\N{EN DASH}"
    assert table.rows == [
        ["2023", *[blank] * 11, "21.00%", "21.00%"],
        ["2024", "\N{MINUS SIGN}50.00%", blank, "50.00%", *[blank] * 9, "\N{MINUS SIGN}25.00%"],
    ]


def test_a_single_month_needs_no_table() -> None:
    assert months_table([(day("2024-01-01"), Decimal(1)), (day("2024-01-31"), Decimal(1))]) is None


def test_a_month_after_a_ruin_has_no_return() -> None:
    table = months_table([(day("2024-01-31"), Decimal(1)), (day("2024-02-01"), None)])

    assert table is not None
    assert table.rows[0][1:3] == ["100.00%", "\N{EN DASH}"]
    assert table.rows[0][-1] == "\N{EN DASH}"


def test_the_report_says_what_holding_made_and_draws_it(tmp_path: Path) -> None:
    inputs = inputs_with_benchmark("0.001")
    write_report(inputs, tmp_path)

    page = (tmp_path / "report" / "index.html").read_text(encoding="utf-8")
    grown = (1.001 * 1.002) ** 14 - 1
    assert re.search(rf"<dt>Buy and hold</dt><dd>{grown:.2%}</dd>", page)
    assert "Buy and hold" in (tmp_path / "report" / "equity.svg").read_text(encoding="utf-8")
    theirs = [float(value) for _, value in (inputs.benchmark or Benchmark(0, [])).returns]
    ours = [float(value or 0) for _, value in inputs.returns]
    line = statistics.linear_regression(theirs, ours)
    best = inputs.points.row(0, named=True)
    assert dict(benchmark_facts(inputs, best))["Beta"] == f"{line.slope:.2f}".replace("-", "\u2212")


def test_a_benchmark_that_would_flatten_the_curve_has_a_picture_of_its_own(tmp_path: Path) -> None:
    write_report(inputs_with_benchmark("0.5"), tmp_path)

    assert (tmp_path / "report" / "benchmark.svg").is_file()
    assert "Buy and hold" not in (tmp_path / "report" / "equity.svg").read_text(encoding="utf-8")


@pytest.mark.parametrize(("days", "is_drawn"), [(2 * ROLLING_DAYS - 1, False), (80, True)])
def test_the_rolling_ratio_is_drawn_for_enough_days(days: int, *, is_drawn: bool) -> None:
    returns = [(n, Decimal(n % 5 - 2) / 100) for n in range(days)]

    assert (rolling_sharpe_picture(returns, 365.0) is not None) == is_drawn


def test_there_is_no_rolling_ratio_after_a_ruin() -> None:
    returns = [(n, None if n > 70 else Decimal(n % 5)) for n in range(80)]

    assert rolling_sharpe_picture(returns, 365.0) is None
