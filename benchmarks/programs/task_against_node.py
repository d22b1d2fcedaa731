"""Time tasks in a warm worker against the engine's own node, in one process, alternately.

    python -m benchmarks.programs.task_against_node EXPERIMENT PAIRS

Prints one JSON list of pairs: the task with all artifacts written, and a bare ``BacktestNode`` that
streams the same window from the dataset's catalog with the same strategy, whose results are not
read. Each of the two is stated as seconds of processor time and of wall time. Every other pair
begins with the node. Garbage of one run is not collected during the next. Imported objects are
frozen, as in a worker.
"""

from __future__ import annotations

import gc
import importlib.util
import json
import sys
import time
from typing import TYPE_CHECKING, Any

from nautilus_trader import model
from nautilus_trader.backtest import (
    BacktestDataConfig,
    BacktestEngineConfig,
    BacktestNode,
    BacktestRunConfig,
)
from nautilus_trader.common import LoggerConfig
from trading_runtime.engine.simulation.venue import venue_config
from trading_runtime.engine.strategy.config import build_config
from trading_runtime.execution.preparation import PreparedRun, prepare_run
from trading_runtime.execution.task import TaskRunner
from trading_runtime.execution.workers.worker import import_engine
from trading_runtime.planning.identity import decode_values

from benchmarks.measuring import WARM_UP

if TYPE_CHECKING:
    from collections.abc import Callable

_DATA_TYPES = {
    "bars": model.NautilusDataType.Bar,
    "trades": model.NautilusDataType.TradeTick,
}
_CHUNK_ROWS = 50_000
type Seconds = tuple[float, float]
"""Processor time of the process with all its threads, and wall time."""


def run_bare(prepared: PreparedRun, index: int, strategy_class: Any, strategy_config: Any) -> None:
    """Run the window and the point of task ``index`` without this runtime."""
    plan = prepared.plan
    task = plan.tasks[index]
    partition, common = plan.partitions[task.partition], plan.common
    data = []
    for series in partition.data:
        is_bars = series.type == "bars"
        instrument_id = model.InstrumentId.from_str(series.instrument_id)
        data.append(
            BacktestDataConfig(
                _DATA_TYPES[series.type],
                prepared.loaded.dataset_place,
                instrument_id=None if is_bars else instrument_id,
                bar_types=[series.identifier] if is_bars else None,
            )
        )
    config = BacktestRunConfig(
        [venue_config(common.venue, common.venue_name, common.seed)],
        data,
        BacktestEngineConfig(logging=LoggerConfig(bypass_logging=True), run_analysis=False),
        id="bare",
        chunk_size=_CHUNK_ROWS,
        raise_exception=True,
        dispose_on_completion=False,
        start=partition.warmup_start,
        end=partition.end - 1,
    )
    node = BacktestNode([config])
    node.build()
    node.add_strategy("bare", strategy_class(strategy_config))
    node.run()
    node.dispose()


def main() -> None:
    """Run pairs of task and bare node; the first ones warm up the process."""
    import_engine()
    prepared = prepare_run(sys.argv[1])
    runner = TaskRunner(prepared.plan, prepared.loaded.dataset_place, prepared.store, prepared.code)
    count = int(sys.argv[2]) + WARM_UP
    own, configs = _import_once(prepared, count)

    def task(index: int) -> Seconds:
        return _seconds(lambda: runner.run(index))

    def node(index: int) -> Seconds:
        return _seconds(lambda: run_bare(prepared, index, own, configs[index]))

    pairs = []
    for index in range(count):
        if index % 2:
            bare, ours = node(index), task(index)
        else:
            ours, bare = task(index), node(index)
        pairs.append((ours, bare))
    runner.close()
    sys.stdout.write(json.dumps(pairs[WARM_UP:]) + "\n")


def _import_once(prepared: PreparedRun, count: int) -> tuple[Any, list[Any]]:
    """Return the strategy's class and the first tasks' configs: a script imports only once."""
    name = "strategy_of_the_bare_node"
    spec = importlib.util.spec_from_file_location(name, str(prepared.code.file))
    if spec is None or spec.loader is None:
        raise SystemExit(f"{prepared.code.file}: cannot be imported")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    config_class = getattr(module, f"{prepared.code.class_name}Config")
    plan = prepared.plan
    configs = [
        build_config(config_class, decode_values(plan.config(task.point)))
        for task in plan.tasks[:count]
    ]
    return getattr(module, prepared.code.class_name), configs


def _seconds(call: Callable[[], object]) -> Seconds:
    gc.collect()
    wall, processor = time.perf_counter(), time.process_time()
    call()
    return time.process_time() - processor, time.perf_counter() - wall


if __name__ == "__main__":
    main()
