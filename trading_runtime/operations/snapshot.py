"""A venue's snapshot: its orders, fills, positions and balances, from JSON, CSV or Parquet."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

from trading_runtime.errors import DataError, UsageError
from trading_runtime.operations.books import TABLES, Row, Table

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_ENDINGS = (".csv", ".parquet")
_LONGEST_SHOWN = 60


@dataclass(frozen=True)
class Snapshot:
    """What a venue says; a table that it does not speak of is not compared."""

    sha256: str
    tables: dict[str, Table]
    fields: dict[str, frozenset[str]]
    """The fields of each table that the snapshot has."""
    ignored: tuple[str, ...]
    """Columns that nothing is compared with, as ``table.column``."""


def read_snapshot(path: Path) -> Snapshot:
    """Read a JSON file with a list of rows for each table, one table, or a folder of tables.

    A table is ``orders``, ``fills``, ``positions`` or ``balances``, with the ending ``.csv`` or
    ``.parquet``. Numbers are read exactly. Raises ``UsageError`` when it is none of that, and
    ``DataError``, with table and row, for what cannot be read in it.
    """
    contents = _contents(path)
    sha256 = hashlib.sha256()
    tables: dict[str, Table] = {}
    fields: dict[str, frozenset[str]] = {}
    ignored: list[str] = []
    for file, content in contents:
        sha256.update(content)
        for name, rows in _parsed(file, content).items():
            where = f"{file}: {name}"
            if name in tables:
                raise DataError(f"{where}: is there twice; leave one of them out")
            tables[name] = _table(where, name, rows)
            columns = {column for row in rows for column in row}
            fields[name] = TABLES[name].fields & columns
            ignored += sorted(
                f"{name}.{column}"
                for column in columns - TABLES[name].fields - set(TABLES[name].key)
            )
    return Snapshot(sha256.hexdigest(), tables, fields, tuple(ignored))


def _contents(path: Path) -> list[tuple[Path, bytes]]:
    try:
        if path.is_dir():
            files = [path / f"{name}{ending}" for name in TABLES for ending in _ENDINGS]
            found = [(file, file.read_bytes()) for file in files if file.is_file()]
        else:
            found = [(path, path.read_bytes())]
    except FileNotFoundError as error:
        raise UsageError(f"{path}: there is no such file; give a venue's snapshot") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    if not found:
        names = ", ".join(f"{name}.csv" for name in TABLES)
        raise UsageError(f"{path}: holds no table; accepted are {names}, or with .parquet")
    return found


def _parsed(file: Path, content: bytes) -> dict[str, list[Row]]:
    if file.suffix == ".json":
        return _json_tables(file, content)
    if file.suffix not in _ENDINGS or file.stem not in TABLES:
        raise UsageError(
            f"{file}: accepted are a .json file, or one named {', '.join(TABLES)} that ends in "
            ".csv or .parquet"
        )
    if file.suffix == ".csv":
        try:
            rows = csv.DictReader(io.StringIO(content.decode("utf-8-sig")), strict=True)
            return {file.stem: [_filled(file, row) for row in rows]}
        except (UnicodeDecodeError, csv.Error) as error:
            raise DataError(f"{file}: is not CSV in UTF-8: {error}") from error
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return {file.stem: pq.read_table(io.BytesIO(content)).to_pylist()}
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{file}: is not Parquet: {error}") from error


def _json_tables(file: Path, content: bytes) -> dict[str, list[Row]]:
    try:
        found = json.loads(content, parse_float=Decimal, parse_int=Decimal)
    except ValueError as error:
        raise DataError(f"{file}: is not JSON: {error}") from error
    if not isinstance(found, dict) or not found or not found.keys() <= TABLES.keys():
        raise DataError(f"{file}: accepted is an object with lists {', '.join(TABLES)}")
    for name, rows in found.items():
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise DataError(f"{file}: {name}: accepted is a list of objects")
    return found


def _filled(file: Path, row: dict[Any, Any]) -> Row:
    if None in row or None in row.values():
        raise DataError(f"{file}: a row has another number of columns than the head: {_show(row)}")
    return {name: value or None for name, value in row.items()}


def _table(where: str, name: str, rows: Sequence[Row]) -> Table:
    kind = TABLES[name]
    table: Table = {}
    for number, row in enumerate(rows, 1):
        missing = [column for column in kind.key if row.get(column) in {None, ""}]
        if missing:
            raise DataError(f"{where}: row {number}: {missing[0]} is missing: {_show(row)}")
        read = {
            column: _number(f"{where}: row {number}: {column}", value)
            if column in kind.numbers
            else str(value)
            for column, value in row.items()
            if value is not None and column in kind.fields | set(kind.key)
        }
        key = kind.key_of(read)
        if key in table:
            raise DataError(f"{where}: row {number}: {key!r} is there twice")
        table[key] = read
    if name == "positions":
        return {key: row for key, row in table.items() if row.get("quantity", 1)}
    return table


def _number(where: str, value: object) -> Decimal:
    try:
        # A float's shortest text is what its writer meant.
        number = Decimal(repr(value)) if isinstance(value, float) else Decimal(str(value))
    except InvalidOperation as error:
        raise DataError(f"{where}: {_show(value)} is not a number") from error
    if not number.is_finite():
        raise DataError(f"{where}: {_show(value)} is not a number that can be compared")
    return number


def _show(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."
