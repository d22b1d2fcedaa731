"""Where results lie: every path and file name of a results folder, and how files get there."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trading_runtime.errors import DataError, NondeterministicError, StorageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

MANIFEST = "manifest.json"


class RunFiles:
    """The paths of one run's folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.experiment = folder / "experiment.json"
        self.plan = folder / "plan.json"
        self.results = folder / "results.parquet"
        self.points = folder / "points.parquet"
        self.result = folder / "result.json"
        self.metadata = folder / "metadata.json"
        self.metrics = folder / "metrics.json"
        self.journals = folder / "journal"
        self.journal = folder / "journal.jsonl"
        self.failures = folder / "failures"
        self.report = folder / "report.md"
        self.report_page = folder / "report" / "index.html"
        self.lock = folder / "lock"
        self.stop = folder / "stop"

    def failure(self, task_id: str) -> Path:
        """Return the path of a task's typed failure."""
        return self.failures / f"{task_id}.json"


class Store:
    """A results folder: immutable tasks by content, and runs by id."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.place = str(root.absolute())
        """What names the store to other processes."""
        self._tasks = root / "tasks"
        self._runs = root / "runs"

    def run(self, run_id: str) -> RunFiles:
        """Return the paths of a run, whose id was checked before."""
        return RunFiles(self._runs / run_id)

    def run_ids(self) -> list[str]:
        """Return the ids of all runs in this store, sorted."""
        with contextlib.suppress(FileNotFoundError):
            return sorted(path.name for path in self._runs.iterdir() if path.is_dir())
        return []

    def task(self, task_id: str) -> Path:
        """Return the folder of a task's result."""
        return self._tasks / task_id[:2] / task_id

    def look_again(self, task_ids: Sequence[str]) -> None:
        """Forget what was known of the store, and make ready to read the results of these tasks."""

    def has_task(self, task_id: str) -> bool:
        """Return whether a result is stored whole: its manifest is read, files compared by size."""
        folder = self.task(task_id)
        try:
            files = json.loads((folder / MANIFEST).read_bytes())["files"]
            return all(
                (folder / name).stat().st_size == facts["bytes"] for name, facts in files.items()
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return False

    def read_task_file(self, task_id: str, name: str) -> bytes:
        """Return a file of a result, verified against its manifest.

        Raises ``DataError`` when it is missing or damaged.
        """
        folder = self.task(task_id)
        try:
            facts = json.loads((folder / MANIFEST).read_bytes())["files"][name]
            content = (folder / name).read_bytes()
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(
                f"{folder / name}: stored result cannot be read: {error}"
            ) from error
        if hashlib.sha256(content).hexdigest() != facts["sha256"]:
            raise DataError(
                f"{folder / name}: the stored result is damaged (its sha256 is not the manifest's); "
                f"remove {folder} and run again"
            )
        return content

    def manifest_digest(self, task_id: str) -> str:
        """Return the sha256 of a result's manifest."""
        return hashlib.sha256((self.task(task_id) / MANIFEST).read_bytes()).hexdigest()

    def write_task(self, task_id: str, files: Mapping[str, bytes]) -> None:
        """Store a result whole or not at all.

        A result that is there already is compared instead. Raises ``NondeterministicError`` when
        its bytes differ, ``StorageError`` when nothing can be written.
        """
        final = self.task(task_id)
        with storage_errors(self.root):
            self._tasks.mkdir(parents=True, exist_ok=True)
            staging = Path(tempfile.mkdtemp(prefix=".new-", dir=self._tasks))
            try:
                staging.chmod(0o755)
                for name, content in files.items():
                    (staging / name).write_bytes(content)
                final.parent.mkdir(exist_ok=True)
                if final.exists() and not self.has_task(task_id):
                    self._set_aside(final)
                try:
                    staging.rename(final)
                except OSError:
                    if not final.is_dir():
                        raise
                    _compare(final, files)
            finally:
                shutil.rmtree(staging, ignore_errors=True)

    def _set_aside(self, folder: Path) -> None:
        """Move a damaged result out of the way, and keep it for whoever wants to know why."""
        for number in range(1, 1_000):
            aside = folder.with_name(f"{folder.name}.damaged-{number}")
            if not aside.exists():
                with contextlib.suppress(FileNotFoundError):
                    folder.rename(aside)
                return


def write_file(path: Path, content: str | bytes) -> None:
    """Write a file under a temporary name and rename it, so that no reader sees half of it."""
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)
        temporary.replace(path)


def read_json(path: Path) -> Any:
    """Return the content of a JSON file, or ``None`` when there is none.

    Raises ``DataError`` when it is damaged.
    """
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read: {error}") from error


@contextlib.contextmanager
def storage_errors(place: Path) -> Iterator[None]:
    """Turn what the operating system says of a full or closed disk into ``StorageError``."""
    try:
        yield
    except OSError as error:
        raise StorageError(
            f"{error.filename or place}: cannot be written: {error.strerror}; free space, or set "
            "'results' to a folder that can be written"
        ) from error


def _compare(folder: Path, files: Mapping[str, bytes]) -> None:
    for name, content in files.items():
        if (folder / name).read_bytes() != content:
            raise NondeterministicError(
                f"{folder / name}: a repeat of the task gave other bytes than the stored result: "
                "the strategy depends on something outside its inputs (time, files, threads, ids)"
            )
