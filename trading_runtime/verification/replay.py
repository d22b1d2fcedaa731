"""Runs one task again, on this machine, in a fresh process whose log and output are shown."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from trading_runtime.errors import DataError, Kind, UsageError
from trading_runtime.execution.workers.processes import worker_environment
from trading_runtime.records.failures import read_failure
from trading_runtime.results.store import Store
from trading_runtime.results.stored_plan import pick
from trading_runtime.storage.scratch import Scratch
from trading_runtime.verification.rerun import present_plan
from trading_runtime.verification.why import first_difference

if TYPE_CHECKING:
    from trading_runtime.records.plan import Plan
    from trading_runtime.records.run_files import RunFiles
    from trading_runtime.verification.rerun import TaskOrigin
    from trading_runtime.verification.why import FileDifference

LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")


@dataclass(frozen=True)
class ReplayOutcome:
    """How a task ended: ``ok``, or its failure."""

    kind: Kind
    message: str = ""
    traceback: str = ""


@dataclass(frozen=True)
class Replay:
    """How a task ended now, and how it ended before."""

    task_id: str
    now: ReplayOutcome
    before: ReplayOutcome | None
    """``None`` when nothing is stored; of kind ``data`` when what is stored is damaged."""
    difference: FileDifference | None = None
    """Where the bytes differ from the stored ones, when both are ok."""

    @property
    def kind(self) -> Kind:
        """``nondeterministic`` when the outcome differs, else how it ended now."""
        before = self.before
        if self.difference is not None:
            return Kind.NONDETERMINISTIC
        if before is not None and Kind.STRATEGY in (self.now.kind, before.kind):
            same = (self.now.kind, self.now.message) == (before.kind, before.message)
            if not same and {self.now.kind, before.kind} <= {Kind.OK, Kind.STRATEGY}:
                return Kind.NONDETERMINISTIC
        if self.now.kind is Kind.OK and before is not None and before.kind is Kind.DATA:
            return Kind.DATA
        return self.now.kind


def find_task(plan: Plan, prefix: str | None, point: int | None, partition: int | None) -> int:
    """Return the index of the task that the arguments name.

    It is named by the beginning of its id, or by point and partition; either may be left out when
    the plan has only one. Raises ``UsageError`` when they name none or several.
    """
    tasks = plan.tasks
    if prefix is not None:
        if point is not None or partition is not None:
            raise UsageError("give the task's id, or --point and --partition, not both")
        identity = pick(prefix, (task.task_id for task in tasks), "the run's plan")
        return next(i for i, task in enumerate(tasks) if task.task_id == identity)
    if point is None and partition is None and len(tasks) > 1:
        raise UsageError("give the task's id, or --point and --partition")
    for name, given, count in (
        ("point", point, len(plan.points)),
        ("partition", partition, len(plan.partitions)),
    ):
        last = count - 1
        if given is not None and given not in range(last + 1):
            raise UsageError(f"--{name} {given}: the run's {name}s are 0 to {last}")
    found = [
        index
        for index, task in enumerate(tasks)
        if point in (None, task.point) and partition in (None, task.partition)
    ]
    if len(found) > 1:
        missing = "partition" if partition is None else "point"
        raise UsageError(f"{len(found)} tasks fit; give --{missing} too")
    return found[0]


def replay(origin: TaskOrigin, index: int, store: Store, files: RunFiles, log_level: str) -> Replay:
    """Run task ``index`` again, with its output and the engine's log on standard output.

    The stored result is left as it is.
    """
    identity = origin.plan.tasks[index].task_id
    with Scratch() as scratch:
        now = _run(origin, index, scratch.path, log_level)
        if now.kind is Kind.OK:
            fresh = Store(scratch.path / "results").read_task(identity)
        before = None
        if store.task(identity).is_dir():
            try:
                stored = store.read_task(identity)
            except DataError as error:
                return Replay(identity, now, ReplayOutcome(Kind.DATA, str(error)))
            before = ReplayOutcome(Kind.OK)
            if now.kind is Kind.OK:
                return Replay(identity, now, before, first_difference(stored, fresh))
        elif failed := read_failure(files.failure(identity)):
            before = ReplayOutcome(failed.kind, failed.message, failed.traceback)
        return Replay(identity, now, before)


def task_log(origin: TaskOrigin, index: int, log_level: str) -> str:
    """Run task ``index`` again, and return the engine's log and what the strategy printed."""
    with Scratch() as scratch, (scratch.path / "log").open("w+b") as log:
        _run(origin, index, scratch.path, log_level, log)
        log.seek(0)
        return log.read().decode(errors="replace")


def _run(
    origin: TaskOrigin,
    index: int,
    scratch: Path,
    log_level: str,
    output: IO[bytes] | None = None,
) -> ReplayOutcome:
    reader, writer = os.pipe()
    job = {
        "plan": str(present_plan(origin, scratch)),
        "folder": str(origin.folder),
        "dataset": origin.dataset,
        "results": str(scratch / "results"),
        "scratch": str(scratch),
        "search_paths": [str(path) for path in origin.code.search_paths],
        "task": index,
        "log_level": log_level,
    }
    work = scratch / "work"
    work.mkdir()
    sys.stdout.flush()
    with subprocess.Popen(
        [sys.executable, "-P", "-m", "trading_runtime.verification.replay", str(writer)],
        stdin=subprocess.PIPE,
        stdout=output,
        stderr=output,
        pass_fds=(writer,),
        env=worker_environment(),
        cwd=work,
    ) as process:
        os.close(writer)
        try:
            process.communicate(json.dumps(job).encode())
        except BaseException:
            process.kill()
            raise
        finally:
            with os.fdopen(reader, encoding="utf-8") as answers:
                answer = answers.read()
    if answer:
        said = json.loads(answer)
        return ReplayOutcome(
            Kind(said["status"]), said.get("message", ""), said.get("traceback", "")
        )
    code = process.returncode
    cause = f"by signal {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
    return ReplayOutcome(Kind.CRASH, f"the task's process ended {cause}")


def main() -> None:
    """Run the task that standard input names, and report how it ended on a separate descriptor."""
    from trading_runtime.config.strategy_code import find_strategy_code
    from trading_runtime.execution.task import TaskRunner
    from trading_runtime.execution.workers.worker import attempt, end_with_parent
    from trading_runtime.records.plan import read_plan

    # Ctrl-C reaches the whole process group; the parent decides when this process ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with_parent(os.getppid())
    job = json.loads(sys.stdin.read())
    plan = read_plan(Path(job["plan"]))
    sys.path.extend(path for path in job["search_paths"] if path not in sys.path)
    strategy = plan.strategy
    code = find_strategy_code(
        strategy.path, Path(job["folder"]), strategy.code, plan.common.config_path
    )
    store = Store(Path(job["results"]))
    runner = TaskRunner(
        plan,
        job["dataset"],
        store,
        code,
        scratch=Path(job["scratch"]),
        log_level=job["log_level"],
    )
    try:
        ended = attempt(runner, job["task"])
    finally:
        runner.close()
    with os.fdopen(int(sys.argv[1]), "w", encoding="utf-8") as answers:
        answers.write(json.dumps(ended))


if __name__ == "__main__":
    main()
