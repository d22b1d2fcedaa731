"""A worker is forked where that is the same as a new process, and started anew elsewhere."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.execution.processes import PATIENCE, pod_environment, processes_of, wait_for
from tests.small_experiment import ROOT

if TYPE_CHECKING:
    from pathlib import Path

FORKING = """
import json, sys, threading, time
from pathlib import Path
from trading_runtime.execution.workers.processes import fork_or_start
if "thread" in sys.argv[2:]:
    threading.Thread(target=time.sleep, args=(3600,), daemon=True).start()
worker = fork_or_start(0, Path(sys.argv[1]))
print(json.dumps({"how": type(worker).__name__, "pid": worker.process.pid}), flush=True)
if "wait" in sys.argv[2:]:
    time.sleep(3600)
worker.end()
print(worker.process.wait())
"""


def run_forking(
    folder: Path, *words: str, options: tuple[str, ...] = (), **changed: str
) -> dict[str, Any]:
    """Make a worker in a process that is set up as a pod's, with this or that changed."""
    found = subprocess.run(
        [sys.executable, *options, "-c", FORKING, str(folder), *words],
        env=pod_environment() | changed,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    assert found.returncode == 0, found.stderr
    assert found.stderr == ""
    told, exit_code = found.stdout.splitlines()
    return {**json.loads(told), "exit_code": int(exit_code)}


def test_in_a_pod_the_worker_is_forked(tmp_path: Path) -> None:
    # The official images set these two.
    told = run_forking(tmp_path, PYTHON_VERSION="3.13.0", PYTHON_SHA256="0" * 64)
    assert told["how"] == "ForkedProcess"


@pytest.mark.parametrize(
    ("options", "changed"),
    [
        ((), {"PYTHONHASHSEED": "1"}),
        ((), {"TZ": "Asia/Tokyo"}),
        ((), {"LC_ALL": "C"}),
        ((), {"OMP_NUM_THREADS": "2"}),
        ((), {"PYTHONWARNINGS": "ignore"}),
        ((), {"PYTHONPATH": "/elsewhere"}),
        (("-O",), {}),
        (("-Wignore",), {}),
        (("-Xdev",), {}),
    ],
)
def test_where_a_worker_would_be_set_up_otherwise_it_is_started_anew(
    tmp_path: Path, options: tuple[str, ...], changed: dict[str, str]
) -> None:
    assert run_forking(tmp_path, options=options, **changed)["how"] == "StartedProcess"


def test_a_process_with_a_thread_is_not_forked(tmp_path: Path) -> None:
    assert run_forking(tmp_path, "thread")["how"] == "StartedProcess"


def test_a_forked_worker_ends_with_its_parent(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", FORKING, str(tmp_path), "wait"],
        env=pod_environment(),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        start_new_session=True,
    ) as parent:
        assert parent.stdout is not None
        told = json.loads(parent.stdout.readline())
        assert told["how"] == "ForkedProcess"
        assert told["pid"] in processes_of(parent.pid)
        parent.kill()

    wait_for(lambda: not processes_of(parent.pid))


def test_a_signal_that_ends_a_forked_worker_is_named(tmp_path: Path) -> None:
    told = run_forking(tmp_path)

    assert (told["how"], told["exit_code"]) == ("ForkedProcess", -signal.SIGKILL)
