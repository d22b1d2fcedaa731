"""Compare a run's books with a venue's snapshot: what matches, what differs, what nobody knows."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from decimal import Decimal, localcontext
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from trading_runtime.canonical import decimal_text
from trading_runtime.errors import Kind, UsageError
from trading_runtime.operations.books import TABLES
from trading_runtime.results.exact import EXACT
from trading_runtime.runs.metadata import now_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from trading_runtime.operations.books import Row, Table
    from trading_runtime.operations.snapshot import Snapshot


class RowState(StrEnum):
    """How an entry of the books compares."""

    MATCHED = "matched"
    MISMATCHED = "mismatched"
    """Both have it, and differ in something."""
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
    """What a comparison found."""

    task_id: str
    snapshot: str
    """The sha256 of the snapshot."""
    tables: dict[str, dict[str, int]]
    rows: tuple[Difference, ...]
    ignored: tuple[str, ...]
    time: str

    @property
    def counts(self) -> dict[str, int]:
        """Entries by their state, of all tables."""
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
    """Compare the books of a task with the tables and fields that the snapshot has.

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
