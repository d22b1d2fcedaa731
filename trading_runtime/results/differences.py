"""What differs between two results: which keys of their inputs, then which first row and column."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from trading_runtime.canonical import decimal_text
from trading_runtime.planning.identity import decode_values
from trading_runtime.time_units import format_instant

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    import pyarrow as pa

FILES = (
    "orders.parquet",
    "fills.parquet",
    "positions.parquet",
    "equity.parquet",
    "summary.json",
    "manifest.json",
)
"""The files of a result in the order in which one difference leads to the next."""

ABSENT = "absent"
_INSTANTS = {"start", "end", "warmup_start"}
_NAMING = {"order_id", "position", "instrument_id", "ts", "ts_init", "ts_opened"}
_MOST_CHARACTERS = 100


@dataclass(frozen=True)
class InputDifference:
    """One key of the inputs that is not the same."""

    path: str
    """Such as ``common.venue.fees.taker`` or ``partition.data[0].row_groups[3]``."""
    first: str
    second: str

    def __str__(self) -> str:
        """Return the difference as one line."""
        return f"{self.path}: {self.first} vs {self.second}"


@dataclass(frozen=True)
class FileDifference:
    """The first place where the files of two results are not the same."""

    file: str
    first: str
    second: str
    row: int | None = None
    """Counted from 0, as fills and positions are."""
    column: str | None = None
    """Column of a table, or key of a document."""
    about: str = ""
    """Cells of the row that say which order, fill, position or moment it is."""

    def told(self, first: str, second: str) -> str:
        """Return the difference as one line, given what the two results are called."""
        place = self.file
        if self.row is not None:
            place += f", row {self.row}"
        if self.column is not None:
            place += f", {'column' if self.file.endswith('.parquet') else 'key'} {self.column}"
        about = f" ({self.about})" if self.about else ""
        return f"{place}: {first} {self.first}, {second} {self.second}{about}"


def input_differences(first: Any, second: Any, path: str = "") -> list[InputDifference]:
    """Return every key at which two JSON documents are not the same, in order of their paths."""
    return list(_differences(first, second, path))


def first_difference(
    first: Mapping[str, bytes], second: Mapping[str, bytes], *, ignored: Collection[str] = ()
) -> FileDifference | None:
    """Return the first place where two results differ, ``None`` when all bytes are the same.

    Each result is the content of its files by name. Keys of documents that are ``ignored`` do not
    count. Other bytes with the same rows count only when nothing else differs.
    """
    only_bytes = None
    for name in (*FILES, *sorted((first.keys() | second.keys()).difference(FILES))):
        one, other = first.get(name), second.get(name)
        if one == other:
            continue
        if one is None or other is None:
            return FileDifference(name, _presence(one), _presence(other))
        is_table = name.endswith(".parquet")
        found = _in_tables(name, one, other) if is_table else _in_keys(name, one, other, ignored)
        if found is not None:
            return found
        if is_table:
            only_bytes = only_bytes or _of_sizes(name, one, other, "the same rows")
    return only_bytes


def _differences(first: Any, second: Any, path: str) -> Iterator[InputDifference]:
    first, second = (_decimal(value) for value in (first, second))
    if isinstance(first, dict) and isinstance(second, dict):
        for key in sorted(first.keys() | second.keys()):
            inner = f"{path}.{key}" if path else str(key)
            yield from _differences(first.get(key, _Absent), second.get(key, _Absent), inner)
    elif isinstance(first, list) and isinstance(second, list):
        for index in range(max(len(first), len(second))):
            one, other = (each[index] if index < len(each) else _Absent for each in (first, second))
            yield from _differences(one, other, f"{path}[{index}]")
    elif type(first) is not type(second) or first != second:
        yield InputDifference(path, _shown(first, path), _shown(second, path))


class _Absent:
    """Stands for a key that only the other document has."""


def _decimal(value: Any) -> Any:
    """Return an encoded decimal as the number that it is, anything else as it came."""
    decoded = decode_values(value) if isinstance(value, dict) and len(value) == 1 else value
    return decoded if isinstance(decoded, Decimal) else value


def _shown(value: Any, path: str) -> str:
    if value is _Absent:
        return ABSENT
    if isinstance(value, Decimal):
        return decimal_text(value)
    if isinstance(value, int) and path.rpartition(".")[2] in _INSTANTS:
        return format_instant(value)
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _MOST_CHARACTERS else text[: _MOST_CHARACTERS - 3] + "..."


def _presence(content: bytes | None) -> str:
    return ABSENT if content is None else f"{len(content)} bytes"


def _of_sizes(name: str, first: bytes, second: bytes, about: str) -> FileDifference:
    sizes = _presence(first), _presence(second)
    return FileDifference(name, sizes[0], sizes[1], about=f"{about}, written otherwise")


def _in_keys(
    name: str, first: bytes, second: bytes, ignored: Collection[str]
) -> FileDifference | None:
    one, other = (_document(content) for content in (first, second))
    if not isinstance(one, dict) or not isinstance(other, dict):
        return FileDifference(name, _shown(one, ""), _shown(other, ""))
    for key in [*one, *(key for key in other if key not in one)]:
        if key not in ignored:
            for found in _differences(one.get(key, _Absent), other.get(key, _Absent), key):
                return FileDifference(name, found.first, found.second, column=found.path)
    return None if ignored else _of_sizes(name, first, second, "the same values")


def _document(content: bytes) -> Any:
    try:
        return json.loads(content)
    except ValueError:
        return "no JSON"


def _in_tables(name: str, first: bytes, second: bytes) -> FileDifference | None:

    one, other = _table(first), _table(second)
    if one is None or other is None:
        readable, unreadable = "Parquet", "no Parquet"
        return FileDifference(
            name, unreadable if one is None else readable, unreadable if other is None else readable
        )
    for column in [*one.column_names, *other.column_names]:
        kind, other_kind = _kind(one, column), _kind(other, column)
        if kind != other_kind:
            return FileDifference(name, kind, other_kind, column=column)
    rows = min(one.num_rows, other.num_rows)
    places = [
        (row, number)
        for number, column in enumerate(one.column_names)
        if (row := _first_row(one[column].slice(0, rows), other[column].slice(0, rows))) is not None
    ]
    if places:
        row, number = min(places)
        column = one.column_names[number]
        cell, other_cell = _cell(one, column, row), _cell(other, column, row)
        about = _about(one, row, apart_from=column)
        return FileDifference(name, cell, other_cell, row, column, about)
    if one.num_rows != other.num_rows:
        about = _about(max(one, other, key=len), rows)
        counts = f"{one.num_rows} rows", f"{other.num_rows} rows"
        return FileDifference(name, counts[0], counts[1], rows, about=about)
    return None


def _table(content: bytes) -> pa.Table | None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.read_table(io.BytesIO(content))
    except (OSError, pa.ArrowException):
        return None


def _kind(table: pa.Table, column: str) -> str:
    if column not in table.column_names:
        return ABSENT
    return str(table.schema.field(column).type)


def _first_row(first: pa.ChunkedArray, second: pa.ChunkedArray) -> int | None:
    import pyarrow.compute as pc

    one, other = first.combine_chunks(), second.combine_chunks()
    unequal = pc.fill_null(pc.not_equal(one, other), fill_value=False)
    mask = pc.or_(unequal, pc.xor(pc.is_null(one), pc.is_null(other)))
    row = pc.index(mask, value=True).as_py()
    return None if row < 0 else int(row)


def _cell(table: pa.Table, column: str, row: int) -> str:
    import pyarrow as pa

    value = table[column][row]
    if pa.types.is_timestamp(value.type):
        # Python's own datetime has no nanoseconds.
        number = value.cast(pa.int64()).as_py()
        return "null" if number is None else format_instant(number)
    plain = value.as_py()
    if plain is None:
        return "null"
    return decimal_text(plain) if isinstance(plain, Decimal) else str(plain)


def _about(table: pa.Table, row: int, apart_from: str = "") -> str:
    names = [name for name in table.column_names if name in _NAMING and name != apart_from]
    return ", ".join(f"{name} {_cell(table, name, row)}" for name in names)
