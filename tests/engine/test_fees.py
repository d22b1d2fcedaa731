"""Fees by instrument and in tiers, each as computed by hand."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from tests.engine.market import MINUTE, Market, bars, future, perpetual, quotes, run_steps

if TYPE_CHECKING:
    from pathlib import Path

    from trading_runtime.engine.simulation.task import TaskOutput

MAKER_TAKER = {"model": "maker_taker", "maker": "0.0002", "taker": "0.0005"}
TIERED = {
    "model": "tiered",
    "maker": "0.001",
    "taker": "0.002",
    "tiers": [
        {"from_value": "500 USDT", "maker": "0.0005", "taker": "0.001"},
        {"from_value": "1000 USDT", "maker": "-0.0001", "taker": "0.0004"},
    ],
    "period": None,
}


def fees(found: TaskOutput) -> list[Decimal]:
    return [row["fee"] for row in found.tables.fills]


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Market:
    """Two perpetuals: bars of the first at 100, then of the second at 10, ten of each in turn."""
    first, second = perpetual("BTCUSDT-PERP"), perpetual("ETHUSDT-PERP", ("ETH", "USDT", "USDT"))
    rows = [*bars(first, ["100"] * 10), *bars(second, ["10"] * 10)]
    return Market.write(tmp_path_factory.mktemp("two"), [first, second], rows)


STEPS = {"1": ["BTCUSDT-PERP:market BUY 2"], "2": ["ETHUSDT-PERP:market BUY 5"]}


def test_an_instrument_has_its_own_rates(two: Market) -> None:
    rates = {"ETHUSDT-PERP.SIM": {"model": "maker_taker", "maker": "0", "taker": "0.01"}}
    found = run_steps(two, STEPS, venue={"fees": MAKER_TAKER, "fees_by_instrument": rates})
    # 2 x 100 x 0.0005 and 5 x 10 x 0.01
    assert fees(found) == [Decimal("0.1"), Decimal("0.5")]
    assert found.tables.equity[-1]["equity"] == Decimal("99999.4")


@pytest.mark.parametrize(
    ("model", "fee"),
    [
        ({"model": "fixed", "amount": "1.5 USDT", "once_per_order": True}, "1.5"),
        ({"model": "per_contract", "amount": "0.2 USDT"}, "1"),
        ({"model": "none"}, "0"),
    ],
)
def test_an_instrument_has_another_model_than_the_others(
    two: Market, model: dict[str, Any], fee: str
) -> None:
    venue = {"fees": MAKER_TAKER, "fees_by_instrument": {"ETHUSDT-PERP.SIM": model}}
    assert fees(run_steps(two, STEPS, venue=venue)) == [Decimal("0.1"), Decimal(fee)]


def test_a_tier_holds_from_the_fill_after_the_one_that_reached_it(two: Market) -> None:
    buys = {str(2 * number + 1): ["BTCUSDT-PERP:market BUY 3"] for number in range(5)}
    found = run_steps(two, buys, venue={"fees": TIERED})
    # Traded before each fill of 300: 0, 300, 600, 900, 1200.
    assert fees(found) == [Decimal(fee) for fee in ("0.6", "0.6", "0.3", "0.3", "0.12")]


def test_a_tier_counts_all_instruments_that_have_its_fees(two: Market) -> None:
    steps = {"1": ["BTCUSDT-PERP:market BUY 5"], "2": ["ETHUSDT-PERP:market BUY 5"]}
    found = run_steps(two, steps, venue={"fees": TIERED})
    # 500 x 0.002; 500 were traded, so 50 x 0.001.
    assert fees(found) == [Decimal(1), Decimal("0.05")]


def test_a_resting_order_has_the_tier_of_its_fill_not_of_its_sending(tmp_path: Path) -> None:
    instrument = perpetual()
    prices = [("99.9", "100.1"), ("99.9", "100.0"), ("99.9", "100.0"), ("98.9", "99.0")]
    market = Market.write(tmp_path, [instrument], quotes(instrument, prices))
    steps = {"1": ["limit BUY 1 99.5"], "2": ["market BUY 10"]}
    found = run_steps(market, steps, venue={"fees": TIERED})
    # 1,000 were traded when the limit order was filled: a rebate of 0.0001 x 99.5.
    assert fees(found) == [Decimal(2), Decimal("-0.00995")]


def test_only_what_was_traded_in_the_period_counts(two: Market) -> None:
    buys = {str(2 * number + 1): ["BTCUSDT-PERP:market BUY 3"] for number in range(5)}
    found = run_steps(two, buys, venue={"fees": TIERED | {"period": "2m"}})
    # A fill a minute; those of two minutes ago and more are out: 300 at most before each fill.
    assert fees(found) == [Decimal("0.6")] * 5
    wider = run_steps(two, buys, venue={"fees": TIERED | {"period": "2m1s"}})
    # 0, 300, 600, 600, 600
    assert fees(wider) == [Decimal(fee) for fee in ("0.6", "0.6", "0.3", "0.3", "0.3")]


def test_a_task_starts_below_the_first_tier(two: Market) -> None:
    buy = {"1": ["BTCUSDT-PERP:market BUY 10"]}
    first, second = (run_steps(two, buy, venue={"fees": TIERED}) for _ in range(2))
    assert fees(first) == fees(second) == [Decimal(2)]


def test_margin_is_taken_of_the_leveraged_value_or_of_all_of_it(two: Market) -> None:
    # 20,000 x 100 at 10 %: 200,000, or 20,000 with a leverage of 10; the account has 100,000.
    steps = {"1": ["BTCUSDT-PERP:market BUY 20000"]}
    venue = {"leverage": "10", "leverages": {}}
    for model, status in ((None, "FILLED"), ("leveraged", "FILLED"), ("standard", "DENIED")):
        found = run_steps(two, steps, venue=venue | {"margin_model": model})
        assert [row["status"] for row in found.tables.orders] == [status], model


def test_leverage_is_of_its_instrument(two: Market) -> None:
    # 200,000 of margin with a leverage of 1.
    steps = {"1": ["BTCUSDT-PERP:market BUY 20000"], "2": ["ETHUSDT-PERP:market BUY 200000"]}
    found = run_steps(two, steps, venue={"leverages": {"BTCUSDT-PERP.SIM": "10"}})
    assert [row["status"] for row in found.tables.orders] == ["FILLED", "DENIED"]


def test_fees_of_a_contract_are_those_of_its_instrument_beside_a_rate(tmp_path: Path) -> None:
    contract = future()
    market = Market.write(tmp_path, [contract], bars(contract, ["4000"] * 3, minutes=1))
    venue = {
        "balances": ["1000000 USD"],
        "fees": MAKER_TAKER,
        "fees_by_instrument": {"ESH2.SIM": {"model": "per_contract", "amount": "2.25 USD"}},
    }
    found = run_steps(market, {"1": ["market BUY 3"]}, venue=venue, currency="USD")
    assert fees(found) == [Decimal("6.75")]
    assert found.tables.fills[0]["ts"] == market.last - 2 * MINUTE
