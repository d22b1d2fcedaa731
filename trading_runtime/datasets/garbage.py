"""What a killed append leaves in a dataset, and a lock for whoever adds or removes files."""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path
from typing import TYPE_CHECKING

from trading_runtime.datasets.manifest import load_manifest
from trading_runtime.datasets.manifest_entries import DataType
from trading_runtime.datasets.manifest_index import MANIFESTS_FOLDER
from trading_runtime.errors import UsageError
from trading_runtime.storage.folders import open_folder

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from trading_runtime.datasets.manifest import Manifest
    from trading_runtime.storage.object_store import ObjectStore

_DATA = "data"
_LOCK_FILE = ".lock"
_UNDER_WAY_SECONDS = 24 * 3_600
"""Newer files in S3, where nothing is locked, may be those of an append under way."""


@contextlib.contextmanager
def alone_in(dataset: ObjectStore) -> Iterator[None]:
    """Add or remove files of a dataset while no other process does.

    In S3 there are no locks: files are only created there, and the manifest is replaced by a
    conditional write. A file stands for the lock on a file system that has none. Raises
    ``UsageError`` when another process is at work.
    """
    if not dataset.has_file_locks:
        yield
        return
    folder = Path(dataset.url) / _DATA
    folder.mkdir(parents=True, exist_ok=True)
    lock = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.nullcontext() if _locked(lock, dataset.url) else _lock_file(folder):
            yield
    finally:
        os.close(lock)


def _locked(lock: int, where: str) -> bool:
    """Lock a folder; return False on a file system without locks."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise UsageError(
            f"{where}: another process is adding rows to it, or removing files; try again when it "
            "has ended"
        ) from error
    except OSError:
        return False
    return True


@contextlib.contextmanager
def _lock_file(folder: Path) -> Iterator[None]:
    path = folder / _LOCK_FILE
    try:
        path.touch(exist_ok=False)
    except FileExistsError as error:
        raise UsageError(
            f"{path}: another process is adding rows to the dataset, or removing files; if none "
            "is, one was killed: remove this file"
        ) from error
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def unnamed_files(dataset: ObjectStore, manifests: Sequence[Manifest]) -> dict[str, int]:
    """Return the files of market data, instruments and tables that no manifest names, with size.

    In S3 without those that may belong to an append under way.
    """
    known: set[str] = set()
    for manifest in manifests:
        known |= {file.path for file in manifest.files}
        known |= {file.path for file in manifest.instrument_files}
        if manifest.index is not None:
            known |= {table.path for table in manifest.index.tables}
    parents = {"/".join(path.split("/")[:2]) for path in known}
    parents |= {f"{_DATA}/{kind}" for kind in DataType} | {MANIFESTS_FOLDER}
    found = {
        path: size
        for parent in sorted(parents)
        for path, size in dataset.sizes(parent).items()
        if path.endswith(".parquet") and path not in known
    }
    if dataset.has_file_locks:
        return found
    ages = {path: dataset.age(path) or 0 for path in found}
    return {path: size for path, size in found.items() if ages[path] > _UNDER_WAY_SECONDS}


def garbage(place: str, *, delete: bool) -> dict[str, int]:
    """Return the files that no manifest of a dataset names, earlier ones included, with their size.

    With ``delete`` they are removed. Raises ``DataError`` for a manifest that cannot be read, and
    ``UsageError`` when rows are being added.
    """
    dataset = open_folder(place)
    load_manifest(place)
    with alone_in(dataset) if delete else contextlib.nullcontext():
        earlier = sorted(name for name in dataset.sizes(MANIFESTS_FOLDER) if name.endswith(".json"))
        manifests = [load_manifest(place), *(load_manifest(place, name) for name in earlier)]
        found = unnamed_files(dataset, manifests)
        for path in found if delete else ():
            dataset.remove(path)
    return found
