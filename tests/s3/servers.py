"""A real S3 server on this machine, a proxy in front of it that fails, and one that says no."""

from __future__ import annotations

import datetime as dt
import http.client
import itertools
import ssl
import threading
import time
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Self

import moto.s3.models
from moto.core.utils import utcnow
from moto.server import ThreadedMotoServer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pytest

LOOPBACK = "127.0.0.1"
CUT = b"~cut~"
LOST_ANSWER = -1
NO_ANSWER = b"<html>Please log in</html>"
NO_SUCH_KEY = b"<?xml version='1.0'?><Error><Code>NoSuchKey</Code></Error>"


class S3Server:
    """moto's server on a free port."""

    def __enter__(self) -> Self:
        """Start it."""
        self._server = ThreadedMotoServer(LOOPBACK, 0, verbose=False)
        self._server.start()
        self.port = self._server.get_host_and_port()[1]
        self.endpoint = f"http://{LOOPBACK}:{self.port}"
        return self

    def __exit__(self, *_: object) -> None:
        """Stop it."""
        self._server.stop()

    def put(self, path: str, content: bytes = b"") -> None:
        """Make a bucket, or an object of any name: this server asks nobody for a signature."""
        connection = http.client.HTTPConnection(LOOPBACK, self.port, timeout=30)
        connection.request("PUT", f"/{path}", content)
        assert connection.getresponse().status == HTTPStatus.OK
        connection.close()


class Clock:
    """Gives seconds; it stands still until a test moves it."""

    def __init__(self) -> None:
        self.now = self._first = 1_700_000_000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now

    @property
    def passed(self) -> float:
        """The seconds by which the test has moved it."""
        return self.now - self._first


def move_servers_by(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the seconds that ``clock`` was moved pass for all servers of this module as well."""
    told, at_storage = BaseHTTPRequestHandler.date_time_string, utcnow
    real = time.time

    def date(handler: BaseHTTPRequestHandler, timestamp: float | None = None) -> str:
        return told(handler, real() + clock.passed if timestamp is None else timestamp)

    monkeypatch.setattr(BaseHTTPRequestHandler, "date_time_string", date)
    monkeypatch.setattr(
        moto.s3.models, "utcnow", lambda: at_storage() + dt.timedelta(seconds=clock.passed)
    )


class Listening:
    """Serves on a free port while its block lasts."""

    _server: ThreadingHTTPServer

    def __enter__(self) -> Self:
        """Start it."""
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop it."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class Teller(Listening):
    """Gives the answers it was told to, in turn and then the last again; notes what was asked."""

    def __init__(self, *answers: tuple[int, bytes], certificate: Path | None = None) -> None:
        """With a ``certificate``, and its key in the same file, it speaks TLS."""
        self.asked: list[dict[str, str]] = []
        teller = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _answer(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                headers = {name.lower(): value for name, value in self.headers.items()}
                teller.asked.append(headers | {":path": self.path})
                status, body = answers[min(len(teller.asked), len(answers)) - 1]
                self.send_response(status)
                # One byte more than comes, where the answer ends with a cut.
                self.send_header("Content-Length", str(len(body) + body.endswith(CUT)))
                self.send_header("Last-Modified", "Mon, 01 Jan 2024 00:00:00 GMT")
                self.send_header("ETag", '"tag"')
                self.end_headers()
                self.wfile.write(body)
                self.close_connection = body.endswith(CUT)

            do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _answer  # noqa: N815 - http.server's

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer((LOOPBACK, 0), Handler)
        self._server.daemon_threads = True
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        scheme = "http" if certificate is None else "https"
        self.endpoint = f"{scheme}://{LOOPBACK}:{self._server.server_address[1]}"


class Proxy(Listening):
    """Hands requests on to a server, except those that ``fault`` answers for by their number."""

    def __init__(
        self,
        port: int,
        fault: Callable[[int], int | None] = lambda _: None,
        host: str = LOOPBACK,
        lie: Callable[[str, str, bytes], bytes | None] = lambda _method, _path, content: content,
    ) -> None:
        """``fault`` gives a status to answer with, or None to hand on to ``host``.

        0 cuts the connection, and LOST_ANSWER does so after the request was served. 200 comes with
        a page, as from a gateway that knows nothing of S3. ``lie`` is given method, path and body
        of an answer, and returns another body of which all headers speak, or None: there is no such
        object.
        """
        self.requests = self.faults = self.bytes_answered = 0
        self.answers = threading.Event()
        """While it is not set, connections are accepted, and nothing is answered."""
        self.answers.set()
        self.stalls_in_content = False
        """Whether the head of an answer is sent all the same, and its content is not."""
        numbers = itertools.count(1)
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _serve(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                number = next(numbers)
                if not proxy.stalls_in_content:
                    proxy.answers.wait()
                proxy.requests = number
                status = fault(number)
                if status is not None and status != LOST_ANSWER:
                    proxy.faults += 1
                    self.close_connection = True
                    if status:
                        page = NO_ANSWER if status == HTTPStatus.OK else b""
                        self.send_response(status)
                        self.send_header("Content-Length", str(len(page)))
                        self.send_header("Connection", "close")
                        self.end_headers()
                        self.wfile.write(page if self.command != "HEAD" else b"")
                    return
                inner = http.client.HTTPConnection(host, port, timeout=30)
                inner.request(self.command, self.path, body, dict(self.headers))
                answer = inner.getresponse()
                content = answer.read()
                if status == LOST_ANSWER:
                    proxy.faults += 1
                    self.close_connection = True
                    inner.close()
                    return
                told = lie(self.command, self.path, content)
                status = answer.status if told is not None else HTTPStatus.NOT_FOUND
                content = NO_SUCH_KEY if told is None else told
                self.send_response(status)
                for name, value in answer.getheaders():
                    if name.lower() not in {"transfer-encoding", "content-length", "connection"}:
                        self.send_header(name, value)
                length = answer.getheader("Content-Length") if self.command == "HEAD" else None
                proxy.bytes_answered += len(content)
                self.send_header("Content-Length", length or str(len(content)))
                self.end_headers()
                proxy.answers.wait()
                with suppress(ConnectionError):  # who asked may have given up meanwhile
                    self.wfile.write(content)
                inner.close()

            do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _serve  # noqa: N815 - http.server's

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer((LOOPBACK, 0), Handler)
        self._server.daemon_threads = True
        self.endpoint = f"http://{LOOPBACK}:{self._server.server_address[1]}"
