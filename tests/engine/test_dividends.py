"""Cash dividends: who receives and pays them, when, and how much, each as computed by hand."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tests.engine.market import HOUR, T0, Market, bars, equity, run_steps
from tests.engine.test_fed_engine import both
from trading_runtime.engine.accounting.cash_flows import Payments

NAME = "AAPL.SIM"
DAY = 24 * HOUR
BUY, SELL = {"1": ["market BUY 100"]}, {"1": ["market SELL 100"]}


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Market:
    """A share at 50.00 on 2022-01-01, two bars an hour, and at 49.76 on the two days after it."""
    share = equity()
    rows = bars(share, ["50.00"] * 48 + ["49.76"] * 96, minutes=30)
    return Market.write(tmp_path_factory.mktemp("market"), [share], rows)


def venue(days: dict[str, str] | None = None, **settings: Any) -> dict[str, Any]:
    amounts = {NAME: days or {"2022-01-02": "0.24"}}
    dividends = {"amounts": amounts, "time_zone": settings.pop("time_zone", "UTC")}
    return {"balances": ["1000000 USD"], "dividends": dividends} | settings


def found(market: Market, steps: dict[str, list[str]], settings: Any = None, **task: Any) -> Any:
    return run_steps(market, steps, venue=settings or venue(), currency="USD", **task)


def test_a_long_receives_what_the_price_falls_by_and_a_short_pays_it(market: Market) -> None:
    # 100 shares x 0.24 = 24, and the price falls by 0.24 that day.
    for steps, amount in ((BUY, 24), (SELL, -24)):
        output = found(market, steps)
        assert output.flows == {"dividends": (amount, 1)}
        assert {row["equity"] for row in output.tables.equity} == {Decimal(1_000_000)}


def test_it_is_due_before_the_first_row_of_the_ex_date(market: Market) -> None:
    # The 48th bar closes at the midnight that ends the day before: who buys there is in time, and
    # who sells there is not. The 49th is the first of the ex-date.
    for steps, amount in (
        ({"48": ["market BUY 100"]}, 24),
        ({"49": ["market BUY 100"]}, 0),
        ({"1": ["market BUY 100"], "48": ["close"]}, 0),
        ({"1": ["market BUY 100"], "49": ["close"]}, 24),
    ):
        assert found(market, steps).flows["dividends"] == (amount, int(amount > 0))


def test_days_begin_in_the_stated_zone(market: Market) -> None:
    # Midnight in New York is 05:00 UTC, of which the 58th bar is the last: 24 x 2 + 5 x 2.
    settings = venue(time_zone="America/New_York")
    for number, amount in (("58", 24), ("59", 0)):
        output = found(market, {number: ["market BUY 100"]}, settings)
        assert output.flows["dividends"].amount == amount


def test_without_a_later_row_the_price_has_the_dividend_and_none_is_paid(market: Market) -> None:
    output = found(market, BUY, end=T0 + DAY, rows=47)
    assert output.flows == {"dividends": (0, 0)}
    assert found(market, BUY, venue({"2022-01-05": "1"})).flows == {"dividends": (0, 0)}
    # What was paid before the window is nobody's.
    assert found(market, BUY, venue({"2021-12-31": "1"})).flows == {"dividends": (0, 0)}


def test_each_day_and_each_position_counts(market: Market) -> None:
    settings = venue({"2022-01-03": "0.5", "2022-01-02": "0.24"}, oms_type="hedging")
    steps = {"1": ["market BUY 100"], "60": ["market SELL 30"]}
    # 100 x 0.24, then 100 x 0.50 for the long and 30 x 0.50 of the short.
    assert found(market, steps, settings).flows["dividends"] == (24 + 50 - 15, 3)


def test_decoded_rows_and_latency_make_no_difference(market: Market) -> None:
    slow = {"base": "5s", "insert": None, "update": None, "cancel": None}
    for settings in (venue(), venue(latency=slow)):
        streamed, shared = both(
            market, BUY, (False, True), venue=settings, currency="USD", equity_interval=HOUR
        )
        assert streamed.flows == shared.flows
        assert shared.flows["dividends"] == Payments(Decimal(24), 1)
        assert streamed.tables == shared.tables


def test_it_is_paid_beside_swap(market: Market) -> None:
    rates = {NAME: {"long": "-0.0001", "short": "0"}}
    swap = {"rates": rates, "per": "day", "days_in_year": 365, "time": "12:00"}
    settings = venue(swap=swap | {"time_zone": "UTC", "triple_day": None})
    output = found(market, BUY, settings)
    # 5,000 x 0.0001 on the first day, 4,976 x 0.0001 on each of two, in cents.
    assert output.flows == {"swap": (Decimal("-1.50"), 3), "dividends": (24, 1)}
    assert output.tables.equity[-1]["equity"] == Decimal("999998.50")
