"""Follow the journal of a run, and report what happened."""

from __future__ import annotations

from collections import Counter
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from trading_runtime.records.journal import lines_in_order, parse_line
from trading_runtime.units import parse_instant

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from trading_runtime.records.journal import JournalEntry
    from trading_runtime.records.metadata import StatusChange
    from trading_runtime.results.store import Store


_BILLION = 1_000_000_000
_BEGINNINGS = {"run_initialised", "run_resumed"}
ENDINGS = {"run_completed", "run_stopped", "run_failed", "run_killed"}
"""Events after which nothing is computed until the run is resumed."""


class JournalFollower:
    """Reads what the run's writers have added since the last call, in order of time."""

    def __init__(self, store: Store, run_id: str) -> None:
        self._objects = store.objects
        self._prefix = f"runs/{run_id}/journal/"
        self._read: dict[str, int] = {}

    def entries(self) -> list[JournalEntry]:
        """Return the new complete lines."""
        found = []
        for name, size in self._objects.sizes(self._prefix).items():
            start = self._read.get(name, 0)
            if size <= start:
                continue
            content = self._objects.read(name, start)
            # A line without its line break is read once it is complete.
            whole = content[: content.rfind(b"\n") + 1]
            self._read[name] = start + len(whole)
            found += [entry for line in whole.splitlines() if (entry := parse_line(line))]
        return sorted(found, key=attrgetter("time", "writer", "sequence"))


class Tally:
    """Counts of the events of a run since it last began."""

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self.tasks = self.pending = self.done = self.failed = 0
        """Tasks planned; to compute; computed, failed or not; of these, failed."""
        self.retried = 0
        """Tasks and batches that were retried."""
        self.rows = 0
        self.kinds: Counter[str] = Counter()
        """Failed tasks by kind."""
        self.ending: str | None = None
        """The event that ended the run, if any."""
        self.first: int | None = None
        self.latest: int | None = None
        """Times of the first and the latest of these events, in nanoseconds since the epoch."""
        self.latest_event = ""

    def add(self, entries: Iterable[JournalEntry]) -> None:
        """Count further events, which are in order of time."""
        for entry in entries:
            if entry.event in _BEGINNINGS:
                self._begin()
            self.latest = parse_instant(entry.time)
            self.latest_event = entry.event
            self._count(entry.event, entry.payload)

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
        """Tasks per second from the beginning to the latest event; ``None`` before the first."""
        if not self.done or self.first is None or self.latest is None:
            return None
        return self.done * _BILLION / max(self.latest - self.first, 1)

    @property
    def seconds_left(self) -> float | None:
        """How much longer the run will take at this rate."""
        rate = self.rate
        return None if rate is None else max(self.pending - self.done, 0) / rate


_MOST_FAILURES = 10
_DIGITS = 12
_COUNTED = {"task_started", "task_completed", "batch_started", "batch_completed", "order_refused"}
"""Too many to be listed one by one."""


def timeline(journals: Path, history: Sequence[StatusChange]) -> list[tuple[str, str]]:
    """Return times (UTC, to the second) and what happened, in order of time.

    ``journals`` is the folder of a run's chains. Tasks are counted; failed ones are named, up to
    ten after each beginning. The last line is the last status of the ``history`` in the
    metadata.
    """
    lines = list(_lines(entry for *_, entry in lines_in_order(journals)))
    if history:
        lines.append((_second(history[-1].time), f"status {history[-1].status}"))
    return lines


def _lines(entries: Iterable[JournalEntry]) -> Iterator[tuple[str, str]]:
    counts: Counter[str] = Counter()
    latest = ""
    for entry in entries:
        event = entry.event
        if event in {"run_initialised", "run_resumed"}:
            yield from _totals(latest, counts)
            counts.clear()
        counts[event] += 1
        latest = entry.time
        if event in _COUNTED or (event == "task_failed" and counts[event] > _MOST_FAILURES):
            continue
        yield _second(entry.time), _line(event, entry.payload)
    yield from _totals(latest, counts)


def _totals(latest: str, counts: Mapping[str, int]) -> Iterator[tuple[str, str]]:
    parts = [
        f"{counts[event]:,} {words}"
        for event, words in (
            ("task_completed", "tasks completed"),
            ("task_failed", "tasks failed"),
            ("order_refused", "refusals of orders"),
        )
        if counts.get(event)
    ]
    if parts:
        yield _second(latest), ", ".join(parts)


def _line(event: str, payload: Mapping[str, Any]) -> str:
    name = event.replace("_", " ")
    shown = [
        f"{key.replace('_', ' ')} {_short(key, value)}"
        for key, value in payload.items()
        if isinstance(value, (str, int, float)) and key not in {"run_id", "message"}
    ]
    message = payload.get("message") or ""
    detail = ", ".join(shown)
    return ": ".join(part for part in (name, detail, message) if part)


def _short(key: str, value: object) -> str:
    text = str(value)
    return text[:_DIGITS] if key in {"task_id", "plan_digest", "run_digest"} else text


def _second(time: str) -> str:
    return f"{time[:10]} {time[11:19]}"
