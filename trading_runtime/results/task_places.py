"""How task results reach their place, completely or not at all: on disk and in S3.

A result is a folder of files, or the objects of a common prefix; ``store.Store`` reads both alike.
"""

from __future__ import annotations

import contextlib
import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple, Protocol

from trading_runtime.errors import NondeterministicError, TransientError
from trading_runtime.records.task_manifest import MANIFEST, sizes_of, sound_digest
from trading_runtime.results.packs import stamp_of
from trading_runtime.storage.files import read_bytes, storage_errors
from trading_runtime.storage.scratch import Scratch, remove_abandoned_staging, staging_prefix

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path

    from trading_runtime.storage.s3 import S3Folder

STAGING = ".new-"
"""The beginning of the names of results that are not complete."""
FILES = (
    *("equity.parquet", "fills.parquet", "orders.parquet", "positions.parquet"),
    *("summary.json", MANIFEST),
)
"""The files of every result; the manifest is written last."""
_CONNECTIONS = 16
_MOST_ASKED = 20
_MANY_TASKS = 3_000
"""From here on it is faster to list results side by side, by the first two digits of their ids."""


def task_folder(task_id: str) -> str:
    """Return the name of a result's folder in the store."""
    return f"tasks/{task_id[:2]}/{task_id}"


class TaskPlace(Protocol):
    """The place of task results, by task id."""

    def refresh(self, task_ids: Sequence[str]) -> None:
        """Forget what is known; the next questions are for these tasks."""

    def has(self, task_id: str, sound: dict[str, str] | None = None) -> bool:
        """Return whether a result is stored completely; later reads are verified.

        ``sound`` receives the manifest's sha256 if it was read for the answer and verifies.
        """

    def has_manifest(self, task_id: str) -> bool:
        """Return whether a result exists, complete or damaged: reading it shows which."""

    def stored_of(self, task_ids: Sequence[str]) -> set[str]:
        """Return which of a few tasks have complete stored results, as of now."""

    def write(self, task_id: str, files: Mapping[str, bytes]) -> None:
        """Store a result completely or not at all; an existing one is compared instead."""

    def quarantine(self, task_id: str) -> None:
        """Move a damaged result out of the way, and keep it."""

    def stamp(self, task_id: str) -> str | None:
        """Return what identifies the objects of a result as listed (see ``packs.stamp_of``).

        ``None`` where no packs are made, and for a result that is not complete.
        """

    def clear_staging(self) -> None:
        """Remove what killed writers of results left behind."""


class TaskFolders:
    """A folder on disk for each result, renamed into place when it is complete."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._tasks = root / "tasks"
        self._staging = staging_prefix(STAGING)
        # A missing folder was moved or removed under this process: it is not made again.
        self._is_new = not root.exists()

    def refresh(self, task_ids: Sequence[str]) -> None:
        """Do nothing: each question is answered by the disk."""

    def has(self, task_id: str, sound: dict[str, str] | None = None) -> bool:
        """Return whether a result is complete: its manifest is read, files are compared by size."""
        # Called for every task of a plan: paths joined as strings are several times faster.
        folder = f"{self._tasks}/{task_id[:2]}/{task_id}"
        try:
            content = read_bytes(f"{folder}/{MANIFEST}")
            for name, size in sizes_of(content).items():
                if os.stat(f"{folder}/{name}").st_size != size:  # noqa: PTH116
                    return False
        except (OSError, ValueError, RecursionError):
            return False
        if sound is not None:
            with contextlib.suppress(ValueError):
                sound[task_id] = sound_digest(content)
        return True

    def has_manifest(self, task_id: str) -> bool:
        """Return whether a result exists, complete or damaged: reading it shows which."""
        return os.path.exists(f"{self._tasks}/{task_id[:2]}/{task_id}/{MANIFEST}")  # noqa: PTH110

    def stored_of(self, task_ids: Sequence[str]) -> set[str]:
        """Return which of a few tasks have complete stored results, as of now."""
        return set(filter(self.has, task_ids))

    def write(self, task_id: str, files: Mapping[str, bytes]) -> None:
        """Store a result completely or not at all; an existing one is compared instead."""
        final = self._root / task_folder(task_id)
        with storage_errors(self._root):
            self._tasks.mkdir(parents=self._is_new, exist_ok=True)
            with Scratch(self._tasks, self._staging) as staging:
                staging.path.chmod(0o755)
                for name, content in files.items():
                    (staging.path / name).write_bytes(content)
                final.parent.mkdir(exist_ok=True)
                if final.exists() and not self.has(task_id):
                    self.quarantine(task_id)
                try:
                    staging.path.rename(final)
                except OSError:
                    if not final.is_dir():
                        raise
                    for name, content in files.items():
                        if (final / name).read_bytes() != content:
                            raise _other_bytes(f"{final / name}") from None

    def quarantine(self, task_id: str) -> None:
        """Move a damaged result out of the way, under a name with a number."""
        folder = self._root / task_folder(task_id)
        number = 1
        while (aside := folder.with_name(f"{folder.name}.damaged-{number}")).exists():
            number += 1
        with storage_errors(folder), contextlib.suppress(FileNotFoundError):
            folder.rename(aside)

    def stamp(self, task_id: str) -> str | None:  # noqa: ARG002
        """Return ``None``: on disk, results are read as fast as a pack of them."""
        return None

    def clear_staging(self) -> None:
        """Remove what killed writers of results left behind."""
        remove_abandoned_staging(self._tasks, STAGING)


class _Listed(NamedTuple):
    """What is known of a result."""

    objects: int
    stamp: str | None = None
    """``None`` unless they were listed."""


class TaskObjects:
    """Objects in S3: nothing can be renamed there, so the manifest is written last.

    What exists is known from one listing of the store, or from one request for each of a few tasks,
    until ``refresh``.
    """

    def __init__(self, objects: S3Folder) -> None:
        self._objects = objects
        self._known: Mapping[str, _Listed] | None = None
        """What is known of each result; ``None`` when that has to be requested."""

    def refresh(self, task_ids: Sequence[str]) -> None:
        """List the store again.

        Raises ``TransientError`` when the list lacks one of these tasks that exists: some of those
        that it lacks are requested.
        """
        prefixes = {task_id[:2] for task_id in task_ids}
        self._known = self._listed(prefixes if len(task_ids) >= _MANY_TASKS else ())
        absent = [task_id for task_id in task_ids if not self.has(task_id)]
        for task_id in absent[:: max(len(absent) // _MOST_ASKED, 1)]:
            if self._objects.has(f"{task_folder(task_id)}/{MANIFEST}"):
                raise old_list(f"{self._objects.url}/{task_folder(task_id)}")

    def has(self, task_id: str, sound: dict[str, str] | None = None) -> bool:  # noqa: ARG002
        """Return whether a result is stored completely.

        Objects appear whole, so their number is enough. No manifest is read for it.
        """
        if self._known is None:
            self._known = self._listed()
        return self._known.get(task_id, _Listed(0)).objects == len(FILES)

    def has_manifest(self, task_id: str) -> bool:
        """Return what ``has`` returns: no single object is requested."""
        return self.has(task_id)

    def stored_of(self, task_ids: Sequence[str]) -> set[str]:
        """Request these tasks alone: listing a large store takes long."""
        with ThreadPoolExecutor(_CONNECTIONS) as threads:
            found = threads.map(
                lambda task: self._objects.has(f"{task_folder(task)}/{MANIFEST}"), task_ids
            )
            # The manifest is written last: when it exists, all objects do.
            self._known = {
                task: _Listed(len(FILES) * there)
                for task, there in zip(task_ids, found, strict=True)
            }
        return set(filter(self.has, task_ids))

    def write(self, task_id: str, files: Mapping[str, bytes]) -> None:
        """Store a result completely or not at all; an existing one is compared instead.

        Two writers of one task write the same bytes. An object without a manifest beside it was
        left by a writer that died, and is replaced if it differs.
        """
        for name, content in files.items():
            path = f"{task_folder(task_id)}/{name}"
            if self._objects.create(path, content) or self._objects.read(path) == content:
                continue
            if len(self._objects.sizes(f"{task_folder(task_id)}/")) == len(FILES):
                raise _other_bytes(f"{self._objects.url}/{path}")
            self._objects.write(path, content)

    def quarantine(self, task_id: str) -> None:
        """Move a damaged result out of the way: the manifest first, after which it is no result."""
        names = self._objects.sizes(f"{task_folder(task_id)}/")
        for name in sorted(names, key=lambda item: not item.endswith(MANIFEST)):
            self._objects.copy(name, name.replace(task_id, f"{task_id}.damaged", 1))
            self._objects.remove(name)

    def clear_staging(self) -> None:
        """Do nothing: there are no folders in which results are prepared."""

    def stamp(self, task_id: str) -> str | None:
        """Return what identifies the objects of a result as listed."""
        return self._known[task_id].stamp if self.has(task_id) and self._known else None

    def _listed(self, prefixes: Collection[str] = ()) -> dict[str, _Listed]:
        """List all results, or side by side those whose ids begin with these two digits."""
        folders = [f"tasks/{prefix}" for prefix in sorted(prefixes)] or ["tasks"]
        with ThreadPoolExecutor(_CONNECTIONS) as threads:
            return {
                task_id: listed
                for some in threads.map(self._listed_below, folders)
                for task_id, listed in some.items()
            }

    def _listed_below(self, folder: str) -> dict[str, _Listed]:
        found: dict[str, list[tuple[str, int, str]]] = {}
        for path, (tag, size) in self._objects.tags(f"{folder}/").items():
            task_id, _, name = path.rpartition("/")
            found.setdefault(task_id.rpartition("/")[2], []).append((name, size, tag))
        return {task_id: _Listed(len(each), stamp_of(each)) for task_id, each in found.items()}


def old_list(place: str) -> TransientError:
    """Return the error for a list that lacks an existing object."""
    return TransientError(
        f"{place}: is there, but the storage's list of objects lacks it; try again later"
    )


def _other_bytes(place: str) -> NondeterministicError:
    return NondeterministicError(
        f"{place}: a repeat of the task gave other bytes than the stored result: the strategy "
        "depends on something outside its inputs (time, files, threads, ids)"
    )
