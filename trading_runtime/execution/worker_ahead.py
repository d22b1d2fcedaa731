"""The first worker of a run, started early: it imports the engine, and checks what needs one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from trading_runtime.errors import CrashError, Kind, error_of
from trading_runtime.execution.started_process import StartedProcess
from trading_runtime.results.scratch import Scratch

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from trading_runtime.config.loading import LoadedExperiment
    from trading_runtime.config.strategy_code import StrategyCode
    from trading_runtime.planning.plan import Plan


class WorkerAhead:
    """The first worker of a run, started while the run is still being planned."""

    def __init__(self, start: Callable[[int, Path], StartedProcess] = StartedProcess) -> None:
        """``start`` makes the process, of a number and a folder for what is to go with it."""
        self._scratch = Scratch()
        self._started: StartedProcess | None = start(0, self._scratch.path)

    def __enter__(self) -> Self:
        """Started already."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the process, unless a pool took it."""
        if self._started is not None:
            self._started.end()
        self._scratch.remove()

    def check(self, loaded: LoadedExperiment, code: StrategyCode, plan: Plan) -> None:
        """Let the worker's engine check venue and strategy; this process then needs no engine.

        Raises what ``engine.checking.check_settings`` raises, and ``CrashError`` when the
        strategy's modules end the process that imports them.
        """
        if self._started is None:
            raise RuntimeError("the worker was handed over before")
        self._started.send(
            {
                "path": plan.document["strategy"]["path"],
                "code": plan.document["strategy"]["code"],
                "folder": str(loaded.code_folder),
                "search_paths": [str(path) for path in code.search_paths],
                "common": plan.document["common"],
                "configs": plan.configs,
            }
        )
        answer = self._started.wait_for_answer()
        if answer is None:
            exit_code = self._started.process.wait()
            said = self._started.last_output().strip().splitlines()
            words = f"; it last said: {said[-1]}" if said else ""
            raise CrashError(
                f"{code.file or code.path}: importing the strategy ended the process (exit code "
                f"{exit_code}){words}"
            )
        if answer["kind"] == Kind.INTERNAL:
            raise RuntimeError(answer["message"])
        if answer["kind"] != Kind.OK:
            raise error_of(Kind(answer["kind"]), answer["message"])

    def take(self) -> StartedProcess | None:
        """Hand the process over; ``None`` when it was handed over before."""
        started, self._started = self._started, None
        return started
