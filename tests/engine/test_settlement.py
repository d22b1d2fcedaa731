"""Contracts that expire at a stated price, each as computed by hand."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from nautilus_trader import model

from tests.engine.market import MINUTE, T0, Market, bars, future, run_steps
from tests.engine.test_fed_engine import both

if TYPE_CHECKING:
    from pathlib import Path

    from trading_runtime.engine.simulation.task import TaskOutput

EXPIRY = T0 + 5 * MINUTE
STATED = {"balances": ["100000 USD"], "settlement_prices": {"ESH2.SIM": "123.25"}}
BUY = {"1": ["market BUY 2"]}


@pytest.fixture(scope="module")
def expiring(tmp_path_factory: pytest.TempPathFactory) -> Market:
    """A future of 50 a point at 100 each minute, also when it expires and for a minute after."""
    contract = future(expiration=EXPIRY)
    rows = bars(contract, ["100"] * 6)
    return Market.write(tmp_path_factory.mktemp("expiring"), [contract], rows)


def closing(found: TaskOutput) -> tuple[str, Any, Any, int]:
    """The last fill: order, price, fee, and when, in minutes."""
    fill = found.tables.fills[-1]
    return fill["order_id"], fill["price"], fill["fee"], (fill["ts"] - T0) // MINUTE


def test_positions_are_closed_at_the_stated_price_when_their_contract_expires(
    expiring: Market,
) -> None:
    found = run_steps(expiring, BUY, venue=STATED, currency="USD")
    assert closing(found) == ("EXPIRATION-SIM-1", Decimal("123.25"), 0, 5)
    # 2 contracts x 23.25 points x 50
    assert found.tables.positions[0]["realized_pnl"] == Decimal(2325)
    assert found.tables.equity[-1]["equity"] == Decimal(102_325)


def test_an_expiry_costs_what_taking_liquidity_costs(expiring: Market) -> None:
    fees = {"model": "maker_taker", "maker": "0", "taker": "0.001"}
    found = run_steps(expiring, BUY, venue=STATED | {"fees": fees}, currency="USD")
    # 2 x 50 x 100 x 0.001 and 2 x 50 x 123.25 x 0.001, in cents
    assert [row["fee"] for row in found.tables.fills] == [Decimal(10), Decimal("12.32")]
    none = {"ESH2.SIM": {"model": "none"}}
    venue = STATED | {"fees": fees, "fees_by_instrument": none}
    free = run_steps(expiring, BUY, venue=venue, currency="USD")
    assert [row["fee"] for row in free.tables.fills] == [0, 0]


def test_a_short_loses_what_a_long_gains(expiring: Market) -> None:
    found = run_steps(expiring, {"1": ["market SELL 2"]}, venue=STATED, currency="USD")
    assert found.tables.equity[-1]["equity"] == Decimal(97_675)


def test_without_a_stated_price_it_is_the_last_one(expiring: Market) -> None:
    found = run_steps(expiring, BUY, venue={"balances": ["100000 USD"]}, currency="USD")
    assert closing(found) == ("EXPIRATION-SIM-1", Decimal(100), 0, 5)


def test_orders_that_wait_are_cancelled_and_new_ones_refused(expiring: Market) -> None:
    steps = {"1": ["market BUY 1", "limit SELL 1 200.00"], "6": ["market BUY 1"]}
    found = run_steps(expiring, steps, venue=STATED, currency="USD")
    ended = [(row["type"], row["status"]) for row in found.tables.orders]
    assert ended == [
        ("MARKET", "FILLED"),
        ("LIMIT", "CANCELED"),
        ("MARKET", "FILLED"),
        ("MARKET", "REJECTED"),
    ]
    assert found.tables.orders[-1]["reason"].startswith("Contract ESH2.SIM has expired")


def test_an_expiry_at_the_end_of_a_window_is_settled_there(tmp_path: Path) -> None:
    contract = future(expiration=EXPIRY)
    market = Market.write(tmp_path, [contract], bars(contract, ["100"] * 4))
    for found in both(market, BUY, (False, True), venue=STATED, currency="USD", end=EXPIRY):
        assert closing(found) == ("EXPIRATION-SIM-1", Decimal("123.25"), 0, 5)
        assert found.tables.equity[-1]["ts"] == EXPIRY
        assert found.tables.equity[-1]["equity"] == Decimal(102_325)


def test_decoded_rows_give_what_streamed_ones_give(expiring: Market) -> None:
    streamed, shared, again = both(expiring, BUY, venue=STATED, currency="USD")
    assert closing(streamed) == ("EXPIRATION-SIM-1", Decimal("123.25"), 0, 5)
    assert streamed.tables == shared.tables == again.tables


def test_several_contracts_expire_each_at_its_own_price(tmp_path: Path) -> None:
    contracts = [future(name, expiration=EXPIRY) for name in ("ESA", "ESB", "ESC")]
    rows = [row for contract in contracts for row in bars(contract, ["100"] * 6)]
    market = Market.write(tmp_path, contracts, rows)
    steps = {"3": [f"{name}:market BUY 1" for name in ("ESA", "ESB", "ESC")]}
    prices = {"ESA.SIM": "110", "ESC.SIM": "95.5"}
    venue = {"balances": ["100000 USD"], "settlement_prices": prices}
    found, shared = both(market, steps, (False, True), venue=venue, currency="USD")
    made = {row["instrument_id"]: row["realized_pnl"] for row in found.tables.positions}
    assert made == {"ESA.SIM": 500, "ESB.SIM": 0, "ESC.SIM": -225}
    assert found.tables == shared.tables


def test_a_bet_is_worth_what_it_came_to(tmp_path: Path) -> None:
    make: Any = model.BinaryOption
    bet = make(
        model.InstrumentId.from_str("RAIN.SIM"),
        model.Symbol("RAIN"),
        model.AssetClass.ALTERNATIVE,
        model.Currency.from_str("USD"),
        0,
        EXPIRY,
        3,
        0,
        model.Price.from_str("0.001"),
        model.Quantity.from_str("1"),
        0,
        0,
    )
    market = Market.write(tmp_path, [bet], bars(bet, ["0.400"] * 6))
    venue = {"balances": ["1000 USD"], "settlement_prices": {"RAIN.SIM": "1"}}
    found = run_steps(market, {"1": ["market BUY 100"]}, venue=venue, currency="USD")
    assert closing(found)[:2] == ("EXPIRATION-SIM-1", Decimal(1))
    assert found.tables.equity[-1]["equity"] == Decimal(1060)
