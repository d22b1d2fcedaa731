"""Data that gives no market, and data that never comes: what the warnings claim is so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from nautilus_trader import model

from tests.engine.market import (
    MINUTE,
    T0,
    Market,
    bars,
    perpetual,
    quotes,
    run,
    run_steps,
    statuses,
    trades,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from trading_runtime.engine.simulation.task import TaskOutput

NAME = "BTCUSDT-PERP.SIM"
STEPS = {"4": ["market BUY 1", "market SELL 1", "limit BUY 1 200.0", "limit SELL 1 50.0"]}


def of_price(kind: str, minutes: int) -> list[Any]:
    """Ten minutes of bars at 100 (ask bars: 100.1)."""
    instrument = perpetual()
    bar_type = model.BarType.from_str(f"{NAME}-{minutes}-MINUTE-{kind}-EXTERNAL")
    price = instrument.make_price(100.1 if kind == "ASK" else 100)
    size = instrument.make_qty(1000)
    times = range(T0 + minutes * MINUTE, T0 + 10 * MINUTE + 1, minutes * MINUTE)
    return [model.Bar(bar_type, price, price, price, price, size, ts, ts) for ts in times]


@pytest.fixture
def over(tmp_path: Path) -> Callable[..., TaskOutput]:
    """Sends a market order and a limit order of each side, and gives what came of them."""

    def go(*kinds: str, **venue: Any) -> TaskOutput:
        rows = [row for kind in kinds for row in of_price(kind[1:], int(kind[0]))]
        return run_steps(Market.write(tmp_path, [perpetual()], rows), STEPS, venue=venue)

    return go


@pytest.mark.parametrize(
    "kinds", [["1BID"], ["1ASK"], ["1MARK"], ["1BID", "5ASK"], ["5LAST", "1BID"]]
)
def test_over_bars_of_one_side_or_of_marks_nothing_is_ever_filled(
    over: Callable[..., TaskOutput], kinds: list[str]
) -> None:
    assert over(*kinds).tables.fills == []


def test_over_middle_prices_market_orders_are_denied(over: Callable[..., TaskOutput]) -> None:
    assert statuses(over("1MID")) == {"DENIED": 2, "FILLED": 2}


def test_over_bars_that_do_not_move_the_market_nothing_is_ever_filled(
    over: Callable[..., TaskOutput],
) -> None:
    assert over("1LAST", bar_execution=False).tables.fills == []


@pytest.mark.parametrize("kinds", [["1LAST"], ["1BID", "1ASK"], ["1LAST", "1BID"]])
def test_over_bars_of_trades_or_of_both_sides_all_is_filled(
    over: Callable[..., TaskOutput], kinds: list[str]
) -> None:
    assert statuses(over(*kinds)) == {"FILLED": 4}


@pytest.mark.parametrize(("skip", "minutes"), [(True, [5, 10, 65, 70]), (False, [5, 10, 15, 20])])
def test_bars_that_the_engine_makes_end_in_a_night_without_data_unless_they_are_left_out(
    tmp_path: Path, *, skip: bool, minutes: list[int]
) -> None:
    """Ten minutes of bars, fifty without, and ten more."""
    day = of_price("LAST", 1)
    night = 60 * MINUTE
    rows = day + [
        model.Bar(
            bar.bar_type, bar.open, bar.high, bar.low, bar.close, bar.volume,
            bar.ts_event + night, bar.ts_init + night,
        )
        for bar in day
    ]  # fmt: skip
    config = {
        "kinds": ["bars"],
        "data": [f"{NAME}-5-MINUTE-LAST-INTERNAL@1-MINUTE-EXTERNAL"],
        "steps": {str(at): ["market BUY 1"] for at in range(1, 5)},
    }
    market = Market.write(tmp_path, [perpetual()], rows)

    output = run(market, "scripted.py:Scripted", config, venue={"skip_empty_bars": skip})

    assert [(fill["ts"] - T0) // MINUTE for fill in output.tables.fills] == minutes


SUBSCRIBING = """from nautilus_trader.model import BarType, BookType, InstrumentId
from nautilus_trader.trading import Strategy
OWN, OTHER = (InstrumentId.from_str(name) for name in ("BTCUSDT-PERP.SIM", "ETHUSDT-PERP.SIM"))

def bars(text):
    return BarType.from_str(f"BTCUSDT-PERP.SIM-{text}")

class Subscribing(Strategy):
    def on_start(self):
        self.subscribe_bars(bar_type=bars("1-MINUTE-LAST-EXTERNAL"))
        self.subscribe_bars(bars("5-MINUTE-LAST-INTERNAL@1-MINUTE-EXTERNAL"))
        {}
"""


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("pass", []),
        ("self.subscribe_quotes(OWN)", ["quotes of BTCUSDT-PERP.SIM"]),
        ("self.subscribe_trades(instrument_id=OTHER)", ["trades of ETHUSDT-PERP.SIM"]),
        ("self.subscribe_mark_prices(OWN)", ["mark prices of BTCUSDT-PERP.SIM"]),
        ("self.subscribe_funding_rates(OWN)", ["funding rates of BTCUSDT-PERP.SIM"]),
        (
            "self.subscribe_book_deltas(OWN, BookType.L2_MBP)",
            ["book deltas of BTCUSDT-PERP.SIM"],
        ),
        (
            "self.subscribe_book_at_interval(OWN, BookType.L2_MBP, 60_000)",
            ["book at interval of BTCUSDT-PERP.SIM"],
        ),
        (
            "self.subscribe_bars(bars('1-HOUR-LAST-EXTERNAL'))",
            ["bars of BTCUSDT-PERP.SIM-1-HOUR-LAST-EXTERNAL"],
        ),
        (
            "self.subscribe_bars(bars('5-MINUTE-MID-INTERNAL'))",
            ["bars of BTCUSDT-PERP.SIM-5-MINUTE-MID-INTERNAL"],
        ),
        (
            "self.subscribe_bars(bars('10-MINUTE-LAST-INTERNAL@5-MINUTE-EXTERNAL'))",
            ["bars of BTCUSDT-PERP.SIM-10-MINUTE-LAST-INTERNAL@5-MINUTE-EXTERNAL"],
        ),
    ],
)
def test_what_a_strategy_subscribes_to_and_is_not_fed_is_named(
    tmp_path: Path, line: str, found: list[str]
) -> None:
    (tmp_path / "strategy").mkdir()
    (tmp_path / "strategy" / "subscribing.py").write_text(SUBSCRIBING.replace("{}", line))
    market = Market.write(tmp_path / "catalog", [perpetual()], bars(perpetual(), ["100"] * 3))

    output = run(market, "subscribing.py:Subscribing", {}, folder=tmp_path / "strategy")

    assert output.unfed == found


@pytest.mark.parametrize(
    ("trigger", "fed", "status", "found"),
    [
        (
            "LAST_PRICE",
            "bars",
            "EMULATED",
            ["trades of BTCUSDT-PERP.SIM, which trigger emulated orders"],
        ),
        (
            "BID_ASK",
            "bars",
            "EMULATED",
            ["quotes of BTCUSDT-PERP.SIM, which trigger emulated orders"],
        ),
        ("LAST_PRICE", "trades", "FILLED", []),
        ("BID_ASK", "quotes", "FILLED", []),
    ],
)
def test_an_emulated_order_that_no_data_can_trigger_is_named(
    tmp_path: Path, trigger: str, fed: str, status: str, found: list[str]
) -> None:
    instrument = perpetual()
    prices = ["100", "101", "103", "104"]
    rows = {
        "bars": bars(instrument, prices),
        "trades": trades(instrument, prices, size="100"),
        "quotes": quotes(instrument, [(price, price) for price in prices]),
    }[fed]
    market = Market.write(tmp_path, [instrument], rows)

    output = run_steps(market, {"1": [f"emulated BUY 1.000 102.0 {trigger}"]})

    assert statuses(output) == {status: 1}
    assert output.unfed == found


def test_a_bar_without_volume_leaves_the_market_where_the_last_one_with_volume_left_it(
    tmp_path: Path,
) -> None:
    instrument = perpetual()
    rows = [
        *bars(instrument, ["100"]),
        *bars(instrument, ["110", "120"], T0 + MINUTE, volume="0"),
        *bars(instrument, ["130"], T0 + 3 * MINUTE),
    ]
    market = Market.write(tmp_path, [instrument], rows)

    output = run_steps(market, {"2": ["market BUY 1"], "4": ["market SELL 1"]})

    # As in the bare engine: bought while the strategy sees 110.
    assert [(row["price"], row["ts"]) for row in output.tables.fills] == [
        (100, T0 + 2 * MINUTE),
        (130, T0 + 4 * MINUTE),
    ]


def test_where_no_bar_has_a_volume_orders_are_rejected(tmp_path: Path) -> None:
    market = Market.write(tmp_path, [perpetual()], bars(perpetual(), ["100", "110"], volume="0"))

    output = run_steps(market, {"1": ["market BUY 1"]})

    assert [row["reason"] for row in output.tables.orders] == [f"No market for {NAME}"]
