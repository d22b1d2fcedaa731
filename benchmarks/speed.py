"""How fast tasks and sweeps are, and how soon they start, each against a peer or the engine."""

from __future__ import annotations

import json
import shutil
import statistics
import sys
import time
from typing import TYPE_CHECKING, Any

from benchmarks.bench import (
    DATA,
    LISTENER,
    PROCESSES,
    ROOT,
    Bench,
    Mark,
    Row,
    program,
    trading_runtime,
)
from benchmarks.environments import peer
from benchmarks.experiments import (
    BUILTIN_EMA_CROSS,
    EMA_CROSS,
    FASTS,
    SLOWS,
    averages,
    write_experiment,
)
from benchmarks.market_data import BAR_TYPE
from benchmarks.measuring import WARM_UP, of_pairs, of_values, run, turn_by_turn

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from benchmarks.measuring import Measured

_END_OF_LIVE_ROWS = "2024-01-01T06:40:30Z"
"""The 400 minutes that ``live_start`` plays, fifty of them a second."""


def task_of_bars(bench: Bench) -> list[Row]:
    """A task over 45 k bars in a warm worker, against the engine's bare node: CPU and wall time."""
    experiment = write_experiment(
        bench.folder(),
        bench.dataset("bars", bench.size(45_000, 5_000)),
        EMA_CROSS,
        parameters=averages((10, 20, 30), SLOWS),
    )
    return _task_rows("task, 45 k bars, EMA cross in Python", experiment, bench.size(24, 2))


def task_of_trades(bench: Bench) -> list[Row]:
    """A task over a million trades, against the engine's bare node: CPU and wall time."""
    repeats = bench.size(8, 2)
    experiment = write_experiment(
        bench.folder(),
        bench.dataset("trades", bench.size(1_000_000, 50_000)),
        LISTENER,
        parameters={"number": list(range(repeats + WARM_UP))},
    )
    return _task_rows("task, 1 M trades, a strategy that listens", experiment, repeats)


def session_of_bars(bench: Bench) -> list[Row]:
    """A paper session that replays bars in burst, against a bare live node: CPU time."""
    dataset = bench.dataset("bars", bench.size(45_000, 5_000))
    path = bench.folder() / "deployment.json"
    path.parent.mkdir(parents=True)
    strategy = {**EMA_CROSS, "config": {**EMA_CROSS["config"], "fast": 20, "slow": SLOWS[-1]}}
    content = _deployment(dataset, strategy, "burst")
    path.write_text(json.dumps(content))
    finished = program(
        path, str(bench.size(7, 2)), module="benchmarks.programs.session_against_node"
    )
    pairs = [(ours, anchor) for ours, anchor in json.loads(finished.output)]
    name = "session, 45 k bars in burst, EMA cross: CPU"
    return [Row(name, Mark(1.10, "ratio"), of_pairs(pairs))]


def session_start(bench: Bench) -> list[Row]:
    """A paper session against a bare live node: start and memory."""
    dataset = bench.dataset("bars", bench.size(45_000, 5_000))
    folder = bench.folder()
    folder.mkdir(parents=True)
    path = folder / "deployment.json"
    strategy = ROOT / "benchmarks" / "strategies" / "prompt.py"
    section = {"path": f"{strategy}:Prompt", "config": {"bar_type": BAR_TYPE}}
    path.write_text(json.dumps(_deployment(dataset, section, "x3000", _END_OF_LIVE_ROWS)))

    def measured(*arguments: str | Path) -> dict[str, Any]:
        finished = program(*arguments, module="benchmarks.programs.live_start")
        found: dict[str, Any] = json.loads(finished.output.splitlines()[-1])
        return found

    runs = [
        (measured("session", path), measured("node", dataset, BAR_TYPE))
        for _ in range(bench.size(5, 2))
    ]

    def ratio(of: Callable[[dict[str, Any]], float]) -> Measured:
        return of_pairs([(of(ours), of(anchor)) for ours, anchor in runs])

    above = [(ours["memory"] - anchor["memory"]) / 1e6 for ours, anchor in runs]
    return [
        Row(
            "session, process start to connected",
            Mark(1.5, "ratio"),
            ratio(lambda each: each["connected"]),
        ),
        Row(
            "session, process start to connected: CPU",
            Mark(1.5, "ratio"),
            ratio(lambda each: each["cpu"]),
        ),
        Row("session, memory above a bare live node", Mark(60, "MB"), of_values(above)),
    ]


def session_order(bench: Bench) -> list[Row]:
    """From a row at the adapter to its order at a stand-in venue, against a bare live node."""

    def delays(kind: str) -> list[float]:
        finished = program(
            *(kind, str(bench.size(200, 10)), bench.folder()),
            module="benchmarks.programs.order_at_venue",
        )
        found: list[float] = json.loads(finished.output.splitlines()[-1])
        return found

    pairs = turn_by_turn(lambda: delays("session"), lambda: delays("node"), bench.size(5, 2))

    def last_percent(of: list[float]) -> float:
        return statistics.quantiles(of, n=100)[-1]

    return [
        Row(f"session, row to order at a venue, {name}", Mark(most, "ratio"), of_pairs(found))
        for name, most, found in (
            ("median", 1.10, [(statistics.median(a), statistics.median(b)) for a, b in pairs]),
            ("p99", 1.25, [(last_percent(a), last_percent(b)) for a, b in pairs]),
        )
    ]


def _deployment(
    dataset: Path, strategy: dict[str, Any], pace: str, end: str | None = None
) -> dict[str, Any]:
    return {
        "name": "bench",
        "mode": "paper",
        "data": {"source": "replay", "dataset": str(dataset), "pace": pace, "end": end},
        "execution": {
            "venue": "simulated",
            "account_type": "margin",
            "balances": ["1000000 USDT"],
            "leverage": 10,
            "fees": {"model": "maker_taker", "maker": "0.0002", "taker": "0.0005"},
        },
        "strategy": strategy,
        "seed": 1,
    }


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
        # Minutes each; the target is far beyond noise.
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
    # The first run of each reads modules from a cold disk.
    measured = of_pairs(pairs[1:])
    return [Row("process start to first event, against a script", Mark(1.5, "ratio"), measured)]


def _task_rows(name: str, experiment: Path, repeats: int) -> list[Row]:
    from trading_runtime.execution.workers.processes import worker_environment

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
    pairs = json.loads(finished.output)
    return [
        Row(f"{name}{of}", Mark(1.10, "ratio"), of_pairs([(a[kind], b[kind]) for a, b in pairs]))
        for kind, of in enumerate((": CPU", ""))
    ]


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
