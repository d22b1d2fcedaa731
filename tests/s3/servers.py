"""A real S3 server on this machine, and a proxy in front of it that fails every third request."""

from __future__ import annotations

import http.client
import itertools
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Self

from moto.server import ThreadedMotoServer

if TYPE_CHECKING:
    from collections.abc import Callable

LOOPBACK = "127.0.0.1"


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


class Proxy:
    """Hands requests on to a server, except those that ``fault`` answers for by their number."""

    def __init__(self, port: int, fault: Callable[[int], int | None]) -> None:
        """``fault`` gives a status to answer with, 0 to cut the connection, or None to hand on."""
        self.requests = self.faults = 0
        numbers = itertools.count(1)
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _serve(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                number = next(numbers)
                proxy.requests = number
                status = fault(number)
                if status is not None:
                    proxy.faults += 1
                    self.close_connection = True
                    if status:
                        self.send_response(status)
                        self.send_header("Content-Length", "0")
                        self.send_header("Connection", "close")
                        self.end_headers()
                    return
                inner = http.client.HTTPConnection(LOOPBACK, port, timeout=30)
                inner.request(self.command, self.path, body, dict(self.headers))
                answer = inner.getresponse()
                content = answer.read()
                self.send_response(answer.status)
                for name, value in answer.getheaders():
                    if name.lower() not in {"transfer-encoding", "content-length", "connection"}:
                        self.send_header(name, value)
                length = answer.getheader("Content-Length") if self.command == "HEAD" else None
                self.send_header("Content-Length", length or str(len(content)))
                self.end_headers()
                self.wfile.write(content)
                inner.close()

            do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _serve  # noqa: N815 - http.server's

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer((LOOPBACK, 0), Handler)
        self._server.daemon_threads = True
        self.endpoint = f"http://{LOOPBACK}:{self._server.server_address[1]}"

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
