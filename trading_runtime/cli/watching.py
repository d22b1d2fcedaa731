"""Follow a run on standard error until it ends, from a folder or from S3."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from trading_runtime.cli.run_lines import short_time
from trading_runtime.errors import Kind
from trading_runtime.runs.events import Executor
from trading_runtime.runs.following import JournalFollower, Tally
from trading_runtime.runs.opening import is_running
from trading_runtime.runs.state import read_document, shown_status
from trading_runtime.runs.status import DIED, Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any, TextIO

    from trading_runtime.results.store import Store

_CODES = {
    Status.COMPLETE: Kind.OK,
    Status.INCOMPLETE: Kind.INCOMPLETE,
    Status.STOPPED: Kind.STOPPED,
    Status.KILLED: Kind.KILLED,
    DIED: Kind.INCOMPLETE,
}
_DIGITS = 12


def watch(store: Store, run_id: str, every: float) -> int:
    """Show what happens until the run ends; return the exit code of how it did."""
    shown = _Shown(sys.stderr)
    follower, tally = JournalFollower(store, run_id), Tally()
    failed_kind = Kind.INTERNAL
    while True:
        # Asked before the journal is read: what a run wrote before it ended is not missed.
        metadata = read_document(store, run_id, "metadata.json")
        status = shown_status(store, run_id, metadata)
        is_finishing = status != DIED and is_running(store, run_id)
        entries = follower.entries()
        tally.add(entries)
        shown.events(entries)
        for entry in entries:
            if entry["event"] == "run_failed":
                failed_kind = Kind(entry["payload"]["kind"])
        if status != Status.RUNNING and not is_finishing:
            shown.last(f"{run_id}: {status}; {_progress(tally)}")
            return _CODES.get(status, failed_kind).exit_code
        shown.progress(f"{run_id}: {_progress(tally)}{_silence(tally, metadata)}")
        time.sleep(every)


def _progress(tally: Tally) -> str:
    parts = [f"{tally.done}/{tally.pending} tasks"]
    if tally.failed:
        parts.append(f"{tally.failed} failed")
    if tally.retried:
        parts.append(f"{tally.retried} retried")
    if tally.rate is not None:
        parts.append(f"{tally.rate:.1f} tasks/s")
    if tally.seconds_left:
        parts.append(f"{short_time(tally.seconds_left)} left")
    return ", ".join(parts)


def _silence(tally: Tally, metadata: Mapping[str, Any]) -> str:
    """Say since when nothing was heard of pods: nobody here knows whether they are alive."""
    if metadata.get("executor") != Executor.ARGO or tally.latest is None:
        return ""
    return f", last event {short_time((time.time_ns() - tally.latest) / 1e9)} ago"


class _Shown:
    """What stands on the screen: a line that renews itself on a terminal, lines elsewhere."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._terminal = stream.isatty()
        self._before = ""

    def events(self, entries: Iterable[Mapping[str, Any]]) -> None:
        """Print failures, and all that happens to the run as a whole."""
        for entry in entries:
            name, payload = entry["event"], entry["payload"]
            if name == "task_failed":
                text = f"task {payload['task_id'][:_DIGITS]} failed: {payload['kind']}: "
                self._line(entry, text + str(payload.get("message", "")))
            elif not name.startswith(("task_", "batch_")):
                self._line(entry, name.replace("_", " "))

    def progress(self, text: str) -> None:
        """Show how far the run is, when that has changed."""
        if text != self._before:
            self._before = text
            self._stream.write(f"\r\x1b[K{text}" if self._terminal else f"{text}\n")
            self._stream.flush()

    def last(self, text: str) -> None:
        """Show how the run ended."""
        self._stream.write(f"\r\x1b[K{text}\n" if self._terminal else f"{text}\n")
        self._stream.flush()

    def _line(self, entry: Mapping[str, Any], text: str) -> None:
        clear = "\r\x1b[K" if self._terminal else ""
        self._stream.write(f"{clear}{entry['time'][:19]}  {text}\n")
