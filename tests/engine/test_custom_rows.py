"""Rows of the user's own reach a strategy as those do that are added to the bare engine."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from nautilus_trader import model
from nautilus_trader.backtest import BacktestEngine, BacktestEngineConfig
from nautilus_trader.common import LoggerConfig
from nautilus_trader.execution import MakerTakerFeeModel
from nautilus_trader.trading import Strategy

from tests.engine.market import MINUTE, T0, Market, bars, perpetual, task_inputs
from trading_runtime.config.strategy_code import find_strategy_code
from trading_runtime.engine.simulation.feed import decoded
from trading_runtime.engine.simulation.task import TaskOutput, run_task
from trading_runtime.errors import StrategyError
from trading_runtime.records.inputs import SeriesInputs

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

NAME = "BTCUSDT-PERP.SIM"
BAR_TYPE = f"{NAME}-1-MINUTE-LAST-EXTERNAL"
SECONDS = (60, 90, 120, 120, 400)
"""When the rows are: with a bar, between bars, two with a bar, and after the last of four bars."""
LISTENER = f"""
from nautilus_trader.model import BarType, DataType, InstrumentId, OrderSide, Quantity
from nautilus_trader.trading import Strategy

class Listener(Strategy):
    def on_start(self):
        self.subscribe_bars(BarType.from_str("{BAR_TYPE}"))
        self.subscribe_data(DataType("mood", identifier="{NAME}"))
        self.clock.set_time_alert_ns("later", {T0 + 2 * MINUTE}, self.on_alert)
    def on_alert(self, event):
        self.note("alert")
    def on_bar(self, bar):
        self.note("bar")
    def on_data(self, data):
        self.note(f"data {{data.data.score}} {{data.data.label}} {{data.data.ts_event}}")
        self.submit_order(self.order_factory.market(
            InstrumentId.from_str("{NAME}"), OrderSide.BUY, Quantity.from_str("1.000")))
    def note(self, what):
        from builtins import print
        print(self.clock.timestamp_ns(), what)
"""


def with_rows(market: Market, folder: Path, seconds: Sequence[int] = SECONDS) -> Market:
    """The market with custom rows, in the files that preparation writes."""
    place = market.catalog / "data" / "custom" / f"{NAME}-mood"
    place.mkdir(parents=True)
    times = pa.array([T0 + at * 10**9 for at in seconds], pa.int64()).cast(
        pa.timestamp("ns", tz="UTC")
    )
    facts = {"instrument_id": NAME, "type_name": "mood", "fields": json.dumps(["score", "label"])}
    columns = {
        "score": pa.array([number / 2 for number in range(len(seconds))]),
        "label": pa.array([f"no {number}" for number in range(len(seconds))]),
        "ts_event": times,
        "ts_init": times,
    }
    pq.write_table(pa.table(columns, metadata=facts), place / "rows.parquet", row_group_size=2)
    last = max(market.last, T0 + seconds[-1] * 10**9)
    series = SeriesInputs("custom", f"{NAME}-mood", NAME)
    (folder / "listener.py").write_text(LISTENER)
    return replace(market, rows=market.rows + len(seconds), data=[*market.data, series], last=last)


@pytest.fixture
def market(tmp_path: Path) -> Market:
    """Four bars, a minute apart, and custom rows."""
    found = Market.write(
        tmp_path / "catalog", [perpetual()], bars(perpetual(), ["100", "110", "120", "130"])
    )
    return with_rows(found, tmp_path)


def output_of(market: Market, folder: Path, *, shared: bool, name: str = "Listener") -> TaskOutput:
    """What the task gives that the strategy in ``folder`` runs."""
    inputs = task_inputs(market, {})
    rows = decoded(inputs, market.catalog, market.rows) if shared else None
    assert shared is (rows is not None)
    code = find_strategy_code(f"listener.py:{name}", folder)
    return run_task(inputs, code, market.catalog, market.rows, decoded_rows=rows)


def add_class(folder: Path, text: str) -> None:
    """Add a class beside the listener's."""
    with (folder / "listener.py").open("a") as file:
        file.write(text)


class Bare(Strategy):
    """Notes what the bare engine calls it with."""

    def on_start(self) -> None:
        """Subscribe as the strategy above does."""
        self.noted: list[str] = []
        self.subscribe_bars(model.BarType.from_str(BAR_TYPE))
        self.subscribe_data(model.DataType("mood", identifier=NAME))
        self.clock.set_time_alert_ns("later", T0 + 2 * MINUTE, lambda _event: self.note("alert"))

    def on_bar(self, _bar: Any) -> None:
        """Note it."""
        self.note("bar")

    def on_data(self, data: Any) -> None:
        """Note it."""
        self.note(f"data {data.data.score} {data.data.label} {data.data.ts_event}")

    def note(self, what: str) -> None:
        """Keep what happened, and when."""
        self.noted.append(f"{self.clock.timestamp_ns()} {what}")


class Mood:
    """A custom row of the bare engine."""

    def __init__(self, number: int, ts: int) -> None:
        self.score, self.label = number / 2, f"no {number}"
        self.ts_event = self.ts_init = ts


def bare_calls() -> list[str]:
    """What the bare engine calls a strategy with when custom rows are added to its data."""
    engine = BacktestEngine(BacktestEngineConfig(logging=LoggerConfig(bypass_logging=True)))
    venue = model.Venue("SIM")
    money = [model.Money.from_str("1000 USDT")]
    engine.add_venue(
        venue, model.OmsType.NETTING, model.AccountType.MARGIN, money,
        fee_model=MakerTakerFeeModel(Decimal(0), Decimal(0)),
    )  # fmt: skip
    engine.add_instrument(perpetual())
    kind = model.DataType("mood", identifier=NAME)
    rows = [
        model.CustomData(kind, Mood(number, T0 + at * 10**9)) for number, at in enumerate(SECONDS)
    ]
    engine.add_data(bars(perpetual(), ["100", "110", "120", "130"]))
    engine.add_data(rows)
    strategy = Bare()
    engine.add_strategy(strategy)
    engine.run()
    engine.dispose()
    return strategy.noted


@pytest.mark.parametrize("shared", [False, True], ids=["streamed", "decoded"])
def test_custom_rows_come_in_the_order_in_which_the_bare_engine_gives_them(
    market: Market, tmp_path: Path, capfd: pytest.CaptureFixture[str], *, shared: bool
) -> None:
    expected = bare_calls()
    capfd.readouterr()

    output = output_of(market, tmp_path, shared=shared)

    printed = capfd.readouterr().out.splitlines()
    assert [line for line in printed if line.partition(" ")[0].isdecimal()] == expected
    assert len(expected) == 4 + len(SECONDS) + 1
    assert output.unfed == []
    # Bought at the bar of the row's instant, or at the last one before it: by hand.
    fills = output.tables.as_arrow()["fills"]
    assert [str(price).rstrip("0").rstrip(".") for price in fills["price"].to_pylist()] == [
        "100", "100", "110", "110", "130"
    ]  # fmt: skip


def test_streamed_and_decoded_rows_give_the_same_tables(market: Market, tmp_path: Path) -> None:
    streamed, shared = (output_of(market, tmp_path, shared=way) for way in (False, True))
    assert streamed.tables.as_arrow() == shared.tables.as_arrow()


@pytest.mark.parametrize("shared", [False, True], ids=["streamed", "decoded"])
def test_what_on_data_raises_fails_the_task(
    market: Market, tmp_path: Path, *, shared: bool
) -> None:
    add_class(
        tmp_path,
        "class Broken(Listener):\n    def on_data(self, data):\n"
        "        raise ValueError('by design')\n",
    )
    with pytest.raises(StrategyError, match="by design"):
        output_of(market, tmp_path, shared=shared, name="Broken")


def test_a_row_cannot_be_changed_for_the_next_task(market: Market, tmp_path: Path) -> None:
    add_class(
        tmp_path,
        "class Changing(Listener):\n    def on_data(self, data):\n        data.data.score = 7.0\n",
    )
    with pytest.raises(StrategyError, match="can't set attribute"):
        output_of(market, tmp_path, shared=True, name="Changing")


@pytest.mark.parametrize(
    ("line", "found"),
    [
        (f"DataType('mode', identifier='{NAME}')", [f"data of {NAME}-mode"]),
        ("DataType('mood')", ["data of mood"]),
        (f"DataType('mood', identifier='{NAME}')", []),
    ],
)
def test_custom_data_that_never_comes_is_named(
    market: Market, tmp_path: Path, line: str, found: list[str]
) -> None:
    add_class(
        tmp_path,
        f"class Other(Listener):\n    def on_start(self):\n        self.subscribe_data({line})\n",
    )
    assert output_of(market, tmp_path, shared=True, name="Other").unfed == found


def test_what_a_strategy_publishes_to_itself_is_not_missing(market: Market, tmp_path: Path) -> None:
    add_class(
        tmp_path,
        "from nautilus_trader.model import CustomData\n"
        "class Own(Listener):\n"
        "    def on_start(self):\n"
        "        super().on_start()\n"
        "        self.subscribe_data(DataType('own'))\n"
        "    def on_data(self, data):\n"
        "        if data.data_type.type_name == 'mood':\n"
        "            kind = DataType('own')\n"
        "            self.publish_data(kind, CustomData(kind, data.data))\n",
    )
    assert output_of(market, tmp_path, shared=True, name="Own").unfed == []
