"""The protocol of Bybit v5 for linear perpetuals: REST, and three kinds of sockets."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import time
import uuid
from collections import Counter, defaultdict
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from trading_runtime.operations.stand_in.bybit_documents import (
    ACCOUNT,
    KEY,
    POSITION,
    execution_json,
    instrument_json,
    order_json,
    ticker_json,
    wallet_json,
)
from trading_runtime.operations.stand_in.exchange import HALF_SPREAD, Exchange, HeldOrder

if TYPE_CHECKING:
    from aiohttp import web

    from trading_runtime.operations.stand_in.bybit_documents import Json
    from trading_runtime.operations.stand_in.exchange import Execution
    from trading_runtime.operations.stand_in.serving import StandInVenue

_RATE_LIMITED = 10006
_REFUSED = 110_001
_CANCEL_REFUSED = 110_001
_ABOUT_ORDERS = frozenset({"order/realtime", "order/history", "execution/list"})


TESTNET_KEYS = {
    "BYBIT_TESTNET_API_KEY": "key-of-a-stand-in",
    "BYBIT_TESTNET_API_SECRET": "secret-of-a-stand-in",
}
"""Variables for a session whose deployment has the sections of ``live_sections``."""


def live_sections(instrument: str, orders: StandInVenue, prices: StandInVenue) -> Json:
    """Return ``data`` and ``execution`` of a deployment: one venue takes orders, one has prices.

    They are two when data has to continue while the other is away.
    """
    adapter = {"adapter": "bybit", "environment": "testnet"}
    private = "/ws/v5/private"
    return {
        "data": {
            "source": "adapter",
            **adapter,
            "instruments": [instrument],
            "config": {
                "product_types": ["linear"],
                "base_url_http": prices.address,
                "base_url_ws_public": f"{prices.socket_address}/ws/v5/public/linear",
                "base_url_ws_private": f"{prices.socket_address}{private}",
                "max_retries": 1,
            },
        },
        "execution": {
            "venue": "adapter",
            **adapter,
            "currency": "USDT",
            "config": {
                "product_types": ["linear"],
                "base_url_http": orders.address,
                "base_url_ws_private": f"{orders.socket_address}{private}",
                "base_url_ws_trade": f"{orders.socket_address}/ws/v5/trade",
            },
        },
    }


class BybitProtocol:
    """Answers as Bybit does, and fails on demand."""

    def __init__(self, exchange: Exchange, rate: float = 20.0) -> None:
        """Send quotes and trades of each symbol ``rate`` times a second."""
        self.exchange = exchange
        exchange.on_order = lambda order: self._push("order", order_json(order))
        exchange.on_execution = self._push_execution
        self._rate = rate
        self._number = 0
        self._public: dict[web.WebSocketResponse, set[str]] = {}
        self._private: list[web.WebSocketResponse] = []
        self._sockets: list[web.WebSocketResponse] = []
        self._waiting: set[asyncio.Future[Any]] = set()
        self.requests: Counter[str] = Counter()
        """How often each path and operation was asked for."""
        self.silent: set[str] = set()
        """Symbols without data, while everything else continues."""
        self.frozen: set[str] = set()
        """Symbols whose same old bar, trade and quote is sent forever."""
        self._frozen_at: defaultdict[str, int] = defaultdict(lambda: exchange.now)
        self.skipped = 0
        """How many updates are left out, so that their numbers have a gap."""
        self.sends_twice = False
        """Whether each execution report is sent twice."""
        self.hides_reports = False
        """Whether nothing is reported on the account's socket."""
        self.fills_before_accepts = False
        """Whether the report of an order comes after those of its fills."""
        self.hides_orders = False
        """Whether questions about orders and executions find none, as a venue that lags answers."""
        self.order_delay = 0.0
        """Seconds by which the answer to an order comes late; its reports do not."""
        self.is_deaf = False
        """Whether nothing is answered at all, on connections that stay open."""
        self.refuses_requests = False
        """Whether requests are answered 429: there are too many of them."""
        self.refuses_next = 0
        """How many of the next requests about orders are refused in the same way."""
        self.retry_after = 0.0
        """For how many seconds no order may be sent after a refusal of that kind."""
        self.refuses_with = "Too many visits!"
        """The words of a refusal, which may say how long to wait."""
        self._refused_at = float("-inf")
        self.hasty: list[str] = []
        """What was sent sooner all the same: a venue bans for that."""
        self.bar_topic_step = 1.0
        """Seconds between confirmed bars, each of which says that it covers a minute."""
        self._bars: Counter[str] = Counter()
        self._bar_due = 0.0

    def application(self) -> web.Application:
        """Return the handlers."""
        from aiohttp import web

        application = web.Application()
        application.router.add_get("/ws/{tail:.*}", self._socket)
        application.router.add_route("*", "/v5/{tail:.*}", self._rest)
        return application

    async def hang_up(self) -> None:
        """End all connections, as a network that fails does: without a word."""
        for socket in self._sockets:
            transport = socket.get_extra_info("peername") and socket._req.transport  # type: ignore[union-attr]  # noqa: SLF001
            if transport is not None:
                transport.abort()
        self._sockets, self._private, self._public = [], [], {}

    def forget(self, symbol: str) -> None:
        """Forget every subscription to a symbol's data, without a word."""
        for topics in self._public.values():
            topics -= {topic for topic in topics if topic.endswith(f".{symbol}")}

    # Market data

    async def publish(self) -> None:
        """Send market data until cancelled."""
        while True:
            await asyncio.sleep(1 / self._rate)
            self._number += 1
            if self.skipped:
                self._number += self.skipped
                self.skipped = 0
            is_bar_due = time.monotonic() >= self._bar_due
            if is_bar_due:
                self._bar_due = time.monotonic() + self.bar_topic_step
            for symbol in list(self.exchange.prices):
                if symbol not in self.silent:
                    await self._publish_symbol(symbol, is_bar_due=is_bar_due)

    async def _publish_symbol(self, symbol: str, *, is_bar_due: bool) -> None:
        price, now = self.exchange.prices[symbol], self.exchange.now
        if symbol in self.frozen:
            now = self._frozen_at[symbol]
        else:
            self._frozen_at.pop(symbol, None)
        size = f"{5 + self._number % 7}.000"
        bid, ask = str(price - HALF_SPREAD), str(price + HALF_SPREAD)
        book = {"s": symbol, "b": [[bid, size]], "a": [[ask, size]], "u": self._number}
        trade = {
            "T": now,
            "s": symbol,
            "S": "Buy",
            "v": "0.010",
            "p": str(price),
            "L": "PlusTick",
            "i": str(uuid.uuid4()),
            "BT": False,
            "RPI": False,
            "seq": self._number,
        }
        messages: list[Json] = [
            {
                "topic": f"orderbook.1.{symbol}",
                "type": "snapshot",
                "ts": now,
                "data": book | {"seq": self._number},
                "cts": now,
            },
            {
                "topic": f"tickers.{symbol}",
                "type": "snapshot",
                "ts": now,
                "cs": self._number,
                "data": ticker_json(symbol, price, size, now),
            },
            {"topic": f"publicTrade.{symbol}", "type": "snapshot", "ts": now, "data": [trade]},
        ]
        if is_bar_due:
            messages.append(self._bar(symbol, price, now))
        for socket, topics in list(self._public.items()):
            for message in messages:
                if message["topic"] in topics:
                    await self._send(socket, message)

    def _bar(self, symbol: str, price: Decimal, now: int) -> Json:
        if symbol not in self.frozen:
            self._bars[symbol] += 1
        start = (now // 60_000 - 10_000 + self._bars[symbol]) * 60_000
        bar = {
            "start": start,
            "end": start + 59_999,
            "interval": "1",
            "open": str(price),
            "close": str(price),
            "high": str(price + 1),
            "low": str(price - 1),
            "volume": "10.000",
            "turnover": "1",
            "confirm": True,
            "timestamp": now,
        }
        return {"topic": f"kline.1.{symbol}", "type": "snapshot", "ts": now, "data": [bar]}

    # Requests

    async def _rest(self, request: web.Request) -> web.StreamResponse:
        from aiohttp import web

        path = request.path.removeprefix("/v5/")
        self._count(path)
        await self._while_deaf()
        if self.refuses_requests:
            head = {
                "Retry-After": str(max(math.ceil(self.retry_after), 1)),
                "X-Bapi-Limit-Reset-Timestamp": str(self._free_at),
            }
            content = {"retCode": _RATE_LIMITED, "retMsg": self.refuses_with, "result": {}}
            return web.json_response(content, status=429, headers=head)
        text = await request.text()
        given = json.loads(text) if text else dict(request.query)
        code, message, result = await self._answer(path, given)
        return web.json_response(
            {
                "retCode": code,
                "retMsg": message,
                "result": result,
                "retExtInfo": {},
                "time": self.exchange.now,
            }
        )

    async def _answer(self, path: str, given: Json) -> tuple[int, str, Json]:  # noqa: C901, PLR0911
        exchange = self.exchange
        symbol, coin = given.get("symbol"), given.get("settleCoin")
        is_ours = given.get("category", "linear") == "linear" and coin in {None, "USDT"}

        def listed(items: list[Json]) -> tuple[int, str, Json]:
            category = given.get("category", "linear")
            is_hidden = self.hides_orders and path in _ABOUT_ORDERS
            found = items if is_ours and not is_hidden else []
            return 0, "OK", {"category": category, "list": found, "nextPageCursor": ""}

        if path == "market/time":
            nanoseconds = int((time.time() + exchange.clock_offset) * 1e9)
            answer = {
                "timeSecond": str(nanoseconds // 10**9),
                "timeNano": str(nanoseconds),
            }
            return 0, "OK", answer
        if path == "market/instruments-info":
            return listed([instrument_json(name) for name in exchange.prices])
        if path == "market/tickers":
            return listed(
                [
                    ticker_json(name, price, "5.000", exchange.now)
                    for name, price in exchange.prices.items()
                ]
            )
        if path == "account/fee-rate":
            rates = {"takerFeeRate": "0.00055", "makerFeeRate": "0.0002"}
            return listed([{"symbol": name, "baseCoin": "", **rates} for name in exchange.prices])
        if path == "account/wallet-balance":
            return 0, "OK", {"list": [wallet_json(exchange.wallet)]}
        if path == "account/info":
            return 0, "OK", ACCOUNT | {"updatedTime": str(exchange.now)}
        if path == "user/query-api":
            return 0, "OK", KEY
        if path == "position/list":
            held = [name for name, size in exchange.positions.items() if size]
            chosen = [name for name in held if symbol in {None, name}]
            return listed([self._position_json(name) for name in chosen])
        if path in {"order/realtime", "order/history"}:
            return listed([order_json(item) for item in self._asked_orders(path, given)])
        if path == "execution/list":
            asked = given.get("orderId"), given.get("orderLinkId")
            return listed(
                [
                    execution_json(item)
                    for item in exchange.executions
                    if symbol in {None, item.order.symbol}
                    and asked[0] in {None, item.order.id}
                    and asked[1] in {None, item.order.link_id}
                ]
            )
        if path == "order/cancel-all":
            ended = [item for item in exchange.open_orders if symbol in {None, item.symbol}]
            gone = [item for item in ended if exchange.cancel(item) is None]
            ids = [{"orderId": item.id, "orderLinkId": item.link_id} for item in gone]
            return 0, "OK", {"list": ids, "success": "1"}
        if path.startswith("order/"):
            return await self._command(path.replace("/", "."), given)
        return listed([])

    def _asked_orders(self, path: str, given: Json) -> list[HeldOrder]:
        exchange = self.exchange
        if "orderId" in given or "orderLinkId" in given:
            one = exchange.find(given.get("orderId", ""), given.get("orderLinkId", ""))
            return [] if one is None else [one]
        is_open_wanted = path == "order/realtime"
        resting = {item.id for item in exchange.open_orders}
        return [
            item
            for item in exchange.orders.values()
            if (item.id in resting) == is_open_wanted and given.get("symbol") in {None, item.symbol}
        ]

    async def _command(self, operation: str, given: Json) -> tuple[int, str, Json]:
        exchange = self.exchange
        if operation == "order.create":
            order = HeldOrder(
                given["symbol"],
                given["side"],
                given["orderType"],
                Decimal(given["qty"]),
                Decimal(given.get("price") or 0),
                given.get("orderLinkId", ""),
                given.get("timeInForce", "GTC"),
                bool(given.get("reduceOnly")),
            )
            refusal = exchange.place(order)
            if refusal is not None:
                return _REFUSED, refusal, {}
            if self.fills_before_accepts:
                exchange.match(order)
            self._push("order", order_json(order))
            # After the answer, as a venue does.
            self._later(0.002, lambda: exchange.match(order))
            if self.order_delay:
                await asyncio.sleep(self.order_delay)
            return 0, "OK", {"orderId": order.id, "orderLinkId": order.link_id}
        found = exchange.find(given.get("orderId", ""), given.get("orderLinkId", ""))
        if operation in {"order.cancel", "order.amend"}:
            if operation == "order.cancel":
                refusal = exchange.cancel(found)
            else:
                refusal = exchange.amend(found, given.get("price"), given.get("qty"))
            if refusal is not None or found is None:
                return _CANCEL_REFUSED, refusal or "", {}
            return 0, "OK", {"orderId": found.id, "orderLinkId": found.link_id}
        return _REFUSED, f"{operation} is not known here", {}

    # Sockets

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        from aiohttp import WSMsgType, web

        socket = web.WebSocketResponse(autoping=False)
        await self._while_deaf()
        await socket.prepare(request)
        self._sockets.append(socket)
        try:
            async for message in socket:
                await self._while_deaf()
                if message.type is WSMsgType.PING:
                    await socket.pong(message.data)
                if message.type is WSMsgType.TEXT:
                    await self._received(socket, request.path, json.loads(message.data))
        finally:
            self._public.pop(socket, None)
            for group in (self._private, self._sockets):
                if socket in group:
                    group.remove(socket)
        return socket

    async def _received(self, socket: web.WebSocketResponse, path: str, given: Json) -> None:
        operation, is_trade = str(given.get("op")), path.endswith("trade")
        self._count(operation)
        asked = given.get("req_id", "")
        good = {"success": True, "ret_msg": "", "conn_id": "c", "req_id": asked, "op": operation}
        traded = {"retCode": 0, "retMsg": "OK", "op": operation, "connId": "c"}
        if operation == "ping":
            pong = traded | {"op": "pong", "data": [str(self.exchange.now)]}
            await self._send(socket, pong if is_trade else good | {"ret_msg": "pong"})
        elif operation == "auth":
            await self._send(socket, traded if is_trade else good)
        elif operation in {"subscribe", "unsubscribe"}:
            await self._send(socket, good)
            if "public" in path:
                topics = self._public.setdefault(socket, set())
                if operation == "subscribe":
                    topics |= set(given["args"])
                else:
                    topics -= set(given["args"])
            elif socket not in self._private:
                self._private.append(socket)
        elif operation.startswith("order."):
            answering = asyncio.ensure_future(self._traded(socket, operation, given))
            self._waiting.add(answering)
            answering.add_done_callback(self._waiting.discard)

    async def _traded(self, socket: web.WebSocketResponse, operation: str, given: Json) -> None:
        now = time.monotonic()
        if now - self._refused_at < self.retry_after:
            self.hasty.append(operation)
        if self.refuses_requests or self.refuses_next:
            self.refuses_next = max(self.refuses_next - 1, 0)
            self._refused_at = now
            answer: tuple[int, str, Json] = _RATE_LIMITED, self.refuses_with, {}
        else:
            answer = await self._command(operation, given["args"][0])
        code, message, result = answer
        await self._send(
            socket,
            {
                "reqId": given.get("reqId", ""),
                "retCode": code,
                "retMsg": message,
                "op": operation,
                "data": result,
                "retExtInfo": {},
                "header": {
                    "X-Bapi-Limit": "10",
                    "X-Bapi-Limit-Status": "9",
                    "X-Bapi-Limit-Reset-Timestamp": str(self._free_at),
                    "Traceid": "t",
                    "Timenow": str(self.exchange.now),
                },
                "connId": "c",
            },
        )

    @property
    def _free_at(self) -> int:
        """When the venue takes requests again, in milliseconds since the epoch."""
        return self.exchange.now + int(self.retry_after * 1000)

    async def _while_deaf(self) -> None:
        while self.is_deaf:  # noqa: ASYNC110 - tests set it from another thread
            await asyncio.sleep(0.02)

    def _count(self, what: str) -> None:
        self.requests[what] += 1
        if what != "ping":
            self.exchange.note("request", what)

    def _later(self, seconds: float, action: Any) -> None:
        asyncio.get_running_loop().call_later(seconds, action)

    def _push_execution(self, execution: Execution) -> None:
        for _ in range(2 if self.sends_twice else 1):
            self._push("execution", execution_json(execution))
        self._push("position", self._position_json(execution.order.symbol))
        self._push("wallet", wallet_json(self.exchange.wallet))

    def _push(self, topic: str, item: Json) -> None:
        if self.hides_reports or self.is_deaf:
            return
        message = {
            "id": uuid.uuid4().hex,
            "topic": topic,
            "creationTime": self.exchange.now,
            "data": [item],
        }
        for socket in list(self._private):
            sending = asyncio.ensure_future(self._send(socket, message))
            self._waiting.add(sending)
            sending.add_done_callback(self._waiting.discard)

    async def _send(self, socket: web.WebSocketResponse, message: Json) -> None:
        if self.is_deaf:
            return
        with contextlib.suppress(ConnectionError, RuntimeError):
            await socket.send_json(message)

    def _position_json(self, symbol: str) -> Json:
        size, average = self.exchange.positions[symbol], self.exchange.averages[symbol]
        now = str(self.exchange.now)
        side = "Buy" if size > 0 else "Sell" if size < 0 else ""
        return POSITION | {
            "symbol": symbol,
            "side": side,
            "size": str(abs(size)),
            "avgPrice": f"{average:.2f}" if size else "0",
            "entryPrice": f"{average:.2f}",
            "positionValue": f"{abs(size) * average:.2f}",
            "markPrice": str(self.exchange.prices[symbol]),
            "createdTime": now,
            "updatedTime": now,
            "seq": len(self.exchange.executions),
        }
