"""Measure how soon an order at a venue follows the row that caused it, in a session or a bare node.

    python -m benchmarks.programs.order_at_venue session|node ORDERS FOLDER

A stand-in venue runs in this process, and the session or the node in another; both use the engine's
own adapter, one strategy and the same settings of the engine. Prints a JSON list: for each order
the seconds from when the adapter had its row until the venue had accepted it.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

_SYMBOL = "BTCUSDT"
_INSTRUMENT = "BTCUSDT-LINEAR.BYBIT"
_UNCOUNTED = 10
"""The first orders, during which everything is done for the first time."""
_PATIENCE = 120.0
_STRATEGY = Path(__file__).parent.parent / "strategies" / "eager.py"


def _measured(kind: str, orders: int, folder: Path) -> list[float]:
    from trading_runtime.operations.stand_in.bybit import (
        TESTNET_KEYS,
        BybitProtocol,
        live_sections,
    )
    from trading_runtime.operations.stand_in.exchange import Exchange
    from trading_runtime.operations.stand_in.serving import StandInVenue

    exchange = Exchange({_SYMBOL: "46000.0"})
    came = folder / "came.json"
    with StandInVenue(BybitProtocol(exchange)) as venue:
        deployment = {
            "name": "bench",
            "mode": "live",
            **live_sections(_INSTRUMENT, venue, venue),
            "strategy": {"path": f"{_STRATEGY}:Eager", "config": {"instrument_id": _INSTRUMENT}},
            "risk": {"max_order_quantity": 1},
            "stale_after": "1m",
            "seed": 1,
        }
        path = folder / "deployment.json"
        path.write_text(json.dumps(deployment), encoding="utf-8")
        command = {
            "session": ["trading_runtime.cli.main", "trade", str(path), "--live", "--fresh"],
            "node": ["benchmarks.programs.order_at_venue", "bare", str(path)],
        }[kind]
        process = subprocess.Popen(
            [sys.executable, "-m", *command],
            env=os.environ | TESTNET_KEYS | {"BENCH_CAME": str(came)},
            stdout=sys.stderr,
        )
        deadline = time.monotonic() + _PATIENCE
        while len(exchange.recorded("accepted")) < orders + _UNCOUNTED:
            if process.poll() is not None or time.monotonic() > deadline:
                process.kill()
                raise SystemExit(f"{kind}: it ended early, or trades too slowly")
            time.sleep(0.1)
        process.send_signal(signal.SIGTERM)
        process.wait(_PATIENCE)
        rows = json.loads(came.read_text(encoding="utf-8"))
        accepted = [(fact.at, rows.get(fact.about)) for fact in exchange.recorded("accepted")]
    delays = [at - row / 1e9 for at, row in accepted if row is not None]
    return delays[_UNCOUNTED : _UNCOUNTED + orders]


def _bare(path: Path) -> None:
    """Run a live node with the clients of a deployment."""
    from nautilus_trader import model
    from nautilus_trader.common import Environment, LoggerConfig
    from nautilus_trader.live import LiveExecutionEngineConfig, LiveNode, LiveRiskEngineConfig
    from trading_runtime.config.adapters import AdapterData, AdapterExecution
    from trading_runtime.engine.live.adapters import adapter_client

    from benchmarks.strategies.eager import Eager, EagerConfig

    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    rate = "1000000000/00:00:01"
    builder = (
        LiveNode.builder("BENCH", model.TraderId("BENCH-001"), Environment.LIVE)
        .with_logging(LoggerConfig(bypass_logging=True))
        .with_delay_post_stop_secs(0)
        .with_reconciliation(True)  # noqa: FBT003 - the engine takes no keywords
        .with_exec_engine_config(
            LiveExecutionEngineConfig(
                reconciliation=True, open_check_interval_secs=2.0, position_check_interval_secs=2.0
            )
        )
        .with_risk_engine_config(
            LiveRiskEngineConfig(max_order_submit_rate=rate, max_order_modify_rate=rate)
        )
    )
    data = AdapterData.model_validate(content["data"])
    execution = AdapterExecution.model_validate(content["execution"])
    builder = builder.add_data_client(None, *adapter_client(data))
    builder = builder.add_exec_client(None, *adapter_client(execution))
    node = builder.build()
    node.add_strategy(Eager(EagerConfig(instrument_id=model.InstrumentId.from_str(_INSTRUMENT))))

    async def run() -> None:
        handle = node.handle()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, handle.stop)
        await node.run_async()

    asyncio.run(run())


def main() -> None:
    """Measure one of the two, or be the bare node."""
    kind, *arguments = sys.argv[1:]
    if kind == "bare":
        _bare(Path(arguments[0]))
        return
    folder = Path(arguments[1])
    folder.mkdir(parents=True, exist_ok=True)
    sys.stdout.write(json.dumps(_measured(kind, int(arguments[0]), folder)) + "\n")


if __name__ == "__main__":
    main()
