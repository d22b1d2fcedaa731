"""Progress of a run: a line that updates in place on a terminal, else one every few seconds.

Rich, an extra, draws the line in colour where it is installed; ``NO_COLOR`` leaves colours out.
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.console import Console

_TERMINAL_SECONDS = 0.2
_LOG_SECONDS = 5.0
_BAR_WIDTH = 24


class Progress:
    """Counts tasks as they end, and shows rate and time left on standard error."""

    def __init__(self, planned: int, cached: int, stream: TextIO | None = None) -> None:
        self._stream = sys.stderr if stream is None else stream
        self._terminal = self._stream.isatty()
        self._console = _console(self._stream) if self._terminal else None
        self._total = planned - cached
        self._done = self._failed = 0
        self._started = self._shown = time.monotonic()
        if cached:
            self._print(f"{cached} of {planned} tasks are stored already")

    def task_ended(self, *, ok: bool) -> None:
        """Count a task, and show progress when it is due."""
        self._done += 1
        self._failed += not ok
        now = time.monotonic()
        every = _TERMINAL_SECONDS if self._terminal else _LOG_SECONDS
        if now - self._shown >= every or self._done == self._total:
            self._shown = now
            self._show(now)

    def _show(self, now: float) -> None:
        elapsed = max(now - self._started, 1e-9)
        rate = self._done / elapsed
        left = (self._total - self._done) / rate
        failed = f", {self._failed} failed" if self._failed else ""
        text = f"{self._done}/{self._total} tasks{failed}, {rate:.1f} tasks/s, {_short(left)} left"
        if self._console is not None:
            self._draw(self._console, text)
        elif self._terminal:
            filled = _BAR_WIDTH * self._done // max(self._total, 1)
            bar = "#" * filled + "." * (_BAR_WIDTH - filled)
            end = "\n" if self._done == self._total else ""
            self._stream.write(f"\r\x1b[K[{bar}] {text}{end}")
            self._stream.flush()
        else:
            self._print(text)

    def _draw(self, console: Console, text: str) -> None:
        from rich.progress_bar import ProgressBar
        from rich.text import Text

        line = Text(f" {text}", style="red" if self._failed else "")
        # One that wraps could not be written over.
        line.truncate(max(console.width - _BAR_WIDTH, 1), overflow="ellipsis")
        self._stream.write("\r\x1b[K")
        console.print(ProgressBar(max(self._total, 1), self._done, _BAR_WIDTH), end="")
        console.print(line, end="\n" if self._done == self._total else "")
        self._stream.flush()

    def _print(self, text: str) -> None:
        self._stream.write(text + "\n")
        self._stream.flush()


def _console(stream: TextIO) -> Console | None:
    try:
        from rich.console import Console
    except ImportError:
        return None
    return Console(file=stream)


def _short(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
