"""A deployment on the cluster, as a test sees it."""

from __future__ import annotations

import json
import os
import sys
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from tests.e2e.workflows import run
from tests.sessions.live_session import INSTRUMENT
from tests.sessions.small_session import SmallSession
from trading_runtime.operations.stand_in.bybit import TESTNET_KEYS, live_sections
from trading_runtime.storage.s3 import S3Folder

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.e2e.site import Site
    from trading_runtime.operations.stand_in.serving import StandInVenue

SECONDS = 240
MARKET_MAKER = "trading_runtime.strategies.market_maker"
COMMAND = (sys.executable, "-m", "trading_runtime.cli.main")


class Kept:
    """A deployment on the cluster, its file, and what it leaves in S3."""

    def __init__(self, site: Site, image: str, folder: Path, name: str) -> None:
        self.site, self.image, self.name = site, image, name
        self.path = folder / f"{name}.json"
        self.results = f"{site.place}/{name}"
        self.content: dict[str, Any] = {}

    def session(self, **changes: Any) -> None:
        """Apply a session of the example's strategy, with some keys changed from now on."""
        if not self.content:
            content = SmallSession(self.path.parent, self.path.parent).content
            data = content["data"] | {"dataset": f"{self.site.place}/data", "pace": "x60"}
            self.content = content | {"name": self.name, "data": data, "results": self.results}
        self.content |= changes
        self.apply()

    def program(self, command: list[str], **changes: Any) -> None:
        """Apply a program."""
        self.content = {"name": self.name, "program": {"command": command}, **changes}
        self.apply()

    def live(self, venue: StandInVenue) -> None:
        """Apply a session that quotes at a venue, with the keys in a Secret."""
        keys = [f"--from-literal={name}={value}" for name, value in TESTNET_KEYS.items()]
        self.site.backtests.kubectl("create", "secret", "generic", self.name, *keys)
        quoting = {"instrument_id": INSTRUMENT, "trade_size": "0.010", "half_spread": "50"}
        self.content = {
            "name": self.name,
            "mode": "live",
            **live_sections(INSTRUMENT, venue, venue),
            "strategy": {"path": f"{MARKET_MAKER}:MarketMaker", "config": quoting},
            "risk": {"max_order_quantity": 1},
            "stale_after": "5s",
            "seed": 1,
            "results": self.results,
        }
        self.apply("--live", "--egress-port", str(venue.port))

    def apply(self, *words: str) -> None:
        self.path.write_text(json.dumps(self.content))
        addresses = (self.site.settings.endpoint, os.environ["AWS_ENDPOINT_URL"])
        ports = {urlsplit(address).port for address in addresses} - {None}
        given = [word for port in ports for word in ("--egress-port", str(port))]
        self.command("apply", str(self.path), "--image", self.image, *given, *words)

    def command(self, *words: str) -> str:
        """Run a command about deployments in the namespace."""
        return run(*COMMAND, "deployments", *words, "--namespace", self.site.backtests.name)

    @property
    def sight(self) -> dict[str, Any]:
        """How ``deployments list --cluster`` has it."""
        told = json.loads(self.command("list", "--cluster", "--json"))["deployments"]
        return next((item for item in told if item["name"] == self.name), {})

    @property
    def runs(self) -> list[str]:
        """The ids of its sessions, oldest first."""
        return sorted(S3Folder(self.results).folders("runs"))

    def journal(self, run_id: str) -> list[dict[str, Any]]:
        """Return the lines of a session's journal that are in S3, in their order."""
        folder = S3Folder(self.results)
        names = sorted(folder.sizes(f"runs/{run_id}/journal/"))
        lines = [line for name in names for line in folder.read(name).splitlines()]
        return sorted(map(json.loads, lines), key=lambda entry: str(entry["time"]))

    def events(self, run_id: str, name: str) -> list[dict[str, Any]]:
        return [entry for entry in self.journal(run_id) if entry["event"] == name]

    def wait(self, is_so: Callable[[], object], seconds: float = SECONDS) -> None:
        end = time.monotonic() + seconds
        while not is_so():
            assert time.monotonic() < end, f"{self.sight}\n{self.shown}"
            time.sleep(1)

    @property
    def shown(self) -> str:
        """What the cluster says of its pods."""
        chosen = ("--selector", f"app.kubernetes.io/instance={self.name}")
        return self.site.backtests.kubectl("describe", "pods", *chosen)[-4_000:]

    def trading(self, at_least: int = 1) -> str:
        """Wait until its latest session trades; return the session's id."""
        self.wait(
            lambda: len(self.runs) >= at_least and self.events(self.runs[-1], "session_connected")
        )
        return self.runs[-1]

    def remove(self) -> None:
        kinds = "deployments,configmaps,networkpolicies,cronworkflows,roles,rolebindings"
        chosen = ("--selector", f"app.kubernetes.io/instance={self.name}", "--wait=false")
        self.site.backtests.kubectl("delete", f"{kinds},serviceaccounts", *chosen)
