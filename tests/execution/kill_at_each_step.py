"""Run an experiment again and again, killed before each change that it makes to its files.

A process of its own, since it forks. Prints a JSON line for each kill: where, how the run stands
then, what ``runs check`` finds, and both again after the run was repeated.
"""

from __future__ import annotations

import functools
import itertools
import json
import os
import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

# Imported once, and not in every process that is forked.
import trading_runtime.engine.simulation.venue
import trading_runtime.metrics.exposition
import trading_runtime.report
import trading_runtime.results.reduction  # noqa: F401
from trading_runtime import api
from trading_runtime.results.store import Store
from trading_runtime.runs.overview import overview
from trading_runtime.runs.run_check import check_run

if TYPE_CHECKING:
    from collections.abc import Callable

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
_CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.truncate"}


class Steps:
    """Counts the changes below a folder, and kills the process before one of them."""

    def __init__(self, folder: Path, kill_at: int, told: int) -> None:
        self._folder, self._kill_at, self._told = f"{folder}/", kill_at, told
        self._count = 0
        sys.addaudithook(self._see)

    def _see(self, event: str, arguments: tuple[Any, ...]) -> None:
        changes = event in _CHANGES or (
            event == "open" and isinstance(arguments[2], int) and arguments[2] & _WRITING
        )
        if not changes or threading.current_thread() is not threading.main_thread():
            return
        name = str(arguments[0])
        if not name.startswith(self._folder):
            return
        if self._count == self._kill_at:
            os.write(self._told, f"{event} {name.removeprefix(self._folder)}".encode())
            os.kill(os.getpid(), signal.SIGKILL)
        self._count += 1


def main() -> None:
    """Kill run ``run_id`` of an experiment at each step; with ``fresh``, each time a new run."""
    file, results, run_id, fresh = sys.argv[1:]
    for step in itertools.count():
        name = f"{run_id}-{step}" if fresh == "fresh" else run_id
        killed_at = in_child(functools.partial(killed, file, results, name, step))
        if not killed_at:
            return
        said = in_child(functools.partial(judged, file, results, name))
        sys.stdout.write(json.dumps({"at": killed_at, **json.loads(said)}) + "\n")
        sys.stdout.flush()


def in_child(work: Callable[[int], None]) -> str:
    """Return what ``work`` writes to the descriptor that it is given, in a forked process."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        try:
            work(writing)
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as said:
        content = said.read()
    os.waitpid(child, 0)
    return content


def killed(file: str, results: str, run_id: str, step: int, out: int) -> None:
    """Run the experiment, and be killed before the change of this number."""
    Steps(Path(results) / "runs" / run_id, step, out)
    api.run(Path(file), run_id=run_id, workers=1)


def judged(file: str, results: str, run_id: str, out: int) -> None:
    """Say how a run stands, repeat it, and say how it stands then."""
    before = standing(results, run_id)
    api.run(Path(file), run_id=run_id, workers=1)
    os.write(out, json.dumps({"before": before, "after": standing(results, run_id)}).encode())


def standing(results: str, run_id: str) -> dict[str, Any]:
    """Return the status that people are shown, and what is found about the files."""
    store = Store(results)
    found = check_run(store.run(run_id), store=store)
    return {
        "status": overview(store, run_id)["status"],
        "findings": [str(item) for item in found.findings],
    }


if __name__ == "__main__":
    main()
