"""Files with rows of several instruments, or of another one than their series is of."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from trading_runtime.datasets.row_checks import shown
from trading_runtime.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trading_runtime.datasets.column_settings import Columns
    from trading_runtime.datasets.raw_files import RawFile

_MOST_SYMBOLS = 10_000
_FEWEST_SIGNS = 3
"""Shorter texts, such as the ``B`` of a side, name an instrument only by chance."""
_CERTAIN_NAMES = ("SYMBOL", "TICKER", "INSTRUMENT", "INST", "INSTID", "INSTRUMENTNAME", "PAIR")
"""Columns, as ``_plain`` has them, that name what the row is of, and not its venue or number."""


class Symbols:
    """Detects several symbols, or another instrument's, in a column over all files of a series."""

    def __init__(self, instrument_id: str) -> None:
        self._own = _plain(instrument_id.rpartition(".")[0])
        self._id = instrument_id
        self._found: dict[str, dict[str, None]] = {}
        self._named: dict[str, bool] = {}
        self._last: dict[str, RawFile] = {}
        self._roles: dict[str, str] = {}

    def columns(self, file: RawFile, roles: Mapping[str, Columns]) -> dict[str, int]:
        """Return the file's columns to check, under separate names."""
        columns = file.symbol_columns(roles)
        self._roles = {f"symbol {column.position}": column.shown for column in columns}
        for column in columns:
            self._named[column.shown] = column.is_named
            self._last[column.shown] = file
        return {f"symbol {column.position}": column.position + 1 for column in columns}

    def take(self, raw: pl.DataFrame) -> None:
        """Note the symbols of a block."""
        for role, shown_name in self._roles.items():
            if shown_name not in self._named:
                continue
            values = self._found.setdefault(shown_name, {})
            column = raw[role]
            if column.dtype.is_nested() or column.dtype == pl.Binary:
                continue
            texts = column.cast(pl.String).str.strip_chars().drop_nulls()
            values |= dict.fromkeys(texts.unique(maintain_order=True))
            values.pop("", None)
            if len(values) > _MOST_SYMBOLS and not self._named[shown_name]:
                del self._named[shown_name]

    def check(self) -> None:
        """Raise ``DataError`` for the first column with several symbols, or with another's."""
        for name, is_named in self._named.items():
            values = self._found.get(name, {})
            is_symbol = is_named or any(map(self._is_own, values))
            if is_symbol and len(values) > 1:
                listed = ", ".join(shown(value) for value in list(values)[:3])
                raise DataError(
                    f"{self._last[name].name}: column {name} holds {len(values)} symbols ({listed}"
                    f"{', ...' if len(values) > 3 else ''}), but a series is of one instrument; "  # noqa: PLR2004 - as listed
                    f"choose one with 'where' (--set 'where={{\"{name.strip(chr(39))}\": "
                    f"\"{next(iter(values))}\"}}'), take all with 'split_by', or set "
                    f"'mixed_symbols: accept' if all are {self._id}"
                )
            if _plain(name) in _CERTAIN_NAMES and any(map(self._is_other, values)):
                raise DataError(
                    f"{self._last[name].name}: column {name} says {shown(next(iter(values)))}, but "
                    f"the series is of {self._id}; correct the instrument, or set "
                    "'mixed_symbols: accept' if that is its symbol here"
                )

    def _is_other(self, value: str) -> bool:
        """Tell whether ``value`` has nothing in common with the instrument's symbol."""
        plain, own = (text.replace("XBT", "BTC") for text in (_plain(value), self._own))
        is_within = plain in own or own in plain or plain[:_FEWEST_SIGNS] == own[:_FEWEST_SIGNS]
        return plain.isascii() and not plain.isdecimal() and not is_within

    def _is_own(self, value: str) -> bool:
        """Tell whether ``value`` names the instrument, perhaps in part or with more: ``BTC``."""
        shorter, longer = sorted((_plain(value), self._own), key=len)
        return shorter == longer or (len(shorter) >= _FEWEST_SIGNS and longer.startswith(shorter))


def _plain(symbol: str) -> str:
    return "".join(sign for sign in symbol.upper() if sign.isalnum())
