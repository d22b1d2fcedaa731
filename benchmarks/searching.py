"""What a search costs beside its backtests, against a script with Optuna and the bare engine."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

from trading_runtime.search.asking import seed_of

from benchmarks.bench import PROCESSES, Bench, Mark, Row, program, trading_runtime
from benchmarks.experiments import EMA_CROSS, FASTS, SLOWS, write_experiment
from benchmarks.market_data import BAR_TYPE
from benchmarks.measuring import FailedProgramError, of_pairs

if TYPE_CHECKING:
    from pathlib import Path

_SEED = 7
_AXES = {"fast": (FASTS[0], 1, 49), "slow": (SLOWS[0], 1, 199)}
"""Lowest value, step and highest index."""


def searching(bench: Bench) -> list[Row]:
    """A TPE search of 96 points in three generations, against bare Optuna on the same backtests."""
    dataset = bench.dataset("bars", bench.size(45_000, 5_000))
    pairs = [_pair(bench, dataset, bench.size(32, 3)) for _ in range(bench.repeats)]
    return [Row("search, TPE, against bare Optuna", Mark(1.10, "ratio"), of_pairs(pairs))]


def _pair(bench: Bench, dataset: Path, size: int) -> tuple[float, float]:
    experiment = write_experiment(
        bench.folder(),
        dataset,
        EMA_CROSS,
        parameters={
            name: {"low": low, "high": low + step * last, "step": step}
            for name, (low, step, last) in _AXES.items()
        },
        search={"method": "tpe", "points": 3 * size, "generation": size, "seed": _SEED},
        workers=PROCESSES,
    )
    ours = trading_runtime("run", experiment, "--run-id", "search")
    files = experiment.parent / "results" / "runs" / "search" / "search"
    asked = [
        dict(zip(_AXES, point["indices"], strict=True))
        for path in sorted(files.glob("*.json"))
        for point in json.loads(path.read_text())["points"]
    ]
    settings = {
        "catalog": str(dataset),
        "bar_type": BAR_TYPE,
        "trade_size": EMA_CROSS["config"]["trade_size"],
        "axes": _AXES,
        "first": asked[:size],
        "seeds": [seed_of(_SEED, generation) for generation in (1, 2)],
        "processes": PROCESSES,
    }
    anchor = program(json.dumps(settings), module="benchmarks.programs.bare_search")
    if json.loads(anchor.output) != asked:
        raise FailedProgramError("bare Optuna asked for other points: the backtests differ")
    shutil.rmtree(experiment.parent)
    return ours.seconds, anchor.seconds
