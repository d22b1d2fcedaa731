"""Verifying a dataset: every file's bytes against the sha256 in the manifest."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from trading_runtime.datasets.catalog_files import CatalogFile
from trading_runtime.datasets.manifest import (
    MANIFESTS_FOLDER,
    DataFile,
    DataType,
    InstrumentFile,
    Manifest,
    load_manifest,
    read_manifest,
)
from trading_runtime.errors import DataError
from trading_runtime.storage.files import MOST_DOCUMENT, file_sha256, text_of_file


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
    files: list[DataFile | InstrumentFile] = [*manifest.instrument_files, *manifest.files]
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        found = list(pool.map(lambda file: _damage(folder, file), files))
    extra = unnamed_files(folder, manifest)
    damages = [damage for damage in found if damage is not None]
    damages += [
        f"{folder / path}: is not in the manifest; 'trading-runtime data gc' removes it, "
        "'trading-runtime data adopt' makes the manifest again"
        for path in extra
    ]
    damages += _chain(folder, manifest)
    return Verification(manifest, tuple(damages), len(files), sum(file.bytes for file in files))


def unnamed_files(folder: Path, manifest: Manifest) -> list[str]:
    """Return the files of market data and instruments that the manifest does not name."""
    known = {file.path for file in manifest.files}
    known |= {file.path for file in manifest.instrument_files}
    folders = {Path(path).parts[1] for path in known} | set(DataType)
    return sorted(
        path
        for kind in folders
        for path in (
            found.relative_to(folder).as_posix()
            for found in (folder / "data" / kind).rglob("*.parquet")
        )
        if path not in known
    )


def _chain(folder: Path, manifest: Manifest) -> list[str]:
    """Return what is wrong with the dataset's manifests from before rows were added."""
    while manifest.parent is not None:
        path = folder / MANIFESTS_FOLDER / f"{manifest.parent}.json"
        try:
            parent = read_manifest(text_of_file(path, MOST_DOCUMENT), str(path))
        except FileNotFoundError:
            return [f"{path}: is missing; a run that was planned before rows were added needs it"]
        except DataError as error:
            return [str(error)]
        if parent.digest != manifest.parent:
            return [f"{path}: is the manifest {parent.digest[:12]}, not the one it is named after"]
        changed = sorted({file.path for file in parent.files} - {f.path for f in manifest.files})
        if changed:
            return [f"{path}: names {changed[0]}, which a later manifest does not"]
        manifest = parent
    return []


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
