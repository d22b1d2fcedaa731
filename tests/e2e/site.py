"""A place for one session of end-to-end tests: namespaces, data in S3, and a laptop beside it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.e2e.workflows import Namespace, run
from tests.small_experiment import BAR_TYPE, INSTRUMENT
from trading_runtime.storage.s3 import S3Folder

if TYPE_CHECKING:
    from tests.e2e.settings import Settings

ROOT = Path(__file__).resolve().parent.parent.parent
CPU = "250m"
MEMORY_MIB = 600
PARAMETERS = f"cpu={CPU} step-cpu={CPU} memory-mib={MEMORY_MIB} step-memory-mib=800"
"""What these tasks need; the requests of the templates' defaults would not fit a small machine."""


@dataclass(frozen=True)
class Site:
    """Where a session's tests run."""

    settings: Settings
    name: str
    """Of the session: part of the names of all that it makes."""
    folder: Path
    dataset: Path

    @property
    def backtests(self) -> Namespace:
        """Where experiments run."""
        return Namespace(self.name)

    @property
    def builds(self) -> Namespace:
        """Where images are built."""
        return Namespace(f"{self.name}-builds")

    @property
    def strangers(self) -> Namespace:
        """Where tests find no access, once the fixture of this name has made it."""
        return Namespace(f"{self.name}-strangers")

    @property
    def place(self) -> str:
        """Where in S3 this session's files lie."""
        return f"s3://{self.settings.bucket}/{self.name}"

    @property
    def storage(self) -> S3Folder:
        """This session's files."""
        return S3Folder(self.place)

    def run_file(self, run_id: str, name: str) -> bytes:
        """Return a file of a run, from S3."""
        return self.storage.read(f"results/runs/{run_id}/{name}")

    def script(self, name: str, **settings: str) -> str:
        """Run one of the project's scripts, as CI does."""
        ended = subprocess.run(
            [str(ROOT / "scripts" / name)],
            env={
                **os.environ,
                "K8S_NAMESPACE": self.backtests.name,
                "K8S_BUILD_NAMESPACE": self.builds.name,
                "PARAMETERS": PARAMETERS,
                **settings,
            },
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout

    def experiment(self, name: str, **changed: Any) -> Experiment:
        """Return an experiment of two fast tasks a day over three days, with some keys changed."""
        content = {
            "name": name,
            "dataset": {"path": f"{self.place}/data"},
            "partitions": {"by": "day"},
            "venue": {
                "account_type": "margin",
                "balances": ["100000 USDT"],
                "fees": {"model": "maker_taker", "maker": "0.0002", "taker": "0.0005"},
            },
            "strategy": {
                "path": "trading_runtime.strategies.ema_cross:EMACross",
                "config": {"instrument_id": INSTRUMENT, "bar_type": BAR_TYPE, "trade_size": 0.1},
            },
            "parameters": {"fast": [5, 10], "slow": [30]},
            "objective": {"metric": "net_profit"},
            "seed": 1,
            "results": f"{self.place}/results",
        }
        return Experiment(self, {**content, **changed})

    def awkward(self, name: str, **changed: Any) -> Experiment:
        """Return an experiment of the strategy beside these tests, which no image holds."""
        path = Path(__file__).parent / "strategies" / "awkward.py"
        strategy = {"path": f"{path}:Awkward", "config": {"bar_type": BAR_TYPE}}
        return self.experiment(name, strategy=strategy, **changed)


@dataclass(frozen=True)
class Experiment:
    """An experiment in S3, and the same on a laptop."""

    site: Site
    content: dict[str, Any]

    @property
    def address(self) -> str:
        """Where it lies in S3, once it was put there."""
        return f"{self.site.place}/{self.content['name']}.json"

    def put(self) -> str:
        """Write it to S3; return its address."""
        name = f"{self.content['name']}.json"
        self.site.storage.write(name, json.dumps(self.content).encode())
        return self.address

    def submit(self, **parameters: str) -> str:
        """Submit it with ``argo submit`` alone; return the workflow's name."""
        return self.site.backtests.submit(experiment=self.put(), **parameters)

    def send(self, *words: str) -> dict[str, Any]:
        """Submit it with ``trading-runtime submit``, which sends the strategy's code along."""
        path = self.site.folder / f"{self.content['name']}.json"
        path.write_text(json.dumps(self.content))
        told = run(
            *(sys.executable, "-m", "trading_runtime.cli.main", "submit", str(path), "--json"),
            *("--namespace", self.site.backtests.name, *words),
        )
        return dict(json.loads(told))

    def run_on_laptop(self, *, dataset: Path | None = None, exit_code: int = 0) -> dict[str, Any]:
        """Run it here, from and to local folders; return its ``result.json``."""
        folder = self.site.folder / f"laptop-{self.content['name']}"
        folder.mkdir()
        local = {"dataset": {"path": str(dataset or self.site.dataset)}, "results": "results"}
        path = folder / "experiment.json"
        path.write_text(json.dumps(self.content | local))
        entrypoint = ROOT / "trading_runtime" / "local" / "backtest.py"
        ended = subprocess.run(
            [sys.executable, str(entrypoint), "--config", str(path), "--run-id", "laptop"],
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )
        assert ended.returncode == exit_code, ended.stderr
        return dict(json.loads((folder / "results/runs/laptop/result.json").read_text()))


def registry_secret(settings: Settings) -> dict[str, str]:
    """Return the settings with which the project's script makes the registry's secrets."""
    servers = {settings.image.partition("/")[0], settings.push_to.partition("/")[0]}
    return {
        "GHCR_USERNAME": settings.user,
        "GHCR_TOKEN": settings.password,
        "REGISTRY_SERVERS": " ".join(sorted(servers)),
    }


def buildkit_configuration(settings: Settings) -> str:
    """Return the ConfigMap that tells BuildKit of a mirror, and of registries without TLS."""
    lines = [f'[registry."{name}"]\n  http = true' for name in settings.plain_registries]
    if settings.mirror:
        lines.append(f'[registry."docker.io"]\n  mirrors = ["{settings.mirror}"]')
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "buildkit-configuration"},
            "data": {"buildkitd.toml": "\n".join(lines) + "\n"},
        }
    )
