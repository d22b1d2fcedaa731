"""What making a dataset costs, against a bare Polars scan of the same file to Parquet."""

from __future__ import annotations

import resource
from typing import TYPE_CHECKING

from benchmarks.bench import Bench, Mark, Row, program, trading_runtime
from benchmarks.measuring import Finished, of_pairs, of_values, turn_by_turn

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_MEGABYTE = 1e6


def preparing(bench: Bench) -> list[Row]:
    """``data import`` of trades in Binance's layout, against Polars alone."""
    count = bench.size(10_000_000, 100_000)
    folder = bench.folder()
    folder.mkdir(parents=True)
    raw = folder / "trades.csv"
    program(raw, str(count), module="benchmarks.programs.aggregate_trades")
    peaks: list[float] = []

    def ours() -> float:
        made = folder / f"dataset-{len(peaks)}"
        seconds, finished = _processor_seconds(lambda: _import(raw, made))
        peaks.append(max(finished.peaks.values()) / _MEGABYTE)
        return seconds

    def anchor() -> float:
        seconds, _ = _processor_seconds(
            lambda: program(raw, folder / "bare.parquet", module="benchmarks.programs.bare_scan")
        )
        return seconds

    pairs = turn_by_turn(ours, anchor, bench.repeats)
    rates = of_values([count / mine / 1e6 for mine, _ in pairs])
    return [
        Row("importing 10 M trades: processor time", Mark(1.5, "ratio"), of_pairs(pairs)),
        Row("importing 10 M trades: M a processor second", Mark(1, "times", at_least=True), rates),
        Row("importing 10 M trades: memory of a process", Mark(300, "MB"), of_values(peaks)),
    ]


def _import(raw: Path, folder: Path) -> Finished:
    return trading_runtime(
        "data", "import", raw, "--format", "binance-aggtrades", "--to", folder,
        "--instrument", "BTCUSDT-PERP.BINANCE", "--tick", "0.1", "--lot", "0.001",
    )  # fmt: skip


def _processor_seconds(call: Callable[[], Finished]) -> tuple[float, Finished]:
    """Return the CPU time of the processes that ``call`` runs to their end."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    finished = call()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime, finished
