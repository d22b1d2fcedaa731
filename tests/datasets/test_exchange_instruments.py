"""Instruments from exchanges' saved answers, each in the layout of its documentation."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from trading_runtime.cli.data import data
from trading_runtime.engine.instruments.files import read_instruments
from trading_runtime.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

BINANCE = {
    "timezone": "UTC",
    "symbols": [
        {
            "symbol": "BTCUSDT", "status": "TRADING", "baseAsset": "BTC", "quoteAsset": "USDT",
            "filters": [
                {"filterType": "PRICE_FILTER", "minPrice": "0.01000000", "tickSize": "0.01000000"},
                {"filterType": "LOT_SIZE", "minQty": "0.00001000", "stepSize": "0.00001000"},
            ],
        },
        {
            "symbol": "ETHUSDT", "contractType": "PERPETUAL", "baseAsset": "ETH",
            "quoteAsset": "USDT", "marginAsset": "USDT",
            "filters": [
                {"filterType": "PRICE_FILTER", "tickSize": "0.01"},
                {"filterType": "LOT_SIZE", "stepSize": "0.001"},
            ],
        },
        {
            "symbol": "ETHUSDT_240329", "contractType": "CURRENT_QUARTER", "baseAsset": "ETH",
            "quoteAsset": "USDT", "marginAsset": "USDT",
            "filters": [
                {"filterType": "PRICE_FILTER", "tickSize": "0.01"},
                {"filterType": "LOT_SIZE", "stepSize": "0.001"},
            ],
        },
    ],
}  # fmt: skip
BYBIT = {
    "retCode": 0,
    "result": {
        "category": "linear",
        "list": [
            {
                "symbol": "BTCUSDT", "contractType": "LinearPerpetual", "baseCoin": "BTC",
                "quoteCoin": "USDT", "settleCoin": "USDT", "priceFilter": {"tickSize": "0.10"},
                "lotSizeFilter": {"qtyStep": "0.001", "minOrderQty": "0.001"},
            }
        ],
    },
}  # fmt: skip
OKX = {
    "code": "0",
    "data": [
        {
            "instType": "SWAP", "instId": "BTC-USDT-SWAP", "ctVal": "0.01", "ctType": "linear",
            "settleCcy": "USDT", "tickSz": "0.1", "lotSz": "0.01", "baseCcy": "", "quoteCcy": "",
        },
        {
            "instType": "SPOT", "instId": "BTC-USDT", "baseCcy": "BTC", "quoteCcy": "USDT",
            "tickSz": "0.1", "lotSz": "0.00000001", "settleCcy": "",
        },
    ],
}  # fmt: skip
KRAKEN = {
    "error": [],
    "result": {
        "XXBTZUSD": {
            "altname": "XBTUSD", "wsname": "XBT/USD", "base": "XXBT", "quote": "ZUSD",
            "pair_decimals": 1, "lot_decimals": 8, "tick_size": "0.1",
        }
    },
}  # fmt: skip
CCXT = {
    "BTC/USDT": {
        "id": "BTCUSDT", "symbol": "BTC/USDT", "base": "BTC", "quote": "USDT", "type": "spot",
        "precision": {"amount": 1e-05, "price": 0.01},
    },
    "BTC/USDT:USDT": {
        "id": "BTCUSDT", "symbol": "BTC/USDT:USDT", "base": "BTC", "quote": "USDT",
        "settle": "USDT", "type": "swap", "contractSize": 1,
        "precision": {"amount": 0.001, "price": 0.1},
    },
}  # fmt: skip


@pytest.mark.parametrize(
    ("answer", "venue", "expected"),
    [
        (BINANCE, None, {"BTCUSDT.BINANCE": ("0.01", "0.00001"),
                         "ETHUSDT-PERP.BINANCE": ("0.01", "0.001")}),
        (BYBIT, None, {"BTCUSDT-PERP.BYBIT": ("0.1", "0.001")}),
        (OKX, None, {"BTC-USDT-PERP.OKX": ("0.1", "0.01"), "BTC-USDT.OKX": ("0.1", "0.00000001")}),
        (KRAKEN, None, {"XBT/USD.KRAKEN": ("0.1", "0.00000001")}),
        (CCXT, "SIM", {"BTCUSDT.SIM": ("0.01", "0.00001"), "BTCUSDT-PERP.SIM": ("0.1", "0.001")}),
    ],
    ids=["binance", "bybit", "okx", "kraken", "ccxt"],
)  # fmt: skip
def test_an_answer_becomes_an_instrument_file_that_the_engine_takes(
    answer: Any, venue: str | None, expected: dict[str, tuple[str, str]], tmp_path: Path
) -> None:
    source, target = tmp_path / "answer.json", tmp_path / "instruments.json"
    source.write_text(json.dumps(answer))
    options = [] if venue is None else ["--venue", venue]

    arguments = ["instruments", "--from", str(source), "--to", str(target), *options]
    CliRunner().invoke(data, arguments, catch_exceptions=False)

    found = read_instruments([target])
    assert {
        name: (str(facts.price_increment), format(facts.size_increment, "f"))
        for name, facts in found.items()
    } == expected


def test_one_symbol_can_be_taken_and_one_that_is_not_there_is_named(tmp_path: Path) -> None:
    source = tmp_path / "answer.json"
    source.write_text(json.dumps(BINANCE))
    command = ["instruments", "--from", str(source), "--only"]

    result = CliRunner().invoke(data, [*command, "ETHUSDT"], catch_exceptions=False)

    [definition] = json.loads(result.stdout)
    assert definition["id"] == "ETHUSDT-PERP.BINANCE"
    with pytest.raises(UsageError, match="no spot pair or perpetual XRPUSDT"):
        CliRunner().invoke(data, [*command, "XRPUSDT"], catch_exceptions=False)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"a": 1}', "accepted are Binance"),
        ("nonsense", "cannot be read as JSON"),
        ('{"symbols": [{"symbol": "X"}]}', "holds no spot pair"),
        ('{"data": [{"instType": "SPOT", "instId": "A-B"}]}', "lacks 'tickSz'"),
        (json.dumps(CCXT), "--venue is missing"),
    ],
)
def test_what_is_no_known_answer_is_refused(content: str, message: str, tmp_path: Path) -> None:
    source = tmp_path / "answer.json"
    source.write_text(content)

    with pytest.raises(UsageError, match=message):
        CliRunner().invoke(data, ["instruments", "--from", str(source)], catch_exceptions=False)
