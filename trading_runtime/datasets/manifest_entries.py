"""What a manifest says of one file, one row group and one gap."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field


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
    CUSTOM = "custom"


def _inside(path: str) -> str:
    """Return ``path`` if it leads to a file below ``data`` of the dataset, and nowhere else."""
    first, *inner = path.split("/")
    if first != "data" or not inner or {"", ".", ".."} & set(inner) or {"\\", "\0"} & set(path):
        raise ValueError("must lead to a file in the dataset's folder 'data', without '..'")
    return path


type Count = Annotated[int, Field(ge=0)]
type _Path = Annotated[str, AfterValidator(_inside)]


class ManifestPart(BaseModel):
    """A part of a manifest, as strict as its file."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, defer_build=True)


class RowGroup(ManifestPart):
    """One row group of a file: the unit whose sha256 is part of a task's identity."""

    index: Count
    """Index among the row groups of the file; one without rows is left out."""
    rows: Count
    offset: Count
    """First byte in the file."""
    bytes: Count
    first: int
    """``ts_init`` of the first row, nanoseconds since the epoch."""
    last: int
    """``ts_init`` of the last row, nanoseconds since the epoch."""
    sha256: str
    """Over the bytes ``[offset, offset + bytes)`` of the file."""


class DataFile(ManifestPart):
    """One Parquet file of the catalog."""

    path: _Path
    """Relative to the dataset's folder, with forward slashes."""
    type: str
    """A ``DataType`` value."""
    identifier: str
    """The catalog's name for the series: the bar type for bars, else the instrument id."""
    instrument_id: str
    bytes: Count
    sha256: str
    footer_offset: Count
    """First byte after the last row group."""
    footer_sha256: str
    """Over the bytes from there to the end: offsets, encodings and types of all columns."""
    schema_sha256: str
    """Over the columns' types and the engine's metadata (precision and the like), independent of
    the number of rows: it stays the same when rows are added."""
    rows: Count
    row_groups: tuple[RowGroup, ...]


class InstrumentFile(ManifestPart):
    """One Parquet file of the catalog with instrument definitions."""

    path: _Path
    bytes: Count
    sha256: str


class Gap(ManifestPart):
    """A stretch without rows that is longer than the series' usual spacing."""

    identifier: str
    after: int
    """``ts_init`` of the row before the gap, nanoseconds since the epoch."""
    before: int
    """``ts_init`` of the row after the gap, nanoseconds since the epoch."""


def file_order(file: DataFile) -> tuple[str, str, int]:
    """Return the sorting key of ``Manifest.files``."""
    return file.type, file.identifier, file.row_groups[0].first
