"""Data as it comes, recorded into a dataset that grows, alone and beside a session."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
import pytest

from tests.sessions.live_session import INSTRUMENT, SYMBOL, LiveSession
from tests.sessions.small_session import PATIENCE_SECONDS, ended
from tests.sessions.test_watching import quote
from tests.small_experiment import ROOT
from trading_runtime.datasets.manifest import load_manifest
from trading_runtime.datasets.verify import verify
from trading_runtime.engine.live.recorder import Recorder
from trading_runtime.errors import StorageError
from trading_runtime.operations.stand_in.binance import BinanceProtocol
from trading_runtime.operations.stand_in.exchange import Exchange
from trading_runtime.operations.stand_in.serving import StandInVenue

if TYPE_CHECKING:
    from collections.abc import Iterator


SIMULATED = {
    "venue": "simulated",
    "account_type": "margin",
    "balances": ["1000 USDT"],
    "fees": {"model": "none"},
}


@pytest.fixture
def live(tmp_path: Path) -> Iterator[LiveSession]:
    """A live deployment that records, flushed every half second."""
    with LiveSession(tmp_path) as session:
        session.write(record="recorded", limits={"heartbeat": "500ms"})
        yield session


def start_recording(live: LiveSession) -> subprocess.Popen[str]:
    """Start the command ``record``."""
    return subprocess.Popen(
        [sys.executable, "-m", "trading_runtime.cli.main", "record", live.path.name],
        cwd=live.folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def rows_in_files(folder: Path, kind: str) -> int:
    """Return how many rows of one type are in the catalog's files."""
    return sum(pl.read_parquet(path).height for path in (folder / "data" / kind).rglob("*.parquet"))


def wait_for_rows(live: LiveSession, process: subprocess.Popen[str], least: int) -> None:
    """Wait until so many quotes are in files."""
    folder = live.folder / "recorded"
    live.wait(lambda: rows_in_files(folder, "quotes") >= least, process)


def publish_row(live: LiveSession) -> None:
    """Let the venue send one quote and one trade, of a symbol that is silent otherwise."""
    sending = live.protocol._publish_symbol(SYMBOL, is_bar_due=False)
    asyncio.run_coroutine_threadsafe(sending, live.venue._loop).result(PATIENCE_SECONDS)


def test_what_was_flushed_survives_a_kill_and_the_dataset_grows(live: LiveSession) -> None:
    folder = live.folder / "recorded"
    first = start_recording(live)
    wait_for_rows(live, first, 10)
    first.kill()
    first.communicate()
    kept = rows_in_files(folder, "quotes")
    second = start_recording(live)
    wait_for_rows(live, second, kept + 10)
    second.send_signal(signal.SIGTERM)
    output, errors = second.communicate(timeout=PATIENCE_SECONDS)
    manifest = load_manifest(folder)
    times = [
        instant
        for path in sorted((folder / "data" / "quotes").rglob("*.parquet"))
        for instant in pl.read_parquet(path)["ts_init"].to_list()
    ]

    assert second.returncode == 143, output + errors
    assert sum(file.rows for file in manifest.files if file.type == "quotes") == len(times)
    assert len(times) >= kept + 10
    assert times == sorted(set(times))
    assert {file.type for file in manifest.files} == {"quotes", "trades"}
    assert [item.id for item in manifest.instruments] == [INSTRUMENT]
    assert list(verify(folder).damages) == []
    assert live.exchange.recorded("accepted") == []


@pytest.mark.usefixtures("in_a_terminal")
def test_one_process_records_into_a_folder_until_its_terminal_is_closed(live: LiveSession) -> None:
    folder = live.folder / "recorded"
    first = start_recording(live)
    wait_for_rows(live, first, 1)
    second = start_recording(live)
    _, refused = second.communicate(timeout=PATIENCE_SECONDS)
    first.send_signal(signal.SIGHUP)
    output, errors = first.communicate(timeout=PATIENCE_SECONDS)
    manifest = load_manifest(folder)

    assert second.returncode == 2, refused
    assert "another process is adding rows" in refused
    assert first.returncode == 0, output + errors
    written = sum(file.rows for file in manifest.files if file.type == "quotes")
    assert written == rows_in_files(folder, "quotes")


def test_a_session_records_what_it_sees(live: LiveSession) -> None:
    process = live.connect()
    live.order("buy 0.010")
    live.wait_for("order_filled", process)
    wait_for_rows(live, process, 5)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=PATIENCE_SECONDS)
    manifest = load_manifest(live.folder / "recorded")

    assert process.returncode == 143, errors
    [stopped] = live.events("session_stopped")
    assert sum(file.rows for file in manifest.files) == stopped["rows"]


def test_a_paper_session_on_a_venues_data_trades_as_a_backtest_of_its_recording(
    live: LiveSession,
) -> None:
    live.write(mode="paper", execution=SIMULATED)
    live.use("ticking.py:Ticking", instrument_id=INSTRUMENT)
    process = live.start()
    for number in range(1, 5):
        live.wait_for("order_filled", process, number)
        live.venue.do(live.exchange.move, SYMBOL, f"{46_000 + 100 * number}.0")
    code, text = ended(process, signal.SIGTERM)
    fills = live.events("order_filled")
    compared = live.command("parity", "one", "--json")
    found = json.loads(compared.stdout)

    assert code == 143, text
    assert compared.returncode == 0, compared.stderr
    assert found["exact"] == found["session_fills"] == found["backtest_fills"] == len(fills)
    assert len({item["price"] for item in fills}) > 1
    assert live.exchange.recorded("accepted") == []


def test_an_alert_set_inside_an_alert_fires_before_the_next_row_here_and_in_the_backtest(
    live: LiveSession,
) -> None:
    topic = f"orderbook.1.{SYMBOL}"
    live.protocol.silent.add(SYMBOL)
    live.write(mode="paper", execution=SIMULATED)
    live.content["data"]["types"] = ["quotes"]
    live.use("alerted.py:Alerted", instrument_id=INSTRUMENT)
    process = live.start()
    live.wait(lambda: any(topic in topics for topics in live.protocol._public.values()), process)
    for number in range(1, 4):
        # Each row has its own price, and comes after the fill of the row before.
        live.venue.do(live.exchange.move, SYMBOL, f"{46_000 + 100 * number}.0")
        publish_row(live)
        live.wait_for("order_filled", process, number)
    code, text = ended(process, signal.SIGTERM)
    compared = live.command("parity", "one", "--json")
    found = json.loads(compared.stdout)

    assert code == 143, text
    assert compared.returncode == 0, compared.stderr
    assert found["exact"] == found["session_fills"] == found["backtest_fills"] == 3
    assert [item["price"] for item in live.events("order_filled")] == [
        "46100.10",
        "46199.90",
        "46300.10",
    ]


def test_data_of_binance_is_recorded_by_the_engines_adapter(live: LiveSession) -> None:
    exchange = Exchange({"BTCUSDT": "46000.0"})
    with StandInVenue(BinanceProtocol(exchange)) as venue:
        live.write(
            data={
                "source": "adapter",
                "adapter": "binance",
                "environment": "testnet",
                "instruments": ["BTCUSDT-PERP.BINANCE"],
                "config": {
                    "product_type": "usd_m",
                    "base_url_http": venue.address,
                    "base_url_ws": f"{venue.socket_address}/ws",
                },
            },
            mode="paper",
            execution=SIMULATED,
        )
        recording = start_recording(live)
        wait_for_rows(live, recording, 5)
        recording.send_signal(signal.SIGTERM)
        _, errors = recording.communicate(timeout=PATIENCE_SECONDS)
    [quotes] = (live.folder / "recorded" / "data" / "quotes").glob("*")

    assert recording.returncode == 143, errors
    assert quotes.name == "BTCUSDT-PERP.BINANCE"
    assert rows_in_files(live.folder / "recorded", "quotes") >= 5
    assert {file.type for file in load_manifest(live.folder / "recorded").files} == {
        "quotes",
        "trades",
    }


def test_rows_that_wait_for_a_slow_or_full_disk_are_written_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    recorder = Recorder(tmp_path)
    for instant in (1, 2, 3):
        recorder.add("quotes", INSTRUMENT, quote(INSTRUMENT, instant, instant))
        recorder.take()
    with monkeypatch.context() as failing:
        failing.setattr(Path, "replace", full)
        with pytest.raises(StorageError, match="No space left"):
            recorder.write()
    assert recorder.rows == rows_in_files(tmp_path, "quotes") == 0
    recorder.flush(whole=True)

    assert recorder.rows == rows_in_files(tmp_path, "quotes") == 3
