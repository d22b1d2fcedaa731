"""Pack all that proves a run into one archive, the same bytes for the same content.

A bundle is a zip file without compression, laid out as a results folder: ``runs/<run_id>/…``,
``tasks/…``, and before them ``evidence.json``, which lists every file with size and sha256.
"""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from trading_runtime.errors import DataError, UsageError
from trading_runtime.results.files import read_json, storage_errors
from trading_runtime.results.stored_plan import read_plan

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from trading_runtime.results.store import RunFiles, Store

LISTING = "evidence.json"
FORMAT = 1
SUFFIX = ".evidence.zip"
_NOT_EVIDENCE = {"lock", "stop"}
_MODE = 0o644
_REGULAR = 0o100000
_UNIX = 3
_FIRST_DAY = (1980, 1, 1, 0, 0, 0)
"""The earliest that a zip file can say: when a file was written proves nothing."""
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Bundle:
    """An archive that was written."""

    path: Path
    sha256: str
    bytes: int
    files: int
    tasks: int


def bundle_run(store: Store, files: RunFiles, target: Path) -> Bundle:
    """Write the bundle of a run to ``target``: its files, and the results of its plan's tasks.

    The run must not be running. Raises ``UsageError`` when it has no plan, ``DataError`` when a
    file changes meanwhile or a result is damaged, ``StorageError`` when ``target`` cannot be
    written.
    """
    plan = read_plan(files)
    tasks = [item["task_id"] for item in plan["tasks"] if store.has_task(item["task_id"])]
    paths = dict(_run_paths(files))
    for task_id in tasks:
        store.read_task(task_id)
        folder = store.task(task_id)
        for path in sorted(folder.iterdir()):
            paths[f"tasks/{task_id[:2]}/{task_id}/{path.name}"] = path
    listed = {name: _facts(paths[name]) for name in sorted(paths)}
    listing = _listing(files, plan, listed)
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    with storage_errors(target):
        try:
            _write(temporary, listing, paths, listed)
            facts = _facts(temporary)
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)
    return Bundle(target, facts["sha256"], facts["bytes"], len(listed), len(tasks))


def _run_paths(files: RunFiles) -> Iterator[tuple[str, Path]]:
    for path in files.folder.rglob("*"):
        name = path.relative_to(files.folder).as_posix()
        # Names with a leading dot are what a killed writer left.
        hidden = any(part.startswith(".") for part in name.split("/"))
        if path.is_file() and not path.is_symlink() and not hidden and name not in _NOT_EVIDENCE:
            yield f"runs/{files.folder.name}/{name}", path


def _facts(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        return {"bytes": file.tell(), "sha256": sha256}


def _listing(
    files: RunFiles, plan: Mapping[str, Any], listed: Mapping[str, Mapping[str, Any]]
) -> bytes:
    metadata, result = (read_json(path) or {} for path in (files.metadata, files.result))
    common = plan["common"]
    content = {
        "format": FORMAT,
        "run_id": files.folder.name,
        "status": metadata.get("status"),
        "run_digest": result.get("run_digest"),
        "environment": {
            **{key: common[key] for key in ("engine", "python", "system", "machine", "packages")},
            "code": common["code"],
            "image": metadata.get("image"),
        },
        "files": listed,
    }
    return (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode()


def _write(
    target: Path,
    listing: bytes,
    paths: Mapping[str, Path],
    listed: Mapping[str, Mapping[str, Any]],
) -> None:
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED, strict_timestamps=True) as archive:
        archive.writestr(_entry(LISTING, len(listing)), listing)
        for name, facts in listed.items():
            sha256 = hashlib.sha256()
            entry = _entry(name, facts["bytes"])
            with paths[name].open("rb") as source, archive.open(entry, "w") as member:
                while chunk := source.read(_CHUNK):
                    sha256.update(chunk)
                    member.write(chunk)
            if sha256.hexdigest() != facts["sha256"]:
                raise DataError(f"{paths[name]}: changed while it was bundled; do it again")


def _entry(name: str, size: int) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, _FIRST_DAY)
    entry.create_system = _UNIX
    entry.external_attr = (_REGULAR | _MODE) << 16
    entry.file_size = size
    return entry


def refuse_running(run_id: str, *, running: bool) -> None:
    """Raise ``UsageError`` when a run that is to be bundled has not ended."""
    if running:
        raise UsageError(
            f"run {run_id!r} is running: what it writes would not be whole; wait for it "
            f"('trading-runtime runs watch {run_id}'), or stop it"
        )
