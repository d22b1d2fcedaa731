"""Warm-up: the strategy sees the rows and hears that its orders are denied; nothing is traded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.engine.market import MINUTE, T0, run, run_steps
from trading_runtime.engine.strategy.failures import StrategyFailureError

if TYPE_CHECKING:
    from pathlib import Path

    from tests.engine.market import Market
    from trading_runtime.engine.simulation.task import TaskOutput

BAR_TYPE = "BTCUSDT-PERP.SIM-1-MINUTE-LAST-EXTERNAL"
TWO_BARS_OF_WARM_UP = {"start": T0 + 150_000_000_000, "warmup_start": T0}


def run_written(market: Market, folder: Path, body: str, **settings: Any) -> TaskOutput:
    """Run a strategy with ``body`` inside its class; each bar calls ``self.step(number)``."""
    (folder / "written.py").write_text(
        "from nautilus_trader.model import *\n"
        "from nautilus_trader.trading import Strategy\n"
        f"BAR_TYPE = BarType.from_str({BAR_TYPE!r})\n"
        "ID, ONE = BAR_TYPE.instrument_id, Quantity.from_str('1.000')\n"
        "class Written(Strategy):\n"
        "    bars = 0\n"
        "    def on_start(self):\n"
        "        self.subscribe_bars(BAR_TYPE)\n"
        "    def on_bar(self, bar):\n"
        "        self.bars += 1\n"
        "        self.step(self.bars)\n" + body
    )
    return run(market, "written.py:Written", {}, folder=folder, **settings)


def logged(market: Market, folder: Path, steps: dict[str, list[str]], **settings: Any) -> list[str]:
    """What the scripted strategy noted down."""
    log = folder / "log.txt"
    config = {"data": [BAR_TYPE], "kinds": ["bars"], "steps": steps, "log": str(log)}
    run(market, "scripted.py:Scripted", config, **settings)
    return log.read_text().splitlines()


def test_rows_of_the_warm_up_reach_the_strategy(four_bars: Market, tmp_path: Path) -> None:
    seen = logged(four_bars, tmp_path, {}, **TWO_BARS_OF_WARM_UP)

    assert seen == ["row 1", "row 2", "row 3", "row 4"]


def test_an_order_of_the_warm_up_is_denied_and_counted_and_the_strategy_told(
    four_bars: Market, tmp_path: Path
) -> None:
    steps = {"2": ["market BUY 1.000"], "3": ["market BUY 1.000"]}
    seen = logged(four_bars, tmp_path, steps, **TWO_BARS_OF_WARM_UP)
    output = run_steps(four_bars, steps, **TWO_BARS_OF_WARM_UP)

    denied, accepted = [line.split()[1] for line in seen if line.startswith("Order")][:2]
    assert seen[2] == f"OrderDenied {denied}"
    assert denied != accepted
    assert output.warmup_denied_orders == 1
    assert [(row["order_id"], row["status"]) for row in output.tables.orders] == [
        (accepted, "FILLED")
    ]


def test_an_order_at_the_windows_first_instant_is_not_denied(four_bars: Market) -> None:
    output = run_steps(
        four_bars, {"2": ["market BUY 1.000"]}, start=T0 + 2 * MINUTE, warmup_start=T0
    )

    assert (output.warmup_denied_orders, len(output.tables.fills)) == (0, 1)


def test_orders_denied_in_warm_up_may_be_cancelled_and_changed_later(four_bars: Market) -> None:
    output = run_steps(
        four_bars,
        {"1": ["limit BUY 1.000 90.0"], "2": ["cancel 0"], "3": ["modify 0 91.0", "cancel 0"]},
        **TWO_BARS_OF_WARM_UP,
    )

    assert (output.warmup_denied_orders, output.tables.orders) == (1, [])


def test_all_orders_of_a_bracket_are_denied_and_told(four_bars: Market, written: Path) -> None:
    output = run_written(
        four_bars,
        written,
        "    told = 0\n"
        "    def step(self, number):\n"
        "        if number == 1:\n"
        "            self.submit_order_list(self.order_factory.bracket(\n"
        "                ID, OrderSide.BUY, ONE,\n"
        "                sl_trigger_price=Price.from_str('90.0'),\n"
        "                tp_price=Price.from_str('125.0')))\n"
        "    def on_order_denied(self, event):\n"
        "        assert 'WARMUP' in event.reason\n"
        "        self.told += 1\n"
        "    def on_stop(self):\n"
        "        assert self.told == 3, self.told\n",
        **TWO_BARS_OF_WARM_UP,
    )

    assert (output.warmup_denied_orders, output.tables.orders) == (3, [])


def test_a_bracket_in_the_window_works(four_bars: Market, written: Path) -> None:
    output = run_written(
        four_bars,
        written,
        "    def step(self, number):\n"
        "        if number == 1:\n"
        "            self.submit_order_list(self.order_factory.bracket(\n"
        "                ID, OrderSide.BUY, ONE,\n"
        "                sl_trigger_price=Price.from_str('90.0'),\n"
        "                tp_price=Price.from_str('125.0')))\n",
    )

    # The take profit fills at its own price when a bar reaches beyond it; the stop is cancelled.
    assert [(row["side"], row["price"]) for row in output.tables.fills] == [
        ("BUY", 100),
        ("SELL", 125),
    ]
    assert sorted(row["status"] for row in output.tables.orders) == ["CANCELED", "FILLED", "FILLED"]


def test_commands_without_orders_are_harmless_in_warm_up(four_bars: Market, written: Path) -> None:
    output = run_written(
        four_bars,
        written,
        "    def step(self, number):\n"
        "        self.cancel_all_orders(ID)\n"
        "        self.close_all_positions(ID)\n",
        **TWO_BARS_OF_WARM_UP,
    )

    assert output.tables.orders == []


def test_the_guard_changes_neither_the_strategys_name_nor_its_ids(
    four_bars: Market, written: Path
) -> None:
    run_written(
        four_bars,
        written,
        "    def step(self, number):\n"
        "        assert type(self).__name__ == 'Written'\n"
        "        assert str(self.strategy_id) == 'Written-000', self.strategy_id\n",
    )


def test_a_callback_during_an_order_command_sees_the_whole_strategy(
    four_bars: Market, written: Path
) -> None:
    # Called while the engine holds the strategy, ``self.config`` would raise inside the engine.
    run_written(
        four_bars,
        written,
        "    seen = ()\n"
        "    def step(self, number):\n"
        "        if number == 1:\n"
        "            self.submit_order(self.order_factory.market(ID, OrderSide.BUY, ONE))\n"
        "    def on_order_initialized(self, event):\n"
        "        self.seen += ('initialized',) if self.config is not None else ()\n"
        "    def on_order_submitted(self, event):\n"
        "        self.seen += ('submitted',) if self.clock.timestamp_ns() else ()\n"
        "    def on_stop(self):\n"
        "        assert self.seen == ('initialized', 'submitted'), self.seen\n",
    )


def test_a_topic_can_be_left_again(four_bars: Market, written: Path) -> None:
    run_written(
        four_bars,
        written,
        "    heard = 0\n"
        "    def hear(self, message):\n"
        "        self.heard += 1\n"
        "    def step(self, number):\n"
        "        if number == 1:\n"
        "            self.subscribe_topic('x', self.hear)\n"
        "        if number == 3:\n"
        "            self.unsubscribe_topic('x', self.hear)\n"
        "        self.publish_message('x', 'hello')\n"
        "    def on_stop(self):\n"
        "        assert self.heard == 2, self.heard\n",
    )


def test_time_goes_on_as_usual_under_the_guarded_clock(four_bars: Market, written: Path) -> None:
    run_written(
        four_bars,
        written,
        "    ticks = 0\n"
        "    def step(self, number):\n"
        "        assert self.clock is self.clock\n"
        "        assert self.clock.timestamp_ns() == 1640995200000000000 + number * 60 * 10**9\n"
        "        if number == 1:\n"
        "            self.clock.set_timer_ns('t', 60 * 10**9, callback=self.tick)\n"
        "        if number == 3:\n"
        "            assert self.clock.timer_names() == ['t']\n"
        "            self.clock.cancel_timer('t')\n"
        "    def tick(self, event):\n"
        "        self.ticks += 1\n"
        "    def on_stop(self):\n"
        "        assert self.ticks in (1, 2), self.ticks\n",
    )


def test_an_error_of_the_engine_is_told_with_the_strategys_line(
    four_bars: Market, written: Path
) -> None:
    with pytest.raises(StrategyFailureError, match=r"written\.py:13, step"):
        run_written(
            four_bars,
            written,
            "    def step(self, number):\n        self.cancel_order('not an order id')\n",
        )


def test_history_goes_back_to_the_first_row_and_no_further_than_now(
    four_bars: Market, written: Path
) -> None:
    # The engine answers only what begins at or after the catalog's first row.
    run_written(
        four_bars,
        written,
        "    history = ()\n"
        "    def step(self, number):\n"
        "        import datetime\n"
        "        if number == 3:\n"
        "            first = datetime.datetime(2022, 1, 1, 0, 1, tzinfo=datetime.UTC)\n"
        "            self.request_bars(BAR_TYPE, start=first)\n"
        "    def on_historical_bars(self, bars):\n"
        "        self.history = tuple(str(bar.close) for bar in bars)\n"
        "    def on_stop(self):\n"
        "        assert self.history == ('100.0', '110.0', '120.0'), self.history\n",
    )


def test_history_from_before_the_first_row_is_not_answered(
    four_bars: Market, written: Path
) -> None:
    run_written(
        four_bars,
        written,
        "    history = ()\n"
        "    def step(self, number):\n"
        "        import datetime\n"
        "        if number == 3:\n"
        "            before = datetime.datetime(2022, 1, 1, tzinfo=datetime.UTC)\n"
        "            self.request_bars(BAR_TYPE, start=before)\n"
        "    def on_historical_bars(self, bars):\n"
        "        self.history = tuple(str(bar.close) for bar in bars)\n"
        "    def on_stop(self):\n"
        "        assert self.history == (), self.history\n",
    )


@pytest.mark.parametrize("sent", ["submit_order(order)", "submit_order_list([order])"])
def test_an_order_for_an_execution_algorithm_fails_the_task(
    four_bars: Market, written: Path, sent: str
) -> None:
    body = (
        "    def step(self, number):\n"
        "        order = self.order_factory.market(\n"
        "            ID, OrderSide.BUY, ONE, exec_algorithm_id=ExecAlgorithmId('TWAP'),\n"
        "            exec_algorithm_params={'horizon_secs': '60', 'interval_secs': '30'})\n"
        f"        self.{sent}\n"
    )

    with pytest.raises(StrategyFailureError, match="names the execution algorithm TWAP, and none"):
        run_written(four_bars, written, body)
