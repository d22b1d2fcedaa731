"""Files that say by their names, or above their rows, that they are of another instrument."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from trading_runtime.errors import DataError

if TYPE_CHECKING:
    from tests.datasets.conftest import Prepare

HEADER = "timestamp,open,high,low,close,volume\n"
BARS = f"{HEADER}2024-01-01T12:01:00Z,1.5,2,1,1.5,1\n"


@pytest.mark.parametrize("name", ["ETHUSDT-1m-2024-01.csv", "btc_eur.csv", "WBTCUSDT.csv"])
def test_a_file_named_after_another_pair_is_refused_unless_that_is_said(
    prepare_files: Prepare, name: str
) -> None:
    with pytest.raises(DataError, match=rf"{name}: its name says '.*', but .* BTC/USDT.SIM"):
        prepare_files("bars", {name: BARS})
    assert prepare_files("bars", {name: BARS}, mixed_symbols="accept").manifest.rows == 1


@pytest.mark.parametrize(
    "name",
    [
        "BTCUSDT-1m-2024-01.csv",
        "XBTUSD_1.csv",
        "bars.csv",
        "ETHUSDT-BTCUSDT.csv",
        "btc.csv",
        "btc_try_2.csv",
        "data_us_d.csv",
        "prices.us.txt",
    ],
)
def test_a_file_that_may_be_of_the_pair_is_taken(prepare_files: Prepare, name: str) -> None:
    assert prepare_files("bars", {name: BARS}).manifest.rows == 1


def test_the_name_does_not_count_beside_a_column_of_symbols(prepare_files: Prepare) -> None:
    raw = "symbol," + BARS.replace("2024", "BTCUSDT,2024")
    assert prepare_files("bars", {"ETHUSDT.csv": raw}).manifest.rows == 1


def test_the_name_of_a_file_of_signals_may_be_another(prepare_files: Prepare) -> None:
    raw = "timestamp,score\n2024-01-01T12:01:00Z,1.5\n"
    made = prepare_files("custom", {"ETHUSDT.csv": raw}, name="eth", fields={"score": "float"})
    assert made.manifest.rows == 1


def test_a_column_says_another_quote_currency(prepare_files: Prepare) -> None:
    raw = "symbol," + BARS.replace("2024", "BTCEUR,2024")
    with pytest.raises(DataError, match=r"column 'symbol' says 'BTCEUR', but"):
        prepare_files("bars", {"a.csv": raw})


@pytest.mark.parametrize(
    ("name", "above", "message"),
    [
        ("a.csv", "Ticker,ETH-USD,ETH-USD\n", "the line 'Ticker' says 'ETH-USD'"),
        ("msft_us_d.csv", "", "its name says 'msft'"),
        ("msft.us.txt", "", "its name says 'msft'"),
    ],
)
def test_stocks_are_told_by_a_line_above_the_rows_and_by_the_names_of_stooq(
    prepare_files: Prepare, name: str, above: str, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        prepare_files("bars", {name: above + BARS}, skip_rows=1 if above else 0)
