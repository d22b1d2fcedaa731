"""A run that this process works on: its chains of the journal, and whether it is to stop."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from trading_runtime.runs.journal import Journal, new_writer

if TYPE_CHECKING:
    from pathlib import Path

    from trading_runtime.results.store import RunFiles, Store


class WorkingRun:
    """The files of a run in this process's hands; in S3 they are copies, published by and by."""

    seconds_between_questions = 3.0
    """After so long storage is asked again whether the run is to stop; a disk is asked always."""

    def __init__(self, store: Store, files: RunFiles) -> None:
        self.files = files
        self._store = store
        self._journals: list[Journal] = []
        self._asked = 0.0
        self._stopping = False

    def open_journal(self, name: str) -> Journal:
        """Open a new chain of the run's journal; its name begins with ``name``."""
        journal = Journal(self.files.journals, new_writer(name))
        self._journals.append(journal)
        return journal

    def remove(self, path: Path) -> None:
        """Remove a file of the run for good; nothing happens when there is none."""
        self._store.remove(path)

    def stop_requested(self) -> bool:
        """Return whether ``runs stop`` asked for the end."""
        now = time.monotonic()
        pause = 0.0 if self._store.is_local else self.seconds_between_questions
        if not self._stopping and now - self._asked >= pause:
            self._asked = now
            self._stopping = self._store.objects.has(self._name(self.files.stop))
        return self._stopping

    def _publish_journals(self) -> None:
        for journal in self._journals:
            self._store.publish_part(journal.end_part)

    def _name(self, path: Path) -> str:
        """Return what a file is called in the store."""
        return path.relative_to(self._store.root).as_posix()
