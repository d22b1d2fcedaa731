"""Fills and positions in the statistics currency."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from tests.engine.market import MINUTE, Market, bars, pair, perpetual, quotes, run_steps
from trading_runtime.engine.accounting.valuation import RateHistory
from trading_runtime.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

    from trading_runtime.engine.accounting.valuation import Rates

FEES = {"fees": {"model": "maker_taker", "maker": "-0.0001", "taker": "0.001"}}


class RatesOf:
    """Rates that a test sets."""

    def __init__(self, known: dict[str, Decimal]) -> None:
        self.known = known

    def rate(self, source: str, _target: str) -> Decimal | None:
        return self.known.get(source)


def history(rates: RatesOf, *currencies: str) -> RateHistory:
    stand_in: Rates = rates  # type: ignore[assignment]  # only ``rate`` is asked for
    return RateHistory(stand_in, set(currencies), "USD")


def test_a_rate_is_the_latest_known_at_the_instant() -> None:
    rates = RatesOf({"JPY": Decimal("0.01")})
    noted = history(rates, "JPY", "USD")
    noted.note(100)
    rates.known = {"JPY": Decimal("0.02")}
    noted.note(200)

    assert [noted.rate("JPY", ts) for ts in (100, 199, 200, 999)] == [
        Decimal("0.01"),
        Decimal("0.01"),
        Decimal("0.02"),
        Decimal("0.02"),
    ]


def test_before_the_first_rate_was_known_the_first_one_holds() -> None:
    noted = history(RatesOf({"JPY": Decimal("0.01")}), "JPY")
    noted.note(100)

    assert noted.rate("JPY", 50) == Decimal("0.01")


def test_the_statistics_currency_needs_no_rate() -> None:
    assert history(RatesOf({})).rate("USD", 0) == 1


def test_a_rate_that_was_never_known_names_both_currencies() -> None:
    noted = history(RatesOf({}), "JPY")
    noted.note(100)

    with pytest.raises(DataError, match="no exchange rate from JPY to USD"):
        noted.rate("JPY", 100)


def test_a_limit_order_that_rested_gets_the_makers_rebate(tmp_path: Path) -> None:
    instrument = perpetual()
    market = Market.write(tmp_path, [instrument], bars(instrument, ["100", "95", "120"]))
    output = run_steps(market, {"1": ["limit BUY 3.000 97.0"]}, venue=FEES)

    (fill,) = output.tables.fills
    # 3 * 97 = 291, of which 0.0001 is paid back.
    assert (fill["liquidity"], fill["price"], fill["value"]) == ("MAKER", 97, 291)
    assert fill["fee"] == Decimal("-0.0291")
    assert output.tables.equity[-1]["equity"] == 100000 + 3 * 23 + Decimal("0.0291")


@pytest.mark.parametrize(("once", "fees"), [(True, ["1.5", "0"]), (False, ["1.5", "1.5"])])
def test_a_fixed_fee_is_due_once_an_order_or_at_every_fill(
    tmp_path: Path, fees: list[str], *, once: bool
) -> None:
    # The book holds a quarter of the bar's volume of 4: the order fills in two parts.
    instrument = perpetual()
    market = Market.write(tmp_path, [instrument], bars(instrument, ["100", "110"], volume="4"))
    fixed = {"model": "fixed", "amount": "1.50 USDT", "once_per_order": once}
    output = run_steps(market, {"1": ["market BUY 3.000"]}, venue={"fees": fixed})

    fills = [(row["quantity"], row["price"]) for row in output.tables.fills]
    assert fills == [(1, 100), (2, Decimal("100.1"))]
    assert [row["fee"] for row in output.tables.fills] == [Decimal(fee) for fee in fees]
    assert output.tables.orders[0]["average_price"] == Decimal("100.06666666666666")


def test_a_fee_in_another_currency_is_part_of_what_a_position_made(tmp_path: Path) -> None:
    # 3 * 10 USDT made, two fees of 1.5 USD, and a USDT is half a USD.
    instrument, rate = perpetual(), pair("USDT/USD", "USDT", "USD", "0.0001", "1")
    rows = [*bars(instrument, ["100", "110"]), *bars(rate, ["0.5", "0.5"])]
    market = Market.write(tmp_path, [instrument, rate], rows)
    output = run_steps(
        market,
        {"1": ["BTCUSDT-PERP:market BUY 3.000"], "3": ["BTCUSDT-PERP:close"]},
        venue={
            "balances": ["1000 USDT", "100 USD"],
            "fees": {"model": "fixed", "amount": "1.50 USD", "once_per_order": True},
        },
    )

    assert [row["fee"] for row in output.tables.fills] == [3, 3]
    assert {row["fee_currency"] for row in output.tables.fills} == {"USD"}
    assert output.tables.positions[0]["realized_pnl"] == 24
    samples = output.tables.equity
    assert samples[-1]["equity"] - samples[0]["equity"] == 24


def test_what_a_position_made_is_converted_when_it_was_made(tmp_path: Path) -> None:
    instrument = pair("USD/JPY", "USD", "JPY", "0.001", "1")
    market = Market.write(
        tmp_path, [instrument], quotes(instrument, [("100", "100"), ("110", "110"), ("125", "125")])
    )
    output = run_steps(
        market,
        {"1": ["market BUY 1000"], "2": ["market SELL 400"], "3": ["close"]},
        currency="USD",
        venue=FEES | {"balances": ["10000 USD"], "base_currency": "USD"},
    )

    # Fees: 100 JPY at 100, 44 at 110, 75 at 125; gains: 4000 JPY at 110, 15000 at 125.
    assert [row["fee"] for row in output.tables.fills] == [1, Decimal("0.4"), Decimal("0.6")]
    made = -1 + Decimal(4000 - 44) / 110 + Decimal(15000 - 75) / 125
    (position,) = output.tables.positions
    assert position["realized_pnl"] == round(made, 16)
    assert position["average_close"] == 119
    # The account is kept in cents.
    samples = output.tables.equity
    assert abs(samples[-1]["equity"] - samples[0]["equity"] - made) < Decimal("0.01")


def test_a_fill_of_a_pair_is_worth_its_base_amount_in_base_currency(tmp_path: Path) -> None:
    instrument = pair("USD/JPY", "USD", "JPY", "0.001", "1")
    market = Market.write(tmp_path, [instrument], bars(instrument, ["100", "110"]))
    output = run_steps(
        market,
        {"1": ["market BUY 1000"]},
        currency="USD",
        equity_interval=MINUTE,
        venue={"balances": ["10000 USD", "100000 JPY"]},
    )

    assert [row["value"] for row in output.tables.fills] == [1000]
    # 10000 USD + 100000 JPY; at 110 the yen are worth less and the position 10000 JPY more.
    assert [row["equity"] for row in output.tables.equity][:3] == [
        11000,
        11000,
        11000,
    ]
