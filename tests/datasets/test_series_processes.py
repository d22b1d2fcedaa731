"""A command that makes a dataset keeps the engine out of the process that reads the rows."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from trading_runtime.datasets.manifest import load_manifest
from trading_runtime.engine.instruments.apart import ask_engine, engine_apart

if TYPE_CHECKING:
    from pathlib import Path

ROWS = "".join(
    f"{step},42500.{step % 10},0.1,1,1,{1704067200000 + step},true\n" for step in range(50)
)
HEADER = "agg_trade_id,price,quantity,first_trade_id,last_trade_id,transact_time,is_buyer_maker\n"
WATCHED = """
import atexit, os, sys
from trading_runtime.cli.main import main
ours = os.getpid()
def tell():
    if os.getpid() == ours:
        print([name in sys.modules for name in ("polars", "nautilus_trader")], file=sys.stderr)
atexit.register(tell)
main()
"""
KILLED = """
import time
from trading_runtime.engine.instruments.apart import ask_engine, engine_apart
with engine_apart() as is_apart:
    ask_engine("check_bar_type", "A.SIM-1-MINUTE-LAST-EXTERNAL")
    print(is_apart, flush=True)
    time.sleep(3600)
"""


def test_a_command_that_makes_a_dataset_imports_no_engine_where_it_reads_rows(
    tmp_path: Path,
) -> None:
    (tmp_path / "raw.csv").write_text(HEADER + ROWS)
    command = [
        "data", "import", "raw.csv", "--format", "binance-aggtrades", "--to", "made",
        "--instrument", "BTCUSDT-PERP.BINANCE", "--json",
    ]  # fmt: skip

    def run(*more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", WATCHED, *command, *more],
            cwd=tmp_path, capture_output=True, text=True, check=False,
        )  # fmt: skip

    made = run("--tick", "0.1", "--lot", "0.1")
    refused = run("--tick", "0", "--to", "other")

    assert (made.returncode, made.stderr) == (0, "[True, False]\n")
    manifest = load_manifest(tmp_path / "made")
    assert json.loads(made.stdout)["digest"] == manifest.digest
    assert [file.rows for file in manifest.files] == [50]
    [definition] = manifest.instruments
    assert definition.content["price_increment"] == "0.1"
    assert refused.returncode == 2
    assert refused.stderr.startswith("error: instrument price_increment: ")
    assert not (tmp_path / "other").exists()


def test_the_process_of_the_engine_ends_with_the_one_that_asks() -> None:
    command = [sys.executable, "-c", KILLED]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as asking:
        assert asking.stdout is not None
        assert asking.stdout.readline() == "True\n"

        asking.send_signal(signal.SIGKILL)

        # Both processes have the pipe: it ends when the second one does.
        assert asking.stdout.read() == ""


def test_a_process_with_all_it_needs_asks_the_engine_itself() -> None:
    with engine_apart() as is_apart:
        assert not is_apart
        with pytest.raises(ValueError, match="7-MINUTE"):
            ask_engine("check_bar_type", "A.SIM-7-MINUTE-LAST-EXTERNAL")
