"""Finds and removes what no run's plan refers to in results in S3.

Nothing can be renamed there, so objects are removed one by one, the manifest first: without it
there is no result.
"""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING

from trading_runtime.errors import DataError
from trading_runtime.records.plan import is_task_id
from trading_runtime.records.task_manifest import MANIFEST
from trading_runtime.results.garbage import Garbage, Item, What, wanted_tasks

if TYPE_CHECKING:
    from trading_runtime.results.store import Store
    from trading_runtime.storage.s3 import S3Folder

_DAMAGED = re.compile(r"([0-9a-f]{64})\.damaged")
_PARTS = 4
"""The parts of an object's name: ``tasks``, two digits, the task, the file."""
_SECOND = 1_000_000_000


def find_garbage_in_s3(store: Store, objects: S3Folder, now: int, older_than: int) -> Garbage:
    """Find what no run refers to and is older than ``older_than``, both in nanoseconds.

    A result is as old as its youngest object, by the storage's clock. See ``garbage.find_garbage``.
    """
    # Plans are read after the tasks are listed: the plan of a run that starts in between is read
    # too.
    folders = _in_tasks(objects)
    try:
        wanted = wanted_tasks(store.planned_runs())
    except DataError as error:
        # It names a copy that is removed with this process.
        raise DataError(str(error).replace(str(store.root), objects.url)) from error
    items = []
    kept = young = 0
    for folder, files in sorted(folders.items()):
        name = folder.rpartition("/")[2]
        if name in wanted:
            kept += 1
        elif now - max(written for _, written in files.values()) * _SECOND < older_than:
            young += 1
        else:
            size = sum(size for size, _ in files.values())
            what = _kind(name, whole=f"{folder}/{MANIFEST}" in files)
            items.append(Item(what, f"{objects.url}/{folder}", size, tuple(files)))
    return Garbage(items, kept, young)


def delete_in_s3(objects: S3Folder, garbage: Garbage) -> None:
    """Remove all items; if killed in between, the next collection finds the rest.

    Raises ``StorageError`` when something cannot be removed.
    """
    names = [name for item in garbage.items for name in item.names]
    manifests = [name for name in names if name.endswith(f"/{MANIFEST}")]
    objects.remove_all(manifests)
    objects.remove_all(sorted(set(names) - set(manifests)))


def _in_tasks(objects: S3Folder) -> dict[str, dict[str, tuple[int, float]]]:
    """Return the objects of every task whose name has the runtime's form, by folder."""
    found: dict[str, dict[str, tuple[int, float]]] = defaultdict(dict)
    for name, facts in objects.sizes_and_times("tasks/").items():
        parts = name.split("/")
        if len(parts) != _PARTS or parts[2][:2] != parts[1]:
            continue
        if is_task_id(parts[2]) or _DAMAGED.fullmatch(parts[2]):
            found["/".join(parts[:-1])][name] = facts
    return found


def _kind(name: str, *, whole: bool) -> What:
    if not is_task_id(name):
        return What.DAMAGED
    return What.TASK if whole else What.STAGING
