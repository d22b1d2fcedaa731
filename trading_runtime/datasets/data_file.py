"""The data file: the strict models that say how raw files are made into a dataset."""

from __future__ import annotations

import re
import zoneinfo
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    Field,
    ValidationError,
    model_validator,
)

from trading_runtime.config.document import DocumentError, Node, Problem, read_json
from trading_runtime.config.fields import Duration, Model
from trading_runtime.config.messages import faults_of, nearest
from trading_runtime.config.places import PathError, resolve_path
from trading_runtime.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


_SUFFIXES = frozenset({".json", ".yaml", ".yml"})
_MAX_BYTES = 50_000_000
_MAX_PROBLEMS = 30


def read_settings(path: Path) -> Node:
    """Return the tree of a ``.json``, ``.yaml`` or ``.yml`` file.

    Raises ``UsageError`` when the file is missing or cannot be read.
    """
    if path.suffix.lower() not in _SUFFIXES:
        raise UsageError(f"{path}: a settings file is named .json, .yaml or .yml")
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise UsageError(f"{path}: larger than {_MAX_BYTES:,} bytes; is this a settings file?")
        return _read(path)
    except FileNotFoundError as error:
        raise UsageError(f"{path}: there is no such file") from error
    except DocumentError as error:
        raise settings_error(path, error.problems) from error
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: cannot be read as UTF-8 text: {error}") from error


def _read(path: Path) -> Node:
    text = path.read_text(encoding="utf-8-sig")
    if path.suffix.lower() == ".json":
        return read_json(text)
    from trading_runtime.config.yaml_document import read_yaml  # only YAML files need it

    return read_yaml(text)


def checked[Settings: BaseModel](model: type[Settings], document: Node, path: Path) -> Settings:
    """Return the settings that ``document``, read from ``path``, holds.

    Raises ``UsageError`` with one line for every fault.
    """
    try:
        return model.model_validate(document.plain())
    except ValidationError as error:
        faults = faults_of(error, document, model)
        raise settings_error(
            path, [fault.problem for fault in faults if fault.problem is not None]
        ) from error


def settings_error(path: Path, problems: Iterable[Problem]) -> UsageError:
    """Return the error that lists ``problems`` of the file in the order of their places."""
    ordered = sorted(problems, key=lambda problem: (problem.line, problem.column))
    lines = [
        f"{path}:{problem.line}:{problem.column}: {problem.message}"
        for problem in ordered[:_MAX_PROBLEMS]
    ]
    if len(ordered) > _MAX_PROBLEMS:
        lines.append(f"{path}: and {len(ordered) - _MAX_PROBLEMS} more problems")
    return UsageError("\n".join(lines))


EPOCH_DIGITS = {"s": 9, "ms": 6, "us": 3, "ns": 0}
"""Units since 1970, and how many decimals make one of them nanoseconds."""
ISO = "iso"

_DIRECTIVES = frozenset("YyCmbBhdejaAHkIlMSpPznt%DFTRx")
_ADVICE = {
    "f": "%f does not say how many digits there are; write %3f, %6f or %9f, or %.f for a point "
    "with digits",
    "Z": "%Z would drop the zone; read offsets with %z, or write the zone's name as it stands in "
    "the file and set 'time_zone'",
    "s": "%s is not read in a pattern; for seconds since 1970 the format is 's'",
}
_PARTS = {
    "B": "m", "b": "m", "h": "m", "e": "d", "k": "H", "l": "I", "P": "p", "A": "a",
    "D": "mdy", "x": "mdy", "F": "Ymd", "T": "HMS", "R": "HM",
}  # fmt: skip
_ONCE = frozenset("YymdjHIMSp")
_HOURS = frozenset("HkIlTR")
_MINUTES = frozenset("MTR")
_ABBREVIATIONS = frozenset({
    "Z", "ET", "CT", "MT", "PT", "EDT", "CST", "CDT", "MDT", "PST", "PDT", "AST", "AKST",
    "CEST", "BST", "WEST", "EEST", "MSK", "IST", "JST", "KST", "HKT", "SGT", "AEST",
    "AEDT", "NZST", "NZDT",
})  # fmt: skip
UTC_NAMES = frozenset({"Z", "UTC", "GMT", "Etc/UTC", "Zulu", "+00:00", "+0000"})
"""Zones that are UTC, as texts have them."""
_DIRECTIVE = re.compile(r"%([-_0]?)(\.[369]?f|[369]?f|:?z|[A-Za-z%])")


def check_timestamp_format(text: str) -> str:
    """Return ``text`` when times can be read with it.

    Raises ``ValueError`` otherwise.
    """
    if text == ISO or text in EPOCH_DIGITS:
        return text
    if "%" not in text:
        raise ValueError(
            f"{text!r} is not a timestamp format; accepted are iso, s, ms, us, ns, or a pattern "
            "such as '%Y%m%d %H%M%S%3f'"
        )
    rest = _DIRECTIVE.sub("", text)
    if "%" in rest:
        raise ValueError(f"{text!r} has a '%' that stands for nothing; write '%%' for the sign")
    directives = [match.group(2) for match in _DIRECTIVE.finditer(chrono_pattern(text))]
    for directive in directives:
        if directive in _ADVICE:
            raise ValueError(f"{text!r}: {_ADVICE[directive]}")
        if len(directive) == 1 and directive not in _DIRECTIVES:
            raise ValueError(f"{text!r}: %{directive} is not a part of a time")
    parts = [part for directive in directives for part in _PARTS.get(directive, directive)]
    for part in parts:
        if part in _ONCE and parts.count(part) > 1:
            raise ValueError(
                f"{text!r} reads %{part} more than once; %m is the month, %M the minute"
            )
    has_day = {"j"} & set(parts) or {"W", "U"} & set(parts)
    if not {"Y", "y"} & set(parts) or ("d" in parts and "m" not in parts and not has_day):
        raise ValueError(f"{text!r} gives no whole date; a pattern needs %Y, %m and %d")
    _try(text)
    return text


def has_time_of_day(text: str) -> bool:
    """Return whether times in the format ``text`` are more than dates, as far as it says."""
    directives = {match.group(2) for match in _DIRECTIVE.finditer(text)}
    return text != ISO and (text in EPOCH_DIGITS or bool(directives & _HOURS))


def literal_zone(text: str) -> str | None:
    """Return the zone that a pattern has as plain text, such as ``EST``, ``Z`` or ``+00:00``."""
    if text == ISO or text in EPOCH_DIGITS:
        return None
    rest = _DIRECTIVE.sub("\0", text)
    words = re.findall(r"[A-Za-z]+(?:[/_][A-Za-z]+)*|[+-][0-9]{2}:?[0-9]{2}$", rest)
    known = zoneinfo.available_timezones() | _ABBREVIATIONS
    return next((word for word in words if word in known or word[0] in "+-"), None)


def _try(text: str) -> None:
    import polars as pl

    try:
        pl.Series(["-"]).str.to_datetime(chrono_pattern(text), time_unit="ns", strict=False)
    except pl.exceptions.PolarsError as error:
        reason = str(error).splitlines()[0].removeprefix("Invalid format string: ")
        raise ValueError(f"{text!r} cannot be read: {reason}") from error


def chrono_pattern(text: str) -> str:
    """Return the pattern as polars reads it: a point with digits is one directive there."""
    return with_minutes(text, text.replace(".%f", "%.f"), " %M")


def with_minutes[Value](text: str, value: Value, minutes: Value) -> Value:
    """Return ``value`` with ``minutes`` behind it when the pattern has hours, but no minutes.

    Polars reads hours and minutes together or not at all, so both pattern and texts get them.
    """
    directives = {match.group(2) for match in _DIRECTIVE.finditer(text)}
    return value + minutes if directives & _HOURS and not directives & _MINUTES else value  # type: ignore[operator]


def check_time_zone(name: str) -> str:
    """Return ``name`` when it is a time zone of the IANA database; else raises ``ValueError``."""
    import polars as pl

    try:
        pl.Series([], dtype=pl.Datetime("ns")).dt.replace_time_zone(name or "?")
    except pl.exceptions.ComputeError as error:
        hint = nearest(name, zoneinfo.available_timezones())
        raise ValueError(
            f"{name!r} is not an IANA time zone{hint}; write such as 'UTC' or 'America/New_York'"
        ) from error
    return name


_BAR = re.compile(r"[1-9][0-9]*-[A-Z_]+-(BID|ASK|MID|LAST|MARK)")


def _check_bar(text: str) -> str:
    if not _BAR.fullmatch(text):
        raise ValueError(
            f"{text!r} is not a bar specification; write step, unit and price such as "
            "'1-MINUTE-LAST', with the price one of BID, ASK, MID, LAST, MARK"
        )
    return text


def _check_separator(text: str) -> str:
    if len(text.encode()) != 1 or text in '"\r\n':
        raise ValueError(f"{text!r} cannot separate columns; give one character such as ',' or ';'")
    return text


def _to_decimal(value: object) -> object:
    if isinstance(value, str) and re.fullmatch(r"[0-9]+(\.[0-9]+)?", value):
        return Decimal(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return Decimal(value)
    return value


Column = Annotated[int, Field(ge=1)] | str
"""A column by its name in the header, or by its position, counted from 1."""

Amount = Annotated[Decimal, BeforeValidator(_to_decimal), Field(gt=0)]
"""A size that every row has, as a decimal text or number: ``"1000000"``."""

Side = Literal["BUY", "SELL", "NONE"]


class BarColumns(Model):
    """Where a bar's values stand."""

    timestamp: Column = "timestamp"
    """The bar's time; see ``timestamp_marks``."""
    open: Column = "open"
    """The first price."""
    high: Column = "high"
    """The highest price."""
    low: Column = "low"
    """The lowest price."""
    close: Column = "close"
    """The last price."""
    volume: Column | None = None
    """The traded volume, by default the column named ``volume``; see also ``volume`` above."""


class TradeColumns(Model):
    """Where a trade's values stand."""

    timestamp: Column = "timestamp"
    """The time of the trade."""
    price: Column = "price"
    """The price."""
    size: Column = "size"
    """The size, in units of the instrument."""
    trade_id: Column | None = None
    """The id of the trade; when absent, trades are numbered from 1."""
    aggressor: Column | None = None
    """The side that took liquidity: BUY or SELL, or what ``aggressor_values`` names."""
    buyer_maker: Column | None = None
    """Whether the buyer was the maker (true or false): true makes the aggressor SELL."""


class QuoteColumns(Model):
    """Where a quote's values stand."""

    timestamp: Column = "timestamp"
    """The time of the quote."""
    bid: Column = "bid"
    """The best bid price."""
    ask: Column = "ask"
    """The best ask price."""
    bid_size: Column | None = None
    """The size at the bid; absent when ``size`` is given."""
    ask_size: Column | None = None
    """The size at the ask; absent when ``size`` is given."""


_LATER = ("unusual_times", "mixed_symbols")


class _Series(Model):
    instrument: str
    """Id of the instrument, such as ``BTCUSDT-PERP.SIM``, defined in the instrument file."""
    files: str | Annotated[list[str], Field(min_length=1)]
    """One file, many, or a pattern such as ``raw/btc-*.csv``; CSV (also .gz) or Parquet."""
    separator: Annotated[str, AfterValidator(_check_separator)] = ","
    """What separates the columns of a CSV file."""
    header: bool = True
    """Whether the first line of a CSV file names the columns."""
    timestamp_format: Annotated[str, AfterValidator(check_timestamp_format)] = "iso"
    """``iso``; ``s``, ``ms``, ``us`` or ``ns`` since 1970; or a pattern such as
    ``%Y%m%d %H%M%S%3f``. A Parquet column of timestamps needs none."""
    time_zone: Annotated[str, AfterValidator(check_time_zone)] = "UTC"
    """IANA name of the zone of times that carry none, such as ``America/New_York``."""
    off_tick: Literal["refuse", "round"] = "refuse"
    """What to do with prices and sizes between two ticks; rounding is half to even, and counted."""
    max_gap: Duration | None = None
    """A stretch without rows longer than this is refused."""
    report_gaps_above: Duration | None = None
    """Stretches without rows longer than this are reported: default one bar, for ticks 1h."""
    unusual_times: Literal["refuse", "accept"] = "refuse"
    """What to do with times before 1970-02-01 or after next year: mostly a wrong unit or format."""
    mixed_symbols: Literal["refuse", "accept"] = "refuse"
    """What to do when a column of symbols (``symbol``, ``ticker``, ...) holds several."""

    def described(self) -> dict[str, Any]:
        """Return the settings for the manifest, without the places of the files.

        Settings that came later are left out at their default, so that no manifest changes.
        """
        usual = {
            name
            for name in _LATER
            if getattr(self, name, None)
            == getattr(type(self).model_fields.get(name), "default", None)
        }
        return self.model_dump(mode="json", exclude={"files"} | usual)

    @model_validator(mode="after")
    def _zone_is_read(self) -> _Series:
        literal = literal_zone(self.timestamp_format)
        if literal is None:
            return self
        if literal in UTC_NAMES:
            if self.time_zone not in UTC_NAMES:
                raise ValueError(
                    f"'timestamp_format' ends in {literal!r}, but 'time_zone' is "
                    f"{self.time_zone!r}; set 'time_zone' to UTC"
                )
        elif literal[0] in "+-":
            raise ValueError(
                f"the offset {literal!r} in 'timestamp_format' is plain text; read it with %z"
            )
        elif "time_zone" not in self.model_fields_set:
            raise ValueError(
                f"the zone {literal!r} in 'timestamp_format' is plain text and moves no time; "
                "set 'time_zone', such as 'America/New_York'"
            )
        return self


class BarSeries(_Series):
    """Bars of one instrument and one specification."""

    type: Literal["bars"]
    """What the rows are."""
    bar: Annotated[str, AfterValidator(_check_bar)]
    """Step, unit and price: ``1-MINUTE-LAST``."""
    timestamp_marks: Literal["open", "close"]
    """Whether a row's time is that of the bar's open or of its close."""
    columns: BarColumns = BarColumns.model_construct()
    """Where the values stand."""
    volume: Amount | None = None
    """The volume of every bar, for files without a column of volumes."""

    @model_validator(mode="after")
    def _one_volume(self) -> BarSeries:
        if self.volume is not None and self.columns.volume is not None:
            raise ValueError("give either 'volume' or 'columns.volume', not both")
        return self


class TradeSeries(_Series):
    """Trades of one instrument."""

    type: Literal["trades"]
    """What the rows are."""
    columns: TradeColumns = TradeColumns.model_construct()
    """Where the values stand."""
    aggressor_values: dict[str, Side] | None = None
    """What the texts of the column ``aggressor`` mean: ``{"B": "BUY", "S": "SELL"}``."""

    @model_validator(mode="after")
    def _one_aggressor(self) -> TradeSeries:
        if self.columns.aggressor is not None and self.columns.buyer_maker is not None:
            raise ValueError("give either 'columns.aggressor' or 'columns.buyer_maker', not both")
        if self.aggressor_values is not None and self.columns.aggressor is None:
            raise ValueError("'aggressor_values' needs 'columns.aggressor'")
        return self


class QuoteSeries(_Series):
    """Quotes of one instrument."""

    type: Literal["quotes"]
    """What the rows are."""
    columns: QuoteColumns = QuoteColumns.model_construct()
    """Where the values stand."""
    size: Amount | None = None
    """The size at bid and ask of every quote, for files that have none."""

    @model_validator(mode="after")
    def _one_size(self) -> QuoteSeries:
        named = [self.columns.bid_size is not None, self.columns.ask_size is not None]
        if self.size is not None and any(named):
            raise ValueError("give either 'size' or the columns bid_size and ask_size, not both")
        if self.size is None and not all(named):
            raise ValueError(
                "name the columns bid_size and ask_size, or give the 'size' of every quote, "
                'such as "size": "1000000"'
            )
        return self


Series = BarSeries | TradeSeries | QuoteSeries


class Preparation(Model):
    """What a data file holds."""

    schema_: Annotated[str | None, Field(alias="$schema")] = None
    """Where editors find the JSON Schema; not read."""
    dataset: str | None = None
    """Folder of the dataset to make, relative to this file; ``--to`` goes before it."""
    instruments: str | Annotated[list[str], Field(min_length=1)]
    """One or more instrument files, relative to this file."""
    series: Annotated[list[Annotated[Series, Field(discriminator="type")]], Field(min_length=1)]
    """The raw files, one entry for every instrument and type of data."""


@dataclass(frozen=True)
class LoadedPreparation:
    """A checked data file, and where its relative paths start."""

    path: Path
    preparation: Preparation

    @property
    def instrument_files(self) -> list[Path]:
        """The instrument files."""
        return [self.resolve(text) for text in _as_list(self.preparation.instruments)]

    @property
    def dataset(self) -> Path | None:
        """The dataset's folder, if the data file names one."""
        text = self.preparation.dataset
        return None if text is None else self.resolve(text)

    @property
    def bar_types(self) -> list[str]:
        """The engine's names of the series of bars."""
        return [
            f"{series.instrument}-{series.bar}-EXTERNAL"
            for series in self.preparation.series
            if isinstance(series, BarSeries)
        ]

    def input_patterns(self, series: Series) -> list[str]:
        """The raw files of a series: paths, or patterns with ``*``, ``?`` or ``[``."""
        return [str(self.resolve(text)) for text in _as_list(series.files)]

    def resolve(self, text: str) -> Path:
        """Return the path that ``text`` in this file names."""
        return resolve_path(text, self.path.parent)


def load_preparation(path: Path) -> LoadedPreparation:
    """Read and check the data file at ``path``.

    Raises ``UsageError`` with one line for every fault.
    """
    document = read_settings(path)
    preparation = checked(Preparation, document, path)
    loaded = LoadedPreparation(path, preparation)
    problems = []
    named: list[tuple[tuple[str | int, ...], str]] = []
    if preparation.dataset is not None:
        named.append((("dataset",), preparation.dataset))
    named += [(("instruments",), text) for text in _as_list(preparation.instruments)]
    for index, series in enumerate(preparation.series):
        where = ("series", index)
        named += [((*where, "files"), text) for text in _as_list(series.files)]
        problems += [
            Problem(*document.place((*where, "columns")), message)
            for message in _needs_positions(index, series)
        ]
    for keys, text in named:
        try:
            loaded.resolve(text)
        except PathError as error:
            problems.append(Problem(*document.place(keys), f"{keys[0]}: {error}"))
    if problems:
        raise settings_error(path, problems)
    return loaded


def column_roles(series: Series) -> dict[str, int | str]:
    """Return the columns to read, by what they hold."""
    roles = {role: column for role, column in series.columns if column is not None}
    if isinstance(series, BarSeries) and series.volume is None:
        roles.setdefault("volume", "volume")
    return roles


def _needs_positions(index: int, series: Series) -> list[str]:
    if series.header:
        return []
    names = [role for role, column in column_roles(series).items() if isinstance(column, str)]
    if not names:
        return []
    message = (
        f"series[{index}].columns: a file without header has positions instead of names; "
        f"give numbers counted from 1 for {', '.join(names)}"
    )
    return [message]


def _as_list(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value
