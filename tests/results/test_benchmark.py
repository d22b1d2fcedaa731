"""What holding would have made, by hand and by the standard library."""

from __future__ import annotations

import statistics
from decimal import Decimal

import pytest

from trading_runtime.results.benchmark import Benchmark, buy_and_hold, relation
from trading_runtime.results.points import TaskOutcome
from trading_runtime.units import DAY

FIRST = {"first_row": "1970-01-11T00:01:00Z", "last_row": "1970-01-13T00:00:00Z"}


def outcome(
    closes: dict[str, list[list[object]]],
    start: int = 10,
    observed: str = "1970-01-11/1970-01-12",
) -> TaskOutcome:
    """Return the outcome of a window of two days; ``observed`` are those with rows to count."""
    summary = {**FIRST, "observed_days": [observed], "daily_closes": closes}
    return TaskOutcome(0, start * DAY, (start + 2) * DAY, tuple(closes), "ok", summary)


def test_one_instrument_makes_what_its_price_makes() -> None:
    held = buy_and_hold([outcome({"A": [[10, "100"], [10, "110"], [11, "99"]]})])

    assert held is not None
    assert held.returns == [(10, Decimal("0.1")), (11, Decimal("-0.1"))]
    # Bought at the first row, a minute after midnight of day 10.
    assert held.curve == [
        (10 * DAY + 60_000_000_000, Decimal(1)),
        (11 * DAY, Decimal("1.1")),
        (12 * DAY, Decimal("0.99")),
    ]


def test_several_instruments_have_equal_weights_each_day() -> None:
    closes: dict[str, list[list[object]]] = {
        "A": [[10, "100"], [10, "110"], [11, "110"]],
        "B": [[10, "10"], [10, "9"], [11, "18"]],
    }

    held = buy_and_hold([outcome(closes)])

    assert held is not None
    assert held.returns == [(10, Decimal(0)), (11, Decimal("0.5"))]


def test_nothing_is_held_between_windows() -> None:
    first = outcome({"A": [[10, "100"], [10, "110"]]})
    second = outcome({"A": [[20, "500"], [20, "550"]]}, start=20, observed="1970-01-21/1970-01-21")

    held = buy_and_hold([first, second])

    assert held is not None
    assert held.curve[-1] == (21 * DAY, Decimal("1.21"))


def test_a_window_that_begins_with_a_row_at_midnight_adds_nothing_to_the_day_before() -> None:
    first = outcome({"A": [[10, "100"], [10, "110"], [11, "121"]]})
    # Its first row is the last instant of day 11, on which this window held nothing.
    second = outcome(
        {"A": [[11, "120"], [11, "120"], [12, "132"]]}, start=12, observed="1970-01-13/1970-01-13"
    )

    held = buy_and_hold([first, second])

    assert held is not None
    assert held.returns == [(day, Decimal("0.1")) for day in (10, 11, 12)]


def test_on_a_day_without_any_price_nothing_was_made() -> None:
    held = Benchmark(0, [(10, Decimal("0.1")), (12, Decimal("-0.2"))])

    assert held.on(range(9, 13)) == [0.0, 0.1, 0.0, -0.2]


def test_results_of_an_earlier_version_have_no_benchmark() -> None:
    assert buy_and_hold([outcome({})]) is None


def test_alpha_and_beta_are_those_of_a_line_through_the_returns() -> None:
    ours, theirs = [0.01, -0.02, 0.015, 0.03], [0.02, -0.01, 0.0, 0.025]
    line = statistics.linear_regression(theirs, ours)
    benchmark = Benchmark(0, [(day, Decimal(str(value))) for day, value in enumerate(theirs)])

    found = relation(
        [(day, Decimal(str(value))) for day, value in enumerate(ours)], benchmark, Decimal(365)
    )

    assert found is not None
    assert float(found.beta) == pytest.approx(line.slope, rel=1e-12)
    assert float(found.alpha) == pytest.approx(line.intercept * 365, rel=1e-12)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ([Decimal(1)], [Decimal(1)]),
        ([None, Decimal(1)], [Decimal(1)] * 2),
        ([Decimal(1)] * 3, [Decimal(0)] * 3),
    ],
    ids=["a single day", "ruined", "a price that did not move"],
)
def test_where_no_line_can_be_drawn_there_is_no_alpha(
    ours: list[Decimal | None], theirs: list[Decimal]
) -> None:
    benchmark = Benchmark(0, list(enumerate(theirs)))

    assert relation(enumerate(ours), benchmark, Decimal(365)) is None
