"""The HTTP server of a session: whether it is alive, whether it may trade, and its status."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import TYPE_CHECKING, Any, NamedTuple

from trading_runtime.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

_LONGEST_REQUEST = 8_192
_REQUEST_SECONDS = 5.0
_MOST_SECONDS = 10.0
_MOST_CLIENTS = 500
"""Clients at once; one more is dropped."""
_REASONS = {200: "OK", 404: "Not Found", 405: "Method Not Allowed", 503: "Service Unavailable"}


class Health(NamedTuple):
    """The health of a session."""

    lives: list[str]
    """What is wrong with it; nothing when it is alive."""
    ready: list[str]
    """Why it does not trade; nothing when it does."""
    status: dict[str, Any]
    """The response of ``/status``."""


@contextlib.asynccontextmanager
async def serving(host: str, port: int, health: Callable[[], Health]) -> AsyncIterator[int]:
    """Answer requests in this event loop, and yield the port.

    Raises ``UsageError`` when it cannot listen on the address.
    """
    clients = 0

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal clients
        clients += 1
        try:
            if clients <= _MOST_CLIENTS:
                await asyncio.wait_for(reply(reader, writer), _MOST_SECONDS)
        except TimeoutError:
            writer.transport.abort()
        finally:
            clients -= 1
            writer.close()

    async def reply(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, TimeoutError, asyncio.LimitOverrunError, ValueError):
            request = await asyncio.wait_for(reader.readline(), _REQUEST_SECONDS)
            code, content = _answered(request.decode("latin-1").split(" "), health)
            body = json.dumps(content, ensure_ascii=False).encode() + b"\n"
            head = (
                f"HTTP/1.1 {code} {_REASONS[code]}\r\nContent-Type: application/json\r\n"
                f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
            )
            writer.write(head.encode() + body)
            await writer.drain()

    try:
        server = await asyncio.start_server(
            answer, host, port, limit=_LONGEST_REQUEST, backlog=_MOST_CLIENTS
        )
    except OSError as error:
        raise UsageError(
            f"health: cannot listen at {host}:{port}: {error.strerror}; choose another port, or 0 "
            "for any that is free"
        ) from error
    async with server:
        yield int(server.sockets[0].getsockname()[1])


def _answered(words: list[str], health: Callable[[], Health]) -> tuple[int, dict[str, Any]]:
    if words[0] != "GET":
        return 405, {"error": "only GET is answered"}
    path = words[1].partition("?")[0] if len(words) > 1 else ""
    now = health()
    if path == "/healthz":
        return _verdict(now.lives)
    if path == "/readyz":
        return _verdict(now.lives + now.ready)
    if path == "/status":
        return 200, now.status
    return 404, {"error": "there are /healthz, /readyz and /status"}


def _verdict(wrong: list[str]) -> tuple[int, dict[str, Any]]:
    return (503, {"ok": False, "why": wrong}) if wrong else (200, {"ok": True})
