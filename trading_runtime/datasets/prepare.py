"""Preparing a dataset: raw files into a catalog with a manifest, all or nothing."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trading_runtime.canonical import digest
from trading_runtime.datasets.catalog_files import index_instrument_file
from trading_runtime.datasets.data_file import split_series
from trading_runtime.datasets.manifest import (
    MANIFEST_FORMAT,
    MANIFEST_NAME,
    Manifest,
    load_manifest,
)
from trading_runtime.datasets.manifest_entries import (
    DataFile,
    Gap,
    InstrumentFile,
    RawFileEntry,
    SeriesEntry,
    SeriesOrigin,
    file_order,
)
from trading_runtime.datasets.raw_content import raw_sha256
from trading_runtime.datasets.raw_files import find_files
from trading_runtime.datasets.series_making import MadeSeries
from trading_runtime.datasets.series_processes import outcomes
from trading_runtime.datasets.series_rows import SeriesSource
from trading_runtime.datasets.slices import folder_name
from trading_runtime.errors import DataError, StorageError, TradingRuntimeError, UsageError
from trading_runtime.records.instruments import InstrumentDefinition

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trading_runtime.datasets.data_file import LoadedPreparation
    from trading_runtime.datasets.gaps import Gaps
    from trading_runtime.datasets.instrument_facts import InstrumentFacts
    from trading_runtime.datasets.raw_content import RawPath
    from trading_runtime.datasets.stored_rows import StoredRows

InstrumentWriter = Callable[[Path, Sequence[InstrumentDefinition]], list[Path]]
"""Writes definitions into a catalog's folder and returns the files."""

_VERSION = 1
"""Version of what this module makes from the same input; part of detecting an outdated dataset."""


@dataclass(frozen=True)
class Prepared:
    """The result of a preparation."""

    folder: Path
    manifest: Manifest
    is_unchanged: bool
    """The folder already contained this exact dataset."""


def prepare(
    loaded: LoadedPreparation,
    instruments: Mapping[str, InstrumentFacts],
    write_instruments: InstrumentWriter,
    folder: Path,
    *,
    force: bool = False,
) -> Prepared:
    """Make the dataset that a data file describes, in ``folder``.

    Raises ``DataError`` for raw data that is refused (then nothing is left behind), ``UsageError``
    when the folder contains something else and ``force`` is not given, ``StorageError`` when it
    cannot be written.
    """
    sources = series_sources(loaded, instruments)
    origins = series_origins(sources)
    existing = _existing(folder, force=force)
    made_from = source_of(sources, origins)
    if existing is not None and existing.source.get("digest") == made_from["digest"]:
        return Prepared(folder, existing, is_unchanged=True)
    with partial_folder(folder) as (place, partial):
        manifest = _write(partial, sources, origins, made_from, write_instruments)
        if existing is not None and existing.digest == manifest.digest:
            return Prepared(folder, existing, is_unchanged=True)
        if existing is not None:
            raise UsageError(
                f"{folder}: holds another dataset (digest {existing.digest[:12]}, this one "
                f"{manifest.digest[:12]}); give another folder with --to, or --force to replace it"
            )
        _put_in_place(partial, place)
    return Prepared(folder, manifest, is_unchanged=False)


@contextlib.contextmanager
def partial_folder(folder: Path) -> Iterator[tuple[Path, Path]]:
    """Yield the resolved path of a dataset's folder, and a new folder beside it to write into.

    The new folder is removed in the end. Raises ``StorageError`` for an error of the operating
    system in the block.
    """
    place = folder.resolve()
    partial = place.with_name(f".{place.name}.{os.getpid()}.partial")
    try:
        partial.mkdir(parents=True)
        yield place, partial
    except OSError as error:
        raise StorageError(f"{folder}: cannot be written: {error.strerror or error}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def series_sources(
    loaded: LoadedPreparation,
    instruments: Mapping[str, InstrumentFacts],
    *,
    with_files: bool = True,
) -> list[SeriesSource]:
    """Return what every series is made from, one for each instrument that ``split_by`` names.

    Without ``with_files`` no raw file is looked for, and the sources have none.
    """
    sources: list[SeriesSource] = []
    for index, entry in enumerate(loaded.preparation.series):
        split = split_series(entry, instruments)
        if not split:
            raise UsageError(
                f"{loaded.path}: series[{index}].instrument: no instrument is like "
                f"{entry.instrument!r}; the instrument files define {_listed(instruments)}"
            )
        for series in split:
            if series.instrument not in instruments:
                raise UsageError(
                    f"{loaded.path}: series[{index}].instrument: {series.instrument!r} is not "
                    f"defined; the instrument files define {_listed(instruments)}"
                )
            files = find_files(loaded.inputs(series)) if with_files else []
            sources.append(SeriesSource(series, instruments[series.instrument], files))
    _check_series_differ(loaded, sources)
    return sources


def _listed(instruments: Mapping[str, InstrumentFacts]) -> str:
    return ", ".join(sorted(instruments))


def _check_series_differ(loaded: LoadedPreparation, sources: Sequence[SeriesSource]) -> None:
    folders: dict[tuple[str, str], int] = {}
    for index, source in enumerate(sources):
        key = (source.series.type, folder_name(source.identifier))
        if key in folders:
            raise UsageError(
                f"{loaded.path}: series[{index}] and series[{folders[key]}] are both "
                f"{source.series.type} of {source.identifier}; list all their files in one of "
                "them; files that are laid out differently are entries of their own in 'files', "
                'such as {"files": "new-*.csv", "timestamp_format": "us"}'
            )
        folders[key] = index


def series_origins(sources: Sequence[SeriesSource]) -> list[SeriesOrigin]:
    """Return settings and raw files of every series, without the files' locations."""
    digests: dict[RawPath, str] = {}
    for source in sources:
        for file in source.files:
            if file.path not in digests:
                digests[file.path] = raw_sha256(file.path)
    return [
        SeriesOrigin(
            source.series.described(),
            tuple(
                RawFileEntry(path.name, digests[path])
                for path in dict.fromkeys(file.path for file in source.files)
            ),
        )
        for source in sources
    ]


def source_of(sources: Sequence[SeriesSource], origins: Sequence[SeriesOrigin]) -> dict[str, Any]:
    """Return the digest of what the dataset is made from, and the version, for its manifest."""
    definitions = {item.instrument.id: item.instrument.definition.content for item in sources}
    series = [origin.to_document() for origin in origins]
    made_from = {"version": _VERSION, "series": series, "instruments": definitions}
    return {"digest": digest(made_from), "version": _VERSION}


def _existing(folder: Path, *, force: bool) -> Manifest | None:
    """Return the manifest of the dataset to keep in ``folder``; None: free to write."""
    if not folder.exists() and not folder.is_symlink():
        return None
    if not folder.is_dir():
        raise UsageError(f"{folder}: is not a folder; give the folder of the dataset")
    if not any(folder.iterdir()):
        return None
    if not (folder / MANIFEST_NAME).is_file():
        raise UsageError(
            f"{folder}: holds something that is not a dataset and is left alone; give another "
            "folder with --to"
        )
    if force:
        return None
    manifest = load_manifest(folder)
    files: list[DataFile | InstrumentFile] = [*manifest.files, *manifest.instrument_files]
    for file in files:
        path = folder / file.path
        if not path.is_file() or path.stat().st_size != file.bytes:
            raise DataError(
                f"{path}: missing or of another size than the manifest says; give --force to "
                "make the dataset again"
            )
    return manifest


def _write(
    folder: Path,
    sources: Sequence[SeriesSource],
    origins: Sequence[SeriesOrigin],
    made_from: Mapping[str, Any],
    write_instruments: InstrumentWriter,
) -> Manifest:
    files: list[DataFile] = []
    gaps: list[Gaps] = []
    entries: list[SeriesEntry] = []
    for item, made, origin in zip(sources, make_all(sources, folder), origins, strict=True):
        files += made.files
        gaps.append(made.gaps)
        entries.append(made.entry(origin, item.identifier))
    manifest = assembled(
        sources,
        {**made_from, "series": [entry.to_document() for entry in entries]},
        files,
        [gap for found in gaps for gap in found.listed],
        written=(write_instruments, folder),
    )
    stored, tables = manifest.to_store()
    for name, content in (tables | {MANIFEST_NAME: stored.to_json().encode()}).items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)
    return stored


def assembled(
    sources: Sequence[SeriesSource],
    source: dict[str, Any],
    files: Sequence[DataFile],
    gaps: Sequence[Gap],
    *,
    written: tuple[InstrumentWriter, Path],
) -> Manifest:
    """Return the manifest over the files of all series.

    The instruments are ``written`` by a function into a folder.
    """
    write_instruments, folder = written
    definitions = {item.instrument.id: item.instrument.definition for item in sources}
    ordered = [definitions[name] for name in sorted(definitions)]
    instrument_files: list[InstrumentFile] = [
        index_instrument_file(path, folder) for path in write_instruments(folder, ordered)
    ]
    return Manifest(
        format=MANIFEST_FORMAT,
        instruments=tuple(ordered),
        instrument_files=tuple(sorted(instrument_files, key=lambda file: file.path)),
        files=tuple(sorted(files, key=file_order)),
        gaps=tuple(gaps),
        source=source,
    )


def make_all(
    sources: Sequence[SeriesSource],
    folder: Path,
    stored: Sequence[StoredRows | None] | None = None,
) -> list[MadeSeries]:
    """Make all series, or raise one error with everything wrong in any of them.

    ``stored`` are the rows that a dataset already has of each series.
    """
    made: list[MadeSeries] = []
    errors: list[TradingRuntimeError] = []
    rows = stored or [None] * len(sources)
    for outcome in outcomes(list(zip(sources, rows, strict=True)), folder):
        if isinstance(outcome, MadeSeries):
            made.append(outcome)
        else:
            errors.append(outcome)
    if errors:
        raise type(errors[0])("\n".join(str(error) for error in errors)) from errors[0]
    return made


def _put_in_place(partial: Path, folder: Path) -> None:
    replaced = partial.with_suffix(".replaced")
    if folder.exists():
        folder.rename(replaced)
    partial.rename(folder)
    shutil.rmtree(replaced, ignore_errors=True)
