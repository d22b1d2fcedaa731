"""How many steps the engine makes of a partition's rows, and which books give prices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from nautilus_trader import model

from tests.engine.market import MINUTE, T0, Market, bars, pair, perpetual, quotes, run, run_steps
from tests.engine.test_equity import book_update
from trading_runtime.engine.simulation.feed import books_without_quotes, expected_steps, last_rows
from trading_runtime.errors import DataError, StrategyError
from trading_runtime.records.inputs import SeriesInputs

if TYPE_CHECKING:
    from pathlib import Path

PERPETUAL = perpetual()


def series(*kinds: str) -> list[SeriesInputs]:
    return [SeriesInputs(kind, "A.SIM", f"{kind}.SIM") for kind in kinds]


def updates(count: int, instrument: Any = PERPETUAL) -> list[Any]:
    return [
        delta
        for number in range(1, count + 1)
        for delta in book_update(instrument, 100 + number, T0 + number * MINUTE)
    ]


def test_every_row_is_a_step(four_bars: Market) -> None:
    assert expected_steps(four_bars.data, four_bars.catalog, 4) == 4


def test_all_deltas_of_a_book_update_are_one_step(tmp_path: Path) -> None:
    rows = [*updates(3), *bars(PERPETUAL, ["100", "110"])]
    market = Market.write(tmp_path, [PERPETUAL], rows)

    assert market.rows == 17
    assert expected_steps(market.data, market.catalog, market.rows) == 5
    run_steps(market, {})


def test_the_folder_of_a_pairs_deltas_is_found_too(tmp_path: Path) -> None:
    instrument = pair("BTC/USDT", "BTC", "USDT", "0.1")
    market = Market.write(tmp_path, [instrument], updates(3, instrument))

    assert expected_steps(market.data, market.catalog, 15) == 3
    run_steps(market, {})


def test_an_update_that_never_ends_is_bad_data(tmp_path: Path) -> None:
    market = Market.write(tmp_path, [PERPETUAL], updates(2)[:-1])

    with pytest.raises(DataError, match=r"deltas of BTCUSDT-PERP\.SIM end without .*F_LAST"):
        run_steps(market, {})


def test_fewer_rows_than_expected_are_no_result(four_bars: Market) -> None:
    with pytest.raises(StrategyError, match="consumed 4 of 5 rows: something ended the run early"):
        run_steps(four_bars, {}, rows=5)


def test_more_rows_than_expected_are_no_result(four_bars: Market) -> None:
    with pytest.raises(StrategyError, match="consumed 4 of 3 rows"):
        run_steps(four_bars, {}, rows=3)


def test_books_give_prices_where_no_quotes_are() -> None:
    books = series("order_book_deltas", "bars", "order_book_depths")

    assert books_without_quotes(books) == ["order_book_deltas.SIM", "order_book_depths.SIM"]
    other = SeriesInputs("quotes", "ETH.SIM", "ETH.SIM")
    assert books_without_quotes([*books, other]) == books_without_quotes(books)
    same = other._replace(instrument_id=books[0].instrument_id)
    assert books_without_quotes([*books, same]) == []
    assert books_without_quotes(series("bars", "trades")) == []


def test_depths_of_a_book_fill_orders_and_mark_the_account(tmp_path: Path, written: Path) -> None:
    rows = [depth(mid, T0 + number * MINUTE) for number, mid in enumerate((100, 110, 120), 1)]
    market = Market.write(tmp_path / "catalog", [PERPETUAL], rows)
    (written / "deep.py").write_text(
        "from nautilus_trader.model import BookType, InstrumentId, OrderSide, Quantity\n"
        "from nautilus_trader.trading import Strategy\n"
        "ID = InstrumentId.from_str('BTCUSDT-PERP.SIM')\n"
        "class Deep(Strategy):\n"
        "    def on_start(self):\n"
        "        self.subscribe_book_depth(ID, BookType.L2_MBP)\n"
        "    def on_book_depth(self, depth):\n"
        "        if not self.cache.orders():\n"
        "            quantity = Quantity.from_str('3.000')\n"
        "            self.submit_order(self.order_factory.market(ID, OrderSide.BUY, quantity))\n"
    )
    output = run(market, "deep.py:Deep", {}, folder=written, venue={"book_type": "L2_MBP"})

    # The ask has 1 at 101 and 2 at 102; the last bid is 119.
    assert [(row["quantity"], row["price"]) for row in output.tables.fills] == [(1, 101), (2, 102)]
    assert output.tables.equity[-1]["equity"] == 100000 + 3 * 119 - 305


def depth(mid: int, ts: int) -> Any:
    """Ten levels a side, one tick of 1 apart; the n-th from the middle has a size of n."""

    def order(side: Any, price: int, size: int) -> Any:
        return model.BookOrder(side, PERPETUAL.make_price(price), PERPETUAL.make_qty(size), 0)

    levels = range(1, 11)
    return model.OrderBookDepth(
        PERPETUAL.id,
        [order(model.OrderSide.BUY, mid - level, level) for level in levels],
        [order(model.OrderSide.SELL, mid + level, level) for level in levels],
        [1] * 10,
        [1] * 10,
        0,
        ts,
        ts,
        ts,
    )


def test_all_kinds_of_rows_reach_the_strategy_together(all_kinds: Market, tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    kinds = [item.type for item in all_kinds.data]
    names = [item.identifier for item in all_kinds.data]
    run(all_kinds, "scripted.py:Scripted", {"data": names, "kinds": kinds, "log": str(log)})

    assert log.read_text().splitlines()[-1] == "row 60"


def test_with_bars_and_quotes_the_account_is_marked_at_the_quotes(tmp_path: Path) -> None:
    rows = [
        *bars(PERPETUAL, ["100", "110"]),
        *quotes(PERPETUAL, [("99", "101"), ("109", "111")], step=MINUTE // 2),
    ]
    market = Market.write(tmp_path, [PERPETUAL], rows)
    output = run_steps(market, {"1": ["market BUY 1.000"]})

    # Bought at the ask of 101; the last bid is 109.
    assert output.tables.fills[0]["price"] == 101
    assert output.tables.equity[-1]["equity"] == 100008


def test_the_last_row_at_or_before_an_instant_is_found_in_all_series(tmp_path: Path) -> None:
    # Bars close at minutes 1 to 3, quotes come at 2.5 and 5.
    rows = [
        *bars(PERPETUAL, ["100", "110", "120"]),
        *quotes(PERPETUAL, [("99", "101"), ("109", "111")], step=MINUTE * 5 // 2),
    ]
    market = Market.write(tmp_path, [PERPETUAL], rows)
    asked = [0, 1, 1.5, 2, 2.5, 2.75, 3, 4, 5, 6, 7]

    found = last_rows(market.data, market.catalog, [T0 + int(n * MINUTE) for n in asked])

    assert found[0] == 0
    assert [(ts - T0) / MINUTE for ts in found[1:]] == [1, 1, 2, 2.5, 2.5, 3, 3, 5, 5, 5]
