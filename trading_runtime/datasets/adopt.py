"""Giving an existing Nautilus v2 catalog its manifest; nothing else in it is touched."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import polars as pl

from trading_runtime.datasets.bar_lengths import bar_length
from trading_runtime.datasets.catalog_files import CatalogFile, index_file, index_instrument_file
from trading_runtime.datasets.gaps import DEFAULT_TICK_GAP, NO_GAP, GapFinder
from trading_runtime.datasets.manifest import MANIFEST_FORMAT, MANIFEST_NAME, Manifest
from trading_runtime.datasets.manifest_entries import DataFile, DataType, Gap, file_order
from trading_runtime.errors import DataError, StorageError
from trading_runtime.records.instruments import InstrumentDefinition
from trading_runtime.units import format_instant

InstrumentReader = Callable[[Path], list[InstrumentDefinition]]
"""Reads the instrument definitions of a catalog's folder."""

_OLD_FOLDERS = frozenset({
    "bar", "quote_tick", "trade_tick", "order_book_delta", "order_book_depth10",
})  # fmt: skip
_TYPES = frozenset(DataType)


@dataclass(frozen=True)
class Adopted:
    """The result of an adoption."""

    manifest: Manifest
    skipped: tuple[str, ...]
    """Folders with data that this project does not feed to strategies."""


def adopt(
    folder: Path, instrument_types: frozenset[str], read_instruments: InstrumentReader
) -> Adopted:
    """Write ``manifest.json`` for the catalog in ``folder``, replacing any existing one.

    Raises ``DataError`` when it is not a v2 catalog, rows are out of order, or files of one series
    overlap; ``StorageError`` when the manifest cannot be written.
    """
    data = folder / "data"
    if not data.is_dir():
        raise DataError(
            f"{folder}: not a Nautilus catalog: there is no folder 'data' in it; give the folder "
            "that was given to ParquetDataCatalog"
        )
    paths = sorted(data.rglob("*.parquet"))
    if not paths:
        raise DataError(f"{folder}: the catalog holds no Parquet files")
    _refuse_old(folder, data, paths)
    instrument_paths: list[Path] = []
    market_paths: list[tuple[str, Path]] = []
    skipped: set[str] = set()
    for path in paths:
        kind = path.relative_to(data).parts[0]
        if kind in _TYPES and (kind != DataType.CUSTOM or CatalogFile.open(path).custom_series):
            market_paths.append((kind, path))
        elif CatalogFile.open(path).type_name in instrument_types:
            instrument_paths.append(path)
        else:
            skipped.add(kind)
    if not market_paths:
        raise DataError(
            f"{folder}: the catalog holds no market data; known folders are "
            f"{', '.join(sorted(_TYPES))}"
        )
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        files = list(pool.map(lambda item: _index(folder, *item), market_paths))
    files.sort(key=file_order)
    _check_overlaps(folder, files)
    instruments = read_instruments(folder)
    _check_instruments(folder, files, instruments)
    manifest = Manifest(
        format=MANIFEST_FORMAT,
        instruments=tuple(instruments),
        instrument_files=tuple(index_instrument_file(path, folder) for path in instrument_paths),
        files=tuple(files),
        gaps=_gaps(folder, files),
        source={"adopted": True},
    )
    partial = folder / f".{MANIFEST_NAME}.{os.getpid()}"
    try:
        stored, tables = manifest.to_store()
        for name, content in tables.items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_bytes(content)
        partial.write_text(stored.to_json(), encoding="utf-8")
        partial.replace(folder / MANIFEST_NAME)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise StorageError(
            f"{folder / MANIFEST_NAME}: cannot be written: {error.strerror}"
        ) from error
    return Adopted(manifest, tuple(sorted(skipped)))


def _refuse_old(folder: Path, data: Path, paths: list[Path]) -> None:
    old = sorted({path.relative_to(data).parts[0] for path in paths} & _OLD_FOLDERS)
    if not old:
        unnamed = [path for path in paths if not CatalogFile.open(path).type_name]
        old = [str(unnamed[0].relative_to(folder))] if len(unnamed) == len(paths) else []
    if old:
        raise DataError(
            f"{folder}: a catalog of NautilusTrader 1.x ({old[0]}), which version 2 cannot read; "
            "make a dataset from the raw files with 'trading-runtime data prepare'"
        )


def _index(folder: Path, kind: str, path: Path) -> DataFile:
    file = CatalogFile.open(path)
    entry = index_file(file, folder, kind)
    file.check_order()
    return entry


def _check_overlaps(folder: Path, files: list[DataFile]) -> None:
    for one, other in pairwise(files):
        if (one.type, one.identifier) != (other.type, other.identifier):
            continue
        last, first = one.row_groups[-1].last, other.row_groups[0].first
        if first <= last:
            raise DataError(
                f"{folder / other.path}: begins at {format_instant(first)}, at or before the end "
                f"{format_instant(last)} of {Path(one.path).name}; files of one series must not "
                "overlap (the engine's consolidate_catalog can fix it)"
            )


def _check_instruments(
    folder: Path, files: list[DataFile], instruments: list[InstrumentDefinition]
) -> None:
    defined = {definition.id for definition in instruments}
    missing = sorted({file.instrument_id for file in files} - defined)
    if missing:
        raise DataError(
            f"{folder}: the catalog has data but no definition of {', '.join(missing[:5])}; write "
            "it with ParquetDataCatalog.write_instruments"
        )


def _gaps(folder: Path, files: list[DataFile]) -> tuple[Gap, ...]:
    by_series: dict[tuple[str, str], list[DataFile]] = {}
    for file in files:
        by_series.setdefault((file.type, file.identifier), []).append(file)
    gaps: list[Gap] = []
    for (kind, identifier), of_series in by_series.items():
        usual = _usual_spacing(kind, identifier)
        finder = GapFinder(identifier, usual)
        for file in of_series:
            times = pl.read_parquet(folder / file.path, columns=["ts_init"])["ts_init"]
            finder.add(times.dt.epoch("ns"))
        gaps += finder.found().listed
    return tuple(gaps)


def _usual_spacing(kind: str, identifier: str) -> int:
    if kind == DataType.BARS:
        specification = "-".join(identifier.partition("@")[0].rsplit("-", 4)[1:4])
        length = bar_length(specification, "UTC")
        if length is not None:
            return length.longest
    return NO_GAP if kind == DataType.CUSTOM else DEFAULT_TICK_GAP
