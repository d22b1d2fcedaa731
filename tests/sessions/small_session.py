"""A deployment over the small dataset, and sessions of it run as a user runs them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.small_experiment import BAR_TYPE, INSTRUMENT, ROOT

if TYPE_CHECKING:
    from collections.abc import Callable

ENTRYPOINT = ROOT / "trading_runtime" / "local" / "trade.py"
STRATEGIES = Path(__file__).parent / "strategies"
PATIENCE_SECONDS = 120
"""A busy machine takes its time; nothing is judged by it."""


class SmallSession:
    """A deployment file in a folder, and what comes of its sessions."""

    def __init__(self, folder: Path, dataset: Path) -> None:
        """The example's strategy over three days, as fast as it goes."""
        self.folder = folder
        self.results = folder / "results"
        self.path = folder / "deployment.json"
        self.content: dict[str, Any] = {
            "name": "small",
            "mode": "paper",
            "data": {"source": "replay", "dataset": str(dataset), "pace": "burst"},
            "execution": {
                "venue": "simulated",
                "account_type": "margin",
                "balances": ["100000 USDT"],
                "leverage": 10,
                "fees": {"model": "maker_taker", "maker": "0.0002", "taker": "0.0005"},
            },
            "strategy": {
                "path": "trading_runtime.strategies.ema_cross:EMACross",
                "config": {
                    "instrument_id": INSTRUMENT,
                    "bar_type": BAR_TYPE,
                    "trade_size": 0.1,
                    "fast": 5,
                    "slow": 15,
                },
            },
            "seed": 1,
        }
        self.write()

    def write(self, **changes: Any) -> Path:
        """Write the file, with some of the top keys changed from now on."""
        self.content |= changes
        self.path.write_text(json.dumps(self.content, indent=1))
        return self.path

    def play(self, pace: str) -> None:
        """Play the data at another pace."""
        self.write(data=self.content["data"] | {"pace": pace})

    def use(self, strategy: str, **config: Any) -> None:
        """Use a strategy of ``tests/sessions/strategies``."""
        shutil.copy(STRATEGIES / strategy.partition(":")[0], self.folder)
        self.write(strategy={"path": strategy, "config": {"bar_type": BAR_TYPE, **config}})

    def run(self, *options: str) -> subprocess.CompletedProcess[str]:
        """Run a session named ``one`` in a process of its own, to its end."""
        started = self.start(*options)
        output, errors = started.communicate(timeout=PATIENCE_SECONDS)
        return subprocess.CompletedProcess(started.args, started.returncode, output, errors)

    def start(self, *options: str) -> subprocess.Popen[str]:
        """Start a session named ``one``, and do not wait for it."""
        named = () if "--run-id" in options else ("--run-id", "one")
        return subprocess.Popen(
            [sys.executable, str(ENTRYPOINT), "--config", self.path.name, *named, *options],
            cwd=self.folder,
            env=os.environ.copy(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run another command on the results."""
        return subprocess.run(
            [sys.executable, "-m", "trading_runtime.cli.main", *words, "--results", "results"],
            cwd=self.folder,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_SECONDS,
        )

    def journal(self, run_id: str = "one") -> list[dict[str, Any]]:
        """Return the lines of the session's journal, as they are now."""
        chains = sorted((self.results / "runs" / run_id / "journal").glob("*/*.jsonl"))
        lines = [line for chain in chains for line in chain.read_bytes().split(b"\n")[:-1]]
        return sorted(map(json.loads, lines), key=lambda entry: str(entry["time"]))

    def events(self, name: str, run_id: str = "one") -> list[dict[str, Any]]:
        """Return the payloads of all events of one name."""
        return [entry["payload"] for entry in self.journal(run_id) if entry["event"] == name]

    def metadata(self, run_id: str = "one") -> dict[str, Any]:
        """Return the session's metadata."""
        content: dict[str, Any] = json.loads(
            (self.results / "runs" / run_id / "metadata.json").read_text()
        )
        return content

    def wait_for(self, event: str, process: subprocess.Popen[str], count: int = 1) -> None:
        """Wait until the journal has so many events of a name."""
        self.wait(lambda: len(self.events(event)) >= count, process)

    def wait(self, is_there: Callable[[], bool], process: subprocess.Popen[str]) -> None:
        """Wait for something that a running session does."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            # Asked first, since it may do it and end in between.
            has_ended = process.poll() is not None
            if is_there():
                return
            if has_ended:
                output, errors = process.communicate()
                raise AssertionError(f"it ended early: {output}{errors}")
            assert time.monotonic() < deadline, "it did not happen in time"
            time.sleep(0.02)


def ended(process: subprocess.Popen[str], signalled: int | None = None) -> tuple[int, str]:
    """Return how a session ended, after a signal if one is given."""
    if signalled is not None:
        process.send_signal(signalled)
    output, errors = process.communicate(timeout=PATIENCE_SECONDS)
    return process.returncode, output + errors


def until(is_there: Callable[[], Any]) -> None:
    """Wait for something that no session need live for, such as a fact of the venue."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not is_there():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)
