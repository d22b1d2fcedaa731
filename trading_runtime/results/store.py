"""Where results lie: every path and file name of a results folder, and how files get there."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trading_runtime.canonical import digest
from trading_runtime.errors import DataError, NondeterministicError
from trading_runtime.planning.identity import task_id as task_id_of
from trading_runtime.records.run_files import RunFiles
from trading_runtime.results.artifacts import check_digest, files_of, sound_digest
from trading_runtime.results.folders import LocalFolder
from trading_runtime.results.scratch import Scratch, remove_abandoned_staging, staging_prefix
from trading_runtime.storage.files import storage_errors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from trading_runtime.results.folders import Folder

MANIFEST = "manifest.json"
_STAGING = ".new-"
_READ_AT_ONCE = 1 << 16


class Store:
    """A results folder: immutable tasks by content, and runs by id."""

    is_local = True
    """Whether files below ``root`` are the results; else they are copies of objects."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.objects: Folder = LocalFolder(root)
        """All files of the store as they are now, by name."""
        self.place = str(root.absolute())
        """What names the store to other processes."""
        self._tasks = root / "tasks"
        self._staging = staging_prefix(_STAGING)
        self._runs = root / "runs"
        self._digests: dict[tuple[str, Any, Any], tuple[Any, str]] = {}

    def run(self, run_id: str) -> RunFiles:
        """Return the paths of a run, whose id was checked before."""
        return RunFiles(self._runs / run_id)

    def run_ids(self) -> list[str]:
        """Return the ids of all runs in this store, sorted."""
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            return sorted(path.name for path in self._runs.iterdir() if path.is_dir())
        return []

    def publish(self, *paths: Path) -> None:
        """Let others see files below ``root`` that this process wrote; on disk they do."""

    def publish_run(self, files: RunFiles) -> None:
        """Let others see all files of a run but the chains of its journal; on disk they do."""

    def publish_part(self, end_part: Callable[[], Path | None]) -> None:
        """Let others see what a journal has got (``Journal.end_part``); on disk they do."""

    def fetch(self, prefix: str) -> None:
        """Bring the files below ``prefix`` to ``root``; on disk they are there."""

    def remove(self, path: Path) -> None:
        """Remove a file below ``root`` for good; nothing happens when there is none."""
        path.unlink(missing_ok=True)

    def newest_run_files(self, name: str, most: int) -> list[Path]:
        """Return the files of this name of the latest runs, the newest first."""
        stamped = []
        for run_id in self.run_ids():
            path = self._runs / run_id / name
            with contextlib.suppress(OSError):
                stamped.append((path.stat().st_mtime_ns, path))
        return [path for _, path in sorted(stamped, reverse=True)[:most]]

    def stored_of(self, task_ids: Sequence[str]) -> set[str]:
        """Return those of a few tasks whose results are stored whole, as of now."""
        return {task_id for task_id in task_ids if self.has_task(task_id)}

    def task(self, task_id: str) -> Path:
        """Return the folder of a task's result."""
        return self._tasks / task_id[:2] / task_id

    def ended_runs(self) -> Iterator[RunFiles]:
        """Yield the runs of this store that ended with tables, the newest name first."""
        found = map(self.run, reversed(self.run_ids()))
        yield from (files for files in found if files.result.is_file())

    def look_again(self, task_ids: Sequence[str]) -> None:
        """Forget what was known of the store, and make ready to read the results of these tasks."""

    def has_task(self, task_id: str, sound: dict[str, str] | None = None) -> bool:
        """Return whether a result is stored whole: its manifest is read, files compared by size.

        ``sound`` is given the sha256 of the manifest, by task id, when the manifest verifies.
        """
        content = self._manifest_of_whole(task_id)
        if content is not None and sound is not None:
            with contextlib.suppress(ValueError):
                sound[task_id] = sound_digest(content)
        return content is not None

    def has_manifest(self, task_id: str) -> bool:
        """Return whether a result is there, whole or damaged: reading it tells which."""
        return os.path.exists(f"{self._tasks}/{task_id[:2]}/{task_id}/{MANIFEST}")  # noqa: PTH110

    def read_task_file(self, task_id: str, name: str) -> bytes:
        """Return a file of a result, verified against its manifest.

        Raises ``DataError`` when it is missing or damaged.
        """
        folder = self.task(task_id)
        with _damages(folder):
            facts = json.loads((folder / MANIFEST).read_bytes())["files"][name]
            return _verified(folder / name, facts["sha256"])

    def read_task(self, task_id: str) -> dict[str, bytes]:
        """Return every file of a result by its name, verified against the manifest and the id.

        Raises ``DataError`` when one is missing or damaged.
        """
        folder = str(self.task(task_id))
        with _damages(Path(folder)):
            content = _read(f"{folder}/{MANIFEST}")
            check_digest(content)
            manifest = json.loads(content)
            if self._id_of(manifest) != task_id:
                raise ValueError("it is not the manifest of this task")
            files = {
                name: _verified(f"{folder}/{name}", facts["sha256"])
                for name, facts in manifest["files"].items()
            }
        return files | {MANIFEST: content}

    def _id_of(self, manifest: Mapping[str, Any]) -> str:
        inputs = manifest["inputs"]
        parts = []
        for name in ("common", "partition"):
            # The tasks of a run share these: their digests are made once.
            part = inputs[name]
            key = (name, part.get("start"), part.get("end"))
            known = self._digests.get(key)
            if known is None or known[0] != part:
                known = self._digests[key] = (part, digest(part))
            parts.append(known[1])
        return task_id_of(parts[0], inputs["config"], parts[1])

    def sound_manifest_digest(self, task_id: str) -> str | None:
        """Return the sha256 of a manifest that verifies, ``None`` unless files have their sizes."""
        sound: dict[str, str] = {}
        self.has_task(task_id, sound)
        return sound.get(task_id)

    def _manifest_of_whole(self, task_id: str) -> bytes | None:
        """Return the manifest of a result whose files all have their size, else ``None``."""
        # Asked for every task of a plan: paths joined as text are several times faster.
        folder = f"{self._tasks}/{task_id[:2]}/{task_id}"
        try:
            content = _read(f"{folder}/{MANIFEST}")
            for name, facts in files_of(content).items():
                if os.stat(f"{folder}/{name}").st_size != facts["bytes"]:  # noqa: PTH116
                    return None
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return None
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
            with Scratch(self._tasks, self._staging) as staging:
                staging.path.chmod(0o755)
                for name, content in files.items():
                    (staging.path / name).write_bytes(content)
                final.parent.mkdir(exist_ok=True)
                if final.exists() and not self.has_task(task_id):
                    self.set_aside(task_id)
                try:
                    staging.path.rename(final)
                except OSError:
                    if not final.is_dir():
                        raise
                    _compare(final, files)

    def set_aside(self, task_id: str) -> None:
        """Move a damaged result out of the way, and keep it for whoever wants to know why.

        Raises ``StorageError`` when it cannot be moved.
        """
        folder = self.task(task_id)
        number = 1
        while (aside := folder.with_name(f"{folder.name}.damaged-{number}")).exists():
            number += 1
        with storage_errors(folder), contextlib.suppress(FileNotFoundError):
            folder.rename(aside)

    def clear_staging(self) -> None:
        """Remove what writers of results left that were killed."""
        remove_abandoned_staging(self._tasks, _STAGING)


def _read(path: str) -> bytes:
    # Called for six files a task: a file object around the descriptor would take half the time.
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return b"".join(iter(lambda: os.read(descriptor, _READ_AT_ONCE), b""))
    finally:
        os.close(descriptor)


def _verified(path: Path | str, sha256: str) -> bytes:
    content = _read(str(path))
    if hashlib.sha256(content).hexdigest() != sha256:
        raise DataError(f"{path}: the stored result is damaged: its sha256 is not the manifest's")
    return content


@contextlib.contextmanager
def _damages(folder: Path) -> Iterator[None]:
    """Turn what a damaged result makes its reader stumble over into ``DataError``."""
    try:
        yield
    except OSError as error:
        path = error.filename or folder
        raise DataError(f"{path}: the stored result is damaged: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DataError(f"{folder / MANIFEST}: the stored result is damaged: {error}") from error


def _compare(folder: Path, files: Mapping[str, bytes]) -> None:
    for name, content in files.items():
        if (folder / name).read_bytes() != content:
            raise NondeterministicError(
                f"{folder / name}: a repeat of the task gave other bytes than the stored result: "
                "the strategy depends on something outside its inputs (time, files, threads, ids)"
            )
