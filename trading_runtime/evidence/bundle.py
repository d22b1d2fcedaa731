"""Evidence of a run as one archive: packed, and unpacked without trusting its content.

A bundle is a zip file without compression, laid out as a results folder: ``runs/<run_id>/…``,
``tasks/…``, and before them ``evidence.json``, which lists every file with size and sha256.

Only what ``bundle_run`` writes is accepted: plain files without compression under plain relative
names, each listed with size and sha256, no more of them and no larger than the bounds below.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
import struct
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from trading_runtime.errors import DataError, UsageError
from trading_runtime.records.forms import read_as, to_document
from trading_runtime.records.metadata import read_metadata
from trading_runtime.records.plan import read_plan
from trading_runtime.records.result import read_result
from trading_runtime.records.seal import run_paths
from trading_runtime.runs.opening import check_run_id
from trading_runtime.storage.files import open_regular, storage_errors

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from trading_runtime.records.plan import Plan
    from trading_runtime.records.run_files import RunFiles
    from trading_runtime.results.store import Store


LISTING = "evidence.json"
FORMAT = 1
SUFFIX = ".evidence.zip"
_MODE = 0o644
_REGULAR = 0o100000
_UNIX = 3
_FIRST_DAY = (1980, 1, 1, 0, 0, 0)
"""The earliest time a zip file can state: when a file was written proves nothing."""
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Bundle:
    """A written archive."""

    path: Path
    sha256: str
    bytes: int
    files: int
    tasks: int


@dataclass(frozen=True, slots=True)
class ListedFile:
    """What ``evidence.json`` states of a file."""

    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class EvidenceListing:
    """The content of ``evidence.json``."""

    run_id: str
    files: Mapping[str, ListedFile]
    """The listed files by their names in the archive."""
    content: Mapping[str, Any]
    """All of it as it was read, to be compared with what follows from the run."""


def bundle_run(store: Store, files: RunFiles, target: Path) -> Bundle:
    """Write the bundle of a run to ``target``: its files, and the results of its plan's tasks.

    Logs, which no seal covers, stay out: they prove nothing, and a program may print anything.
    The run must not be running. Raises ``UsageError`` when it has no plan, ``DataError`` when a
    file changes in the meantime or a result is damaged, ``StorageError`` when ``target`` cannot be
    written.
    """
    plan = read_plan(files.plan)
    tasks = [task_id for task_id in plan.task_ids if store.has_task(task_id)]
    paths = {
        f"runs/{files.folder.name}/{name}": path
        for name, path in run_paths(files)
        if not files.is_unsealed(path) and not path.is_symlink()
    }
    for task_id in tasks:
        store.read_task(task_id)
        folder = store.task(task_id)
        for path in sorted(folder.iterdir()):
            paths[f"tasks/{task_id[:2]}/{task_id}/{path.name}"] = path
    listed = {name: _facts(paths[name]) for name in sorted(paths)}
    listing = _listing_bytes(listing_content(files, plan, listed))
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    with storage_errors(target):
        try:
            _write(temporary, listing, paths, listed)
            facts = _facts(temporary)
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)
    return Bundle(target, facts.sha256, facts.bytes, len(listed), len(tasks))


def _facts(path: Path) -> ListedFile:
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        return ListedFile(file.tell(), sha256)


def listing_content(
    files: RunFiles, plan: Plan, listed: Mapping[str, ListedFile]
) -> dict[str, Any]:
    """Return the ``evidence.json`` of a run and the files that are ``listed``."""
    metadata, result = read_metadata(files), read_result(files)
    common = plan.common
    return {
        "format": FORMAT,
        "run_id": files.folder.name,
        "status": metadata and metadata.status,
        "run_digest": result and result.run_digest,
        "environment": {
            "engine": common.engine,
            "python": common.python,
            "system": common.system,
            "machine": common.machine,
            "packages": common.packages,
            "code": to_document(common.code),
            "image": metadata and metadata.image,
        },
        "files": {name: to_document(facts) for name, facts in listed.items()},
    }


def _listing_bytes(content: Mapping[str, Any]) -> bytes:
    return (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode()


def _write(
    target: Path,
    listing: bytes,
    paths: Mapping[str, Path],
    listed: Mapping[str, ListedFile],
) -> None:
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED, strict_timestamps=True) as archive:
        archive.writestr(_entry(LISTING, len(listing)), listing)
        for name, facts in listed.items():
            sha256 = hashlib.sha256()
            entry = _entry(name, facts.bytes)
            with paths[name].open("rb") as source, archive.open(entry, "w") as member:
                while chunk := source.read(_CHUNK):
                    sha256.update(chunk)
                    member.write(chunk)
            if sha256.hexdigest() != facts.sha256:
                raise DataError(f"{paths[name]}: changed while it was bundled; do it again")


def is_as_written(path: Path, listing: EvidenceListing, folder: Path) -> bool:
    """Return whether a bundle has no byte other than those of its files, which are in ``folder``.

    The same content gives the same bytes: it is written again, and compared.
    """
    again = folder / ".again.zip"
    paths = {name: folder / name for name in listing.files}
    with storage_errors(again):
        _write(again, _listing_bytes(listing.content), paths, listing.files)
    same = _facts(again) == _facts(path)
    again.unlink()
    return same


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


MOST_FILES = 700_000
"""Seven files of each of 100,000 tasks."""
MOST_BYTES = 64 << 30
_MOST_LISTING_BYTES = 256 << 20
_MOST_DIRECTORY_BYTES = 160 << 20
_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}")
_MOST_PARTS = 8
_END = struct.Struct("<4s4H2LH")
_LOCATOR = struct.Struct("<4sLQL")
_LARGE_END = struct.Struct("<4sQ2H2L4Q")
_ENCRYPTED = 0x1


def unpack(path: Path, target: Path) -> EvidenceListing:
    """Write the files of a bundle below ``target``, and return what ``evidence.json`` states.

    Raises ``UsageError`` when ``path`` is not a file, ``DataError`` when it is not a bundle as the
    runtime writes them, or a file in it differs from the listing.
    """
    if not path.is_file():
        raise UsageError(f"{path}: there is no such file; give a bundle of 'evidence bundle'")
    try:
        _check_directory(path)
        with zipfile.ZipFile(path) as archive:
            entries = {entry.filename: entry for entry in archive.infolist()}
            _check_entries(archive.infolist(), entries, path.stat().st_size)
            listing = _read_listing(archive, entries)
            _check_listed(listing, entries)
            for name, facts in listing.files.items():
                _unpack_file(archive, entries[name], facts, target)
    except _RefusedError as error:
        raise DataError(f"{path}: {error}; get the bundle again from where it was made") from error
    except (zipfile.BadZipFile, ValueError, KeyError, TypeError, EOFError, struct.error) as error:
        raise DataError(f"{path}: damaged, or no bundle of evidence: {error}") from error
    except (NotImplementedError, RuntimeError, RecursionError, OSError) as error:
        raise DataError(f"{path}: no bundle of evidence: {error}") from error
    return listing


class _RefusedError(Exception):
    """What is wrong with an archive, without its path."""


def _check_directory(path: Path) -> None:
    """Refuse a directory that is too large before anything reads it into memory."""
    tail_size = _END.size + _LOCATOR.size + _LARGE_END.size
    with os.fdopen(open_regular(path), "rb") as file:
        size = file.seek(0, 2)
        if size > MOST_BYTES:
            raise _RefusedError(
                f"{size:,} bytes are more than the {MOST_BYTES:,} that are accepted"
            )
        file.seek(max(0, size - tail_size))
        tail = file.read()
    end = _END.unpack(tail[-_END.size :])
    if end[0] != b"PK\x05\x06" or end[-1] != 0:
        raise _RefusedError("it is no zip file, or has a comment or something else at its end")
    directory, count = end[5], end[4]
    if len(tail) == tail_size:
        locator = _LOCATOR.unpack(tail[-_END.size - _LOCATOR.size : -_END.size])
        if locator[0] == b"PK\x06\x07":
            large = _LARGE_END.unpack(tail[: _LARGE_END.size])
            directory, count = max(directory % 0xFFFFFFFF, large[8]), max(count % 0xFFFF, large[7])
    if directory > _MOST_DIRECTORY_BYTES or count > MOST_FILES:
        raise _RefusedError(f"{count:,} files are more than the {MOST_FILES:,} that are accepted")


def _check_entries(
    order: list[zipfile.ZipInfo], entries: dict[str, zipfile.ZipInfo], size: int
) -> None:
    if len(order) > MOST_FILES:
        raise _RefusedError(f"{len(order):,} files are more than the {MOST_FILES:,} accepted")
    if len(entries) != len(order):
        raise _RefusedError("two files have one name")
    if not order or order[0].filename != LISTING:
        raise _RefusedError(f"its first file is not {LISTING}")
    for entry in order:
        name = entry.orig_filename
        parts = name.split("/")
        if len(parts) > _MOST_PARTS or not all(_PART.fullmatch(part) for part in parts):
            raise _RefusedError(f"{name[:80]!r} is no name for a file of a bundle")
        mode = entry.external_attr >> 16
        if entry.is_dir() or not stat.S_ISREG(mode):
            raise _RefusedError(f"{name}: it is a link, a folder or a device, not a file")
        if entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits & _ENCRYPTED:
            raise _RefusedError(f"{name}: it is compressed or encrypted")
        if entry.file_size != entry.compress_size:
            raise _RefusedError(f"{name}: its sizes contradict each other")
    if sum(entry.file_size for entry in order) > size:
        raise _RefusedError("its files overlap: they are larger than the archive")


def _read_listing(archive: zipfile.ZipFile, entries: dict[str, zipfile.ZipInfo]) -> EvidenceListing:
    entry = entries[LISTING]
    if entry.file_size > _MOST_LISTING_BYTES:
        raise _RefusedError(f"{LISTING} is too large")
    content = json.loads(archive.read(entry))
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise _RefusedError(f"{LISTING}: format is not {FORMAT}, the one that is known here")
    if not isinstance(content.get("files"), dict):
        raise _RefusedError(f"{LISTING}: it lists no files")
    run_id = str(content.get("run_id"))
    try:
        check_run_id(run_id)
    except UsageError as error:
        raise _RefusedError(f"{LISTING}: {error}") from error
    files = {
        name: read_as(ListedFile, facts, f"files.{name}")
        for name, facts in content["files"].items()
    }
    return EvidenceListing(run_id, files, content)


def _check_listed(listing: EvidenceListing, entries: dict[str, zipfile.ZipInfo]) -> None:
    listed, stored = set(listing.files), entries.keys() - {LISTING}
    if missing := sorted(listed - stored):
        raise _RefusedError(f"{missing[0]}: it is listed, and not there")
    if extra := sorted(stored - listed):
        raise _RefusedError(f"{extra[0]}: it is there, and not listed")
    run = f"runs/{listing.run_id}/"
    for name in sorted(listed):
        if not name.startswith((run, "tasks/")):
            raise _RefusedError(f"{name}: it belongs to no part of a bundle")


def _unpack_file(
    archive: zipfile.ZipFile, entry: zipfile.ZipInfo, facts: ListedFile, target: Path
) -> None:
    path = target / entry.filename
    sha256 = hashlib.sha256()
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with archive.open(entry) as source, path.open("xb") as copy:
            while chunk := source.read(_CHUNK):
                sha256.update(chunk)
                copy.write(chunk)
    if entry.file_size != facts.bytes or sha256.hexdigest() != facts.sha256:
        raise _RefusedError(f"{entry.filename}: its sha256 is not the listed one: it was changed")
