"""Fed with rows decoded before, the engine does what it does when it streams them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from tests.engine.market import (
    MINUTE,
    SECOND,
    STRATEGIES,
    T0,
    Market,
    bars,
    pair,
    perpetual,
    quotes,
    task_inputs,
)
from trading_runtime.config.strategy_code import find_strategy_code
from trading_runtime.engine.simulation.feed import CHUNK_ROWS, decoded
from trading_runtime.engine.simulation.task import TaskOutput, run_task
from trading_runtime.errors import StrategyError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

STEPS = {"2": ["market BUY 1.0"], "5": ["limit SELL 1.0 107.00"], "9": ["market SELL 2.0"]}
BAR_TYPE = "BTCUSDT-PERP.SIM-1-MINUTE-LAST-EXTERNAL"


def both(
    market: Market,
    steps: dict[str, list[str]],
    ways: Sequence[bool] = (False, True, True),
    **settings: Any,
) -> tuple[TaskOutput, ...]:
    """The outputs of the scripted strategy: rows streamed, then twice decoded before."""
    config = {
        "data": [item.identifier for item in market.data],
        "steps": steps,
        "kinds": [item.type for item in market.data],
    }
    code = find_strategy_code("scripted.py:Scripted", STRATEGIES)
    inputs = task_inputs(market, config, **settings)
    rows = decoded(inputs, market.catalog, market.rows)
    assert rows is not None
    return tuple(
        run_task(inputs, code, market.catalog, market.rows, decoded_rows=rows if shared else None)
        for shared in ways
    )


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"at_end": "close"},
        {"start": T0 + 2 * MINUTE, "warmup_start": T0},
        {"equity_interval": MINUTE},
        {"venue": {"latency": {"base": "5s", "insert": None, "update": None, "cancel": None}}},
        {"venue": {"fees": {"model": "fixed", "amount": "1 USDT", "once_per_order": True}}},
        {"venue": {"bar_execution": False, "trade_execution": False}},
        {"venue": {"liquidity_consumption": True, "leverages": {"BTCUSDT-PERP.SIM": "3"}}},
    ],
    ids=str,
)
def test_rows_decoded_before_give_the_tables_that_streamed_ones_give(
    all_kinds: Market, settings: dict[str, Any]
) -> None:
    streamed, first, second = both(all_kinds, STEPS, **settings)
    assert streamed.tables.as_arrow() == first.tables.as_arrow() == second.tables.as_arrow()
    assert streamed.warmup_denied_orders == first.warmup_denied_orders
    assert streamed.tables.as_arrow()["orders"].num_rows


def test_rows_of_two_instruments_at_one_instant_come_in_the_order_of_the_series(
    tmp_path: Path,
) -> None:
    swap, spot = perpetual(), pair("BTC/USDT", "BTC", "USDT")
    rows = [
        *bars(swap, ["100", "110", "120", "130"]),
        *bars(spot, ["101", "111", "121", "131"]),
        *quotes(swap, [("99.9", "100.1")] * 4, step=MINUTE),
    ]
    market = Market.write(tmp_path, [swap, spot], rows)
    streamed, first, _ = both(market, {str(n): [f"market BUY 0.{n}"] for n in range(1, 9)})
    assert streamed.tables.as_arrow() == first.tables.as_arrow()
    assert streamed.tables.as_arrow()["fills"].num_rows > 1


@pytest.mark.parametrize("callback", ["on_start", "on_bar", "on_stop", "on_order_filled"])
def test_what_a_strategy_raises_fails_the_task_also_with_shared_rows(
    callback: str, four_bars: Market, written: Path
) -> None:
    (written / "fails.py").write_text(
        "from nautilus_trader.model import BarType, OrderSide, Quantity\n"
        "from nautilus_trader.trading import Strategy\n"
        f"BAR_TYPE = BarType.from_str({BAR_TYPE!r})\n"
        "class Fails(Strategy):\n"
        "    def on_start(self):\n"
        "        self.subscribe_bars(BAR_TYPE)\n"
        "    def on_bar(self, bar):\n"
        "        self.submit_order(self.order_factory.market(\n"
        "            BAR_TYPE.instrument_id, OrderSide.BUY, Quantity.from_str('0.100')))\n"
        f"class Broken(Fails):\n    def {callback}(self, *arguments):\n"
        "        raise ValueError('by design')\n"
    )
    code = find_strategy_code("fails.py:Broken", written)
    inputs = task_inputs(four_bars, {})
    rows = decoded(inputs, four_bars.catalog, four_bars.rows)
    with pytest.raises(StrategyError, match="by design"):
        run_task(inputs, code, four_bars.catalog, four_bars.rows, decoded_rows=rows)
    sound = find_strategy_code("fails.py:Fails", written)
    output = run_task(inputs, sound, four_bars.catalog, four_bars.rows, decoded_rows=rows)
    assert output.tables.as_arrow()["orders"].num_rows == four_bars.rows


def test_a_venue_that_the_engine_refuses_is_a_bad_setting_also_with_shared_rows(
    spot: Market,
) -> None:
    with pytest.raises(UsageError, match=r"venue\.base_currency: .*single-currency CASH account"):
        both(spot, {}, venue={"account_type": "cash", "base_currency": "USDT"}, ways=(True,))


def test_large_partitions_and_books_are_streamed(four_bars: Market) -> None:
    inputs = task_inputs(four_bars, {})
    series = inputs.partition.data[0]._replace(type="order_book_deltas")
    book = replace(inputs, partition=replace(inputs.partition, data=[series]))
    assert decoded(inputs, four_bars.catalog, CHUNK_ROWS) is not None
    assert decoded(inputs, four_bars.catalog, CHUNK_ROWS + 1) is None
    assert decoded(book, four_bars.catalog, 4) is None


def test_decoded_rows_are_in_order_of_time(all_kinds: Market) -> None:
    rows = decoded(task_inputs(all_kinds, {}), all_kinds.catalog, all_kinds.rows)
    assert rows is not None
    times = [row.ts_init for row in rows.rows]
    assert len(times) == 60
    assert times == sorted(times)
    assert times[-1] - times[0] >= 19 * 60 * SECOND
