"""What keeping many programs up costs the supervisor, without what the programs cost."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.bench import Bench, Mark, Row
from benchmarks.measuring import FailedProgramError, of_pairs, of_values

if TYPE_CHECKING:
    from collections.abc import Iterator

_START_SECONDS = 120.0


def supervising(bench: Bench) -> list[Row]:
    """``deployments up`` over 100 programs that sleep."""
    count = bench.size(100, 5)
    seconds = float(bench.size(30, 1))
    folder = bench.folder()
    folder.mkdir(parents=True)
    for number in range(count):
        program = {"name": f"bot-{number}", "program": {"command": ["sleep", "1000"]}}
        (folder / f"bot-{number}.json").write_text(json.dumps(program))
    pairs = []
    with _supervisor(folder, count) as process:
        for _ in range(bench.repeats):
            before, begun = _processor_seconds(process), time.perf_counter()
            time.sleep(seconds)
            pairs.append((_processor_seconds(process) - before, time.perf_counter() - begun))
        peak = _peak_megabytes(process)
    return [
        Row("supervisor of 100 deployments: share of a core", Mark(0.05, "ratio"), of_pairs(pairs)),
        Row("supervisor of 100 deployments: memory", Mark(150, "MB"), of_values([peak])),
    ]


@contextlib.contextmanager
def _supervisor(folder: Path, count: int) -> Iterator[int]:
    """Run a supervisor over a folder once all of it runs; yields its process id."""
    log = folder / "supervisor.log"
    command = [sys.executable, "-m", "trading_runtime.cli.main", "deployments", "up", str(folder)]
    with log.open("w") as stream:
        process = subprocess.Popen(command, stdout=stream, stderr=stream)
    try:
        end = time.monotonic() + _START_SECONDS
        while log.read_text().count(": running:") < count:
            if process.poll() is not None or time.monotonic() > end:
                raise FailedProgramError(f"the supervisor did not start:\n{log.read_text()}")
            time.sleep(0.1)
        yield process.pid
    finally:
        process.terminate()
        process.wait()


def _processor_seconds(process: int) -> float:
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _peak_megabytes(process: int) -> float:
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024 / 1e6
