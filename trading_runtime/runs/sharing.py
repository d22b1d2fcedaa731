"""A run that several processes write into at once: each its own journal and failure files.

On disk they write into the run's folder itself. In S3 each has a local folder, to which only what
it asks for is copied: a thousand pods that copied all journals would copy a million.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from trading_runtime.errors import DataError
from trading_runtime.results.s3_store import S3Store
from trading_runtime.results.store import RunFiles
from trading_runtime.runs.journal import Journal, new_writer

if TYPE_CHECKING:
    from pathlib import Path

    from trading_runtime.results.store import Store

_FIRST_PUBLISH_SECONDS = 10.0
_MOST_PUBLISH_SECONDS = 60.0
"""Each time makes an object: often enough to follow a pod, seldom enough for a thousand."""
_ASK_SECONDS = 5.0


class SharedRun:
    """The files of a run, of which this process has only some for itself."""

    def __init__(self, store: Store, run_id: str) -> None:
        self._objects = store.objects if isinstance(store, S3Store) else None
        self._prefix = f"runs/{run_id}/"
        self.files = RunFiles(store.root / "runs" / run_id)
        self._journals: list[Journal] = []
        self._published_at = self._asked_at = 0.0
        self._publish_seconds = _FIRST_PUBLISH_SECONDS
        self._stopping = False

    def open_journal(self, name: str) -> Journal:
        """Open a new chain of the run's journal; its name begins with ``name``."""
        journal = Journal(self.files.journals, new_writer(name))
        self._journals.append(journal)
        return journal

    def read(self, path: Path) -> bytes | None:
        """Return the content of a file of the run, as it is stored now; ``None`` without one."""
        try:
            if self._objects is None:
                return path.read_bytes()
            content = self._objects.read(self._name(path))
        except FileNotFoundError:
            return None
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return content

    def read_json(self, path: Path) -> Any:
        """Return what a JSON file says, ``None`` without one; ``DataError`` when it is damaged."""
        content = self.read(path)
        try:
            return None if content is None else json.loads(content)
        except ValueError as error:
            raise DataError(f"{self._shown(path)}: cannot be read: {error}") from error

    def failures(self) -> dict[str, Path]:
        """Return the failure files that are stored now, by the task's id; they are not fetched."""
        if self._objects is None:
            paths = sorted(self.files.failures.glob("*.json"))
        else:
            names = self._objects.sizes(f"{self._prefix}failures/")
            paths = [self.files.failures / name.rpartition("/")[2] for name in sorted(names)]
        return {path.stem: path for path in paths if path.suffix == ".json"}

    def publish(self, *paths: Path) -> None:
        """Store files that this process wrote."""
        if self._objects is None:
            return
        for path in paths:
            self._objects.write(self._name(path), path.read_bytes())

    def publish_journals(self, *, now: bool = False) -> None:
        """Store what this process wrote into its journals, when it is time to or ``now``."""
        moment = time.monotonic()
        due = moment - self._published_at >= self._publish_seconds
        if self._objects is None or not (now or due):
            return
        self._published_at = moment
        self._publish_seconds = min(2 * self._publish_seconds, _MOST_PUBLISH_SECONDS)
        for journal in self._journals:
            part = journal.end_part()
            if part is not None:
                self.publish(part)

    def remove(self, path: Path) -> None:
        """Remove a file of the run; nothing happens when there is none."""
        path.unlink(missing_ok=True)
        if self._objects is not None:
            self._objects.remove(self._name(path))

    def stop_requested(self) -> bool:
        """Return whether ``runs stop`` asked for the end; storage is asked every few seconds."""
        if self._objects is None:
            return self.files.stop.exists()
        now = time.monotonic()
        if not self._stopping and now - self._asked_at >= _ASK_SECONDS:
            self._asked_at = now
            self._stopping = self._objects.has(self._name(self.files.stop))
        return self._stopping

    def _name(self, path: Path) -> str:
        return self._prefix + path.relative_to(self.files.folder).as_posix()

    def _shown(self, path: Path) -> str:
        return str(path) if self._objects is None else f"{self._objects.url}/{self._name(path)}"
