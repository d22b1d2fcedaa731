"""The server that Prometheus scrapes: ``/metrics`` and ``/healthz``."""

from __future__ import annotations

import contextlib
import threading
import time
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client.exposition import make_wsgi_app
from prometheus_client.registry import Collector

from trading_runtime.errors import TradingRuntimeError, UsageError
from trading_runtime.metrics.exposition import registry_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from wsgiref.types import StartResponse, WSGIEnvironment

    from prometheus_client.metrics_core import Metric

_TEXT = ("Content-Type", "text/plain; charset=utf-8")
_MISSED = 4
"""Rounds without numbers after which the server reports that it is unhealthy."""


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
        self._at = 0.0
        self._ended = threading.Event()
        self._has_asked = threading.Event()
        if every:
            threading.Thread(target=self._go_on, daemon=True).start()

    def collect(self) -> Iterator[Metric]:
        """Yield the families; raises what the collector raised."""
        if self._every:
            self._has_asked.wait()
        else:
            self._ask()
        if self._error is not None:
            raise self._error
        yield from self._families

    def is_well(self) -> bool:
        """Return whether the latest numbers exist and are not old."""
        if not self._every:
            self._ask()
        return self._error is None and time.monotonic() - self._at < _MISSED * (self._every or 1)

    def end(self) -> None:
        """Stop the thread."""
        self._ended.set()

    def _ask(self) -> None:
        with self._asking:
            try:
                self._families = list(self._collector.collect())
            except TradingRuntimeError as error:
                self._error = error
            else:
                self._error = None
                self._at = time.monotonic()

    def _go_on(self) -> None:
        while not self._ended.is_set():
            self._ask()
            self._has_asked.set()
            self._ended.wait(self._every)


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True

    def server_bind(self) -> None:
        # Without the base's look-up of the host's full name, which can take seconds.
        super(WSGIServer, self).server_bind()
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]
        self.setup_environ()


class _Silent(WSGIRequestHandler):
    def log_message(self, format: str, *_: object) -> None:  # noqa: A002 - the base's name
        """Do not log a successful request."""


@contextlib.contextmanager
def serving(collector: Collector, host: str, port: int, every: float) -> Iterator[WSGIServer]:
    """Bind a server to an address; ``serve_forever`` then answers until ``shutdown``.

    Port 0 picks any free port. Raises ``UsageError`` when the address cannot be bound.
    """
    latest = LatestNumbers(collector, every)
    try:
        server = make_server(host, port, _application(latest), _Server, _Silent)
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
    latest: LatestNumbers,
) -> Callable[[WSGIEnvironment, StartResponse], Iterable[bytes]]:
    metrics = make_wsgi_app(registry_of(latest))

    def answer(environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if environ["REQUEST_METHOD"] != "GET":
            start("405 Method Not Allowed", [_TEXT, ("Allow", "GET")])
            return [b"GET only\n"]
        if path == "/healthz":
            is_well = latest.is_well()
            start("200 OK" if is_well else "503 Service Unavailable", [_TEXT])
            return [b"ok\n" if is_well else b"no numbers\n"]
        if path != "/metrics":
            start("404 Not Found", [_TEXT])
            return [b"/metrics, /healthz\n"]
        try:
            answered: Iterable[bytes] = metrics(environ, start)
        except TradingRuntimeError as error:
            start("503 Service Unavailable", [_TEXT])
            return [f"{error}\n".encode()]
        return answered

    return answer
