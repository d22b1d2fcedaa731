"""Runs tasks of a plan in a fresh process of this machine, and keeps their results in a folder."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence  # noqa: TC003 - read from the annotations of records
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING

from trading_runtime.datasets.fetching import fetched_dataset
from trading_runtime.errors import Kind
from trading_runtime.execution.workers.descendants import (
    adopt_orphans,
    end_adopted,
    end_descendants,
    hide_from_children,
)
from trading_runtime.execution.workers.processes import kill_with_group, worker_environment
from trading_runtime.execution.workers.requests import CodeRequest
from trading_runtime.records.forms import read_as
from trading_runtime.records.plan import read_plan

if TYPE_CHECKING:
    from trading_runtime.execution.workers.worker import Attempt


@dataclass(frozen=True)
class FreshTasks:
    """Tasks to run, and where what they need is."""

    plan: Path
    folder: Path
    """The experiment file's folder; paths in the experiment are relative to it."""
    dataset: str
    """A folder, or an address in S3."""
    search_paths: Sequence[Path]
    """Where further modules of the strategy are found."""
    scratch: Path
    """For results, below ``results``, and files of the tasks."""
    log_level: str | None = None
    """Shows the engine's log, when given."""
    watches_files: bool = False
    """Whether to report what tasks open; each then runs twice."""

    @property
    def results(self) -> Path:
        """Where the results are stored."""
        return self.scratch / "results"

    def run(self, tasks: Sequence[int], output: IO[bytes] | None = None) -> list[FreshOutcome]:
        """Run tasks of the plan one after another; those after a crash are not run.

        What the tasks print goes to ``output``, to standard output and error without one. What they
        leave running ends with them.
        """
        plan = read_plan(self.plan)
        needed = {plan.tasks[task].partition for task in tasks}
        partitions = [plan.partitions[index] for index in sorted(needed)]
        # Here: the process that runs the strategy has no credentials.
        dataset = fetched_dataset(self.dataset, partitions, self.scratch / "dataset")
        job = FreshRequest(
            plan=str(self.plan.absolute()),
            folder=str(self.folder),
            dataset=dataset,
            results=str(self.results),
            scratch=str(self.scratch),
            search_paths=[str(path) for path in self.search_paths],
            tasks=list(tasks),
            log_level=self.log_level,
            watches_files=self.watches_files,
        )
        work = self.scratch / "work"
        work.mkdir(exist_ok=True)
        sys.stdout.flush()
        hide_from_children()
        adopt_orphans()
        # No pipe: long answers would fill it, and a process that was left running hold it open.
        with (self.scratch / "answers").open("w+b") as answers:
            writer = answers.fileno()
            with subprocess.Popen(
                [sys.executable, "-P", "-m", __name__, str(writer)],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                pass_fds=(writer,),
                env=worker_environment(),
                cwd=work,
                process_group=0,
            ) as process:
                try:
                    process.communicate(job.to_line())
                finally:
                    kill_with_group(process)
                    end_adopted(frozenset())
            answers.seek(0)
            ended = [read_as(FreshOutcome, json.loads(line)) for line in answers]
        if len(ended) < len(tasks):
            code = process.returncode
            cause = (
                f"by signal {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
            )
            ended.append(FreshOutcome(Kind.CRASH, f"the task's process ended {cause}"))
        return ended


@dataclass(frozen=True)
class FreshOutcome:
    """How a task ended: ``ok``, or its failure."""

    kind: Kind
    message: str = ""
    traceback: str = ""
    opened: tuple[str, ...] = ()
    """Files and the like that the strategy opened, if they were to be reported."""
    orders_at_stop: int | None = field(default=None, compare=False)
    """How many orders there were when the strategy was stopped; unknown of a builtin one."""


@dataclass(frozen=True, kw_only=True)
class FreshRequest(CodeRequest):
    """What the process is asked to run."""

    plan: str
    dataset: str
    results: str
    scratch: str
    tasks: Sequence[int]
    log_level: str | None
    watches_files: bool


def main() -> None:
    """Run the tasks that standard input names, and report how they ended on a descriptor."""
    from trading_runtime.execution.workers.fence import fence_in

    fence_in()
    from trading_runtime.execution.task import TaskRunner
    from trading_runtime.execution.workers.worker import attempt, end_with_parent, find_code
    from trading_runtime.results.store import Store
    from trading_runtime.verification.opened_files import OpenedFiles

    # The parent decides when this process ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # A terminal may stop what prints from another group than its own.
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    end_with_parent(os.getppid())
    adopt_orphans()
    job = read_as(FreshRequest, json.loads(sys.stdin.read()))
    plan = read_plan(Path(job.plan))
    strategy, folder = plan.strategy, Path(job.folder)
    code = find_code(job, strategy.path, strategy.code, plan.common.config_path)
    runner = TaskRunner(
        plan,
        job.dataset,
        Store(Path(job.results)),
        code,
        scratch=Path(job.scratch),
        log_level=job.log_level,
    )

    def watched(index: int) -> tuple[Attempt, list[str]]:
        # The first time the runtime itself cuts the data; the second time it is the strategy that
        # opens a file of the dataset. It may keep what it opened the first time.
        scratch = Path(job.scratch)
        with OpenedFiles((folder,), (scratch, job.dataset)) as first:
            ended = attempt(runner, index)
        if ended.status is not Kind.OK:
            return ended, []
        with OpenedFiles((folder, job.dataset), (scratch,)) as second:
            ended = attempt(runner, index)
        return ended, sorted({*first.found(), *second.found()})

    try:
        with os.fdopen(int(sys.argv[1]), "w", encoding="utf-8") as answers:
            os.set_inheritable(answers.fileno(), False)  # noqa: FBT003 - how the function is called
            for index in job.tasks:
                ended, opened = (
                    watched(index) if job.watches_files else (attempt(runner, index), [])
                )
                end_descendants(os.getpid())
                outcome = FreshOutcome(
                    ended.status,
                    ended.message,
                    ended.traceback,
                    tuple(opened),
                    runner.orders_at_stop,
                )
                answers.write(json.dumps(vars(outcome)) + "\n")
                answers.flush()
    finally:
        runner.close()


if __name__ == "__main__":
    main()
