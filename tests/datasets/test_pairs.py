"""Pairs of currencies: those that symbols and names of files show, and when two are the same."""

from __future__ import annotations

import pytest

from trading_runtime.datasets.pairs import are_alike, currencies_of, pairs_in
from trading_runtime.errors import UsageError


@pytest.mark.parametrize(
    ("symbol", "expected"),
    [
        ("BTCUSDT", ("BTC", "USDT")),
        ("EUR/USD", ("EUR", "USD")),
        ("ETH-USD-PERP", ("ETH", "USD")),
        ("XBTUSD", ("XBT", "USD")),  # and not XB in TUSD
        ("DOTUSD", ("DOT", "USD")),
        ("BNBUSD", ("BNB", "USD")),  # and not BN in BUSD
        ("SHIBUSD", ("SHIB", "USD")),
        ("LINKBUSD", ("LINK", "BUSD")),
        ("BTCTUSD", ("BTC", "TUSD")),
        ("EURUSD=X", ("EUR", "USD")),
        ("USDTUSD", ("USDT", "USD")),  # and not USD in TUSD
    ],
)
def test_the_currencies_of_a_symbol_are_those_that_it_means(
    symbol: str, expected: tuple[str, str]
) -> None:
    assert currencies_of(symbol, None) == expected


@pytest.mark.parametrize(
    ("symbol", "message"),
    [
        ("US500", "not clear; write"),
        ("FOOTUSD", "not clear: FOO/TUSD or FOOT/USD; write them apart"),
    ],
)
def test_a_symbol_of_which_that_is_not_clear_is_refused(symbol: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        currencies_of(symbol, None)
    assert currencies_of("FOOTUSD", "USD") == ("FOOT", "USD")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("BTCUSDT-1m-2024-12.zip", [("BTC", "USDT")]),
        ("BTCUSDT2024-01-01.csv.gz", [("BTC", "USDT")]),
        ("BTC_USDT_USDT-5m-futures.feather", [("BTC", "USDT")]),
        ("HISTDATA_COM_ASCII_EURUSD_M1202401.zip", [("EUR", "USD")]),
        ("EURUSD60.csv", [("EUR", "USD")]),
        ("BINANCE_BTCUSDT, 60.csv", [("BTC", "USDT")]),
        ("binance-futures_trades_2024-01-01_ETHUSDT.csv.gz", [("ETH", "USDT")]),
        ("btcusdt-trades.parquet", [("BTC", "USDT")]),
        ("1000PEPEUSDT-1m.zip", [("1000PEPE", "USDT")]),
        ("sol_eth.csv", [("SOL", "ETH")]),
        ("USDTUSD_1.csv", [("USDT", "USD")]),
        ("XXBTZUSD.csv", [("XBT", "USD")]),
        ("BTC_1H_USDC_USDT.csv", [("USDC", "USDT")]),
        ("BTC_TRY-1h.csv", [("BTC", "TRY")]),
        ("btctry.csv", [("BTC", "TRY")]),
        ("XYZ_USDT_USDT-1h.feather", [("XYZ", "USDT")]),
    ],
)
def test_a_files_name_shows_its_pair(name: str, expected: list[tuple[str, str]]) -> None:
    assert pairs_in(name) == expected


@pytest.mark.parametrize(
    "name",
    [
        "aapl_us_d.csv", "prices_usd.csv", "pricesusd.csv", "industry.csv", "entry.csv",
        "2024-01.csv", "trades_usdt.csv", "usd_btc.csv", "AMATEUR.csv",
        "link_usd.csv", "USA500.IDXUSD_M1.csv", "BTC_1H_USDT.csv", "BTC-PERP-USDT.csv",
        "btc_try_2.csv", "btc-try.csv", "Btc_Try.csv",
        "BINANCE_USDT_BTC.csv", "KRAKEN_EUR_BTC.csv", "BTC_ETH.csv", "spotusd.csv",
    ],
)  # fmt: skip
def test_words_are_no_pair(name: str) -> None:
    assert pairs_in(name) == []


@pytest.mark.parametrize(
    ("one", "other"), [(("XBT", "USD"), ("BTC", "USD")), (("BTC", "USDT"), ("BTC", "USD"))]
)
def test_pairs_are_the_same_under_the_names_that_venues_give_them(
    one: tuple[str, str], other: tuple[str, str]
) -> None:
    assert are_alike(one, other, scaled=False)
    assert are_alike(other, one, scaled=False)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("BTC", "USDT"), ("BTC", "USDC")),
        (("BTC", "EUR"), ("BTC", "USD")),
        (("WBTC", "USDT"), ("BTC", "USDT")),
        (("1000PEPE", "USDT"), ("PEPE", "USDT")),
    ],
)
def test_pairs_of_other_currencies_are_others(one: tuple[str, str], other: tuple[str, str]) -> None:
    assert not are_alike(one, other, scaled=False)


def test_prices_in_thousands_are_those_of_the_pair_when_they_are_scaled() -> None:
    assert are_alike(("1000PEPE", "USDT"), ("PEPE", "USDT"), scaled=True)
