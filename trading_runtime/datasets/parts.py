"""A dataset made in parts: each series by itself, by one process or by many pods, then a manifest.

The files of a series do not depend on others, so the dataset is the same byte for byte, however
many machines make it. It is complete when its manifest is there, which is written last.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence  # noqa: TC003 - read from the annotations of records
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from trading_runtime.datasets.manifest import MANIFEST_NAME, Manifest, read_manifest
from trading_runtime.datasets.manifest_entries import DataFile, Gap, SeriesEntry
from trading_runtime.datasets.prepare import (
    InstrumentWriter,
    assembled,
    series_origins,
    series_sources,
    source_of,
)
from trading_runtime.datasets.raw_files import find_files
from trading_runtime.datasets.series_making import make_series
from trading_runtime.errors import DataError, IncompleteError, UsageError
from trading_runtime.records.forms import read_as, to_document
from trading_runtime.storage.scratch import Scratch

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from trading_runtime.datasets.data_file import LoadedPreparation
    from trading_runtime.datasets.instrument_facts import InstrumentFacts
    from trading_runtime.datasets.series_rows import SeriesSource
    from trading_runtime.storage.object_store import ObjectStore

_PARTS = "parts"
_PLAN = f"{_PARTS}/plan.json"
_MISSING = f"{_PARTS}/missing.json"
_MOST_SHOWN = 200


@dataclass(frozen=True)
class PartedPreparation:
    """A preparation whose parts, and then manifest, go to ``store``."""

    loaded: LoadedPreparation
    instruments: Mapping[str, InstrumentFacts]
    store: ObjectStore
    """The dataset's folder, or its address in S3."""

    def plan(self) -> int:
        """Write down which raw files each series is made from; return the number of parts.

        What an earlier preparation left unfinished is dropped.
        """
        sources = series_sources(self.loaded, self.instruments)
        self._remove_parts()
        self._write(
            _PLAN, _Planned([[str(file.path) for file in source.files] for source in sources])
        )
        return len(sources)

    def make(self, number: int) -> int:
        """Make part ``number``, counted from 0, unless it is there; return its rows.

        Raises ``DataError`` for raw data that is refused, which is also kept for ``finish``.
        """
        names = self._planned()
        if not 0 <= number < len(names):
            raise UsageError(
                f"{self.store.url}: there is no part {number}; there are {len(names)}, from 0"
            )
        if self.store.has(_part(number)):
            return 0
        wanted = set(names[number])
        source = series_sources(self.loaded, self.instruments, with_files=False)[number]
        found = find_files(self.loaded.inputs(source.series))
        source = replace(source, files=[file for file in found if str(file.path) in wanted])
        with Scratch() as scratch:
            try:
                rows = self._make(source, number, scratch.path)
            except (DataError, UsageError) as error:
                self.store.write(_fault(number), str(error).encode())
                raise
        self.store.remove(_fault(number))
        return rows

    def _make(self, source: SeriesSource, number: int, folder: Path) -> int:
        [origin] = series_origins([source])
        made = make_series(source, folder)
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                self._put(path.relative_to(folder).as_posix(), path.read_bytes())
        part = _Made(
            series=made.entry(origin, source.identifier).to_document(),
            files=[file.model_dump(mode="json") for file in made.files],
            gaps=[gap.model_dump(mode="json") for gap in made.gaps.listed],
        )
        self._write(_part(number), part)
        return made.rows

    def _put(self, name: str, content: bytes) -> None:
        """Write a file of the dataset; one with other content may belong to another dataset."""
        if self.store.create(name, content) is None and self.store.read(name) != content:
            raise UsageError(
                f"{self.store.url}/{name}: is there with other content and is left alone; give "
                "another address, or remove what an unfinished preparation left"
            )

    def check(self) -> list[int]:
        """Write down which parts were neither made nor refused, and return them."""
        missing = _missing(len(self._planned()), self.store.sizes(_PARTS))
        self._write(_MISSING, _Missing(missing))
        return missing

    def found_missing(self, index: int) -> int:
        """Return a part that ``check`` found missing, by its place among them.

        Raises ``DataError`` when what ``check`` wrote down is damaged.
        """
        missing = self._read(_MISSING, _Missing).series
        if not 0 <= index < len(missing):
            raise UsageError(
                f"{self.store.url}: 'check' found {len(missing)} parts missing; there is no "
                f"number {index} among them, counted from 0"
            )
        return missing[index]

    def finish(self, write_instruments: InstrumentWriter) -> Manifest:
        """Write the manifest over all parts, and return it.

        Raises ``DataError`` with everything that was refused in any part, ``IncompleteError`` when
        one is missing, ``UsageError`` when another dataset is there. No manifest is written then.
        A damaged part is a ``DataError``, too.
        """
        count = len(self._planned())
        there = self.store.sizes(_PARTS)
        faults = [
            self.store.read(_fault(number)).decode(errors="replace")
            for number in range(count)
            if _fault(number) in there
        ]
        if faults:
            raise DataError("\n".join(faults))
        if missing := _missing(count, there):
            raise IncompleteError(
                f"{self.store.url}: {len(missing)} of {count} parts are missing "
                f"({', '.join(map(str, missing[:5]))}); make them, then finish again"
            )
        parts = [self._read(_part(number), _Made) for number in range(count)]
        try:
            manifest = self._manifest(parts, write_instruments)
        except (ValueError, KeyError, TypeError) as error:
            raise self._damaged(_PARTS, error) from error
        stored, tables = manifest.to_store()
        for name, content in tables.items():
            self._put(name, content)
        if self.store.create(MANIFEST_NAME, stored.to_json().encode()) is None:
            self._refuse_other(manifest)
        self._remove_parts()
        return manifest

    def _remove_parts(self) -> None:
        for name in self.store.sizes(_PARTS):
            self.store.remove(name)

    def _manifest(self, parts: list[_Made], write_instruments: InstrumentWriter) -> Manifest:
        sources = series_sources(self.loaded, self.instruments, with_files=False)
        entries = [read_as(SeriesEntry, part.series) for part in parts]
        with Scratch() as scratch:
            manifest = assembled(
                sources,
                {
                    **source_of(sources, [entry.origin for entry in entries]),
                    "series": [entry.to_document() for entry in entries],
                },
                _items(DataFile, [file for part in parts for file in part.files]),
                _items(Gap, [gap for part in parts for gap in part.gaps]),
                written=(write_instruments, scratch.path),
            )
            for file in manifest.instrument_files:
                self._put(file.path, (scratch.path / file.path).read_bytes())
        return manifest

    def _refuse_other(self, manifest: Manifest) -> None:
        where = f"{self.store.url}/{MANIFEST_NAME}"
        text = self.store.read(MANIFEST_NAME).decode()
        existing = read_manifest(text, where, self.store.read)
        if existing.digest != manifest.digest:
            raise UsageError(
                f"{self.store.url}: holds another dataset (digest {existing.digest[:12]}, this one "
                f"{manifest.digest[:12]}); give another address"
            )

    def _planned(self) -> Sequence[Sequence[str]]:
        try:
            return self._read(_PLAN, _Planned).series
        except FileNotFoundError as error:
            raise UsageError(
                f"{self.store.url}: no preparation was planned there; run the step 'plan' first"
            ) from error

    def _write(self, name: str, record: _Planned | _Missing | _Made) -> None:
        self.store.write(name, json.dumps(to_document(record)).encode())

    def _read[Stored: (_Planned, _Missing, _Made)](self, name: str, form: type[Stored]) -> Stored:
        try:
            return read_as(form, json.loads(self.store.read(name)))
        except (ValueError, RecursionError) as error:
            raise self._damaged(name, error) from error

    def _damaged(self, name: str, error: Exception) -> DataError:
        why = " ".join(str(error).split())[:_MOST_SHOWN]
        return DataError(
            f"{self.store.url}/{name}: damaged: {why}; prepare the dataset again from 'plan' on"
        )


@dataclass(frozen=True)
class _Planned:
    series: Sequence[Sequence[str]]
    """The raw files of each."""


@dataclass(frozen=True)
class _Missing:
    series: Sequence[int]


@dataclass(frozen=True)
class _Made:
    series: Mapping[str, Any]
    files: Sequence[Mapping[str, Any]]
    gaps: Sequence[Mapping[str, Any]]


def _items[Item: (DataFile, Gap)](kind: type[Item], items: list[Mapping[str, Any]]) -> list[Item]:
    return [kind.model_validate_json(json.dumps(item)) for item in items]


def _missing(count: int, there: Collection[str]) -> list[int]:
    """Return which of ``count`` parts are neither made nor refused among the files ``there``."""
    return [
        number
        for number in range(count)
        if _part(number) not in there and _fault(number) not in there
    ]


def _part(number: int) -> str:
    return f"{_PARTS}/{number}.json"


def _fault(number: int) -> str:
    return f"{_PARTS}/{number}.refused"
