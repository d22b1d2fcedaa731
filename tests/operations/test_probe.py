"""A probe asks this machine and allowed hosts only, within bounds, and keeps nothing it reads."""

from __future__ import annotations

import contextlib
import http.server
import json
import socket
import threading
import time
from typing import TYPE_CHECKING, ClassVar

import pytest

from trading_runtime.cli.main import invoke, root
from trading_runtime.errors import UsageError
from trading_runtime.operations.probe import ProbeState, probe

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.small_experiment import SmallExperiment

BODY = b"canary-body-77d1"


class _Handler(http.server.BaseHTTPRequestHandler):
    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        type(self).asked.append(f"{self.command} {self.path} {self.headers['Host']}")
        if self.path == "/elsewhere":
            self.send_response(302)
            self.send_header("Location", "/fine")
            self.end_headers()
        elif self.path == "/broken":
            self.send_error(503)
        elif self.path == "/drip":
            with contextlib.suppress(OSError):
                self.send_response(200)
                self.end_headers()
                while True:
                    self.wfile.write(b".")
                    time.sleep(0.05)
        else:
            self.send_response(200)
            self.end_headers()
            with contextlib.suppress(OSError):
                self.wfile.write(BODY if self.path.startswith("/fine") else b"x" * 3_000_000)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[str]:
    """The address of a server on this machine."""
    _Handler.asked.clear()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as started:
        started.daemon_threads = True
        thread = threading.Thread(target=started.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{started.server_port}"
        started.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("path", "state", "status"),
    [
        ("/fine", ProbeState.UP, 200),
        ("/elsewhere", ProbeState.REDIRECTED, 302),
        ("/broken", ProbeState.REFUSED, 503),
        ("/large", ProbeState.TOO_LARGE, 200),
    ],
)
def test_each_way_to_answer_has_its_state(
    server: str, path: str, state: ProbeState, status: int
) -> None:
    found = probe(server + path, [])

    assert (found.state, found.status) == (state, status)
    assert len(_Handler.asked) == 1
    assert found.bytes <= 1_100_000


def test_an_answer_that_drips_is_cut_off_in_time(server: str) -> None:
    found = probe(f"{server}/drip", [], seconds=0.3)

    assert found.state is ProbeState.TOO_SLOW


def test_a_server_that_never_answers_is_cut_off_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        found = probe(f"http://127.0.0.1:{silent.getsockname()[1]}/", [], seconds=0.3)

    assert found.state is ProbeState.TOO_SLOW


def test_nobody_there_is_down() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert probe(f"http://127.0.0.1:{port}/", []).state is ProbeState.DOWN


@pytest.mark.parametrize(
    "url",
    [
        "http://192.0.2.1/",
        "http://example.invalid/",
        "http://127.0.0.1.example.invalid/",
        "http://169.254.169.254/latest/meta-data",
        "http://[::ffff:192.0.2.1]/",
        "http://0.0.0.0/",
        "https://2130706433.example/",
    ],
)
def test_other_hosts_are_not_asked_not_even_for_their_name(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise AssertionError("asked the network")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    monkeypatch.setattr(socket, "create_connection", fail)
    with pytest.raises(UsageError, match=r"is not this machine; .*operations\.probe_hosts"):
        probe(url, ["other.example", "192.0.2.1:8443"])


def test_a_name_of_this_machine_that_leads_elsewhere_is_not_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    elsewhere = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", 80))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: elsewhere)
    with pytest.raises(UsageError, match="is not this machine"):
        probe("http://localhost/", [])


def test_a_listed_host_is_asked_by_its_name(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    port = server.rpartition(":")[2]
    here = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", int(port)))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: here)

    assert probe(f"http://venue.example:{port}/fine", ["venue.example"]).state is ProbeState.UP
    assert _Handler.asked == [f"GET /fine venue.example:{port}"]


@pytest.mark.parametrize(
    "url",
    [
        "ftp://localhost/",
        "file:///etc/passwd",
        "localhost:8080",
        "http://user:secret@localhost/",
        "http://localhost/\r\nX: 1",
        "http://localhost:99999/",
        "http://",
    ],
)
def test_what_is_no_plain_address_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(UsageError, match=r"^--url: ") as raised:
        probe(url, [])
    assert "secret" not in str(raised.value)


def test_proxy_variables_are_not_read(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")

    assert probe(f"{server}/fine", []).state is ProbeState.UP


def test_nothing_of_body_path_or_query_is_left(
    small: SmallExperiment, server: str, capfd: pytest.CaptureFixture[str]
) -> None:
    url = f"{server}/fine/canary-path?key=canary-query"
    assert invoke(root, ["probe", str(small.path), "--url", url, "--json"]) == 0

    said = json.loads(capfd.readouterr().out)
    assert (said["state"], said["bytes"], said["address"]) == ("up", len(BODY), server)
    left = [path for path in small.results.rglob("*") if path.is_file()]
    assert len(left) == 2
    assert [path for path in left if b"canary" in path.read_bytes()] == []


def test_an_address_that_does_not_answer_well_is_75(small: SmallExperiment, server: str) -> None:
    assert invoke(root, ["probe", str(small.path), "--url", f"{server}/broken"]) == 75
    state = json.loads((small.results / "operations" / "probe.json").read_text())
    assert (state["state"], state["status"]) == ("refused", 503)
