"""Paths and file names of a results folder, on disk or in S3.

A store consists of three parts: its objects, the files that have their names (see
``storage.working_copy``), and the way results of tasks are put there (see ``task_places``).
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from trading_runtime.canonical import digest
from trading_runtime.errors import DataError
from trading_runtime.planning.identity import task_id as task_id_of
from trading_runtime.planning.identity import task_id_of_digests
from trading_runtime.records.run_files import RunFiles
from trading_runtime.records.task_manifest import (
    MANIFEST,
    check_digest,
    files_of,
    inputs_digests,
    parse_manifest,
)
from trading_runtime.results.packs import PackedTask, UnpackedTasks, stamp_of, write_packs
from trading_runtime.results.task_places import (
    FILES,
    TaskFolders,
    TaskObjects,
    old_list,
    task_folder,
)
from trading_runtime.storage.files import read_bytes
from trading_runtime.storage.folders import LocalFolder
from trading_runtime.storage.s3 import S3Folder, is_s3, refuse_other_address
from trading_runtime.storage.working_copy import FetchedCopy, InPlace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from trading_runtime.records.task_manifest import ResultFile
    from trading_runtime.results.task_places import TaskPlace
    from trading_runtime.storage.object_store import ObjectStore
    from trading_runtime.storage.working_copy import WorkingCopy

_REPORT = "report/"
_PLANNED = ("/plan.json", "/metadata.json", "/result.json")
_WRONG_FORMS = (ValueError, KeyError, RecursionError)
"""Errors that a manifest of the wrong form raises in its reader."""
_READ_AT_ONCE = 16
_DEPTH = 2
"""Slashes in the name of a file directly in a run's folder."""


class Store:
    """A place of results: immutable tasks by content, and runs by id."""

    objects: ObjectStore
    """All files of the store as they are now, by name."""
    copy: WorkingCopy
    """The same files as paths; those of a store in S3 are removed with the process."""

    def __init__(self, place: str | Path) -> None:
        """``place`` is a folder, or an address such as ``s3://bucket/prefix``."""
        self._tasks: TaskPlace
        if is_s3(str(place)):
            self.objects = objects = S3Folder(str(place))
            self.copy = FetchedCopy(objects)
            self._tasks = TaskObjects(objects)
            self.place = str(place)
            """The name of the store for other processes."""
        else:
            self.objects = LocalFolder(place)
            self.copy = InPlace(Path(place))
            self._tasks = TaskFolders(Path(place))
            self.place = str(Path(place).absolute())
        self.root = self.copy.root
        self._packs = UnpackedTasks(self.root / "unpacked")

    def run(self, run_id: str) -> RunFiles:
        """Return the files of a run with a checked id; in S3 without its pictures and logs."""
        prefix = f"runs/{run_id}/"
        left_out = (prefix + _REPORT, f"{prefix}lock", f"{prefix}alive", f"{prefix}logs/")
        self.copy.fetch_below(prefix, lambda name: not name.startswith(left_out))
        files = self._files(run_id)
        for path in (files.plan, files.metadata):
            # A caller that trusted a list without them would begin the run again. Asked twice: on a
            # disk the file may be written at this moment.
            name = path.relative_to(self.root).as_posix()
            if not path.exists() and self.objects.has(name) and not path.exists():
                raise old_list(f"{self.objects.url}/{name}")
        return files

    def run_ids(self) -> list[str]:
        """Return the ids of all runs in this store, sorted."""
        return self.objects.folders("runs")

    def publish(self, *paths: Path) -> None:
        """Let others see files below ``root`` that this process wrote."""
        self.copy.publish(paths)

    def publish_run(self, files: RunFiles) -> None:
        """Let others see all files of a run, its metadata last: they have the others' digests.

        See ``publish_all_but_metadata``.
        """
        self.publish_all_but_metadata(files)
        self.copy.publish([files.metadata])

    def publish_all_but_metadata(self, files: RunFiles) -> None:
        """Let others see a run's files, except its metadata, journals, and those of one process.

        Others wrote most of the journals, of which there are as many as pods: see ``publish_part``.
        """
        not_yet = {*files.passing, files.metadata}
        self.copy.publish(
            path
            for folder in (files.folder,)
            for path in sorted(folder.rglob("*"))
            if path not in not_yet and files.journals not in path.parents
        )
        # What only an earlier attempt made, such as a picture, is not part of this one.
        for name in self.objects.sizes(f"runs/{files.folder.name}/{_REPORT}"):
            if not (self.root / name).exists():
                self.objects.remove(name)

    def publish_part(self, end_part: Callable[[], Path | None]) -> None:
        """Let others see a journal's new lines since the last call (``Journal.end_part``).

        Where they are visible already, no part is ended.
        """
        self.copy.publish(part for end in (end_part,) if (part := end()) is not None)

    def fetch(self, prefix: str) -> None:
        """Fetch the files below ``prefix`` to ``root``."""
        self.copy.fetch_below(prefix)

    def remove(self, path: Path) -> None:
        """Remove a file below ``root``; do nothing when there is none."""
        self.copy.remove(path)

    def newest_run_files(self, name: str, most: int) -> list[Path]:
        """Return the files of this name of the latest runs, newest first."""
        found = self.objects.newest("runs", name)[:most]
        self.copy.fetch(*found)
        return [self.root / path for path in found]

    def planned_runs(self) -> Iterator[RunFiles]:
        """Yield the files of every run, fetching the plan and what shows that the run began."""
        self.copy.fetch_below(
            "runs/", lambda name: name.count("/") == _DEPTH and name.endswith(_PLANNED)
        )
        yield from map(self._files, self.run_ids())

    def ended_runs(self) -> Iterator[RunFiles]:
        """Yield the local runs that ended with tables, the newest name first.

        Nothing is fetched: looking for a run to reuse would fetch them all.
        """
        for folder in sorted((self.root / "runs").glob("*/"), reverse=True):
            if (files := self._files(folder.name)).result.is_file():
                yield files

    def task(self, task_id: str) -> Path:
        """Return the folder of a task's result."""
        folder = task_folder(task_id)
        with contextlib.suppress(OSError, *_WRONG_FORMS):
            # By the names in its manifest: no list is trusted.
            self.copy.fetch(f"{folder}/{MANIFEST}")
            content = read_bytes(f"{self.root}/{folder}/{MANIFEST}")
            self.copy.fetch(*(f"{folder}/{name}" for name in files_of(content)))
        return self.root / folder

    def refresh(self, task_ids: Sequence[str]) -> None:
        """Forget what was known of the results; the next questions are for these tasks.

        Raises ``TransientError`` when a list of what is stored cannot be right.
        """
        self._tasks.refresh(task_ids)

    def fetch_results(self, task_ids: Sequence[str], plan_digest: str | None) -> None:
        """Fetch what a summary reads of a plan's tasks, as stored now, for ``read_reduced``.

        Without ``plan_digest``, no packs are used.
        """
        if self.copy.is_complete:
            return
        self._packs = UnpackedTasks(self.root / "unpacked")
        if plan_digest is not None:
            self._packs.fetch(self.objects, plan_digest, self._tasks.stamp)
        self.copy.refresh(
            f"{task_folder(task_id)}/{name}"
            for task_id in task_ids
            if self._tasks.has(task_id) and not self._is_packed(task_id)
            for name in FILES
        )

    def read_reduced(self, task_id: str) -> tuple[dict[str, bytes], dict[str, ResultFile]]:
        """Return what a summary reads of a result, and the files that its manifest states.

        Verified as by ``read_task``. From a pack of the plan, where it has the result as it is
        stored.
        """
        if self._is_packed(task_id):
            with contextlib.suppress(DataError):
                files = self._packs.read(task_id)
                return files, self._verify(task_id, files)
        return self._read_whole(task_id)

    def pack(self, plan_digest: str, task_ids: Sequence[str]) -> dict[str, DataError]:
        """Read stored results back, verify every file, and pack what a summary reads of them.

        Returns the damage found, by task id. Nothing is done on disk, where a summary reads results
        as fast as packs.
        """
        damages: dict[str, DataError] = {}
        if not self.copy.is_complete:
            write_packs(self.objects, plan_digest, self._read_back(task_ids, damages))
        return damages

    def _read_back(
        self, task_ids: Sequence[str], damages: dict[str, DataError]
    ) -> Iterator[PackedTask]:
        def read(task_id: str) -> PackedTask | DataError:
            try:
                return self._stored_now(task_id)
            except DataError as error:
                return error

        with ThreadPoolExecutor(_READ_AT_ONCE) as threads:
            for some in itertools.batched(task_ids, _READ_AT_ONCE, strict=False):
                for task_id, found in zip(some, threads.map(read, some), strict=True):
                    if isinstance(found, PackedTask):
                        yield found
                    else:
                        damages[task_id] = found

    def _stored_now(self, task_id: str) -> PackedTask:
        """Read and verify a result, file by file, past the copies of this process."""
        folder = task_folder(task_id)
        try:
            found = {name: self.objects.read_version(f"{folder}/{name}") for name in FILES}
        except FileNotFoundError as error:
            raise DataError(f"{error}: the stored result is not whole") from error
        files = {name: content for name, (content, _) in found.items()}
        self._verify(task_id, files)
        stamp = stamp_of((name, len(content), tag) for name, (content, tag) in found.items())
        return PackedTask(task_id, stamp, files)

    def _is_packed(self, task_id: str) -> bool:
        return self._packs.has(task_id, self._tasks.stamp(task_id))

    def _verify(self, task_id: str, files: Mapping[str, bytes]) -> dict[str, ResultFile]:
        """Return the files that the manifest states.

        Raises ``DataError`` unless it is that of the task, and ``files`` are its own.
        """
        folder = self.root / task_folder(task_id)
        with _damages(folder):
            stated = _stated(task_id, files[MANIFEST])
            for name in files.keys() - {MANIFEST}:
                _verified(folder / name, files[name], stated[name].sha256)
            return stated

    def stored_of(self, task_ids: Sequence[str]) -> set[str]:
        """Return which of a few tasks have complete stored results, as of now."""
        return self._tasks.stored_of(task_ids)

    def has_task(self, task_id: str, sound: dict[str, str] | None = None) -> bool:
        """Return whether a result is stored completely; later reads are verified.

        ``sound`` receives the manifest's sha256, by task id, if it was read for the answer and
        verifies.
        """
        return self._tasks.has(task_id, sound)

    def has_manifest(self, task_id: str) -> bool:
        """Return whether a result exists, complete or damaged: reading it shows which."""
        return self._tasks.has_manifest(task_id)

    def read_task_file(self, task_id: str, name: str) -> bytes:
        """Return a file of a result, verified against its manifest.

        Raises ``DataError`` when it is missing or damaged.
        """
        folder = task_folder(task_id)
        try:
            self.copy.fetch(f"{folder}/{MANIFEST}", f"{folder}/{name}")
        except FileNotFoundError as error:
            raise DataError(f"{error}: the stored result is not whole") from error
        with _damages(self.root / folder):
            stated = files_of(read_bytes(self.root / folder / MANIFEST))[name]
            return _read_verified(self.root / folder / name, stated.sha256)

    def read_task(self, task_id: str) -> dict[str, bytes]:
        """Return every file of a result by its name, verified against the manifest and the id.

        Raises ``DataError`` when one is missing or damaged.
        """
        return self._read_whole(task_id)[0]

    def _read_whole(self, task_id: str) -> tuple[dict[str, bytes], dict[str, ResultFile]]:
        stored_at = task_folder(task_id)
        folder = f"{self.root}/{stored_at}"
        with _damages(Path(folder)):
            self.copy.fetch(f"{stored_at}/{MANIFEST}")
            content = read_bytes(f"{folder}/{MANIFEST}")
            stated = _stated(task_id, content)
            self.copy.fetch(*(f"{stored_at}/{name}" for name in stated))
            files = {
                name: _read_verified(f"{folder}/{name}", file.sha256)
                for name, file in stated.items()
            }
        files[MANIFEST] = content
        return files, stated

    def sound_manifest_digest(self, task_id: str) -> str | None:
        """Return the sha256 of a manifest that verifies, ``None`` unless files have their sizes."""
        sound: dict[str, str] = {}
        self.has_task(task_id, sound)
        return sound.get(task_id)

    def manifest_digest(self, task_id: str) -> str:
        """Return the sha256 of a result's manifest."""
        name = f"{task_folder(task_id)}/{MANIFEST}"
        self.copy.fetch(name)
        return hashlib.sha256(read_bytes(self.root / name)).hexdigest()

    def write_task(self, task_id: str, files: Mapping[str, bytes]) -> None:
        """Store a result completely or not at all.

        An existing result is compared instead. Raises ``NondeterministicError`` when its bytes
        differ, ``StorageError`` when nothing can be written.
        """
        self._tasks.write(task_id, files)

    def quarantine(self, task_id: str) -> None:
        """Move a damaged result out of the way, and keep it for later inspection.

        Raises ``StorageError`` when it cannot be moved.
        """
        self._tasks.quarantine(task_id)

    def clear_staging(self) -> None:
        """Remove what killed writers of results left behind."""
        self._tasks.clear_staging()

    def _files(self, run_id: str) -> RunFiles:
        files = RunFiles(self.root / "runs" / run_id)
        files.owner = self.copy
        return files


def open_store(place: str | Path) -> Store:
    """Return the store at a folder's path, or at an address such as ``s3://bucket/prefix``.

    Raises ``UsageError`` for an invalid address.
    """
    if not is_s3(str(place)):
        refuse_other_address(str(place))
    return Store(place)


def _stated(task_id: str, content: bytes) -> dict[str, ResultFile]:
    """Return the files that a task's manifest states.

    Raises ``ValueError`` unless it is intact, and the task's.
    """
    check_digest(content)
    digests = inputs_digests(content)
    if digests is not None and task_id_of_digests(*digests) == task_id:
        return files_of(content)
    manifest = parse_manifest(content)
    common, config, partition = map(manifest.inputs.__getitem__, ("common", "config", "partition"))
    if task_id_of(digest(common), config, digest(partition)) != task_id:
        raise ValueError("it is not the manifest of this task")
    return dict(manifest.files)


def _read_verified(path: Path | str, sha256: str) -> bytes:
    return _verified(path, read_bytes(str(path)), sha256)


def _verified(path: Path | str, content: bytes, sha256: str) -> bytes:
    if hashlib.sha256(content).hexdigest() != sha256:
        raise DataError(f"{path}: the stored result is damaged: its sha256 is not the manifest's")
    return content


@contextlib.contextmanager
def _damages(folder: Path) -> Iterator[None]:
    """Turn the errors that a damaged result raises in its reader into ``DataError``."""
    try:
        yield
    except OSError as error:
        path = error.filename or folder
        raise DataError(
            f"{path}: the stored result is damaged: {error.strerror or error}"
        ) from error
    except _WRONG_FORMS as error:
        raise DataError(f"{folder / MANIFEST}: the stored result is damaged: {error}") from error
