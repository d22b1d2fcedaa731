"""The data of a plan's partitions: series, their files and row groups.

A plan over all months of thousands of instruments has hundreds of thousands of row groups. Records
of them would take more time and memory than the rest of the plan. Such a plan has them once, as
columns, and its partitions name theirs by number. In ``plan.json`` the columns are Parquet files,
in base64.
"""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from trading_runtime.records.forms import check_form
from trading_runtime.sequences import LazySequence

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    import polars as pl

    from trading_runtime.records.forms import Form

    type Numbers = range | pl.Series
    """Numbers of rows of a table, ascending."""

_DIGESTS = ("schema_sha256", "footer_sha256", "sha256")
TABLE_COLUMNS = (
    *("type", "identifier", "instrument_id", "path", "footer_offset", "index", "offset", "bytes"),
    *_DIGESTS,
)
_NUMBERS = "row_group"
_LISTED: Form = {
    "row_groups": [{"path": str, "index": int, "sha256": str, "offset": int, "bytes": int}],
    "files": [{"path": str, "footer_offset": int, "footer_sha256": str}],
    "type": str,
    "identifier": str,
    "instrument_id": str,
    "schemas": [str],
}
_TABLED: Form = {"table": int, "first": int, "row_groups": int}


@dataclass(frozen=True, slots=True)
class PlannedRowGroup:
    """A row group of a file of the dataset."""

    path: str
    index: int
    offset: int
    bytes: int
    sha256: str

    def to_document(self) -> dict[str, Any]:
        """Return the row group as ``plan.json`` states it."""
        return {
            "path": self.path,
            "index": self.index,
            "offset": self.offset,
            "bytes": self.bytes,
            "sha256": self.sha256,
        }


class PlannedFile(NamedTuple):
    """A file of the dataset, with its footer."""

    path: str
    footer_offset: int
    footer_sha256: str


class PlannedSeries(NamedTuple):
    """What a partition needs of one series: the row groups, and the files that contain them."""

    type: str
    identifier: str
    instrument_id: str
    schemas: tuple[str, ...]
    files: tuple[PlannedFile, ...]
    row_groups: tuple[PlannedRowGroup, ...]

    @property
    def folder(self) -> str:
        """The folder of its files, in the dataset and in a catalog with some of its rows.

        The name is the engine's own: it drops some characters that identifiers may have.
        """
        return self.row_groups[0].path.rpartition("/")[0]

    @classmethod
    def of(cls, rows: Iterable[tuple[Any, ...]]) -> Self:
        """Return the series with these row groups, each with the values of ``TABLE_COLUMNS``."""
        files: list[PlannedFile] = []
        groups: list[PlannedRowGroup] = []
        schemas: dict[str, None] = {}
        key: tuple[str, str, str] = ("", "", "")
        for *first, path, footer_offset, index, offset, size, schema, footer, sha256 in rows:
            key = first[0], first[1], first[2]
            if not files or files[-1].path != path:
                files.append(PlannedFile(path, footer_offset, footer))
            groups.append(PlannedRowGroup(path, index, offset, size, sha256))
            schemas[schema] = None
        return cls(*key, tuple(schemas), tuple(files), tuple(groups))

    def to_document(self) -> dict[str, Any]:
        """Return the series as ``plan.json`` states it."""
        return self._asdict() | {
            "schemas": list(self.schemas),
            "files": [file._asdict() for file in self.files],
            "row_groups": [group.to_document() for group in self.row_groups],
        }

    @classmethod
    def from_document(cls, item: Mapping[str, Any]) -> Self:
        """Return the series that ``plan.json`` states; the form of ``item`` has been checked."""
        return cls(
            item["type"],
            item["identifier"],
            item["instrument_id"],
            tuple(item["schemas"]),
            tuple(
                PlannedFile(file["path"], file["footer_offset"], file["footer_sha256"])
                for file in item["files"]
            ),
            tuple(
                PlannedRowGroup(
                    group["path"], group["index"], group["offset"], group["bytes"], group["sha256"]
                )
                for group in item["row_groups"]
            ),
        )


class TabledData(LazySequence[PlannedSeries]):
    """The series of a partition: rows of a table that partitions share, read when asked for."""

    def __init__(self, table: pl.DataFrame, numbers: Numbers) -> None:
        self.table = table
        """Has ``TABLE_COLUMNS``, digests as bytes; by type, identifier and time."""
        self.numbers = numbers
        """Which rows of the table are the partition's, ascending."""

    def __len__(self) -> int:  # noqa: D105 - as that of any sequence
        return self._rows().select("type", "identifier").n_unique()

    def __iter__(self) -> Iterator[PlannedSeries]:  # noqa: D105 - as that of any sequence
        rows = self._with_hex_digests().select(TABLE_COLUMNS).iter_rows()
        for _, found in groupby(rows, key=itemgetter(0, 1)):
            yield PlannedSeries.of(found)

    def _rows(self) -> pl.DataFrame:
        return rows_of(self.table, self.numbers)

    def _with_hex_digests(self) -> pl.DataFrame:
        import polars as pl

        return self._rows().with_columns(pl.col(name).bin.encode("hex") for name in _DIGESTS)


PART, NUMBER = "part", "number"
ROWS_AT_ONCE = 10_000
"""Row groups of several partitions that are worked on together."""


def rows_of(table: pl.DataFrame, numbers: Numbers) -> pl.DataFrame:
    """Return the rows of a table with these numbers."""
    return table[numbers.start : numbers.stop] if isinstance(numbers, range) else table[numbers]


def joined(parts: Sequence[Numbers]) -> pl.Series:
    """Return the numbers of all parts."""
    import polars as pl

    ranges = [(part.start, part.stop) for part in parts if isinstance(part, range)]
    if len(ranges) == len(parts):
        # Tens of thousands: a column for each would take long.
        ends = pl.DataFrame(ranges, {"start": pl.Int64, "stop": pl.Int64}, orient="row")
        every = pl.int_ranges("start", "stop", dtype=pl.UInt32).explode(empty_as_null=False)
        return ends.select(every).to_series()
    columns = (
        pl.int_range(part.start, part.stop, eager=True) if isinstance(part, range) else part
        for part in parts
    )
    return pl.concat([column.cast(pl.UInt32) for column in columns], rechunk=True)


def numbered(parts: Sequence[Numbers]) -> pl.DataFrame:
    """Return the numbers of all parts, each with that of its part."""
    import polars as pl

    counts = pl.DataFrame({PART: range(len(parts)), "count": [len(part) for part in parts]})
    owners = counts.select(pl.col(PART).cast(pl.UInt32).repeat_by("count").explode())
    return owners.with_columns(joined(parts).alias(NUMBER))


def canonical_jsons(every: Sequence[TabledData]) -> list[bytes]:
    """Return what a task's identity states of each data of one table: without its location.

    The texts are those of ``canonical.canonical_json`` for ``inputs.SeriesInputs``.
    """
    import polars as pl

    rows = numbered([data.numbers for data in every])
    columns = ("type", "identifier", "instrument_id", "sha256", "schema_sha256")
    found = every[0].table.select(columns)[rows[NUMBER]].with_columns(rows[PART])
    key = (PART, "type", "identifier")
    begins = pl.any_horizontal(pl.col(name) != pl.col(name).shift() for name in key)
    schema = pl.col("schema_sha256")
    found = found.with_columns(
        pl.col("sha256", "schema_sha256").bin.encode("hex"), begins=begins.fill_null(value=True)
    )
    found = found.with_columns(series=pl.col("begins").cum_sum() - 1)
    series = found.filter("begins")
    if found.select((~pl.col("begins") & (schema != schema.shift())).any()).item():
        schemas = schema.unique(maintain_order=True).str.join('","')
        each = found.group_by("series", maintain_order=True).agg(schemas)
        series = series.with_columns(each["schema_sha256"])
    # Written out: a struct with lists takes three times as long to encode.
    comma = pl.when(pl.col(PART) == pl.col(PART).shift()).then(pl.lit(",")).otherwise(pl.lit(""))
    names = pl.struct("identifier", "instrument_id").struct.json_encode().str.head(-1)
    kind = pl.struct("type").struct.json_encode().str.slice(1)
    around = series.select(
        before=pl.concat_str(comma, names, pl.lit(',"row_groups":["')),
        behind=pl.concat_str(pl.lit('"],"schemas":["'), schema, pl.lit('"],'), kind),
    )
    ends = pl.col("begins").shift(-1, fill_value=True)
    texts = found.select(PART, "sha256", "begins", *around[found["series"]]).select(
        PART,
        text=pl.concat_str(
            pl.when("begins").then("before").otherwise(pl.lit('","')),
            "sha256",
            pl.when(ends).then("behind").otherwise(pl.lit("")),
        ),
    )
    joined = texts.group_by(PART, maintain_order=True).agg(pl.col("text").str.join(""))["text"]
    return [b"[%b]" % text for text in joined.cast(pl.Binary)]


def data_documents(
    every: Sequence[Sequence[PlannedSeries]],
) -> tuple[list[Any], list[dict[str, str]]]:
    """Return the data of each partition, and the tables of all, as ``plan.json`` states them."""
    tables: dict[int, pl.DataFrame] = {}
    numbers: dict[int, list[Numbers]] = {}
    counts: dict[int, int] = {}
    documents: list[Any] = []
    for data in every:
        if not isinstance(data, TabledData):
            documents.append([series.to_document() for series in data])
            continue
        key = id(data.table)
        tables.setdefault(key, data.table)
        first, count = counts.get(key, 0), len(data.numbers)
        documents.append({"table": list(tables).index(key), "first": first, "row_groups": count})
        numbers.setdefault(key, []).append(data.numbers)
        counts[key] = first + count
    return documents, [_table_document(table, numbers[key]) for key, table in tables.items()]


def _table_document(table: pl.DataFrame, numbers: Sequence[Numbers]) -> dict[str, str]:
    every = joined(numbers).alias(_NUMBERS).to_frame()
    return {"row_groups": _encoded(table.select(TABLE_COLUMNS)), "numbers": _encoded(every)}


def _encoded(frame: pl.DataFrame) -> str:
    buffer = io.BytesIO()
    frame.write_parquet(buffer, compression="zstd", statistics=False)
    return base64.b64encode(buffer.getbuffer()).decode()


class DataTables:
    """The tables of a plan that is read."""

    def __init__(self, documents: Any) -> None:
        """Read the tables that ``plan.json`` has; raises ``ValueError`` when they are damaged."""
        check_form(documents, [{"row_groups": str, "numbers": str}], "tables")
        self._tables = [
            (_decoded(item["row_groups"], number), _decoded(item["numbers"], number)[_NUMBERS])
            for number, item in enumerate(documents)
        ]

    def data(self, document: Any, place: str) -> Sequence[PlannedSeries]:
        """Return the data of a partition, ``document`` at ``place`` of the plan.

        Raises ``ValueError`` when it does not have the right form.
        """
        if isinstance(document, list):
            check_form(document, [_LISTED], place)
            return tuple(PlannedSeries.from_document(item) for item in document)
        check_form(document, _TABLED, place)
        first, count = document["first"], document["row_groups"]
        if not 0 <= document["table"] < len(self._tables):
            raise ValueError(f"{place}.table is of the wrong form")
        table, numbers = self._tables[document["table"]]
        if first < 0 or count < 1 or first + count > len(numbers):
            raise ValueError(f"{place}.first is of the wrong form")
        return TabledData(table, numbers[first : first + count])


def _decoded(text: str, number: int) -> pl.DataFrame:
    import polars as pl

    try:
        return pl.read_parquet(io.BytesIO(base64.b64decode(text, validate=True)))
    except (ValueError, pl.exceptions.PolarsError) as error:
        raise ValueError(f"tables[{number}] cannot be read: {error}") from error
