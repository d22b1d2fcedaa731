"""Compare a run's books with a venue's snapshot: what matches, what differs, what is unknown."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from dataclasses import asdict, dataclass
from decimal import Decimal, InvalidOperation, localcontext
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from trading_runtime.canonical import decimal_text
from trading_runtime.errors import DataError, Kind, UsageError
from trading_runtime.records.inputs import CommonInputs
from trading_runtime.records.instruments import InstrumentDefinition
from trading_runtime.records.task_manifest import MANIFEST, parse_manifest
from trading_runtime.results.exact import EXACT
from trading_runtime.runs.metadata import now_text
from trading_runtime.storage.files import read_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from trading_runtime.results.store import Store


_ENDINGS = (".csv", ".parquet")
_LONGEST_SHOWN = 60


@dataclass(frozen=True)
class Snapshot:
    """A venue's data; a table that it does not contain is not compared."""

    sha256: str
    tables: dict[str, Table]
    fields: dict[str, frozenset[str]]
    """The fields of each table that the snapshot has."""
    ignored: tuple[str, ...]
    """Columns that are not compared, as ``table.column``."""


def read_snapshot(path: Path) -> Snapshot:
    """Read a JSON file with a list of rows for each table, one table, or a folder of tables.

    A table is ``orders``, ``fills``, ``positions`` or ``balances``, with the ending ``.csv`` or
    ``.parquet``. Numbers are read exactly. Raises ``UsageError`` when it is none of these, and
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
            found = [(file, read_bytes(file)) for file in files if file.is_file()]
        else:
            found = [(path, read_bytes(path))]
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


Row = dict[str, Any]
Table = dict[str, Row]
"""Rows by their key."""


@dataclass(frozen=True)
class TableKind:
    """How a table's rows are identified, and which of their fields can be compared."""

    key: tuple[str, ...]
    numbers: frozenset[str]
    texts: frozenset[str]

    @property
    def fields(self) -> frozenset[str]:
        """All fields that can be compared."""
        return self.numbers | self.texts

    def key_of(self, row: Mapping[str, Any]) -> str:
        """Return what identifies a row, as one text."""
        return " ".join(str(row[name]) for name in self.key)


TABLES = {
    "orders": TableKind(
        ("order_id",),
        frozenset({"quantity", "filled_quantity", "price", "trigger_price", "average_price"}),
        frozenset({"instrument_id", "side", "type", "status", "time_in_force"}),
    ),
    "fills": TableKind(
        ("instrument_id", "trade_id"),
        frozenset({"quantity", "price", "fee"}),
        frozenset({"order_id", "side", "fee_currency", "liquidity"}),
    ),
    "positions": TableKind(("instrument_id",), frozenset({"quantity"}), frozenset()),
    "balances": TableKind(("currency",), frozenset({"total"}), frozenset()),
}


def books_of(store: Store, task_id: str) -> dict[str, Table]:
    """Return the books of a stored task, its bytes verified; every table is present.

    Orders that were denied never reached a venue and are left out, as are positions of zero. A
    balance is known when the account, of a single venue, trades and has one currency; otherwise
    there is no row.

    Raises ``DataError`` when the result is missing or damaged.
    """
    files = store.read_task(task_id)
    orders, fills, positions = (
        _rows(files[f"{name}.parquet"]) for name in ("orders", "fills", "positions")
    )
    inputs = parse_manifest(files[MANIFEST]).inputs
    try:
        common = CommonInputs.from_document(inputs["common"])
        instruments = [
            InstrumentDefinition.from_document(item) for item in inputs["partition"]["instruments"]
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"task {task_id}: its inputs are damaged: {error}") from error
    open_quantities: dict[str, Decimal] = {}
    for row in positions:
        name = row["instrument_id"]
        open_quantities[name] = open_quantities.get(name, Decimal(0)) + row["open_quantity"]
    sent = [row for row in orders if row["status"] != "DENIED"]
    return {
        "orders": {TABLES["orders"].key_of(row): row for row in sent},
        "fills": {TABLES["fills"].key_of(row): row for row in fills},
        "positions": {
            name: {"instrument_id": name, "quantity": quantity}
            for name, quantity in open_quantities.items()
            if quantity
        },
        "balances": _balances(common, instruments, positions, json.loads(files["summary.json"])),
    }


def _balances(
    common: CommonInputs,
    instruments: Sequence[InstrumentDefinition],
    positions: list[Row],
    summary: Mapping[str, Any],
) -> Table:
    amounts = [text.split() for text in common.venue.balances]
    currency = common.currency
    settled = {item.settlement_currency or item.quote_currency for item in instruments}
    if (
        common.venues
        or common.venue.account_type != "margin"
        or [code for _, code in amounts] != [currency]
        or settled != {currency}
    ):
        return {}
    # Only the profit of each position so far, including fees, swap and dividends move such an
    # account.
    flows = sum((Decimal(summary.get(name, 0)) for name in ("swap", "dividends")), Decimal(0))
    made = sum((row["realized_pnl"] for row in positions), flows)
    return {currency: {"currency": currency, "total": Decimal(amounts[0][0]) + made}}


def _rows(content: bytes) -> list[Row]:
    import pyarrow.parquet as pq

    rows: list[Row] = pq.read_table(io.BytesIO(content)).to_pylist()
    return rows


class RowState(StrEnum):
    """The comparison of one entry of the books."""

    MATCHED = "matched"
    MISMATCHED = "mismatched"
    """Both have it, with differences."""
    UNKNOWN = "unknown"
    """Only one of the two has it."""


@dataclass(frozen=True)
class Difference:
    """One field in which run and venue differ, or one entry that only one of them has."""

    table: str
    key: str
    state: RowState
    field: str | None
    ours: str | None
    theirs: str | None
    difference: str | None
    """Theirs minus ours, for numbers."""


@dataclass(frozen=True)
class Reconciliation:
    """The result of a comparison."""

    task_id: str
    snapshot: str
    """The sha256 of the snapshot."""
    tables: dict[str, dict[str, int]]
    rows: tuple[Difference, ...]
    ignored: tuple[str, ...]
    time: str

    @property
    def counts(self) -> dict[str, int]:
        """Entries by state, over all tables."""
        return {state: sum(table[state] for table in self.tables.values()) for state in RowState}

    @property
    def kind(self) -> Kind:
        """``ok`` when everything matches, else ``differs``."""
        return Kind.OK if not self.rows else Kind.DIFFERS

    def content(self) -> dict[str, Any]:
        """Return it as JSON content."""
        return {
            "time": self.time,
            "task_id": self.task_id,
            "snapshot": self.snapshot,
            "outcome": self.kind,
            "counts": self.counts,
            "tables": self.tables,
            "ignored": list(self.ignored),
            "rows": [asdict(row) for row in self.rows],
        }


def reconcile(
    task_id: str,
    books: Mapping[str, Table],
    snapshot: Snapshot,
    tolerances: Mapping[str, Decimal],
) -> Reconciliation:
    """Compare the books of a task with the tables and fields of the snapshot.

    A number matches when it differs by no more than the tolerance of its field (none: exactly).
    """
    counts: dict[str, dict[str, int]] = {}
    rows: list[Difference] = []
    for name in TABLES:
        if name not in snapshot.tables:
            continue
        ours, theirs = books[name], snapshot.tables[name]
        counts[name] = dict.fromkeys(RowState, 0)
        for key in sorted(ours.keys() | theirs.keys()):
            found = list(_compared(name, key, ours.get(key), theirs.get(key), tolerances))
            state = found[0].state if found else RowState.MATCHED
            counts[name][state] += 1
            rows += found
    return Reconciliation(
        task_id, snapshot.sha256, counts, tuple(rows), snapshot.ignored, now_text()
    )


def parse_tolerances(texts: Sequence[str]) -> dict[str, Decimal]:
    """Read ``price=0.01``; raises ``UsageError`` for a field without numbers or a bad number."""
    known = sorted({field for kind in TABLES.values() for field in kind.numbers})
    tolerances = {}
    for text in texts:
        field, _, amount = text.partition("=")
        if field not in known:
            raise UsageError(f"--tolerance {text}: accepted are {', '.join(known)}")
        try:
            tolerances[field] = Decimal(amount)
            sound = tolerances[field].is_finite() and tolerances[field] >= 0
        except ArithmeticError:
            sound = False
        if not sound:
            raise UsageError(f"--tolerance {text}: write it like {field}=0.01")
    return tolerances


def _compared(
    table: str, key: str, ours: Row | None, theirs: Row | None, tolerances: Mapping[str, Decimal]
) -> Iterator[Difference]:
    if ours is None or theirs is None:
        here, there = ("there", None) if theirs is None else (None, "there")
        yield Difference(table, key, RowState.UNKNOWN, None, here, there, None)
        return
    kind = TABLES[table]
    for field in sorted(kind.fields & theirs.keys()):
        mine, other = ours.get(field), theirs[field]
        if field in kind.numbers:
            with localcontext(EXACT):
                gap = None if mine is None else other - mine
                differs = gap is None or abs(gap) > tolerances.get(field, Decimal(0))
        else:
            gap, differs = None, str(mine).upper() != str(other).upper()
        if differs:
            yield Difference(
                table, key, RowState.MISMATCHED, field, _text(mine), _text(other), _text(gap)
            )


def _text(value: object) -> str | None:
    if isinstance(value, Decimal):
        return decimal_text(value)
    return None if value is None else str(value)
