"""What a manifest says of one file, one row group, one gap, and how one series was made."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping  # noqa: TC003 - read from the annotations of records
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from trading_runtime.records.forms import to_document


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


@dataclass(frozen=True)
class RawFileEntry:
    """A raw file that a series was made from, without its location."""

    name: str
    sha256: str


@dataclass(frozen=True)
class SeriesOrigin:
    """What a series is made from."""

    settings: Mapping[str, Any]
    """Those of the data file, without what is at its default."""
    files: tuple[RawFileEntry, ...]

    def to_document(self) -> dict[str, Any]:
        """Return the origin as the manifest states it."""
        return {"settings": self.settings, "files": [to_document(file) for file in self.files]}


@dataclass(frozen=True)
class GapCounts:
    """The gaps of a series together; durations are nanoseconds."""

    count: int
    longest: int
    total: int

    def __add__(self, other: GapCounts) -> GapCounts:
        """Return the counts of both."""
        longest = max(self.longest, other.longest)
        return GapCounts(self.count + other.count, longest, self.total + other.total)


@dataclass(frozen=True)
class ExcludedDay:
    """A day that the quality gate left out."""

    day: str
    rows: int
    reasons: tuple[str, ...]
    first: str | None = None
    """The instant of the first row; a dataset of an earlier version does not state it."""


@dataclass(frozen=True)
class LastSides:
    """Bid and ask of the last raw row of quotes, where a blank one means that it is unchanged."""

    at: int
    """Its time, nanoseconds since the epoch."""
    bid: str | None
    ask: str | None


def stated_sizes(settings: Mapping[str, Any]) -> dict[str, str]:
    """Return the ``volume`` or ``size`` that settings state for all rows: the files have none."""
    stated = {name: settings.get(name) for name in ("volume", "size")}
    return {name: str(value) for name, value in stated.items() if value is not None}


@dataclass(frozen=True, kw_only=True)
class SeriesEntry:
    """What a preparation recorded of a series."""

    settings: Mapping[str, Any]
    files: tuple[RawFileEntry, ...] = ()
    """Those of an indexed dataset are in a table (see ``Manifest.with_raw_files``)."""
    identifier: str
    rows: int
    rounded: Mapping[str, int] = field(default_factory=dict)
    """Values that were rounded to a tick, by column."""
    gaps: GapCounts = GapCounts(0, 0, 0)
    snapped: Mapping[str, int] = field(default_factory=dict)
    """Values within a billionth of a tick, by column."""
    dropped: Mapping[str, int] = field(default_factory=dict)
    """Rows that were left out, by reason."""
    repeated: Mapping[str, int] = field(default_factory=dict)
    """``rows`` that were left out because the file before ended with them."""
    quarantined: tuple[ExcludedDay, ...] = ()
    last_sides: LastSides | None = None
    """What a blank bid or ask at the start of a later file means (``blank_side: unchanged``)."""

    @property
    def key(self) -> tuple[str, str]:
        """Type and identifier of the series."""
        return self.settings["type"], self.identifier

    @property
    def origin(self) -> SeriesOrigin:
        """What the series was made from."""
        return SeriesOrigin(self.settings, self.files)

    def plus(self, added: SeriesEntry, quarantined: tuple[ExcludedDay, ...]) -> SeriesEntry:
        """Return the entry with what a later preparation added; ``quarantined`` is of both."""
        return replace(
            self,
            files=(*self.files, *added.files),
            rows=self.rows + added.rows,
            rounded=_sums(self.rounded, added.rounded),
            gaps=self.gaps + added.gaps,
            snapped=_sums(self.snapped, added.snapped),
            dropped=_sums(self.dropped, added.dropped),
            repeated=_sums(self.repeated, added.repeated),
            quarantined=quarantined,
            last_sides=max(
                (item for item in (added.last_sides, self.last_sides) if item is not None),
                key=lambda item: item.at,
                default=None,
            ),
        )

    def to_document(self) -> dict[str, Any]:
        """Return the entry as the manifest states it: newer counts only when there are any."""
        content = to_document(self)
        later = ("files", "snapped", "dropped", "repeated", "quarantined", "last_sides")
        return {name: value for name, value in content.items() if value or name not in later}


def _sums(first: Mapping[str, int], second: Mapping[str, int]) -> Mapping[str, int]:
    found = Counter(first)
    found.update(second)
    return dict(found)
