"""What many tasks and much data cost: memory of a worker, planning, summarising, a cached run."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

from benchmarks.bench import LISTENER, PROCESSES, Bench, Mark, Row, program, trading_runtime
from benchmarks.experiments import EMA_CROSS, write_experiment
from benchmarks.measuring import Finished, Measured, of_values

if TYPE_CHECKING:
    from pathlib import Path

_MEGABYTE = 1e6


def worker_memory(bench: Bench) -> list[Row]:
    """The peak memory of a worker that streams one partition."""
    rows = []
    for name, trades in (
        ("5 M trades", bench.size(5_000_000, 200_000)),
        ("1 M trades", bench.size(1_000_000, 50_000)),
    ):
        experiment = write_experiment(bench.folder(), bench.dataset("trades", trades), LISTENER)
        peak = trading_runtime("run", experiment).peak("execution.workers.worker") / _MEGABYTE
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
    seconds, finished = _summarised(bench, bench.size(1_000, 20), "summarise")
    memory = of_values([max(finished.peaks.values()) / _MEGABYTE])
    return [
        Row("summarising 100,000 results: time", Mark(30, "s"), seconds),
        Row("summarising 100,000 results: memory", Mark(1_000, "MB"), memory),
    ]


def summarising_in_s3(bench: Bench) -> list[Row]:
    """Summarise 10,000 results in S3 from their packs, as the last pod of a run does."""
    seconds, finished = _summarised(bench, bench.size(100, 20), "summary_in_s3")
    memory = of_values([finished.peak("--step summary") / _MEGABYTE])
    return [
        Row("summarising 10,000 results in S3: time", Mark(20, "s"), seconds),
        Row("summarising 10,000 results in S3: memory", Mark(500, "MB"), memory),
    ]


def _summarised(bench: Bench, points: int, summary: str) -> tuple[Measured, Finished]:
    """Store the results of many tasks and let a program summarise them; return its seconds."""
    experiment = _many_tasks(bench, points=points)
    program(experiment, module="benchmarks.programs.stored_results")
    finished = program(experiment, module=f"benchmarks.programs.{summary}")
    shutil.rmtree(experiment.parent)
    return of_values([json.loads(finished.output.splitlines()[-1])["seconds"]]), finished


def large_dataset(bench: Bench) -> list[Row]:
    """Look at 5,000 instruments with five years of monthly files; plan one, all, and each."""
    folder = bench.folder()
    program(folder / "data", str(bench.size(5_000, 50)), module="benchmarks.programs.large_dataset")
    strategy = {
        "path": "trading_runtime.strategies.do_nothing:DoNothing",
        "config": {"instrument_id": "S00007.XNAS"},
    }
    experiment = write_experiment(
        folder, folder / "data", strategy, instruments=["S00007.XNAS"], partitions={"by": "month"}
    )
    runs = range(3)
    together = write_experiment(
        bench.folder(), folder / "data", strategy, partitions={"by": "month"}
    )
    each = write_experiment(
        bench.folder(), folder / "data", strategy, partitions={"instruments": "each"}
    )
    looked = [trading_runtime("data", "inspect", folder / "data") for _ in runs]
    planned = [trading_runtime("plan", experiment) for _ in runs]
    return [
        *_time_and_memory("inspecting 300,000 files", (2, 300), looked),
        *_time_and_memory("planning one of 5,000 instruments", (2, 300), planned),
        *_time_and_memory(
            "planning 5,000 instruments together",
            (2, 300),
            [trading_runtime("plan", together) for _ in runs],
        ),
        *_time_and_memory(
            "planning each of 5,000 instruments",
            (2, 300),
            [trading_runtime("plan", each) for _ in runs],
        ),
    ]


def cached_run(bench: Bench) -> list[Row]:
    """``trading-runtime run`` of 10,000 tasks, all of them stored."""
    experiment = _many_tasks(bench, points=bench.size(100, 5))
    program(experiment, module="benchmarks.programs.stored_results")
    # A user repeats an earlier run; the first run here found stored results without such a run.
    trading_runtime("run", experiment)
    seconds = of_values([trading_runtime("run", experiment).seconds for _ in range(3)])
    return [Row("cached run of 10,000 tasks", Mark(3, "s"), seconds)]


def _many_tasks(bench: Bench, points: int, partitions: dict[str, object] | None = None) -> Path:
    days = bench.size(100, 5)
    return write_experiment(
        bench.folder(),
        # The last bar closes before the next midnight, which would start another partition.
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
