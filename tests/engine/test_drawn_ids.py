"""No id that the engine draws at random reaches an artifact, and a repeat gives the same rows."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.engine.market import (
    MINUTE,
    T0,
    Market,
    bars,
    equity,
    future,
    option,
    perpetual,
    quotes,
    run_steps,
    trades,
)

if TYPE_CHECKING:
    from trading_runtime.engine.simulation.task import TaskOutput

ROOT = Path(__file__).parent.parent.parent
EXPIRY = T0 + 6 * MINUTE
UUID = re.compile(r"[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}", re.IGNORECASE)
USD = {"balances": ["1000000 USD"]}
HEDGING = USD | {"oms_type": "hedging"}


def delivered(folder: Path) -> Market:
    """Four calls and two futures that expire together; the stock is at 110, the futures gain 10."""
    stock = equity()
    options = [option(strike) for strike in ("90", "95", "100", "105")]
    futures = [future(name, expiration=EXPIRY) for name in ("ESA", "ESB")]
    rows = trades(stock, ["110"] * 10, step=MINUTE)
    for contract in options:
        rows += trades(contract, ["5"] * 10, step=MINUTE, size="10")
    for contract in futures:
        rows += trades(contract, ["100"] * 4 + ["110"] * 6, step=MINUTE, size="10")
    return Market.write(folder, [stock, *options, *futures], rows)


def swaps(folder: Path) -> Market:
    """Two perpetuals that rise and fall again, with a bar a minute."""
    rows: list[Any] = []
    instruments = [perpetual("AAA-PERP"), perpetual("BBB-PERP")]
    for instrument in instruments:
        rows += bars(instrument, ["100", "110", "120", "130", "120", "110", "100", "90"])
    return Market.write(folder, instruments, rows)


def ruined(folder: Path) -> Market:
    """Two perpetuals that fall by a third, with quotes each minute."""
    rows: list[Any] = []
    instruments = [perpetual("AAA-PERP"), perpetual("BBB-PERP")]
    for instrument in instruments:
        rows += quotes(instrument, [("100", "100")] * 3 + [("66", "66")] * 3, step=MINUTE)
    return Market.write(folder, instruments, rows)


LIQUIDATED: dict[str, Any] = {
    "balances": ["10000 USDT"],
    "leverage": "10",
    "liquidation": {"trigger_ratio": "1", "cancel_open_orders": True, "fee": "0.001"},
}
TWO_POSITIONS = ["AAA-PERP:market BUY 150", "BBB-PERP:market BUY 150", "AAA-PERP:limit SELL 1 200"]
# At the fourteenth row both minutes of all seven series have come, so that each has a price.
CALLS = [
    "AAPLC90:market BUY 1",
    "AAPLC95:market SELL 1",
    "AAPLC100:market BUY 2",
    "AAPLC105:market SELL 2",
]
RUNS: dict[str, tuple[Any, dict[str, list[str]], dict[str, Any]]] = {
    "futures expire": (delivered, {"14": ["ESA:market BUY 1", "ESB:market SELL 2"]}, USD),
    "hedged futures expire": (
        delivered,
        {"14": ["ESA:market BUY 1", "ESA:market BUY 1", "ESA:market SELL 2", "ESB:market BUY 1"]},
        HEDGING,
    ),
    "calls are delivered": (delivered, {"14": CALLS}, USD),
    "hedged calls are delivered": (delivered, {"14": CALLS}, HEDGING),
    "all expire": (delivered, {"14": [*CALLS, "ESA:market BUY 1", "ESB:market BUY 1"]}, USD),
    "positions turn": (
        swaps,
        {
            "2": ["AAA-PERP:market BUY 1.000", "BBB-PERP:market SELL 1.000"],
            "6": ["AAA-PERP:market SELL 3.000", "BBB-PERP:market BUY 2.000"],
            "12": ["AAA-PERP:market BUY 3.000", "BBB-PERP:close"],
        },
        {},
    ),
    "brackets": (
        swaps,
        {
            "2": [
                "AAA-PERP:bracket BUY 1.000 95.0 125.0",
                "BBB-PERP:bracket SELL 1.000 105.0 80.0",
            ],
            "8": ["AAA-PERP:bracket BUY 2.000 105.0 150.0"],
        },
        {},
    ),
    "positions are liquidated": (ruined, {"2": TWO_POSITIONS}, LIQUIDATED),
    "hedged positions are liquidated": (
        ruined,
        {"2": [*TWO_POSITIONS, "AAA-PERP:market BUY 10", "AAA-PERP:market SELL 5"]},
        LIQUIDATED | {"oms_type": "hedging"},
    ),
    "hedged brackets": (
        swaps,
        {"2": ["AAA-PERP:bracket BUY 1.000 95.0 125.0", "AAA-PERP:bracket SELL 1.000 115.0 80.0"]},
        {"oms_type": "hedging"},
    ),
}


def run_case(name: str, folder: Path) -> TaskOutput:
    make, steps, venue = RUNS[name]
    currency = venue.get("balances", ["0 USDT"])[0].split()[1]
    return run_steps(make(folder), steps, venue=venue, currency=currency)


def texts(output: TaskOutput) -> list[str]:
    """Every text of every artifact."""
    return [
        value
        for columns in output.tables.columns.values()
        for values in columns.values()
        for value in values
        if isinstance(value, str)
    ]


def content(output: TaskOutput) -> str:
    return json.dumps(output.tables.columns)


@pytest.mark.parametrize("name", RUNS)
def test_no_artifact_holds_a_random_id_and_a_repeat_is_the_same(name: str, tmp_path: Path) -> None:
    first, second = run_case(name, tmp_path / "1"), run_case(name, tmp_path / "2")

    assert first.tables.columns["fills"]["fill"]
    assert [text for text in texts(first) if UUID.search(text)] == []
    assert content(first) == content(second)


@pytest.mark.parametrize(
    "name", ["hedged futures expire", "all expire", "hedged positions are liquidated"]
)
def test_another_process_gives_the_same_rows(name: str, tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from tests.engine.test_drawn_ids import *\n"
        "print(content(run_case(sys.argv[1], Path(sys.argv[2]))))"
    )
    again = subprocess.run(
        [sys.executable, "-c", program, name, str(tmp_path / "2")],
        cwd=ROOT,
        env=os.environ | {"PYTHONHASHSEED": "7"},
        capture_output=True,
        text=True,
        check=True,
    )

    assert again.stdout.strip() == content(run_case(name, tmp_path / "1"))


def test_an_expired_future_is_closed_by_a_numbered_order_at_the_last_price(tmp_path: Path) -> None:
    output = run_case("futures expire", tmp_path)

    orders = {row["instrument_id"]: row for row in output.tables.orders[2:]}
    assert {name: row["order_id"] for name, row in orders.items()} == {
        "ESA.SIM": "EXPIRATION-SIM-1",
        "ESB.SIM": "EXPIRATION-SIM-2",
    }
    # 50 times 10 points: one bought, two sold.
    assert [
        (row["closing_order_id"], row["realized_pnl"], row["ts_closed"])
        for row in output.tables.positions
    ] == [("EXPIRATION-SIM-1", 500, EXPIRY), ("EXPIRATION-SIM-2", -1000, EXPIRY)]
    assert [row["trade_id"] for row in output.tables.fills[2:]] == [
        "EXPIRATION-SIM-1-1",
        "EXPIRATION-SIM-2-1",
    ]


def test_a_delivery_keeps_its_fills_with_their_positions(tmp_path: Path) -> None:
    output = run_case("hedged calls are delivered", tmp_path)

    opened = {row["position"]: row["average_open"] for row in output.tables.positions}
    stock = [row for row in output.tables.fills if row["instrument_id"] == "AAPL.SIM"]
    assert sorted((row["side"], row["price"], row["quantity"]) for row in stock) == [
        ("BUY", 90, 100),
        ("BUY", 100, 200),
        ("SELL", 95, 100),
        ("SELL", 105, 200),
    ]
    assert all(opened[row["position"]] == row["price"] for row in stock)
