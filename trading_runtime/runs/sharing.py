"""A run that several processes write into at once: each its own journal and failure files.

On disk they write into the run's folder itself. In S3 each has a local folder, to which only what
it asks for is copied: a thousand pods that copied all journals would copy a million.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from trading_runtime.errors import DataError
from trading_runtime.results.store import RunFiles
from trading_runtime.runs.working import WorkingRun

if TYPE_CHECKING:
    from pathlib import Path

    from trading_runtime.results.store import Store

_FIRST_PUBLISH_SECONDS = 10.0
_MOST_PUBLISH_SECONDS = 60.0
"""Each time makes an object: often enough to follow a pod, seldom enough for a thousand."""


class SharedRun(WorkingRun):
    """The files of a run, of which this process has only some for itself."""

    seconds_between_questions = 5.0

    def __init__(self, store: Store, run_id: str) -> None:
        super().__init__(store, RunFiles(store.root / "runs" / run_id))
        self._published_at = 0.0
        self._publish_seconds = _FIRST_PUBLISH_SECONDS

    def read(self, path: Path) -> bytes | None:
        """Return the content of a file of the run, as it is stored now; ``None`` without one."""
        try:
            content = self._store.objects.read(self._name(path))
        except FileNotFoundError:
            return None
        if not self._store.is_local:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        return content

    def read_json(self, path: Path) -> Any:
        """Return what a JSON file says, ``None`` without one; ``DataError`` when it is damaged."""
        content = self.read(path)
        try:
            return None if content is None else json.loads(content)
        except ValueError as error:
            place = f"{self._store.objects.url}/{self._name(path)}"
            raise DataError(f"{place}: cannot be read: {error}") from error

    def failures(self) -> dict[str, Path]:
        """Return the failure files that are stored now, by the task's id; they are not fetched."""
        names = self._store.objects.sizes(f"{self._name(self.files.failures)}/")
        paths = [self._store.root / name for name in sorted(names)]
        return {path.stem: path for path in paths if path.suffix == ".json"}

    def publish(self, *paths: Path) -> None:
        """Store files that this process wrote."""
        self._store.publish(*paths)

    def publish_journals(self, *, now: bool = False) -> None:
        """Store what this process wrote into its journals, when it is time to or ``now``."""
        moment = time.monotonic()
        if now or moment - self._published_at >= self._publish_seconds:
            self._published_at = moment
            self._publish_seconds = min(2 * self._publish_seconds, _MOST_PUBLISH_SECONDS)
            self._publish_journals()
