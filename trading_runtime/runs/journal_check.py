"""Whether the journal of a run is what was written: no line missing, altered, added or cut off.

Lines are held together by their hashes, ends by the metadata. Whoever changes chain, merged journal
and metadata in one go can deceive this; a copy kept elsewhere (``evidence bundle``) tells.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from trading_runtime.runs.journal import FIRST_HASH, chain_bytes, parse_line, writers

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from trading_runtime.results.store import RunFiles


@dataclass(frozen=True)
class Finding:
    """Something that is not as it was written."""

    place: str
    """A file of the run, or a line in it."""
    message: str

    def __str__(self) -> str:
        """Return the finding as one line."""
        return f"{self.place}: {self.message}"


@dataclass
class JournalCheck:
    """What was found about a journal."""

    writers: int = 0
    lines: int = 0
    findings: list[Finding] = field(default_factory=list)
    """What is broken."""
    notes: list[Finding] = field(default_factory=list)
    """What is no fault, and good to know."""


def check_journal(
    files: RunFiles, ends: Mapping[str, Mapping[str, Any]], *, ended: bool
) -> JournalCheck:
    """Check every chain of a run's journal, and once the run has ended, the merged one.

    ``ends`` are the ends of chains as the metadata have them. Raises ``OSError`` when a file cannot
    be read.
    """
    check = JournalCheck()
    known = writers(files.journals)
    entries: list[tuple[str, str, int, bytes]] = []
    for writer in sorted({*known, *ends}):
        name = f"journal/{writer}"
        if writer not in known:
            check.findings.append(Finding(name, "the chain is gone"))
            continue
        lines = _lines(check, name, chain_bytes(files.journals / writer))
        check.writers += 1
        check.lines += len(lines)
        check.findings += _chain_findings(name, writer, lines)
        check.findings += _end_findings(name, lines, ends.get(writer), ended=ended)
        if writer not in ends and not ended:
            check.notes.append(Finding(name, "its end is not sealed: the run has not ended"))
        for line in lines:
            entry = parse_line(line)
            if entry is not None:
                entries.append((entry["time"], writer, entry["sequence"], line))
    if ended:
        entries.sort(key=lambda item: item[:3])
        check.findings += _merged_findings(files, [line for *_, line in entries])
    return check


def _lines(check: JournalCheck, name: str, content: bytes) -> list[bytes]:
    """Return the whole lines; of one that was not finished, it is told."""
    *lines, rest = content.split(b"\n")
    if rest:
        message = (
            f"the last line is torn ({len(rest)} bytes): its writer was killed; it is left out"
        )
        check.notes.append(Finding(name, message))
    return lines


def _chain_findings(name: str, writer: str, lines: Sequence[bytes]) -> Iterator[Finding]:
    previous, latest = FIRST_HASH, ""
    for number, line in enumerate(lines):
        place = f"{name}, line {number + 1}"
        entry = parse_line(line)
        if entry is None:
            yield Finding(place, "it is no line of a journal")
        elif entry["sequence"] != number:
            yield Finding(place, f"sequence is {entry['sequence']}, expected {number}")
        elif entry["writer"] != writer:
            yield Finding(place, f"it was written by {entry['writer']}")
        elif entry["previous"] != previous:
            yield Finding(place, "it does not follow from the line before: one of them was altered")
        elif entry["time"] <= latest:
            yield Finding(place, "its time is not later than that of the line before")
        else:
            latest = entry["time"]
        previous = hashlib.sha256(line).hexdigest()


def _end_findings(
    name: str, lines: Sequence[bytes], end: Mapping[str, Any] | None, *, ended: bool
) -> Iterator[Finding]:
    if end is None:
        if ended:
            yield Finding(
                name, "the metadata do not name this chain: it was added, or never sealed"
            )
        return
    count = end["lines"]
    if len(lines) < count:
        yield Finding(name, f"cut off: {len(lines)} lines of {count}")
    elif count and hashlib.sha256(lines[count - 1]).hexdigest() != end["last"]:
        yield Finding(f"{name}, line {count}", "it is not the last line that the metadata name")
    elif len(lines) > count and ended:
        yield Finding(name, f"{len(lines)} lines, and the metadata name {count}: lines were added")


def _merged_findings(files: RunFiles, expected: Sequence[bytes]) -> Iterator[Finding]:
    name = files.journal.name
    try:
        content = files.journal.read_bytes()
    except FileNotFoundError:
        yield Finding(name, "it is gone; the chains below journal/ hold its lines")
        return
    lines = content.removesuffix(b"\n").split(b"\n") if content else []
    for number, (line, wanted) in enumerate(zip(lines, expected, strict=False)):
        if line != wanted:
            yield Finding(f"{name}, line {number + 1}", "it is not the line of the chains")
            return
    if len(lines) != len(expected):
        yield Finding(name, f"{len(lines)} lines, and the chains have {len(expected)}")
