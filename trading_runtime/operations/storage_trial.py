"""Try a place of results out: write there, read it back, compare clocks, and leave nothing."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass
from pathlib import Path

from trading_runtime.errors import StorageError
from trading_runtime.object_storage import S3Folder, is_s3
from trading_runtime.results.files import storage_errors


@dataclass(frozen=True)
class StorageTrial:
    """What a trial found."""

    seconds: float
    skew_seconds: float
    """The storage's clock minus this machine's."""


def try_storage(place: str, name: str) -> StorageTrial:
    """Write an object ``name`` in ``place``, read it back and remove it.

    Raises ``StorageError`` when that cannot be done or other bytes come back, ``TransientError``
    when the storage cannot be reached.
    """
    content = uuid.uuid4().bytes
    started = time.perf_counter()
    before = time.time()
    found, written = (_in_s3 if is_s3(place) else _on_disk)(place, name, content)
    after = time.time()
    if found != content:
        raise StorageError(f"{place}: what was written came back changed")
    # The storage's time lies between the two, unless its clock differs.
    skew = min(0.0, written - before) + max(0.0, written - after)
    return StorageTrial(time.perf_counter() - started, skew)


def _on_disk(place: str, name: str, content: bytes) -> tuple[bytes, float]:
    path = Path(place) / name
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            path.write_bytes(content)
            return path.read_bytes(), path.stat().st_mtime
        finally:
            path.unlink(missing_ok=True)


def _in_s3(place: str, name: str, content: bytes) -> tuple[bytes, float]:
    objects = S3Folder(place)
    objects.write(name, content)
    try:
        return objects.read(name), objects.written(name)
    finally:
        objects.remove(name)
