"""Raw market data files: which files, their columns, their rows block by block, and locations."""

from __future__ import annotations

import csv
import glob
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from trading_runtime.config.messages import nearest
from trading_runtime.datasets.column_settings import WITHOUT_COLUMN, refuse_moved
from trading_runtime.datasets.data_file import column_roles
from trading_runtime.datasets.nautilus_one import with_decimals
from trading_runtime.datasets.raw_content import (
    FEATHER_MARK,
    PARQUET_MARK,
    READ_ERRORS,
    brief,
    first_bytes,
    lines_of,
    members_of,
    open_text,
)
from trading_runtime.datasets.remote_files import RemoteFile, find_remote, is_address
from trading_runtime.errors import DataError
from trading_runtime.storage.files import what_else

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from trading_runtime.datasets.column_settings import Columns
    from trading_runtime.datasets.data_file import Series
    from trading_runtime.datasets.raw_content import RawPath

BLOCK_BYTES = 4 << 20
"""Text that is parsed at once: more needs more memory, less needs more calls."""
BLOCK_ROWS = 65_536
"""Rows of a binary file that are read at once."""
_LONGEST_RECORD = 64 << 20
_HEAD_BYTES = 1 << 16
_BEYOND = "(beyond the header)"
"""The name of a last column that the header lacks, and that is empty in all rows."""
_DATUM = re.compile(r"[+-]?[0-9.][0-9.:/eE+\-, TZ]*")
_TEXT_ROLES = frozenset({"aggressor", "buyer_maker", "trade_id", "side", "is_snapshot", "order_id"})
_SYMBOL_NAMES = frozenset({
    "symbol", "sym", "ticker", "tic", "instrument", "inst", "pair", "currencypair", "market",
    "product", "security", "sec", "isin", "cusip", "sedol", "wkn", "ric", "figi", "permno",
    "contract", "coin", "name", "code", "stock", "stk", "stkcd", "tscode", "underlying", "asset",
})  # fmt: skip
_NAMING = re.compile(r"(id|code|name)$")
"""What may follow such a name: ``instId``, ``stock_code``."""
_BILINGUAL = re.compile(r"/[^\x00-\x7f].*")
"""What follows the English name in a header such as ``price/价格``, in any encoding."""
_CHECKSUMS = (".checksum", ".md5", ".sha256")
"""How files end that lie beside raw files, and that a pattern may match."""
_SYMBOL = re.compile(r"[A-Za-z][A-Za-z0-9]+([./:_ -][A-Za-z0-9]+)*")


class SymbolColumn(NamedTuple):
    """A column that may contain symbols, judging by its name or its first value."""

    position: int
    """From 0."""
    shown: str
    """How messages name it."""
    is_named: bool
    """Whether its name says that it contains symbols."""


@dataclass(frozen=True)
class RawFile:
    """A raw file, or a member of a zip archive, with the settings it is read with."""

    path: RawPath
    settings: Series
    member: str = ""
    """Name in the archive; empty for a separate file."""
    kind: str = "csv"
    """``csv``, ``parquet`` or ``feather``."""

    @property
    def name(self) -> str:
        """How messages name the file."""
        return f"{self.path}/{self.member}" if self.member else str(self.path)

    @property
    def is_text(self) -> bool:
        """Whether the file is CSV; others have columns with names and types."""
        return self.kind == "csv"

    def blocks(
        self, roles: Mapping[str, Columns], size: int | None = None, whole: Collection[str] = ()
    ) -> Iterator[pl.DataFrame]:
        """Yield the rows, some at a time: the columns of ``roles``, under the names of their roles.

        ``row`` counts the file's rows from 0, including those that ``where`` leaves out. CSV
        columns are texts, but those of the roles ``whole`` are Int64 in a block that has nothing
        but whole numbers there; others keep their types. Blank lines at the end are left out.
        Raises ``DataError`` when the file cannot be read or has no such column.
        """
        names = self._column_names()
        has_header = self.has_header(names)
        self._refuse_headless(roles, names, has_header=has_header)
        self._refuse_passed_over(len(names), roles)
        if has_header:
            refuse_moved(self.name, roles, names)
        positions = {
            role: [self._position(role, part, names) for part in _parts(column)]
            for role, column in roles.items()
        }
        wanted = {
            self._position("where", int(name) if has_header is False else name, names): values
            for name, values in (self.settings.where or {}).items()
        }
        read = sorted({at for ats in positions.values() for at in ats} | wanted.keys())
        empty = len(names) - 1 if names[-1:] == [_BEYOND] else None
        read += [] if empty is None or empty in read else [empty]
        if self.is_text:
            once = Counter(at for ats in positions.values() for at in ats)
            numbers = {at for role in whole for at in positions[role] if once[at] == 1}
            kinds = {
                str(at): pl.Int64() if at in numbers - wanted.keys() else pl.String()
                for at in range(len(names))
            }
            frames = self._csv_blocks(read, kinds, size or BLOCK_BYTES, has_header=has_header)
        else:
            frames = self._binary_blocks([names[at] for at in read])
        row = 0
        for plain in frames:
            frame = kept = plain.with_row_index("row", offset=row)
            row += frame.height
            if empty is not None:
                self._refuse_beyond(frame[str(empty)], frame["row"], len(names) - 1)
            for at, values in wanted.items():
                texts = pl.col(str(at)).cast(pl.String).str.strip_chars()
                kept = kept.filter(texts.is_in([values] if isinstance(values, str) else values))
            if kept.height or not wanted:
                columns = [_joined(ats).alias(role) for role, ats in positions.items()]
                yield kept.select(*columns, "row")

    def _refuse_beyond(self, values: pl.Series, rows: pl.Series, width: int) -> None:
        """Raise ``DataError`` when the column that the header lacks has a value."""
        wrong = values.fill_null("").str.strip_chars() != ""
        if wrong.any():
            place = self.where(int(rows.filter(wrong)[0]))
            raise DataError(f"{place}: {width + 1} columns where the first line has {width}")

    def symbol_columns(self, roles: Mapping[str, Columns]) -> list[SymbolColumn]:
        """Return the columns that may contain symbols, except those of ``roles``."""
        names = self._column_names()
        has_header = self.has_header(names)
        self._refuse_headless(roles, names, has_header=has_header)
        used = {
            self._position(role, part, names)
            for role, column in roles.items()
            for part in _parts(column)
        }
        filtered = set(self.settings.where or {})
        if self.is_text:
            firsts = next((line for line in self._records(skip=int(has_header))), [])
        else:
            firsts = ["AA" if is_text else "" for is_text in self._texts()]
        found = []
        for at, name in enumerate(names):
            plain = re.sub(r"[^a-z]", "", name.lower())
            is_named = has_header and (
                plain in _SYMBOL_NAMES
                or _NAMING.sub("", plain) in _SYMBOL_NAMES
                or plain.endswith(("symbol", "ticker"))
            )
            first = firsts[at].strip() if at < len(firsts) else ""
            shown = name if has_header else str(at + 1)
            if at in used or shown in filtered or not (is_named or _SYMBOL.fullmatch(first)):
                continue
            found.append(SymbolColumn(at, repr(name) if has_header else shown, is_named))
        return found

    def has_header(self, names: list[str] | None = None) -> bool:
        """Return whether the first record names the columns."""
        if not self.is_text:
            return True
        if self.settings.header != "auto":
            return self.settings.header
        first = self._column_names() if names is None else names
        numeric = [
            part
            for role, column in column_roles(self.settings).items()
            for part in _parts(column)
            if isinstance(part, int) and role not in _TEXT_ROLES and part <= len(first)
        ]
        return not any(_DATUM.fullmatch(first[part - 1]) for part in numeric)

    def first_lines(self, count: int) -> list[str]:
        """Return the first lines of a CSV file; raises ``DataError`` when it cannot be read."""
        try:
            return [line for line, _ in zip(self._open_lines(), range(count), strict=False)]
        except READ_ERRORS as error:
            raise DataError(f"{self.name}: cannot be read: {brief(error)}") from error

    def column_names(self) -> list[str]:
        """Return the names in the header, or the first row of a file without one."""
        return self._column_names()

    def _refuse_headless(
        self, roles: Mapping[str, Columns], names: list[str], *, has_header: bool
    ) -> None:
        """Raise ``DataError`` when the line that should be a header is a row of data."""
        if not self.is_text or not has_header or self.settings.header == "auto":
            return
        columns = [(role, part) for role, column in roles.items() for part in _parts(column)]
        by_place = [
            names[column - 1]
            for role, column in columns
            if isinstance(column, int) and column <= len(names) and role not in _TEXT_ROLES
        ]
        missing = any(isinstance(column, str) and column not in names for _, column in columns)
        # A name may be a number, but hardly two are.
        is_data = sum(map(bool, map(_DATUM.fullmatch, names))) > 1
        if any(_DATUM.fullmatch(name) for name in by_place) or (missing and is_data):
            raise DataError(
                f"{self.name}:{self.settings.skip_rows + 1}: the header is a row of data "
                f"({', '.join(names[:4])}, ...); set 'header: false' (or 'auto', when only some "
                "files have one) and give positions in 'columns'; if it is a header, name its "
                "columns as texts"
            )

    def _refuse_passed_over(self, width: int, roles: Mapping[str, Columns]) -> None:
        """Raise ``DataError`` when a line that is left out is data or names other columns."""
        if not self.is_text or not self.settings.skip_rows:
            return
        for number, line in enumerate(self.first_lines(self.settings.skip_rows), start=1):
            cells = [cell.strip() for cell in line.split(self.settings.separator)]
            if len(cells) == width > 1 and all(map(_DATUM.fullmatch, cells)):
                raise DataError(
                    f"{self.name}:{number}: 'skip_rows: {self.settings.skip_rows}' leaves out a "
                    f"row of data ({', '.join(cells[:4])}, ...); this file has fewer lines above "
                    "its rows: give it an entry of its own in 'files'"
                )
            if len(cells) == width:
                refuse_moved(self.name, roles, cells)

    def where(self, row: int) -> str:
        """Return how messages name the row with the index ``row``: ``file:line`` for CSV."""
        if not self.is_text:
            return f"{self.name}, row {row + 1}"
        lines = _Lines(self._open_lines(), self.settings.skip_rows, self.settings.comment)
        reader = csv.reader(lines, delimiter=self.settings.separator)
        for _ in range(row + self.has_header()):
            next(reader, None)
        lines.begin()
        next(reader, None)
        return f"{self.name}:{lines.number + 1 if lines.start is None else lines.start}"

    def records(self, rows: set[int]) -> Iterator[tuple[int, str, str]]:
        """Yield each of ``rows`` with its place in the file and its text."""
        if not rows:
            return
        if not self.is_text:
            at = 0
            for frame in self._binary_blocks(self._column_names()):
                for row, texts in enumerate(frame.rows(), at):
                    if row in rows:
                        yield row, f"row {row + 1}", ",".join(map(str, texts))
                at += frame.height
            return
        lines = _Lines(self._open_lines(), self.settings.skip_rows, self.settings.comment)
        reader = csv.reader(lines, delimiter=self.settings.separator)
        header = int(self.has_header())
        for number in range(max(rows) + 1 + header):
            lines.begin()
            record = next(reader, [])
            if number - header in rows:
                text = self.settings.separator.join(record)
                yield number - header, f"line {lines.start}", text

    def _records(self, skip: int = 0) -> Iterator[list[str]]:
        """Yield the records as lists of texts; raises ``DataError`` when they cannot be read."""
        try:
            lines = _Lines(self._open_lines(), self.settings.skip_rows, self.settings.comment)
            for number, record in enumerate(csv.reader(lines, delimiter=self.settings.separator)):
                if number >= skip:
                    yield record
        except (*READ_ERRORS, csv.Error) as error:
            raise DataError(f"{self.name}: cannot be read: {brief(error)}") from error

    def _open_lines(self) -> Iterator[str]:
        for line in lines_of(open_text(self.path, self.member)):
            # The csv module takes a carriage return alone for a line end, as Polars does not.
            yield re.sub(r"\r(?!\n?\Z)", " ", line.decode(errors="replace"))

    def _column_names(self) -> list[str]:
        if not self.is_text:
            return list(self._schema().names)
        records = self._records()
        first, second = next(records, None), next(records, [])
        if not first:
            if any(second):
                raise DataError(
                    f"{self.name}:{self.settings.skip_rows + 1}: the line is blank; set "
                    f"'skip_rows: {self.settings.skip_rows + 1}' to begin below it"
                )
            raise DataError(f"{self.name}: the file is empty; expected rows of market data")
        names = [name.strip() for name in first]
        # Some programs end each row with a separator, but not the header.
        ends_open = len(second) == len(first) + 1 and not second[-1].strip()
        return [*names, _BEYOND] if ends_open else names

    def _position(self, role: str, column: int | str, names: list[str]) -> int:
        if isinstance(column, int):
            if column > len(names):
                raise DataError(
                    f"{self.name}: there is no column {column} for '{role}'; the file has "
                    f"{len(names)} (is the separator {self.settings.separator!r}?)"
                )
            return column - 1
        if names.count(column) == 1:
            return names.index(column)
        if column in names:
            raise DataError(
                f"{self.name}: {names.count(column)} columns are named {column!r}; give the "
                f"position of '{role}' instead, counted from 1"
            )
        in_english = [_BILINGUAL.sub("", name) for name in names]
        in_lower = [name.lower() for name in names]
        for alike, text in ((in_english, column), (in_lower, column.lower())):
            if alike.count(text) == 1:
                return alike.index(text)
        if any("\ufffd" in name for name in names):
            raise DataError(f"{self.name}: the header is not UTF-8; save the file as UTF-8")
        raise DataError(
            f"{self.name}: there is no column {column!r} for '{role}'"
            f"{nearest(column, names)}; the columns are {', '.join(map(repr, names[:20]))}"
            f"{WITHOUT_COLUMN.get(role, '')}"
        )

    def _schema(self) -> Any:
        try:
            with self._open_binary() as file:
                if self.kind == "parquet":
                    return pq.ParquetFile(file).schema_arrow
                return pa.ipc.open_file(file).schema
        except (OSError, pa.ArrowException) as error:
            raise DataError(f"{self.name}: cannot be read: {brief(error)}") from error

    def _texts(self) -> list[bool]:
        kinds = (field.type for field in self._schema())
        return [pa.types.is_string(kind) or pa.types.is_large_string(kind) for kind in kinds]

    def _binary_blocks(self, names: list[str]) -> Iterator[pl.DataFrame]:
        """Yield the columns ``names``, named by their position in the file."""
        try:
            every = self._schema().names
            for batch in self._batches(names):
                frame = pl.DataFrame(pl.from_arrow(with_decimals(batch)))
                yield frame.rename({name: str(every.index(name)) for name in frame.columns})
        except (OSError, pa.ArrowException, pl.exceptions.PolarsError) as error:
            raise DataError(
                f"{self.name}: cannot be read as {self.kind}: {brief(error)}"
            ) from error

    def _open_binary(self) -> Any:
        if isinstance(self.path, RemoteFile):
            return pa.PythonFile(self.path.open(), "r")
        return pa.memory_map(str(self.path))

    def _batches(self, names: list[str]) -> Iterator[Any]:
        if self.kind == "parquet":
            with self._open_binary() as opened, pq.ParquetFile(opened) as file:
                yield from file.iter_batches(
                    batch_size=BLOCK_ROWS, columns=names, use_threads=False
                )
            return
        with self._open_binary() as opened, pa.ipc.open_file(opened) as file:
            for index in range(file.num_record_batches):
                yield file.get_batch(index).select(names)

    def _csv_blocks(
        self, positions: list[int], kinds: Mapping[str, pl.DataType], size: int, *, has_header: bool
    ) -> Iterator[pl.DataFrame]:
        """Yield the columns at ``positions``, named by these.

        ``kinds`` are the types of all; they become texts when a value does not fit.
        """
        pending: pl.DataFrame | None = None
        try:
            for text in self._record_bytes(size, skip=int(has_header)):
                try:
                    frame = self._parsed(text, positions, kinds)
                except pl.exceptions.ComputeError:  # such as a number with a point
                    kinds = dict.fromkeys(kinds, pl.String())
                    frame = self._parsed(text, positions, kinds)
                if pending is not None:
                    frame = pl.concat([pending.cast(frame.schema), frame])
                    pending = None
                if frame.height and all(value is None for value in frame.row(-1)):
                    kept = frame.select(pl.any_horizontal(pl.all().is_not_null())).to_series()
                    used = kept.arg_true()
                    end = used[-1] + 1 if len(used) else 0
                    frame, pending = frame.head(end), frame.slice(end)
                if frame.height:
                    yield frame
        except (*READ_ERRORS, pl.exceptions.PolarsError) as error:
            raise DataError(
                self._csv_fault(len(kinds)) or f"{self.name}: cannot be read as CSV: {brief(error)}"
            ) from error

    def _parsed(
        self, text: bytes, positions: list[int], kinds: Mapping[str, pl.DataType]
    ) -> pl.DataFrame:
        try:
            return pl.read_csv(
                text,
                has_header=False,
                separator=self.settings.separator,
                comment_prefix=self.settings.comment,
                schema=kinds,
                columns=positions,
                missing_columns="insert",
            )
        except pl.exceptions.NoDataError:
            return pl.DataFrame(schema={str(at): kinds[str(at)] for at in positions})

    def _record_bytes(self, size: int, skip: int) -> Iterator[bytes]:
        """Yield whole records after the skipped lines and the header."""
        stream = open_text(self.path, self.member)
        try:
            rest = self._after_head(stream, skip)
            while chunk := stream.read(size):
                cut = _end_of_records(rest, chunk)
                if cut:
                    yield b"".join((rest, memoryview(chunk)[:cut]))
                    rest = chunk[cut:]
                    continue
                rest += chunk
                if len(rest) > _LONGEST_RECORD:
                    raise pl.exceptions.ComputeError("a record does not end")
            if rest:
                yield rest
        finally:
            stream.close()

    def _after_head(self, stream: Any, skip: int) -> bytes:
        """Return what was read from the stream after the skipped lines."""
        comment = (self.settings.comment or "").encode()
        data, lines = b"", self.settings.skip_rows
        at = 0
        is_whole = False
        while True:
            end = data.find(b"\n", at)
            record = data[at : end + 1] if end >= 0 else data[at:]
            if end < 0 and not is_whole:
                chunk = stream.read(_HEAD_BYTES)
                is_whole = not chunk
                data += chunk
                continue
            if not record:
                return b""
            if lines:
                lines -= 1
            elif comment and record.startswith(comment):
                pass
            elif skip:
                open_quote = record.count(b'"') % 2
                while open_quote and end >= 0:
                    end = data.find(b"\n", end + 1)
                    open_quote = data[at : end + 1 if end >= 0 else len(data)].count(b'"') % 2
                skip -= 1
            else:
                return data[at:]
            at = end + 1 if end >= 0 else len(data)

    def _csv_fault(self, width: int) -> str | None:
        """Return what is wrong with the first line that differs in form from the first, if any."""
        lines = _Lines(self._open_lines(), self.settings.skip_rows, self.settings.comment)
        reader = csv.reader(lines, delimiter=self.settings.separator, strict=True)
        try:
            while True:
                lines.begin()
                record = next(reader, None)
                if record is None:
                    return None
                if len(record) > width:
                    found = f"{len(record)} columns where the first line has {width}"
                    return f"{self.name}:{lines.start}: {found}"
                if any("\ufffd" in value for value in record):
                    what = "the text is not UTF-8; save the file as UTF-8"
                    return f"{self.name}:{lines.start}: {what}"
        except (*READ_ERRORS, csv.Error) as error:
            place = lines.number if lines.start is None else lines.start
            return f"{self.name}:{place}: cannot be read as CSV: {error}"


class _Lines:
    """The lines of a text after the skipped ones; comments are skipped as well."""

    def __init__(self, lines: Iterable[str], skip: int, comment: str | None) -> None:
        self.start: int | None = None
        """The number of the first line given since this was None."""
        self.number = 0
        """The number, from 1, of the last line given."""
        self._lines = iter(lines)
        self._skip = skip
        self._comment = comment

    def begin(self) -> None:
        """Forget where the last record started."""
        self.start = None

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        for line in self._lines:
            self.number += 1
            if self.number <= self._skip or (self._comment and line.startswith(self._comment)):
                continue
            if self.start is None:
                self.start = self.number
            return line
        raise StopIteration


def _end_of_records(before: bytes, data: bytes) -> int:
    """Return the position in ``data`` after the last line end that is not inside quotes.

    ``before`` is the text before ``data``, from the start of a record.
    """
    cut = data.rfind(b"\n") + 1
    is_quoted = before.count(b'"') % 2
    if not is_quoted and b'"' not in data:
        return cut
    while cut and (is_quoted + data.count(b'"', 0, cut)) % 2:
        quote = max(data.rfind(b'"', 0, cut), 0)
        cut = data.rfind(b"\n", 0, quote) + 1
    return cut


def _parts(column: Columns) -> list[int | str]:
    return column if isinstance(column, list) else [column]


def _joined(positions: list[int]) -> pl.Expr:
    columns = [pl.col(str(position)) for position in positions]
    if len(columns) == 1:
        return columns[0]
    texts = [column.cast(pl.String).str.strip_chars() for column in columns]
    return pl.concat_str(texts, separator=" ")


def find_files(inputs: Iterable[tuple[list[str], Series]]) -> list[RawFile]:
    """Return the files that paths and patterns name, each once, sorted by name.

    Raises ``DataError`` for a path or pattern that leads to no file.
    """
    found: dict[RawPath, Series] = {}
    for patterns, settings in inputs:
        for pattern in patterns:
            for path in _paths(pattern):
                found.setdefault(path, settings)
    files = []
    for path, settings in found.items():
        start = first_bytes(path)
        if start.startswith(PARQUET_MARK):
            files.append(RawFile(path, settings, kind="parquet"))
        elif start.startswith(FEATHER_MARK):
            files.append(RawFile(path, settings, kind="feather"))
        else:
            files += [
                RawFile(path, settings, member) for member in members_of(path, settings.members)
            ]
    return files


def _paths(pattern: str) -> Sequence[RawPath]:
    if is_address(pattern):
        return find_remote(pattern)
    is_pattern = glob.has_magic(pattern) and not Path(pattern).exists()
    names = sorted(glob.glob(pattern, recursive=True)) if is_pattern else [pattern]  # noqa: PTH207 - patterns may be absolute
    names = [name for name in names if not (is_pattern and name.lower().endswith(_CHECKSUMS))]
    files = [Path(name) for name in names if Path(name).is_file()]
    if not files:
        what = "no file matches this pattern" if is_pattern else "there is no such file"
        advice = "correct the path"
        if Path(pattern).is_dir():
            what, advice = "is a folder", f"name its files, as in '{pattern}/*'"
        elif other := what_else(Path(pattern)):
            what = f"is {other}, no regular file"
        raise DataError(f"{pattern}: {what}; {advice}")
    return files
