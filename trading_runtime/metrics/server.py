"""The server that Prometheus scrapes: ``/metrics`` and ``/healthz``."""

from __future__ import annotations

import contextlib
import math
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client.exposition import make_wsgi_app
from prometheus_client.registry import Collector

from trading_runtime.errors import TradingRuntimeError, UsageError
from trading_runtime.metrics.exposition import registry_of
from trading_runtime.text import for_records

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from wsgiref.types import StartResponse, WSGIEnvironment

    from prometheus_client.metrics_core import Metric

_TEXT = ("Content-Type", "text/plain; charset=utf-8")
_MOST_LINES = 100
_MISSED = 4
"""Rounds without numbers after which the server reports that it is unhealthy."""


_THREADS = 16
_MOST_WAITING = 1_000
"""Connections that wait for a thread; more are closed at once."""
_MOST_HEAD = 65_536
_IDLE_SECONDS = 5.0
"""How long a client may say nothing."""
_MOST_SECONDS = 20.0
"""How long a connection may take in all, however busy it is with single bytes."""


class LatestNumbers(Collector):
    """Another collector's metrics, for many readers: collected for each, or every few seconds.

    With ``every`` seconds a thread collects, and a slow storage keeps no reader waiting.
    """

    def __init__(self, collector: Collector, every: float) -> None:
        self._collector = collector
        self._every = every
        self._asking = threading.Lock()
        self._families: list[Metric] = []
        self._error: TradingRuntimeError | None = None
        self._at = self._began = 0.0
        self._ended = threading.Event()
        self._has_asked = threading.Event()
        if every:
            threading.Thread(target=self._keep_collecting, daemon=True).start()

    def collect(self) -> Iterator[Metric]:
        """Yield the families; raises what the collector raised."""
        if self._every:
            self._has_asked.wait()
        else:
            self._ask()
        if self._error is not None:
            raise self._error
        yield from self._families

    def fault(self) -> str | None:
        """Return why there are no numbers, or only old ones; ``None`` when nothing is wrong."""
        if not self._every:
            self._ask()
        if self._error is not None:
            return str(self._error)
        age = time.monotonic() - self._at
        is_old = bool(self._every) and age >= _MISSED * self._every
        return f"the latest numbers are {age:.0f} s old" if is_old else None

    def end(self) -> None:
        """Stop the thread."""
        self._ended.set()

    def _ask(self) -> None:
        asked = time.monotonic()
        with self._asking:
            if self._began > asked:
                return  # another thread has collected since then
            self._began = time.monotonic()
            try:
                self._families = list(self._collector.collect())
            except TradingRuntimeError as error:
                self._error = error
            else:
                self._error = None
                self._at = time.monotonic()

    def _keep_collecting(self) -> None:
        while not self._ended.is_set():
            self._ask()
            self._has_asked.set()
            self._ended.wait(self._every)


class _Server(WSGIServer):
    """Answers in a bounded number of threads; a client too slow, or one too many, is dropped."""

    request_queue_size = 512

    def __init__(self, *arguments: Any) -> None:
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="scrape")
        self._open: dict[socket.socket, float] = {}
        self._changing = threading.Lock()
        super().__init__(*arguments)

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._changing:
            is_full = len(self._open) >= _MOST_WAITING
            if not is_full:
                self._open[request] = math.inf
        if is_full:
            self.shutdown_request(request)
        else:
            self._threads.submit(self._answer, request, client_address, time.monotonic())

    def _answer(self, request: socket.socket, client_address: Any, accepted: float) -> None:
        now = time.monotonic()
        with self._changing:
            self._open[request] = now
        try:
            # A client that waited and has still not sent a whole request is dropped: a few hundred
            # of them would hold up all others.
            if now - accepted < _IDLE_SECONDS or _has_asked(request):
                self.finish_request(request, client_address)
        except (OSError, ValueError):
            pass  # the client is gone, or was dropped
        except Exception:  # noqa: BLE001 - as the base does
            self.handle_error(request, client_address)
        finally:
            with self._changing:
                del self._open[request]
            self.shutdown_request(request)

    def service_actions(self) -> None:
        """Drop clients that are too slow; called between requests, several times a second."""
        latest = time.monotonic() - _MOST_SECONDS
        with self._changing:
            slow = [request for request, since in self._open.items() if since < latest]
        for request in slow:
            with contextlib.suppress(OSError):
                request.shutdown(socket.SHUT_RDWR)

    def server_close(self) -> None:
        super().server_close()
        with self._changing:
            left = list(self._open)
        for request in left:
            with contextlib.suppress(OSError):
                request.shutdown(socket.SHUT_RDWR)
        self._threads.shutdown(cancel_futures=True)

    def server_bind(self) -> None:
        # Without the base's look-up of the host's full name, which can take seconds.
        super(WSGIServer, self).server_bind()
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]
        self.setup_environ()


def _has_asked(request: socket.socket) -> bool:
    """Return whether the whole head of a request is there, without waiting for it.

    Raises ``BlockingIOError`` when nothing is.
    """
    return b"\r\n\r\n" in request.recv(_MOST_HEAD, socket.MSG_PEEK | socket.MSG_DONTWAIT)


class _Silent(WSGIRequestHandler):
    timeout = _IDLE_SECONDS

    def log_message(self, format: str, *_: object) -> None:  # noqa: A002 - the base's name
        """Do not log a successful request."""


@contextlib.contextmanager
def serving(
    collector: Collector,
    host: str,
    port: int,
    every: float,
    unread: Callable[[], Mapping[str, str]] = dict,
) -> Iterator[WSGIServer]:
    """Bind a server to an address; ``serve_forever`` then answers until ``shutdown``.

    ``unread`` says which files could not be read, and why; ``/healthz`` reports them. Port 0 picks
    any free port. Raises ``UsageError`` when the address cannot be bound.
    """
    latest = LatestNumbers(collector, every)
    try:
        server = make_server(host, port, _application(latest, unread), _Server, _Silent)
    except (OSError, OverflowError) as error:
        latest.end()
        raise UsageError(
            f"--host {host} --port {port}: cannot be listened to ({error}); choose another"
        ) from error
    try:
        yield server
    finally:
        latest.end()
        server.server_close()


def _application(
    latest: LatestNumbers, unread: Callable[[], Mapping[str, str]]
) -> Callable[[WSGIEnvironment, StartResponse], Iterable[bytes]]:
    metrics = make_wsgi_app(registry_of(latest))

    def answer(environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if environ["REQUEST_METHOD"] != "GET":
            start("405 Method Not Allowed", [_TEXT, ("Allow", "GET")])
            return [b"GET only\n"]
        if path == "/healthz":
            wrong = latest.fault()
            start("200 OK" if wrong is None else "503 Service Unavailable", [_TEXT])
            lines = ["ok" if wrong is None else wrong]
            lines += [f"not read: {name}: {why}" for name, why in sorted(unread().items())]
            return [f"{for_records(line)}\n".encode() for line in lines[:_MOST_LINES]]
        if path != "/metrics":
            start("404 Not Found", [_TEXT])
            return [b"/metrics, /healthz\n"]
        try:
            answered: Iterable[bytes] = metrics(environ, start)
        except TradingRuntimeError as error:
            start("503 Service Unavailable", [_TEXT])
            return [f"{for_records(str(error))}\n".encode()]
        return answered

    return answer
