"""Numbers are put into a Pushgateway, each run by itself, or an error says why not."""

from __future__ import annotations

import contextlib
import subprocess
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from tests.execution.processes import PATIENCE
from tests.metrics.sample_folder import SampleRun, value, values_of
from tests.monitoring.tools import tool
from trading_runtime.cli.main import invoke, root
from trading_runtime.metrics import exposition as pushing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Records written by hand: with no more in them than the collector reads, and some damaged.
pytestmark = pytest.mark.damages_journals


class Gateway:
    """Takes what is put to it; answers the first requests with ``faults``."""

    def __init__(self, *faults: int) -> None:
        waiting = list(faults)
        self.taken: list[tuple[str, str]] = []
        taken = self.taken

        class Handler(BaseHTTPRequestHandler):
            def do_PUT(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                status = waiting.pop(0) if waiting else 200
                if status == 200:
                    taken.append((self.path, body))
                self.send_response(status)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    @contextlib.contextmanager
    def listening(self) -> Iterator[Gateway]:
        """Listen in a thread."""
        thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()
            thread.join()


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait little between the tries."""
    monkeypatch.setattr(pushing, "_WAIT_SECONDS", 0.01)


def push(results: Path, url: str, *options: str) -> int:
    """Run the command."""
    return invoke(root, ["metrics", "push", url, "--results", str(results), *options])


def test_one_run_is_put_under_its_id_and_a_folder_under_the_job(tmp_path: Path) -> None:
    SampleRun(tmp_path, "a", "complete")
    SampleRun(tmp_path, "b", "failed")
    with Gateway().listening() as gateway:
        assert push(tmp_path, gateway.url, "--run", "a") == 0
        assert push(tmp_path, gateway.url) == 0
        (of_run, run_text), (of_all, all_text) = gateway.taken

    assert (of_run, of_all) == (
        "/metrics/job/trading-runtime/run_id/a",
        "/metrics/job/trading-runtime",
    )
    assert {dict(labels)["run_id"] for _, labels in values_of(run_text)} == {"a"}
    assert value(values_of(all_text), "runs", status="failed") == 1


def test_a_gateway_that_fails_for_a_moment_is_asked_again(tmp_path: Path) -> None:
    with Gateway(500, 503).listening() as gateway:
        assert push(tmp_path, gateway.url) == 0
        assert len(gateway.taken) == 1


@pytest.mark.parametrize(
    ("faults", "code", "said"),
    [
        ((500, 500, 500), 75, "no answer in 3 tries"),
        ((404,), 2, "refused the numbers with status 404"),
    ],
)
def test_a_gateway_that_does_not_take_them_is_an_error(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    faults: tuple[int, ...],
    code: int,
    said: str,
) -> None:
    with Gateway(*faults).listening() as gateway:
        assert push(tmp_path, gateway.url) == code
        assert gateway.taken == []
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    "url", ["host:9091", "ftp://host", "http://", "http://user:canary-77@127.0.0.1:9", "file:///x"]
)
def test_an_address_that_is_none_or_holds_a_password_is_refused_and_not_repeated(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], url: str
) -> None:
    assert push(tmp_path, url) == 2
    shown = capsys.readouterr().err
    assert "accepted is http:// or https://" in shown
    assert "canary" not in shown


def test_a_real_pushgateway_takes_them(tmp_path: Path) -> None:
    SampleRun(tmp_path, "a", "complete").say(1, "run_started", tasks=3, pending=3)
    program = tool("prometheus-pushgateway")
    with Gateway().listening() as free:
        port = int(free.url.rpartition(":")[2])
    command = [program, f"--web.listen-address=127.0.0.1:{port}", "--log.level=error"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            url = f"http://127.0.0.1:{port}"
            deadline = time.monotonic() + PATIENCE
            while push(tmp_path, url, "--run", "a"):
                assert time.monotonic() < deadline
            with urllib.request.urlopen(f"{url}/metrics", timeout=PATIENCE) as answer:  # noqa: S310 - ours
                text = answer.read().decode()
        finally:
            process.terminate()
            process.communicate()

    assert 'trading_runtime_run_tasks_planned{instance="",job="trading-runtime",run_id="a"} 3' in (
        text
    )
