"""Positions that the venue closes because the account cannot carry them, as computed by hand."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from nautilus_trader import model

from tests.engine.market import SECOND, T0, Market, perpetual, quotes, run_steps
from tests.engine.test_drawn_ids import UUID, content, texts
from tests.engine.test_fed_engine import both
from trading_runtime.engine.accounting.liquidation import Liquidations

if TYPE_CHECKING:
    from pathlib import Path

    from trading_runtime.engine.simulation.task import TaskOutput

NAME = "BTCUSDT-PERP.SIM"
BIDS = ["99.9", "95.0", "80.7", "80.6", "80.5", "79.0", "90.0", "110.0"]
BUY = {"1": ["market BUY 50"], "2": ["limit SELL 50 150.0"]}
VENUE: dict[str, Any] = {
    "balances": ["1000 USDT"],
    "leverage": "10",
    "fees": {"model": "maker_taker", "maker": "0.001", "taker": "0.001"},
}


def liquidating(**settings: Any) -> dict[str, Any]:
    return VENUE | {
        "liquidation": {"trigger_ratio": "1", "cancel_open_orders": True, "fee": None} | settings
    }


@pytest.fixture(scope="module")
def falling(tmp_path_factory: pytest.TempPathFactory) -> Market:
    """A perpetual that falls from 100 to 79 and comes back, a quote a second."""
    instrument = perpetual()
    pairs = [(bid, str(Decimal(bid) + Decimal("0.1"))) for bid in BIDS]
    return Market.write(tmp_path_factory.mktemp("falling"), [instrument], quotes(instrument, pairs))


def last_fill(found: TaskOutput) -> tuple[str, Any, Any, int]:
    fill = found.tables.fills[-1]
    return fill["order_id"], fill["price"], fill["fee"], (fill["ts"] - T0) // SECOND


def test_all_is_closed_once_equity_is_down_to_the_maintenance_margin(falling: Market) -> None:
    # 50 at 100 with leverage 10 and 5 %: a maintenance margin of 25. At a bid of 80.6 equity is
    # 1,000 - 5 in fees - 50 x 19.4 = 25; closing costs 50 x 80.6 x 0.001 = 4.03.
    found = run_steps(falling, BUY, venue=liquidating())
    assert last_fill(found) == ("LIQUIDATION-SIM-1", Decimal("80.6"), Decimal("4.03"), 4)
    assert found.liquidations == Liquidations({NAME: 1}, Decimal("4.03"))
    assert found.tables.equity[-1]["equity"] == Decimal("20.97")
    ended = {row["order_id"]: row["status"] for row in found.tables.orders}
    assert ended["LIQUIDATION-SIM-1"] == "FILLED"
    assert sorted(ended.values()) == ["CANCELED", "FILLED", "FILLED"]


def test_books_alone_do_as_well_as_quotes(tmp_path: Path) -> None:
    instrument = perpetual()
    rows = []
    for number, bid in enumerate(BIDS, 1):
        ts = T0 + number * SECOND
        rows.append(model.OrderBookDelta.clear(instrument.id, 0, ts, ts))
        for side, price, flags in (
            (model.OrderSide.BUY, float(bid), 0),
            (model.OrderSide.SELL, float(bid) + 0.1, model.RecordFlag.F_LAST.value),
        ):
            level = model.BookOrder(
                side, instrument.make_price(price), instrument.make_qty(1000), 0
            )
            rows.append(
                model.OrderBookDelta(instrument.id, model.BookAction.ADD, level, flags, 0, ts, ts)
            )
    market = Market.write(tmp_path, [instrument], rows)
    found = run_steps(market, BUY, venue=liquidating() | {"book_type": "L2_MBP"})
    assert last_fill(found) == ("LIQUIDATION-SIM-1", Decimal("80.6"), Decimal("4.03"), 4)


def test_without_it_the_position_comes_back(falling: Market) -> None:
    found = run_steps(falling, BUY, venue=VENUE)
    assert found.liquidations is None
    # 995 + 50 x 10
    assert found.tables.equity[-1]["equity"] == 1495


def test_the_ratio_closes_sooner(falling: Market) -> None:
    # 25 is the margin. Equity is 995 - 50 x 5 = 745 at 95, and 995 - 50 x 19.3 = 30 at 80.7.
    for ratio, second, price in (("2", 3, "80.7"), ("20", 3, "80.7"), ("30", 2, "95")):
        found = run_steps(falling, BUY, venue=liquidating(trigger_ratio=ratio))
        assert last_fill(found)[1:2] + last_fill(found)[3:] == (Decimal(price), second)


def test_a_fee_of_its_own_is_charged_in_place_of_the_others(falling: Market) -> None:
    # 50 x 80.6 x 0.5 % = 20.15
    found = run_steps(falling, BUY, venue=liquidating(fee="0.005"))
    assert last_fill(found)[2] == Decimal("20.15")
    assert found.liquidations == Liquidations({NAME: 1}, Decimal("20.15"))
    assert found.tables.fills[0]["fee"] == 5
    assert found.tables.equity[-1]["equity"] == Decimal("4.85")


def test_orders_that_wait_may_stay(falling: Market) -> None:
    found = run_steps(falling, BUY, venue=liquidating(cancel_open_orders=False))
    assert {row["status"] for row in found.tables.orders if row["type"] == "LIMIT"} == {"ACCEPTED"}


def test_a_repeat_and_decoded_rows_give_the_same_rows_without_random_ids(falling: Market) -> None:
    outputs = both(falling, BUY, venue=liquidating())
    assert len({content(output) for output in outputs}) == 1
    assert [text for text in texts(outputs[0]) if UUID.search(text)] == []
