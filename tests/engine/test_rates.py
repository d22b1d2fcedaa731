"""Exchange rates, from the prices of the task's own instruments."""

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
    pair,
    quotes,
    run,
    run_steps,
    trades,
)
from tests.plans import VENUE
from trading_runtime.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

EURJPY = pair("EUR/JPY", "EUR", "JPY", "0.001", "1")
USDJPY = pair("USD/JPY", "USD", "JPY", "0.001", "1")
EURUSD = pair("EUR/USD", "EUR", "USD", "0.00001", "1")
BUY_EURJPY = {"2": ["EUR/JPY:market BUY 1000"]}
MANY = {"balances": ["10000 USD", "1000000 JPY"]}
SINGLE = {"balances": ["10000 USD"], "base_currency": "USD"}


def equities(market: Market, steps: dict[str, list[str]], **settings: Any) -> list[Decimal]:
    output = run_steps(market, steps, currency="USD", **settings)
    return [row["equity"] for row in output.tables.equity]


def written(folder: Path, instruments: list[Any], rows: list[Any]) -> Market:
    return Market.write(folder, instruments, rows)


def test_a_rate_comes_from_the_instrument_that_trades_the_two(tmp_path: Path) -> None:
    rows = [*bars(EURJPY, ["100", "110"]), *bars(USDJPY, ["100", "125"])]
    market = written(tmp_path, [EURJPY, USDJPY], rows)

    # A million yen are 10000 dollars at 100, 8000 at 125; the position makes 10000 yen.
    assert equities(market, BUY_EURJPY, venue=MANY, equity_interval=MINUTE)[:3] == [
        20000,
        20000,
        18080,
    ]


def test_a_rate_may_go_by_way_of_a_third_currency(tmp_path: Path) -> None:
    # 100 yen a euro, 1.25 dollars a euro: a million yen are 10000 euros or 12500 dollars.
    rows = [*bars(EURJPY, ["100", "100"]), *bars(EURUSD, ["1.25", "1.25"])]
    market = written(tmp_path, [EURJPY, EURUSD], rows)

    assert set(equities(market, {}, venue=MANY)) == {Decimal(22500)}


def test_a_missing_rate_names_both_currencies(tmp_path: Path) -> None:
    market = written(tmp_path, [EURJPY], bars(EURJPY, ["100", "110"]))

    with pytest.raises(DataError, match="no exchange rate from JPY to USD: add an instrument"):
        equities(market, BUY_EURJPY, venue=MANY)


def test_a_single_currency_account_converts_with_quotes(tmp_path: Path) -> None:
    flat = [("100", "100"), ("110", "110")]
    rows = [*quotes(EURJPY, flat), *quotes(USDJPY, [("100", "100"), ("125", "125")])]
    market = written(tmp_path, [EURJPY, USDJPY], rows)

    # 1000 euros gain 10000 yen: 80 dollars.
    assert equities(market, BUY_EURJPY, venue=SINGLE, equity_interval=SECOND)[:3] == [
        10000,
        10000,
        10080,
    ]


def test_a_single_currency_account_converts_with_bars_of_bid_and_ask(tmp_path: Path) -> None:
    rows = [
        model.Bar(
            model.BarType.from_str(f"{USDJPY.id}-1-MINUTE-{side}-EXTERNAL"),
            *(USDJPY.make_price(price),) * 4,
            USDJPY.make_qty(1_000_000),
            T0 + minute * MINUTE,
            T0 + minute * MINUTE,
        )
        for minute, price in enumerate((100, 100, 125), 1)
        for side in ("BID", "ASK")
    ]
    market = written(tmp_path, [USDJPY], rows)

    # A thousand dollars gain 25000 yen: 200 dollars.
    assert equities(market, {"3": ["market BUY 1000"]}, venue=SINGLE)[-1] == 10200


@pytest.mark.parametrize("interval", [7 * SECOND, MINUTE, 24 * HOUR])
@pytest.mark.parametrize("of_trades", [True, False])
@pytest.mark.parametrize("symbol", ["USD/JPY", "USDJPY"])
def test_a_single_currency_account_converts_by_the_instruments_own_price(
    tmp_path: Path, interval: int, symbol: str, *, of_trades: bool
) -> None:
    instrument = pair(symbol, "USD", "JPY", "0.001", "1")
    prices = [f"150.{tenth}" for tenth in range(8)]
    if of_trades:
        rows = trades(instrument, prices, step=MINUTE, size="100000")
    else:
        rows = bars(instrument, prices)
    market = written(tmp_path, [instrument], rows)
    steps = {"2": ["market BUY 10000"], "6": ["market SELL 10000"]}

    output = run_steps(
        market, steps, currency="USD", equity_interval=interval, venue=SINGLE | {"leverage": "30"}
    )

    # Bought at 150.1, sold at 150.5: 4000 yen, at 150.5 a dollar 26.578 dollars.
    assert [fill["price"] for fill in output.tables.fills] == [Decimal("150.1"), Decimal("150.5")]
    assert output.tables.equity[-1]["equity"] == Decimal("10026.58")
    assert output.tables.positions[0]["realized_pnl"] == Decimal("26.5780730897009967")
    assert output.engine_warnings == {}


def test_rows_decoded_for_several_tasks_convert_as_streamed_ones_do(tmp_path: Path) -> None:
    market = written(tmp_path, [USDJPY], bars(USDJPY, ["150", "150", "160", "170"]))
    steps = {"2": ["market BUY 1000"]}
    settings: dict[str, Any] = {"currency": "USD", "venue": SINGLE, "equity_interval": MINUTE}

    streamed = run_steps(market, steps, **settings)
    shared = run_steps(market, steps, is_decoded=True, **settings)

    # A thousand dollars gain 10000 yen at 160 and 20000 yen at 170 a dollar.
    worth = [row["equity"] for row in streamed.tables.equity]
    assert worth[:5] == [10000, 10000, 10000, Decimal("10062.5"), Decimal("10117.65")]
    assert shared == streamed


def test_a_rate_of_another_venue_converts_too(tmp_path: Path) -> None:
    other = pair("USD/JPY", "USD", "JPY", "0.001", "1", venue="OTHER")
    rows = [*bars(EURJPY, ["100", "110", "110"]), *quotes(other, [("99", "101")] * 200)]
    market = written(tmp_path, [EURJPY, other], rows)

    found = run_steps(
        market,
        {"100": ["EUR/JPY:market BUY 1000"]},
        currency="USD",
        venue=SINGLE,
        venues={"OTHER": VENUE | {"balances": ["0 USD"]}},
    )

    # A thousand euros gain 10000 yen: 100 dollars at the middle, 101.01 at the bid of 99.
    assert found.tables.equity[-1]["equity"] in {Decimal(10100), Decimal("10101.01")}


def test_with_a_latency_a_fill_converts_at_the_price_before_and_trades_as_without_conversion(
    tmp_path: Path,
) -> None:
    market = written(tmp_path, [USDJPY], bars(USDJPY, ["150", "150.1", "150.2", "150.3", "160"]))
    steps = {"2": ["market BUY 10000"], "4": ["market SELL 10000"]}
    delay = {"latency": {"base": "20s", "insert": None, "update": None, "cancel": None}}

    several = run_steps(market, steps, currency="USD", venue=MANY | delay)
    single = run_steps(market, steps, currency="USD", venue=SINGLE | delay)

    assert single.tables.fills == several.tables.fills
    # Bought at 150.2, sold at 160: 98000 yen, at 150.3 a dollar 652.03 dollars.
    assert single.tables.equity[-1]["equity"] == Decimal("10652.03")


def test_a_single_currency_account_without_any_rate_is_refused(tmp_path: Path) -> None:
    # The engine denies the order; without margin it would fill it and leave its profit out.
    for margin in ("0.05", "0"):
        definition = EURJPY.to_dict() | {"margin_init": margin, "margin_maint": margin}
        instrument = type(EURJPY).from_dict(definition)
        market = written(tmp_path / margin, [instrument], bars(instrument, ["100", "110"]))

        with pytest.raises(DataError, match=r"from JPY to USD is known when EUR/JPY\.SIM is trad"):
            equities(market, {"1": ["market BUY 1000"]}, venue=SINGLE)


def test_an_order_before_the_rate_is_known_is_refused_even_if_the_strategy_catches_that(
    tmp_path: Path,
) -> None:
    (tmp_path / "strategy").mkdir()
    (tmp_path / "strategy" / "stubborn.py").write_text(
        "from nautilus_trader.model import InstrumentId, OrderSide, Quantity\n"
        "from nautilus_trader.trading import Strategy\n"
        "EURJPY = InstrumentId.from_str('EUR/JPY.SIM')\n"
        "class Stubborn(Strategy):\n"
        "    def on_start(self):\n"
        "        self.subscribe_quotes(EURJPY)\n"
        "    def on_quote(self, quote):\n"
        "        try:\n"
        "            quantity = Quantity.from_str('1000')\n"
        "            order = self.order_factory.market(EURJPY, OrderSide.BUY, quantity)\n"
        "            self.submit_order(order)\n"
        "        except Exception:\n"
        "            pass\n"
    )
    late = quotes(USDJPY, [("100", "100")], quotes(EURJPY, [("100", "100")])[0].ts_init)
    rows = [*quotes(EURJPY, [("100", "100"), ("110", "110")]), *late]
    market = written(tmp_path / "catalog", [EURJPY, USDJPY], rows)

    with pytest.raises(DataError, match="no exchange rate from JPY to USD"):
        run(
            market,
            "stubborn.py:Stubborn",
            {},
            folder=tmp_path / "strategy",
            currency="USD",
            venue=SINGLE,
        )


def test_without_an_order_a_single_currency_account_needs_no_rate(tmp_path: Path) -> None:
    market = written(tmp_path, [USDJPY], bars(USDJPY, ["100", "110"]))

    assert set(equities(market, {}, venue=SINGLE)) == {Decimal(10000)}


def test_with_quotes_the_rate_is_the_middle_of_bid_and_ask(tmp_path: Path) -> None:
    market = written(tmp_path, [USDJPY], quotes(USDJPY, [("99", "101")]))

    assert set(equities(market, {}, venue=MANY)) == {Decimal(20000)}


@pytest.mark.parametrize("latency", [None, "20s"])
def test_what_money_is_worth_does_not_depend_on_when_equity_is_sampled(
    tmp_path: Path, latency: str | None
) -> None:
    # Rates are known after minutes, and move all the time; fills lie between the hours.
    euros = [str(100 + number) for number in range(90)]
    dollars = [str(100 + number * 7 % 13) for number in range(90)]
    rows = [*bars(EURJPY, euros, T0 + 7 * MINUTE), *bars(USDJPY, dollars, T0 + 5 * MINUTE)]
    market = written(tmp_path, [EURJPY, USDJPY], rows)
    steps = {
        str(place): [f"EUR/JPY:market {side} 1000"]
        for place, side in ((6, "BUY"), (40, "SELL"), (80, "BUY"), (130, "SELL"), (160, "BUY"))
    }
    fees = {"model": "maker_taker", "maker": "0.0001", "taker": "0.0005"}
    delay = {"base": latency, "insert": None, "update": None, "cancel": None}

    def found(interval: int) -> Any:
        output = run_steps(
            market,
            steps,
            currency="USD",
            venue=MANY | {"latency": delay, "fees": fees},
            equity_interval=interval,
        )
        tables = output.tables
        first, last = (tables.equity[place]["equity"] for place in (0, -1))
        return tables.fills, tables.positions, first, last

    whole = found(24 * HOUR)
    assert len(whole[0]) == 5
    for interval in (MINUTE, 7 * MINUTE, HOUR):
        assert found(interval) == whole


def test_before_its_first_row_an_account_is_worth_what_it_is_with_that_row(tmp_path: Path) -> None:
    # A million yen are 10000 dollars at the first rate that is known, after five minutes.
    late = bars(USDJPY, ["100", "125"], T0 + 4 * MINUTE)
    market = written(tmp_path, [USDJPY], late)

    found = equities(market, {}, venue=MANY, equity_interval=MINUTE)

    assert found == [20000] * 6 + [18000, 18000]
