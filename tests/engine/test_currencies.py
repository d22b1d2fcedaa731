"""Codes that the engine does not know work as those that it does: pairs, balances, fees, profit."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from nautilus_trader import model

from tests.engine.market import Market, bars, pair, perpetual, run_steps
from tests.plans import COMMON, venue_inputs
from trading_runtime.engine.instruments.currencies import currency, money
from trading_runtime.engine.instruments.definitions import build_instrument
from trading_runtime.engine.simulation.venue import check_venue
from trading_runtime.errors import UsageError
from trading_runtime.records.inputs import CommonInputs
from trading_runtime.records.instruments import InstrumentDefinition

ROOT = Path(__file__).parent.parent.parent
ROUND_TRIP = {"1": ["market BUY 10.000"], "3": ["market SELL 10.000"]}


@pytest.mark.parametrize(
    "code",
    ["NEAR", "ATOM", "OP", "INJ", "PEPE", "WIF", "DAI", "MATIC", "1000SATS", "OwnCoin", "BTC"],
)
def test_a_spot_pair_of_any_code_is_traded(code: str, tmp_path: Path) -> None:
    instrument = pair(f"{code}/USDT", code, "USDT")
    market = Market.write(tmp_path, [instrument], bars(instrument, ["2", "3", "5"]))

    output = run_steps(
        market, ROUND_TRIP, venue={"account_type": "cash", "balances": ["100 USDT", f"7 {code}"]}
    )

    # Ten bought at 2 and sold at 5; the seven that were there are worth 35 at the end.
    assert [row["realized_pnl"] for row in output.tables.positions] == [30]
    assert output.tables.equity[-1]["equity"] == 165


def test_fees_and_balances_can_be_in_a_code_of_ones_own(tmp_path: Path) -> None:
    instrument = pair("BTC/ZQX", "BTC", "ZQX")
    market = Market.write(tmp_path, [instrument], bars(instrument, ["2", "3", "5"]))

    output = run_steps(
        market,
        ROUND_TRIP,
        currency="ZQX",
        venue={
            "balances": ["100.00000001 ZQX"],
            "fees": {"model": "fixed", "amount": "0.25 ZQX", "once_per_order": True},
        },
    )

    assert [(row["fee"], row["fee_currency"]) for row in output.tables.fills] == [
        (Decimal("0.25"), "ZQX")
    ] * 2
    # 30 earned, two fees paid.
    assert output.tables.equity[-1]["equity"] == Decimal("129.50000001")


def test_a_perpetual_can_be_settled_in_a_code_of_ones_own(tmp_path: Path) -> None:
    instrument = perpetual("AAA-PERP", ("AAAQ", "BBBQ", "BBBQ"))
    market = Market.write(tmp_path, [instrument], bars(instrument, ["2", "3", "5"]))

    output = run_steps(market, ROUND_TRIP, currency="BBBQ", venue={"balances": ["1000 BBBQ"]})

    assert output.tables.equity[-1]["equity"] == 1030


def test_a_code_is_known_without_anything_before_it() -> None:
    program = (
        "from trading_runtime.engine.instruments.definitions import build_instrument\n"
        "from nautilus_trader.model import Money\n"
        "from trading_runtime.records.instruments import InstrumentDefinition\n"
        "import json, sys\n"
        "definition = InstrumentDefinition.from_document(json.loads(sys.argv[1]))\n"
        "print(build_instrument(definition).id, Money.from_str('1.5 QWEA'))"
    )
    definition = pair("QWEA/USDT", "QWEA", "USDT").to_dict()
    found = subprocess.run(
        [sys.executable, "-c", program, json.dumps(definition)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )

    assert found.stdout.split() == ["QWEA/USDT.SIM", "1.50000000", "QWEA"]


@pytest.mark.parametrize(
    ("code", "digits", "kind"),
    [
        ("PEPE", 8, "CRYPTO"),
        ("KWD", 3, "FIAT"),
        ("VND", 0, "FIAT"),
        ("PEN", 2, "FIAT"),
        ("JPY", 0, "FIAT"),
        ("USDT", 8, "CRYPTO"),
    ],
)
def test_what_is_not_national_money_has_eight_digits(code: str, digits: int, kind: str) -> None:
    found = currency(code)

    assert (found.precision, found.currency_type.name) == (digits, kind)
    assert model.Money.from_str(f"1 {code}").currency == found


def test_an_amount_keeps_the_engines_refusals() -> None:
    with pytest.raises(ValueError, match="'ten'"):
        money("ten USDT")


def test_a_venue_with_a_code_of_ones_own_is_accepted_and_too_many_digits_are_not() -> None:
    common = CommonInputs.from_document(COMMON)
    check_venue(replace(common, venue=venue_inputs(balances=["1.12345678 ZQY"])))

    with pytest.raises(UsageError, match=r"counts ZQY to 8 decimal places"):
        check_venue(replace(common, venue=venue_inputs(balances=["1.123456789 ZQY"])))


def test_limits_of_an_instrument_in_a_code_of_ones_own_are_read() -> None:
    definition = pair("QWEB/USDT", "QWEB", "USDT").to_dict() | {"max_notional": "5 QWEC"}

    instrument = build_instrument(InstrumentDefinition.from_document(definition))
    assert str(instrument.max_notional) == "5.00000000 QWEC"
