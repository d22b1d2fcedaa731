"""An order sent from a callback fills on the market of that very instant."""

from __future__ import annotations

from decimal import Decimal
from itertools import permutations
from typing import TYPE_CHECKING, Any

import pytest
from nautilus_trader import model

from tests.engine.market import (
    MINUTE,
    STRATEGIES,
    T0,
    Market,
    bars,
    pair,
    quotes,
    run,
    task_inputs,
    trades,
)
from tests.engine.test_equity import book_update
from trading_runtime.config.strategy_code import find_strategy_code
from trading_runtime.engine.simulation.feed import decoded
from trading_runtime.engine.simulation.feeding_order import early_bars, in_feeding_order
from trading_runtime.engine.simulation.task import TaskOutput, run_task
from trading_runtime.errors import StrategyError, UsageError
from trading_runtime.records.inputs import SeriesInputs

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

EURUSD = pair("EUR/USD", "EUR", "USD", "0.01", "1")
GBPUSD = pair("GBP/USD", "GBP", "USD", "0.01", "1")
SPREAD = {
    "BID": Decimal(0),
    "LAST": Decimal("0.10"),
    "MID": Decimal("0.10"),
    "ASK": Decimal("0.20"),
}
USD: dict[str, Any] = {"currency": "USD", "venue": {"balances": ["100000 USD"]}}


def sided(instrument: Any, minutes: int, side: str, first: int = 100) -> list[Any]:
    """Bars over ten minutes; the one that closes at minute n closes at ``first`` + n."""
    bar_type = model.BarType.from_str(f"{instrument.id}-{minutes}-MINUTE-{side}-EXTERNAL")
    rows = []
    for number in range(minutes, 11, minutes):
        close = first + number + SPREAD[side]
        prices = [close - minutes, close + Decimal("0.05"), close - minutes, close]
        ts = T0 + number * MINUTE
        made = [model.Price.from_decimal_dp(price, 2) for price in prices]
        opened, high, low, last = made
        size = instrument.make_qty(100000)
        rows.append(model.Bar(bar_type, opened, high, low, last, size, ts, ts))
    return rows


def name(minutes: int, side: str, symbol: str = "EUR/USD") -> str:
    return f"{symbol}.SIM-{minutes}-MINUTE-{side}-EXTERNAL"


def bought_and_sold(
    market: Market,
    listen: Sequence[tuple[str, str]],
    steps: dict[str, list[str]],
    *,
    shared: bool = False,
    **settings: Any,
) -> list[tuple[int, Decimal]]:
    """Minute and price of each fill of the scripted strategy, which listens to (kind, name)."""
    config = {
        "kinds": [kind for kind, _ in listen],
        "data": [series for _, series in listen],
        "steps": steps,
    }
    venue = USD["venue"] | settings.pop("venue", {})
    inputs = task_inputs(market, config, currency="USD", venue=venue, **settings)
    code = find_strategy_code("scripted.py:Scripted", STRATEGIES)
    rows = decoded(inputs, market.catalog, market.rows) if shared else None
    output: TaskOutput = run_task(inputs, code, market.catalog, market.rows, decoded_rows=rows)
    return [((row["ts"] - T0) // MINUTE, row["price"]) for row in output.tables.fills]


TRADE_ONE = {"1": ["market BUY 1"], "2": ["market SELL 1"]}
BUY_AND_SELL = {"1": ["market BUY 10"], "2": ["market SELL 10"]}


@pytest.mark.parametrize("fed", ["streamed", "shared"])
@pytest.mark.parametrize("minutes", [1, 5])
@pytest.mark.parametrize("side", ["BID", "ASK"])
@pytest.mark.parametrize(
    "others", [[], [(1, "LAST")], [(5, "LAST")]], ids=["alone", "with trades", "with long bars"]
)
def test_an_order_from_a_bar_of_either_side_buys_at_the_ask_and_sells_at_the_bid_of_its_instant(
    side: str, minutes: int, others: list[tuple[int, str]], fed: str, tmp_path: Path
) -> None:
    series = [(1, "BID"), (1, "ASK"), (5, "BID"), (5, "ASK"), *others]
    market = Market.write(
        tmp_path, [EURUSD], [row for length, of in series for row in sided(EURUSD, length, of)]
    )

    listen = [("bars", name(minutes, side))]
    fills = bought_and_sold(market, listen, BUY_AND_SELL, shared=fed == "shared")

    # The bid closes at 100 + n at minute n, the ask 0.20 above.
    first, second = minutes, 2 * minutes
    assert fills == [(first, 100 + first + Decimal("0.20")), (second, 100 + second)]


def test_a_strategy_that_listens_to_both_sides_sees_bid_then_ask_and_trades_on_both(
    tmp_path: Path,
) -> None:
    market = Market.write(tmp_path, [EURUSD], [*sided(EURUSD, 1, "BID"), *sided(EURUSD, 1, "ASK")])
    listen = [("bars", name(1, "BID")), ("bars", name(1, "ASK"))]
    steps = {"1": ["market BUY 10"], "2": ["market BUY 10"], "3": ["market SELL 10"]}

    fills = bought_and_sold(market, listen, steps)

    assert fills == [
        (1, Decimal("101.20")),
        (1, Decimal("101.20")),
        (2, Decimal(102)),
    ]


def test_bars_of_two_instruments_each_trade_at_their_own_instant(tmp_path: Path) -> None:
    rows = [
        *(row for side in ("ASK", "BID") for row in sided(EURUSD, 1, side)),
        *(row for side in ("ASK", "BID") for row in sided(GBPUSD, 1, side, first=200)),
    ]
    market = Market.write(tmp_path, [EURUSD, GBPUSD], rows)
    listen = [("bars", name(1, "BID", symbol)) for symbol in ("EUR/USD", "GBP/USD")]
    steps = {str(number): ["market BUY 10"] for number in (3, 4)}

    fills = bought_and_sold(market, listen, steps)

    assert fills == [(2, Decimal("102.20")), (2, Decimal("202.20"))]


def test_long_bars_trade_at_the_close_of_short_ones_of_the_same_instant(tmp_path: Path) -> None:
    rows = [*sided(EURUSD, 5, "LAST"), *sided(EURUSD, 1, "LAST")]
    market = Market.write(tmp_path, [EURUSD], rows)

    fills = bought_and_sold(market, [("bars", name(5, "LAST"))], BUY_AND_SELL)

    assert fills == [(5, Decimal("105.10")), (10, Decimal("110.10"))]


@pytest.mark.parametrize("listened", ["quotes", "trades"])
def test_quotes_and_trades_of_one_instant_each_trade_at_their_own_price(
    listened: str, tmp_path: Path
) -> None:
    rows = [
        *quotes(EURUSD, [("99", "101"), ("109", "111")], step=MINUTE),
        *trades(EURUSD, ["100", "110"], step=MINUTE, size="1000"),
    ]
    market = Market.write(tmp_path, [EURUSD], rows)

    fills = bought_and_sold(market, [(listened, "EUR/USD.SIM")], BUY_AND_SELL)

    # A trade moves the market to its price.
    prices = {"quotes": ["101", "109"], "trades": ["100", "110"]}[listened]
    assert fills == [(1, Decimal(prices[0])), (2, Decimal(prices[1]))]


def test_bars_that_do_not_move_the_market_trade_at_the_quote_of_their_instant(
    tmp_path: Path,
) -> None:
    rows = [
        *bars(EURUSD, ["100", "110"]),
        *quotes(EURUSD, [("99", "101"), ("109", "111")], step=MINUTE),
    ]
    market = Market.write(tmp_path, [EURUSD], rows)

    fills = bought_and_sold(
        market, [("bars", name(1, "LAST"))], BUY_AND_SELL, venue={"bar_execution": False}
    )

    assert fills == [(1, Decimal(101)), (2, Decimal(109))]


def test_bars_beside_a_book_trade_at_the_book_of_their_instant(tmp_path: Path) -> None:
    books = [
        delta
        for minute, mid in ((1, 100), (2, 110))
        for delta in book_update(EURUSD, mid, T0 + minute * MINUTE)
    ]
    market = Market.write(tmp_path, [EURUSD], [*bars(EURUSD, ["50", "60"]), *books])

    fills = bought_and_sold(
        market, [("bars", name(1, "LAST"))], TRADE_ONE, venue={"book_type": "L2_MBP"}
    )

    # The best prices are one from the middle.
    assert fills == [(1, Decimal(101)), (2, Decimal(109))]


def test_the_last_bid_bar_of_a_window_is_not_lost(tmp_path: Path) -> None:
    market = Market.write(tmp_path, [EURUSD], [*sided(EURUSD, 1, "ASK"), *sided(EURUSD, 1, "BID")])

    fills = bought_and_sold(market, [("bars", name(1, "BID"))], {"10": ["market BUY 10"]})

    assert fills == [(10, Decimal("110.20"))]


def test_a_strategys_own_timer_of_the_instant_comes_after_the_bar(
    tmp_path: Path, written: Path
) -> None:
    (written / "timed.py").write_text(
        "from nautilus_trader.model import BarType, OrderSide, Quantity\n"
        "from nautilus_trader.trading import Strategy\n"
        f"BID = BarType.from_str({name(1, 'BID')!r})\n"
        "class Timed(Strategy):\n"
        "    def on_start(self):\n"
        "        self.seen = 0\n"
        "        self.subscribe_bars(BID)\n"
        f"        self.clock.set_time_alert_ns('!', {T0 + 3 * MINUTE}, self.on_alert)\n"
        "    def on_bar(self, bar):\n"
        "        self.seen += 1\n"
        "    def on_alert(self, event):\n"
        "        self.submit_order(self.order_factory.market(\n"
        "            BID.instrument_id, OrderSide.BUY, Quantity.from_int(self.seen)))\n"
    )
    market = Market.write(tmp_path, [EURUSD], [*sided(EURUSD, 1, "ASK"), *sided(EURUSD, 1, "BID")])
    inputs = task_inputs(market, {}, **USD)
    code = find_strategy_code("timed.py:Timed", written)

    output = run_task(inputs, code, market.catalog, market.rows)

    assert [(row["quantity"], row["price"]) for row in output.tables.fills] == [
        (3, Decimal("103.20"))
    ]


def test_the_order_of_series_does_not_depend_on_how_they_are_given() -> None:
    names = [name(1, "ASK"), name(1, "BID"), name(1, "LAST"), name(15, "BID"), name(5, "LAST")]
    quotes_too = SeriesInputs("quotes", "GBP/USD.SIM", "GBP/USD.SIM")
    data = [SeriesInputs("bars", item, "EUR/USD.SIM") for item in names]
    for given in permutations([*data, quotes_too]):
        moving = in_feeding_order(given, bar_execution=True)
        resting = in_feeding_order(given, bar_execution=False)
        order = [name(1, "LAST"), name(1, "BID"), name(1, "ASK"), name(5, "LAST"), name(15, "BID")]
        assert [item.identifier for item in moving] == [*order, "GBP/USD.SIM"]
        assert [item.identifier for item in resting] == ["GBP/USD.SIM", *order]
    assert early_bars(data, bar_execution=True) == {name(1, "BID"): name(1, "ASK")}
    assert early_bars(data, bar_execution=False) == {}


def test_a_strategy_inside_the_engine_is_refused_bars_that_would_have_to_wait(
    tmp_path: Path,
) -> None:
    market = Market.write(tmp_path, [EURUSD], [*sided(EURUSD, 1, "ASK"), *sided(EURUSD, 1, "BID")])
    code = find_strategy_code("builtin:HurstVpinDirectional", STRATEGIES, ())
    config = {"instrument_id": "EUR/USD.SIM", "bar_type": name(1, "BID"), "trade_size": "10"}
    inputs = task_inputs(market, config, **USD)

    with pytest.raises(UsageError, match=r"strategy\.config: .*-BID-EXTERNAL: .* comes later"):
        run_task(inputs, code, market.catalog, market.rows)


def test_an_on_bar_of_the_instance_that_could_not_wait_fails_the_task(
    tmp_path: Path, written: Path
) -> None:
    market = Market.write(tmp_path, [EURUSD], [*sided(EURUSD, 1, "BID"), *sided(EURUSD, 1, "ASK")])
    source = (STRATEGIES / "scripted.py").read_text()
    replaced = source.replace(
        '"""Subscribe to all data that the config names."""', "self.on_bar = super().on_bar"
    )
    (written / "scripted.py").write_text(replaced)
    listen = {"kinds": ["bars"], "data": [name(1, "BID")]}

    with pytest.raises(StrategyError, match=r"on_bar was set on the strategy itself: .* bid bar"):
        run(market, "scripted.py:Scripted", listen, folder=written, **USD)
