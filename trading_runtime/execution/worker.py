"""A worker process: told a batch on standard input, it runs its tasks and says how each ended.

Standard input and the descriptor named on the command line carry one JSON document a line. What a
strategy prints goes to standard error, so that it cannot break the conversation.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trading_runtime.errors import Kind, TradingRuntimeError

if TYPE_CHECKING:
    from trading_runtime.execution.task import TaskRunner


def main() -> None:
    """Serve batches until standard input ends."""
    # Ctrl-C reaches the whole process group; the parent decides when workers end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    answers = os.fdopen(int(sys.argv[1]), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)
    requests = os.fdopen(os.dup(0), encoding="utf-8")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    runner = _runner(json.loads(requests.readline()))
    try:
        for line in requests:
            tasks = json.loads(line)["tasks"]
            for at, index in enumerate(tasks):
                runner.expect(tasks[at:])
                _say(answers, {"event": "task_started", "task": index})
                _say(answers, {"event": "task_ended", "task": index, **attempt(runner, index)})
            _say(answers, {"event": "batch_ended"})
    finally:
        runner.close()


def _runner(job: dict[str, Any]) -> TaskRunner:
    from trading_runtime.config.strategy_code import find_strategy_code
    from trading_runtime.execution.task import TaskRunner
    from trading_runtime.results.opening import open_store

    plan = json.loads(Path(job["plan"]).read_bytes())
    code = find_strategy_code(
        plan["strategy"]["path"], Path(job["folder"]), plan["strategy"]["code"]
    )
    # A strategy that reads a file by a relative name must find it nowhere, or everywhere.
    os.chdir(job["scratch"])
    return TaskRunner(plan, job["dataset"], open_store(job["results"]), code)


def attempt(runner: TaskRunner, index: int) -> dict[str, Any]:
    """Run a task and return how it ended, as it is said to the parent."""
    started = time.perf_counter()
    try:
        rows = runner.run(index)
    except Exception as error:  # noqa: BLE001 - every failure is a fact about this task
        return {
            "status": error.kind if isinstance(error, TradingRuntimeError) else Kind.INTERNAL,
            "message": str(error) or type(error).__name__,
            "traceback": getattr(error, "strategy_traceback", "") or traceback.format_exc(),
            "seconds": time.perf_counter() - started,
            "rows": 0,
        }
    return {"status": Kind.OK, "seconds": time.perf_counter() - started, "rows": rows}


def _say(answers: Any, message: dict[str, Any]) -> None:
    answers.write(json.dumps(message) + "\n")
    answers.flush()


if __name__ == "__main__":
    main()
