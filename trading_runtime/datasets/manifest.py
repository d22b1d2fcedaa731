"""The manifest of a dataset: its instruments, and every file with sha256 and row-group index."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from trading_runtime.canonical import digest
from trading_runtime.errors import DataError
from trading_runtime.storage.files import MOST_DOCUMENT, text_of_file
from trading_runtime.storage.s3 import S3Folder, is_s3, refuse_other_address
from trading_runtime.units import NANOSECONDS

if TYPE_CHECKING:
    import polars as pl

MANIFEST_NAME = "manifest.json"
MANIFESTS_FOLDER = "manifests"
"""Where a dataset with appended rows keeps its earlier manifests, each named by its digest."""
MANIFEST_FORMAT = 2
"""Format 1 had no digests of the bytes after the row groups, which say how these are decoded."""


class DataType(StrEnum):
    """The types of market data in a dataset; the value is the catalog's folder name."""

    BARS = "bars"
    TRADES = "trades"
    QUOTES = "quotes"
    BOOK_DELTAS = "order_book_deltas"
    BOOK_DEPTHS = "order_book_depths"
    MARK_PRICES = "mark_prices"
    INDEX_PRICES = "index_prices"
    FUNDING_RATES = "funding_rates"
    INSTRUMENT_STATUS = "instrument_status"
    INSTRUMENT_CLOSES = "instrument_closes"


def _inside(path: str) -> str:
    """Return ``path`` if it leads to a file below ``data`` of the dataset, and nowhere else."""
    first, *inner = path.split("/")
    if first != "data" or not inner or {"", ".", ".."} & set(inner) or {"\\", "\0"} & set(path):
        raise ValueError("must lead to a file in the dataset's folder 'data', without '..'")
    return path


type _Count = Annotated[int, Field(ge=0)]
type _Path = Annotated[str, AfterValidator(_inside)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, defer_build=True)


class RowGroup(_Frozen):
    """One row group of a file: the unit whose sha256 is part of a task's identity."""

    index: _Count
    """Index among the row groups of the file; one without rows is left out."""
    rows: _Count
    offset: _Count
    """First byte in the file."""
    bytes: _Count
    first: int
    """``ts_init`` of the first row, nanoseconds since the epoch."""
    last: int
    """``ts_init`` of the last row, nanoseconds since the epoch."""
    sha256: str
    """Over the bytes ``[offset, offset + bytes)`` of the file."""


class DataFile(_Frozen):
    """One Parquet file of the catalog."""

    path: _Path
    """Relative to the dataset's folder, with forward slashes."""
    type: str
    """A ``DataType`` value."""
    identifier: str
    """The catalog's name for the series: the bar type for bars, else the instrument id."""
    instrument_id: str
    bytes: _Count
    sha256: str
    footer_offset: _Count
    """First byte after the last row group."""
    footer_sha256: str
    """Over the bytes from there to the end: offsets, encodings and types of all columns."""
    schema_sha256: str
    """Over the columns' types and the engine's metadata (precision and the like), independent of
    the number of rows: it stays the same when rows are added."""
    rows: _Count
    row_groups: tuple[RowGroup, ...]


class InstrumentFile(_Frozen):
    """One Parquet file of the catalog with instrument definitions."""

    path: _Path
    bytes: _Count
    sha256: str


class Gap(_Frozen):
    """A stretch without rows that is longer than the series' usual spacing."""

    identifier: str
    after: int
    """``ts_init`` of the row before the gap, nanoseconds since the epoch."""
    before: int
    """``ts_init`` of the row after the gap, nanoseconds since the epoch."""


class Manifest(_Frozen):
    """The content of ``manifest.json``."""

    format: int
    instruments: tuple[dict[str, Any], ...]
    """Instrument definitions as the engine's ``to_dict`` returns them, sorted by id."""
    instrument_files: tuple[InstrumentFile, ...]
    files: tuple[DataFile, ...]
    """Sorted by type, identifier and first ``ts_init``."""
    gaps: tuple[Gap, ...] = ()
    source: dict[str, Any] = {}
    """How the dataset was made: settings of the preparation and counts of what it fixed."""
    parent: str | None = None
    """The digest of the manifest to which rows were added, None for a dataset made in one go."""

    @property
    def digest(self) -> str:
        """The sha256 over instruments and files: equal for equal content, wherever it is."""
        return digest(
            {
                "instruments": list(self.instruments),
                "files": [
                    [file.type, file.identifier, file.sha256, file.rows] for file in self.files
                ],
            }
        )

    @property
    def series_entries(self) -> dict[tuple[str, str], dict[str, Any]]:
        """What a preparation recorded of each series, by type and identifier."""
        return {
            (item["settings"]["type"], item["identifier"]): item
            for item in self.source.get("series", [])
        }

    @property
    def rows(self) -> int:
        """Rows of market data in all files."""
        return sum(file.rows for file in self.files)

    def to_json(self) -> str:
        """Return the text of ``manifest.json``: sorted keys, one item per line, stable."""
        content = self.model_dump(mode="json") | {"digest": self.digest}
        if self.parent is None:
            del content["parent"]
        return json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def file_order(file: DataFile) -> tuple[str, str, int]:
    """Return the sorting key of ``Manifest.files``."""
    return file.type, file.identifier, file.row_groups[0].first


def read_manifest(text: str, where: str) -> Manifest:
    """Return the manifest in ``text``.

    Raises ``DataError`` when it is not a manifest of this format, or its digest does not match.
    """
    try:
        content = json.loads(text)
        stated = content.pop("digest", None)
        found = content.get("format")
        if isinstance(found, int) and found != MANIFEST_FORMAT:
            raise DataError(
                f"{where}: manifest format {found} is not {MANIFEST_FORMAT}: it is of another "
                "version; make it again with 'trading-runtime data adopt', which leaves the data "
                "as they are"
            )
        manifest = Manifest.model_validate_json(json.dumps(content))
    except (ValueError, AttributeError, TypeError, RecursionError, ValidationError) as error:
        first = str(error).splitlines()
        raise DataError(
            f"{where}: not a dataset manifest of format {MANIFEST_FORMAT} ({' '.join(first[:3])}); "
            "make it again with 'trading-runtime data adopt'"
        ) from error
    if stated != manifest.digest:
        raise DataError(
            f"{where}: the digest in the manifest does not match its content: it was edited by "
            "hand or damaged; make it again with 'trading-runtime data adopt'"
        )
    return manifest


def load_manifest(place: str | Path) -> Manifest:
    """Return the manifest of the dataset in a folder, or at an address in S3.

    Raises ``DataError`` when there is none or it is damaged; ``StorageError`` and
    ``TransientError`` as S3 does.
    """
    if is_s3(str(place)):
        where = f"{place}/{MANIFEST_NAME}"
        try:
            return read_manifest(S3Folder(str(place)).read(MANIFEST_NAME).decode(), where)
        except FileNotFoundError as error:
            raise DataError(
                f"{where}: there is none; upload a dataset with its manifest, made by "
                "'trading-runtime data prepare'"
            ) from error
    refuse_other_address(str(place))
    folder = Path(place)
    path = folder / MANIFEST_NAME
    try:
        text = text_of_file(path, MOST_DOCUMENT)
    except FileNotFoundError as error:
        what = "has no manifest.json" if folder.is_dir() else "does not exist"
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
    return read_manifest(text, str(path))


DEFAULT_TICK_GAP = NANOSECONDS["h"]
"""Ticks have no usual spacing: gaps of an hour are reported."""
MOST_LISTED = 1_000
"""How many gaps of a series the manifest lists: the longest ones; all are counted."""


@dataclass(frozen=True)
class Gaps:
    """The gaps of one series."""

    count: int
    longest: int
    """Nanoseconds; 0 when there is none."""
    total: int
    """Nanoseconds."""
    listed: tuple[Gap, ...]
    """The longest ``MOST_LISTED``, in time order."""


class GapFinder:
    """Finds the stretches between rows that are longer than ``usual`` nanoseconds."""

    def __init__(self, identifier: str, usual: int, last: int | None = None) -> None:
        self._identifier = identifier
        self._usual = usual
        self._last = last
        self._count = self._total = self._longest = 0
        self._listed: pl.DataFrame | None = None

    def add(self, ts_init: pl.Series) -> None:
        """Add the times of more rows, in order, nanoseconds."""
        import polars as pl

        if not len(ts_init):
            return
        if self._last is not None:
            ts_init = pl.concat([pl.Series([self._last], dtype=pl.Int64), ts_init])
        self._last = int(ts_init[-1])
        lengths = ts_init.diff()
        rows = (lengths > self._usual).arg_true()
        if not len(rows):
            return
        found = pl.DataFrame(
            {"length": lengths.gather(rows), "after": ts_init.gather(rows - 1),
             "before": ts_init.gather(rows)}
        )  # fmt: skip
        self._count += len(rows)
        self._total += int(found["length"].sum())
        self._longest = max(self._longest, int(found["length"].max()))  # type: ignore[arg-type]
        if self._listed is not None:
            found = pl.concat([self._listed, found])
        self._listed = found.sort("length", "after", descending=[True, False]).head(MOST_LISTED)

    def found(self) -> Gaps:
        """Return the gaps between all rows."""
        if self._listed is None:
            return Gaps(0, 0, 0, ())
        listed = self._listed.sort("after").select("after", "before").iter_rows()
        return Gaps(
            count=self._count,
            longest=self._longest,
            total=self._total,
            listed=tuple(
                Gap(identifier=self._identifier, after=after, before=before)
                for after, before in listed
            ),
        )
