"""Measure one session, or one bare live node: its start, and its memory.

    python -m benchmarks.programs.live_start session DEPLOYMENT
    python -m benchmarks.programs.live_start node DATASET BAR_TYPE

Both play the same bars, one at a time, to the same strategy, and simulate the venue. Prints one
JSON document: seconds from the start of the process until data may come, by the wall clock and of
processor time; and the peak of resident memory in bytes.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

ROWS = 400
_PAUSE = 0.02
_RATE = "1000000000/00:00:01"


def _since_start() -> float:
    """Return how long this process has run, in seconds."""
    fields = Path("/proc/self/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    started = int(fields[19]) / os.sysconf("SC_CLK_TCK")
    return time.clock_gettime(time.CLOCK_BOOTTIME) - started


def _peak() -> int:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM:")).split()[1]) * 1024


def _session(deployment: str) -> dict[str, Any]:
    from trading_runtime.collector import sparing_collector

    with sparing_collector():  # as the command does
        return _of_session(deployment)


def _of_session(deployment: str) -> dict[str, Any]:
    from trading_runtime.engine.live.replay import DataReplay
    from trading_runtime.sessions.preparation import prepare_session
    from trading_runtime.sessions.session import Session

    connected: list[float] = []
    play = DataReplay.play

    async def timed(replay: DataReplay) -> None:
        connected.extend((_since_start(), time.process_time()))
        await play(replay)

    DataReplay.play = timed  # type: ignore[assignment, method-assign]
    name = f"bench-{time.time_ns()}"
    ended = Session(prepare_session(deployment), name, is_fresh=True).execute()
    if ended.ending.error is not None:
        raise ended.ending.error
    return {"connected": connected[0], "cpu": connected[1]}


def _node(dataset: str, bar_type: str) -> dict[str, Any]:
    from nautilus_trader import model
    from nautilus_trader.adapters.sandbox import (
        SandboxExecutionClientConfig,
        SandboxExecutionClientFactory,
    )
    from nautilus_trader.common import Environment, LoggerConfig
    from nautilus_trader.config import DataClientConfig
    from nautilus_trader.execution import MakerTakerFeeModel
    from nautilus_trader.live import LiveNode, LiveRiskEngineConfig
    from nautilus_trader.live.clients import DataClient, DataClientFactory
    from nautilus_trader.persistence import ParquetDataCatalog

    from benchmarks.strategies.prompt import Prompt, PromptConfig

    catalog = ParquetDataCatalog(dataset)
    clients: list[Any] = []

    class Client(DataClient):
        async def _connect(self) -> None:
            for instrument in catalog.instruments():
                self._handle_instrument(instrument)

        async def _disconnect(self) -> None:
            pass

        async def _nothing(self, command: object) -> None:
            pass

        _subscribe_bars = _unsubscribe_bars = _nothing

    class Factory(DataClientFactory):
        @staticmethod
        def create(*, name: str, config: Any, cache: Any, clock: Any) -> Client:
            venue = model.Venue("BENCH")
            client = Client(name=name, config=config, cache=cache, clock=clock, venue=venue)
            clients.append(client)
            return client

    venue = SandboxExecutionClientConfig(
        model.Venue("SIM"),
        [model.Money.from_str("1000000 USDT")],
        oms_type=model.OmsType.NETTING,
        account_type=model.AccountType.MARGIN,
        fee_model=MakerTakerFeeModel(Decimal("0.0002"), Decimal("0.0005")),
    )
    builder = (
        LiveNode.builder("BENCH", model.TraderId("BENCH-001"), Environment.SANDBOX)
        .with_logging(LoggerConfig(bypass_logging=True))
        .with_reconciliation(False)  # noqa: FBT003 - the engine takes no keywords
        .with_delay_post_stop_secs(0)
        .with_risk_engine_config(
            LiveRiskEngineConfig(max_order_submit_rate=_RATE, max_order_modify_rate=_RATE)
        )
        .add_data_client("BENCH", Factory(), DataClientConfig(), None)
        .add_simulated_exec_client("SIM", SandboxExecutionClientFactory(), venue)
    )
    node = builder.build()
    node.add_strategy(Prompt(PromptConfig(bar_type=model.BarType.from_str(bar_type))))

    async def run() -> tuple[float, float]:
        handle = node.handle()
        running = asyncio.ensure_future(node.run_async())
        while not handle.is_running:  # noqa: ASYNC110 - the engine sends no notification
            await asyncio.sleep(0.01)
        connected = _since_start(), time.process_time()
        due = time.monotonic()
        for row in catalog.query_bars([bar_type])[:ROWS]:
            due += _PAUSE
            await asyncio.sleep(max(due - time.monotonic(), 0))
            clients[0]._handle_data(row)  # noqa: SLF001 - as a client does
        await asyncio.sleep(0.5)
        handle.stop()
        await running
        return connected

    connected, cpu = asyncio.run(run())
    return {"connected": connected, "cpu": cpu}


def main() -> None:
    """Run one of the two."""
    kind, *arguments = sys.argv[1:]
    measured = _session(*arguments) if kind == "session" else _node(*arguments)
    content = {**measured, "memory": _peak()}
    sys.stdout.write("\n" + json.dumps(content) + "\n")


if __name__ == "__main__":
    main()
