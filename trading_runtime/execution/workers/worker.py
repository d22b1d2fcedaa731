"""A worker process: it receives batches on standard input, runs their tasks and reports each.

Standard input and the descriptor named on the command line carry one JSON document per line. What a
strategy prints goes to standard error, so that it cannot break the protocol.
"""

from __future__ import annotations

import builtins
import ctypes
import gc
import json
import os
import signal
import sys
import threading
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from trading_runtime.errors import Kind, TradingRuntimeError, error_of, error_text
from trading_runtime.execution.workers.answers import Checked, Ended, Needs, Ready, Started
from trading_runtime.execution.workers.descendants import adopt_orphans, end_descendants
from trading_runtime.execution.workers.fence import fence_in
from trading_runtime.execution.workers.memory import resident_bytes
from trading_runtime.execution.workers.processes import KILL_SWITCH_SIGNAL
from trading_runtime.execution.workers.requests import (
    CheckRequest,
    FetchReply,
    JobRequest,
    read_request,
)
from trading_runtime.records.forms import read_as
from trading_runtime.text import abridged

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import TextIO

    from trading_runtime.config.strategy_code import StrategyCode
    from trading_runtime.execution.task import TaskRunner
    from trading_runtime.execution.workers.answers import Answer
    from trading_runtime.execution.workers.requests import CodeRequest
    from trading_runtime.records.plan import Plan
    from trading_runtime.results.store import Store

_WATCH_SECONDS = 1.0
_OURS = frozenset({Kind.INTERNAL, Kind.DATA, Kind.STORAGE})
"""Kinds of failure that are not the strategy's, unless it changed what we use."""
_MOST_MESSAGE = 100_000
"""Characters of a message that are sent; the parent keeps less, once it has hidden secrets."""
_PR_SET_PDEATHSIG = 1


_dumps, _loads = json.dumps, json.loads
_SHARED = {
    (module, name): getattr(module, name)
    for module, names in (
        (json, ("dumps", "loads")),
        (os, ("open", "read", "write", "rename", "replace", "mkdir", "stat")),
        (builtins, ("open", "len", "sorted", "isinstance", "print")),
    )
    for name in names
}
"""What everybody uses, from before any strategy was imported, which may replace it."""
_IMPORTED = {name: sys.modules[name] for name in ("trading_runtime", "json", "os")}
_SEARCHED = tuple(sys.path)

_kill_switch_is_on = threading.Event()
_to_kill: list[TaskRunner] = []


def serve(sender: int, parent: int) -> None:
    """Serve batches until standard input ends; answer into the descriptor ``sender``."""
    fence_in()  # before there is another thread
    # The parent decides when workers end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(KILL_SWITCH_SIGNAL, _note_kill_switch)
    end_with_parent(parent)
    answers = os.fdopen(sender, "w", encoding="utf-8", buffering=1)
    os.set_inheritable(answers.fileno(), False)  # noqa: FBT003 - how the function is called
    os.dup2(2, 1)
    requests = os.fdopen(os.dup(0), encoding="utf-8")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    adopt_orphans()
    # Before the job is known: the run may still be being planned.
    import_engine()
    _say(answers, Ready())
    work: _Work | None = None
    try:
        # Not in a loop over the file, which reads ahead: ``_fetch`` reads from it, too.
        while line := requests.readline():
            asked = read_request(_loads(line))
            if isinstance(asked, CheckRequest):
                _write(answers, vars(_checked(asked)))
            elif isinstance(asked, JobRequest):
                if work is None:
                    work = _Work(asked, requests, answers)
                else:
                    work.change_plan(asked)
            elif work is None or not work.run(asked.tasks):
                return
    finally:
        if work is not None:
            work.runner.close()


def import_engine() -> None:
    """Import what any task needs."""
    import numpy.random  # noqa: F401 - seeded for each task

    import trading_runtime.execution.task  # noqa: F401

    # Imported objects stay: the collector need not scan them again in every task.
    gc.freeze()


def _note_kill_switch(*_: object) -> None:
    """Let no order out from now on; runs between two steps of the strategy."""
    _kill_switch_is_on.set()
    for runner in _to_kill:
        runner.kill()


class _Work:
    """What a worker does for one job, and for others with the same code and settings."""

    def __init__(self, job: JobRequest, requests: TextIO, answers: TextIO) -> None:
        self._answers = answers
        self.runner = _runner(job, lambda *asked: _fetch(requests, answers, *asked))
        self._threads = set(threading.enumerate())
        self._most_growth = job.most_growth
        self._most: int | None = None

    def change_plan(self, job: JobRequest) -> None:
        """Take on the next job, which has other tasks."""
        self.runner.change_plan(*_asked_of_runner(job))

    def run(self, tasks: Sequence[int]) -> bool:
        """Run tasks and report each; return whether this process may run others."""
        for at, index in enumerate(tasks):
            if _kill_switch_is_on.is_set():
                return False
            self.runner.expect(tasks[at:])
            _say(self._answers, Started(index))
            attempted = attempt(self.runner, index)
            status, message = attempted.status, attempted.message
            is_spoilt = attempted.is_spoilt
            if replaced := _restored():
                is_spoilt = True
                if status in _OURS:
                    why = f"the strategy replaced {', '.join(replaced)}, which everybody uses"
                    status, message = Kind.STRATEGY, f"{why}: {message}"
            # What the task started ends with it; a thread can only end with its process.
            is_spoilt |= end_descendants(os.getpid()) > 0 or bool(
                set(threading.enumerate()) - self._threads
            )
            memory = resident_bytes(os.getpid())
            ended = Ended(
                task=index,
                status=status,
                seconds=attempted.seconds,
                rows=attempted.rows,
                message=message,
                traceback=attempted.traceback,
                memory_bytes=memory,
                out_of_memory=attempted.out_of_memory,
                risk_refusals=attempted.risk_refusals,
            )
            _say(self._answers, ended)
            self._most = self._most or memory + self._most_growth
            if memory > self._most or is_spoilt:
                # The parent replaces it with a fresh process, for the rest of the batch too.
                return False
        return True


def _restored() -> list[str]:
    """Put back what the strategy replaced, and return its names."""
    found = []
    for (module, name), ours in _SHARED.items():
        if getattr(module, name, None) is not ours:
            setattr(module, name, ours)
            found.append(f"{module.__name__}.{name}")
    if any(sys.modules.get(name) is not ours for name, ours in _IMPORTED.items()):
        sys.modules.update(_IMPORTED)
        found.append("sys.modules")
    if missing := [path for path in _SEARCHED if path not in sys.path]:
        sys.path[:0] = missing
        found.append("sys.path")
    return found


def _fetch(requests: TextIO, answers: TextIO, partition: int, ahead: Sequence[int]) -> None:
    """Let the parent fetch the data of a partition; raises the error that it met."""
    _say(answers, Needs(partition, tuple(ahead)))
    reply = read_as(FetchReply, _loads(requests.readline()))
    if reply.kind is not Kind.OK:
        raise error_of(reply.kind, reply.message)


def _checked(asked: CheckRequest) -> Checked:
    """Return what the engine says about the settings of a run that is being planned."""
    from trading_runtime.engine.simulation.venue import check_settings
    from trading_runtime.records.inputs import CommonInputs

    try:
        common = CommonInputs.from_document(asked.common)
        code = find_code(asked, asked.path, asked.code, common.config_path)
        defaults = check_settings(code, common, asked.configs)
    except TradingRuntimeError as error:
        return Checked(error.kind, str(error), {})
    except Exception:  # noqa: BLE001 - a defect of ours: the parent reports it
        return Checked(Kind.INTERNAL, traceback.format_exc(), {})
    return Checked(Kind.OK, "", defaults)


def find_code(
    asked: CodeRequest, path: str, further: Sequence[str], config_path: str | None
) -> StrategyCode:
    """Return the strategy's code from where a request says that it is."""
    from trading_runtime.config.strategy_code import find_strategy_code

    # Where the parent found the modules, possibly its current folder; last, to shadow nothing.
    sys.path.extend(path for path in asked.search_paths if path not in sys.path)
    folder = Path(asked.folder)
    return find_strategy_code(path, folder, further, config_path)


def _runner(job: JobRequest, fetch: Callable[[int, Sequence[int]], None]) -> TaskRunner:
    from trading_runtime.execution.task import TaskRunner

    scratch = Path(job.scratch)
    runner = TaskRunner(
        *_asked_of_runner(job), scratch=scratch, fetch=fetch if job.fetches else None
    )
    _to_kill.append(runner)
    if _kill_switch_is_on.is_set():
        runner.kill()
    # A strategy that reads a file by a relative name must find it either nowhere or everywhere.
    empty = scratch / "current-folder"
    empty.mkdir()
    os.chdir(empty)
    return runner


def _asked_of_runner(job: JobRequest) -> tuple[Plan, str, Store, StrategyCode]:
    from trading_runtime.records.plan import read_plan
    from trading_runtime.results.store import open_store

    plan = read_plan(Path(job.plan))
    strategy = plan.strategy
    code = find_code(job, strategy.path, strategy.code, plan.common.config_path)
    return plan, job.dataset, open_store(job.results), code


@dataclass(frozen=True)
class Attempt:
    """How a task ended in this process."""

    status: Kind
    seconds: float
    rows: int = 0
    message: str = ""
    traceback: str = ""
    out_of_memory: bool = False
    risk_refusals: dict[str, int] | None = None
    is_spoilt: bool = False
    """Whether no other task may run in this process."""


def attempt(runner: TaskRunner, index: int) -> Attempt:
    """Run a task and return how it ended."""
    from trading_runtime.engine.strategy.failures import TaskMemoryError
    from trading_runtime.engine.strategy.loading import ForeignPackageError

    started = time.perf_counter()
    try:
        rows = runner.run(index)
    except BaseException as error:  # noqa: BLE001 - every failure is a fact about this task
        return Attempt(
            _kind(error),
            time.perf_counter() - started,
            message=abridged(error_text(error) or type(error).__name__, _MOST_MESSAGE),
            traceback=abridged(
                getattr(error, "strategy_traceback", "") or _traceback_text(), _MOST_MESSAGE
            ),
            out_of_memory=isinstance(error, (MemoryError, TaskMemoryError)),
            is_spoilt=isinstance(error, ForeignPackageError),
        )
    return Attempt(
        Kind.OK,
        time.perf_counter() - started,
        rows,
        risk_refusals=runner.risk_refusals,
    )


def _traceback_text() -> str:
    try:
        return traceback.format_exc()
    except BaseException:  # noqa: BLE001 - as above
        return ""


def _kind(error: BaseException) -> Kind:
    if isinstance(error, TradingRuntimeError):
        return error.kind
    if isinstance(error, MemoryError):
        return Kind.CRASH
    # Our own code never leaves in these ways.
    return Kind.INTERNAL if isinstance(error, Exception) else Kind.STRATEGY


def _say(answers: TextIO, answer: Answer) -> None:
    _write(answers, {"event": answer.event, **vars(answer)})


def _write(answers: TextIO, content: Mapping[str, object]) -> None:
    answers.write(_dumps(content) + "\n")
    answers.flush()


def end_with_parent(parent: int) -> None:
    """Make sure that this process ends, whatever it is doing, when its parent was killed."""
    if sys.platform == "linux":
        # Native code that never releases the interpreter blocks a thread too, but not the kernel.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    threading.Thread(target=_watch_parent, args=(parent,), daemon=True).start()


def _watch_parent(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_WATCH_SECONDS)
    os._exit(Kind.STOPPED.exit_code)


if __name__ == "__main__":
    serve(*(int(text) for text in sys.argv[1:]))
