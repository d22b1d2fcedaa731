"""Finds and removes what no run's plan refers to in a results folder, on disk or in S3.

On disk an item is a folder or a file, and is renamed before it is removed. In S3 nothing can be
renamed: objects are removed one by one, the manifest first, without which there is no result.
"""

from __future__ import annotations

import functools
import re
import shutil
import tempfile
from collections import defaultdict
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from trading_runtime.errors import DataError, UsageError
from trading_runtime.records.plan import is_task_id, read_plan
from trading_runtime.records.task_manifest import MANIFEST
from trading_runtime.results.packs import PACKS
from trading_runtime.results.task_places import STAGING
from trading_runtime.storage.files import storage_errors
from trading_runtime.storage.s3 import S3Folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from trading_runtime.records.run_files import RunFiles
    from trading_runtime.results.store import Store

_DAMAGED = re.compile(r"[0-9a-f]{64}\.damaged-[0-9]+")
_DAMAGED_IN_S3 = re.compile(r"[0-9a-f]{64}\.damaged")
_TEMPORARY = re.compile(r"\..+\.[0-9]+")
_PARTS = 4
"""The parts of an object's name in S3: ``tasks``, two digits, the task, the file."""
_SECOND = 1_000_000_000


class What(StrEnum):
    """Why something is garbage."""

    TASK = "task"
    """A result that no plan refers to."""
    STAGING = "staging"
    """A result that a killed writer did not finish."""
    DAMAGED = "damaged"
    """A result that was quarantined and recomputed."""
    TEMPORARY = "temporary"
    """A file of a run that a killed writer did not finish."""
    PACK = "pack"
    """A copy of results, made for the summary of a plan that no run has any more."""


@dataclass(frozen=True)
class Item:
    """One thing that can be removed."""

    what: What
    place: str
    """Its path, or its address in S3."""
    bytes: int
    names: tuple[str, ...] = ()
    """In S3: the names of its objects in the store."""


@dataclass(frozen=True)
class Garbage:
    """Everything that can be removed from a results folder."""

    items: list[Item]
    kept: int
    """Results that plans refer to."""
    young: int
    """Things that no plan refers to, but that are too new to remove."""

    @property
    def bytes(self) -> int:
        """The total size of all items."""
        return sum(item.bytes for item in self.items)


class _Candidate(NamedTuple):
    """One thing that is garbage unless a plan refers to it."""

    what: What
    name: str
    """The id of its task, or the digest of its plan, where it is one's."""
    place: str
    facts: Callable[[], tuple[float, int]]
    """Gives when it was last changed, in nanoseconds, and its bytes."""
    names: tuple[str, ...] = ()


def find_garbage(store: Store, now: int, older_than: int) -> Garbage:
    """Find what no run refers to and is older than ``older_than``, both in nanoseconds.

    Nothing is removed, and names that the runtime does not give are ignored. A result in S3 is as
    old as its youngest object, by the storage's clock. Raises ``DataError`` when the plan of any
    run cannot be read: what it refers to is then unknown.
    """
    # Plans are read after the tasks are listed: the plan of a run that starts in between is read
    # too.
    if isinstance(store.objects, S3Folder):
        found = [*_in_s3(store.objects), *_packs(store.objects)]
    else:
        found = [*_in_tasks(store), *_in_runs(store)]
    try:
        wanted = _wanted(store.planned_runs())
    except DataError as error:
        # A plan in S3 is read from a copy, which is removed with this process.
        raise DataError(str(error).replace(str(store.root), store.objects.url)) from error
    items = []
    kept = young = 0
    for each in found:
        if each.name in wanted:
            kept += each.what is not What.PACK
            continue
        try:
            changed, size = each.facts()
        except FileNotFoundError:
            continue  # its writer has finished, and renamed it
        if now - changed < older_than:
            young += 1
        else:
            items.append(Item(each.what, each.place, size, each.names))
    return Garbage(items, kept, young)


def delete(store: Store, garbage: Garbage) -> None:
    """Remove all items; if killed in between, the next collection finds the rest.

    No partial result is left behind. Raises ``StorageError`` when something cannot be removed.
    """
    if isinstance(store.objects, S3Folder):
        names = [name for item in garbage.items for name in item.names]
        manifests = [name for name in names if name.endswith(f"/{MANIFEST}")]
        store.objects.remove_all(manifests)
        store.objects.remove_all(sorted(set(names) - set(manifests)))
        return
    with storage_errors(store.root):
        for item in garbage.items:
            path = Path(item.place)
            if path.is_dir():
                _delete_folder(path, store.root / "tasks")
            else:
                path.unlink(missing_ok=True)


def _delete_folder(folder: Path, tasks: Path) -> None:
    if folder.name.startswith(STAGING):
        shutil.rmtree(folder)
        return
    # A staging name: what is left of it after a kill is found by the next collection.
    going = Path(tempfile.mkdtemp(prefix=STAGING, dir=tasks))
    folder.rename(going)
    shutil.rmtree(going)


def _in_s3(objects: S3Folder) -> Iterator[_Candidate]:
    found: dict[str, dict[str, tuple[int, float]]] = defaultdict(dict)
    for name, facts in objects.sizes_and_times("tasks/").items():
        parts = name.split("/")
        if len(parts) != _PARTS or parts[2][:2] != parts[1]:
            continue
        if is_task_id(parts[2]) or _DAMAGED_IN_S3.fullmatch(parts[2]):
            found["/".join(parts[:-1])][name] = facts
    for folder, files in sorted(found.items()):
        name = folder.rpartition("/")[2]
        what = What.TASK if f"{folder}/{MANIFEST}" in files else What.STAGING
        changed = max(written for _, written in files.values()) * _SECOND
        size = sum(size for size, _ in files.values())
        yield _Candidate(
            what if is_task_id(name) else What.DAMAGED,
            name,
            f"{objects.url}/{folder}",
            functools.partial(_known, changed, size),
            tuple(files),
        )


def _packs(objects: S3Folder) -> Iterator[_Candidate]:
    for name, (size, written) in objects.sizes_and_times(f"{PACKS}/").items():
        folder, plan, *rest = name.split("/")
        if folder == PACKS and len(rest) == 1 and is_task_id(plan) and is_task_id(rest[0]):
            facts = functools.partial(_known, written * _SECOND, size)
            yield _Candidate(What.PACK, plan, f"{objects.url}/{name}", facts, (name,))


def _known(changed: float, size: int) -> tuple[float, int]:
    return changed, size


def _on_disk(what: What, path: Path) -> _Candidate:
    return _Candidate(what, path.name, str(path), lambda: (path.lstat().st_mtime_ns, _size(path)))


def _in_tasks(store: Store) -> Iterator[_Candidate]:
    for folder in _entries(store.root / "tasks"):
        if folder.is_symlink() or not folder.is_dir():
            continue
        if folder.name.startswith(STAGING):
            yield _on_disk(What.STAGING, folder)
            continue
        for path in _entries(folder):
            if path.is_symlink() or not path.is_dir() or path.name[:2] != folder.name:
                continue
            if is_task_id(path.name):
                yield _on_disk(What.TASK, path)
            elif _DAMAGED.fullmatch(path.name):
                yield _on_disk(What.DAMAGED, path)


def _in_runs(store: Store) -> Iterator[_Candidate]:
    for run in _entries(store.root / "runs"):
        if run.is_symlink() or not run.is_dir():
            continue
        for folder in (run, run / "failures"):
            for path in _entries(folder):
                if path.is_file() and not path.is_symlink() and _TEMPORARY.fullmatch(path.name):
                    yield _on_disk(What.TEMPORARY, path)


def _wanted(runs: Iterable[RunFiles]) -> set[str]:
    """Return the digests of the plans of these runs, and the ids of all their tasks.

    Raises ``DataError`` when a plan cannot be read.
    """
    wanted: set[str] = set()
    for files in runs:
        try:
            plan = read_plan(files.plan)
            wanted.update(plan.task_ids, [plan.digest])
        except UsageError as error:
            # The plan is written before the metadata: a run without both has not begun.
            if files.metadata.exists() or files.result.exists() or files.results.exists():
                raise DataError(f"{files.plan}: the run's plan is gone; {_WHY}") from error
        except DataError as error:
            raise DataError(f"{error}\nnothing was removed: {_WHY}") from error
    return wanted


_WHY = (
    "without it, the results that the run refers to are unknown: restore it, or remove the folder "
    "of the run"
)


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []


def _size(path: Path) -> int:
    if path.is_dir():
        return sum(each.lstat().st_size for each in path.rglob("*"))
    return path.lstat().st_size
