"""Packs: what a summary reads of the tasks of one batch, in one object.

In S3 every file of a result is an object, and a summary of 100,000 tasks would request 600,000 of
them. So a pod that has computed a batch reads its results back, verifies every file of each, and
writes a pack. A pack is a copy and decides nothing: a summary uses what it has of a task only if
the stored objects are still the ones that were verified (their names, sizes and tags, as listed),
and verifies it against the manifest and the task id like everything else that it reads.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import itertools
import json
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from trading_runtime.canonical import canonical_json
from trading_runtime.errors import DataError
from trading_runtime.records.forms import read_as, to_document
from trading_runtime.records.task_manifest import MANIFEST
from trading_runtime.storage.object_store import MissingError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from trading_runtime.storage.object_store import ObjectStore

PACKS = "packs"
"""The folder of all packs in a store; each plan has its own, named by the plan's digest."""
PACKED = (MANIFEST, "summary.json", "equity.parquet", "positions.parquet")
"""The files of a result that a summary reads."""
_LEVEL = 1
"""Of compression: higher levels take several times as long for a tenth fewer bytes."""
_CONNECTIONS = 16
_LARGE_BYTES = 8_000_000
"""A pack with this many bytes of files is stored, and another one is begun."""


class PackedTask(NamedTuple):
    """A result as it is packed."""

    task_id: str
    stamp: str
    """Identifies its stored objects (see ``stamp_of``)."""
    files: Mapping[str, bytes]
    """Its files by name; those that are not in ``PACKED`` are left out."""


@dataclass(frozen=True)
class _Entry:
    """A task in the header of a pack."""

    task_id: str
    stamp: str
    sizes: tuple[int, ...]
    """The bytes of each of its files, in the order of ``PACKED``."""


@dataclass(frozen=True)
class _Header:
    """The first line of a pack; the files follow, one after another."""

    tasks: tuple[_Entry, ...]


def stamp_of(objects: Iterable[tuple[str, int, str]]) -> str:
    """Return what identifies the objects of a result, given the name, size and tag of each.

    A storage gives an object another tag when its content changes.
    """
    lines = sorted(f"{name} {size} {tag}\n" for name, size, tag in objects)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def write_packs(objects: ObjectStore, plan_digest: str, tasks: Iterable[PackedTask]) -> None:
    """Store packs of these tasks, each named by the sha256 of its content."""
    entries: list[_Entry] = []
    body: list[bytes] = []
    for task in tasks:
        contents = [task.files[name] for name in PACKED]
        entries.append(_Entry(task.task_id, task.stamp, tuple(map(len, contents))))
        body += contents
        if sum(map(len, body)) >= _LARGE_BYTES:
            _write(objects, plan_digest, entries, body)
            entries, body = [], []
    if entries:
        _write(objects, plan_digest, entries, body)


def _write(
    objects: ObjectStore, plan_digest: str, entries: list[_Entry], body: list[bytes]
) -> None:
    header = canonical_json(to_document(_Header(tuple(entries))))
    content = zlib.compress(header + b"\n" + b"".join(body), _LEVEL)
    name = hashlib.sha256(content).hexdigest()
    objects.create(f"{PACKS}/{plan_digest}/{name}", content)


class UnpackedTasks:
    """The results in a plan's packs, by task id, in one file: they are too large for memory."""

    def __init__(self, file: Path) -> None:
        """``file`` is written; it has to stay as long as this object."""
        self._file = file
        self._places: dict[str, tuple[str, int, tuple[int, ...]]] = {}
        """By task id: the stamp, where the files begin, and the bytes of each."""

    def fetch(
        self, objects: ObjectStore, plan_digest: str, stamp: Callable[[str], str | None]
    ) -> None:
        """Fetch the packs of a plan, and keep the tasks that have the ``stamp`` of their id.

        What is damaged is left out: these tasks are then read from their own objects.
        """
        self._file.parent.mkdir(parents=True, exist_ok=True)
        names = sorted(objects.sizes(f"{PACKS}/{plan_digest}/"))
        with self._file.open("wb") as file, ThreadPoolExecutor(_CONNECTIONS) as threads:
            for some in itertools.batched(names, _CONNECTIONS, strict=False):
                for content in threads.map(functools.partial(_unpacked, objects), some):
                    header, _, body = content.partition(b"\n")
                    with contextlib.suppress(ValueError, RecursionError):
                        self._add(_entries(header, len(body)), file.tell(), stamp)
                        file.write(body)

    def _add(
        self, entries: Iterable[_Entry], start: int, stamp: Callable[[str], str | None]
    ) -> None:
        for entry in entries:
            known = stamp(entry.task_id)
            if known == entry.stamp:
                # With 100,000 tasks a second copy of the stamp counts.
                self._places[entry.task_id] = (known, start, entry.sizes)
            start += sum(entry.sizes)

    def has(self, task_id: str, stamp: str | None) -> bool:
        """Return whether a result with this stamp is packed."""
        return task_id in self._places and self._places[task_id][0] == stamp

    def read(self, task_id: str) -> dict[str, bytes]:
        """Return the files of a result that is packed, unverified."""
        _, start, sizes = self._places[task_id]
        with self._file.open("rb") as file:
            file.seek(start)
            return {name: file.read(size) for name, size in zip(PACKED, sizes, strict=True)}


def _entries(header: bytes, size: int) -> tuple[_Entry, ...]:
    """Return the tasks of a pack whose files have ``size`` bytes; ``ValueError`` if it is none."""
    entries = read_as(_Header, json.loads(header)).tasks
    if any(len(entry.sizes) != len(PACKED) for entry in entries):
        raise ValueError("a task has other files")
    if sum(sum(entry.sizes) for entry in entries) != size:
        raise ValueError("it is not whole")
    return entries


def _unpacked(objects: ObjectStore, name: str) -> bytes:
    with contextlib.suppress(DataError, MissingError, zlib.error):
        return zlib.decompress(objects.read(name))
    return b""
