"""Several venues in one task: accounts, balances and fees of each, and equity over all of them."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from tests.engine.market import HOUR, MINUTE, T0, Market, bars, pair, perpetual, run_steps
from tests.engine.test_fed_engine import both
from tests.plans import VENUE

if TYPE_CHECKING:
    from pathlib import Path

CASH: dict[str, Any] = {
    "account_type": "cash",
    "balances": ["1000 USDT", "2 BTC"],
    "fees": {"model": "maker_taker", "maker": "0", "taker": "0.001"},
}
PERPETUAL = VENUE | {
    "balances": ["500 USDT"],
    "leverage": "10",
    "fees": {"model": "maker_taker", "maker": "0", "taker": "0.0005"},
}
SPOT, SWAP = "BTC/USDT.SIM", "BTCUSDT-PERP.EXB"


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Market:
    """BTC in cash at 100, 100, 110, 120, 120 and its perpetual elsewhere at one more."""
    spot = pair("BTC/USDT", "BTC", "USDT")
    swap = perpetual("BTCUSDT-PERP", venue="EXB")
    closes = ["100", "100", "110", "120", "120"]
    rows = [*bars(spot, closes), *bars(swap, [str(int(close) + 1) for close in closes])]
    return Market.write(tmp_path_factory.mktemp("two"), [spot, swap], rows)


def at_both(steps: dict[str, list[str]], market: Market, **common: Any) -> Any:
    venues = {"EXB": PERPETUAL}
    return run_steps(
        market, steps, venue=CASH, venues=venues, currency="USDT", equity_interval=MINUTE, **common
    )


def test_equity_is_that_of_all_accounts(two: Market) -> None:
    # 1,000 and 2 x 100 in one account, 500 in the other; the two coins gain 20.
    found = at_both({}, two)
    values = [(row["ts"] - T0, row["equity"]) for row in found.tables.equity]
    assert values[0] == (0, Decimal(1700))
    assert values[-1][1] == Decimal(1740)


def test_each_venue_charges_its_own_fees_to_its_own_account(two: Market) -> None:
    steps = {"2": [f"{SPOT}:market BUY 3", f"{SWAP}:market SELL 5"]}
    found = at_both(steps, two)
    fees = {row["instrument_id"]: row["fee"] for row in found.tables.fills}
    # 3 x 100 x 0.001 and 5 x 101 x 0.0005
    assert fees == {SPOT: Decimal("0.3"), SWAP: Decimal("0.2525")}
    # Cash 1000 - 300 - 0.3 and 5 coins at 120; the perpetual 500 - 0.2525 - 5 x (121 - 101).
    expected = Decimal("699.7") + 600 + Decimal("399.7475")
    assert found.tables.equity[-1]["equity"] == expected
    assert found.tables.equity[-1]["open_positions"] == 2


def test_money_of_one_venue_buys_nothing_at_another(two: Market) -> None:
    # 5 x 101 at 10 % and leverage 10 takes 5.05 of the 500; 10 coins cost 1,000 and the fee more.
    steps = {
        "2": [f"{SPOT}:market BUY 11", f"{SWAP}:market BUY 5"],
        "4": [f"{SWAP}:market BUY 600"],
    }
    found = at_both(steps, two)
    ended = [(row["instrument_id"], row["status"]) for row in found.tables.orders]
    # 600 x 101 / 10 x 0.1 = 606 of margin, which both accounts together could pay.
    assert ended == [(SPOT, "DENIED"), (SWAP, "FILLED"), (SWAP, "DENIED")]


def test_account_types_differ_by_venue(two: Market) -> None:
    steps = {"2": [f"{SPOT}:market SELL 3", f"{SWAP}:market SELL 3"]}
    ended = [(row["instrument_id"], row["status"]) for row in at_both(steps, two).tables.orders]
    assert ended == [(SPOT, "DENIED"), (SWAP, "FILLED")]


def test_a_rate_may_come_from_another_venue(tmp_path: Path) -> None:
    spot = pair("BTC/USDT", "BTC", "USDT")
    inverse = perpetual("BTCUSD-PERP", ("BTC", "USD", "BTC"), size="1", venue="EXB")
    market = Market.write(
        tmp_path, [spot, inverse], [*bars(spot, ["100"] * 4), *bars(inverse, ["100"] * 4)]
    )
    venues = {"EXB": VENUE | {"balances": ["3 BTC"]}}
    found = run_steps(market, {}, venue={"balances": ["1000 USDT"]}, venues=venues, currency="USDT")
    assert found.tables.equity[-1]["equity"] == Decimal(1300)


def test_decoded_rows_give_what_streamed_ones_give(two: Market) -> None:
    steps = {"2": [f"{SPOT}:market BUY 3", f"{SWAP}:market SELL 5"], "5": [f"{SWAP}:close"]}
    venues = {"EXB": PERPETUAL}
    streamed, shared, again = both(two, steps, venue=CASH, venues=venues, equity_interval=HOUR)
    assert len(streamed.tables.fills) == 3
    assert streamed.tables == shared.tables == again.tables


def test_latency_of_one_venue_leaves_the_other_alone(two: Market) -> None:
    slow = {"base": "90s", "insert": None, "update": None, "cancel": None}
    steps = {"2": [f"{SPOT}:market BUY 1", f"{SWAP}:market SELL 1"]}
    found = run_steps(
        two, steps, venue=CASH, venues={"EXB": PERPETUAL | {"latency": slow}}, currency="USDT"
    )
    fills = {row["instrument_id"]: (row["price"], row["ts"] - T0) for row in found.tables.fills}
    assert fills == {SPOT: (100, MINUTE), SWAP: (111, 3 * MINUTE)}
