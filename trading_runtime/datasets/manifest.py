"""The manifest of a dataset: its instruments, and every file with sha256 and row-group index."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, BaseModel, PlainSerializer, PlainValidator

from trading_runtime.canonical import digest, digest_of_parsed
from trading_runtime.collector import collector_paused
from trading_runtime.datasets.manifest_entries import (
    DataFile,
    Gap,
    InstrumentFile,
    ManifestPart,
    SeriesEntry,
    file_order,
)
from trading_runtime.datasets.manifest_index import (
    MOST_ENTRIES,
    Index,
    IndexedFiles,
    IndexedGaps,
    ReadObject,
    SeriesKey,
    SeriesTotals,
    index_of,
    raw_files_in,
    totals_of,
)
from trading_runtime.errors import DataError
from trading_runtime.records.forms import read_as
from trading_runtime.records.instruments import InstrumentDefinition
from trading_runtime.storage.files import MOST_DOCUMENT, read_bytes, text_of_file
from trading_runtime.storage.s3 import S3Folder, is_s3, refuse_other_address

if TYPE_CHECKING:
    from collections.abc import Collection

    import polars as pl

MANIFEST_NAME = "manifest.json"
MANIFEST_FORMAT = 2
"""Format 1 had no digests of the bytes after the row groups, which say how these are decoded."""
INDEXED_FORMAT = 3
"""The form of a large dataset's manifest: its lists are tables beside it."""


def _definition(value: Any) -> InstrumentDefinition:
    if isinstance(value, InstrumentDefinition):
        return value
    return InstrumentDefinition.from_document(value)


type _Definition = Annotated[
    InstrumentDefinition,
    PlainValidator(_definition),
    PlainSerializer(lambda item: item.content),
]


class Manifest(BaseModel):
    """The content of ``manifest.json``, and of the tables that it names."""

    model_config = ManifestPart.model_config

    format: int
    instruments: tuple[_Definition, ...]
    """Sorted by id."""
    instrument_files: tuple[InstrumentFile, ...]
    files: Annotated[Sequence[DataFile], AfterValidator(tuple)]
    """Sorted by type, identifier and first ``ts_init``. Those of an indexed dataset are read when
    they are asked for."""
    gaps: Annotated[Sequence[Gap], AfterValidator(tuple)] = ()
    source: dict[str, Any] = {}
    """How the dataset was made: settings of the preparation and counts of what it fixed."""
    parent: str | None = None
    """The digest of the manifest to which rows were added, None for a dataset made in one go."""

    @property
    def digest(self) -> str:
        """The sha256 over instruments and files: equal for equal content, wherever it is."""
        if isinstance(self.files, IndexedFiles) and not self.files.added:
            return self.files.manifest_digest
        return self.computed_digest()

    def computed_digest(self) -> str:
        """Return the digest as the content has it, whatever an index states."""
        return digest(
            {
                "instruments": [item.content for item in self.instruments],
                "files": [
                    [file.type, file.identifier, file.sha256, file.rows] for file in self.files
                ],
            }
        )

    @property
    def series_entries(self) -> dict[SeriesKey, SeriesEntry]:
        """What a preparation recorded of each series, by type and identifier."""
        try:
            entries = [read_as(SeriesEntry, item) for item in self.source.get("series", [])]
            return {entry.key: entry for entry in entries}
        except (ValueError, KeyError) as error:
            raise DataError(
                f"the dataset's manifest, source.series: {error}; make it again with "
                "'trading-runtime data prepare'"
            ) from error

    @property
    def index(self) -> Index | None:
        """The index of a large dataset; None where the manifest lists all itself."""
        return self.files.stored if isinstance(self.files, IndexedFiles) else None

    def _read(self, name: str) -> bytes:
        if not isinstance(self.files, IndexedFiles):
            raise FileNotFoundError(name)
        return self.files.read(name)

    @property
    def rows(self) -> int:
        """Rows of market data in all files."""
        if self.index is not None:
            return sum(series.rows for series in self.series())
        return sum(file.rows for file in self.files)

    def series(self) -> Sequence[SeriesTotals]:
        """Return the totals of every series, by type and identifier."""
        if isinstance(self.files, IndexedFiles) and not self.files.added:
            return self.files.stored.series
        return totals_of(self.files, self.gaps)

    def files_of(
        self, keys: Collection[SeriesKey], within: tuple[int, int] | None = None
    ) -> list[DataFile]:
        """Return the files of some series, in the manifest's order.

        Row groups that have no row in ``within``, ``[start, end)``, may be left out.
        """
        if isinstance(self.files, IndexedFiles):
            return self.files.of(keys, within)
        wanted = set(keys)
        return [file for file in self.files if (file.type, file.identifier) in wanted]

    def table_of(
        self, keys: Collection[SeriesKey], within: tuple[int, int] | None = None
    ) -> pl.DataFrame | None:
        """Return the row groups of ``files_of`` as a table; None where there are not many."""
        if not isinstance(self.files, IndexedFiles):
            return None
        table = self.files.frame(keys, within)
        return table if table.height > MOST_ENTRIES else None

    def gaps_of(self, identifiers: Collection[str]) -> list[Gap]:
        """Return the gaps of series with these identifiers."""
        if isinstance(self.gaps, IndexedGaps):
            return list(self.gaps.of(identifiers))
        return [gap for gap in self.gaps if gap.identifier in identifiers]

    def with_raw_files(self) -> Manifest:
        """Return the manifest with the raw files of all series in ``source``."""
        if not isinstance(self.files, IndexedFiles):
            return self
        raw = raw_files_in(self.files.stored, self.files.read)
        entries = [
            item | {"files": raw.get(_key_of(item), [])} for item in self.source.get("series", [])
        ]
        return self.model_copy(update={"source": self.source | {"series": entries}})

    def plus(self, files: Sequence[DataFile], gaps: Sequence[Gap]) -> dict[str, Any]:
        """Return ``files`` and ``gaps`` with more of them, as an update of this manifest."""
        if isinstance(self.files, IndexedFiles) and isinstance(self.gaps, IndexedGaps):
            return {
                "files": replace(self.files, added=tuple(sorted(files, key=file_order))),
                "gaps": replace(self.gaps, added=tuple(gaps)),
            }
        return {
            "files": tuple(sorted([*self.files, *files], key=file_order)),
            "gaps": (*self.gaps, *gaps),
        }

    def to_store(self) -> tuple[Manifest, dict[str, bytes]]:
        """Return the manifest as it is stored, and the tables to write before it, by name.

        What is more than a manifest lists itself is in an index.
        """
        raw = {_key_of(item): item.get("files", []) for item in self.source.get("series", [])}
        if self.index is None:
            counts = (
                sum(len(file.row_groups) for file in self.files),
                len(self.gaps),
                sum(map(len, raw.values())),
            )
            if max(counts) <= MOST_ENTRIES:
                return self, {}
        index, tables = index_of(self.files, self.gaps, raw)

        def read(name: str) -> bytes:
            found = tables.get(name)
            return self._read(name) if found is None else found

        source = self.source
        if raw:
            without = [
                {key: value for key, value in item.items() if key != "files"}
                for item in source["series"]
            ]
            source = source | {"series": without}
        return self.model_copy(
            update={
                "format": INDEXED_FORMAT,
                "source": source,
                "files": IndexedFiles(index, read, self.digest),
                "gaps": IndexedGaps(index, read),
            }
        ), tables

    def to_json(self) -> str:
        """Return the text of ``manifest.json``: sorted keys, one item per line, stable."""
        index = self.index
        lists = {"files", "gaps"} if index is not None else set()
        content = self.model_dump(mode="json", exclude=lists) | {"digest": self.digest}
        if index is not None:
            content["index"] = index.model_dump(mode="json")
            content["seal"] = digest(_sealed(content))
        if self.parent is None:
            del content["parent"]
        return json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def _key_of(entry: Mapping[str, Any]) -> tuple[str, str]:
    return entry["settings"]["type"], entry["identifier"]


def _sealed(content: dict[str, Any]) -> dict[str, Any]:
    """Return what the seal of an indexed manifest is over, beside the content of its tables."""
    return {key: content[key] for key in ("digest", "instruments", "index")}


def read_manifest(text: str, where: str, read: ReadObject) -> Manifest:
    """Return the manifest in ``text``; ``read`` reads other files of the dataset.

    Raises ``DataError`` when it is not a manifest of these formats, or its digest does not match.
    """
    try:
        content = json.loads(text)
        stated = content.pop("digest", None)
        found = content.get("format")
        if isinstance(found, int) and found not in {MANIFEST_FORMAT, INDEXED_FORMAT}:
            raise DataError(
                f"{where}: manifest format {found} is not {MANIFEST_FORMAT} or {INDEXED_FORMAT}: "
                "it is of another version; make it again with 'trading-runtime data adopt', which "
                "leaves the data as they are"
            )
        if found == INDEXED_FORMAT:
            manifest, sound = _indexed(content, stated, read)
        else:
            manifest = Manifest.model_validate_json(json.dumps(content))
            sound = stated == manifest.digest
    except (ValueError, AttributeError, KeyError, TypeError, RecursionError) as error:
        first = str(error).splitlines()
        raise DataError(
            f"{where}: not a dataset manifest of format {MANIFEST_FORMAT} or {INDEXED_FORMAT} "
            f"({' '.join(first[:3])}); make it again with 'trading-runtime data adopt'"
        ) from error
    if not sound:
        raise DataError(
            f"{where}: the digest in the manifest does not match its content: it was edited by "
            "hand or damaged; make it again with 'trading-runtime data adopt'"
        )
    return manifest


@collector_paused()
def _indexed(content: dict[str, Any], stated: Any, read: ReadObject) -> tuple[Manifest, bool]:
    """Return the manifest of a large dataset, and whether its seal matches."""
    sealed = _sealed(content | {"digest": stated})
    sound = content.pop("seal") == digest_of_parsed(sealed)
    index = Index.model_validate_json(json.dumps(content.pop("index")))
    # Thousands of definitions, which a model would encode and parse once more.
    definitions = content.pop("instruments")
    rest: dict[str, Any] = {"instruments": [], "files": []}
    manifest = Manifest.model_validate_json(json.dumps(content | rest))
    indexed = {
        "instruments": tuple(map(_definition, definitions)),
        "files": IndexedFiles(index, read, str(stated)),
        "gaps": IndexedGaps(index, read),
    }
    return manifest.model_copy(update=indexed), sound


def load_manifest(place: str | Path, name: str = MANIFEST_NAME) -> Manifest:
    """Return the manifest of the dataset in a folder, or at an address in S3.

    ``name`` is that of an earlier one, relative to the dataset. Raises ``DataError`` when there is
    none or it is damaged; ``StorageError`` and ``TransientError`` as S3 does.
    """
    if is_s3(str(place)):
        where = f"{place}/{name}"
        store = S3Folder(str(place))
        try:
            return read_manifest(store.read(name).decode(), where, store.read)
        except FileNotFoundError as error:
            raise DataError(
                f"{where}: there is none; upload a dataset with its manifest, made by "
                "'trading-runtime data prepare'"
            ) from error
    refuse_other_address(str(place))
    folder = Path(place)
    path = folder / name
    try:
        text = text_of_file(path, MOST_DOCUMENT)
    except FileNotFoundError as error:
        what = f"has no {name}" if folder.is_dir() else "does not exist"
        raise DataError(
            f"{folder}: the dataset {what}; make one with 'trading-runtime data prepare', "
            "or 'trading-runtime data adopt' for a catalog that exists"
        ) from error
    except NotADirectoryError as error:
        raise DataError(
            f"{folder}: is a file; a dataset is a folder with a manifest.json"
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read: {error}") from error
    return read_manifest(text, str(path), folder_reader(folder))


def folder_reader(folder: Path) -> ReadObject:
    """Return what reads the files of the dataset in ``folder`` by their names."""

    def read(name: str) -> bytes:
        try:
            return read_bytes(folder / name, MOST_DOCUMENT)
        except OSError as error:
            raise DataError(
                f"{folder / name}: the manifest's table cannot be read: {error.strerror}; make the "
                "manifest again with 'trading-runtime data adopt'"
            ) from error

    return read
