"""What is wrong with the rows of raw files: the first of each kind, and how many there are."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from trading_runtime.errors import DataError

if TYPE_CHECKING:
    import polars as pl

    from trading_runtime.datasets.raw_files import RawFile

_MOST_KINDS = 8
_WIDTH = 40


@dataclass
class _Found:
    file: RawFile
    row: int
    message: str
    advice: str
    count: int


@dataclass
class RowProblems:
    """Collects what is wrong; files are to be looked at in their order."""

    _kinds: dict[str, _Found] = field(default_factory=dict)

    def add(
        self, kind: str, file: RawFile, rows: pl.Series, message: str, advice: str = ""
    ) -> None:
        """Record the wrong ``rows`` (indices, ascending) of a file; ``message`` is of the first."""
        if not len(rows):
            return
        found = self._kinds.get(kind)
        first = int(rows[0])
        if found is None:
            self._kinds[kind] = _Found(file, first, message, advice, len(rows))
            return
        found.count += len(rows)
        if found.file is file and first < found.row:
            found.row, found.message, found.advice = first, message, advice

    def __bool__(self) -> bool:
        """Whether anything is wrong."""
        return bool(self._kinds)

    def refuse(self) -> None:
        """Raise ``DataError`` with one line for each kind, if anything is wrong."""
        if not self._kinds:
            return
        lines = []
        for found in list(self._kinds.values())[:_MOST_KINDS]:
            more = f" (and {found.count - 1:,} more like it)" if found.count > 1 else ""
            advice = f"; {found.advice}" if found.advice else ""
            lines.append(f"{found.file.where(found.row)}: {found.message}{more}{advice}")
        raise DataError("\n".join(lines))


def shown(value: object) -> str:
    """Return a raw value as messages show it."""
    text = str(value)
    return repr(text if len(text) <= _WIDTH else f"{text[:_WIDTH]}...")
