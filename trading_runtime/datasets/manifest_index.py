"""The index of a large dataset: tables beside its manifest, of which only what is needed is read.

A table is a list of Parquet files, each named by its sha256 and sorted by series. An append adds
files to it; small ones are merged before they become many. The manifest names them, with the first
and last series in each, and has the totals of every series.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import batched, groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from trading_runtime.datasets.manifest_entries import (
    Count,
    DataFile,
    Gap,
    ManifestPart,
    RowGroup,
    file_order,
)
from trading_runtime.errors import DataError
from trading_runtime.sequences import LazySequence

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    import polars as pl

MANIFESTS_FOLDER = "manifests"
"""Where a dataset keeps the tables of its index, and its earlier manifests."""
MOST_ENTRIES = 20_000
"""Row groups, gaps or raw files that a manifest lists itself."""
_ROWS_OF_A_TABLE = 100_000
_MOST_SMALL_TABLES = 16
_SERIES_AT_ONCE = 500
_MOST_SHOWN_GAPS = 5

type SeriesKey = tuple[str, str]
"""Type and identifier of a series."""
ReadObject = Callable[[str], bytes]
"""Reads a file of the dataset by its name."""

_KEY = ["type", "identifier"]
_HEX = ["file_sha256", "footer_sha256", "schema_sha256", "sha256"]
# Only a manifest with tables needs Polars, which takes long to import.
_FILES_SCHEMA: dict[str, type] = {
    **dict.fromkeys(("type", "identifier", "instrument_id", "path"), str),
    **dict.fromkeys(("file_bytes", "footer_offset", "file_rows"), int),
    **dict.fromkeys(("index", "rows", "offset", "bytes", "first", "last"), int),
    **dict.fromkeys(_HEX, str),
}
_GAPS_SCHEMA: dict[str, type] = {"type": str, "identifier": str, "after": int, "before": int}
_RAW_SCHEMA: dict[str, type] = dict.fromkeys(("type", "identifier", "name", "sha256"), str)


class TableFile(ManifestPart):
    """One file of a table."""

    sha256: str
    rows: Count
    bytes: Count
    first: tuple[str, str]
    """The first series in it: type and identifier."""
    last: tuple[str, str]

    @property
    def path(self) -> str:
        """The name of the file, relative to the dataset's folder."""
        return f"{MANIFESTS_FOLDER}/{self.sha256}.parquet"


class SeriesTotals(ManifestPart):
    """What a manifest says of a series without its files."""

    type: str
    identifier: str
    instrument_id: str
    files: Count
    row_groups: Count
    rows: Count
    bytes: Count
    first: int
    """``ts_init`` of the first row, nanoseconds since the epoch."""
    last: int
    """``ts_init`` of the last row, nanoseconds since the epoch."""
    spacing: Count
    """Mean time between rows of the first row group, rounded up; nanoseconds."""
    gaps: Count
    longest: tuple[tuple[int, int], ...]
    """The longest gaps: instants of the rows on both sides, the longest first."""

    @property
    def key(self) -> SeriesKey:
        """Type and identifier."""
        return self.type, self.identifier


class Index(ManifestPart):
    """The part ``index`` of a manifest."""

    series: tuple[SeriesTotals, ...]
    """Sorted by type and identifier."""
    files: tuple[TableFile, ...]
    gaps: tuple[TableFile, ...]
    raw_files: tuple[TableFile, ...]

    @property
    def tables(self) -> tuple[TableFile, ...]:
        """All files of all tables."""
        return self.files + self.gaps + self.raw_files


@dataclass(frozen=True, eq=False)
class IndexedFiles(LazySequence[DataFile]):
    """The files of an indexed dataset, in the order of a manifest; read when they are asked for."""

    stored: Index
    read: ReadObject
    manifest_digest: str
    added: tuple[DataFile, ...] = field(default=())
    """Files that are not in a table yet."""

    def __len__(self) -> int:  # noqa: D105 - as that of any sequence
        return sum(series.files for series in self.stored.series) + len(self.added)

    def __iter__(self) -> Iterator[DataFile]:  # noqa: D105 - as that of any sequence
        keys = {series.key for series in self.stored.series}
        keys |= {(file.type, file.identifier) for file in self.added}
        for some in batched(sorted(keys), _SERIES_AT_ONCE, strict=False):
            yield from self.of(some)

    def of(
        self, keys: Collection[SeriesKey], within: tuple[int, int] | None = None
    ) -> list[DataFile]:
        """Return the files of some series, with those row groups that touch ``within``."""
        wanted = set(keys)
        frame = self.frame(wanted, within)
        files = files_in(frame.sort(*_KEY, "first", "path", "index"))
        files += (file for file in self.added if (file.type, file.identifier) in wanted)
        return sorted(files, key=file_order) if self.added else files

    def frame(
        self, keys: Collection[SeriesKey], within: tuple[int, int] | None = None
    ) -> pl.DataFrame:
        """Return what the tables have of such files, a row for each row group; digests as bytes."""
        return _frame(self.stored.files, self.read, set(keys), _FILES_SCHEMA, within)


@dataclass(frozen=True, eq=False)
class IndexedGaps(LazySequence[Gap]):
    """The gaps of an indexed dataset; read when they are asked for."""

    stored: Index
    read: ReadObject
    added: tuple[Gap, ...] = field(default=())

    def __len__(self) -> int:  # noqa: D105 - as that of any sequence
        return sum(table.rows for table in self.stored.gaps) + len(self.added)

    def __iter__(self) -> Iterator[Gap]:  # noqa: D105 - as that of any sequence
        yield from self.of(None)

    def of(self, identifiers: Collection[str] | None) -> Iterator[Gap]:
        """Return the gaps of series with these identifiers; None: of all."""
        keys = None if identifiers is None else {("", name) for name in identifiers}
        frame = _frame(self.stored.gaps, self.read, keys, _GAPS_SCHEMA)
        for identifier, after, before in frame.select("identifier", "after", "before").iter_rows():
            yield Gap(identifier=identifier, after=after, before=before)
        yield from (
            gap for gap in self.added if identifiers is None or gap.identifier in identifiers
        )


def raw_files_in(index: Index, read: ReadObject) -> dict[SeriesKey, list[dict[str, str]]]:
    """Return name and sha256 of the raw files of every series."""
    frame = _unpacked(_frame(index.raw_files, read, None, _RAW_SCHEMA))
    found: dict[SeriesKey, list[dict[str, str]]] = {}
    for kind, identifier, name, sha256 in frame.iter_rows():
        found.setdefault((kind, identifier), []).append({"name": name, "sha256": sha256})
    return found


def totals_of(files: Iterable[DataFile], gaps: Iterable[Gap]) -> list[SeriesTotals]:
    """Return the totals of every series, by type and identifier."""
    by_series: dict[SeriesKey, list[DataFile]] = {}
    for file in files:
        by_series.setdefault((file.type, file.identifier), []).append(file)
    by_identifier: dict[str, list[tuple[int, int]]] = {}
    for gap in gaps:
        by_identifier.setdefault(gap.identifier, []).append((gap.after, gap.before))
    return [
        SeriesTotals(
            type=kind,
            identifier=identifier,
            instrument_id=found[0].instrument_id,
            files=len(found),
            row_groups=sum(len(file.row_groups) for file in found),
            rows=sum(file.rows for file in found),
            bytes=sum(file.bytes for file in found),
            first=min((file.row_groups[0].first for file in found if file.row_groups), default=0),
            last=max((file.row_groups[-1].last for file in found if file.row_groups), default=0),
            spacing=_spacing(found),
            gaps=len(by_identifier.get(identifier, ())),
            longest=_longest(by_identifier.get(identifier, ())),
        )
        for (kind, identifier), found in sorted(by_series.items())
    ]


def _spacing(files: Iterable[DataFile]) -> int:
    groups = [group for file in files for group in file.row_groups]
    if not groups:
        return 0
    first = min(groups, key=lambda group: (group.first, group.last))
    return -(-(first.last - first.first) // max(first.rows - 1, 1))


def index_of(
    files: Sequence[DataFile],
    gaps: Sequence[Gap],
    raw_files: Mapping[SeriesKey, Sequence[Mapping[str, str]]],
) -> tuple[Index, dict[str, bytes]]:
    """Return the index over all that a manifest lists, and the content of its new tables by name.

    Files and gaps that were added to an index go into tables of their own.
    """
    import polars as pl

    before = files.stored if isinstance(files, IndexedFiles) else None
    read = files.read if isinstance(files, IndexedFiles) else dict[str, bytes]().__getitem__
    new_files = files.added if isinstance(files, IndexedFiles) else files
    new_gaps = gaps.added if isinstance(gaps, IndexedGaps) else gaps
    made: dict[str, bytes] = {}
    raw = pl.DataFrame(
        [
            (*key, file["name"], file["sha256"])
            for key in sorted(raw_files)
            for file in raw_files[key]
        ],
        schema=_RAW_SCHEMA,
        orient="row",
    )
    gaps_frame = pl.DataFrame(
        [("", gap.identifier, gap.after, gap.before) for gap in new_gaps],
        schema=_GAPS_SCHEMA,
        orient="row",
    )
    index = Index(
        series=_merged(before.series if before else (), totals_of(new_files, new_gaps)),
        files=_table(before.files if before else (), read, _frame_of(new_files), made),
        gaps=_table(before.gaps if before else (), read, gaps_frame, made),
        # Their order within a series is that in which they were read.
        raw_files=_table((), read, raw, made),
    )
    return index, made


def _merged(
    before: Iterable[SeriesTotals], new: Iterable[SeriesTotals]
) -> tuple[SeriesTotals, ...]:
    series = {item.key: item for item in before}
    for item in new:
        old = series.get(item.key)
        series[item.key] = item if old is None else _sum(old, item)
    return tuple(series[key] for key in sorted(series))


def _sum(one: SeriesTotals, other: SeriesTotals) -> SeriesTotals:
    counts = ("files", "row_groups", "rows", "bytes", "gaps")
    return one.model_copy(
        update={name: getattr(one, name) + getattr(other, name) for name in counts}
        | {
            "first": min(one.first, other.first),
            "last": max(one.last, other.last),
            "spacing": min(one, other, key=lambda item: item.first).spacing,
            "longest": _longest([*one.longest, *other.longest]),
        }
    )


def _longest(gaps: Collection[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    return tuple(sorted(gaps, key=lambda gap: (gap[0] - gap[1], gap[0]))[:_MOST_SHOWN_GAPS])


def _table(
    before: Sequence[TableFile], read: ReadObject, new: pl.DataFrame, made: dict[str, bytes]
) -> tuple[TableFile, ...]:
    """Return the files of a table with ``new`` rows; what is written is added to ``made``."""
    import polars as pl

    if not new.height:
        return tuple(before)
    small = [table for table in before if table.rows < _ROWS_OF_A_TABLE // 2]
    if len(small) < _MOST_SMALL_TABLES:
        small = []
    kept = [table for table in before if table not in small]
    frames = [*(_read_table(table, read) for table in small), _packed(new)]
    rows = pl.concat(frames).sort(*_KEY, maintain_order=True)
    written = []
    for part in rows.iter_slices(_ROWS_OF_A_TABLE):
        buffer = io.BytesIO()
        part.write_parquet(buffer, compression="zstd", statistics=False)
        content = buffer.getvalue()
        keys = part.select(_KEY)
        table = TableFile(
            sha256=hashlib.sha256(content).hexdigest(),
            rows=part.height,
            bytes=len(content),
            first=keys.row(0),
            last=keys.row(-1),
        )
        made[table.path] = content
        written.append(table)
    return (*kept, *written)


def _packed(frame: pl.DataFrame) -> pl.DataFrame:
    """Return a table as it is stored: digests as bytes, half as long."""
    import polars as pl

    return frame.with_columns(pl.col(name).str.decode("hex") for name in _HEX if name in frame)


def _unpacked(frame: pl.DataFrame) -> pl.DataFrame:
    """Return a stored table with its digests in hexadecimal."""
    import polars as pl

    return frame.with_columns(pl.col(name).bin.encode("hex") for name in _HEX if name in frame)


def _read_table(
    table: TableFile,
    read: ReadObject,
    keys: set[SeriesKey] | None = None,
    within: tuple[int, int] | None = None,
) -> pl.DataFrame:
    """Return the rows of a file that are of series in ``keys`` and touch ``within``."""
    import polars as pl

    content = read(table.path)
    if hashlib.sha256(content).hexdigest() != table.sha256:
        raise DataError(
            f"{table.path}: is not what the manifest says: it was changed or damaged; make the "
            "manifest again with 'trading-runtime data adopt'"
        )
    frame = pl.read_parquet(content)
    kept = pl.lit(value=True)
    if keys is not None:
        for name, values in zip(_KEY, map(set, zip(*keys, strict=True)), strict=True):
            kept &= pl.col(name).is_in([*values])
    if within is not None:
        start, end = within
        kept &= (pl.col("last") >= start) & (pl.col("first") < end)
    rows = frame.select(kept).to_series()
    # Mostly all are: a copy would take as much memory again.
    return frame if rows.all() else frame.filter(rows)


def _frame(
    tables: Iterable[TableFile],
    read: ReadObject,
    keys: set[SeriesKey] | None,
    schema: dict[str, type],
    within: tuple[int, int] | None = None,
) -> pl.DataFrame:
    """Return the rows of some series, of all when ``keys`` is None, that touch ``within``."""
    import polars as pl

    low, high = (min(keys), max(keys)) if keys else (("", ""), ("", ""))
    frames = [
        _read_table(table, read, keys, within)
        for table in tables
        if keys is None or (keys and table.first <= high and low <= table.last)
    ]
    return pl.concat(frames) if frames else _packed(pl.DataFrame(schema=schema))


def _frame_of(files: Iterable[DataFile]) -> pl.DataFrame:
    import polars as pl

    rows = [
        (
            file.type, file.identifier, file.instrument_id, file.path,
            file.bytes, file.footer_offset, file.rows,
            group.index, group.rows, group.offset, group.bytes, group.first, group.last,
            file.sha256, file.footer_sha256, file.schema_sha256, group.sha256,
        )
        for file in files
        for group in file.row_groups
    ]  # fmt: skip
    return pl.DataFrame(rows, schema=_FILES_SCHEMA, orient="row")


def files_in(frame: pl.DataFrame) -> list[DataFile]:
    """Return the files that rows of the tables describe, in the order of the rows."""
    frame = _unpacked(frame)
    names = frame.columns
    files = []
    for _, rows in groupby(frame.iter_rows(), key=itemgetter(names.index("path"))):
        groups = [dict(zip(names, row, strict=True)) for row in rows]
        files.append(_file(groups))
    return files


def _file(rows: Sequence[Mapping[str, Any]]) -> DataFile:
    first = rows[0]
    same = ("type", "identifier", "instrument_id", "path", "footer_offset", "footer_sha256",
            "schema_sha256")  # fmt: skip
    of_group = ("index", "rows", "offset", "bytes", "first", "last", "sha256")
    return DataFile(
        **{name: first[name] for name in same},
        bytes=first["file_bytes"],
        rows=first["file_rows"],
        sha256=first["file_sha256"],
        row_groups=tuple(RowGroup(**{name: row[name] for name in of_group}) for row in rows),
    )
