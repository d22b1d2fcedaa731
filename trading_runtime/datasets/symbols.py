"""Files with rows of several instruments, or of another one than their series is of."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import polars as pl

from trading_runtime.datasets.pairs import QUOTES, are_alike, currencies_of, pairs_in
from trading_runtime.datasets.row_checks import shown
from trading_runtime.errors import DataError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from trading_runtime.datasets.column_settings import Columns
    from trading_runtime.datasets.raw_files import RawFile, SymbolColumn

_MOST_SYMBOLS = 10_000
_FEWEST_SIGNS = 3
"""Shorter texts, such as the ``B`` of a side, name an instrument only by chance."""
_CERTAIN_NAMES = ("SYMBOL", "TICKER", "INSTRUMENT", "INST", "INSTID", "INSTRUMENTNAME", "PAIR")
"""Columns, as ``_plain`` has them, that name what the row is of, and not its venue or number."""
_STOCK_FILE = re.compile(r"([a-z0-9.-]+)(?:_[a-z]{2}_[dwm]\.csv|\.[a-z]{2}\.txt)")
"""The names of Stooq's files: ``aapl_us_d.csv``, ``aapl.us.txt``."""
_NO_TICKERS = frozenset({
    "all", "bars", "candles", "daily", "data", "download", "export", "file", "history", "index",
    "market", "my", "new", "old", "ohlc", "ohlcv", "price", "prices", "quotes", "raw", "sample",
    "share", "shares", "stock", "stocks", "stooq", "test", "ticker",
})  # fmt: skip
"""Words that a file may begin with in the place of a ticker: ``data_us_d.csv``."""


class Symbols:
    """Detects several symbols, or another instrument's, in a column over all files of a series."""

    def __init__(self, instrument_id: str) -> None:
        symbol = instrument_id.rpartition(".")[0]
        self._own = _plain(symbol)
        self._pair = _pair_of(symbol)
        self._is_perpetual = symbol.endswith("-PERP")
        self._id = instrument_id
        self._found: dict[str, dict[str, None]] = {}
        self._named: dict[str, bool] = {}
        self._last: dict[str, RawFile] = {}
        self._roles: dict[str, str] = {}

    def columns(self, file: RawFile, roles: Mapping[str, Columns]) -> dict[str, int]:
        """Return the file's columns to check, under separate names.

        Raises ``DataError`` for a file that names another instrument above its rows, or in its own
        name and nowhere else.
        """
        columns = file.symbol_columns(roles)
        self._refuse_other_file(file, columns)
        self._roles = {f"symbol {column.position}": column.shown for column in columns}
        for column in columns:
            self._named[column.shown] = column.is_named
            self._last[column.shown] = file
        return {f"symbol {column.position}": column.position + 1 for column in columns}

    def _refuse_other_file(self, file: RawFile, columns: Sequence[SymbolColumn]) -> None:
        if file.settings.type == "custom" or file.settings.where:
            return
        above = file.settings.skip_rows if file.is_text else 0
        for line in file.first_lines(above) if above else ():
            name, *values = (cell.strip() for cell in line.split(file.settings.separator))
            if _plain(name) in _CERTAIN_NAMES and any(map(self._is_other, filter(None, values))):
                raise DataError(self._other(f"{file.name}: the line {name!r}", values[0]))
        last = str(file.path).rpartition("/")[2]
        stock = _STOCK_FILE.fullmatch(last.lower())
        if stock is not None and stock[1] not in _NO_TICKERS and self._is_other(stock[1]):
            raise DataError(self._other(f"{file.name}: its name", stock[1]))
        if self._pair is None or any(_plain(column.shown) in _CERTAIN_NAMES for column in columns):
            return
        scaled = file.settings.scale is not None
        for name in (file.member.rpartition("/")[2], last):
            if found := pairs_in(name):
                if not any(are_alike(pair, self._pair, scaled=scaled) for pair in found):
                    place = f"{file.name}: its name"
                    raise DataError(self._other(place, "/".join(found[0]), file.member))
                return

    def _other(self, place: str, value: str, member: str = "") -> str:
        symbol = self._id.rpartition(".")[0].removesuffix("-PERP")
        choice = f"choose its files in the archive with 'members: {symbol}*' (--set), "
        return (
            f"{place} says {shown(value)}, but the series is of {self._id}; "
            f"{choice if member else ''}correct the instrument, or set 'mixed_symbols: accept' "
            "(--set mixed_symbols=accept) if that is its symbol here"
        )

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
                place = f"{self._last[name].name}: column {name}"
                raise DataError(self._other(place, next(iter(values))))

    def _is_other(self, value: str) -> bool:
        """Tell whether ``value`` has nothing in common with the instrument's symbol."""
        pairs = pairs_in(value)
        if self._pair is not None and pairs:
            # A perpetual in USD is mostly inverse, with sizes in USD, and is none in USDT.
            is_exact = self._is_perpetual and "USD" in {quote for _, quote in pairs}
            if is_exact and self._pair[1] != "USD":
                return True
            return not any(are_alike(pair, self._pair, scaled=True) for pair in pairs)
        plain, own = (text.replace("XBT", "BTC") for text in (_plain(value), self._own))
        is_within = plain in own or own in plain or plain[:_FEWEST_SIGNS] == own[:_FEWEST_SIGNS]
        return plain.isascii() and not plain.isdecimal() and not is_within

    def _is_own(self, value: str) -> bool:
        """Tell whether ``value`` names the instrument, perhaps in part or with more: ``BTC``."""
        shorter, longer = sorted((_plain(value), self._own), key=len)
        return shorter == longer or (len(shorter) >= _FEWEST_SIGNS and longer.startswith(shorter))


def _pair_of(symbol: str) -> tuple[str, str] | None:
    """Return the pair that a symbol shows, if it shows one."""
    if pairs := pairs_in(symbol):
        return pairs[0]
    try:
        base, quote = currencies_of(symbol, None)
    except UsageError:
        return None
    return (base, quote) if quote in QUOTES else None


def _plain(symbol: str) -> str:
    return "".join(sign for sign in symbol.upper() if sign.isalnum())
