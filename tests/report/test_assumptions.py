"""What the report claims of fills and funding, held against the engine itself."""

from __future__ import annotations

import dataclasses
from decimal import Decimal
from typing import TYPE_CHECKING, Any, get_args

import polars as pl
import pytest
from nautilus_trader import model

from tests.engine.market import MINUTE, T0, Market, bars, perpetual, quotes, run_steps, statuses
from tests.plans import venue_inputs
from tests.results.sample_run import BARS, sample_run, with_common
from trading_runtime.config.venue import FillModel
from trading_runtime.records.instruments import InstrumentDefinition
from trading_runtime.report.assumptions import Assumption, assumptions
from trading_runtime.results.task_table import MONEY

if TYPE_CHECKING:
    from pathlib import Path

    from trading_runtime.engine.simulation.task import TaskOutput
    from trading_runtime.records.planned_data import PlannedSeries
    from trading_runtime.report.content import ReportInputs

QUARTER = 25
"""Of the hundred that each bar trades."""


@pytest.fixture
def market(tmp_path: Path) -> Market:
    """Bars that trade a hundred each: a quiet one at 100, then two from 100 down to 97 and back."""
    instrument = perpetual(size="1")
    kind = model.BarType.from_str(f"{instrument.id}-1-MINUTE-LAST-EXTERNAL")
    prices = [
        ("100", "100", "100", "100"),
        ("100", "101", "97", "100"),
        ("100", "101", "97", "100"),
    ]
    rows = [
        model.Bar(
            kind,
            *_four(instrument, four),
            instrument.make_qty(100),
            T0 + number * MINUTE,
            T0 + number * MINUTE,
        )
        for number, four in enumerate(prices, 1)
    ]
    return Market.write(tmp_path, [instrument], rows)


def said(inputs: ReportInputs, title: str) -> Assumption:
    return next(each for each in assumptions(inputs) if each.title == title)


def _four(instrument: Any, prices: tuple[str, str, str, str]) -> tuple[Any, Any, Any, Any]:
    first, high, low, last = (instrument.make_price(float(price)) for price in prices)
    return first, high, low, last


def fills(found: TaskOutput) -> list[tuple[Any, Any, int]]:
    return [
        (row["quantity"], row["price"], (row["ts"] - T0) // MINUTE) for row in found.tables.fills
    ]


def with_results(**changes: Any) -> ReportInputs:
    """A run whose tasks have these values in ``results.parquet``."""
    run = sample_run({}, partitions=2)
    columns = [
        pl.lit(value).cast(run.results.schema[name]).alias(name) for name, value in changes.items()
    ]
    return dataclasses.replace(run, results=run.results.with_columns(columns))


def test_a_market_order_fills_at_the_close_of_its_bar_and_all_beyond_a_quarter_a_tick_worse(
    market: Market,
) -> None:
    text = said(sample_run({}), "Size at bars").text
    assert "about a quarter of its volume" in text
    assert "market order asks beyond that fills one tick worse, however large" in text
    assert (
        "at the close of that same bar, at the same time"
        in said(sample_run({}), "Fill price and time").text
    )
    # A hundred times what the bar traded: still one tick.
    found = fills(run_steps(market, {"1": ["market BUY 10000"]}, venue={"leverage": "100"}))
    assert found == [(QUARTER, 100, 1), (10_000 - QUARTER, Decimal("100.1"), 1)]


def with_series(run: ReportInputs, *series: PlannedSeries) -> ReportInputs:
    """A run that was fed these."""
    (partition, *_) = run.plan.partitions
    fed = (dataclasses.replace(partition, data=series),)
    return dataclasses.replace(run, plan=dataclasses.replace(run.plan, partitions=fed))


def test_with_bars_of_both_sides_a_market_order_fills_at_the_one_that_it_trades_against() -> None:
    # What happens then is tested in tests/engine/test_feeding_order.py, as below.
    sides = [
        BARS._replace(identifier=BARS.identifier.replace("LAST", side)) for side in ("BID", "ASK")
    ]
    text = said(with_series(sample_run({}), *sides), "Fill price and time").text
    assert "at the close of the ask or bid bar of its instant, at the same time" in text


def test_bars_beside_quotes_move_the_market_as_is_stated(tmp_path: Path) -> None:
    quoted = BARS._replace(type="quotes", identifier=BARS.instrument_id)
    words = "A bar at no other price than the last moves nothing: then the quotes before it are"
    assert words not in said(sample_run({}), "Fill price and time").text
    assert words in said(with_series(sample_run({}), BARS, quoted), "Fill price and time").text
    instrument = perpetual()
    rows = [*bars(instrument, ["100", "100", "107"]), *quotes(instrument, [("98", "103")] * 80)]
    both = Market.write(tmp_path, [instrument], rows)
    # A quote a second; after 59 of them a bar, after 80 a bar at the same price, then a new one.
    steps = {str(row): ["market BUY 1"] for row in (60, 82, 83)}
    assert [price for _, price, _ in fills(run_steps(both, steps))] == [100, 103, 107]


def test_beside_a_book_bars_are_not_told_to_be_the_market() -> None:
    # That they are not is tested in tests/engine/test_feeding_order.py.
    titles = {each.title for each in assumptions(with_venue(book_type="L2_MBP"))}
    assert not titles & {"Fill price and time", "Size at bars"}


def test_a_limit_order_takes_a_quarter_at_each_price_that_reaches_it_and_waits_with_the_rest(
    market: Market,
) -> None:
    text = said(sample_run({}), "Size at bars").text
    assert "takes no more than that at each of the prices that reach it, and waits" in text
    assert "always filled" not in said(sample_run({}), "Fill model").text
    # The low of two bars reaches 97; never more than a quarter at once, and never all of 500.
    found = run_steps(market, {"1": ["limit BUY 500 97.0"]})
    assert all((size, price) == (QUARTER, 97) for size, price, _ in fills(found))
    assert {minute for _, _, minute in fills(found)} == {2, 3}
    (order,) = found.tables.orders
    assert 0 < order["filled_quantity"] < order["quantity"] == 500


def with_fill(**fill: Any) -> tuple[dict[str, Any], str]:
    """A venue with this fill model, and what a report says of it."""
    chances = {"prob_fill_on_limit": "1", "prob_slippage": "0", "seed": 1}
    settings = {"model": "default", **chances, **fill}
    return {"fill": settings}, said(with_venue(fill=settings), "Fill model").text


@pytest.mark.parametrize("chance", ["1", "0"])
def test_whether_a_touched_limit_order_trades_is_as_the_fill_model_says(
    market: Market, chance: str, tmp_path: Path
) -> None:
    venue, text = with_fill(prob_fill_on_limit=chance)
    assert "a resting limit order trades with no more than the size that is there" in text
    assert ("touches its price or a trade reaches it, it never trades" in text) == (chance == "0")
    assert ("when a quote reaches it, it always trades" in text) == (chance == "0")
    # 97 is the low of the bars: touched, never traded through.
    found = run_steps(market, {"1": ["limit BUY 1 97.0"]}, venue=venue)
    assert bool(fills(found)) == (chance == "1")
    rows = quotes(perpetual(), [("99.9", "100.0"), ("96.9", "97.0"), ("96.9", "97.0")])
    quoted = Market.write(tmp_path / "quoted", [perpetual()], rows)
    (fill,) = run_steps(quoted, {"1": ["limit BUY 1 97.0"]}, venue=venue).tables.fills
    assert fill["price"] == 97


def test_a_limit_order_slips_past_its_price_where_that_is_stated(market: Market) -> None:
    steps = {"1": ["limit BUY 1 97.0"]}
    venue, text = with_fill(prob_slippage="1")
    assert "A fill always slips by one tick, even past the price of a limit order." in text
    assert fills(run_steps(market, steps, venue=venue)) == [(1, Decimal("97.1"), 2)]
    never, text = with_fill()
    assert "slips" not in text
    assert fills(run_steps(market, steps, venue=never)) == [(1, 97, 2)]


@pytest.mark.parametrize("model", get_args(FillModel))
def test_sizes_in_the_data_count_only_for_the_fill_model_that_says_so(
    model: str, tmp_path: Path
) -> None:
    venue, text = with_fill(model=model)
    made_up = "it makes up the sizes that orders fill against" in text
    assert made_up == (model != "default")
    titles = [each.title for each in assumptions(with_venue(**venue))]
    assert ("Size at bars" in titles) == (not made_up)
    flat = perpetual(size="1")
    busy = Market.write(tmp_path / "busy", [flat], bars(flat, ["100", "100"], volume="1000000"))
    quiet = Market.write(tmp_path / "quiet", [flat], bars(flat, ["100", "100"], volume="4"))
    found = [
        fills(run_steps(each, {"1": ["market BUY 900"]}, venue=venue)) for each in (busy, quiet)
    ]
    assert (found[0] == found[1]) == made_up


def test_orders_that_were_filled_in_part_are_counted() -> None:
    text = said(with_results(partly_filled_orders=3), "Partial fills").text
    assert text == "6 orders were filled in part only, in 2 tasks."
    assert not any(each.title == "Partial fills" for each in assumptions(sample_run({})))


def test_funding_is_told_as_it_was_settled() -> None:
    run = with_results(funding="-1.5", funding_settlements=3)
    fed = dataclasses.replace(run, data_types=("bars", "funding_rates"))
    text = said(fed, "Funding").text
    assert text.startswith("Positions paid 3.00 USDT in 6 settlements of all tasks")
    assert "No funding" not in text


def test_without_rates_there_is_no_funding_and_rates_that_settle_nothing_are_a_warning() -> None:
    assert said(sample_run({}), "Funding").text.startswith("No funding payments: the data has no")
    idle = said(dataclasses.replace(sample_run({}), data_types=("funding_rates",)), "Funding")
    assert idle.warning
    assert "none was settled" in idle.text


def test_a_year_that_is_a_guess_from_few_days_is_said_to_be_one() -> None:
    guess = "are a guess from so few: set 'statistics.periods_per_year'"
    assert guess in said(sample_run({}, partitions=1), "Ratios").text
    run = sample_run({}, partitions=1)
    assert guess not in said(with_common(run, periods_per_year=252), "Ratios").text
    assert guess not in said(sample_run({}, partitions=8), "Ratios").text


def test_the_days_that_count_and_the_factor_of_a_year_are_said() -> None:
    text = said(sample_run({}, partitions=4), "Ratios").text
    assert (
        "28 days with data count. A year has 365 such days, judged by the days that count." in text
    )
    daily = with_common(sample_run({}), calendar="every_day", periods_per_year=252)
    text = said(daily, "Ratios").text
    assert "Every day from the first row to the last counts, 28 days" in text
    assert "as set" in text


def with_venue(**settings: Any) -> ReportInputs:
    """A run of a venue with these settings."""
    return with_common(sample_run({}), venue=venue_inputs(**settings))


def test_fees_are_told_by_instrument_and_in_tiers() -> None:
    rates = {"model": "maker_taker", "maker": "0", "taker": "0.001"}
    tier = {"from_value": "1000000 USDT", "maker": "0.0001", "taker": "0.0004"}
    tiered = {"model": "tiered", "maker": "0.0002", "taker": "0.0005", "tiers": [tier]}
    run = with_venue(
        fees={**tiered, "period": "30d"},
        fees_by_instrument={"B.SIM": rates, "A.SIM": {"model": "none"}},
    )
    assert said(run, "Fees").text == (
        "0.02% of the traded value for a resting order, 0.05% for one that takes liquidity; from "
        "1000000 USDT on 0.01% of the traded value for a resting order, 0.04% for one that takes "
        "liquidity. What counts is the value that the task has traded in the 30d before a fill, "
        "and every task starts with none."
    )
    assert said(run, "Fees by instrument").text == (
        "A.SIM: no fees; B.SIM: 0% of the traded value for a resting order, 0.1% for one that "
        "takes liquidity."
    )
    assert said(with_venue(fees={"model": "none"}), "Fees").warning


def test_margin_is_told_as_its_model_takes_it() -> None:
    text = said(with_venue(leverage="5", leverages={"A.SIM": "2"}), "Margin").text
    assert text.endswith(
        "divided by the leverage, times the instrument's margin rate. Leverage is 5, 2 for A.SIM."
    )
    text = said(with_venue(leverage="5", margin_model="standard"), "Margin").text
    assert text.endswith("times the instrument's margin rate, whatever the leverage.")
    titles = {each.title for each in assumptions(with_venue(account_type="cash"))}
    assert "Margin" not in titles


def test_contracts_that_expire_in_the_tested_time_are_named_with_their_price() -> None:
    def expiry(titles: str, **settings: Any) -> Assumption | None:
        run = with_venue(**settings)
        name, end = "BTCUSDT-PERP.SIM", run.plan.partitions[0].end
        definition = InstrumentDefinition.from_document({"id": name, "expiration_ns": end})
        plan = dataclasses.replace(run.plan, instruments={name: definition})
        found = assumptions(dataclasses.replace(run, plan=plan))
        return next((each for each in found if each.title == titles), None)

    stated = expiry("Expiry", settlement_prices={"BTCUSDT-PERP.SIM": "123.25"})
    assert stated is not None
    assert stated.text.endswith("with the fee of a fill: BTCUSDT-PERP.SIM at 123.25.")
    last = expiry("Expiry at the last price")
    assert last is not None
    assert last.warning
    assert "closed at the last price" in last.text
    assert expiry("Expiry") is None


def test_each_venue_is_told_with_its_name() -> None:
    told = with_common(sample_run({}), venues={"EXB": venue_inputs(account_type="cash")})
    assert said(told, "Venues").text.startswith("SIM and EXB have accounts of their own")
    assert "0.05%" in said(told, "Fees (SIM)").text
    assert said(told, "Fees (EXB)").text == "Trading costs nothing here: no fees are charged."
    titles = [each.title for each in assumptions(told)]
    assert "Margin (SIM)" in titles
    assert "Margin (EXB)" not in titles
    assert "Fees" not in titles


def test_swap_and_liquidation_are_told_as_they_are_charged() -> None:
    rates = {"A.SIM": {"long": "-0.0001", "short": "0.00005"}}
    swap = {"rates": rates, "per": "day", "days_in_year": 365, "time": "17:00"}
    swap["time_zone"] = "America/New_York"
    run = with_venue(swap={**swap, "triple_day": "wednesday"})
    assert said(run, "Swap").text == (
        "Positions that are open are charged or paid each day at 17:00 America/New_York, "
        "three days on Wednesday and none on Saturday and Sunday, a share of their value at the "
        "latest price: A.SIM -0.01% long, 0.005% short. Other instruments cost nothing to hold."
    ).replace("-", "\N{MINUS SIGN}")
    yearly = said(with_venue(swap={**swap, "per": "year", "triple_day": None}), "Swap").text
    assert "latest price for a year of 365 days" in yearly
    assert "closes no position" in said(with_venue(), "Liquidation").text
    settings = {"trigger_ratio": "1.1", "cancel_open_orders": True, "fee": "0.005"}
    text = said(with_venue(liquidation=settings), "Liquidation").text
    assert "at or below 1.1 times their maintenance margin" in text
    assert text.endswith("are cancelled first; closing costs 0.5% of the closed value.")


def test_dividends_are_told_as_they_are_paid() -> None:
    amounts = {"A.SIM": {"2024-05-10": "0.25", "2024-02-09": "0.24"}}
    run = with_venue(dividends={"amounts": amounts, "time_zone": "America/New_York"})
    text = said(run, "Dividends").text
    assert "untaxed: A.SIM 0.24 on 2024-02-09; A.SIM 0.25 on 2024-05-10." in text
    assert "midnight in America/New_York" in text
    columns = {"dividends": pl.lit("-12").cast(MONEY), "dividend_payments": pl.lit(1)}
    two_tasks = sample_run({}, partitions=2)
    paid = dataclasses.replace(two_tasks, results=two_tasks.results.with_columns(**columns))
    text = said(paid, "Dividends that were paid").text
    assert text.startswith("Positions paid 24.00 USDT in 2 payments of all tasks")


def fees(found: TaskOutput) -> list[Any]:
    return [row["fee"] for row in found.tables.fills]


def test_fees_are_the_rates_that_are_stated_of_the_value(market: Market) -> None:
    model_of = {"model": "maker_taker", "maker": "0.0002", "taker": "0.0005"}
    text = said(with_venue(fees=model_of), "Fees").text
    assert text == (
        "0.02% of the traded value for a resting order, 0.05% for one that takes liquidity."
    )
    steps = {"1": ["market BUY 10", "limit BUY 10 97.0"]}
    # 10 at 100 take, 10 at 97 rest: 1000 x 0.05 % and 970 x 0.02 %.
    found = run_steps(market, steps, venue={"fees": model_of})
    assert fees(found) == [Decimal("0.5"), Decimal("0.194")]


@pytest.mark.parametrize(
    ("once", "words", "charged"),
    [(True, "2 USDT for every order.", [2, 0]), (False, "2 USDT for every fill.", [2, 2])],
)
def test_a_fixed_fee_is_charged_as_often_as_is_stated(
    market: Market, *, once: bool, words: str, charged: list[int]
) -> None:
    settings = {"model": "fixed", "amount": "2 USDT", "once_per_order": once}
    assert said(with_venue(fees=settings), "Fees").text == words
    # Beyond a quarter of the bar, one order is two fills.
    assert fees(run_steps(market, {"1": ["market BUY 50"]}, venue={"fees": settings})) == charged


def test_without_fees_trading_costs_nothing_and_that_is_a_warning(market: Market) -> None:
    assumption = said(with_venue(fees={"model": "none"}), "Fees")
    assert assumption.warning
    assert "Trading costs nothing" in assumption.text
    assert fees(run_steps(market, {"1": ["market BUY 10"]})) == [0]


def test_commands_take_as_long_as_is_stated(market: Market) -> None:
    delay = {"base": "20s", "insert": None, "update": None, "cancel": None}
    assert said(with_venue(latency=delay), "Latency").text == "Commands take 20s for every command."
    text = said(with_venue(latency=delay), "Fill price and time").text
    assert "fills 20s after it was sent, at the market of that time" in text
    # Sent at the first bar, it is there at the second, whose first price it gets.
    found = run_steps(market, {"1": ["market BUY 1"]}, venue={"latency": delay})
    assert [minute for _, _, minute in fills(found)] == [2]
    none = dict.fromkeys(delay)
    assert said(with_venue(latency=none), "Latency").text.startswith("None: commands take effect")
    found = run_steps(market, {"1": ["market BUY 1"]}, venue={"latency": none})
    assert [minute for _, _, minute in fills(found)] == [1]


def test_orders_beyond_the_rate_that_is_stated_are_denied(market: Market) -> None:
    limit = {"orders": 3, "per": "1s"}
    text = said(with_venue(order_rate_limit=limit), "Order rate").text
    assert text == "At most 3 orders per 1s of simulated time; the excess is denied."
    found = run_steps(market, {"1": ["market BUY 1"] * 5}, venue={"order_rate_limit": limit})
    assert statuses(found) == {"FILLED": 3, "DENIED": 2}


def test_fills_use_up_the_size_of_a_bar_only_where_that_is_stated(market: Market) -> None:
    steps = {"1": ["market BUY 25", "market BUY 25"]}
    words = "A fill does not use up the size it was filled against."
    assert words in said(with_venue(liquidity_consumption=False), "Fill model").text
    assert fills(run_steps(market, steps)) == [(25, 100, 1)] * 2
    assert words not in said(with_venue(liquidity_consumption=True), "Fill model").text
    used_up = fills(run_steps(market, steps, venue={"liquidity_consumption": True}))
    assert used_up == [(25, 100, 1)]


def test_orders_move_no_price_after_them(market: Market) -> None:
    assert "do not move the prices after them" in said(sample_run({}), "Market impact").text
    steps = {"1": ["market BUY 1000"], "2": ["market SELL 1"]}
    # A thousand bought at the first bar, and the second closes where the file says.
    assert fills(run_steps(market, steps))[-1] == (1, 100, 2)


def test_positions_are_marked_or_closed_at_the_end_as_is_stated(market: Market) -> None:
    run = sample_run({})
    assert "still open at a window's end are marked to market there" in said(run, "Seams").text
    found = run_steps(market, {"1": ["market BUY 1"]})
    assert found.tables.positions[0]["open_quantity"] == 1
    closing = said(with_common(run, at_end="close"), "Seams").text
    assert "closed by market orders at the window's end" in closing
    found = run_steps(market, {"1": ["market BUY 1"]}, at_end="close")
    assert found.tables.positions[0]["open_quantity"] == 0
