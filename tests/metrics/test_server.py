"""Prometheus gets its numbers at /metrics, and whoever watches the server at /healthz."""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from prometheus_client.registry import Collector

from tests.execution.processes import PATIENCE, wait_for
from tests.metrics.sample_folder import SampleRun, value, values_of
from tests.small_experiment import ROOT
from trading_runtime.errors import TransientError, UsageError
from trading_runtime.metrics import server
from trading_runtime.metrics.collector import FolderCollector
from trading_runtime.metrics.server import serving
from trading_runtime.results.store import open_store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from prometheus_client.metrics_core import Metric

# Records written by hand: with no more in them than the collector reads, and some damaged.
pytestmark = pytest.mark.damages_journals

HOST = "127.0.0.1"


@contextlib.contextmanager
def served(
    collector: Collector, every: float = 0, unread: Callable[[], dict[str, str]] = dict
) -> Iterator[int]:
    """Serve in a thread; gives the port."""
    with serving(collector, HOST, 0, every, unread) as bound:
        thread = threading.Thread(target=bound.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield bound.server_port
        finally:
            bound.shutdown()
            thread.join()


def ask(port: int, path: str, method: str = "GET") -> tuple[int, str]:
    """Return status and text of an answer."""
    connection = http.client.HTTPConnection(HOST, port, timeout=PATIENCE)
    with contextlib.closing(connection):
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()


class Unreachable(Collector):
    """A storage that cannot be reached while ``is_down``."""

    def __init__(self, inner: Collector) -> None:
        self._inner = inner
        self.is_down = True
        self.asked = 0

    def collect(self) -> Iterator[Metric]:
        self.asked += 1
        if self.is_down:
            raise TransientError("s3://bucket: the storage could not be reached")
        yield from self._inner.collect()


def test_the_numbers_are_served_as_they_are_at_each_request(tmp_path: Path) -> None:
    with served(FolderCollector(open_store(tmp_path), 50)) as port:
        status, text = ask(port, "/metrics")
        SampleRun(tmp_path, "run", "complete")
        later = ask(port, "/metrics")[1]

    assert status == 200
    assert value(values_of(text), "runs", status="complete") == 0
    assert value(values_of(later), "runs", status="complete") == 1


def test_what_is_not_there_and_what_is_no_question_is_refused(tmp_path: Path) -> None:
    with served(FolderCollector(open_store(tmp_path), 50)) as port:
        assert ask(port, "/healthz") == (200, "ok\n")
        assert ask(port, "/")[0] == 404
        assert ask(port, "/metrics/../healthz")[0] == 404
        assert ask(port, "/metrics", "POST")[0] == 405


def test_while_the_storage_cannot_be_reached_the_server_says_so_and_goes_on(
    tmp_path: Path,
) -> None:
    collector = Unreachable(FolderCollector(open_store(tmp_path), 50))
    with served(collector) as port:
        assert ask(port, "/metrics") == (503, "s3://bucket: the storage could not be reached\n")
        assert ask(port, "/healthz")[0] == 503
        collector.is_down = False
        assert ask(port, "/metrics")[0] == 200
        assert ask(port, "/healthz")[0] == 200


def test_numbers_that_are_collected_every_so_often_cost_a_reader_nothing(tmp_path: Path) -> None:
    collector = Unreachable(FolderCollector(open_store(tmp_path), 50))
    collector.is_down = False
    with served(collector, every=3600) as port:
        texts = {ask(port, "/metrics")[1] for _ in range(20)}
        assert ask(port, "/healthz")[0] == 200
        assert (len(texts), collector.asked) == (1, 1)

    with served(collector, every=0.05) as port:
        wait_for(lambda: collector.asked >= 3)
        collector.is_down = True
        wait_for(lambda: ask(port, "/healthz")[0] != 200)


def test_an_address_that_is_taken_is_a_mistake_of_the_user(tmp_path: Path) -> None:
    collector = FolderCollector(open_store(tmp_path), 50)
    with (
        served(collector) as port,
        pytest.raises(UsageError, match=f"--port {port}: cannot be listened to"),
        serving(collector, HOST, port, 0),
    ):
        pytest.fail("two servers at one address")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_command_serves_until_it_is_asked_to_end(
    tmp_path: Path, number: signal.Signals
) -> None:
    SampleRun(tmp_path, "run", "failed")
    command = ["metrics", "serve", "--results", str(tmp_path), "--port", "0"]
    with subprocess.Popen(
        [sys.executable, "-m", "trading_runtime.cli.main", *command],
        cwd=ROOT,
        env=os.environ | {"AWS_SECRET_ACCESS_KEY": "canary-51b3"},
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        address = process.stderr.readline()
        found = re.fullmatch(rf"http://{HOST}:(\d+)/metrics\n", address)
        assert found is not None, address
        status, text = ask(int(found[1]), "/metrics")
        process.send_signal(number)
        assert process.wait(PATIENCE) == 0
        said = process.stderr.read()

    assert status == 200
    assert value(values_of(text), "run_status", run_id="run", status="failed") == 1
    assert said == ""
    assert "canary" not in text


def test_results_that_are_gone_are_no_health(tmp_path: Path) -> None:
    results = tmp_path / "results"
    SampleRun(results, "run", "complete")
    with served(FolderCollector(open_store(results), 50)) as port:
        assert ask(port, "/healthz")[0] == 200
        results.rename(tmp_path / "gone")
        status, said = ask(port, "/healthz")
        assert (status, ask(port, "/metrics")[0]) == (503, 503)
        assert f"{results}: the results cannot be read" in said
        (tmp_path / "gone").rename(results)
        assert ask(port, "/healthz")[0] == 200


def test_what_cannot_be_read_is_told_and_holds_nothing_up(tmp_path: Path) -> None:
    SampleRun(tmp_path, "run", "complete")
    (tmp_path / "runs" / "fifo").mkdir()
    os.mkfifo(tmp_path / "runs" / "fifo" / "metadata.json")
    (tmp_path / "runs" / "zero").mkdir()
    (tmp_path / "runs" / "zero" / "metadata.json").symlink_to("/dev/zero")
    collector = FolderCollector(open_store(tmp_path), 50)
    with served(collector, unread=lambda: collector.unread) as port:
        text = ask(port, "/metrics")[1]
        status, said = ask(port, "/healthz")

    assert value(values_of(text), "files_not_read") == 2
    assert value(values_of(text), "runs", status="complete") == 1
    assert status == 200
    assert "not read: runs/fifo/metadata.json: is a FIFO, no regular file" in said
    assert "not read: runs/zero/metadata.json: is a device, no regular file" in said


def test_two_hundred_scrapes_at_once_are_all_served(tmp_path: Path) -> None:
    SampleRun(tmp_path, "run", "complete")
    with (
        served(FolderCollector(open_store(tmp_path), 50)) as port,
        ThreadPoolExecutor(200) as scrapers,
    ):
        found = list(scrapers.map(lambda _: ask(port, "/metrics")[0], range(200)))

    assert found == [200] * 200


def test_slow_clients_are_dropped_and_keep_nobody_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "_MOST_SECONDS", 0.3)
    with served(FolderCollector(open_store(tmp_path), 50)) as port:
        slow = [socket.create_connection((HOST, port)) for _ in range(2 * server._THREADS)]
        for each in slow:
            each.sendall(b"GET /healthz HT")
        assert ask(port, "/healthz")[0] == 200
        for each in slow:
            each.settimeout(PATIENCE)
            assert each.recv(1) == b""
            each.close()


def test_a_client_that_waited_and_sent_half_a_request_gets_no_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "_MOST_SECONDS", 0.3)
    monkeypatch.setattr(server, "_IDLE_SECONDS", 0.3)
    heard: list[object] = []
    finish = server._Server.finish_request

    def finish_request(itself: server._Server, request: socket.socket, address: object) -> None:
        heard.append(request)
        finish(itself, request, address)

    monkeypatch.setattr(server._Server, "finish_request", finish_request)
    with served(FolderCollector(open_store(tmp_path), 50)) as port:
        slow = [socket.create_connection((HOST, port)) for _ in range(20 * server._THREADS)]
        for each in slow:
            each.sendall(b"GET /healthz HT")
        assert ask(port, "/healthz")[0] == 200
        for each in slow:
            each.close()

    # Each would hold a thread for a while, and hold up all that follow.
    assert len(heard) < len(slow) / 2


def test_more_connections_than_can_wait_are_closed_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "_MOST_WAITING", 1)
    with served(FolderCollector(open_store(tmp_path), 50)) as port:
        first = socket.create_connection((HOST, port))
        second = socket.create_connection((HOST, port))
        second.settimeout(PATIENCE)
        assert second.recv(1) == b""
        for each in (first, second):
            each.close()
