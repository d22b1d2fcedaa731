"""A stand-in venue as a server in a thread of its own: it goes away, comes back, and is driven."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import TYPE_CHECKING, Any, Protocol, Self

from trading_runtime.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiohttp import web

_PATIENCE = 120.0
"""A busy machine takes its time; nothing is judged by it."""
_INSTALL = "install it with 'pip install -r requirements-drills.txt'"


class Protocolled(Protocol):
    """What answers requests, in the loop of the server."""

    def application(self) -> web.Application:
        """Return the handlers."""

    async def publish(self) -> None:
        """Send market data until cancelled."""

    async def hang_up(self) -> None:
        """End all connections."""


class StandInVenue:
    """Serves a venue, on loopback unless said otherwise, for as long as the block lasts."""

    def __init__(self, protocol: Protocolled, host: str = "127.0.0.1") -> None:
        self._protocol, self._host = protocol, host
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._runner: web.AppRunner | None = None
        self._publishing: asyncio.Task[None] | None = None
        self.port = 0

    def __enter__(self) -> Self:
        """Begin to answer."""
        self._thread.start()
        self.come_back()
        return self

    def __exit__(self, *_error: object) -> None:
        """Answer no more."""
        self.go_away()
        asyncio.run_coroutine_threadsafe(_end_others(), self._loop).result(_PATIENCE)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_PATIENCE)
        self._loop.close()

    @property
    def address(self) -> str:
        """Where its REST endpoint is."""
        return f"http://{self._host}:{self.port}"

    @property
    def socket_address(self) -> str:
        """Where its WebSocket endpoints are."""
        return f"ws://{self._host}:{self.port}"

    def do[T](self, action: Callable[..., T], *arguments: Any) -> T:
        """Run ``action`` in the venue's thread, and return what it returns."""

        async def call() -> T:
            return action(*arguments)

        return asyncio.run_coroutine_threadsafe(call(), self._loop).result(_PATIENCE)

    def go_away(self) -> None:
        """End all connections, and refuse new ones."""
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(_PATIENCE)

    def come_back(self) -> None:
        """Answer again at the same address."""
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(_PATIENCE)

    async def _start(self) -> None:
        try:
            from aiohttp import web
        except ImportError as error:
            raise UsageError(f"a stand-in venue needs aiohttp: {_INSTALL}") from error
        self._runner = web.AppRunner(self._protocol.application(), shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._host, self.port, reuse_address=True)
        await site.start()
        self.port = self._runner.addresses[0][1]
        self._publishing = asyncio.ensure_future(self._protocol.publish())

    async def _stop(self) -> None:
        if self._publishing is not None:
            self._publishing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._publishing
        await self._protocol.hang_up()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None


async def _end_others() -> None:
    """Cancel what still waits, such as answers that come late."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
