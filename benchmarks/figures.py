"""The figures: what each measures, against which anchor, and the mark it has to reach."""

from __future__ import annotations

import json
import shutil
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.environments import peer
from benchmarks.experiments import (
    BUILTIN_EMA_CROSS,
    EMA_CROSS,
    FASTS,
    SLOWS,
    averages,
    write_experiment,
)
from benchmarks.market_data import BAR_TYPE, INSTRUMENT
from benchmarks.measuring import Finished, Measured, of_pairs, of_values, run, turn_by_turn

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

ROOT = Path(__file__).parent.parent
DATA = ROOT / "benchmarks" / ".data"
PROCESSES = 2
_MEGABYTE = 1e6


@dataclass
class Bench:
    """How large everything is, and where it is made."""

    scratch: Path
    quick: bool = False
    repeats: int = 3
    _made: int = field(default=0)

    def size(self, full: int, quick: int) -> int:
        """Return ``full``, or ``quick`` for a smoke run."""
        return quick if self.quick else full

    def dataset(self, kind: str, rows: int) -> Path:
        """Return a dataset, made in a process of its own, so that this one stays small."""
        name = f"{kind}-{rows}"
        program(DATA, name, module="benchmarks.market_data")
        return DATA / name

    def folder(self) -> Path:
        """Return a new folder: no run finds results of another."""
        self._made += 1
        return self.scratch / str(self._made)


@dataclass(frozen=True)
class Mark:
    """What a figure has to reach."""

    bound: float
    unit: str
    """``ratio``, ``times``, ``s`` or ``MB``."""
    at_least: bool = False

    def reached(self, value: float) -> bool:
        """Return whether ``value`` is on the right side of the bound."""
        return value >= self.bound if self.at_least else value <= self.bound


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    figure: str
    mark: Mark
    measured: Measured


def program(*arguments: str | Path, module: str) -> Finished:
    """Run a module of this project in a process and measure it."""
    return run([sys.executable, "-m", module, *arguments])


def trading_runtime(*arguments: str | Path) -> Finished:
    """Run the command line and measure it."""
    return program(*arguments, module="trading_runtime.cli.main")


def task_of_bars(bench: Bench) -> list[Row]:
    """A task over 45 k bars in a warm worker, against the engine's bare node."""
    experiment = write_experiment(
        bench.folder(),
        bench.dataset("bars", bench.size(45_000, 5_000)),
        EMA_CROSS,
        parameters=averages((20,), SLOWS),
    )
    pairs = _task_pairs(experiment, bench.size(9, 2))
    return [Row("task, 45 k bars, EMA cross in Python", Mark(1.10, "ratio"), of_pairs(pairs))]


def task_of_trades(bench: Bench) -> list[Row]:
    """A task over a million trades in a warm worker, against the engine's bare node."""
    repeats = bench.size(5, 2)
    experiment = write_experiment(
        bench.folder(),
        bench.dataset("trades", bench.size(1_000_000, 50_000)),
        _listener(),
        parameters={"number": list(range(repeats + 1))},
    )
    pairs = _task_pairs(experiment, repeats)
    return [Row("task, 1 M trades, a strategy that listens", Mark(1.10, "ratio"), of_pairs(pairs))]


def sweep_nautilus_1(bench: Bench) -> list[Row]:
    """A sweep against ``BacktestNode`` of nautilus_trader 1.231.0."""
    python = peer("nautilus-1")
    rows = bench.size(45_000, 5_000)
    bars = bench.dataset("bars", rows)
    catalog = DATA / f"nautilus-1-bars-{rows}"
    script = ROOT / "benchmarks" / "peers" / "nautilus_1.py"
    if not catalog.is_dir():
        partial = bench.folder()
        run([python, script, "catalog", DATA / "raw" / f"bars-{rows}.csv", partial])
        shutil.move(partial, catalog)
    fasts, slows = _grid(bench)
    pairs = turn_by_turn(
        lambda: _sweep_seconds(bench, bars, fasts, slows),
        lambda: (
            run(
                [python, script, "sweep", catalog, _text(fasts), _text(slows), str(PROCESSES)]
            ).seconds
        ),
        # Minutes each; what is asked for is far from what noise could do.
        min(bench.repeats, 2),
    )
    measured = of_pairs(pairs, faster=True)
    return [
        Row("sweep, against nautilus_trader 1.231.0", Mark(10, "times", at_least=True), measured)
    ]


def sweep_backtesting(bench: Bench) -> list[Row]:
    """The same sweep against ``Backtest.optimize`` of backtesting.py."""
    bars = bench.dataset("bars", bench.size(45_000, 5_000))
    fasts, slows = _grid(bench)
    pairs = turn_by_turn(
        lambda: _sweep_seconds(bench, bars, fasts, slows),
        _backtesting_sweep(bench, fasts, slows),
        bench.repeats,
    )
    measured = of_pairs(pairs, faster=True)
    return [Row("sweep, against backtesting.py", Mark(1.0, "times", at_least=True), measured)]


def sweep_builtin(bench: Bench) -> list[Row]:
    """The sweep with the engine's EMA cross in Rust, on quotes, against backtesting.py on bars."""
    quotes = bench.dataset("quotes", bench.size(45_000, 5_000))
    bench.dataset("bars", bench.size(45_000, 5_000))
    fasts, slows = _grid(bench)
    pairs = turn_by_turn(
        lambda: _sweep_seconds(bench, quotes, fasts, slows, builtin=True),
        _backtesting_sweep(bench, fasts, slows),
        bench.repeats,
    )
    measured = of_pairs(pairs, faster=True)
    return [
        Row(
            "sweep, builtin in Rust, against backtesting.py",
            Mark(4, "times", at_least=True),
            measured,
        )
    ]


def first_event(bench: Bench) -> list[Row]:
    """From process start to the first bar in the strategy, against a script."""
    bars = bench.dataset("bars", bench.size(45_000, 5_000))
    strategy = {
        "path": f"{ROOT / 'benchmarks' / 'strategies' / 'first_event.py'}:FirstEvent",
        "config": {"bar_type": BAR_TYPE},
    }
    script = ROOT / "benchmarks" / "programs" / "first_event_script.py"
    entrypoint = ROOT / "trading_runtime" / "local" / "backtest.py"

    def ours() -> float:
        experiment = write_experiment(bench.folder(), bars, strategy)
        return _until_first_event(bench, [entrypoint, "--config", experiment])

    pairs = turn_by_turn(
        ours,
        lambda: _until_first_event(bench, [script, bars, BAR_TYPE]),
        bench.size(9, 2),
    )
    # The first of both reads modules from a cold disk.
    measured = of_pairs(pairs[1:])
    return [Row("process start to first event, against a script", Mark(1.5, "ratio"), measured)]


def worker_memory(bench: Bench) -> list[Row]:
    """The peak memory of a worker that streams one partition."""
    rows = []
    for name, trades in (
        ("5 M trades", bench.size(5_000_000, 200_000)),
        ("1 M trades", bench.size(1_000_000, 50_000)),
    ):
        experiment = write_experiment(bench.folder(), bench.dataset("trades", trades), _listener())
        peak = trading_runtime("run", experiment).peak("execution.worker") / _MEGABYTE
        measured = of_values([peak])
        rows.append(Row(f"peak memory of a worker, {name}", Mark(400, "MB"), measured))
    return rows


def planning(bench: Bench) -> list[Row]:
    """``trading-runtime plan`` with 100,000 tasks: 1,000 points on each of 100 days."""
    experiment = _many_tasks(bench, points=bench.size(1_000, 20))
    return _time_and_memory(
        "planning 100,000 tasks", (5, 500), [trading_runtime("plan", experiment) for _ in range(3)]
    )


def planning_points(bench: Bench) -> list[Row]:
    """The same with 100,000 points on one partition."""
    experiment = _many_tasks(bench, points=bench.size(100_000, 2_000), partitions={})
    return _time_and_memory(
        "planning 100,000 points", (5, 500), [trading_runtime("plan", experiment) for _ in range(3)]
    )


def summarising(bench: Bench) -> list[Row]:
    """Summarise 100,000 stored results, report and all."""
    experiment = _many_tasks(bench, points=bench.size(1_000, 20))
    program(experiment, module="benchmarks.programs.stored_results")
    finished = program(experiment, module="benchmarks.programs.summarise")
    shutil.rmtree(experiment.parent)
    seconds = of_values([json.loads(finished.output.splitlines()[-1])["seconds"]])
    memory = of_values([max(finished.peaks.values()) / _MEGABYTE])
    return [
        Row("summarising 100,000 results: time", Mark(60, "s"), seconds),
        Row("summarising 100,000 results: memory", Mark(1_000, "MB"), memory),
    ]


def cached_run(bench: Bench) -> list[Row]:
    """``trading-runtime run`` of 10,000 tasks that are all stored."""
    experiment = _many_tasks(bench, points=bench.size(100, 5))
    program(experiment, module="benchmarks.programs.stored_results")
    # What a user repeats has been run before; the first run here found results without one.
    trading_runtime("run", experiment)
    seconds = of_values([trading_runtime("run", experiment).seconds for _ in range(3)])
    return [Row("cached run of 10,000 tasks", Mark(3, "s"), seconds)]


FIGURES: dict[str, Callable[[Bench], list[Row]]] = {
    "task-bars": task_of_bars,
    "task-trades": task_of_trades,
    "sweep-nautilus-1": sweep_nautilus_1,
    "sweep-backtesting": sweep_backtesting,
    "sweep-builtin": sweep_builtin,
    "first-event": first_event,
    "memory": worker_memory,
    "planning": planning,
    "planning-points": planning_points,
    "summarising": summarising,
    "cached": cached_run,
}
"""Each figure by the name that ``--only`` takes, in the order of the table."""


def _listener() -> dict[str, object]:
    return {
        "path": f"{ROOT / 'benchmarks' / 'strategies' / 'listener.py'}:Listener",
        "config": {"instrument_id": INSTRUMENT},
    }


def _task_pairs(experiment: Path, repeats: int) -> list[tuple[float, float]]:
    from trading_runtime.execution.worker_process import worker_environment

    finished = run(
        [
            sys.executable,
            "-m",
            "benchmarks.programs.task_against_node",
            str(experiment),
            str(repeats),
        ],
        environment=worker_environment(),
    )
    return [(ours, anchor) for ours, anchor in json.loads(finished.output)]


def _grid(bench: Bench) -> tuple[tuple[int, ...], tuple[int, ...]]:
    return (FASTS[:2], SLOWS[:2]) if bench.quick else (FASTS, SLOWS)


def _text(numbers: tuple[int, ...]) -> str:
    return ",".join(map(str, numbers))


def _sweep_seconds(
    bench: Bench,
    dataset: Path,
    fasts: tuple[int, ...],
    slows: tuple[int, ...],
    *,
    builtin: bool = False,
) -> float:
    """Return the seconds of the whole command: planning, workers, artifacts, summary, report."""
    experiment = write_experiment(
        bench.folder(),
        dataset,
        BUILTIN_EMA_CROSS if builtin else EMA_CROSS,
        parameters=averages(fasts, slows, builtin=builtin),
        workers=PROCESSES,
    )
    finished = trading_runtime("run", experiment)
    shutil.rmtree(experiment.parent)
    return finished.seconds


def _backtesting_sweep(
    bench: Bench, fasts: tuple[int, ...], slows: tuple[int, ...]
) -> Callable[[], float]:
    python = peer("backtesting")
    script = ROOT / "benchmarks" / "peers" / "backtesting_py.py"
    bars = DATA / "raw" / f"bars-{bench.size(45_000, 5_000)}.csv"
    command: list[str | Path] = [python, script, bars, _text(fasts), _text(slows), str(PROCESSES)]
    return lambda: run(command).seconds


def _until_first_event(bench: Bench, command: Sequence[Path | str]) -> float:
    noted = bench.folder()
    noted.parent.mkdir(parents=True, exist_ok=True)
    started = time.monotonic_ns()
    run(
        [sys.executable, *command],
        environment={"BENCH_FIRST_EVENT": str(noted.absolute())},
    )
    return (int(noted.read_text()) - started) / 1e9


def _many_tasks(bench: Bench, points: int, partitions: dict[str, object] | None = None) -> Path:
    days = bench.size(100, 5)
    return write_experiment(
        bench.folder(),
        # The last bar closes before the next midnight, which would begin one more partition.
        bench.dataset("bars", 1_440 * days - 1),
        EMA_CROSS,
        parameters={"fast": list(range(20, 25)), "slow": list(range(100, 100 + points // 5))},
        partitions={"by": "day"} if partitions is None else partitions,
        workers=PROCESSES,
    )


def _time_and_memory(what: str, marks: tuple[float, float], finished: list[Finished]) -> list[Row]:
    seconds = of_values([item.seconds for item in finished])
    memory = of_values([max(item.peaks.values()) / _MEGABYTE for item in finished])
    return [
        Row(f"{what}: time", Mark(marks[0], "s"), seconds),
        Row(f"{what}: memory", Mark(marks[1], "MB"), memory),
    ]
