"""Verifying a dataset: every file's bytes against the sha256 in the manifest."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trading_runtime.datasets.catalog_files import CatalogFile
from trading_runtime.datasets.garbage import unnamed_files
from trading_runtime.datasets.manifest import Manifest, load_manifest
from trading_runtime.datasets.manifest_entries import DataFile, InstrumentFile
from trading_runtime.datasets.manifest_index import MANIFESTS_FOLDER
from trading_runtime.errors import DataError
from trading_runtime.storage.files import file_sha256
from trading_runtime.storage.folders import LocalFolder

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Verification:
    """The result of a verification."""

    manifest: Manifest
    damages: tuple[str, ...]
    """One line for every file that is missing, changed, or not in the manifest."""
    files: int
    bytes: int


def verify(folder: Path) -> Verification:
    """Compare every file of the dataset in ``folder`` with its manifest.

    Raises ``DataError`` when there is no readable manifest.
    """
    manifest = load_manifest(folder)
    damages = _of_index(folder, manifest)
    if damages:
        return Verification(manifest, tuple(damages), 0, 0)
    files: list[DataFile | InstrumentFile] = [*manifest.instrument_files, *manifest.files]
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        found = list(pool.map(lambda file: _damage(folder, file), files))
    earlier, broken = _chain(folder, manifest)
    extra = unnamed_files(LocalFolder(folder), [manifest, *earlier])
    damages = [damage for damage in found if damage is not None]
    damages += [
        f"{folder / path}: is not in the manifest; 'trading-runtime data gc' removes it, "
        "'trading-runtime data adopt' makes the manifest again"
        for path in extra
    ]
    damages += broken
    return Verification(manifest, tuple(damages), len(files), sum(file.bytes for file in files))


def _of_index(folder: Path, manifest: Manifest) -> list[str]:
    """Return what is wrong with the index of a large dataset: nothing else checks it."""
    if manifest.index is None:
        return []
    try:
        stated, found = manifest.digest, manifest.computed_digest()
    except DataError as error:
        return [str(error)]
    if stated != found:
        return [f"{folder}: the files in the index have the digest {found}, not {stated}"]
    return []


def _chain(folder: Path, manifest: Manifest) -> tuple[list[Manifest], list[str]]:
    """Return the dataset's manifests from before rows were added, and what is wrong with them."""
    earlier: list[Manifest] = []
    seen: set[str] = set()
    while manifest.parent is not None and manifest.parent not in seen:
        seen.add(manifest.parent)
        name = f"{MANIFESTS_FOLDER}/{manifest.parent}.json"
        path = folder / name
        if not path.exists():
            return earlier, [
                f"{path}: is missing; a run that was planned before rows were added needs it"
            ]
        try:
            parent = load_manifest(folder, name)
            changed = sorted(
                {file.path for file in parent.files} - {f.path for f in manifest.files}
            )
        except DataError as error:
            return earlier, [str(error)]
        if parent.digest != manifest.parent:
            return earlier, [
                f"{path}: is the manifest {parent.digest[:12]}, not the one it is named after"
            ]
        if changed:
            return earlier, [f"{path}: names {changed[0]}, which a later manifest does not"]
        earlier.append(parent)
        manifest = parent
    return earlier, []


def _damage(folder: Path, file: DataFile | InstrumentFile) -> str | None:
    path = folder / file.path
    try:
        size = path.stat().st_size
        sha256 = file_sha256(path) if size == file.bytes else ""
        rows = _rows(path, file) if sha256 == file.sha256 else None
    except FileNotFoundError:
        return f"{path}: the file is missing"
    except OSError as error:
        return f"{path}: cannot be read: {error.strerror}"
    except DataError as error:
        return str(error)
    for what, found, stated in (
        ("bytes", size, file.bytes),
        ("sha256", sha256, file.sha256),
        ("rows", rows, file.rows if isinstance(file, DataFile) else None),
    ):
        if found != stated:
            return f"{path}: {what} {found}, the manifest says {stated}"
    return None


def _rows(path: Path, file: DataFile | InstrumentFile) -> int | None:
    if not isinstance(file, DataFile):
        return None
    return int(CatalogFile.open(path).parquet.metadata.num_rows)
