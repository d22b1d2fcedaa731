"""A small dataset and experiments over it: real files, and commands run as a user runs them."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trading_runtime.cli.main import invoke, root

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

ROOT = Path(__file__).resolve().parent.parent
ENTRYPOINT = ROOT / "trading_runtime" / "local" / "backtest.py"
STRATEGIES = Path(__file__).parent / "execution" / "strategies"
INSTRUMENT = "BTCUSDT-PERP.SIM"
BAR_TYPE = f"{INSTRUMENT}-1-MINUTE-LAST-EXTERNAL"
DAY_STARTS = (1_704_067_200, 1_704_153_600, 1_704_240_000)
"""Midnights of 2024-01-01, 02 and 03, seconds since the epoch."""
BARS_A_DAY = 240


def make_dataset(
    folder: Path,
    changed_bar: int | None = None,
    days: Iterable[int] = DAY_STARTS,
    bars_a_day: int = BARS_A_DAY,
    volumes: Sequence[str] = ("5.000",),
) -> Path:
    """Prepare bars of four hours on each of three days; the close of one bar may be changed.

    Their ``volumes`` are repeated each day.
    """
    source = folder.with_name(f"{folder.name}-source")
    source.mkdir(parents=True)
    lines = ["timestamp,open,high,low,close,volume"]
    walk, price = random.Random(7), 420_000  # noqa: S311 - made-up prices
    for start in days:
        for minute in range(bars_a_day):
            close = price + walk.randrange(-300, 301)
            if len(lines) == changed_bar:
                close += 1
            high, low = max(price, close) + 50, min(price, close) - 50
            tenths = [f"{value // 10}.{value % 10}" for value in (price, high, low, close)]
            lines.append(
                ",".join([str(start + 60 * minute), *tenths, volumes[minute % len(volumes)]])
            )
            price = close - (len(lines) - 1 == changed_bar)
    (source / "bars.csv").write_text("\n".join(lines) + "\n")
    shutil.copy(ROOT / "tests" / "data" / "parts" / "instruments.json", source)
    series = {
        "type": "bars",
        "instrument": INSTRUMENT,
        "bar": "1-MINUTE-LAST",
        "files": "bars.csv",
        "timestamp_format": "s",
        "timestamp_marks": "open",
    }
    content = {"instruments": "instruments.json", "series": [series]}
    (source / "bars.data.json").write_text(json.dumps(content))
    command = ["data", "prepare", str(source / "bars.data.json"), "--to", str(folder), "--json"]
    assert invoke(root, command) == 0
    return folder


def make_quotes(folder: Path) -> Path:
    """Prepare three hours of quotes of EURUSD, 8,012 of them."""
    data_file = ROOT / "tests" / "data" / "parts" / "quotes.data.json"
    assert invoke(root, ["data", "prepare", str(data_file), "--to", str(folder), "--json"]) == 0
    return folder


class SmallExperiment:
    """An experiment file in a folder, and what comes of running it."""

    def __init__(self, folder: Path, dataset: Path) -> None:
        """Four points over three days of the strategy ``counting.py``, copied into the folder."""
        self.folder = folder
        self.results = folder / "results"
        self.path = folder / "small.json"
        self.gate = folder / "gate"
        folder.mkdir(exist_ok=True)
        shutil.copy(STRATEGIES / "counting.py", folder)
        self.content: dict[str, Any] = {
            "name": "small",
            "dataset": {"path": str(dataset)},
            "partitions": {"by": "day"},
            "venue": {
                "account_type": "margin",
                "balances": ["100000 USDT"],
                "fees": {"model": "maker_taker", "maker": "0.0002", "taker": "0.0005"},
            },
            "strategy": {"path": "counting.py:Counting", "config": {"bar_type": BAR_TYPE}},
            "parameters": {"every": [20, 30, 40, 50]},
            "objective": {"metric": "net_profit"},
            "seed": 1,
        }
        self.write()

    def write(self, **changes: Any) -> Path:
        """Write the file, with some of the top keys changed from now on."""
        self.content |= changes
        self.path.write_text(json.dumps(self.content))
        return self.path

    def use(self, strategy: str, **config: Any) -> None:
        """Use another strategy of ``tests/execution/strategies``, with one point and one day."""
        name = strategy.partition(":")[0]
        (self.folder / "counting.py").unlink(missing_ok=True)
        shutil.copy(STRATEGIES / name, self.folder)
        self.write(
            partitions={"by": "day", "end": "2024-01-02"},
            strategy={"path": strategy, "config": {"bar_type": BAR_TYPE}},
            parameters=config,
        )

    def hold(self, tasks: int, free: int) -> None:
        """Use a strategy of which the first ``free`` tasks run, and others wait for the gate."""
        self.use("held.py:Held", number=list(range(tasks)))
        self.content["strategy"]["config"] |= {"free": free, "gate": str(self.gate)}
        self.write()

    def make_markets(self) -> None:
        """Trade on quotes instead, with the example's market maker: two points over three hours."""
        self.write(
            partitions={"by": "hour"},
            venue=self.content["venue"] | {"balances": ["1000000 USD"]},
            strategy={
                "path": "trading_runtime.strategies.market_maker:MarketMaker",
                "config": {
                    "instrument_id": "EURUSD.SIM",
                    "trade_size": "100000",
                    "requote_distance": "0.0001",
                },
            },
            parameters={"half_spread": ["0.00002", "0.00005"]},
        )

    def run(
        self,
        *options: str,
        environment: dict[str, str] | None = None,
        before: Callable[[], None] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run the entrypoint in a process of its own, from the experiment's folder."""
        return subprocess.run(
            [sys.executable, str(ENTRYPOINT), "--config", self.path.name, *options],
            cwd=self.folder,
            env=os.environ | (environment or {}),
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
            preexec_fn=before,
        )

    def start(
        self, *options: str, environment: dict[str, str] | None = None
    ) -> subprocess.Popen[str]:
        """Start the entrypoint in a session of its own, and do not wait for it."""
        return subprocess.Popen(
            [sys.executable, str(ENTRYPOINT), "--config", self.path.name, *options],
            cwd=self.folder,
            env=os.environ | (environment or {}),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def summary(self, *options: str, environment: dict[str, str] | None = None) -> dict[str, Any]:
        """Run, and return what ``--json`` prints."""
        ended = self.run("--json", *options, environment=environment)
        assert ended.stdout, ended.stderr
        content: dict[str, Any] = json.loads(ended.stdout)
        return content

    def forget_results(self) -> None:
        """Remove all that runs left."""
        shutil.rmtree(self.results)

    def run_file(self, run_id: str, name: str) -> Path:
        """Return the path of a file of a run."""
        return self.results / "runs" / run_id / name

    def tasks(self) -> dict[str, bytes]:
        """Return every file below ``tasks`` by its path there."""
        folder = self.results / "tasks"
        return {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }
