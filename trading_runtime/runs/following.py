"""Follow the journal of a run that goes on, and count what it tells."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from trading_runtime.runs.journal import parse_line
from trading_runtime.time_units import parse_instant

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from trading_runtime.results.store import Store

_BILLION = 1_000_000_000
_BEGINNINGS = {"run_initialised", "run_resumed"}
ENDINGS = {"run_completed", "run_stopped", "run_failed", "run_killed"}
"""Events after which nothing is computed, until the run is resumed."""


class JournalFollower:
    """Reads what the writers of a run have added since it was last asked, in order of time."""

    def __init__(self, store: Store, run_id: str) -> None:
        self._objects = store.objects
        self._prefix = f"runs/{run_id}/journal/"
        self._read: dict[str, int] = {}

    def entries(self) -> list[dict[str, Any]]:
        """Return the whole lines that are new."""
        found = []
        for name, size in self._objects.sizes(self._prefix).items():
            start = self._read.get(name, 0)
            if size <= start:
                continue
            content = self._objects.read(name, start)
            # What has no end of line yet is read when it has one.
            whole = content[: content.rfind(b"\n") + 1]
            self._read[name] = start + len(whole)
            found += [entry for line in whole.splitlines() if (entry := parse_line(line))]
        return sorted(found, key=lambda entry: (entry["time"], entry["writer"], entry["sequence"]))


class Tally:
    """What the events of a run come to since it was last begun."""

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self.tasks = self.pending = self.done = self.failed = 0
        """Planned; to compute; computed, well or not; of these, not well."""
        self.retried = 0
        """Tasks and batches that were given out again."""
        self.rows = 0
        self.kinds: Counter[str] = Counter()
        """Failed tasks by kind."""
        self.ending: str | None = None
        """The event that ended the run, if one has."""
        self.first: int | None = None
        self.latest: int | None = None
        """When the first and the latest of these events were, nanoseconds since the epoch."""
        self.latest_event = ""

    def add(self, entries: Iterable[Mapping[str, Any]]) -> None:
        """Count further events, which are in order of time."""
        for entry in entries:
            if entry["event"] in _BEGINNINGS:
                self._begin()
            self.latest = parse_instant(entry["time"])
            self.latest_event = entry["event"]
            self._count(entry["event"], entry["payload"])

    def _count(self, event: str, payload: Mapping[str, Any]) -> None:
        if event == "run_started":
            self.tasks, self.pending = payload["tasks"], payload["pending"]
            self.first = self.latest
        elif event == "task_completed":
            self.done += 1
            self.rows += payload["rows"]
        elif event == "task_failed":
            self.done += 1
            self.failed += 1
            self.kinds[payload["kind"]] += 1
        elif event in {"task_retried", "batch_retried"}:
            self.retried += 1
        elif event in ENDINGS:
            self.ending = event

    @property
    def rate(self) -> float | None:
        """Tasks a second from the beginning to the latest event; ``None`` before there is one."""
        if not self.done or self.first is None or self.latest is None:
            return None
        return self.done * _BILLION / max(self.latest - self.first, 1)

    @property
    def seconds_left(self) -> float | None:
        """For how long the run will go on at this rate."""
        rate = self.rate
        return None if rate is None else max(self.pending - self.done, 0) / rate
