"""Results in S3: the same store, with objects for files and a local folder to work in."""

from __future__ import annotations

import functools
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from trading_runtime.errors import DataError, NondeterministicError
from trading_runtime.object_storage import S3Folder
from trading_runtime.results.scratch import Scratch
from trading_runtime.results.store import MANIFEST, Store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from trading_runtime.records.run_files import RunFiles

_FILES_OF_A_TASK = 6
_REPORT = "report/"
_REDUCED = (MANIFEST, "summary.json", "equity.parquet", "positions.parquet")
_FETCHED_AT_ONCE = 400
_CONNECTIONS = 16
_DEPTH = 2
"""Slashes in the name of a file right in a run's folder."""


class S3Store(Store):
    """A results folder at an address in S3.

    What is read is copied to a local folder that goes with the process; a run is written there and
    published as a whole (see ``runs.open_run``). Tasks are written straight to S3.
    """

    is_local = False
    objects: S3Folder

    def __init__(self, url: str) -> None:
        local = Scratch()
        weakref.finalize(self, local.remove)
        super().__init__(local.path)
        self.place = url
        self.objects = S3Folder(url)

    def run(self, run_id: str) -> RunFiles:
        """Return the local copy of a run's files, without its pictures."""
        files = super().run(run_id)
        prefix = f"runs/{run_id}/"
        names = self.objects.sizes(prefix)
        self._copy_all(
            [name for name in names if not name.removeprefix(prefix).startswith(_REPORT)]
        )
        files.owner = self
        return files

    def publish(self, *paths: Path) -> None:
        """Upload files of the local copy of a run that are there, in place of the stored ones."""
        for path in paths:
            if path.is_file():
                self.objects.write(path.relative_to(self.root).as_posix(), path.read_bytes())

    def publish_run(self, files: RunFiles) -> None:
        """Upload the local copy of a run; what is one process's own, and journals, stay here.

        Others wrote most of the journals, and as many as there are pods: see ``publish_part``.
        """
        kept_here = {files.lock, files.stop}
        self.publish(
            *(
                path
                for path in sorted(files.folder.rglob("*"))
                if path not in kept_here and files.journals not in path.parents
            )
        )

    def publish_part(self, end_part: Callable[[], Path | None]) -> None:
        """Upload what a journal has got since the last time, as a part of its own, if any."""
        part = end_part()
        if part is not None:
            self.publish(part)

    def remove(self, path: Path) -> None:
        """Remove a file of a run, stored and local; nothing happens when there is none."""
        super().remove(path)
        self.objects.remove(path.relative_to(self.root).as_posix())

    def fetch(self, prefix: str) -> None:
        """Bring the objects below ``prefix`` that have no local copy yet."""
        self._copy_all(list(self.objects.sizes(prefix)))

    def newest_run_files(self, name: str, most: int) -> list[Path]:
        """Return local copies of the files of this name of the latest runs, the newest first."""
        found = [
            path for path in self.objects.newest("runs/", f"/{name}") if path.count("/") == _DEPTH
        ]
        for path in found[:most]:
            self._copy(path)
        return [self.root / path for path in found[:most]]

    def run_ids(self) -> list[str]:
        """Return the ids of all runs in this store, sorted."""
        names = {name.split("/")[1] for name in self.objects.sizes("runs/")}
        return sorted(name for name in names if name not in {"", ".", ".."})

    def planned_runs(self) -> Iterator[RunFiles]:
        """Yield the files of every run; of them come the plan, and what shows that it began."""
        wanted = ("/plan.json", "/metadata.json", "/result.json")
        self._copy_all(
            [
                name
                for name in self.objects.sizes("runs/")
                if name.count("/") == _DEPTH and name.endswith(wanted)
            ]
        )
        yield from (super(S3Store, self).run(run_id) for run_id in self.run_ids())

    def task(self, task_id: str) -> Path:
        """Return a local copy of a task's result."""
        prefix = self._name(task_id, "")
        for name in self.objects.sizes(prefix):
            self._copy(name)
        return super().task(task_id)

    def has_task(self, task_id: str, sound: dict[str, str] | None = None) -> bool:  # noqa: ARG002
        """Return whether a result is stored whole, by one listing of the store for all tasks.

        The manifest is written last and objects appear whole, so its presence is enough; what is
        read is verified. No manifest is read for it, so ``sound`` is given none.
        """
        return self._stored.get(task_id, 0) == _FILES_OF_A_TASK

    def has_manifest(self, task_id: str) -> bool:
        """Return what ``has_task`` returns: it asks for no object of its own."""
        return self.has_task(task_id)

    def look_again(self, task_ids: Sequence[str]) -> None:
        """List the store anew, and fetch what a run's reduction reads of these tasks."""
        self.__dict__.pop("_stored", None)
        names = [
            self._name(task_id, name)
            for task_id in task_ids
            if self.has_task(task_id)
            for name in _REDUCED
        ]
        for first in range(0, len(names), _FETCHED_AT_ONCE):
            found = self.objects.read_all(names[first : first + _FETCHED_AT_ONCE])
            for name, content in found.items():
                self._keep(name, content)

    def stored_of(self, task_ids: Sequence[str]) -> set[str]:
        """Ask for these tasks alone: a listing of the whole store is long when it holds many."""
        with ThreadPoolExecutor(_CONNECTIONS) as threads:
            found = threads.map(lambda task: self.objects.has(self._name(task, MANIFEST)), task_ids)
            # The manifest is written last: it is there when all files are.
            counts = {
                task: _FILES_OF_A_TASK * there for task, there in zip(task_ids, found, strict=True)
            }
        self.__dict__["_stored"] = counts
        return super().stored_of(task_ids)

    def ended_runs(self) -> Iterator[RunFiles]:
        """Yield nothing: to look for a run that can be reused would fetch them all."""
        yield from ()

    def read_task_file(self, task_id: str, name: str) -> bytes:
        """Return a file of a result, verified against its manifest."""
        for wanted in (MANIFEST, name):
            try:
                self._copy(self._name(task_id, wanted))
            except FileNotFoundError as error:
                raise DataError(f"{error}: the stored result is not whole") from error
        return super().read_task_file(task_id, name)

    def manifest_digest(self, task_id: str) -> str:
        """Return the sha256 of a result's manifest."""
        self._copy(self._name(task_id, MANIFEST))
        return super().manifest_digest(task_id)

    def write_task(self, task_id: str, files: Mapping[str, bytes]) -> None:
        """Store a result whole or not at all; one that is there already is compared instead.

        Two writers of one task write the same bytes. An object that is there without a manifest
        beside it was left by a writer that died, and is replaced if it differs.
        """
        for name, content in files.items():
            path = self._name(task_id, name)
            if self.objects.create(path, content) or self.objects.read(path) == content:
                continue
            if self._is_whole(task_id):
                raise NondeterministicError(
                    f"{self.objects.url}/{path}: a repeat of the task gave other bytes than the "
                    "stored result: the strategy depends on something outside its inputs (time, "
                    "files, threads, ids)"
                )
            self.objects.write(path, content)

    def set_aside(self, task_id: str) -> None:
        """Move a damaged result out of the way: the manifest goes first, then it is no result."""
        prefix = self._name(task_id, "")
        for name in sorted(
            self.objects.sizes(prefix), key=lambda item: not item.endswith(MANIFEST)
        ):
            content = self.objects.read(name)
            self.objects.write(name.replace(task_id, f"{task_id}.damaged", 1), content)
            self.objects.remove(name)

    @functools.cached_property
    def _stored(self) -> dict[str, int]:
        """How many files of each task there are, as of the first question."""
        counts: dict[str, int] = {}
        for name in self.objects.sizes("tasks/"):
            task_id = name.split("/")[-2]
            counts[task_id] = counts.get(task_id, 0) + 1
        return counts

    def _is_whole(self, task_id: str) -> bool:
        return len(self.objects.sizes(self._name(task_id, ""))) == _FILES_OF_A_TASK

    def _name(self, task_id: str, name: str) -> str:
        return f"tasks/{task_id[:2]}/{task_id}/{name}"

    def _copy_all(self, names: Sequence[str]) -> None:
        """Copy many objects, side by side: a run of pods has thousands of journals."""
        wanted = [name for name in names if not (self.root / name).exists()]
        for first in range(0, len(wanted), _FETCHED_AT_ONCE):
            found = self.objects.read_all(wanted[first : first + _FETCHED_AT_ONCE])
            for name, content in found.items():
                self._keep(name, content)

    def _copy(self, name: str) -> None:
        if not (self.root / name).exists():
            self._keep(name, self.objects.read(name))

    def _keep(self, name: str, content: bytes) -> None:
        if ".." in name.split("/"):
            # An object may be called like this; the copy of it would leave the local folder.
            raise DataError(f"{self.objects.url}/{name}: no name for a file of results; remove it")
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
