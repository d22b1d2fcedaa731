"""Verifying a dataset: every file's bytes against the sha256 in the manifest."""

from __future__ import annotations

import hashlib
import io
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from trading_runtime.datasets.catalog_files import CatalogFile
from trading_runtime.datasets.garbage import unnamed_files
from trading_runtime.datasets.manifest import Manifest, load_manifest
from trading_runtime.datasets.manifest_entries import DataFile, InstrumentFile
from trading_runtime.datasets.manifest_index import MANIFESTS_FOLDER
from trading_runtime.errors import DataError, StorageError
from trading_runtime.storage.files import file_sha256
from trading_runtime.storage.folders import LocalFolder, open_folder

if TYPE_CHECKING:
    from trading_runtime.storage.object_store import ObjectStore

_AT_ONCE_IN_S3 = 4
"""Objects that are in memory at the same time."""


@dataclass(frozen=True)
class Verification:
    """The result of a verification."""

    manifest: Manifest
    damages: tuple[str, ...]
    """One line for every file that is missing, changed, or not in the manifest."""
    files: int
    bytes: int


def verify(place: str | Path) -> Verification:
    """Compare every file of the dataset at ``place``, a folder or an address in S3.

    Raises ``DataError`` when there is no readable manifest.
    """
    manifest = load_manifest(place)
    dataset = open_folder(str(place))
    damages = _of_index(dataset, manifest)
    if damages:
        return Verification(manifest, tuple(damages), 0, 0)
    files: list[DataFile | InstrumentFile] = [*manifest.instrument_files, *manifest.files]
    workers = os.cpu_count() if isinstance(dataset, LocalFolder) else _AT_ONCE_IN_S3
    with ThreadPoolExecutor(max_workers=workers) as pool:
        found = list(pool.map(lambda file: _damage(dataset, file), files))
    earlier, broken = _chain(dataset, manifest)
    extra = unnamed_files(dataset, [manifest, *earlier])
    damages = [damage for damage in found if damage is not None]
    damages += [
        f"{dataset.url}/{path}: is not in the manifest; 'trading-runtime data gc' removes it"
        f"{", 'trading-runtime data adopt' makes the manifest again" * dataset.has_file_locks}"
        for path in extra
    ]
    damages += broken
    return Verification(manifest, tuple(damages), len(files), sum(file.bytes for file in files))


def _of_index(dataset: ObjectStore, manifest: Manifest) -> list[str]:
    """Return what is wrong with the index of a large dataset: nothing else checks it."""
    if manifest.index is None:
        return []
    try:
        stated, found = manifest.digest, manifest.computed_digest()
    except DataError as error:
        return [str(error)]
    if stated != found:
        return [f"{dataset.url}: the files in the index have the digest {found}, not {stated}"]
    return []


def _chain(dataset: ObjectStore, manifest: Manifest) -> tuple[list[Manifest], list[str]]:
    """Return the dataset's manifests from before rows were added, and what is wrong with them."""
    earlier: list[Manifest] = []
    seen: set[str] = set()
    while manifest.parent is not None and manifest.parent not in seen:
        seen.add(manifest.parent)
        name = f"{MANIFESTS_FOLDER}/{manifest.parent}.json"
        where = f"{dataset.url}/{name}"
        if not dataset.has(name):
            return earlier, [
                f"{where}: is missing; a run that was planned before rows were added needs it"
            ]
        try:
            parent = load_manifest(dataset.url, name)
            changed = sorted(
                {file.path for file in parent.files} - {f.path for f in manifest.files}
            )
        except DataError as error:
            return earlier, [str(error)]
        if parent.digest != manifest.parent:
            return earlier, [
                f"{where}: is the manifest {parent.digest[:12]}, not the one it is named after"
            ]
        if changed:
            return earlier, [f"{where}: names {changed[0]}, which a later manifest does not"]
        earlier.append(parent)
        manifest = parent
    return earlier, []


def _damage(dataset: ObjectStore, file: DataFile | InstrumentFile) -> str | None:
    where = f"{dataset.url}/{file.path}"
    is_data = isinstance(file, DataFile)
    try:
        if isinstance(dataset, LocalFolder):
            path = Path(where)
            size = path.stat().st_size
            sha256 = file_sha256(path) if size == file.bytes else ""
            is_sound = sha256 == file.sha256
            rows = _rows(CatalogFile.open(path).parquet) if is_data and is_sound else None
        else:
            content = dataset.read(file.path)
            size, sha256 = len(content), hashlib.sha256(content).hexdigest()
            is_sound = sha256 == file.sha256
            rows = _rows(pq.ParquetFile(io.BytesIO(content))) if is_data and is_sound else None
    except FileNotFoundError:
        return f"{where}: the file is missing"
    except (DataError, StorageError) as error:
        return str(error)
    except OSError as error:
        return f"{where}: cannot be read: {error.strerror}"
    except pa.ArrowException as error:
        return f"{where}: not a Parquet file that can be read: {str(error).splitlines()[0]}"
    for what, found, stated in (
        ("bytes", size, file.bytes),
        ("sha256", sha256, file.sha256),
        ("rows", rows, file.rows if isinstance(file, DataFile) else None),
    ):
        if found != stated:
            return f"{where}: {what} {found}, the manifest says {stated}"
    return None


def _rows(parquet: Any) -> int:
    return int(parquet.metadata.num_rows)
