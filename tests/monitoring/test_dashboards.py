"""Dashboards are what the script makes, and each of their queries finds series in a Prometheus."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import subprocess
import sys
import threading
import time
import urllib.parse
import urllib.request
from typing import TYPE_CHECKING, Any
from urllib.error import URLError

import pytest

from tests.metrics.sample_folder import SampleRun
from tests.monitoring.tools import tool
from tests.small_experiment import ROOT
from trading_runtime.metrics.collector import FolderCollector
from trading_runtime.metrics.definitions import OF_FOLDER, OF_RUN, PREFIX
from trading_runtime.metrics.server import serving
from trading_runtime.records.run_files import RunFiles
from trading_runtime.results.store import open_store
from trading_runtime.runs.lock import locked

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Records written by hand: with no more in them than the collector reads, and some damaged.
pytestmark = pytest.mark.damages_journals

FOLDER = ROOT / "deploy" / "monitoring" / "dashboards"
RULES = ROOT / "deploy" / "monitoring" / "rules"
PATIENCE = 240.0


def queries() -> list[tuple[str, str]]:
    """Return every query of every dashboard, with the dashboard's name."""
    found = []
    for path in sorted(FOLDER.glob("*.json")):
        dashboard = json.loads(path.read_text(encoding="utf-8"))
        panels = dashboard["panels"]
        panels += [inner for panel in panels for inner in panel.get("panels", [])]
        found += [
            (path.name, target["expr"]) for panel in panels for target in panel.get("targets", [])
        ]
        found += [
            (path.name, variable["query"])
            for variable in dashboard["templating"]["list"]
            if variable["type"] == "query"
        ]
    return found


def test_the_committed_dashboards_are_what_the_script_makes() -> None:
    script = ROOT / "scripts" / "make_dashboards.py"
    ended = subprocess.run(
        [sys.executable, script, "--check"], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr


def test_dashboards_ask_for_metrics_that_there_are() -> None:
    names = {PREFIX + item.name for item in (*OF_FOLDER, *OF_RUN)}
    asked = {name for _, query in queries() for name in re.findall(rf"{PREFIX}\w+", query)}

    assert asked
    assert asked <= names


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


@pytest.fixture
def results(tmp_path: Path) -> Iterator[Path]:
    """A folder in which everything has happened that a dashboard shows; one run is running."""
    folder = tmp_path / "results"
    now = time.time()
    start = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now - 60))
    bad = SampleRun(folder, "bad", "incomplete", started=start, ended=start)
    bad.summarise(ok=1, failed={"crash": 1})
    running = SampleRun(folder, "running", started=start)
    running.say(0, "run_started", tasks=9, pending=8, memory_limit_bytes=1 << 34)
    running.say(1, "task_started", task_id="a", worker=0)
    running.say(2, "task_failed", task_id="a", seconds=1, kind="strategy", worker=0)
    running.say(3, "task_retried", task_id="a", kind="strategy")
    running.say(4, "task_started", task_id="b", worker=0)
    used = {"memory_bytes": 1 << 30, "fetched_bytes": 1 << 20}
    running.say(9, "task_completed", task_id="b", seconds=5, rows=99, worker=0, **used)
    running.say(9, "order_refused", task_id="b", rule="stale_after", count=2)
    # No run does both; panels for sessions are in the dashboard for runs.
    running.say(10, "session_started")
    running.say(11, "session_heartbeat", positions=1, resting=1, equity="1000.5")
    for second, event in enumerate(["order_submitted", "order_filled", "order_denied"], 12):
        running.say(second, event)
    running.say(15, "request_queued")
    counts = {"matched": 3, "mismatched": 1, "unknown": 0}
    running.write("reconciliation.json", {"time": start, "counts": counts})
    (folder / "operations").mkdir()
    for name, state in (("readiness", {"ready": True}), ("probe", {"state": "up"})):
        content = {"time": start, "seconds": 0.1, **state}
        (folder / "operations" / f"{name}.json").write_text(json.dumps(content))
    (folder / "deployments").mkdir()
    told = {"wanted": True, "running": True, "gave_up": False, "restarts": 1, "missed": 0}
    (folder / "deployments" / "ema.json").write_text(json.dumps({**told, "time": now}))
    with locked(RunFiles(running.folder)):
        yield folder


@pytest.fixture
def prometheus(results: Path, tmp_path: Path) -> Iterator[str]:
    """A Prometheus that has scraped ``metrics serve`` and evaluated the rules; its address."""
    program = tool("prometheus")
    folder = tmp_path / "prometheus"
    folder.mkdir()
    address = f"127.0.0.1:{free_port()}"
    with serving(FolderCollector(open_store(results), 50), "127.0.0.1", 0, 0) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        target = {"targets": [f"127.0.0.1:{server.server_port}"]}
        config = {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [f"{RULES}/*.rules.yaml"],
            "scrape_configs": [{"job_name": "trading-runtime", "static_configs": [target]}],
        }
        (folder / "prometheus.yaml").write_text(json.dumps(config))
        command = [
            program,
            f"--config.file={folder / 'prometheus.yaml'}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address={address}",
            "--log.level=error",
        ]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
            try:
                wait_for_alerts(f"http://{address}", process)
                yield f"http://{address}"
            finally:
                process.terminate()
                process.communicate()
                server.shutdown()
                thread.join()


def wait_for_alerts(url: str, process: subprocess.Popen[str]) -> None:
    """Wait until two scrapes were made, so that there are rates, and the rules evaluated."""
    deadline = time.monotonic() + PATIENCE
    enough = 'count_over_time(up[1m]) > 3 and on () (ALERTS{alertstate="firing"})'
    while True:
        with contextlib.suppress(URLError, ConnectionError):
            if asked(url, "query", query=f"count({enough})"):
                return
        assert process.poll() is None, "Prometheus ended"
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.2)


def asked(url: str, path: str, **parameters: str) -> Any:
    """Return what Prometheus answers."""
    query = urllib.parse.urlencode(parameters)
    with urllib.request.urlopen(f"{url}/api/v1/{path}?{query}", timeout=10) as answer:  # noqa: S310 - ours
        content = json.load(answer)
    assert content["status"] == "success", content
    data = content["data"]
    return data["result"] if isinstance(data, dict) else data


def test_every_query_finds_series(prometheus: str, subtests: pytest.Subtests) -> None:
    assert len(queries()) > 25
    for dashboard, query in queries():
        with subtests.test(dashboard, query=query):
            look_for_series(prometheus, query)
    assert_held(prometheus)


def look_for_series(prometheus: str, query: str) -> None:
    values = re.fullmatch(r"label_values\((\w+), (\w+)\)", query)
    if values is not None:
        found = asked(prometheus, f"label/{values[2]}/values", **{"match[]": values[1]})
        assert found == ["bad", "running"]
        return
    plain = query.replace("$__rate_interval", "10s").replace("$run", ".+")
    assert "$" not in plain
    assert asked(prometheus, "query", query=plain), plain


def assert_held(prometheus: str) -> None:
    """What Prometheus holds is what was served."""

    def only(query: str) -> str:
        [found] = asked(prometheus, "query", query=query)
        text: str = found["value"][1]
        return text

    assert only('trading_runtime_run_rows_total{run_id="running"}') == "99"
    # Nine, less one stored before, one failed and one completed.
    assert only('trading_runtime_run_tasks_waiting{run_id="running"}') == "6"
    assert only('ALERTS{alertname="TradingRuntimeRunFailed"}') == "1"
    assert only('ALERTS{alertname="TradingRuntimeReconciliationMismatch"}') == "1"
