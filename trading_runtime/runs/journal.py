"""The journal of a run: one append-only chain of events per writer, merged when the run ends."""

from __future__ import annotations

import hashlib
import json
import time
from typing import TYPE_CHECKING, Any, Self

from trading_runtime.results.store import storage_errors, write_file

if TYPE_CHECKING:
    from trading_runtime.results.store import RunFiles


class Journal:
    """Appends events, each line holding the hash of the line before it."""

    def __init__(self, files: RunFiles, writer: str) -> None:
        self.writer = writer
        self._sequence = 0
        self._previous = hashlib.sha256(b"").hexdigest()
        self._path = files.journals / f"{writer}.jsonl"
        with storage_errors(self._path):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._path.open("ab", buffering=0)

    def __enter__(self) -> Self:
        """Return the open journal."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        self._file.close()

    def write(self, event: str, **payload: Any) -> None:
        """Append one event; it is in the file when this returns."""
        seconds, nanoseconds = divmod(time.time_ns(), 1_000_000_000)
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
        line = json.dumps(
            {
                "sequence": self._sequence,
                "time": f"{moment}.{nanoseconds:09d}Z",
                "writer": self.writer,
                "event": event,
                "payload": payload,
                "previous": self._previous,
            },
            ensure_ascii=False,
            separators=(",", ":"),
        ).encode()
        with storage_errors(self._path):
            self._file.write(line + b"\n")
        self._previous = hashlib.sha256(line).hexdigest()
        self._sequence += 1


def merge_journals(files: RunFiles) -> None:
    """Write ``journal.jsonl``: the lines of all writers in order of time."""
    lines = []
    for path in sorted(files.journals.glob("*.jsonl")):
        for line in path.read_text(encoding="utf-8", errors="replace").split("\n"):
            try:
                entry = json.loads(line)
                lines.append((entry["time"], entry["writer"], entry["sequence"], line))
            except (ValueError, KeyError, TypeError):
                continue  # the line that a killed writer did not finish
    write_file(files.journal, "".join(f"{line}\n" for *_, line in sorted(lines)))
