"""Measure the CPU time of sessions that replay in burst and of a bare live node, alternately.

    python -m benchmarks.programs.session_against_node DEPLOYMENT PAIRS

Prints one JSON list of pairs of seconds: from when rows are read until the last one was processed,
in a session including all that it writes, and in a ``LiveNode`` with the same strategy, the same
simulated venue, and a client that delivers the same rows.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

from nautilus_trader import model
from nautilus_trader.adapters.sandbox import SandboxExecutionClientFactory
from nautilus_trader.common import DataActor, Environment, LoggerConfig
from nautilus_trader.config import DataClientConfig
from nautilus_trader.live import LiveNode, LiveRiskEngineConfig
from nautilus_trader.live.clients import DataClient, DataClientFactory
from nautilus_trader.persistence import ParquetDataCatalog
from trading_runtime.collector import sparing_collector
from trading_runtime.engine.instruments.definitions import build_instruments
from trading_runtime.engine.live.replay import DataReplay
from trading_runtime.engine.live.simulated import simulated_venue
from trading_runtime.engine.strategy.config import build_config
from trading_runtime.engine.strategy.loading import imported_strategy
from trading_runtime.sessions.preparation import cut_window, prepare_session
from trading_runtime.sessions.session import Session

if TYPE_CHECKING:
    from collections.abc import Callable

    from trading_runtime.sessions.preparation import PreparedSession

_LAST = model.InstrumentId.from_str("BENCH.LAST")
_ROWS_AT_ONCE = 256
_RATE = "1000000000/00:00:01"


class _Client(DataClient):
    """Delivers rows as fast as it can."""

    def __init__(
        self, instruments: list[Any], rows: Callable[[], list[Any]], **arguments: Any
    ) -> None:
        super().__init__(**arguments)
        self._given = instruments, rows

    async def _connect(self) -> None:
        for instrument in self._given[0]:
            self._handle_instrument(instrument)

    async def _disconnect(self) -> None:
        pass

    async def _nothing(self, command: object) -> None:
        pass

    _subscribe_bars = _subscribe_instrument_status = _nothing
    _unsubscribe_bars = _unsubscribe_instrument_status = _nothing

    async def play(self) -> None:
        for number, row in enumerate(self._given[1]()):
            self._handle_data(row)
            if not number % _ROWS_AT_ONCE:
                await asyncio.sleep(0)
        nothing = model.MarketStatusAction.NONE
        self._handle_data(
            model.InstrumentStatus(_LAST, nothing, 1, 1, None, None, None, None, None)
        )


class _Receiver(DataActor):
    """Is notified when the last row was processed."""

    def __init__(self) -> None:
        super().__init__()
        self.heard = asyncio.Event()

    def on_start(self) -> None:
        self.subscribe_instrument_status(_LAST, client_id=model.ClientId("BENCH"))

    def on_instrument_status(self, _status: Any) -> None:
        self.heard.set()


def session_seconds(prepared: PreparedSession) -> float:
    """Return the CPU time of a session between its first and its last row."""
    taken: list[float] = []
    play = DataReplay.play

    async def timed(replay: DataReplay) -> None:
        started = time.process_time()
        await play(replay)
        taken.append(time.process_time() - started)

    DataReplay.play = timed  # type: ignore[assignment, method-assign]
    try:
        ended = Session(prepared, f"bench-{time.time_ns()}", is_fresh=True).execute()
    finally:
        DataReplay.play = play  # type: ignore[method-assign]
    if ended.ending.error is not None:
        raise ended.ending.error
    return taken[0]


def node_seconds(prepared: PreparedSession) -> float:
    """Return the CPU time of a bare node for the same rows."""
    plan = prepared.plan(None)
    common = plan.common
    with (
        cut_window(plan, prepared.loaded.dataset_place) as window,
        imported_strategy(prepared.code, None, common.seed) as loaded,
    ):
        catalog = ParquetDataCatalog(str(window.catalog))
        names = [item.identifier for item in window.partition.data]
        clients: list[_Client] = []

        class Factory(DataClientFactory):
            @staticmethod
            def create(*, name: str, config: Any, cache: Any, clock: Any) -> _Client:
                venue = model.Venue("BENCH")
                clients.append(
                    _Client(
                        build_instruments(window.inputs.partition.instruments),
                        lambda: catalog.query_bars(names),
                        name=name,
                        config=config,
                        cache=cache,
                        clock=clock,
                        venue=venue,
                    )
                )
                return clients[0]

        settings, name = common.venue, common.venue_name
        venue = simulated_venue(settings, name, common.seed, settings.balances)
        builder = (
            LiveNode.builder("BENCH", model.TraderId("BENCH-001"), Environment.SANDBOX)
            .with_logging(LoggerConfig(bypass_logging=True))
            .with_reconciliation(False)  # noqa: FBT003 - the engine takes no keywords
            .with_delay_post_stop_secs(0)
            .with_risk_engine_config(
                LiveRiskEngineConfig(max_order_submit_rate=_RATE, max_order_modify_rate=_RATE)
            )
            .add_data_client("BENCH", Factory(), DataClientConfig(), None)
            .add_simulated_exec_client(name, SandboxExecutionClientFactory(), venue)
        )
        node = builder.build()
        if loaded.strategy_class is None:
            raise SystemExit("the strategy must be one in Python")
        config: Any = build_config(loaded.config_class, window.inputs.config)
        node.add_strategy(loaded.strategy_class(config))
        ear = _Receiver()
        node.add_actor(ear)

        async def run() -> float:
            handle = node.handle()
            running = asyncio.ensure_future(node.run_async())
            while not handle.is_running:  # noqa: ASYNC110 - the engine sends no notification
                await asyncio.sleep(0.01)
            started = time.process_time()
            await clients[0].play()
            await ear.heard.wait()
            seconds = time.process_time() - started
            handle.stop()
            await running
            return seconds

        seconds = asyncio.run(run())
        node.dispose()
    return seconds


def main() -> None:
    """Run pairs of session and bare node, each in its own process; or one of them."""
    deployment, count = sys.argv[1:3]
    if count in _KINDS:
        with sparing_collector() if count == "session" else contextlib.nullcontext():
            seconds = _KINDS[count](prepare_session(deployment))
        sys.stdout.write(f"{seconds}\n")
        return
    pairs = [[_in_process(deployment, kind) for kind in _KINDS] for _ in range(int(count))]
    sys.stdout.write(json.dumps(pairs) + "\n")


_KINDS = {"session": session_seconds, "node": node_seconds}


def _in_process(deployment: str, kind: str) -> float:
    ended = subprocess.run(
        [sys.executable, "-m", "benchmarks.programs.session_against_node", deployment, kind],
        check=True,
        capture_output=True,
        text=True,
    )
    return float(ended.stdout)


if __name__ == "__main__":
    main()
