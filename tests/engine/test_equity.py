"""The account marked to market: what it is worth, and when it is looked at."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from nautilus_trader import model

from tests.engine.market import (
    HOUR,
    MINUTE,
    SECOND,
    T0,
    Market,
    bars,
    future,
    pair,
    perpetual,
    quotes,
    run,
    run_steps,
    trades,
)
from tests.plans import VENUE
from trading_runtime.engine.accounting import equity
from trading_runtime.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

    from trading_runtime.engine.simulation.task import TaskOutput

TAKER_A_TENTH_PERCENT = {"fees": {"model": "maker_taker", "maker": "0", "taker": "0.001"}}
CASH = {"account_type": "cash"}


def curve(output: TaskOutput, unit: int = MINUTE) -> dict[float, Decimal]:
    """Equity by time since T0."""
    return {(row["ts"] - T0) / unit: row["equity"] for row in output.tables.equity}


def last_minutes(output: TaskOutput) -> list[Decimal]:
    return [row["equity"] for row in output.tables.equity]


def amounts(*texts: str) -> list[Decimal]:
    return [Decimal(text) for text in texts]


def test_samples_fall_on_the_start_on_multiples_of_the_interval_and_on_the_end(
    four_bars: Market,
) -> None:
    # Bought 1 at 100 and sold at 120: fees 0.1 and 0.12.
    output = run_steps(
        four_bars,
        {"1": ["market BUY 1.000"], "3": ["close"]},
        equity_interval=MINUTE,
        end=T0 + 4 * MINUTE + 30 * SECOND,
        venue=TAKER_A_TENTH_PERCENT,
    )

    assert curve(output) == {
        0: Decimal(100000),
        1: Decimal("99999.9"),  # the bar that closes at this very instant has been traded on
        2: Decimal("100009.9"),
        3: Decimal("100019.78"),
        4: Decimal("100019.78"),
        4.5: Decimal("100019.78"),
    }
    assert [row["open_positions"] for row in output.tables.equity] == [0, 1, 1, 0, 0, 0]


def test_the_interval_counts_from_midnight_and_not_from_the_start(four_bars: Market) -> None:
    output = run_steps(
        four_bars,
        {},
        start=T0 + 90 * SECOND,
        warmup_start=T0,
        equity_interval=2 * MINUTE,
    )

    assert list(curve(output))[:-1] == [1.5, 2, 4]


def test_a_window_without_data_for_hours_is_sampled_at_the_last_price(four_bars: Market) -> None:
    output = run_steps(four_bars, {"1": ["market BUY 1.000"]}, end=T0 + 5 * HOUR)

    at_the_last_price = Decimal(100030)
    assert curve(output, HOUR) == {
        0: Decimal(100000),
        **dict.fromkeys((1, 2, 3, 4, 5), at_the_last_price),
    }


def test_a_window_shorter_than_the_interval_has_two_samples(four_bars: Market) -> None:
    output = run_steps(four_bars, {"1": ["market BUY 1.000"]}, end=T0 + 4 * MINUTE + 1)

    assert last_minutes(output) == amounts("100000", "100030")


def test_statistics_start_at_the_windows_start_and_not_at_the_warm_ups(four_bars: Market) -> None:
    output = run_steps(
        four_bars,
        {"1": ["market BUY 1.000"], "3": ["market BUY 1.000"]},
        start=T0 + 150 * SECOND,
        warmup_start=T0,
        equity_interval=MINUTE,
    )

    assert curve(output)[2.5] == 100000
    assert list(curve(output))[:3] == [2.5, 3, 4]
    assert output.warmup_denied_orders == 1


def test_a_long_position_is_marked_at_the_bid_and_a_short_one_at_the_ask(tmp_path: Path) -> None:
    instrument = perpetual()
    market = Market.write(
        tmp_path, [instrument], quotes(instrument, [("99", "101"), ("109", "111"), ("119", "121")])
    )

    long = run_steps(market, {"1": ["market BUY 1.000"]}, equity_interval=SECOND)
    short = run_steps(market, {"1": ["market SELL 1.000"]}, equity_interval=SECOND)

    # Bought at 101, worth 99, 109, 119; sold at 99, bought back at 101, 111, 121.
    assert last_minutes(long)[1:4] == amounts("99998", "100008", "100018")
    assert last_minutes(short)[1:4] == amounts("99998", "99988", "99978")


def test_a_cash_account_is_worth_its_cash_and_its_coins_once(spot: Market) -> None:
    # 1000 - 200 - 0.2 fee; at 120 sold 1: + 120 - 0.12; the other coin is worth the price.
    output = run_steps(
        spot,
        {"1": ["market BUY 2.000"], "3": ["market SELL 1.000"]},
        equity_interval=MINUTE,
        venue=CASH | TAKER_A_TENTH_PERCENT | {"balances": ["1000 USDT", "0 BTC"]},
    )

    assert last_minutes(output)[:5] == amounts("1000", "999.8", "1019.8", "1039.68", "1049.68")


def test_coins_held_from_the_start_are_worth_the_first_price_known(spot: Market) -> None:
    # 1000 + 5 * 100; sold one at 110: 1110 + 4 * price.
    output = run_steps(
        spot,
        {"2": ["market SELL 1.000"]},
        equity_interval=MINUTE,
        venue=CASH | {"balances": ["1000 USDT", "5 BTC"]},
    )

    assert last_minutes(output)[:5] == amounts("1500", "1500", "1550", "1590", "1630")


def test_an_account_may_be_stated_in_its_coin(spot: Market) -> None:
    # 1000 / 100 + 1; bought 2 at 100: 800 / price + 3.
    output = run_steps(
        spot,
        {"1": ["market BUY 2.000"]},
        currency="BTC",
        equity_interval=MINUTE,
        venue=CASH | {"balances": ["1000 USDT", "1 BTC"]},
    )

    assert last_minutes(output)[:3] == amounts("11", "11", "10.2727272727272727")
    assert [row["value"] for row in output.tables.fills] == [2]


def test_a_spot_position_on_margin_is_worth_its_profit_alone(spot: Market) -> None:
    output = run_steps(spot, {"1": ["market BUY 2.000"]}, equity_interval=MINUTE)

    assert last_minutes(output)[1:5] == amounts("100000", "100020", "100040", "100060")


def test_an_inverse_perpetual_pays_in_its_base_currency(tmp_path: Path) -> None:
    # 1000 USD at 100 are 10 BTC, at 125 they are 8: half of the 2 BTC gained is realised there.
    # Fees: 10 BTC and 4 BTC times 0.001. At 200 the other 500 USD have gained 5 - 2.5 BTC.
    instrument = perpetual("XBTUSD", ("BTC", "USD", "BTC"), "0.5", "1")
    market = Market.write(tmp_path, [instrument], bars(instrument, ["100", "125", "200"]))
    output = run_steps(
        market,
        {"1": ["market BUY 1000"], "2": ["market SELL 500"]},
        currency="BTC",
        equity_interval=MINUTE,
        venue=TAKER_A_TENTH_PERCENT | {"balances": ["20 BTC"]},
    )

    assert last_minutes(output)[:4] == amounts("20", "19.99", "21.986", "23.486")
    assert [row["value"] for row in output.tables.fills] == [10, 4]
    assert output.tables.positions[0]["realized_pnl"] == Decimal("0.986")


def test_a_future_gains_its_multiplier_for_every_point(tmp_path: Path) -> None:
    # 2 contracts of 50 from 100; one sold at 101: + 50, the other at 102.25: + 112.5; 2.25 each.
    instrument = future(multiplier="50")
    market = Market.write(tmp_path, [instrument], bars(instrument, ["100", "101", "102.25"]))
    output = run_steps(
        market,
        {"1": ["market BUY 2"], "2": ["market SELL 1"]},
        currency="USD",
        equity_interval=MINUTE,
        venue={
            "balances": ["100000 USD"],
            "fees": {"model": "per_contract", "amount": "2.25 USD"},
        },
    )

    assert last_minutes(output)[:4] == amounts("100000", "99995.5", "100093.25", "100155.75")
    assert [row["value"] for row in output.tables.fills] == [10000, 5050]
    assert [row["fee"] for row in output.tables.fills] == amounts("4.5", "2.25")


def test_positions_both_ways_at_once_are_counted_and_valued_each(four_bars: Market) -> None:
    # Long 3 at 100, short 1 at 100, short 1 at 110; at 110: 30 - 10, at 120: 60 - 20 - 10.
    output = run_steps(
        four_bars,
        {"1": ["market BUY 3.000", "market SELL 1.000"], "2": ["market SELL 1.000"]},
        equity_interval=MINUTE,
        venue={"oms_type": "hedging"},
    )

    assert last_minutes(output)[1:4] == amounts("100000", "100020", "100030")
    assert [row["open_positions"] for row in output.tables.equity[:3]] == [0, 2, 3]
    assert [row["open_quantity"] for row in output.tables.positions] == [3, -1, -1]


def test_what_was_made_is_what_positions_realised_and_still_hold(four_bars: Market) -> None:
    # Long 1 from 100 to 110, short 2 from 110 to 120, long 1 from 120, marked at 130.
    output = run_steps(
        four_bars,
        {"1": ["market BUY 1.000"], "2": ["market SELL 3.000"], "3": ["market BUY 3.000"]},
        venue=TAKER_A_TENTH_PERCENT,
    )

    first, last = output.tables.equity[0]["equity"], output.tables.equity[-1]["equity"]
    realized = [row["realized_pnl"] for row in output.tables.positions]
    assert realized == amounts("9.79", "-20.46", "-0.12")
    assert last - first == sum(realized) + (130 - 120)
    assert sum(row["fee"] for row in output.tables.fills) == Decimal("0.79")


def test_a_position_can_be_closed_at_the_end(four_bars: Market) -> None:
    output = run_steps(
        four_bars,
        {"1": ["market BUY 3.000"]},
        at_end="close",
        venue=TAKER_A_TENTH_PERCENT,
    )

    # 3 * 30, fees 0.3 and 0.39.
    final = output.tables.equity[-1]
    assert (final["equity"], final["open_positions"]) == (Decimal("100089.31"), 0)
    assert [row["open_quantity"] for row in output.tables.positions] == [0]
    assert output.tables.positions[0]["realized_pnl"] == Decimal("89.31")


def test_every_position_of_a_hedging_account_is_closed_at_the_end(four_bars: Market) -> None:
    output = run_steps(
        four_bars,
        {"1": ["market BUY 3.000", "market SELL 1.000"], "2": ["market SELL 1.000"]},
        at_end="close",
        venue={"oms_type": "hedging"},
    )

    assert output.tables.equity[-1]["open_positions"] == 0
    assert output.tables.equity[-1]["equity"] == 100000 + 3 * 30 - 30 - 20


def test_with_latency_the_closing_fill_lies_after_the_end_at_the_last_price(
    four_bars: Market,
) -> None:
    end = T0 + 4 * MINUTE + 1
    output = run_steps(
        four_bars,
        {"1": ["market BUY 3.000"]},
        at_end="close",
        end=end,
        venue={"latency": {"base": "30s", "insert": None, "update": None, "cancel": None}},
    )

    opening, closing = output.tables.fills
    assert (opening["price"], opening["ts"]) == (110, T0 + 2 * MINUTE)
    assert (closing["price"], closing["ts"]) == (130, end - 1 + 30 * SECOND)
    assert output.tables.equity[-1]["equity"] == 100000 + 3 * 20


def test_an_order_under_way_over_a_gap_fills_at_the_next_row_and_not_at_a_sample(
    tmp_path: Path,
) -> None:
    # Sent when the bar of minute 2 closes, due 30 s on; the next row comes 3 hours later, at 120.
    instrument = perpetual()
    late = bars(instrument, ["120", "125"], start=T0 + 3 * HOUR)
    market = Market.write(tmp_path, [instrument], [*bars(instrument, ["100", "100"]), *late])
    latency = {"base": "30s", "insert": None, "update": None, "cancel": None}
    for interval in (SECOND, MINUTE, 7 * MINUTE, HOUR):
        output = run_steps(
            market,
            {"2": ["market BUY 1.000"]},
            equity_interval=interval,
            venue={"latency": latency},
        )
        (fill,) = output.tables.fills
        assert (fill["price"], fill["ts"]) == (120, T0 + 3 * HOUR + MINUTE)
    assert [row["open_positions"] for row in output.tables.equity] == [0, 0, 0, 0, 1]
    assert last_minutes(output) == amounts("100000", "100000", "100000", "100000", "100005")


def test_looks_between_rows_are_made_after_the_last_row_when_orders_take_time() -> None:
    assert equity.looks([10, 20, 30], None) == [(10, [10]), (20, [20]), (30, [30])]
    assert equity.looks([10, 20, 30, 40], [0, 17, 17, 40]) == [
        (0, [10]),
        (17, [20, 30]),
        (40, [40]),
    ]


def test_an_account_whose_book_data_has_no_quotes_is_marked_at_the_books_top(
    tmp_path: Path,
) -> None:
    instrument = perpetual()
    rows = [
        delta
        for number, mid in enumerate((100, 110, 120), 1)
        for delta in book_update(instrument, mid, T0 + number * MINUTE)
    ]
    market = Market.write(tmp_path, [instrument], rows)
    output = run_steps(
        market,
        {"1": ["market BUY 3.000"], "2": ["market SELL 1.000"]},
        equity_interval=MINUTE,
        venue={"book_type": "L2_MBP"},
    )

    # The ask has 1 at mid + 1 and 5 at mid + 2; the bid mirrors it.
    fills = [(row["quantity"], row["price"]) for row in output.tables.fills]
    assert fills == [(1, 101), (2, 102), (1, 109)]
    # Paid 305 for 3: at the bid of 99 - 8; sold one at 109, two at a bid of 109, then 119.
    assert last_minutes(output)[1:4] == amounts("99992", "100022", "100042")


@pytest.mark.parametrize("has_both", [False, True])
def test_a_book_beside_quotes_of_another_instrument_is_marked_or_refused(
    tmp_path: Path, *, has_both: bool
) -> None:
    booked = perpetual()
    other = perpetual("ETHUSDT-PERP", ("ETH", "USDT", "USDT"), venue="EXB")
    rows = [
        delta
        for number, mid in enumerate((100, 110, 120), 1)
        for delta in book_update(booked, mid, T0 + number * MINUTE)
    ]
    rows += quotes(other, [("10", "10")] * 3, step=MINUTE)
    if has_both:
        rows += [
            delta
            for number in (1, 2, 3)
            for delta in book_update(other, 10, T0 + number * MINUTE + SECOND)
        ]
    market = Market.write(tmp_path, [booked, other], rows)

    def output() -> TaskOutput:
        return run_steps(
            market,
            {"1": ["BTCUSDT-PERP.SIM:limit BUY 1.000 150.0"]},
            venue={"book_type": "L2_MBP"},
            venues={"EXB": VENUE | ({"book_type": "L2_MBP"} if has_both else {})},
        )

    if has_both:
        with pytest.raises(DataError, match=r"position in BTCUSDT-PERP\.SIM cannot be marked"):
            output()
    else:
        # Bought 1 at 101, the last bid is 119; both accounts have 100,000.
        assert output().tables.equity[-1]["equity"] == 200_018


@pytest.mark.parametrize(
    ("oms_type", "orders", "made"),
    [
        # Bought at the ask of 101, sold at the bid of 100; at the end 120 to 122.
        ("netting", ["market BUY 1.000"], "19"),
        ("netting", ["market SELL 1.000"], "-22"),
        ("hedging", ["market BUY 1.000", "market SELL 2.000"], "-25"),
    ],
)
def test_bars_of_both_sides_mark_longs_at_the_bid_and_shorts_at_the_ask(
    tmp_path: Path, oms_type: str, orders: list[str], made: str
) -> None:
    instrument = perpetual()
    rows = [
        model.Bar(
            model.BarType.from_str(f"{instrument.id}-1-MINUTE-{side}-EXTERNAL"),
            *(instrument.make_price(price),) * 4,
            instrument.make_qty(1000),
            T0 + minute * MINUTE,
            T0 + minute * MINUTE,
        )
        for minute, prices in enumerate([(100, 101), (110, 111), (120, 122)], 1)
        for side, price in zip(("BID", "ASK"), prices, strict=True)
    ]
    market = Market.write(tmp_path, [instrument], rows)
    output = run_steps(market, {"2": orders}, venue={"oms_type": oms_type})
    assert output.tables.equity[-1]["equity"] == 100_000 + Decimal(made)


def test_a_position_is_marked_at_the_last_trade_where_trades_are_all_there_is(
    tmp_path: Path,
) -> None:
    linear, inverse = perpetual(), perpetual("BTCUSD-INV", ("BTC", "USD", "BTC"), "0.5", "1")
    market = Market.write(
        tmp_path / "linear", [linear], trades(linear, ["100", "100", "125", "126", "90"], size="10")
    )
    output = run_steps(market, {"2": ["market BUY 1.000"]}, equity_interval=SECOND)
    assert [value - 100_000 for value in last_minutes(output)] == [0, 0, 0, 25, 26, -10, -10]

    market = Market.write(
        tmp_path / "inverse", [inverse], trades(inverse, ["50000"] * 2 + ["40000"], size="100000")
    )
    output = run_steps(
        market, {"2": ["market SELL 10000"]}, venue={"balances": ["1 BTC"]}, currency="BTC"
    )
    # Sold 10,000 contracts of a dollar: 0.2 bitcoin at 50,000, and 0.25 at 40,000.
    assert output.tables.equity[-1]["equity"] == Decimal("1.05")


def book_update(instrument: Any, mid: int, ts: int) -> list[Any]:
    """A whole new book of two levels a side, as one update of five deltas."""

    def delta(side: Any, price: int, size: int, flags: int = 0) -> Any:
        order = model.BookOrder(side, instrument.make_price(price), instrument.make_qty(size), 0)
        action = model.BookAction.ADD
        return model.OrderBookDelta(instrument.id, action, order, flags, ts, ts, ts)

    buy, sell = model.OrderSide.BUY, model.OrderSide.SELL
    return [
        model.OrderBookDelta.clear(instrument.id, ts, ts, ts),
        delta(buy, mid - 1, 1),
        delta(buy, mid - 2, 5),
        delta(sell, mid + 1, 1),
        delta(sell, mid + 2, 5, flags=model.RecordFlag.F_LAST.value),
    ]


def test_a_sampler_that_cannot_value_the_account_fails_the_task(
    four_bars: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(equity.Account, "sample", fail)

    with pytest.raises(ZeroDivisionError):
        run_steps(four_bars, {"1": ["market BUY 1.000"]}, equity_interval=MINUTE)


def test_a_strategys_decimal_context_does_not_reach_the_samples(
    four_bars: Market, written: Path
) -> None:
    (written / "coarse.py").write_text(
        "import decimal\n"
        "from nautilus_trader.trading import Strategy\n"
        "class Coarse(Strategy):\n"
        "    def on_start(self):\n"
        "        decimal.getcontext().prec = 2\n"
    )
    output = run(
        four_bars,
        "coarse.py:Coarse",
        {},
        folder=written,
        venue={"balances": ["123456.78 USDT"]},
        equity_interval=MINUTE,
    )

    assert set(last_minutes(output)) == {Decimal("123456.78")}
    assert Decimal(1) / 3 == Decimal("0.3333333333333333333333333333")


def test_quotes_of_a_pair_are_marked_in_the_accounts_currency(tmp_path: Path) -> None:
    # Single-currency account: the engine converts each profit when it is made, to cents.
    instrument = pair("USD/JPY", "USD", "JPY", "0.001", "1")
    market = Market.write(
        tmp_path, [instrument], quotes(instrument, [("100", "100"), ("110", "110"), ("125", "125")])
    )
    output = run_steps(
        market,
        {"1": ["market BUY 1000"], "2": ["market SELL 400"]},
        currency="USD",
        equity_interval=SECOND,
        venue={"balances": ["10000 USD"], "base_currency": "USD"},
    )

    # At 110: 1000 * 10 JPY = 90.909 USD, of which 36.36 are realised; at 125: 600 * 25 / 125.
    assert last_minutes(output)[1:4] == amounts("10000", "10090.91", "10156.36")
