"""A proxy in front of a server that can cut every connection, old and new."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import Self

_CHUNK = 1 << 16
_LOOPBACK = "127.0.0.1"


class CuttingProxy:
    """Forwards bytes between clients and a server until it is cut."""

    def __init__(self, host: str, port: int) -> None:
        """Listen on a free port of this machine."""
        self._server = (host, port)
        self._is_cut = False
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._listener = socket.create_server((_LOOPBACK, 0))
        self.port = self._listener.getsockname()[1]
        self.refused = 0
        """Connections refused while it was cut."""

    def __enter__(self) -> Self:
        """Start to listen."""
        threading.Thread(target=self._listen, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        """End all connections."""
        self.cut()
        self._listener.close()

    def cut(self) -> None:
        """End all connections, and refuse new ones."""
        with self._lock:
            self._is_cut = True
            for connection in self._open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def restore(self) -> None:
        """Forward again."""
        with self._lock:
            self._is_cut = False

    def _listen(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            if self._is_cut:
                self.refused += 1
                return
            with socket.create_connection(self._server) as server:
                with self._lock:
                    self._open |= {client, server}
                try:
                    back = threading.Thread(target=_copy, args=(server, client), daemon=True)
                    back.start()
                    _copy(client, server)
                    back.join()
                finally:
                    with self._lock:
                        self._open -= {client, server}


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while content := source.recv(_CHUNK):
            target.sendall(content)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)
