"""Workers that wait for a job: started ahead of a run, or kept from one of its generations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from trading_runtime.errors import CrashError, Kind, TaskTimeoutError, error_of
from trading_runtime.execution.workers.answers import read_checked
from trading_runtime.execution.workers.processes import IMPORT_SECONDS, StartedProcess
from trading_runtime.execution.workers.requests import CheckRequest
from trading_runtime.storage.scratch import Scratch

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from trading_runtime.config.loading import LoadedExperiment
    from trading_runtime.config.strategy_code import StrategyCode
    from trading_runtime.execution.workers.processes import WorkerProcess
    from trading_runtime.records.plan import Plan


class PrestartedWorker:
    """Workers without a job: the first of a run, started while the run is still being planned.

    A search keeps those of a generation for the next one: they have imported everything, and have
    the rows of their last partition.
    """

    def __init__(self) -> None:
        self._scratch = Scratch()
        self._idle = [StartedProcess(0, self._scratch.path)]
        self.keeps = False
        """Whether workers that have done their job are kept for another one."""

    def __enter__(self) -> Self:
        """Started already."""
        return self

    def __exit__(self, *_: object) -> None:
        """End all that no pool took."""
        self.end_idle()
        self._scratch.remove()

    @property
    def pids(self) -> set[int]:
        """The ids of the processes that wait for a job."""
        return {started.process.pid for started in self._idle}

    def end_idle(self) -> None:
        """End the processes that wait for a job, and keep no other."""
        self.keeps = False
        while self._idle:
            self._idle.pop().end()

    def check(
        self, loaded: LoadedExperiment, code: StrategyCode, plan: Plan
    ) -> Mapping[str, Sequence[str]]:
        """Let a worker's engine check venue and strategy, so that this process needs no engine.

        Returns and raises what ``engine.simulation.venue.check_settings`` does; raises
        ``CrashError`` when the strategy's modules end the process that imports them, or make it
        answer nonsense, and ``TaskTimeoutError`` when they do not come to an end.
        """
        started = self.take(0, plan) or StartedProcess(0, self._scratch.path)
        self._idle.insert(0, started)
        started.imports_for(plan)
        started.wait_until_ready()
        where = code.file or code.path
        started.send(
            CheckRequest(
                path=plan.strategy.path,
                code=plan.strategy.code,
                folder=str(loaded.code_folder),
                search_paths=[str(path) for path in code.search_paths],
                common=plan.common.content,
                configs=plan.configs,
            )
        )
        try:
            answer = started.wait_for_answer(IMPORT_SECONDS)
            checked = None if answer is None else read_checked(answer)
        except TimeoutError:
            raise TaskTimeoutError(
                f"{where}: importing the strategy took longer than {IMPORT_SECONDS:.0f} s and was "
                "ended; look for an endless loop or a download outside its classes"
            ) from None
        except (ValueError, TypeError) as error:
            raise CrashError(
                f"{where}: importing the strategy made its process answer nonsense"
            ) from error
        if checked is None and started.tasks_ended:
            # What an earlier task left, or it had just ended itself: another one is asked.
            self._idle.remove(started)
            started.end()
            return self.check(loaded, code, plan)
        if checked is None:
            exit_code = started.wait()
            said = started.last_output().strip().splitlines()
            words = f"; it last said: {said[-1]}" if said else ""
            raise CrashError(
                f"{where}: importing the strategy ended the process (exit code {exit_code}){words}"
            )
        if checked.kind is Kind.OK:
            return checked.defaults
        if checked.kind is Kind.INTERNAL:
            raise RuntimeError(checked.message)
        raise error_of(checked.kind, checked.message)

    def take(self, number: int, plan: Plan, *, fresh: bool = False) -> StartedProcess | None:
        """Hand over a process for tasks of a plan; ``None`` when the pool starts its own.

        ``fresh`` asks for one that has run no task: what failed in another is tried again in it.
        """
        for started in [*self._idle]:
            if fresh and started.tasks_ended:
                continue
            self._idle.remove(started)
            if started.imports_for(plan):
                return started
            started.end()
        return StartedProcess(number, self._scratch.path) if self.keeps else None

    def give_back(self, worker: WorkerProcess) -> None:
        """Take a worker that has done its job, and keep its process for another, or end it."""
        if not self.keeps:
            worker.end()
        elif (started := worker.released()) is not None:
            self._idle.append(started)
