"""Measure processes and pairs: wall time, peak memory, ratios of programs run alternately."""

from __future__ import annotations

import contextlib
import os
import statistics
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

_POLL_SECONDS = 0.02
WARM_UP = 2
"""How many pairs of tasks are not counted: the second task of a partition decodes its rows."""
_USERS_ENVIRONMENT = {
    # A program that runs a second time has its bytecode; when this is set, each start compiles
    # again.
    name: value
    for name, value in os.environ.items()
    if name != "PYTHONDONTWRITEBYTECODE"
}
_SHOWN_OUTPUT = 2_000


class FailedProgramError(Exception):
    """A measured program failed; the message has the end of its output."""


@dataclass(frozen=True)
class Measured:
    """The result of one figure."""

    ours: float
    anchor: float | None
    """Median of the anchor, ``None`` when the target is absolute."""
    value: float
    """What is compared with the target: the median of pairwise ratios, or ``ours`` itself."""
    low: float
    """The lowest of the values that ``value`` is the median of."""
    high: float
    """The highest of them."""
    repeats: int


@dataclass(frozen=True)
class Finished:
    """A process that succeeded."""

    seconds: float
    peaks: dict[str, int]
    """Peak resident memory in bytes by command line, of the process and its descendants."""
    output: str

    def peak(self, word: str) -> int:
        """Return the highest peak of the processes with ``word`` in their command line."""
        return max(peak for command, peak in self.peaks.items() if word in command)


def of_pairs(pairs: Sequence[tuple[float, float]], *, faster: bool = False) -> Measured:
    """Return the median of the pairwise ratios ours / anchor; of anchor / ours when ``faster``.

    The two programs of a pair ran right after each other, so that a temporary slowdown of the
    machine affects both.
    """
    ratios = [anchor / ours if faster else ours / anchor for ours, anchor in pairs]
    return Measured(
        ours=statistics.median(ours for ours, _ in pairs),
        anchor=statistics.median(anchor for _, anchor in pairs),
        value=statistics.median(ratios),
        low=min(ratios),
        high=max(ratios),
        repeats=len(pairs),
    )


def of_values(values: Sequence[float]) -> Measured:
    """Return the median of absolute values."""
    middle = statistics.median(values)
    return Measured(middle, None, middle, min(values), max(values), len(values))


def turn_by_turn[T](
    ours: Callable[[], T], anchor: Callable[[], T], repeats: int
) -> list[tuple[T, T]]:
    """Return the results of A B A B ..., as pairs."""
    return [(ours(), anchor()) for _ in range(repeats)]


def run(command: Sequence[str | Path], *, environment: Mapping[str, str] | None = None) -> Finished:
    """Run a program to its end and measure it; its memory is sampled 50 times a second.

    Raises ``FailedProgramError`` when its exit code is not 0.
    """
    peaks: dict[str, int] = {}
    ended = threading.Event()
    started = time.perf_counter()
    process = subprocess.Popen(
        [str(part) for part in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=_USERS_ENVIRONMENT | dict(environment or {}),
    )
    watcher = threading.Thread(target=_watch, args=(process.pid, peaks, ended))
    watcher.start()
    output, errors = process.communicate()
    seconds = time.perf_counter() - started
    ended.set()
    watcher.join()
    if process.returncode:
        raise FailedProgramError(
            f"{' '.join(map(str, command))}: exit code {process.returncode}\n"
            f"{(errors or output)[-_SHOWN_OUTPUT:]}"
        )
    return Finished(seconds, peaks, output)


def _watch(root: int, peaks: dict[str, int], ended: threading.Event) -> None:
    while not ended.wait(_POLL_SECONDS):
        for process in _family(root):
            # A process may end between two samples.
            with contextlib.suppress(OSError, StopIteration, IndexError):
                command = Path(f"/proc/{process}/cmdline").read_bytes().replace(b"\0", b" ")
                lines = Path(f"/proc/{process}/status").read_text().splitlines()
                peak = next(line for line in lines if line.startswith("VmHWM:"))
                name = f"{process} {command.decode(errors='replace')}"
                peaks[name] = int(peak.split()[1]) * 1024


def _family(root: int) -> Iterator[int]:
    waiting = [root]
    while waiting:
        process = waiting.pop()
        yield process
        with contextlib.suppress(OSError):
            for task in Path(f"/proc/{process}/task").iterdir():
                waiting += map(int, (task / "children").read_text().split())
