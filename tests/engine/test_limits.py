"""What the engine does not do, as docs say it: so that a change of the engine is noticed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.engine.market import Market, bars, pair, run_steps, statuses

if TYPE_CHECKING:
    from pathlib import Path

EURJPY = pair("EUR/JPY", "EUR", "JPY", "0.001", "1")
USDJPY = pair("USD/JPY", "USD", "JPY", "0.001", "1")
BUY_EURJPY = {"2": ["EUR/JPY:market BUY 1000"]}


@pytest.mark.parametrize(
    ("balances", "status"),
    [(["10000 USD"], "DENIED"), (["10000 USD", "1000000 JPY"], "FILLED")],
    ids=["dollars", "dollars and yen"],
)
def test_a_margin_account_needs_a_balance_in_the_currency_that_an_order_settles_in(
    balances: list[str], status: str, tmp_path: Path
) -> None:
    rows = [*bars(EURJPY, ["100", "110", "110"]), *bars(USDJPY, ["100", "125", "125"])]
    market = Market.write(tmp_path, [EURJPY, USDJPY], rows)

    output = run_steps(market, BUY_EURJPY, currency="USD", venue={"balances": balances})

    assert statuses(output) == {status: 1}
