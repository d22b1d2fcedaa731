"""A command that makes a dataset keeps the engine out of the process that reads the rows."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from trading_runtime.datasets import series_processes
from trading_runtime.datasets.manifest import load_manifest
from trading_runtime.engine.instruments.apart import ask_engine, engine_apart
from trading_runtime.errors import CrashError

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
COMMAND = [
    "data", "import", "raw.csv", "--format", "binance-aggtrades", "--to", "made",
    "--instrument", "BTCUSDT-PERP.BINANCE", "--tick", "0.1", "--lot", "0.1",
]  # fmt: skip
ALONE = """
import multiprocessing
from trading_runtime.cli.main import main
from trading_runtime.engine.instruments import apart
ask = apart.ask_engine
def ask_the_dead(*asked):
    for process in multiprocessing.active_children():
        process.kill()
        process.join()
    return ask(*asked)
apart.ask_engine = ask_the_dead
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


def run(code: str, folder: Path, *more: str) -> subprocess.CompletedProcess[str]:
    """Import raw data with the command of ``code``."""
    return subprocess.run(
        [sys.executable, "-c", code, *COMMAND, *more],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_a_command_that_makes_a_dataset_imports_no_engine_where_it_reads_rows(
    tmp_path: Path,
) -> None:
    (tmp_path / "raw.csv").write_text(HEADER + ROWS)

    made = run(WATCHED, tmp_path, "--json")
    refused = run(WATCHED, tmp_path, "--tick", "0", "--to", "other")

    assert (made.returncode, made.stderr) == (0, "[True, False]\n")
    manifest = load_manifest(tmp_path / "made")
    assert json.loads(made.stdout)["digest"] == manifest.digest
    assert [file.rows for file in manifest.files] == [50]
    [definition] = manifest.instruments
    assert definition.content["price_increment"] == "0.1"
    assert refused.returncode == 2
    assert refused.stderr.startswith("error: instrument price_increment: ")
    assert not (tmp_path / "other").exists()


def test_a_command_whose_engine_died_makes_no_dataset_and_says_why(tmp_path: Path) -> None:
    (tmp_path / "raw.csv").write_text(HEADER + ROWS)

    ended = run(ALONE, tmp_path)

    assert (ended.returncode, ended.stdout) == (7, "")
    assert ended.stderr.startswith("error: the process of the engine died, perhaps for want of")
    assert not (tmp_path / "made").exists()


class Deadly:
    """What ends the process that is to make a series of it."""

    files = ()

    def __reduce__(self) -> tuple[Any, ...]:
        """End the process that unpickles it."""
        return os._exit, (9,)


def test_a_process_that_dies_while_it_makes_a_series_is_no_defect_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(series_processes, "_SMALL", 0)
    deadly: Any = Deadly()

    with pytest.raises(CrashError, match="a process that reads raw files died"):
        series_processes.outcomes([(deadly, None)], tmp_path)


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
