"""The protocol of Binance's USD-M futures, as far as market data goes: REST, and one socket."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from typing import TYPE_CHECKING, Any

from trading_runtime.operations.stand_in.exchange import HALF_SPREAD

if TYPE_CHECKING:
    from decimal import Decimal

    from aiohttp import web

    from trading_runtime.operations.stand_in.exchange import Exchange


class BinanceProtocol:
    """Answers as Binance does; data may stop for a symbol."""

    def __init__(self, exchange: Exchange, rate: float = 20.0) -> None:
        """Send quotes and trades of each symbol ``rate`` times a second."""
        self.exchange = exchange
        self._rate = rate
        self._number = 0
        self._streams: dict[web.WebSocketResponse, set[str]] = {}
        self.silent: set[str] = set()
        """Symbols without data, while all others have it."""

    def application(self) -> web.Application:
        """Return the handlers."""
        from aiohttp import web

        application = web.Application()
        application.router.add_get("/ws", self._socket)
        application.router.add_get("/ws/{tail:.*}", self._socket)
        application.router.add_route("*", "/{tail:.*}", self._rest)
        return application

    async def hang_up(self) -> None:
        """End all connections."""
        for socket in list(self._streams):
            await socket.close()
        self._streams = {}

    async def publish(self) -> None:
        """Send market data until cancelled."""
        while True:
            await asyncio.sleep(1 / self._rate)
            self._number += 1
            for symbol, price in list(self.exchange.prices.items()):
                if symbol in self.silent:
                    continue
                messages = self._messages(symbol, price)
                for socket, streams in list(self._streams.items()):
                    for name in sorted(streams & messages.keys()):
                        with contextlib.suppress(ConnectionError, RuntimeError):
                            await socket.send_json(messages[name])

    def _messages(self, symbol: str, price: Decimal) -> dict[str, dict[str, Any]]:
        now, number, lower = self.exchange.now, self._number, symbol.lower()
        quote = {
            "e": "bookTicker",
            "u": number,
            "E": now,
            "T": now,
            "s": symbol,
            "b": str(price - HALF_SPREAD),
            "B": "5.000",
            "a": str(price + HALF_SPREAD),
            "A": "5.000",
        }
        trade = {
            "e": "aggTrade",
            "E": now,
            "s": symbol,
            "a": number,
            "p": str(price),
            "q": "0.010",
            "f": number,
            "l": number,
            "T": now,
            "m": False,
        }
        single = {**trade, "e": "trade", "t": number, "X": "MARKET"}
        return {
            f"{lower}@bookTicker": quote,
            f"{lower}@aggTrade": trade,
            f"{lower}@trade": single,
        }

    async def _rest(self, request: web.Request) -> web.StreamResponse:
        from aiohttp import web

        self.exchange.note("request", request.path)
        if request.path.endswith("/exchangeInfo"):
            symbols = [_symbol(name) for name in self.exchange.prices]
            content: Any = {
                "timezone": "UTC",
                "serverTime": self.exchange.now,
                "rateLimits": [],
                "exchangeFilters": [],
                "assets": [],
                "symbols": symbols,
            }
        elif request.path.endswith("/time"):
            content = {"serverTime": int(time.time() * 1000)}
        else:
            content = {}
        return web.json_response(content)

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        from aiohttp import WSMsgType, web

        socket = web.WebSocketResponse()
        await socket.prepare(request)
        streams = self._streams.setdefault(socket, set())
        try:
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    given = json.loads(message.data)
                    self.exchange.note("request", given.get("method", ""))
                    if given.get("method") == "SUBSCRIBE":
                        streams.update(given["params"])
                    elif given.get("method") == "UNSUBSCRIBE":
                        streams.difference_update(given["params"])
                    await socket.send_json({"result": None, "id": given.get("id")})
        finally:
            self._streams.pop(socket, None)
        return socket


def _symbol(name: str) -> dict[str, Any]:
    return {
        "symbol": name,
        "pair": name,
        "contractType": "PERPETUAL",
        "deliveryDate": 4_133_404_800_000,
        "onboardDate": 1_569_398_400_000,
        "status": "TRADING",
        "maintMarginPercent": "2.5000",
        "requiredMarginPercent": "5.0000",
        "baseAsset": name.removesuffix("USDT"),
        "quoteAsset": "USDT",
        "marginAsset": "USDT",
        "pricePrecision": 2,
        "quantityPrecision": 3,
        "baseAssetPrecision": 8,
        "quotePrecision": 8,
        "underlyingType": "COIN",
        "underlyingSubType": [],
        "triggerProtect": "0.05",
        "liquidationFee": "0.01",
        "marketTakeBound": "0.05",
        "maxMoveOrderLimit": 10_000,
        "filters": [
            {
                "filterType": "PRICE_FILTER",
                "minPrice": "0.10",
                "maxPrice": "1000000",
                "tickSize": "0.10",
            },
            {
                "filterType": "LOT_SIZE",
                "minQty": "0.001",
                "maxQty": "1000",
                "stepSize": "0.001",
            },
            {"filterType": "MIN_NOTIONAL", "notional": "5"},
        ],
        "orderTypes": ["LIMIT", "MARKET"],
        "timeInForce": ["GTC", "IOC", "FOK"],
    }
