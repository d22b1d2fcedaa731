"""What holding positions over night costs or brings, each as computed by hand."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from tests.engine.market import HOUR, T0, Market, bars, pair, quotes, run_steps
from tests.engine.test_fed_engine import both
from trading_runtime.engine.accounting.cash_flows import Payments, charging_instants
from trading_runtime.records.inputs import SwapInputs
from trading_runtime.units import format_instant, parse_instant

if TYPE_CHECKING:
    from pathlib import Path

NAME = "EUR/USD.SIM"
HALF = HOUR // 2
DAY = 24 * HOUR
BUY, SELL = {"1": ["market BUY 1000"]}, {"1": ["market SELL 1000"]}
# 2022-01-01, on which all rows begin, is a Saturday.


@pytest.fixture(scope="module")
def week(tmp_path_factory: pytest.TempPathFactory) -> Market:
    """EUR/USD at 100 for six days, two bars an hour."""
    instrument = pair("EUR/USD", "EUR", "USD")
    rows = bars(instrument, ["100"] * 288, minutes=30)
    return Market.write(tmp_path_factory.mktemp("week"), [instrument], rows)


def venue(**settings: Any) -> dict[str, Any]:
    swap = {
        "rates": {NAME: {"long": "-0.0001", "short": "0.00005"}},
        "per": "day",
        "days_in_year": 365,
        "time": "22:00",
        "time_zone": "UTC",
        "triple_day": None,
    }
    return {"balances": ["1000000 USD"], "swap": swap | settings}


def daily(time: str, time_zone: str = "UTC", triple_day: str | None = None) -> SwapInputs:
    """Settings that differ in when they charge."""
    return SwapInputs({}, "day", 365, time=time, triple_day=triple_day, time_zone=time_zone)


def found(market: Market, steps: dict[str, list[str]], days: float = 1, **settings: Any) -> Any:
    end = T0 + int(days * DAY)
    # Rows after the window are none of the task's.
    rows = min(-(-(end - T0) // HALF) - 1, market.rows)
    return run_steps(market, steps, venue=venue(**settings), currency="USD", end=end, rows=rows)


def test_a_long_pays_and_a_short_receives_a_share_of_its_value_each_day(week: Market) -> None:
    # 1,000 x 100 x 0.0001 = 10 each day, and half of it the other way.
    for steps, amount in ((BUY, -10), (SELL, 5)):
        for days in (1, 2, 4):
            output = found(week, steps, days)
            assert output.flows["swap"] == (Decimal(amount) * days, days)
            assert output.tables.equity[-1]["equity"] == 1_000_000 + amount * days


def test_the_account_has_it_from_that_instant_on(week: Market) -> None:
    values = {row["ts"]: row["equity"] for row in found(week, BUY).tables.equity}
    assert values[T0 + 21 * HOUR] == 1_000_000
    assert values[T0 + 22 * HOUR] == values[T0 + 23 * HOUR] == 999_990


def test_with_a_triple_day_the_weekend_is_charged_in_the_week(week: Market) -> None:
    # Saturday and Sunday nothing, Monday and Tuesday 1 each, Wednesday 3.
    for days, charged in ((2, 0), (4, 2), (5, 5)):
        output = found(week, BUY, days, triple_day="wednesday")
        assert output.flows["swap"].amount == -10 * charged


def test_a_rate_a_year_is_divided_by_its_days(week: Market) -> None:
    # 100,000 x 3.6 % / 360 = 10; / 365 it is 9.863…, in cents.
    rates = {NAME: {"long": "0", "short": "-0.036"}}
    assert found(week, SELL, 2, rates=rates, per="year", days_in_year=360).flows["swap"] == (-20, 2)
    assert found(week, SELL, 1, rates=rates, per="year").flows["swap"].amount == Decimal("-9.86")


def test_the_value_is_that_of_the_instant(tmp_path: Path) -> None:
    instrument = pair("EUR/USD", "EUR", "USD")
    rows = bars(instrument, ["100"] * 43 + ["110", "120"], minutes=30)
    output = found(Market.write(tmp_path, [instrument], rows), BUY)
    # The bar that closes at 22:00 is known then: 1,000 x 110 x 0.0001.
    assert output.flows["swap"].amount == -11


def test_what_is_not_open_then_or_not_named_costs_nothing(week: Market) -> None:
    closed = {"1": ["market BUY 1000"], "5": ["close"]}
    assert found(week, closed).flows["swap"] == (0, 0)
    other = {"GBP/USD.SIM": {"long": "-1", "short": "-1"}}
    assert found(week, BUY, rates=other).flows["swap"] == (0, 0)


def test_a_charge_at_the_end_of_a_window_belongs_to_it(week: Market) -> None:
    output = found(week, BUY, days=22 / 24)
    assert output.flows["swap"] == (-10, 1)
    assert output.tables.equity[-1]["equity"] == 999_990
    # What begins there is flat.
    assert found(week, BUY, days=1, time="00:00").flows["swap"] == (-10, 1)


def test_a_window_that_is_longer_than_the_data_is_charged_to_the_last_row(tmp_path: Path) -> None:
    # At 22:00 on the first day, at which the last bar closes, or half an hour before it closes.
    for count, charged in ((44, 1), (43, 0)):
        instrument = pair("EUR/USD", "EUR", "USD")
        rows = bars(instrument, ["100"] * count, minutes=30)
        market = Market.write(tmp_path / str(count), [instrument], rows)
        window = {"end": T0 + 2 * DAY, "data_end": market.last}
        output = run_steps(market, BUY, venue=venue(), currency="USD", **window)
        assert output.flows["swap"] == Payments(Decimal(-10) * charged, charged)
        assert output.tables.equity[-1]["equity"] == 1_000_000 - 10 * charged


def test_a_window_that_ends_after_its_rows_is_charged_to_its_end_if_later_rows_follow(
    tmp_path: Path,
) -> None:
    instrument = pair("EUR/USD", "EUR", "USD")
    market = Market.write(tmp_path, [instrument], bars(instrument, ["100"] * 4, minutes=30))
    output = run_steps(market, BUY, venue=venue(), currency="USD", end=T0 + 2 * DAY)
    assert output.flows["swap"] == Payments(Decimal(-20), 2)
    assert output.tables.equity[-1]["equity"] == 999_980


def test_decoded_rows_and_latency_make_no_difference(week: Market) -> None:
    slow = {"base": "5s", "insert": None, "update": None, "cancel": None}
    for settings in (venue(), venue() | {"latency": slow}):
        streamed, shared = both(
            week, BUY, (False, True), venue=settings, currency="USD", equity_interval=HOUR
        )
        assert streamed.flows["swap"] == shared.flows["swap"] == Payments(Decimal(-60), 6)
        assert streamed.tables == shared.tables
        assert streamed.tables.equity[-1]["equity"] == 999_940


def test_it_changes_nothing_else(week: Market) -> None:
    steps = {"3": ["market BUY 10"], "30": ["limit SELL 5 100.00"], "99": ["close"]}
    with_swap = found(week, steps, 6).tables.columns
    settings = {"balances": ["1000000 USD"]}
    rows = week.rows - 1
    without = run_steps(
        week, steps, venue=settings, currency="USD", end=T0 + 6 * DAY, rows=rows
    ).tables.columns
    for table in ("orders", "fills", "positions"):
        assert with_swap[table] == without[table]


@pytest.mark.parametrize("kind", ["quotes", "bars"])
def test_an_account_of_one_currency_is_charged_in_it(tmp_path: Path, kind: str) -> None:
    yen = pair("USD/JPY", "USD", "JPY")
    rows = (
        quotes(yen, [("110", "110")] * 30, step=HOUR)
        if kind == "quotes"
        else bars(yen, ["110"] * 60, minutes=30)
    )
    market = Market.write(tmp_path, [yen], rows)
    rates = {"USD/JPY.SIM": {"long": "-0.0001", "short": "0"}}
    settings = venue(rates=rates) | {"base_currency": "USD"}
    output = run_steps(market, BUY, venue=settings, currency="USD")
    # 1,000 x 110 x 0.0001 = 11 JPY, which are 0.10 USD.
    assert output.flows["swap"] == (Decimal("-0.1"), 1)


def test_instants_are_those_of_the_days_in_order() -> None:
    settings = daily("21:30", triple_day="friday")
    start = T0 + 6 * DAY + 22 * HOUR  # Friday, half an hour after
    week_later = list(charging_instants(settings, start, start + 7 * DAY))
    # Monday to Thursday, and three days on the next Friday.
    assert [days for _, days in week_later] == [1, 1, 1, 1, 3]
    assert [(ts - T0) % DAY for ts, _ in week_later] == [21 * HOUR + HOUR // 2] * 5
    at_midnight = daily("00:00")
    assert list(charging_instants(at_midnight, T0, T0 + DAY)) == [(T0 + DAY, 1)]


def test_a_time_of_a_zone_follows_its_daylight_saving() -> None:
    def found(first: str, last: str, settings: SwapInputs) -> list[tuple[str, int]]:
        start, end = parse_instant(first), parse_instant(last)
        instants = charging_instants(settings, start, end)
        return [(format_instant(ts), days) for ts, days in instants]

    new_york = daily("17:00", "America/New_York", "wednesday")
    # Clocks go forward on Sunday 2024-03-10: 17:00 is 22:00 UTC before, and 21:00 after.
    assert found("2024-03-06T00:00Z", "2024-03-14T00:00Z", new_york) == [
        ("2024-03-06T22:00:00Z", 3),
        ("2024-03-07T22:00:00Z", 1),
        ("2024-03-08T22:00:00Z", 1),
        ("2024-03-11T21:00:00Z", 1),
        ("2024-03-12T21:00:00Z", 1),
        ("2024-03-13T21:00:00Z", 3),
    ]
    # Berlin skips 02:30 on 2024-03-31 (03:30 summer time), and has it twice on 2024-10-27.
    berlin = daily("02:30", "Europe/Berlin")
    assert found("2024-03-30T12:00Z", "2024-03-31T12:00Z", berlin) == [("2024-03-31T01:30:00Z", 1)]
    assert found("2024-10-26T12:00Z", "2024-10-27T12:00Z", berlin) == [("2024-10-27T00:30:00Z", 1)]
    # A Wednesday begins in Auckland while it is Tuesday in UTC.
    auckland = daily("06:00", "Pacific/Auckland", "wednesday")
    assert found("2024-07-02T00:00Z", "2024-07-03T00:00Z", auckland) == [
        ("2024-07-02T18:00:00Z", 3)
    ]
