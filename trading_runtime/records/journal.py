"""The journal of a run: one chain of events per writer, merged and checked.

A writer's chain is the files ``journal/<writer>/000001.jsonl`` and up: parts of one sequence of
lines. On a disk there is one part, which grows as events happen. An object store cannot append;
there a part ends when it is published.

Lines are chained by their hashes, and the metadata record the chain ends. A change to chain, merged
journal and metadata together goes unnoticed here; a copy kept elsewhere (``evidence bundle``)
reveals it.
"""

from __future__ import annotations

import hashlib
import heapq
import io
import json
import os
import re
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from trading_runtime.errors import DataError
from trading_runtime.records.events import as_dataclass
from trading_runtime.records.forms import read_as
from trading_runtime.records.metadata import ChainEnd
from trading_runtime.redaction import json_texts, redacted
from trading_runtime.storage.files import read_bytes, storage_errors, write_file
from trading_runtime.text import for_records
from trading_runtime.units import instant_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from trading_runtime.records.events import Event, Line
    from trading_runtime.records.run_files import RunFiles


FIRST_HASH = hashlib.sha256(b"").hexdigest()
"""The previous hash stored in the first line of a chain."""
_PART_DIGITS = 6
_OURS = frozenset({"kind", "outcome", "plan_digest", "run_digest", "task_id"})
"""Event fields whose strings are digests and kinds, which contain no secret."""
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
WRITER = r"[a-z0-9]([a-z0-9.-]{0,198}[a-z0-9])?"
"""Names that a chain may have; a pod's may be long."""


class JournalEntry(NamedTuple):
    """A line of a journal that was read."""

    sequence: int
    time: str
    writer: str
    event: str
    """The name of the event's type."""
    payload: Mapping[str, Any]
    """Its fields, as they are in the line; a later version may have written others."""
    previous: str

    def as_event[E: Event](self, event: type[E]) -> E | None:
        """Return the event of the line, ``None`` when it is of another type.

        Raises ``DataError`` when the payload is not that of such an event.
        """
        if self.event != event.event:
            return None
        try:
            return read_as(as_dataclass(event), self.payload)
        except ValueError as error:
            raise DataError(
                f"journal/{self.writer}, line {self.sequence + 1}: {self.event}: {error}; see "
                "'runs check'"
            ) from error


class Journal:
    """Appends events to a chain, each line containing the hash of the line before it.

    ``folder`` contains all chains, ``RunFiles.journals`` for a run; ``writer`` is a name that no
    chain there has yet (see ``new_writer``).
    """

    def __init__(self, folder: Path, writer: str) -> None:
        if not re.fullmatch(WRITER, writer):
            raise ValueError(f"{writer[:80]!r} is no name for a writer of a journal")
        self.writer = writer
        self.folder = folder / writer
        self._sequence = self._part = self._length = self._latest = 0
        self._previous = FIRST_HASH
        self._unhashed: bytes | None = None
        """The last line, when ``_previous`` is not its hash yet."""
        self._held: list[tuple[int, Event | Line | Callable[[], Event | Line]]] = []
        self._closed = False
        with storage_errors(self.folder):
            self.folder.mkdir(parents=True)
        self._open_part()

    def __enter__(self) -> Self:
        """Return the open journal."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file; its content is still available through ``end_part``."""
        try:
            self.flush()
        finally:
            self._closed = True
            os.close(self._file)

    @property
    def lines(self) -> int:
        """Number of lines in the files."""
        return self._sequence

    def write(self, event: Event | Line | Callable[[], Event | Line]) -> None:
        """Append an event; it is in the file when this returns.

        Raises ``StorageError`` when it cannot be written; the chain then ends with the line before.
        """
        if self._held or callable(event):
            self.hold(event)
            self.flush()
            return
        # An order may be waiting: the same as holding and flushing, in fewer steps.
        if self._unhashed is not None:
            self._hash_last()
        self._latest = moment = max(time.time_ns(), self._latest + 1)
        fields = event.fields
        payload = fields if isinstance(fields, str) else _payload_text(fields, json_texts())
        line = self._encoded(self._sequence, moment, event.event, payload, self._previous)
        self._append(line + b"\n")
        self._unhashed = line
        self._sequence += 1

    def hold(self, event: Event | Line | Callable[[], Event | Line]) -> None:
        """Append an event with the time of now; it is in the file after the next ``flush``.

        Of a function, it is the event that this returns then.
        """
        # A clock that is set back must not reverse the order of a chain.
        self._latest = max(time.time_ns(), self._latest + 1)
        self._held.append((self._latest, event))

    def flush(self) -> None:
        """Write the events that are held, all at once; raises as ``write`` does.

        The next line needs the hash of the last one, which is computed when that line is written,
        or by a flush with nothing held: an order may be waiting for the last line.
        """
        if self._unhashed is not None:
            self._hash_last()
        if not self._held:
            return
        held, self._held = self._held, []
        texts, previous, line, lines = json_texts(), self._previous, b"", []
        for sequence, (moment, event) in enumerate(held, self._sequence):
            if line:
                previous = hashlib.sha256(line).hexdigest()
            made = event() if callable(event) else event
            fields = made.fields
            payload = fields if isinstance(fields, str) else _payload_text(fields, texts)
            line = self._encoded(sequence, moment, made.event, payload, previous)
            lines.append(line + b"\n")
        self._append(b"".join(lines))
        self._unhashed = line
        self._sequence += len(lines)

    def end_part(self) -> Path | None:
        """Let later lines go to a new file, and return the previous one; ``None`` if it is empty.

        Raises ``StorageError`` when the new file cannot be made.
        """
        self.flush()
        if not self._length:
            return None
        ended = self._path
        self._length = 0
        if not self._closed:
            os.close(self._file)
            self._open_part()
        return ended

    def _open_part(self) -> None:
        self._part += 1
        self._length = 0
        self._path = self.folder / f"{self._part:0{_PART_DIGITS}d}.jsonl"
        with storage_errors(self._path):
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
            self._file = os.open(self._path, flags, 0o644)

    def _hash_last(self) -> None:
        self._previous = hashlib.sha256(self._unhashed or b"").hexdigest()
        self._unhashed = None

    def _encoded(
        self, sequence: int, moment: int, event: str, payload: str, previous: str
    ) -> bytes:
        # As encode_line has it, of which this is the fast form.
        return (
            f'{{"sequence":{sequence},"time":"{instant_text(moment)}","writer":"{self.writer}",'
            f'"event":"{event}","payload":{payload},"previous":"{previous}"}}'
        ).encode()

    def _append(self, content: bytes) -> None:
        written = 0
        try:
            while written < len(content):
                written += os.write(self._file, content[written:])
        except OSError:
            with storage_errors(self._path):
                # A line that does not fit on the disk must leave nothing behind.
                os.ftruncate(self._file, self._length)
                raise
        self._length += len(content)


def _payload_text(fields: Mapping[str, Any], texts: Mapping[str, str]) -> str:
    """Return a payload as JSON that steers nothing, without secrets."""
    found = []
    for name, value in fields.items():
        if value is None:
            continue
        if name == "at":
            text = f'"{value}"'  # an instant, as ``format_instant`` has it
        elif isinstance(value, str) and name not in _OURS:
            text = texts[value]
        else:
            text = for_records(_encode(value if name in _OURS else redacted(value)))
        found.append(f'"{name}":{text}')
    return f"{{{','.join(found)}}}"


def new_writer(name: str) -> str:
    """Return the name of a new chain: ``name`` and the time."""
    return f"{name}-{time.time_ns()}"


def encode_line(entry: JournalEntry) -> bytes:
    """Return an entry as its line, without the line break."""
    return for_records(_encode(entry._asdict())).encode()


def chain_bytes(folder: Path) -> bytes:
    """Return everything a writer wrote, its parts in order."""
    return b"".join(read_bytes(path) for path in sorted(folder.glob("*.jsonl")))


def writers(folder: Path) -> list[str]:
    """Return the names of the chains in a folder, sorted."""
    if not folder.is_dir():
        return []
    return sorted(path.name for path in folder.iterdir() if path.is_dir())


def entries_of(journals: Path, prefix: str = "") -> list[JournalEntry]:
    """Return the whole lines of the chains in a folder whose names begin with ``prefix``."""
    return [
        entry
        for writer in writers(journals)
        if writer.startswith(prefix)
        for _, entry in whole_lines(chain_bytes(journals / writer))
    ]


def lines_in_order(journals: Path) -> Iterator[tuple[str, bytes, JournalEntry]]:
    """Yield the whole lines of all chains in a folder in order of time, as each chain is.

    Each comes with its writer and its parsed content. They are parsed one by one: a run of many
    tasks has more of them than there is memory for.
    """

    def chain(writer: str) -> Iterator[tuple[str, bytes, JournalEntry]]:
        for line, entry in _parsed_lines(chain_bytes(journals / writer)):
            yield writer, line, entry

    return heapq.merge(
        *map(chain, writers(journals)),
        key=lambda found: (found[2].time, found[0], found[2].sequence),
    )


def merge_journals(files: RunFiles) -> dict[str, ChainEnd]:
    """Write ``journal.jsonl``, the lines of all writers in order of time.

    Returns how many lines each chain has, and the sha256 of its last one: with these kept
    elsewhere, no line can be cut off unnoticed.
    """
    ended = dict.fromkeys(writers(files.journals), (0, b""))
    content = bytearray()
    for writer, line, _ in lines_in_order(files.journals):
        content += line + b"\n"
        ended[writer] = (ended[writer][0] + 1, line)
    write_file(files.journal, content, in_new_folder=False)
    return {
        writer: ChainEnd(lines=lines, last=hashlib.sha256(last).hexdigest())
        for writer, (lines, last) in ended.items()
    }


def whole_lines(content: bytes) -> list[tuple[bytes, JournalEntry]]:
    """Return the lines of a chain that are entries, each with its parsed content.

    A line left incomplete by a killed writer or a failing disk is not an entry.
    """
    return list(_parsed_lines(content))


def _parsed_lines(content: bytes) -> Iterator[tuple[bytes, JournalEntry]]:
    for ended in io.BytesIO(content):
        line = ended.removesuffix(b"\n")
        entry = parse_line(line)
        if entry is not None:
            yield line, entry


_TIME = re.compile(
    r"[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
    r"T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,9})?Z"
)
_READ: dict[str, tuple[tuple[str, type], ...]] = {
    "run_started": (("tasks", int), ("pending", int)),
    "run_failed": (("kind", str),),
    "task_completed": (("task_id", str), ("rows", int)),
    "task_failed": (("task_id", str), ("kind", str)),
    "task_retried": (("task_id", str),),
}
"""What readers of a journal use of an event, whatever else it holds."""


def parse_line(line: bytes) -> JournalEntry | None:
    """Return the content of a line, ``None`` when it is not a journal entry."""
    try:
        content = json.loads(line)
        entry = JournalEntry(*(content[name] for name in JournalEntry._fields))
        sound = (
            _TIME.fullmatch(entry.time)
            and isinstance(content["sequence"], int)
            and all(isinstance(content[name], str) for name in ("writer", "event", "previous"))
            and isinstance(content["payload"], dict)
            and all(
                isinstance(entry.payload[name], form) for name, form in _READ.get(entry.event, ())
            )
        )
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return entry if sound else None


@dataclass(frozen=True)
class JournalFinding:
    """Something that differs from what was written."""

    place: str
    """A file of the run, or a line in it."""
    message: str

    def __str__(self) -> str:
        """Return the finding as one line."""
        return f"{self.place}: {self.message}"


@dataclass
class JournalCheck:
    """The findings of a journal check."""

    writers: int = 0
    lines: int = 0
    findings: list[JournalFinding] = field(default_factory=list)
    """What is broken."""
    notes: list[JournalFinding] = field(default_factory=list)
    """Notes that are not faults."""


def check_journal(files: RunFiles, ends: Mapping[str, ChainEnd], *, ended: bool) -> JournalCheck:
    """Check every chain of a run's journal and, once the run has ended, the merged journal.

    ``ends`` are the ends of chains as recorded in the metadata. Raises ``OSError`` when a file
    cannot be read.
    """
    check = JournalCheck()
    known = writers(files.journals)
    entries: list[tuple[str, str, int, bytes]] = []
    for writer in sorted({*known, *ends}):
        name = f"journal/{writer}"
        if writer not in known:
            check.findings.append(JournalFinding(name, "the chain is gone"))
            continue
        lines = _lines(check, name, chain_bytes(files.journals / writer))
        check.writers += 1
        check.lines += len(lines)
        check.findings += _chain_findings(name, writer, lines)
        check.findings += _end_findings(name, lines, ends.get(writer), ended=ended)
        if writer not in ends and not ended:
            check.notes.append(JournalFinding(name, "its end is not sealed: the run has not ended"))
        for line in lines:
            entry = parse_line(line)
            if entry is not None:
                entries.append((entry.time, writer, entry.sequence, line))
    if ended:
        entries.sort(key=lambda item: item[:3])
        check.findings += _merged_findings(files, [line for *_, line in entries])
    return check


def _lines(check: JournalCheck, name: str, content: bytes) -> list[bytes]:
    """Return the complete lines, and note a torn one."""
    *lines, rest = content.split(b"\n")
    if rest:
        message = (
            f"the last line is torn ({len(rest)} bytes): its writer was killed; it is left out"
        )
        check.notes.append(JournalFinding(name, message))
    return lines


def _chain_findings(name: str, writer: str, lines: Sequence[bytes]) -> Iterator[JournalFinding]:
    previous, latest = FIRST_HASH, ""
    for number, line in enumerate(lines):
        place = f"{name}, line {number + 1}"
        entry = parse_line(line)
        if entry is None:
            yield JournalFinding(place, "it is no line of a journal")
        elif entry.sequence != number:
            yield JournalFinding(place, f"sequence is {entry.sequence}, expected {number}")
        elif entry.writer != writer:
            yield JournalFinding(place, f"it was written by {entry.writer}")
        elif entry.previous != previous:
            yield JournalFinding(
                place, "it does not follow from the line before: one of them was altered"
            )
        elif entry.time <= latest:
            yield JournalFinding(place, "its time is not later than that of the line before")
        else:
            latest = entry.time
        previous = hashlib.sha256(line).hexdigest()


def _end_findings(
    name: str, lines: Sequence[bytes], end: ChainEnd | None, *, ended: bool
) -> Iterator[JournalFinding]:
    if end is None:
        if ended:
            yield JournalFinding(
                name, "the metadata do not name this chain: it was added, or never sealed"
            )
        return
    count = end.lines
    if len(lines) < count:
        yield JournalFinding(name, f"cut off: {len(lines)} lines of {count}")
    elif count and hashlib.sha256(lines[count - 1]).hexdigest() != end.last:
        yield JournalFinding(
            f"{name}, line {count}", "it is not the last line that the metadata name"
        )
    elif len(lines) > count and ended:
        yield JournalFinding(
            name, f"{len(lines)} lines, and the metadata name {count}: lines were added"
        )


def _merged_findings(files: RunFiles, expected: Sequence[bytes]) -> Iterator[JournalFinding]:
    name = files.journal.name
    try:
        content = read_bytes(files.journal)
    except FileNotFoundError:
        yield JournalFinding(name, "it is gone; the chains below journal/ hold its lines")
        return
    lines = content.removesuffix(b"\n").split(b"\n") if content else []
    for number, (line, wanted) in enumerate(zip(lines, expected, strict=False)):
        if line != wanted:
            yield JournalFinding(f"{name}, line {number + 1}", "it is not the line of the chains")
            return
    if len(lines) != len(expected):
        yield JournalFinding(name, f"{len(lines)} lines, and the chains have {len(expected)}")
