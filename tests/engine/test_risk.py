"""The risk profile: what breaks a limit does not go out, and everything else is as without it."""

from __future__ import annotations

from decimal import Decimal
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nautilus_trader.model import Quantity

from tests.engine.market import (
    HOUR,
    MINUTE,
    STRATEGIES,
    T0,
    Market,
    bars,
    perpetual,
    quotes,
    run,
    run_steps,
    statuses,
    task_inputs,
    trades,
)
from trading_runtime.config.risk import RiskSettings
from trading_runtime.config.strategy_code import find_strategy_code
from trading_runtime.engine.risk.profile import NO_LIMITS, Proposal, Refusal, Risk, _Losses
from trading_runtime.engine.simulation.task import run_task
from trading_runtime.engine.strategy.failures import StrategyFailureError
from trading_runtime.errors import UsageError
from trading_runtime.records.account import LossesSoFar
from trading_runtime.units import DAY

if TYPE_CHECKING:
    from pathlib import Path

    from trading_runtime.engine.simulation.task import TaskOutput


def profile(**limits: Any) -> dict[str, Any]:
    """The risk section as tasks have it: as JSON, with decimals as text."""
    content: dict[str, Any] = RiskSettings(**limits).model_dump(mode="json")
    return content


def reasons(output: TaskOutput) -> list[str]:
    return [row["reason"] for row in output.tables.orders if row["reason"] is not None]


@pytest.fixture(scope="session")
def falling(tmp_path_factory: pytest.TempPathFactory) -> Market:
    """A perpetual at 100, 90, 80 and 95: a bar a minute."""
    instrument = perpetual()
    folder = tmp_path_factory.mktemp("falling")
    return Market.write(folder, [instrument], bars(instrument, ["100", "90", "80", "95"]))


def test_an_order_above_the_largest_quantity_is_denied_and_counted(four_bars: Market) -> None:
    steps = {"1": [f"market BUY {size}" for size in ("1.001", "1.000", "1.001", "1.000")]}
    output = run_steps(four_bars, steps, risk=profile(max_order_quantity=1))

    assert statuses(output) == {"FILLED": 2, "DENIED": 2}
    assert reasons(output) == ["RISK max_order_quantity: 1.001 is above 1"] * 2
    assert output.risk_refusals == {"max_order_quantity": 2}


def test_an_orders_value_is_its_quantity_at_its_price(four_bars: Market) -> None:
    # The market is at 100: 5 are worth 500; a limit to sell at 50 would sell at 100 all the same.
    steps = {
        "1": [
            "market BUY 5.000",
            "market BUY 5.001",
            "limit BUY 10.000 50.0",
            "limit BUY 10.001 50.0",
            "limit SELL 5.001 50.0",
            "limit SELL 2.501 200.0",
        ]
    }
    output = run_steps(four_bars, steps, risk=profile(max_order_notional=500))

    assert [row["status"] for row in output.tables.orders][:4] == [
        "FILLED", "DENIED", "ACCEPTED", "DENIED",
    ]  # fmt: skip
    assert reasons(output) == [
        "RISK max_order_notional: 500.1 is above 500",
        "RISK max_order_notional: 500.05 is above 500",
        "RISK max_order_notional: 500.1 is above 500",
        "RISK max_order_notional: 500.2 is above 500",
    ]


def test_a_position_counts_orders_that_are_still_working(four_bars: Market) -> None:
    steps = {
        "1": ["market BUY 1.000", "market BUY 1.000", "limit BUY 0.500 50.0"],
        "2": ["market BUY 0.100", "market SELL 3.000", "market SELL 2.500"],
    }
    output = run_steps(four_bars, steps, risk=profile(max_position_quantity="1.5"))

    assert [row["status"] for row in output.tables.orders] == [
        "FILLED", "DENIED", "ACCEPTED", "DENIED", "DENIED", "FILLED",
    ]  # fmt: skip
    assert reasons(output) == [
        "RISK max_position_quantity: 2 is above 1.5",
        "RISK max_position_quantity: 1.6 is above 1.5",
        "RISK max_position_quantity: 2 is above 1.5",
    ]


def test_a_position_that_grew_above_its_value_may_only_shrink(four_bars: Market) -> None:
    # 1.4 are worth 140 at 100, and 168 at 120.
    steps = {"1": ["market BUY 1.400"], "3": ["market BUY 0.001", "market SELL 0.100"]}
    output = run_steps(four_bars, steps, risk=profile(max_position_notional=150))

    assert statuses(output) == {"FILLED": 2, "DENIED": 1}
    assert reasons(output) == ["RISK max_position_notional: 168.12 is above 150"]


def test_after_the_largest_loss_only_what_reduces_goes_out_though_prices_recover(
    falling: Market,
) -> None:
    # At 90: 10 x 10 = 100 are lost. At 80: 10 x 20 + 1 x 10 = 210. At 95: 10 x 5 - 1 x 5 = 45.
    steps = {
        "1": ["market BUY 10.000"],
        "2": ["market BUY 1.000"],
        "3": ["market BUY 1.000", "market SELL 1.000"],
        "4": ["market BUY 1.000", "close"],
    }
    output = run_steps(falling, steps, risk=profile(max_loss=150))

    assert statuses(output) == {"FILLED": 4, "DENIED": 2}
    assert reasons(output) == ["RISK max_loss: 210 is lost, 150 is the limit"] * 2
    assert output.risk_refusals == {"max_loss": 2}


def test_exits_that_are_under_way_together_open_no_position_on_the_other_side(
    falling: Market,
) -> None:
    steps = {
        "1": ["market BUY 10.000"],
        "2": ["market SELL 8.000", "market SELL 8.000", "market SELL 2.000"],
    }
    output = run_steps(falling, steps, risk=profile(max_loss=100))

    assert [row["status"] for row in output.tables.orders] == [
        "FILLED", "FILLED", "DENIED", "FILLED",
    ]  # fmt: skip


def resumed(limits: dict[str, Decimal], **reached: str) -> _Losses:
    """Losses of an account of 910, which was 1,000 at first and 990 at midnight."""
    account: Any = SimpleNamespace(sample=lambda _now: SimpleNamespace(equity=Decimal(910)))
    losses = _Losses(account, [])
    losses.resume(
        LossesSoFar(first="1000", midnight=DAY, at_midnight="990", reached=reached), limits
    )
    return losses


def test_losses_of_an_earlier_session_count_until_its_day_is_over() -> None:
    limits = {"max_loss": Decimal(100), "max_daily_loss": Decimal(80)}
    losses = resumed(limits)
    # A clock that is set back over midnight begins no day anew.
    refused = [losses.above(limits, now) for now in (DAY + 1, DAY - 1, 2 * DAY)]

    assert refused == [
        *[Refusal("max_daily_loss", "80 is lost, 80 is the limit")] * 2,
        None,
    ]


def test_a_limit_that_an_earlier_session_reached_stays_reached_until_it_is_raised() -> None:
    for limit, is_refused in ((100, True), (200, False)):
        limits = {"max_loss": Decimal(limit)}
        assert bool(resumed(limits, max_loss="100").above(limits, DAY + 1)) == is_refused


def test_a_days_loss_is_counted_from_midnight(tmp_path: Path) -> None:
    instrument = perpetual()
    closes = ["100", "80", "80", "80", "79", "65"]
    start = T0 + 23 * HOUR + 56 * MINUTE
    market = Market.write(tmp_path, [instrument], bars(instrument, closes, start))
    steps = {
        "1": ["market BUY 10.000"],  # 23:57
        "2": ["market BUY 1.000"],  # 200 lost
        "3": ["market SELL 1.000"],
        "5": ["market BUY 1.000"],  # 00:01, 9 lost since midnight
        "6": ["market BUY 1.000"],  # 9 x 15 + 14 lost since midnight
    }
    output = run_steps(market, steps, start=start, risk=profile(max_daily_loss=100))

    assert [row["status"] for row in output.tables.orders] == [
        "FILLED", "DENIED", "FILLED", "FILLED", "DENIED",
    ]  # fmt: skip
    assert reasons(output) == [
        "RISK max_daily_loss: 200 is lost, 100 is the limit",
        "RISK max_daily_loss: 149 is lost, 100 is the limit",
    ]


def test_a_price_too_far_from_the_market_is_refused(four_bars: Market) -> None:
    steps = {
        "1": [
            "limit BUY 1.000 105.0",
            "limit BUY 1.000 106.0",
            "limit SELL 1.000 94.9",
            "stop BUY 1.000 110.0",
            "market BUY 1.000",
        ]
    }
    output = run_steps(four_bars, steps, risk=profile(price_collar="0.05"))

    assert statuses(output) == {"FILLED": 2, "DENIED": 3}
    assert reasons(output) == [
        "RISK price_collar: 0.06 is above 0.05",
        "RISK price_collar: 0.051 is above 0.05",
        "RISK price_collar: 0.1 is above 0.05",
    ]


def test_no_more_orders_go_out_than_allowed_in_a_stretch_of_time(four_bars: Market) -> None:
    steps = {"1": ["market BUY 1.000"] * 3, "2": ["market BUY 1.000"]}
    limit = {"orders": 2, "per": "1m"}
    output = run_steps(four_bars, steps, risk=profile(max_orders=limit))

    assert [row["status"] for row in output.tables.orders] == [
        "FILLED", "FILLED", "DENIED", "FILLED",
    ]  # fmt: skip
    assert reasons(output) == ["RISK max_orders: more than 2 in 1m"]


def test_an_order_on_data_that_is_too_old_is_refused(tmp_path: Path) -> None:
    silent, lively = perpetual("ETHUSDT-PERP", ("ETH", "USDT", "USDT")), perpetual()
    rows = [*quotes(silent, [("99.9", "100.1")]), *trades(lively, ["100"] * 5)]
    market = Market.write(tmp_path, [silent, lively], rows)
    # The quote is of second 1; rows 3, 4 and 5 are the trades of seconds 2, 3 and 4.
    steps = {str(row): ["ETHUSDT-PERP:market BUY 1.000"] for row in (3, 4, 5)}
    output = run_steps(market, steps, risk=profile(stale_after="2s"))

    assert statuses(output) == {"FILLED": 2, "DENIED": 1}
    assert reasons(output) == [
        "RISK stale_after: data is 3000000000 ns old, more than 2000000000 ns"
    ]


def test_an_instrument_may_have_other_limits(four_bars: Market) -> None:
    own = {"BTCUSDT-PERP.SIM": {"max_order_quantity": "2"}}
    steps = {"1": ["market BUY 2.000", "market BUY 2.001"]}
    output = run_steps(
        four_bars, steps, risk=profile(max_order_quantity=1, instruments=own, max_loss="1e6")
    )

    assert statuses(output) == {"FILLED": 1, "DENIED": 1}


def test_closing_is_held_to_the_limits_of_an_order_but_not_of_a_position(
    four_bars: Market,
) -> None:
    steps = {"1": ["market BUY 1.000", "market BUY 1.000"], "2": ["close"]}
    strict = run_steps(four_bars, steps, risk=profile(max_order_quantity=1))
    assert reasons(strict) == ["RISK max_order_quantity: 2 is above 1"]

    loose = run_steps(four_bars, steps, risk=profile(max_position_quantity=2))
    assert statuses(loose) == {"FILLED": 3}


def test_a_change_of_an_order_is_held_to_the_limits_too(four_bars: Market) -> None:
    steps = {"1": ["limit BUY 1.000 99.0"], "2": ["modify 0 50.0", "modify 0 108.0"]}
    output = run_steps(four_bars, steps, risk=profile(price_collar="0.1"))

    [order] = output.tables.orders
    assert order["price"] == 108
    assert output.risk_refusals == {"price_collar": 1}


def test_a_refusal_in_a_list_refuses_the_list(four_bars: Market, tmp_path: Path) -> None:
    output = run_written(
        four_bars,
        tmp_path,
        "        self.submit_order_list(self.order_factory.bracket(\n"
        "            ID, OrderSide.BUY, ONE, tp_price=Price.from_str('500.0'),\n"
        "            sl_trigger_price=Price.from_str('95.0')))\n",
        risk=profile(price_collar="0.1"),
    )

    assert statuses(output) == {"DENIED": 3}
    assert output.risk_refusals == {"price_collar": 3}


def test_the_strategy_is_told_and_may_cancel_what_was_refused(
    four_bars: Market, tmp_path: Path
) -> None:
    log = tmp_path / "log.txt"
    config = {
        "data": [four_bars.data[0].identifier],
        "kinds": ["bars"],
        "steps": {"1": ["market BUY 2.000"], "2": ["cancel 0"]},
        "log": str(log),
    }
    run(four_bars, "scripted.py:Scripted", config, risk=profile(max_order_quantity=1))

    assert log.read_text().splitlines() == [
        "row 1", "OrderDenied O-20220101-000100-001-000-1", "row 2", "row 3", "row 4",
    ]  # fmt: skip


def test_what_the_runtime_closes_at_the_end_is_not_refused(four_bars: Market) -> None:
    steps = {"1": ["market BUY 1.000"] * 2}
    output = run_steps(four_bars, steps, at_end="close", risk=profile(max_order_quantity=1))

    assert statuses(output) == {"FILLED": 3}
    assert output.tables.positions[-1]["open_quantity"] == 0


def test_limits_that_nothing_breaks_change_nothing(four_bars: Market) -> None:
    steps = {
        "1": ["market BUY 1.000", "limit SELL 1.000 125.0", "limit BUY 1.000 99.0"],
        "2": ["modify 2 105.0", "close"],
        "3": ["market SELL 2.000", "cancel 2"],
        "4": ["close"],
    }
    wide = profile(
        max_order_quantity=1000,
        max_order_notional="1e6",
        max_position_quantity=1000,
        max_position_notional="1e6",
        price_collar=1,
        stale_after="1d",
        max_orders={"orders": 100, "per": "1s"},
        max_daily_loss="1e5",
        max_loss="1e5",
    )
    without, within = run_steps(four_bars, steps), run_steps(four_bars, steps, risk=wide)

    assert within.tables == without.tables
    assert (without.risk_refusals, within.risk_refusals) == (None, {})


def test_each_position_of_a_hedging_account_is_closed_by_an_order_of_its_own(
    four_bars: Market,
) -> None:
    steps = {"1": ["market BUY 1.000", "market SELL 2.500"], "2": ["close"], "3": ["close"]}
    venue = {"oms_type": "hedging"}
    without = run_steps(four_bars, steps, venue=venue)
    within = run_steps(four_bars, steps, venue=venue, risk=profile(max_order_quantity=10))

    assert [(row["side"], row["quantity"]) for row in within.tables.orders[2:]] == [
        ("SELL", Decimal(1)),
        ("BUY", Decimal("2.5")),
    ]
    assert within.tables == without.tables


def test_orders_before_there_is_a_price_are_refused_where_one_is_needed(
    four_bars: Market,
) -> None:
    steps = {"start": ["BTCUSDT-PERP:market BUY 1.000"]}
    output = run_steps(four_bars, steps, risk=profile(max_order_notional="1e6"))

    assert reasons(output) == ["RISK max_order_notional: no price is known yet"]


def test_an_order_on_old_rows_is_refused_although_its_quantity_breaks_no_rule() -> None:
    ledger: Any = SimpleNamespace(cache=None, rates=None, currency="USDT", account=None)
    order = SimpleNamespace(
        client_order_id="O-1",
        instrument_id="X.SIM",
        side=SimpleNamespace(name="BUY"),
        quantity=Quantity.from_str("1"),
        filled_qty=Quantity.from_str("0"),
        is_reduce_only=False,
        is_quote_quantity=False,
    )
    risk = Risk(NO_LIMITS, ledger, [])
    proposal = Proposal.of(order)
    assert risk.refuse([proposal], 0) is None
    assert risk.is_plain(order)

    risk.is_old = {"X.SIM"}.__contains__

    assert not risk.is_plain(order)
    refusal = risk.refuse([proposal], 0)
    assert refusal is not None
    assert refusal.rule == "stale_after"


def test_a_command_that_cannot_be_held_to_limits_is_refused(
    four_bars: Market, tmp_path: Path
) -> None:
    with pytest.raises(StrategyFailureError, match=r"market_exit\(\) sends orders that cannot be"):
        run_written(
            four_bars, tmp_path, "        self.market_exit()\n", risk=profile(max_order_quantity=1)
        )


def test_a_builtin_strategy_is_refused(four_bars: Market) -> None:
    code = find_strategy_code("builtin:EmaCross", STRATEGIES, ())
    config = {
        "instrument_id": "BTCUSDT-PERP.SIM",
        "trade_size": "1.000",
        "fast_period": 2,
        "slow_period": 4,
    }
    inputs = task_inputs(four_bars, config, risk=profile(max_order_quantity=1))
    with pytest.raises(UsageError, match="risk: cannot be enforced"):
        run_task(inputs, code, four_bars.catalog, four_bars.rows)


_ORDERS = st.lists(
    st.tuples(
        st.sampled_from(["market", "limit"]),
        st.sampled_from(["BUY", "SELL"]),
        st.integers(1, 3_000),
        st.integers(90, 140),
    ),
    max_size=5,
)


@settings(max_examples=40)
@given(per_row=st.lists(_ORDERS, min_size=4, max_size=4))
def test_whatever_is_sent_the_position_stays_within_its_limit(
    four_bars: Market, per_row: list[list[tuple[str, str, int, int]]]
) -> None:
    steps = {
        str(row): [
            f"{kind} {side} {Decimal(quantity) / 1000:.3f}"
            + (f" {price}.0" if kind == "limit" else "")
            for kind, side, quantity, price in orders
        ]
        for row, orders in enumerate(per_row, 1)
    }
    output = run_steps(four_bars, steps, risk=profile(max_position_quantity=2))

    net = Decimal(0)
    for fill in output.tables.fills:
        net += fill["quantity"] if fill["side"] == "BUY" else -fill["quantity"]
        assert abs(net) <= 2


def run_written(market: Market, folder: Path, body: str, **common: Any) -> TaskOutput:
    """Run a strategy that does ``body`` at its first bar."""
    bar_type = market.data[0].identifier
    (folder / "written.py").write_text(
        "from nautilus_trader.model import *\n"
        "from nautilus_trader.trading import Strategy\n"
        f"BAR_TYPE = BarType.from_str({bar_type!r})\n"
        "ID, ONE = BAR_TYPE.instrument_id, Quantity.from_str('1.000')\n"
        "class Written(Strategy):\n"
        "    done = False\n"
        "    def on_start(self):\n"
        "        self.subscribe_bars(BAR_TYPE)\n"
        "    def on_bar(self, bar):\n"
        "        if self.done: return\n"
        "        self.done = True\n" + body
    )
    return run(market, "written.py:Written", {}, folder=folder, **common)
