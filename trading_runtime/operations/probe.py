"""Probe one address: one GET, bounded in time and size, for allowed hosts only."""

from __future__ import annotations

import contextlib
import http.client
import ipaddress
import socket
import ssl
import threading
import time
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, urlsplit

from trading_runtime.errors import UsageError
from trading_runtime.runs.metadata import now_text

if TYPE_CHECKING:
    from collections.abc import Collection

STATE_FILE = "operations/probe.json"
_PORTS = {"http": 80, "https": 443}
_CHUNK = 1 << 16


class ProbeState(StrEnum):
    """How an address answered."""

    UP = "up"
    """With a status from 200 to 299."""
    REDIRECTED = "redirected"
    """It redirected elsewhere, and the redirect was not followed."""
    REFUSED = "refused"
    """With another status."""
    TOO_LARGE = "too_large"
    TOO_SLOW = "too_slow"
    DOWN = "down"
    """Not at all."""


@dataclass(frozen=True)
class Probe:
    """What was found; scheme, host and port only of the address, and nothing of the body."""

    time: str
    address: str
    state: ProbeState
    seconds: float
    status: int | None
    bytes: int
    message: str

    def content(self) -> dict[str, Any]:
        """Return it as JSON content."""
        return asdict(self)


def probe(
    url: str, allowed: Collection[str], *, seconds: float = 5.0, most_bytes: int = 1_000_000
) -> Probe:
    """Send one GET to ``url``, on this machine or a host in ``allowed`` (``host[:port]``).

    Redirects are not followed, proxies are not used, and the body is counted and dropped. Raises
    ``UsageError`` for another host, a scheme other than HTTP, or a login inside the address.
    """
    parts, port = _checked(url)
    host = parts.hostname or ""
    shown = f"{parts.scheme}://{f'[{host}]' if ':' in host else host}:{port}"
    place = _allowed_place(host, port, allowed)
    started = time.perf_counter()
    asked = _Asked(seconds, most_bytes)
    state, message = asked.outcome_of(parts, place)
    taken = round(time.perf_counter() - started, 6)
    return Probe(now_text(), shown, state, taken, asked.status, asked.bytes, message)


def _checked(url: str) -> tuple[SplitResult, int]:
    try:
        parts = urlsplit(url)
        port = parts.port or _PORTS.get(parts.scheme, 0)
    except ValueError as error:
        raise UsageError(f"--url: not an address: {error}") from error
    if parts.scheme not in _PORTS or not parts.hostname:
        raise UsageError("--url: accepted are addresses such as http://localhost:8080/healthz")
    if parts.username is not None or parts.password is not None:
        raise UsageError("--url: holds a login, which would be sent and kept; leave it out")
    if any(character <= " " or character == "\x7f" for character in url):
        raise UsageError("--url: holds a space or a control character; write it as %20")
    return parts, port


def _allowed_place(host: str, port: int, allowed: Collection[str]) -> tuple[str, int] | None:
    """Return address and port to connect to; ``None`` when the name is unknown.

    The address is looked up once, so that the address checked is the one connected to.
    """
    is_listed = bool({host, f"{host}:{port}", f"[{host}]", f"[{host}]:{port}"} & set(allowed))
    refusal = UsageError(
        f"--url: {host}:{port} is not this machine; to allow it, add it to "
        "operations.probe_hosts of the experiment"
    )
    if not is_listed and not _may_be_this_machine(host):
        raise refusal  # without even looking up its name
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return None
    addresses = [str(item[4][0]) for item in found]
    if not is_listed and not all(ipaddress.ip_address(item).is_loopback for item in addresses):
        raise refusal
    return addresses[0], port


def _may_be_this_machine(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return False


class _Asked:
    """One request and its response."""

    def __init__(self, seconds: float, most_bytes: int) -> None:
        self._seconds = seconds
        self._most_bytes = most_bytes
        self._is_late = False
        self.status: int | None = None
        self.bytes = 0

    def outcome_of(
        self, parts: SplitResult, place: tuple[str, int] | None
    ) -> tuple[ProbeState, str]:
        if place is None:
            return ProbeState.DOWN, "the name of the host is not known"
        try:
            with contextlib.closing(socket.create_connection(place, self._seconds)) as plain:
                # A socket timeout restarts with every byte; this one does not.
                alarm = threading.Timer(self._seconds, self._end, [plain])
                alarm.daemon = True
                alarm.start()
                try:
                    return self._ask(parts, plain)
                finally:
                    alarm.cancel()
        except (OSError, http.client.HTTPException) as error:
            if self._is_late or isinstance(error, TimeoutError):
                return ProbeState.TOO_SLOW, f"no whole answer within {self._seconds:g} s"
            return ProbeState.DOWN, f"{type(error).__name__}"

    def _end(self, plain: socket.socket) -> None:
        self._is_late = True
        with contextlib.suppress(OSError):
            plain.shutdown(socket.SHUT_RDWR)

    def _ask(self, parts: SplitResult, plain: socket.socket) -> tuple[ProbeState, str]:
        host = parts.hostname or ""
        connection = http.client.HTTPConnection(host, parts.port or _PORTS[parts.scheme])
        connection.sock = plain
        if parts.scheme == "https":
            context = ssl.create_default_context()
            connection.sock = context.wrap_socket(plain, server_hostname=host)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request(
            "GET", path, headers={"User-Agent": "trading-runtime-probe", "Connection": "close"}
        )
        answer = connection.getresponse()
        self.status = answer.status
        while chunk := answer.read1(_CHUNK):
            self.bytes += len(chunk)
            if self.bytes > self._most_bytes:
                return ProbeState.TOO_LARGE, f"the body has more than {self._most_bytes:,} bytes"
        if self._is_late:
            return ProbeState.TOO_SLOW, f"no whole answer within {self._seconds:g} s"
        return _judged(answer.status)


def _judged(status: int) -> tuple[ProbeState, str]:
    if http.HTTPStatus.OK <= status < http.HTTPStatus.MULTIPLE_CHOICES:
        return ProbeState.UP, f"status {status}"
    if status < http.HTTPStatus.BAD_REQUEST:
        return ProbeState.REDIRECTED, f"status {status}: redirects are not followed"
    return ProbeState.REFUSED, f"status {status}"
