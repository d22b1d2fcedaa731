"""Raw market data files, CSV or Parquet: which are meant, their columns, and where each row is."""

from __future__ import annotations

import csv
import glob
import gzip
import re
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TextIO

import polars as pl

from trading_runtime.config.messages import nearest
from trading_runtime.datasets.file_kinds import other_kind
from trading_runtime.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_PARQUET_MARK = b"PAR1"
_GZIP_MARK = b"\x1f\x8b"
_DATUM = re.compile(r"[+-]?[0-9.][0-9.:/eE+\-, TZ]*")
_TEXT_ROLES = frozenset({"aggressor", "buyer_maker", "trade_id"})
_SYMBOL_NAMES = frozenset({
    "symbol", "sym", "ticker", "tic", "instrument", "instrumentid", "instrumentname",
    "pair", "currencypair", "market", "product", "productid", "security", "securityid",
    "isin", "cusip", "ric", "figi", "contract", "coin", "name", "stock", "stockcode",
    "tscode", "underlying", "asset",
})  # fmt: skip
_SYMBOL = re.compile(r"[A-Z][A-Z0-9]+([./:_ -][A-Z0-9]+)*")


@dataclass(frozen=True)
class RawFile:
    """A raw file and how its CSV text is laid out."""

    path: Path
    separator: str
    has_header: bool
    is_parquet: bool

    def read(self, roles: Mapping[str, int | str]) -> pl.DataFrame:
        """Return the columns that ``roles`` names, under the names of their roles.

        CSV columns are texts; Parquet columns keep their types. Blank lines at the end are left
        out. Raises ``DataError`` when the file cannot be read or has no such column.
        """
        names = self._column_names()
        self._refuse_headless(roles, names)
        positions = {role: self._position(role, column, names) for role, column in roles.items()}
        if self.is_parquet:
            frame = self._read_parquet([names[position] for position in positions.values()])
            return frame.select(
                pl.col(names[position]).alias(role) for role, position in positions.items()
            )
        frame = self._read_csv(sorted(set(positions.values())), names)
        texts = frame.select(
            pl.col(f"column_{position + 1}").alias(role) for role, position in positions.items()
        )
        kept = texts.select(pl.any_horizontal(pl.all().is_not_null())).to_series().arg_true()
        return texts.head(kept[-1] + 1 if len(kept) else 0)

    def symbols(self, roles: Mapping[str, int | str]) -> Iterator[tuple[str, bool, pl.Series]]:
        """Yield columns that may hold symbols: name, whether the name says so, and values.

        A column counts that is called like one, or whose first value looks like one.
        """
        names = self._column_names()
        self._refuse_headless(roles, names)
        used = {self._position(role, column, names) for role, column in roles.items()}
        if self.is_parquet:
            schema = pl.read_parquet_schema(self.path)
            firsts = ["A" * 2 if kind == pl.String else "" for kind in schema.values()]
        else:
            firsts = self._record(int(self.has_header))
        for at, name in enumerate(names):
            plain = re.sub(r"[^a-z]", "", name.lower())
            is_named = (self.has_header or self.is_parquet) and (
                plain in _SYMBOL_NAMES or plain.endswith(("symbol", "ticker"))
            )
            first = firsts[at].strip() if at < len(firsts) else ""
            if at in used or not (is_named or _SYMBOL.fullmatch(first)):
                continue
            if self.is_parquet:
                values = self._read_parquet([name]).to_series()
                if values.dtype.is_nested() or values.dtype == pl.Binary:
                    continue
                values = values.cast(pl.String)
            else:
                values = self._read_csv([at], names).to_series()
            shown = repr(name) if self.has_header or self.is_parquet else str(at + 1)
            yield shown, is_named, values.str.strip_chars()

    def _refuse_headless(self, roles: Mapping[str, int | str], names: list[str]) -> None:
        """Raise ``DataError`` when the line that should be a header is a row of data."""
        if self.is_parquet or not self.has_header:
            return
        by_place = [
            names[column - 1]
            for role, column in roles.items()
            if isinstance(column, int) and column <= len(names) and role not in _TEXT_ROLES
        ]
        missing = any(isinstance(column, str) and column not in names for column in roles.values())
        all_data = all(_DATUM.fullmatch(name) for name in names if name)
        if any(_DATUM.fullmatch(name) for name in by_place) or (missing and all_data):
            raise DataError(
                f"{self.path}:1: the header is a row of data ({', '.join(names[:4])}, ...); set "
                "'header: false' and give positions in 'columns'; if it is a header, name its "
                "columns as texts"
            )

    def _record(self, index: int) -> list[str]:
        with self._open() as text:
            reader = csv.reader(text, delimiter=self.separator)
            try:
                for _ in range(index):
                    next(reader, None)
                return next(reader, [])
            except (OSError, EOFError, zlib.error, csv.Error) as error:
                raise DataError(f"{self.path}: cannot be read: {_brief(error)}") from error

    def where(self, row: int) -> str:
        """Return how messages name the row with the index ``row``: ``file:line`` for CSV."""
        if self.is_parquet:
            return f"{self.path}, row {row + 1}"
        return f"{self.path}:{self._line(row + self.has_header)}"

    def _line(self, record: int) -> int:
        """Return the line, from 1, on which a record starts: a quoted text may span lines."""
        with self._open() as text:
            reader = csv.reader(text, delimiter=self.separator)
            for _ in range(record):
                next(reader, None)
            return reader.line_num + 1

    def _open(self) -> TextIO:
        if _first_bytes(self.path).startswith(_GZIP_MARK):
            return gzip.open(self.path, "rt", encoding="utf-8-sig", errors="replace", newline="")
        return self.path.open(encoding="utf-8-sig", errors="replace", newline="")

    def _open_bytes(self) -> BinaryIO | gzip.GzipFile:
        if _first_bytes(self.path).startswith(_GZIP_MARK):
            return gzip.open(self.path)
        return self.path.open("rb")

    def _column_names(self) -> list[str]:
        try:
            if self.is_parquet:
                return list(pl.read_parquet_schema(self.path))
            with self._open_bytes() as raw:
                if kind := other_kind(raw.read(512)):
                    raise DataError(f"{self.path}: {kind}")
            with self._open() as text:
                first = next(csv.reader(text, delimiter=self.separator), None)
        except (OSError, EOFError, zlib.error, csv.Error, pl.exceptions.PolarsError) as error:
            raise DataError(f"{self.path}: cannot be read: {_brief(error)}") from error
        if not first:
            raise DataError(f"{self.path}: the file is empty; expected rows of market data")
        return [name.strip() for name in first]

    def _position(self, role: str, column: int | str, names: list[str]) -> int:
        if isinstance(column, int):
            if column > len(names):
                raise DataError(
                    f"{self.path}: there is no column {column} for '{role}'; the file has "
                    f"{len(names)} (is the separator {self.separator!r}?)"
                )
            return column - 1
        if names.count(column) == 1:
            return names.index(column)
        if column in names:
            raise DataError(
                f"{self.path}: {names.count(column)} columns are named {column!r}; give the "
                f"position of '{role}' instead, counted from 1"
            )
        raise DataError(
            f"{self.path}: there is no column {column!r} for '{role}'"
            f"{nearest(column, names)}; the columns are {', '.join(map(repr, names[:20]))}"
        )

    def _read_parquet(self, names: list[str]) -> pl.DataFrame:
        try:
            return pl.read_parquet(self.path, columns=list(dict.fromkeys(names)))
        except (OSError, pl.exceptions.PolarsError) as error:
            raise DataError(f"{self.path}: cannot be read as Parquet: {_brief(error)}") from error

    def _read_csv(self, positions: list[int], names: list[str]) -> pl.DataFrame:
        columns = [f"column_{position + 1}" for position in range(len(names))]
        try:
            return pl.read_csv(
                self.path,
                has_header=False,
                skip_rows=int(self.has_header),
                separator=self.separator,
                schema=dict.fromkeys(columns, pl.String),
                columns=positions,
                missing_columns="insert",
            )
        except pl.exceptions.NoDataError:
            return pl.DataFrame(schema={columns[position]: pl.String for position in positions})
        except (OSError, pl.exceptions.PolarsError) as error:
            raise DataError(
                self._csv_fault(len(names))
                or f"{self.path}: cannot be read as CSV: {_brief(error)}"
            ) from error

    def _csv_fault(self, width: int) -> str | None:
        """Return what is wrong with the first line that is not like the first, if there is one."""
        with self._open() as text:
            reader = csv.reader(text, delimiter=self.separator, strict=True)
            line = 1
            try:
                for record in reader:
                    if len(record) > width:
                        found = f"{len(record)} columns where the first line has {width}"
                        return f"{self.path}:{line}: {found}"
                    if any("\ufffd" in value for value in record):
                        return f"{self.path}:{line}: the text is not UTF-8; save the file as UTF-8"
                    line = reader.line_num + 1
            except (OSError, EOFError, zlib.error, csv.Error) as error:
                return f"{self.path}:{line}: cannot be read as CSV: {error}"
        return None


def find_files(patterns: Iterable[str], separator: str, *, has_header: bool) -> list[RawFile]:
    """Return the files that paths and patterns name, each once, in the order of their names.

    Raises ``DataError`` for a path or pattern that leads to no file.
    """
    paths: dict[Path, None] = {}
    for pattern in patterns:
        is_pattern = glob.has_magic(pattern) and not Path(pattern).exists()
        found = sorted(glob.glob(pattern, recursive=True)) if is_pattern else [pattern]  # noqa: PTH207 - patterns may be absolute
        files = [Path(name) for name in found if Path(name).is_file()]
        if not files:
            what = "no file matches this pattern" if is_pattern else "there is no such file"
            raise DataError(f"{pattern}: {what}; see 'files' in the data file")
        paths |= dict.fromkeys(files)
    return [
        RawFile(path, separator, has_header, _first_bytes(path).startswith(_PARQUET_MARK))
        for path in paths
    ]


def _first_bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(4)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error


def _brief(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__
