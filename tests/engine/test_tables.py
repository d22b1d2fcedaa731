"""Orders, fills and positions as tables: stable rows, exact values, no random ids."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from tests.engine.market import MINUTE, T0, Market, bars, pair, perpetual, quotes, run_steps
from trading_runtime.engine.accounting.schemas import DECIMAL, TIME, arrow_table
from trading_runtime.engine.accounting.tables import TaskTables
from trading_runtime.engine.accounting.valuation import exact

if TYPE_CHECKING:
    from trading_runtime.engine.simulation.task import TaskOutput

ROOT = Path(__file__).parent.parent.parent
STEPS = {
    "1": ["market BUY 1.000", "limit SELL 1.000 115.0"],
    "2": ["market SELL 3.000", "stop BUY 1.000 125.0"],
    "4": ["market BUY 0.500"],
}


def digest(output: TaskOutput) -> str:
    """One digest over the content of all tables."""
    return hashlib.sha256(json.dumps(vars(output.tables), default=str).encode()).hexdigest()


def test_an_order_that_turns_a_position_closes_one_and_opens_another(four_bars: Market) -> None:
    output = run_steps(four_bars, {"1": ["market BUY 1.000"], "2": ["market SELL 3.000"]})

    long, short = output.tables.positions
    turning = output.tables.orders[1]["order_id"]
    assert (long["entry"], long["peak_quantity"], long["open_quantity"]) == ("BUY", 1, 0)
    assert (long["average_open"], long["average_close"], long["realized_pnl"]) == (100, 110, 10)
    assert (long["closing_order_id"], long["ts_closed"]) == (turning, T0 + 2 * MINUTE)
    assert (short["entry"], short["peak_quantity"], short["open_quantity"]) == ("SELL", 2, -2)
    assert (short["average_open"], short["average_close"]) == (110, None)
    assert (short["opening_order_id"], short["closing_order_id"]) == (turning, None)
    assert (short["ts_opened"], short["ts_closed"]) == (T0 + 2 * MINUTE, None)
    # The venue filled the turning order once; the fill is told with the position it closed.
    assert [(row["quantity"], row["position"]) for row in output.tables.fills] == [(1, 0), (3, 0)]


def test_positions_are_numbered_by_opening_time_and_order(tmp_path: Path) -> None:
    first, second = perpetual("AAA-PERP"), perpetual("BBB-PERP")
    rows = [*bars(first, ["100", "110"]), *bars(second, ["50", "55"])]
    market = Market.write(tmp_path, [second, first], rows)
    output = run_steps(market, {"2": ["BBB-PERP:market BUY 1.000", "AAA-PERP:market SELL 1.000"]})

    assert [(row["position"], row["instrument_id"]) for row in output.tables.positions] == [
        (0, "BBB-PERP.SIM"),
        (1, "AAA-PERP.SIM"),
    ]
    assert [row["position"] for row in output.tables.fills] == [0, 1]


def test_an_instrument_can_be_traded_again_after_it_was_flat(four_bars: Market) -> None:
    output = run_steps(
        four_bars,
        {"1": ["market BUY 1.000"], "2": ["close"], "3": ["market BUY 1.000"], "4": ["close"]},
    )

    assert [row["realized_pnl"] for row in output.tables.positions] == [10, 10]
    assert [row["position"] for row in output.tables.fills] == [0, 0, 1, 1]


def test_orders_that_were_denied_or_rejected_say_why(four_bars: Market) -> None:
    output = run_steps(
        four_bars,
        {
            "1": ["stop BUY 1.000 97.0", "market BUY 5000.000"],
            "2": ["market BUY 1.000", "limit BUY 1.000 50.0"],
        },
        venue={"balances": ["100 USDT"]},
    )

    stop, large, filled, resting = output.tables.orders
    assert (stop["status"], large["status"]) == ("REJECTED", "DENIED")
    assert "in the market" in stop["reason"]
    assert "EXCEEDS_FREE_BALANCE" in large["reason"]
    assert (filled["status"], filled["reason"]) == ("FILLED", None)
    assert (resting["status"], resting["reason"], resting["price"]) == ("ACCEPTED", None, 50)
    assert stop["trigger_price"] == 97


def test_an_order_without_a_fill_has_no_average_price(four_bars: Market) -> None:
    (order,) = run_steps(four_bars, {"1": ["limit BUY 1.000 50.0"]}).tables.orders

    assert (order["filled_quantity"], order["average_price"]) == (0, None)


def test_orders_keep_the_order_in_which_they_were_sent(four_bars: Market) -> None:
    # Ids end in a counter without leading zeros: the tenth would sort before the second.
    steps = {"1": [f"limit BUY 1.000 {50 + number}.0" for number in range(12)]}
    output = run_steps(four_bars, steps)

    assert [row["price"] for row in output.tables.orders] == [50 + number for number in range(12)]


def test_tables_have_one_schema_with_and_without_rows(four_bars: Market) -> None:
    full = run_steps(four_bars, STEPS).tables.as_arrow()
    empty = TaskTables.of_equity([]).as_arrow()

    assert {name: table.schema for name, table in full.items()} == {
        name: table.schema for name, table in empty.items()
    }
    assert list(full) == ["orders", "fills", "positions", "equity"]
    assert all(table.num_rows for table in full.values())


@pytest.mark.parametrize("name", ["orders", "fills", "positions", "equity"])
def test_numbers_are_decimals_and_times_are_utc_nanoseconds(name: str) -> None:
    schema = TaskTables.of_equity([]).as_arrow()[name].schema

    assert not [field.name for field in schema if pa.types.is_floating(field.type)]
    times = {field.type for field in schema if field.name.startswith("ts")}
    assert times == {TIME}
    assert pa.decimal128(38, 16) == DECIMAL


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        ("1", "1.0000000000000000"),
        ("0.12345678901234565", "0.1234567890123456"),
        ("0.12345678901234575", "0.1234567890123458"),
        ("-9999999999999999999999", "-9999999999999999999999.0000000000000000"),
    ],
)
def test_values_are_stored_to_sixteen_places_rounded_half_to_even(value: str, stored: str) -> None:
    assert str(exact(Decimal(value))) == stored


@pytest.mark.parametrize("others", [[], [-1], [None]])
def test_a_number_that_does_not_fit_is_refused_and_not_stored_as_another_one(
    others: list[int | None],
) -> None:
    schema = pa.schema([("equity", DECIMAL)])
    most = 10**38 - 1
    [stored, *_] = arrow_table({"equity": [most, *others]}, schema)["equity"].to_pylist()
    assert stored == Decimal("9999999999999999999999.9999999999999999")

    with pytest.raises(OverflowError):
        arrow_table({"equity": [2**127, *others]}, schema)


def test_a_second_run_gives_the_same_tables(four_bars: Market) -> None:
    assert digest(run_steps(four_bars, STEPS)) == digest(run_steps(four_bars, STEPS))


def test_tables_are_the_same_in_any_process(tmp_path: Path) -> None:
    eurjpy, usdjpy = (
        pair("EUR/JPY", "EUR", "JPY", "0.001", "1"),
        pair("USD/JPY", "USD", "JPY", "0.001", "1"),
    )
    rows = [
        *quotes(eurjpy, [("100", "100.1"), ("110", "110.1"), ("120", "120.1")]),
        *quotes(usdjpy, [("80", "80.1"), ("81", "81.1"), ("82", "82.1")]),
    ]
    Market.write(tmp_path / "catalog", [eurjpy, usdjpy], rows)
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from tests.engine.market import Market, SECOND, T0, run_steps\n"
        "from tests.engine.test_tables import digest\n"
        "from trading_runtime.records.inputs import SeriesInputs\n"
        "data = [SeriesInputs('quotes', name, name) for name in ('EUR/JPY.SIM', 'USD/JPY.SIM')]\n"
        "market = Market(Path(sys.argv[1]), 6, data, [], T0 + 3 * SECOND)\n"
        "steps = {'2': ['EUR/JPY:market BUY 10', 'USD/JPY:market SELL 20'],\n"
        "         '4': ['EUR/JPY:market SELL 30', 'EUR/JPY:limit BUY 5 110'],\n"
        "         '5': ['EUR/JPY:market BUY 20']}\n"
        "venue = {'balances': ['10000 USD', '1000000 JPY'], 'oms_type': sys.argv[2],\n"
        "         'fees': {'model': 'maker_taker', 'maker': '0', 'taker': '0.001'}}\n"
        "print(digest(run_steps(market, steps, currency='USD', venue=venue,\n"
        "                       equity_interval=SECOND)))\n"
    )

    def digests(oms_type: str) -> set[str]:
        settings: list[dict[str, str]] = [
            {"PYTHONHASHSEED": "1", "TZ": "UTC", "LANG": "C"},
            {"PYTHONHASHSEED": "2", "TZ": "Asia/Tokyo", "LANG": "C.UTF-8"},
        ]
        return {in_process(program, [str(tmp_path / "catalog"), oms_type], env) for env in settings}

    netting, hedging = digests("netting"), digests("hedging")
    assert (len(netting), len(hedging)) == (1, 1)
    assert netting != hedging


def in_process(program: str, arguments: list[Any], environment: dict[str, str]) -> str:
    """What ``program`` prints, run with another environment."""
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        check=True,
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=os.environ | environment,
    ).stdout
