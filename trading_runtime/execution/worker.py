"""A worker process: told a batch on standard input, it runs its tasks and says how each ended.

Standard input and the descriptor named on the command line carry one JSON document a line. What a
strategy prints goes to standard error, so that it cannot break the conversation.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trading_runtime.errors import Kind, TradingRuntimeError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import TextIO

    from trading_runtime.execution.task import TaskRunner

_WATCH_SECONDS = 1.0
_MOST_GROWTH = 1 << 30
_MAXRSS_UNIT = 1 if sys.platform == "darwin" else 1024


def main() -> None:
    """Serve batches until standard input ends."""
    # These reach the whole process group; the parent decides when workers end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    threading.Thread(target=end_with_parent, args=(os.getppid(),), daemon=True).start()
    answers = os.fdopen(int(sys.argv[1]), "w", encoding="utf-8", buffering=1)
    os.set_inheritable(answers.fileno(), False)  # noqa: FBT003 - how the function is called
    os.dup2(2, 1)
    requests = os.fdopen(os.dup(0), encoding="utf-8")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    # Before anything is known of the job: the run may still be planned.
    import trading_runtime.execution.task  # noqa: F401

    runner = _runner(json.loads(requests.readline()))
    try:
        _serve(runner, requests, answers)
    finally:
        runner.close()


def _serve(runner: TaskRunner, requests: Iterable[str], answers: TextIO) -> None:
    at_first = None
    fetched = 0
    for line in requests:
        tasks = json.loads(line)["tasks"]
        for at, index in enumerate(tasks):
            runner.expect(tasks[at:])
            _say(answers, {"event": "task_started", "task": index})
            ended = attempt(runner, index)
            before, fetched = fetched, runner.fetched_bytes
            used = {"memory_bytes": _memory(), "fetched_bytes": fetched - before}
            _say(answers, {"event": "task_ended", "task": index, **ended, **used})
            at_first = at_first or _memory()
        if _memory() > (at_first or 0) + _MOST_GROWTH:
            # The parent puts a fresh process in its place.
            return


def _runner(job: dict[str, Any]) -> TaskRunner:
    from trading_runtime.config.strategy_code import find_strategy_code
    from trading_runtime.execution.task import TaskRunner
    from trading_runtime.results.opening import open_store

    plan = json.loads(Path(job["plan"]).read_bytes())
    # Where the parent found the modules, which may be its current folder; last, to hide nothing.
    sys.path.extend(path for path in job["search_paths"] if path not in sys.path)
    code = find_strategy_code(
        plan["strategy"]["path"], Path(job["folder"]), plan["strategy"]["code"]
    )
    scratch = Path(job["scratch"])
    store = open_store(job["results"])
    runner = TaskRunner(plan, job["dataset"], store, code, scratch=scratch)
    # A strategy that reads a file by a relative name must find it nowhere, or everywhere.
    empty = scratch / "current-folder"
    empty.mkdir()
    os.chdir(empty)
    return runner


def attempt(runner: TaskRunner, index: int) -> dict[str, Any]:
    """Run a task and return how it ended, as it is said to the parent."""
    started = time.perf_counter()
    try:
        rows = runner.run(index)
    except BaseException as error:  # noqa: BLE001 - every failure is a fact about this task
        return {
            "status": _kind(error),
            "message": str(error) or type(error).__name__,
            "traceback": getattr(error, "strategy_traceback", "") or traceback.format_exc(),
            "seconds": time.perf_counter() - started,
            "rows": 0,
        }
    return {"status": Kind.OK, "seconds": time.perf_counter() - started, "rows": rows}


def _kind(error: BaseException) -> Kind:
    if isinstance(error, TradingRuntimeError):
        return error.kind
    # Nothing of ours leaves in these ways.
    return Kind.INTERNAL if isinstance(error, Exception) else Kind.STRATEGY


def _say(answers: TextIO, message: dict[str, Any]) -> None:
    answers.write(json.dumps(message) + "\n")
    answers.flush()


def _memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _MAXRSS_UNIT


def end_with_parent(parent: int) -> None:
    """End this process, whatever it is doing, when its parent was killed."""
    while os.getppid() == parent:
        time.sleep(_WATCH_SECONDS)
    os._exit(Kind.STOPPED.exit_code)


if __name__ == "__main__":
    main()
