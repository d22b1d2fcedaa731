"""One task: a fresh engine for a strategy, whatever the process has run before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.engine.market import (
    MINUTE,
    SECOND,
    Market,
    bars,
    perpetual,
    quotes,
    run,
    run_steps,
    task_inputs,
)
from tests.engine.test_tables import digest
from trading_runtime.config.strategy_code import find_strategy_code
from trading_runtime.engine.simulation.task import run_task
from trading_runtime.errors import StrategyError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

BAR_TYPE = "BTCUSDT-PERP.SIM-1-MINUTE-LAST-EXTERNAL"
HEAD = (
    "import random\n"
    "from nautilus_trader.model import BarType, OrderSide, Quantity\n"
    "from nautilus_trader.trading import Strategy\n"
    f"BAR_TYPE = BarType.from_str({BAR_TYPE!r})\n"
)
BUYS = (
    "class Buys(Strategy):\n"
    "    bought = 0\n"
    "    def on_start(self):\n"
    "        self.subscribe_bars(BAR_TYPE)\n"
    "    def on_bar(self, bar):\n"
    "        size = Quantity.from_str(f'{self.size():.3f}')\n"
    "        self.submit_order(\n"
    "            self.order_factory.market(BAR_TYPE.instrument_id, OrderSide.BUY, size))\n"
)


def sizes(market: Market, folder: Path, **settings: Any) -> list[float]:
    output = run(market, "buys.py:Buys", {}, folder=folder, **settings)
    return [float(row["quantity"]) for row in output.tables.orders]


@pytest.mark.parametrize(
    "counts",
    [
        "        Buys.bought += 1\n        return Buys.bought\n",
        "        SEEN.append(1)\n        return len(SEEN)\n",
    ],
    ids=["in its class", "in its module"],
)
def test_state_that_a_strategy_keeps_never_outlives_a_task(
    four_bars: Market, written: Path, counts: str
) -> None:
    (written / "buys.py").write_text(f"{HEAD}SEEN = []\n{BUYS}    def size(self):\n{counts}")

    assert sizes(four_bars, written) == [1, 2, 3, 4]
    assert sizes(four_bars, written) == [1, 2, 3, 4]


def test_state_in_a_module_beside_the_strategy_never_outlives_a_task(
    four_bars: Market, written: Path
) -> None:
    (written / "counter.py").write_text("SEEN = []\n")
    (written / "buys.py").write_text(
        f"from counter import SEEN\n{HEAD}{BUYS}"
        "    def size(self):\n        SEEN.append(1)\n        return len(SEEN)\n"
    )

    assert sizes(four_bars, written) == [1, 2, 3, 4]
    assert sizes(four_bars, written) == [1, 2, 3, 4]


def test_a_changed_strategy_is_run_as_changed(four_bars: Market, written: Path) -> None:
    file = written / "buys.py"
    for size in (1, 2):
        file.write_text(f"{HEAD}{BUYS}    def size(self):\n        return {size}\n")
        assert sizes(four_bars, written) == [size] * 4

    assert [path.name for path in written.iterdir()] == ["buys.py"]


@pytest.mark.parametrize(
    "draw", ["random.uniform(1, 2)", "__import__('numpy').random.uniform(1, 2)"]
)
def test_random_numbers_come_from_the_seed(four_bars: Market, written: Path, draw: str) -> None:
    (written / "buys.py").write_text(f"{HEAD}{BUYS}    def size(self):\n        return {draw}\n")

    first = sizes(four_bars, written)
    assert len(set(first)) == 4
    assert sizes(four_bars, written) == first
    assert sizes(four_bars, written, seed=2) != first


def test_code_from_outside_the_strategys_fails_every_task_that_imports_it(
    four_bars: Market, written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    outside = tmp_path / "elsewhere" / "outside_of_it.py"
    outside.write_text("ONE = 1\n")
    monkeypatch.syspath_prepend(str(outside.parent))
    (written / "buys.py").write_text(
        f"{HEAD}{BUYS}"
        "    def size(self):\n        import outside_of_it\n        return outside_of_it.ONE\n"
    )

    for _ in range(2):
        with pytest.raises(StrategyError, match="imported outside_of_it from") as failure:
            sizes(four_bars, written)
        assert str(outside) in str(failure.value)
    assert sizes(four_bars, written, code=["../elsewhere"]) == [1, 1, 1, 1]


@pytest.mark.parametrize("name", ["EmaCross", "GridMarketMaker"])
def test_builtin_strategies_trade_and_repeat_themselves(tmp_path: Path, name: str) -> None:
    instrument = perpetual()
    prices = [
        100 + (number % 40 if number % 80 < 40 else 40 - number % 40) for number in range(400)
    ]
    rows = quotes(instrument, [(f"{price}.0", f"{price}.1") for price in prices])
    market = Market.write(tmp_path, [instrument], rows)
    config: dict[str, Any] = {"instrument_id": "BTCUSDT-PERP.SIM", "trade_size": "0.100"}
    if name == "EmaCross":
        config |= {"fast_period": 5, "slow_period": 20}
    else:
        config |= {"max_position": "1.000", "num_levels": 2}
    inputs = task_inputs(market, config, equity_interval=MINUTE)
    code = find_strategy_code(f"builtin:{name}", tmp_path)

    first, second = (run_task(inputs, code, market.catalog, market.rows) for _ in range(2))

    assert len(first.tables.fills) > 2
    assert digest(first) == digest(second)


def test_an_unknown_builtin_strategy_is_told_the_known_ones(four_bars: Market) -> None:
    with pytest.raises(
        UsageError, match=r"no builtin strategy 'EmaKross'; it has .*builtin:EmaCross"
    ):
        run(four_bars, "builtin:EmaKross", {})


def test_a_builtin_strategys_values_are_checked(four_bars: Market) -> None:
    with pytest.raises(UsageError) as refusal:
        run(
            four_bars, "builtin:EmaCross", {"instrument_id": 5, "fastperiod": 3, "slow_period": "x"}
        )

    lines = str(refusal.value).splitlines()
    assert len(lines) == 4
    assert "EmaCrossConfig has no field 'fastperiod'; did you mean 'fast_period'?" in lines
    assert "EmaCrossConfig needs a value for 'trade_size', in strategy.config" in str(refusal.value)


def test_a_strategy_that_never_subscribes_still_has_all_rows_consumed(
    four_bars: Market, written: Path
) -> None:
    (written / "buys.py").write_text(
        "from nautilus_trader.trading import Strategy\nclass Buys(Strategy):\n    pass\n"
    )

    assert sizes(four_bars, written) == []


def test_an_account_that_is_ruined_ends_below_zero_and_not_in_an_error(tmp_path: Path) -> None:
    instrument = perpetual()
    market = Market.write(tmp_path, [instrument], bars(instrument, ["100", "50", "10", "20"]))
    output = run_steps(
        market,
        {"1": ["market BUY 10.000"], "4": ["market BUY 1.000"]},
        equity_interval=MINUTE,
        venue={"balances": ["300 USDT"], "leverage": "10"},
    )

    assert [row["equity"] for row in output.tables.equity][:5] == [300, 300, -200, -600, -500]


def test_a_window_of_one_row_has_a_result(tmp_path: Path) -> None:
    instrument = perpetual()
    market = Market.write(tmp_path, [instrument], bars(instrument, ["100"]))

    output = run_steps(market, {"1": ["market BUY 1.000"]}, at_end="close")

    assert [row["equity"] for row in output.tables.equity] == [100000, 100000]
    assert len(output.tables.fills) == 2


def test_rows_of_two_instruments_come_in_the_order_of_their_times(
    tmp_path: Path,
) -> None:
    first, second = perpetual("AAA-PERP"), perpetual("BBB-PERP")
    rows = [*bars(first, ["100", "110"]), *quotes(second, [("50", "51")] * 3, step=50 * SECOND)]
    market = Market.write(tmp_path / "catalog", [first, second], rows)
    output = run_steps(
        market, {"1": ["BBB-PERP:market BUY 1.000"], "2": ["AAA-PERP:market BUY 1.000"]}
    )

    # A quote at 50 s, a bar at 60 s.
    assert [(row["instrument_id"], row["price"]) for row in output.tables.fills] == [
        ("BBB-PERP.SIM", 51),
        ("AAA-PERP.SIM", 100),
    ]


def test_an_order_for_an_instrument_without_a_price_is_denied(tmp_path: Path) -> None:
    first, second = perpetual("AAA-PERP"), perpetual("BBB-PERP")
    market = Market.write(tmp_path, [first, second], bars(first, ["100", "110"]))
    output = run_steps(market, {"1": ["BBB-PERP:market BUY 1.000"]})

    (order,) = output.tables.orders
    assert order["status"] == "DENIED"
    assert order["reason"].startswith("MARKET_PRICE_UNAVAILABLE")


def test_an_instrument_without_rows_in_the_window_can_be_looked_up(
    tmp_path: Path, written: Path
) -> None:
    first, second = perpetual("AAA-PERP"), perpetual("BBB-PERP")
    market = Market.write(tmp_path / "catalog", [first, second], bars(first, ["100", "110"]))
    (written / "looks.py").write_text(
        "from nautilus_trader.model import InstrumentId\n"
        "from nautilus_trader.trading import Strategy\n"
        "class Looks(Strategy):\n"
        "    def on_start(self):\n"
        "        found = self.cache.instrument(InstrumentId.from_str('BBB-PERP.SIM'))\n"
        "        assert found.price_precision == 1\n"
    )

    run(market, "looks.py:Looks", {}, folder=written)


def test_the_cache_lists_instruments_and_orders_by_their_ids(tmp_path: Path, written: Path) -> None:
    # The engine keeps them in hash sets, in an order that no second process has.
    instruments = [perpetual(f"A{number}-PERP") for number in range(8)]
    rows = [row for instrument in instruments for row in bars(instrument, ["100", "110"])]
    market = Market.write(tmp_path / "catalog", instruments, rows)
    (written / "lists.py").write_text(
        "from nautilus_trader.model import BarType, OrderSide, Price, Quantity\n"
        "from nautilus_trader.trading import Strategy\n"
        "class Lists(Strategy):\n"
        "    def on_start(self):\n"
        "        ids = [str(item.id) for item in self.cache.instruments()]\n"
        "        assert ids == [f'A{number}-PERP.SIM' for number in range(8)], ids\n"
        "        assert ids == [str(item) for item in self.cache.instrument_ids()]\n"
        "        for item in self.cache.instruments():\n"
        "            self.submit_order(self.order_factory.limit(\n"
        "                item.id, OrderSide.BUY, Quantity.from_str('1.000'),"
        " Price.from_str('50.0')))\n"
        "    def on_stop(self):\n"
        "        ids = [str(item) for item in self.cache.client_order_ids()]\n"
        "        assert len(ids) == 8 and ids == sorted(ids), ids\n"
    )

    run(market, "lists.py:Lists", {}, folder=written)


def test_a_helper_that_is_a_link_belongs_to_the_strategy_beside_it(
    four_bars: Market, written: Path, tmp_path: Path
) -> None:
    (tmp_path / "real_helper.py").write_text("ONE = 1\n")
    (written / "helper.py").symlink_to(tmp_path / "real_helper.py")
    (written / "buys.py").write_text(
        f"from helper import ONE\n{HEAD}{BUYS}    def size(self):\n        return ONE\n"
    )

    assert sizes(four_bars, written) == [1, 1, 1, 1]
