"""The row groups of the chosen series, and how many of their rows a window can hold.

Everything is known from the manifest: rows are counted between bounds, never read.
"""

from __future__ import annotations

import bisect
import difflib
import itertools
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trading_runtime.errors import DataError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trading_runtime.config.experiment import DatasetSettings
    from trading_runtime.datasets.manifest import DataFile, Manifest, RowGroup

Piece = tuple["DataFile", "RowGroup"]
"""A row group with the file it lies in."""


@dataclass(frozen=True, slots=True)
class Series:
    """All row groups of one type of data of one instrument, in order of time."""

    type: str
    identifier: str
    instrument_id: str
    pieces: tuple[Piece, ...]
    gaps: tuple[tuple[int, int], ...]
    """Stretches known to be without rows: instants of the rows on both sides."""
    _firsts: tuple[int, ...]
    _lasts: tuple[int, ...]
    """The latest row of each piece and all before it."""

    @property
    def first(self) -> int:
        """``ts_init`` of the first row."""
        return self._firsts[0]

    @property
    def last(self) -> int:
        """``ts_init`` of the last row."""
        return self._lasts[-1]

    @property
    def spacing(self) -> int:
        """Mean time between rows of the first row group, rounded up; nanoseconds."""
        group = self.pieces[0][1]
        return -(-(group.last - group.first) // max(group.rows - 1, 1))

    def touching(self, start: int, end: int) -> list[Piece]:
        """Return the pieces that can have rows in ``[start, end)``."""
        low = bisect.bisect_left(self._lasts, start)
        high = bisect.bisect_left(self._firsts, end)
        return [piece for piece in self.pieces[low:high] if self.rows(piece, start, end)[1]]

    def rows(self, piece: Piece, start: int, end: int) -> tuple[int, int]:
        """Return how many rows of ``piece`` lie in ``[start, end)``: at least and at most."""
        group = piece[1]
        if start <= group.first and group.last < end:
            return group.rows, group.rows
        if group.last < start or end <= group.first or self._is_gap(start, end):
            return 0, 0
        outside = (group.first < start) + (group.last >= end)
        return 2 - outside, group.rows - outside

    def _is_gap(self, start: int, end: int) -> bool:
        place = bisect.bisect_left(self.gaps, (start, 0)) - 1
        return place >= 0 and end <= self.gaps[place][1]


def choose_series(manifest: Manifest, settings: DatasetSettings) -> list[Series]:
    """Return the series that ``settings`` choose, sorted by type and identifier.

    Raises ``UsageError`` for an instrument or type that the dataset does not have, and
    ``DataError`` when the dataset has no rows at all.
    """
    if not any(file.row_groups for file in manifest.files):
        raise DataError(
            "dataset: there are no rows of market data in it; add some with "
            "'trading-runtime data prepare'"
        )
    types = sorted({file.type for file in manifest.files})
    instruments = {file.instrument_id for file in manifest.files}
    instruments |= {str(item["id"]) for item in manifest.instruments if "id" in item}
    _check("dataset.types", "type of data", settings.types, types)
    _check("dataset.instruments", "instrument", settings.instruments, sorted(instruments))
    chosen: dict[tuple[str, str], list[DataFile]] = defaultdict(list)
    for file in manifest.files:
        is_type = settings.types is None or file.type in settings.types
        is_instrument = settings.instruments is None or file.instrument_id in settings.instruments
        if is_type and is_instrument and file.row_groups:
            chosen[file.type, file.identifier].append(file)
    _check_all_present(settings, chosen)
    identifiers = [identifier for _, identifier in {(f.type, f.identifier) for f in manifest.files}]
    return [
        _series(
            type_,
            identifier,
            files,
            # A gap names its series without the type: with two types it can belong to either.
            manifest if identifiers.count(identifier) == 1 else None,
        )
        for (type_, identifier), files in sorted(chosen.items())
    ]


def _series(
    type_: str, identifier: str, files: list[DataFile], manifest: Manifest | None
) -> Series:
    pieces = sorted(
        ((file, group) for file in files for group in file.row_groups),
        key=lambda piece: (piece[1].first, piece[1].last, piece[0].path, piece[1].offset),
    )
    gaps = manifest.gaps if manifest else ()
    return Series(
        type=type_,
        identifier=identifier,
        instrument_id=files[0].instrument_id,
        pieces=tuple(pieces),
        gaps=tuple(sorted((gap.after, gap.before) for gap in gaps if gap.identifier == identifier)),
        _firsts=tuple(group.first for _, group in pieces),
        _lasts=tuple(itertools.accumulate((group.last for _, group in pieces), max)),
    )


def _check_all_present(
    settings: DatasetSettings, chosen: dict[tuple[str, str], list[DataFile]]
) -> None:
    have = {file.instrument_id for files in chosen.values() for file in files}
    kinds = f" of type {', '.join(settings.types)}" if settings.types else ""
    for instrument in settings.instruments or ():
        if instrument not in have:
            raise UsageError(
                f"dataset.instruments: the dataset has no rows{kinds} for {instrument}; choose "
                "other types, or leave the instrument out"
            )
    if not chosen:
        raise UsageError(f"dataset.types: the dataset has no rows{kinds}; choose another type")


def _check(key: str, what: str, asked: Iterable[str] | None, known: list[str]) -> None:
    for name in asked or ():
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
            hint = f"did you mean {close[0]!r}? " if close else ""
            shown = ", ".join(known[:10]) + (", ..." if len(known) > 10 else "")  # noqa: PLR2004
            raise UsageError(
                f"{key}: the dataset has no {what} {name!r}; {hint}It has: {shown}"
                if hint
                else f"{key}: the dataset has no {what} {name!r}; it has: {shown}"
            )
