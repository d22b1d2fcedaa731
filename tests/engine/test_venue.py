"""From the experiment's venue to the engine's: what is refused, and how orders are handled."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.engine.market import MINUTE, SECOND, T0, Market, bars, perpetual, run_steps
from tests.engine.test_tables import digest
from tests.plans import VENUE, venue_inputs
from trading_runtime.engine.live.simulated import data_engine
from trading_runtime.engine.simulation.venue import venue_config
from trading_runtime.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path


def latency(**commands: str) -> dict[str, Any]:
    absent = {"base": None, "insert": None, "update": None, "cancel": None}
    return {"latency": absent | commands}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"balances": ["100.005 USD"]}, "100.005 USD: the engine counts USD to 2 decimal places"),
        (
            {"fees": {"model": "per_contract", "amount": "0.0035 USD"}, "balances": ["100 USD"]},
            "fees.amount: 0.0035 USD: the engine counts USD to 2 decimal places",
        ),
        (
            {"fees": {"model": "fixed", "amount": "1 USD", "once_per_order": True}},
            "fees.amount: 1 USD: the account cannot pay in USD; venue.balances hold USDT",
        ),
        ({"leverages": {"NOT AN ID": "2"}}, "NOT AN ID"),
    ],
)
def test_what_the_engine_cannot_do_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as refusal:
        venue_config(venue_inputs(**settings), "SIM", 1)

    assert str(refusal.value).startswith("venue")
    assert message in str(refusal.value)


def test_a_cash_account_of_one_currency_cannot_trade_pairs(spot: Market) -> None:
    with pytest.raises(UsageError, match=r"venue\.base_currency: .*single-currency CASH account"):
        run_steps(spot, {}, venue={"account_type": "cash", "base_currency": "USDT"})


@pytest.mark.parametrize("model", ["default", "one_tick_slippage", "three_tier", "size_aware"])
def test_fill_models_of_the_engine_are_known_by_name(four_bars: Market, model: str) -> None:
    fill = VENUE["fill"] | {"model": model}
    output = run_steps(four_bars, {"1": ["market BUY 1.000"]}, venue={"fill": fill})

    assert output.tables.orders[0]["status"] == "FILLED"


def test_orders_beyond_the_rate_limit_are_denied(four_bars: Market) -> None:
    output = run_steps(
        four_bars,
        {"1": ["market BUY 1.000"] * 5, "2": ["market BUY 1.000"]},
        venue={"order_rate_limit": {"orders": 2, "per": "1m"}},
    )

    # Two of the first five; a minute later there is room again.
    assert [row["status"] for row in output.tables.orders] == [
        "FILLED",
        "FILLED",
        "DENIED",
        "DENIED",
        "DENIED",
        "FILLED",
    ]


@pytest.mark.parametrize(
    ("delay", "minute", "price"), [("30s", 2, 110), ("90s", 3, 120), ("60s", 2, 110)]
)
def test_with_latency_an_order_fills_later_at_the_later_price(
    four_bars: Market, delay: str, minute: int, price: int
) -> None:
    output = run_steps(four_bars, {"1": ["market BUY 1.000"]}, venue=latency(base=delay))

    (fill,) = output.tables.fills
    assert (fill["ts"], fill["price"]) == (T0 + minute * MINUTE, price)


def test_latencies_of_base_and_command_add_up(four_bars: Market) -> None:
    delays = latency(base="30s", insert="31s")
    output = run_steps(four_bars, {"1": ["market BUY 1.000"]}, venue=delays)

    assert output.tables.fills[0]["price"] == 120


def test_a_cancellation_may_come_too_late(tmp_path: Path) -> None:
    instrument = perpetual()
    market = Market.write(tmp_path, [instrument], bars(instrument, ["100", "100", "90", "90"]))
    steps = {"1": ["limit BUY 1.000 95.0"], "2": ["cancel 0"]}

    at_once = run_steps(market, steps)
    late = run_steps(market, steps, venue=latency(cancel="90s"))

    assert at_once.tables.orders[0]["status"] == "CANCELED"
    assert (late.tables.orders[0]["status"], late.tables.fills[0]["price"]) == ("FILLED", 95)


def test_an_order_on_its_way_at_the_end_still_fills_at_the_last_price(four_bars: Market) -> None:
    output = run_steps(four_bars, {"4": ["market BUY 1.000"]}, venue=latency(base="30s"))

    (fill,) = output.tables.fills
    assert (fill["ts"], fill["price"]) == (T0 + 4 * MINUTE + 30 * SECOND, 130)
    assert output.tables.equity[-1]["open_positions"] == 1


def test_slippage_is_drawn_from_the_seed(tmp_path: Path) -> None:
    instrument = perpetual()
    market = Market.write(tmp_path, [instrument], bars(instrument, ["100"] * 40))
    steps = {str(number): ["market BUY 0.001"] for number in range(1, 41)}
    fill = VENUE["fill"] | {"prob_slippage": "0.5"}

    def prices(**settings: Any) -> list[Any]:
        output = run_steps(
            market, steps, venue={"fill": fill | settings.pop("fill", {})}, **settings
        )
        return [row["price"] for row in output.tables.fills]

    assert set(prices()) == {100, instrument.make_price(100.1).as_decimal()}
    assert prices() == prices()
    assert prices() != prices(seed=2)
    assert prices(fill={"seed": 2}, seed=1) == prices(seed=2)


def test_a_limit_order_at_the_touched_price_may_not_fill(tmp_path: Path) -> None:
    instrument = perpetual()
    market = Market.write(tmp_path, [instrument], bars(instrument, ["100", "95", "100"]))
    steps = {"1": ["limit BUY 1.000 95.0"]}
    never = {"fill": VENUE["fill"] | {"prob_fill_on_limit": "0"}}

    assert len(run_steps(market, steps).tables.fills) == 1
    assert len(run_steps(market, steps, venue=never).tables.fills) == 0


def test_leverage_decides_what_an_account_can_carry(four_bars: Market) -> None:
    # 50 at 100 are 5000; margin is a tenth of it, divided by the leverage.
    steps = {"1": ["market BUY 50.000"]}
    poor = {"balances": ["300 USDT"]}

    alone = run_steps(four_bars, steps, venue=poor)
    levered = run_steps(four_bars, steps, venue=poor | {"leverage": "2"})
    named = run_steps(four_bars, steps, venue=poor | {"leverages": {"BTCUSDT-PERP.SIM": "2"}})

    assert alone.tables.orders[0]["status"] == "DENIED"
    assert levered.tables.orders[0]["status"] == "FILLED"
    assert digest(levered) == digest(named)


def test_a_cash_account_cannot_sell_what_it_does_not_have(spot: Market) -> None:
    output = run_steps(spot, {"1": ["market SELL 1.000"]}, venue={"account_type": "cash"})

    assert output.tables.orders[0]["status"] == "DENIED"


@pytest.mark.parametrize("skip", [True, False])
def test_a_live_node_makes_bars_of_a_night_without_data_as_a_backtest_does(*, skip: bool) -> None:
    config = data_engine(venue_inputs(skip_empty_bars=skip), ends_bars=True)

    assert config.time_bars_build_with_no_updates is not skip
