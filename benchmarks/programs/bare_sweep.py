"""Time a sweep of a builtin strategy with the engine alone: the minimum time of a sweep.

    python -m benchmarks.programs.bare_sweep EXPERIMENT PROCESSES

Each process decodes the rows once and runs its share of the points. Results are not read.
Prints one JSON document: seconds from the start of the processes to the end of the last.
"""

from __future__ import annotations

import json
import multiprocessing
import sys
import tempfile
import time
from pathlib import Path

from trading_runtime.datasets.slices import cut_partition
from trading_runtime.engine.instruments.catalog import write_instruments
from trading_runtime.engine.simulation.feed import SharingEngine, decoded
from trading_runtime.engine.simulation.venue import engine_config, venue_config
from trading_runtime.engine.strategy.config import build_config
from trading_runtime.engine.strategy.failures import FailureRecord
from trading_runtime.engine.strategy.loading import imported_strategy
from trading_runtime.execution.preparation import prepare_run
from trading_runtime.planning.identity import partition_inputs, task_inputs


def run_points(experiment: str, first: int, step: int) -> None:
    """Run every ``step``-th task of the one partition of ``experiment``, from ``first`` on."""
    prepared = prepare_run(experiment)
    plan = prepared.plan
    common = plan.common
    partition = plan.partitions[0]
    with (
        tempfile.TemporaryDirectory() as folder,
        imported_strategy(prepared.code, None, common.seed) as loaded,
    ):
        catalog = Path(folder)
        write_instruments(catalog, list(plan.instruments.values()))
        rows = cut_partition(partition, Path(prepared.loaded.dataset_place), catalog).rows
        inputs = partition_inputs(partition, plan.instruments)
        shared = decoded(task_inputs(plan, 0, inputs), catalog, rows)
        if shared is None:
            raise SystemExit(f"{experiment}: its rows are not decoded ahead; take fewer")
        for task in plan.tasks[first::step]:
            engine = SharingEngine(
                [venue_config(common.venue, common.venue_name, common.seed)],
                engine_config(common.venue, folder),
                inputs,
                shared,
            )
            values = task_inputs(plan, task.point, inputs).config
            config = build_config(loaded.config_class, values)
            engine.add_builtin_strategy(loaded.code.class_name, config)
            engine.run(FailureRecord(), lambda: False)
            engine.dispose()


def main() -> None:
    """Run the sweep and print what it took."""
    experiment, processes = sys.argv[1], int(sys.argv[2])
    context = multiprocessing.get_context("spawn")
    started = time.perf_counter()
    workers = [
        context.Process(target=run_points, args=(experiment, number, processes))
        for number in range(processes)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        if worker.exitcode:
            raise SystemExit(f"a process ended with {worker.exitcode}")
    sys.stdout.write(json.dumps({"seconds": time.perf_counter() - started}) + "\n")


if __name__ == "__main__":
    main()
