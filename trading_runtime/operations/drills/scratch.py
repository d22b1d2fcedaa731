"""A scratch folder for a drill: a small dataset, experiments on it, and commands run for real."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trading_runtime.errors import CrashError
from trading_runtime.records.metadata import read_metadata
from trading_runtime.records.result import RunResult, read_result
from trading_runtime.results.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

PATIENCE = 120.0
"""Seconds that a command of a drill may take."""
TRADED, CLOCK = "BTCUSDT-PERP.SIM", "ETHUSDT-PERP.SIM"
BARS_A_DAY = 120
_DAYS = (1_704_067_200, 1_704_153_600)
_PACKAGE_PARENT = Path(__file__).resolve().parent.parent.parent.parent
_ACCOUNT = {
    "account_type": "margin",
    "balances": ["100000 USDT"],
    "fees": {"model": "maker_taker", "maker": "0.0002", "taker": "0.0005"},
}


class DrillFolder:
    """A folder used by one drill alone."""

    def __init__(self, folder: Path, place: str, sabotage: str | None = None) -> None:
        """``sabotage`` is Python code that runs when any process of the drill starts."""
        self.folder = folder
        self.place = place
        """Where the verdict goes: a folder, or an address in S3."""
        self.results = folder / "results"
        self._variables: dict[str, str] = {}
        if sabotage is not None:
            weak = folder / "sabotage"
            weak.mkdir()
            # Python runs this module itself at each start: the runtime has no hook for it.
            (weak / "sitecustomize.py").write_text(sabotage, encoding="utf-8")
            self._variables["PYTHONPATH"] = str(weak)

    @property
    def store(self) -> Store:
        """The results of the drill's runs."""
        return Store(self.results)

    def make_dataset(self, gap: range = range(0)) -> None:
        """Prepare two days of bars of two instruments; the traded one has none in ``gap``."""
        source = self.folder / "source"
        source.mkdir()
        for number, (name, without) in enumerate(((TRADED, gap), (CLOCK, range(0)))):
            lines = _bars(random.Random(number), without)  # noqa: S311 - made-up prices
            (source / f"{name}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
        (source / "instruments.json").write_text(
            json.dumps([_instrument(TRADED), _instrument(CLOCK)]), encoding="utf-8"
        )
        series = [
            {
                "type": "bars",
                "instrument": name,
                "bar": "1-MINUTE-LAST",
                "files": f"{name}.csv",
                "timestamp_format": "s",
                "timestamp_marks": "close",
            }
            for name in (TRADED, CLOCK)
        ]
        content = {"instruments": "instruments.json", "series": series}
        (source / "drill.data.json").write_text(json.dumps(content), encoding="utf-8")
        self.command("data", "prepare", "source/drill.data.json", "--to", "data", must=0)

    def write_experiment(
        self, name: str = "drill.json", *, config: Mapping[str, Any], **sections: Any
    ) -> None:
        """Write an experiment file: the drill's strategy with ``config``, each day a task."""
        content = {
            "name": "drill",
            "seed": 1,
            "dataset": {"path": "data"},
            "partitions": {"by": "day"},
            "venue": _ACCOUNT,
            "strategy": _strategy(config),
            "results": "results",
            "workers": 1,
            **sections,
        }
        (self.folder / name).write_text(json.dumps(content), encoding="utf-8")

    def write_deployment(
        self, name: str = "drill.json", *, config: Mapping[str, Any], pace: str, **sections: Any
    ) -> None:
        """Write a deployment file: the drill's strategy with ``config`` over the first day."""
        content = {
            "name": "drill",
            "mode": "paper",
            "seed": 1,
            "data": {"source": "replay", "dataset": "data", "end": "2024-01-02", "pace": pace},
            "execution": {"venue": "simulated", **_ACCOUNT},
            "strategy": _strategy(config),
            "results": "results",
            **sections,
        }
        (self.folder / name).write_text(json.dumps(content), encoding="utf-8")

    def command(
        self,
        *words: str,
        must: int | None = None,
        before: Callable[[], None] | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end; raises ``CrashError`` unless it ends with code ``must``."""
        with self.start(*words, before=before, variables=variables) as process:
            try:
                output, errors = process.communicate(timeout=PATIENCE)
            except subprocess.TimeoutExpired as error:
                process.kill()
                raise CrashError(f"drill: {' '.join(words)} did not end") from error
        if must is not None and process.returncode != must:
            raise CrashError(f"drill: {' '.join(words)} ended with {process.returncode}: {errors}")
        return subprocess.CompletedProcess(words, process.returncode, output, errors)

    def start(
        self,
        *words: str,
        before: Callable[[], None] | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> subprocess.Popen[str]:
        """Start a command in its own session, in the scratch folder."""
        paths = [self._variables.get("PYTHONPATH", ""), str(_PACKAGE_PARENT)]
        joined = os.pathsep.join(path for path in paths if path)
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "trading_runtime.cli.main", *words],
            cwd=self.folder,
            env=os.environ | {"PYTHONPATH": joined} | dict(variables or {}),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            preexec_fn=before,  # noqa: PLW1509 - this process has no other threads here
        )

    def result(self, run_id: str) -> RunResult | None:
        """Return the result of a run, ``None`` when there is none."""
        return read_result(self.store.run(run_id))

    def status(self, run_id: str) -> str | None:
        """Return the status in a run's metadata."""
        metadata = read_metadata(self.store.run(run_id))
        return None if metadata is None else metadata.status

    def stored_tasks(self) -> list[Path]:
        """Return the folders of all results that have a manifest."""
        found = (self.results / "tasks").glob("??/*/manifest.json")
        return sorted(path.parent for path in found)


def _strategy(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the section of the drill's strategy."""
    return {
        "path": "trading_runtime.strategies.drill_orders:DrillOrders",
        "config": {
            "bar_type": f"{CLOCK}-1-MINUTE-LAST-EXTERNAL",
            "instrument_id": TRADED,
            **config,
        },
    }


def _bars(walk: random.Random, without: range) -> list[str]:
    lines = ["timestamp,open,high,low,close,volume"]
    price = 1_000_000
    for day, start in enumerate(_DAYS):
        for minute in range(BARS_A_DAY):
            close = price + walk.randrange(-300, 301)
            if day or minute not in without:
                high, low = max(price, close) + 50, min(price, close) - 50
                tenths = [f"{value // 10}.{value % 10}" for value in (price, high, low, close)]
                lines.append(",".join([str(start + 60 * (minute + 1)), *tenths, "500.000"]))
            price = close
    return lines


def _instrument(name: str) -> dict[str, str]:
    return {
        "type": "CryptoPerpetual",
        "id": name,
        "base_currency": name[:3],
        "quote_currency": "USDT",
        "settlement_currency": "USDT",
        "price_increment": "0.1",
        "size_increment": "0.001",
        "margin_init": "0.05",
        "margin_maint": "0.025",
    }
