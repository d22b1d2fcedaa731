"""Adding new rows to a dataset: new files and a new manifest, nothing rewritten."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from trading_runtime.canonical import digest
from trading_runtime.datasets.blank_sides import Sides
from trading_runtime.datasets.catalog_files import index_instrument_file
from trading_runtime.datasets.garbage import alone_in
from trading_runtime.datasets.manifest import (
    MANIFEST_NAME,
    Manifest,
    load_manifest,
)
from trading_runtime.datasets.manifest_entries import SeriesOrigin
from trading_runtime.datasets.manifest_index import MANIFESTS_FOLDER
from trading_runtime.datasets.prepare import (
    make_all,
    series_origins,
    series_sources,
)
from trading_runtime.datasets.quality_gate import excluded_days
from trading_runtime.datasets.series_making import QUARANTINE
from trading_runtime.datasets.stored_rows import StoredRows
from trading_runtime.errors import DataError, UsageError
from trading_runtime.storage.folders import open_folder
from trading_runtime.storage.object_store import version_of
from trading_runtime.storage.scratch import Scratch

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from trading_runtime.datasets.data_file import LoadedPreparation
    from trading_runtime.datasets.instrument_facts import InstrumentFacts
    from trading_runtime.datasets.manifest_entries import DataFile, Gap, SeriesEntry
    from trading_runtime.datasets.prepare import InstrumentWriter
    from trading_runtime.datasets.series_making import MadeSeries
    from trading_runtime.datasets.series_rows import SeriesSource
    from trading_runtime.storage.object_store import ObjectStore

type _Key = tuple[str, str]


@dataclass(frozen=True)
class Appended:
    """The result of an append."""

    manifest: Manifest
    rows: int
    """Rows that were added."""
    known: int
    """Rows of new files that the dataset already had."""


def append(
    loaded: LoadedPreparation,
    instruments: Mapping[str, InstrumentFacts],
    write_instruments: InstrumentWriter,
    place: str | Path,
) -> Appended:
    """Add to the dataset at ``place``, a folder or an address in S3, the new rows of raw files.

    Raw files whose bytes were read before are skipped. Raises ``DataError`` for rows that are
    refused, that came late or were changed; ``UsageError`` when the settings are not those that the
    dataset was made with, or another process is changing the dataset. In these cases nothing is
    added.
    """
    store = open_folder(str(place))
    with alone_in(store):
        return _append(loaded, instruments, write_instruments, place, store)


def _append(
    loaded: LoadedPreparation,
    instruments: Mapping[str, InstrumentFacts],
    write_instruments: InstrumentWriter,
    place: str | Path,
    store: ObjectStore,
) -> Appended:
    version = version_of(store, MANIFEST_NAME) or ""
    manifest = load_manifest(place)
    sources = series_sources(loaded, instruments)
    entries = manifest.with_raw_files().series_entries
    origins = series_origins(sources)
    _check_settings(store.url, manifest, sources, origins, entries)
    new: list[SeriesSource] = []
    new_origins: list[SeriesOrigin] = []
    for source, origin in zip(sources, origins, strict=True):
        entry = entries.get(_key(source))
        known = set() if entry is None else {file.sha256 for file in entry.files}
        # A name may be that of files in several folders, so both lists are gone through together.
        paths = dict.fromkeys(file.path for file in source.files)
        fresh = {
            path: file
            for path, file in zip(paths, origin.files, strict=True)
            if file.sha256 not in known
        }
        if fresh:
            files = [file for file in source.files if file.path in fresh]
            sides = Sides(None if entry is None else entry.last_sides)
            new.append(replace(source, files=files, sides=sides))
            new_origins.append(SeriesOrigin(origin.settings, tuple(fresh.values())))
    if not new:
        return Appended(manifest, 0, 0)
    stored = [_stored(source, store, manifest, entries) for source in new]
    with Scratch() as scratch:
        partial = scratch.path
        made = make_all(new, partial, stored)
        grown = _grown(
            *(manifest, entries, new, new_origins, made),
            partial=partial,
            write_instruments=write_instruments,
        )
        grown = _put_in_place(partial, store, manifest, grown, version)
    rows, known_rows = sum(item.rows for item in made), sum(item.known for item in made)
    return Appended(grown, rows, known_rows)


def _key(source: SeriesSource) -> _Key:
    return source.series.type, source.identifier


def _check_settings(
    folder: str,
    manifest: Manifest,
    sources: Sequence[SeriesSource],
    origins: Sequence[SeriesOrigin],
    entries: Mapping[_Key, SeriesEntry],
) -> None:
    definitions = {item.id: item for item in manifest.instruments}
    if not entries:
        raise UsageError(
            f"{folder}: was not made from raw files by this project, so it does not say how they "
            "are read; make a dataset with 'data prepare' or 'data import'"
        )
    for source, origin in zip(sources, origins, strict=True):
        known = entries.get(_key(source))
        if known is not None and known.settings != origin.settings:
            then, now = known.settings, origin.settings
            differing = sorted(key for key in {**then, **now} if then.get(key) != now.get(key))
            raise UsageError(
                f"{folder}: {source.series.type} of {source.identifier} were made with other "
                f"settings ({', '.join(differing)}); append with the same, or give another folder"
            )
        name = source.instrument.id
        if definitions.get(name, source.instrument.definition) != source.instrument.definition:
            raise UsageError(
                f"{folder}: {name} is defined otherwise there; append with the same definition, "
                "or give another folder"
            )


def _stored(
    source: SeriesSource,
    store: ObjectStore,
    manifest: Manifest,
    entries: Mapping[_Key, SeriesEntry],
) -> StoredRows | None:
    files = manifest.files_of([_key(source)])
    entry = entries.get(_key(source))
    if not files:
        return None
    if entry is None:
        return StoredRows(source, store, files)
    excluded = {item.day for item in entry.quarantined}
    return StoredRows(source, store, files, excluded, sum(entry.dropped.values()))


def _grown(  # noqa: PLR0913 - everything a manifest is made of
    manifest: Manifest,
    entries: Mapping[_Key, SeriesEntry],
    sources: Sequence[SeriesSource],
    origins: Sequence[SeriesOrigin],
    made: Sequence[MadeSeries],
    *,
    partial: Path,
    write_instruments: InstrumentWriter,
) -> Manifest:
    grown = dict(entries)
    files: list[DataFile] = []
    gaps: list[Gap] = []
    for source, origin, series in zip(sources, origins, made, strict=True):
        files += series.files
        gaps += series.gaps.listed
        before = grown.get(_key(source))
        entry = series.entry(origin, source.identifier)
        if before is not None:
            days = excluded_days(before.quarantined, entry.quarantined, series.admitted)
            entry = before.plus(entry, days)
        grown[_key(source)] = entry
    definitions = {item.id: item for item in manifest.instruments}
    fresh = {source.instrument.id: source.instrument.definition for source in sources}
    missing = [fresh[name] for name in sorted(fresh) if name not in definitions]
    written = [index_instrument_file(path, partial) for path in write_instruments(partial, missing)]
    definitions |= fresh
    series_entries = [entry.to_document() for entry in grown.values()]
    made_from = {
        "version": manifest.source["version"],
        "series": [
            {"settings": item["settings"], "files": item.get("files", [])}
            for item in series_entries
        ],
        "instruments": {name: item.content for name, item in definitions.items()},
    }
    return manifest.model_copy(
        update={
            # Without a new row the digest stays, and no manifest is its own parent.
            "parent": manifest.digest if files or missing else manifest.parent,
            "instruments": tuple(definitions[name] for name in sorted(definitions)),
            "instrument_files": tuple(
                sorted((*manifest.instrument_files, *written), key=lambda file: file.path)
            ),
            **manifest.plus(files, gaps),
            "source": manifest.source | {"digest": digest(made_from), "series": series_entries},
        }
    )


def _put_in_place(
    partial: Path, store: ObjectStore, old: Manifest, new: Manifest, version: str
) -> Manifest:
    """Put new files beside the existing ones, then replace the manifest if it is still ``version``.

    Returns the manifest as it is stored.
    """
    named = {file.path for file in old.files} | {file.path for file in old.instrument_files}
    for path in sorted(partial.rglob("*")):
        if not path.is_file():
            continue
        name, content = path.relative_to(partial).as_posix(), path.read_bytes()
        if name.startswith(f"{QUARANTINE}/"):
            # No two appends are made from the same files, and one that is repeated is.
            store.write(f"{name.removesuffix('.csv')}-{new.source['digest'][:12]}.csv", content)
            continue
        if store.create(name, content) is None:
            _put_over(store, name, content, is_named=name in named)
    if new.parent != old.parent:
        store.write(f"{MANIFESTS_FOLDER}/{old.digest}.json", old.to_json().encode())
    stored, tables = new.to_store()
    for name, content in tables.items():
        store.write(name, content)
    if store.replace(MANIFEST_NAME, stored.to_json().encode(), version) is None:
        raise DataError(f"{store.url}: was changed meanwhile; append again")
    return stored


def _put_over(store: ObjectStore, name: str, content: bytes, *, is_named: bool) -> None:
    """Write a file that is there; raises ``DataError`` when it may be that of another append."""
    if store.read(name) != content and (is_named or not store.has_file_locks):
        when = "" if store.has_file_locks else " (once it is 24 hours old)"
        raise DataError(
            f"{store.url}/{name}: is there with other content and is left alone; if an append "
            f"that was killed left it, remove it{when} with 'trading-runtime data gc "
            f"{store.url} --delete', and append again"
        )
    if not is_named:
        # A killed append left it. Even the same content is written: 'data gc' removes what is old.
        store.write(name, content)
