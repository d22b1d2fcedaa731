"""Preparing a dataset: raw files into a catalog with a manifest, all of it or nothing."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trading_runtime.canonical import digest
from trading_runtime.datasets.catalog_files import (
    CatalogFile,
    folder_name,
    index_file,
    index_instrument_file,
    sha256_of,
    write_series,
)
from trading_runtime.datasets.manifest import (
    DEFAULT_TICK_GAP,
    MANIFEST_FORMAT,
    MANIFEST_NAME,
    DataFile,
    Gaps,
    InstrumentFile,
    Manifest,
    find_gaps,
    load_manifest,
)
from trading_runtime.datasets.raw_files import RawFile, find_files
from trading_runtime.datasets.row_checks import RowProblems, check_rows
from trading_runtime.datasets.series_rows import SeriesRows, read_series
from trading_runtime.errors import DataError, StorageError, TradingRuntimeError, UsageError
from trading_runtime.units import parse_duration

if TYPE_CHECKING:
    from trading_runtime.datasets.data_file import LoadedPreparation, Series
    from trading_runtime.datasets.instrument_facts import InstrumentFacts

InstrumentWriter = Callable[[Path, Sequence[dict[str, Any]]], list[Path]]
"""Writes definitions into a catalog's folder and returns the files."""

_VERSION = 1
"""Of what this module makes from the same input; part of what tells an outdated dataset."""


@dataclass(frozen=True)
class Prepared:
    """What a preparation came to."""

    folder: Path
    manifest: Manifest
    is_unchanged: bool
    """The folder held this very dataset already."""


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
    when the folder holds something else and ``force`` is not given, ``StorageError`` when it
    cannot be written.
    """
    series = loaded.preparation.series
    facts = [_instrument_of(loaded, index, instruments) for index in range(len(series))]
    inputs = [
        find_files(loaded.input_patterns(item), item.separator, has_header=item.header)
        for item in series
    ]
    _check_series_differ(loaded, facts)
    source = _source(series, facts, inputs)
    existing = _existing(folder, force=force)
    if existing is not None and existing.source.get("digest") == source["digest"]:
        return Prepared(folder, existing, is_unchanged=True)
    rows = _read_all(series, facts, inputs)
    place = folder.resolve()
    partial = place.with_name(f".{place.name}.{os.getpid()}.partial")
    try:
        partial.mkdir(parents=True)
        manifest = _write(partial, rows, facts, source, write_instruments)
        if existing is not None and existing.digest == manifest.digest:
            return Prepared(folder, existing, is_unchanged=True)
        if existing is not None:
            raise UsageError(
                f"{folder}: holds another dataset (digest {existing.digest[:12]}, this one "
                f"{manifest.digest[:12]}); give another folder with --to, or --force to replace it"
            )
        _put_in_place(partial, place)
    except OSError as error:
        raise StorageError(f"{folder}: cannot be written: {error.strerror or error}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return Prepared(folder, manifest, is_unchanged=False)


def _instrument_of(
    loaded: LoadedPreparation, index: int, instruments: Mapping[str, InstrumentFacts]
) -> InstrumentFacts:
    name = loaded.preparation.series[index].instrument
    if name not in instruments:
        raise UsageError(
            f"{loaded.path}: series[{index}].instrument: {name!r} is not defined; the instrument "
            f"files define {', '.join(sorted(instruments))}"
        )
    return instruments[name]


def _check_series_differ(loaded: LoadedPreparation, facts: Sequence[InstrumentFacts]) -> None:
    folders: dict[tuple[str, str], int] = {}
    for index, (series, instrument) in enumerate(
        zip(loaded.preparation.series, facts, strict=True)
    ):
        identifier = SeriesRows(series, instrument, []).identifier
        key = (series.type, folder_name(identifier))
        if key in folders:
            raise UsageError(
                f"{loaded.path}: series[{index}] and series[{folders[key]}] are both {series.type} "
                f"of {identifier}; list all their files in one of them"
            )
        folders[key] = index


def _source(
    series: Sequence[Series],
    facts: Sequence[InstrumentFacts],
    inputs: Sequence[Sequence[RawFile]],
) -> dict[str, Any]:
    """Return what the dataset is made from, without the place where it lies."""
    described = [
        {
            "settings": item.described(),
            "files": [{"name": file.path.name, "sha256": sha256_of(file.path)} for file in files],
        }
        for item, files in zip(series, inputs, strict=True)
    ]
    definitions = {instrument.id: instrument.definition for instrument in facts}
    made_from = {"version": _VERSION, "series": described, "instruments": definitions}
    return {"digest": digest(made_from), "version": _VERSION, "series": described}


def _existing(folder: Path, *, force: bool) -> Manifest | None:
    """Return the manifest of the dataset that is to stay in ``folder``; None: free to write."""
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


def _read_all(
    series: Sequence[Series],
    facts: Sequence[InstrumentFacts],
    inputs: Sequence[list[RawFile]],
) -> list[SeriesRows]:
    """Return the rows of all series, or raise one error with what is wrong in any of them."""
    read: list[SeriesRows] = []
    errors: list[TradingRuntimeError] = []
    for item, instrument, files in zip(series, facts, inputs, strict=True):
        problems = RowProblems()
        try:
            rows = read_series(item, instrument, files, problems)
            check_rows(rows, problems)
            problems.refuse()
        except (DataError, UsageError) as error:
            errors.append(error)
        else:
            read.append(rows)
    if errors:
        raise type(errors[0])("\n".join(str(error) for error in errors)) from errors[0]
    return read


def _write(
    folder: Path,
    all_rows: Sequence[SeriesRows],
    facts: Sequence[InstrumentFacts],
    source: dict[str, Any],
    write_instruments: InstrumentWriter,
) -> Manifest:
    files: list[DataFile] = []
    gaps: list[Gaps] = []
    for rows, described in zip(all_rows, source["series"], strict=True):
        files += [
            index_file(CatalogFile.open(path), folder, rows.series.type)
            for path in write_series(rows, folder)
        ]
        found = find_gaps(rows.identifier, rows.frame["ts"], _usual_spacing(rows))
        gaps.append(found)
        described |= {
            "identifier": rows.identifier,
            "rows": rows.frame.height,
            "rounded": rows.rounded,
            "gaps": {"count": found.count, "longest": found.longest, "total": found.total},
        }
    definitions = {instrument.id: instrument.definition for instrument in facts}
    ordered = [definitions[name] for name in sorted(definitions)]
    instrument_files: list[InstrumentFile] = [
        index_instrument_file(path, folder) for path in write_instruments(folder, ordered)
    ]
    manifest = Manifest(
        format=MANIFEST_FORMAT,
        instruments=tuple(ordered),
        instrument_files=tuple(sorted(instrument_files, key=lambda file: file.path)),
        files=tuple(
            sorted(files, key=lambda file: (file.type, file.identifier, file.row_groups[0].first))
        ),
        gaps=tuple(gap for found in gaps for gap in found.listed),
        source=source,
    )
    (folder / MANIFEST_NAME).write_text(manifest.to_json(), encoding="utf-8")
    return manifest


def _usual_spacing(rows: SeriesRows) -> int:
    if rows.series.report_gaps_above is not None:
        return parse_duration(rows.series.report_gaps_above)
    return rows.length.longest if rows.length is not None else DEFAULT_TICK_GAP


def _put_in_place(partial: Path, folder: Path) -> None:
    replaced = partial.with_suffix(".replaced")
    if folder.exists():
        folder.rename(replaced)
    partial.rename(folder)
    shutil.rmtree(replaced, ignore_errors=True)
