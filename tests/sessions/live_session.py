"""A deployment whose data and orders go to a stand-in venue on this machine."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from tests.sessions.small_session import ENTRYPOINT, SmallSession
from tests.small_experiment import ROOT
from trading_runtime.operations.stand_in.bybit import (
    TESTNET_KEYS,
    BybitProtocol,
    live_sections,
)
from trading_runtime.operations.stand_in.exchange import Exchange, HeldOrder
from trading_runtime.operations.stand_in.serving import StandInVenue

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType
    from typing import Self

SYMBOL = "BTCUSDT"
INSTRUMENT = "BTCUSDT-LINEAR.BYBIT"
PRICE = "46000.0"


class LiveSession(SmallSession):
    """A live deployment, its stand-in venue, and what comes of its sessions."""

    def __init__(self, folder: Path, symbols: dict[str, str] | None = None) -> None:
        """A strategy that does what ``order`` says."""
        self.exchange = Exchange(symbols or {SYMBOL: PRICE})
        self.protocol = BybitProtocol(self.exchange)
        self.venue = StandInVenue(self.protocol)
        self.orders = folder / "orders.txt"
        self.variables = dict(TESTNET_KEYS)
        self.program = ENTRYPOINT
        self._started: list[subprocess.Popen[str]] = []
        super().__init__(folder, folder)

    def __enter__(self) -> Self:
        """Start the venue, and write the deployment with its address."""
        self.venue.__enter__()
        self.content = {
            "name": "live",
            "mode": "live",
            **live_sections(INSTRUMENT, self.venue, self.venue),
            "risk": {"max_order_quantity": 1},
            # Longer than a busy machine makes a row late.
            "stale_after": "1m",
            "limits": {"clock_skew": "1m"},
            "seed": 1,
        }
        self.use("obedient.py:Obedient", instrument_id=INSTRUMENT, orders=str(self.orders))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop the venue, and the sessions that a failed test has left."""
        for process in self._started:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.communicate()
        self.venue.__exit__(kind, error, trace)

    def write(self, **changes: Any) -> Path:
        """Write the file, with some of the top keys and of the limits changed from now on."""
        if "limits" in changes:
            changes["limits"] = self.content["limits"] | changes["limits"]
        return super().write(**changes)

    def change(self, module: str, **constants: Any) -> None:
        """Let sessions run with other constants in a module, such as shorter waits."""
        package, _, name = module.rpartition(".")
        self.alter(f"from {package} import {name}\nvars({name}).update({constants!r})\n")

    def alter(self, code: str) -> None:
        """Let sessions run this code first, such as code that makes their storage slow."""
        self.program = self.folder / "changed.py"
        self.program.write_text(
            f"import sys\nsys.path[0] = {str(ROOT)!r}\n{code}"
            "from trading_runtime.cli.main import invoke\n"
            "from trading_runtime.cli.trade import trade\n"
            "sys.exit(invoke(trade, sys.argv[1:]))\n"
        )

    def use(self, strategy: str, **config: Any) -> None:
        """Use a strategy of ``tests/sessions/strategies``."""
        super().use(strategy, **config)
        del self.content["strategy"]["config"]["bar_type"]
        self.write()

    def data_from(self, venue: StandInVenue) -> None:
        """Take market data from another server, which stays when the account's goes away."""
        self.write(**live_sections(INSTRUMENT, self.venue, venue))

    def order(self, *lines: str) -> None:
        """Tell the strategy what to do next, all of it at one quote."""
        with self.orders.open("a") as file:
            file.write("".join(f"{line}\n" for line in lines))

    def trade_by_hand(self, order: HeldOrder) -> HeldOrder:
        """Give the venue an order that no session sent."""
        for act in (self.exchange.place, self.exchange.on_order, self.exchange.match):
            self.venue.do(act, order)
        return order

    def start(self, *options: str) -> subprocess.Popen[str]:
        """Start a session named ``one``, and do not wait for it."""
        named = () if "--run-id" in options else ("--run-id", "one")
        live = ("--live",) if self.content["mode"] == "live" else ()
        started = subprocess.Popen(
            [
                sys.executable,
                str(self.program),
                "--config",
                self.path.name,
                *named,
                *live,
                *options,
            ],
            cwd=self.folder,
            env={**os.environ, **self.variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self._started.append(started)
        return started

    def written(self) -> str:
        """Return everything that is in files of the results."""
        files = [path for path in self.results.rglob("*") if path.is_file()]
        return "\n".join(path.read_bytes().decode("latin-1") for path in files)

    def state(self) -> dict[str, Any]:
        """Return the account as last saved, without orders before the first time."""
        content: dict[str, Any] = {"orders": []}
        for path in self.results.glob("accounts/*/state.json"):
            content = json.loads(path.read_text())
        return content

    def connect(self, name: str = "one", *options: str) -> subprocess.Popen[str]:
        """Start a session of this name, and wait until it has connected."""
        process = self.start("--run-id", name, *options)
        self.wait(lambda: bool(self.events("session_connected", name)), process)
        return process

    def wait_for_more(self, event: str, process: subprocess.Popen[str], count: int) -> None:
        """Wait until the journal has so many events of a name beyond those it has now."""
        self.wait_for(event, process, len(self.events(event)) + count)

    @property
    def accepted(self) -> list[str]:
        """The ids of the orders that the venue accepted."""
        return [fact.about for fact in self.exchange.recorded("accepted")]

    @property
    def executed(self) -> list[str]:
        """The ids of all fills of the venue."""
        return [execution.id for execution in self.exchange.executions]

    def booked(self, *runs: str) -> list[str]:
        """Return the venue's ids of all fills in the journals of these sessions."""
        return [item["trade_id"] for run in runs for item in self.events("order_filled", run)]
