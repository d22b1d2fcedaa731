"""Whether a session is alive, whether it may trade, and its status, told by an HTTP server."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
import time
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, NamedTuple

from trading_runtime.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_LONGEST_REQUEST = 8_192
_REQUEST_SECONDS = 5.0
_MOST_SECONDS = 10.0
_MOST_CLIENTS = 500
"""Clients at once; one more is dropped."""
_LOOK_SECONDS = 0.1
_STUCK_SECONDS = 2.0
"""An event loop that has not turned for so long is stuck."""
_PATHS = ("/healthz", "/readyz", "/status")
_REASONS = {200: "OK", 404: "Not Found", 405: "Method Not Allowed", 503: "Service Unavailable"}


_TURN_SECONDS = 0.1
_MOST_COUNTED = 1.0
"""What counts at most between two looks at a loop: a suspended process has not waited."""


class LoopTurns:
    """Whether an event loop turns, as other threads see it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last = self._seen = self._looked = clock()
        self._waited = 0.0

    async def note(self) -> None:
        """Note its turns, in that loop, until this is cancelled."""
        while True:
            self._last = self._clock()
            await asyncio.sleep(_TURN_SECONDS)

    def silent(self) -> float:
        """Return how many seconds ago it last turned."""
        return self._clock() - self._last

    def waited(self) -> float:
        """Return for how many seconds of this process it has not turned, as of this look."""
        now = self._clock()
        passed = min(now - self._looked, _MOST_COUNTED)
        self._waited = 0.0 if self._last != self._seen else self._waited + passed
        self._seen, self._looked = self._last, now
        return self._waited

    @contextlib.contextmanager
    def watched(self, longest: float, on_blocked: Callable[[float], None]) -> Iterator[None]:
        """Call ``on_blocked`` from another thread once it has not turned for so many seconds."""
        ended = threading.Event()

        def watch() -> None:
            while not ended.wait(min(longest / 4, 1.0)):
                if (waited := self.waited()) > longest:
                    on_blocked(waited)

        thread = threading.Thread(target=watch, name="watchdog", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()


class Health(NamedTuple):
    """The health of a session."""

    lives: list[str]
    """What is wrong with it; nothing when it is alive."""
    ready: list[str]
    """Why it does not trade; nothing when it does."""
    status: dict[str, Any]
    """The response of ``/status``."""


class HealthServer:
    """Answers requests in a thread of its own, so that it can report an event loop that is stuck.

    Everything else is looked up in that loop, since no other thread may read the node.
    """

    def __init__(self, health: Callable[[], Health], silent: Callable[[], float]) -> None:
        """Use the running event loop; ``silent`` returns for how many seconds it has not turned."""
        self._health, self._silent = health, silent
        self._session = asyncio.get_running_loop()
        self._loop = asyncio.new_event_loop()
        self._clients = 0

    @contextlib.contextmanager
    def serving(self, host: str, port: int) -> Iterator[int]:
        """Answer for as long as the block lasts, and yield the port.

        Raises ``UsageError`` when it cannot listen on the address.
        """
        started: Future[int] = Future()
        thread = threading.Thread(
            target=self._loop.run_until_complete,
            args=(self._serve(host, port, started),),
            name="health",
            daemon=True,
        )
        self._ended = asyncio.Event()
        thread.start()
        try:
            yield started.result()
        finally:
            self._loop.call_soon_threadsafe(self._ended.set)
            thread.join()
            self._loop.close()

    async def _serve(self, host: str, port: int, started: Future[int]) -> None:
        try:
            server = await asyncio.start_server(
                self._answer, host, port, limit=_LONGEST_REQUEST, backlog=_MOST_CLIENTS
            )
        except (OSError, UnicodeError) as error:
            # A host with an empty label cannot even be looked up.
            why = error.strerror if isinstance(error, OSError) else "there is no such host"
            refusal = UsageError(
                f"health: cannot listen at {host}:{port}: {why}; choose another port, "
                "or 0 for any that is free"
            )
            refusal.__cause__ = error
            started.set_exception(refusal)
            await self._ended.wait()
            return
        started.set_result(int(server.sockets[0].getsockname()[1]))
        await self._ended.wait()
        server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._clients += 1
        try:
            if self._clients <= _MOST_CLIENTS:
                await asyncio.wait_for(self._reply(reader, writer), _MOST_SECONDS)
        except TimeoutError:
            writer.transport.abort()
        finally:
            self._clients -= 1
            writer.close()

    async def _reply(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, TimeoutError, asyncio.LimitOverrunError, ValueError):
            request = await asyncio.wait_for(reader.readline(), _REQUEST_SECONDS)
            code, content = await self._answered(request.decode("latin-1").split(" "))
            body = json.dumps(content, ensure_ascii=False).encode() + b"\n"
            head = (
                f"HTTP/1.1 {code} {_REASONS[code]}\r\nContent-Type: application/json\r\n"
                f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
            )
            writer.write(head.encode() + body)
            await writer.drain()

    async def _answered(self, words: list[str]) -> tuple[int, dict[str, Any]]:
        if words[0] != "GET":
            return 405, {"error": "only GET is answered"}
        path = words[1].partition("?")[0] if len(words) > 1 else ""
        if path not in _PATHS:
            return 404, {"error": "there are /healthz, /readyz and /status"}
        now = await self._looked_up()
        if now is None:
            stuck = f"the event loop has not turned for {self._silent():.1f} s"
            return _verdict([stuck])
        if path == "/healthz":
            return _verdict(now.lives)
        return _verdict(now.lives + now.ready) if path == "/readyz" else (200, now.status)

    async def _looked_up(self) -> Health | None:
        """Return what the session's event loop says, ``None`` when it is stuck."""

        async def look() -> Health:
            return self._health()

        asked = asyncio.run_coroutine_threadsafe(look(), self._session)
        answered = asyncio.wrap_future(asked)
        while True:
            done, _ = await asyncio.wait({answered}, timeout=_LOOK_SECONDS)
            if done:
                return answered.result()
            if self._silent() > _STUCK_SECONDS:
                answered.cancel()
                return None


def _verdict(wrong: list[str]) -> tuple[int, dict[str, Any]]:
    return (503, {"ok": False, "why": wrong}) if wrong else (200, {"ok": True})
