"""One run as the collector sees it: read again only where its files have changed."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections import Counter
from dataclasses import dataclass, field
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple

from trading_runtime.metrics.definitions import FAILURES, OTHER, STATUSES
from trading_runtime.records.inputs import RISK_RULES
from trading_runtime.records.journal import FIRST_HASH, parse_line
from trading_runtime.records.metadata import ChainEnd, parse_metadata
from trading_runtime.records.result import parse_result
from trading_runtime.records.status import DIED, UNKNOWN, Status, status_of
from trading_runtime.runs.opening import is_running
from trading_runtime.storage.object_store import MissingError, UnreadableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from trading_runtime.records.journal import JournalEntry
    from trading_runtime.records.metadata import RunMetadata
    from trading_runtime.records.result import RunResult
    from trading_runtime.results.store import Store
    from trading_runtime.storage.object_store import Listing, Stamp


_FOLDERS = ("runs", "kill-switch/on", "operations", "drills", "deployments")
_MOST_BYTES = 64 << 20
"""Bytes of a journal that are read at once; the rest follows at the next collection."""


def parse_document(content: bytes) -> dict[str, Any]:
    """Return a JSON object, empty when the bytes are not one."""
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def part_of(document: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return an object inside a document, empty when there is none."""
    found = document.get(name)
    return found if isinstance(found, dict) else {}


def count_of(document: Mapping[str, Any], name: str) -> int | None:
    """Return a whole number in a document, ``None`` when there is none."""
    found = document.get(name)
    return found if isinstance(found, int) else None


def seconds_of(text: object) -> float | None:
    """Return an ISO 8601 time as seconds since the epoch, ``None`` when it is not one."""
    try:
        return dt.datetime.fromisoformat(str(text)).timestamp()
    except (ValueError, OverflowError):
        return None


class StoreView:
    """A store as one collection sees it, and what cannot be read of it."""

    def __init__(self, store: Store) -> None:
        self.unread: dict[str, str] = {}
        """Why files cannot be read, by name."""
        self._store = store
        self._listing: Listing

    def refresh(self) -> None:
        """Begin a collection; raises ``StorageError`` when the store is gone."""
        self._listing = self._store.objects.listing(*_FOLDERS)
        self.unread = {
            name: why for name, why in self.unread.items() if self.stamp(name) is not None
        }

    def run_ids(self) -> list[str]:
        """Return the ids of all runs, sorted."""
        return self._listing.folders("runs")

    def stamp(self, name: str) -> Stamp | None:
        """Return a value that changes when a file does, ``None`` when there is none."""
        return self._listing.stamp(name)

    def names(self, folder: str) -> list[str]:
        """Return the names of the files in a folder, sorted."""
        return self._listing.names(folder)

    def read(self, name: str, start: int = 0, most: int | None = None) -> bytes:
        """Return a file from byte ``start``; empty when there is none, or it cannot be read."""
        try:
            content = self._store.objects.read(name, start, most)
        except MissingError:
            return b""
        except UnreadableError as error:
            self.unread[name] = error.why
            return b""
        self.unread.pop(name, None)
        return content

    def is_running(self, run_id: str) -> bool:
        """Return whether a process holds the run, or pods work on it."""
        signs = (self.stamp(f"runs/{run_id}/{name}") for name in ("lock", "alive"))
        return any(sign is not None for sign in signs) and is_running(self._store, run_id)


class TimedEntry(NamedTuple):
    """A line of a journal with its time, in seconds since the epoch."""

    at: float
    entry: JournalEntry


class Chain:
    """The lines of one writer, read from where the last read ended."""

    def __init__(self, writer: str) -> None:
        self.is_intact = True
        self.lines = 0
        self.last_hash = FIRST_HASH
        """The sha256 of the last line."""
        self.has_more = False
        """Whether more follows at the next call, without any change to the files."""
        self._writer = writer
        self._latest = ""
        self._part = ""
        self._offset = 0

    def read_on(self, folder: StoreView, parts: Iterable[str]) -> list[TimedEntry]:
        """Return the complete lines since the last call; ``parts`` are in order."""
        found = []
        for part in parts:
            if part < self._part:
                continue
            if part > self._part:
                self._part, self._offset = part, 0
            content = folder.read(part, self._offset, _MOST_BYTES)
            self.has_more = len(content) == _MOST_BYTES
            # A line without a line break is still being written, or its writer died.
            *lines, rest = content.split(b"\n")
            self._offset += len(content) - len(rest)
            found += [entry for line in lines if (entry := self._check(line))]
            if self.has_more:
                break
        return found

    def _check(self, line: bytes) -> TimedEntry | None:
        """Return the content of a line, and check that it follows as ``runs check`` requires."""
        entry = parse_line(line)
        at = None if entry is None else seconds_of(entry.time)
        if entry is None or at is None:
            self.is_intact = False
        else:
            self.is_intact &= (
                entry.previous == self.last_hash
                and entry.sequence == self.lines
                and entry.writer == self._writer
                and entry.time > self._latest
            )
            self._latest = entry.time
        self.last_hash = hashlib.sha256(line).hexdigest()
        self.lines += 1
        return None if entry is None or at is None else TimedEntry(at, entry)


@dataclass
class SessionFacts:
    """What a session's journal says of its trading; empty for other runs."""

    last_beat: float | None = None
    """When it was alive last; none unless the run is a session."""
    stale: set[str] = field(default_factory=set)
    is_reducing: bool = False
    counts: Counter[str] = field(default_factory=Counter)
    """Events by name."""
    state: dict[str, float] = field(default_factory=dict)
    """``positions``, ``resting`` and ``equity`` of the last heartbeat."""

    def add(self, event: str, payload: Mapping[str, Any], at: float) -> None:
        """Add a line; raises for one that this program did not write."""
        if event in _COUNTED:
            self.counts[event] += 1
        match event:
            case "session_started":
                # A restart under the same id begins without what was known of data.
                self.stale.clear()
                self.last_beat = at
            case "session_connected":
                self.last_beat = at
            case "session_heartbeat":
                self.last_beat = at
                for name in ("positions", "resting", "equity"):
                    if name in payload:
                        self.state[name] = float(payload[name])
            case "session_reduced":
                self.is_reducing = bool(payload["on"])
            case "data_stale":
                self.stale.add(payload["instrument"])
            case "data_recovered":
                self.stale.discard(payload["instrument"])


_COUNTED = frozenset({"order_submitted", "order_filled", "order_denied", "request_queued"})


@dataclass
class JournalFacts:
    """The totals over a journal's events, over all attempts unless stated otherwise."""

    planned: int | None = None
    cached: int = 0
    """Tasks already stored when the present attempt began."""
    ended: set[str] = field(default_factory=set)
    """Tasks that ended in the present attempt; one may do so in two pods."""
    completed: int = 0
    failed: Counter[str] = field(default_factory=Counter)
    retries: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    rows: int = 0
    rows_of_attempt: int = 0
    fetched_bytes: int = 0
    started: float | None = None
    """When the present attempt began, seconds since the epoch, as all times here."""
    last_event: float | None = None
    last_progress: float | None = None
    """When the last task ended, or the present attempt began."""
    running: set[str] = field(default_factory=set)
    memory: dict[tuple[str, Any], int] = field(default_factory=dict)
    """Memory of each worker when its last task ended, by writer and number."""
    memory_limits: dict[str, int] = field(default_factory=dict)
    session: SessionFacts = field(default_factory=SessionFacts)

    def add(self, entries: Iterable[TimedEntry]) -> None:
        """Add lines of any writers, in order of time."""
        for at, entry in entries:
            self.last_event = max(at, self.last_event or at)
            try:
                self._add(entry.event, entry.payload, entry.writer, at)
                self.session.add(entry.event, entry.payload, at)
            except (KeyError, TypeError, ValueError):
                continue  # not written by this program: nothing to learn from it

    def _add(self, event: str, payload: Mapping[str, Any], writer: str, at: float) -> None:
        if "memory_limit_bytes" in payload:
            self.memory_limits[writer] = int(payload["memory_limit_bytes"])
        match event:
            case "run_started":
                self.planned = int(payload["tasks"])
                self.cached = self.planned - int(payload["pending"])
                self.rows_of_attempt = 0
                self.started = self.last_progress = at
                self.ended.clear()
                self.running.clear()
                self.memory.clear()
            case "task_started":
                self.running.add(payload["task_id"])
            case "task_completed" | "task_failed":
                self._end_task(event, payload, writer, at)
            case "batch_retried" | "task_retried":
                self.retries[event.removesuffix("_retried")] += 1
            case "order_refused":
                rule = payload["rule"]
                self.refused[rule if rule in RISK_RULES else OTHER] += int(payload["count"])
            case "batch_completed" | "batch_failed" if "worker" not in payload:
                # Of a pod, which ends with its batch and releases its memory.
                self.memory = {key: used for key, used in self.memory.items() if key[0] != writer}
            case "run_completed" | "run_stopped" | "run_failed" | "run_killed":
                self.running.clear()

    def _end_task(self, event: str, payload: Mapping[str, Any], writer: str, at: float) -> None:
        self.running.discard(payload["task_id"])
        self.ended.add(payload["task_id"])
        self.last_progress = at
        self.seconds += float(payload["seconds"])
        if event == "task_completed":
            self.completed += 1
            rows = int(payload["rows"])
            self.rows += rows
            self.rows_of_attempt += rows
        else:
            kind = payload["kind"]
            self.failed[kind if kind in FAILURES else OTHER] += 1
        self.fetched_bytes += int(payload.get("fetched_bytes", 0))
        if "memory_bytes" in payload:
            self.memory[writer, payload.get("worker")] = int(payload["memory_bytes"])

    @property
    def waiting(self) -> int:
        """Tasks that no worker has begun in the present attempt."""
        return max((self.planned or 0) - self.cached - len(self.ended) - len(self.running), 0)

    def nearest_memory_limit(self) -> tuple[int, int | None] | None:
        """Return use and limit, in bytes, of the writer whose workers use most of their limit."""
        used: Counter[str] = Counter()
        for (writer, _), memory in self.memory.items():
            used[writer] += memory
        if not used:
            return None
        limits = self.memory_limits
        writer = max(used, key=lambda name: (used[name] / limits.get(name, 1 << 62), used[name]))
        return used[writer], limits.get(writer)


class RunReader:
    """What is known about one run."""

    def __init__(self, folder: StoreView, run_id: str) -> None:
        self.run_id = run_id
        self.state = UNKNOWN
        self.metadata: RunMetadata | None = None
        """``None`` when they cannot be read."""
        self.journal = JournalFacts()
        self.is_read = False
        """Whether the journal was read, which not every refresh does."""
        self._folder = folder
        self._prefix = f"runs/{run_id}"
        self._documents: dict[str, tuple[Stamp, Any]] = {}
        self._chains: dict[str, Chain] = {}
        self._journal_stamps: list[Stamp | None] = []
        self._had_ended = False

    def refresh(self, metadata: RunMetadata | None = None) -> None:
        """Read the run's status again, from its metadata as stored or given."""
        self.metadata = metadata or self._read("metadata.json", parse_metadata)
        found = status_of(self.metadata, lambda: self._folder.is_running(self.run_id))
        self.state = found if found in STATUSES else UNKNOWN

    @property
    def started(self) -> float | None:
        """When the run began, seconds since the epoch."""
        return None if self.metadata is None else seconds_of(self.metadata.started)

    @property
    def ended(self) -> float | None:
        """When the run ended."""
        return None if self.metadata is None else seconds_of(self.metadata.ended)

    @property
    def result(self) -> RunResult | None:
        """The run's result, ``None`` when there is none that can be read."""
        return self._read("result.json", parse_result)

    def document(self, name: str) -> dict[str, Any]:
        """Return a JSON file of the run, empty when there is none that can be read."""
        return self._read(name, parse_document) or {}

    def _read[T](self, name: str, parse: Callable[[bytes], T]) -> T | None:
        """Return a file of the run as parsed; ``None`` when there is none."""
        path = f"{self._prefix}/{name}"
        stamp = self._folder.stamp(path)
        if stamp is None:
            return None
        known = self._documents.get(name)
        if known is None or known[0] != stamp:
            known = self._documents[name] = stamp, parse(self._folder.read(path))
        parsed: T = known[1]
        return parsed

    def read_journal(self) -> None:
        """Read what was added to the journal; all of it when an ended journal was changed."""
        names = [name for name in self._folder.names(f"{self._prefix}/journal")
                 if name.endswith(".jsonl")]  # fmt: skip
        stamps = [self._folder.stamp(name) for name in names]
        has_more = any(chain.has_more for chain in self._chains.values())
        if stamps == self._journal_stamps and self.is_read and not has_more:
            return
        if stamps != self._journal_stamps and self._had_ended:
            self._chains, self.journal = {}, JournalFacts()
        entries = []
        for writer, parts in _by_writer(names, f"{self._prefix}/journal/").items():
            chain = self._chains.setdefault(writer, Chain(writer))
            entries += chain.read_on(self._folder, parts)
        self.journal.add(sorted(entries, key=attrgetter("at")))
        self._journal_stamps = stamps
        self._had_ended = self.state != Status.RUNNING
        self.is_read = True

    @property
    def journal_lines(self) -> int:
        """The number of lines in all chains."""
        return sum(chain.lines for chain in self._chains.values())

    @property
    def journal_is_intact(self) -> bool:
        """Whether each line follows from the one before, up to the ends that the metadata name."""
        if not all(chain.is_intact for chain in self._chains.values()):
            return False
        if self.state in {Status.RUNNING, DIED} or self.metadata is None:
            return True
        ends = self.metadata.journal
        found = {
            name: ChainEnd(lines=chain.lines, last=chain.last_hash)
            for name, chain in self._chains.items()
        }
        # The process that still holds the run has ended it, but not yet recorded its journal's end.
        return found == ends or self._folder.is_running(self.run_id)


def _by_writer(names: list[str], prefix: str) -> dict[str, list[str]]:
    """Group files by chain: ``<writer>.jsonl`` is one, ``<writer>/….jsonl`` the parts of one."""
    chains: dict[str, list[str]] = {}
    for name in names:
        writer = name.removeprefix(prefix).removesuffix(".jsonl").split("/")[0]
        chains.setdefault(writer, []).append(name)
    return chains
