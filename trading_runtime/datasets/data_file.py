"""The data file: the strict models that define how raw files become a dataset."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from trading_runtime.config.document import Problem
from trading_runtime.config.fields import Day, Duration, Model
from trading_runtime.config.places import PathError, resolve_path
from trading_runtime.datasets.column_settings import (
    BarColumns,
    BookDeltaColumns,
    BookDepthColumns,
    CloseColumns,
    Column,
    Columns,
    FundingColumns,
    QuoteColumns,
    StatusColumns,
    TradeColumns,
    ValueColumns,
)
from trading_runtime.datasets.remote_files import is_address
from trading_runtime.datasets.settings_files import checked, read_settings, settings_error
from trading_runtime.datasets.time_formats import (
    UTC_NAMES,
    check_time_zone,
    check_timestamp_format,
    literal_zone,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

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
    if isinstance(value, str) and re.fullmatch(r"[0-9]+(\.[0-9]+)?([eE]-?[0-9]{1,2})?", value):
        return Decimal(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return Decimal(value)
    return value


def _to_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


Amount = Annotated[Decimal, BeforeValidator(_to_decimal), Field(gt=0)]
"""The same size for every row, as a decimal text or number: ``"1000000"``."""

Side = Literal["BUY", "SELL", "NONE"]
MarketStatus = Literal[
    "NONE", "PRE_OPEN", "PRE_CROSS", "QUOTING", "CROSS", "ROTATION", "NEW_PRICE_INDICATION",
    "TRADING", "HALT", "PAUSE", "SUSPEND", "PRE_CLOSE", "CLOSE", "POST_CLOSE",
    "SHORT_SELL_RESTRICTION_CHANGE", "NOT_AVAILABLE_FOR_TRADING",
]  # fmt: skip
"""The engine's names of what a venue may do with an instrument."""


class Scale(Model):
    """Factors that the files' numbers are multiplied by."""

    prices: Amount = Decimal(1)
    """For all prices: ``"1e-9"`` for fixed-point prices of Databento."""
    sizes: Amount = Decimal(1)
    """For all sizes and volumes, such as ``"0.001"`` for contracts of a thousandth of a coin."""


class Gate(Model):
    """Conditions for a UTC day to become part of the dataset; other days are excluded."""

    max_gap: Duration | None = None
    """The longest stretch without rows within the day."""
    max_spread: Annotated[float, Field(gt=0)] | None = None
    """The widest spread of a quote, as a fraction of the price: ``0.01``."""
    max_jump: Annotated[float, Field(gt=0)] | None = None
    """The largest change of the price from row to row, as a fraction of it: ``0.2``."""
    min_rows_per_day: Annotated[int, Field(ge=1)] | None = None
    """The minimum number of rows."""


class FileLayout(Model):
    """Files of a series with a different layout; absent keys are the same as in the series."""

    files: Annotated[list[str], BeforeValidator(_to_list), Field(min_length=1)]
    """Paths or patterns."""
    separator: Annotated[str, AfterValidator(_check_separator)] | None = None
    """As above."""
    header: Literal[True, False, "auto"] | None = None
    """As above."""
    skip_rows: Annotated[int, Field(ge=0)] | None = None
    """As above."""
    timestamp_format: Annotated[str, AfterValidator(check_timestamp_format)] | None = None
    """As above."""
    time_zone: Annotated[str, AfterValidator(check_time_zone)] | None = None
    """As above."""
    columns: dict[str, Columns] | None = None
    """The columns that differ."""


class _Series(Model):
    instrument: str
    """Id of the instrument, such as ``BTCUSDT-PERP.SIM``, defined in the instrument file. With
    ``split_by``, ``{}`` stands for the value of that column: ``{}.XNAS``."""
    files: str | Annotated[list[str | FileLayout], Field(min_length=1)]
    """One file, many, or a pattern such as ``raw/btc-*.csv``, also at an address (``s3://``,
    ``https://``); CSV, Parquet, feather or dbn, plain or compressed, detected from the content."""
    members: str | None = None
    """Pattern of the members to read from a zip archive, such as ``*.csv``; all by default."""
    separator: Annotated[str, AfterValidator(_check_separator)] = ","
    """What separates the columns of a CSV file."""
    header: Literal[True, False, "auto"] = True
    """Whether the first line of a CSV file names the columns; ``auto`` checks each file, and needs
    columns given by position."""
    skip_rows: Annotated[int, Field(ge=0)] = 0
    """Lines above the header, or above the first row, that are left out."""
    comment: Annotated[str, Field(min_length=1, max_length=5)] | None = None
    """Lines of a CSV file that begin with this are left out."""
    timestamp_format: Annotated[str, AfterValidator(check_timestamp_format)] = "iso"
    """``iso``; ``s``, ``ms``, ``us`` or ``ns`` since 1970; ``epoch`` for any of these four,
    detected from the number of digits; or a pattern such as ``%Y%m%d %H%M%S%3f``. A Parquet column
    of timestamps needs no format."""
    time_zone: Annotated[str, AfterValidator(check_time_zone)] = "UTC"
    """IANA name of the zone of times without one, such as ``America/New_York``."""
    sort: bool = False
    """Sort rows by time, for example from files with the newest row first."""
    where: dict[str, str | Annotated[list[str], Field(min_length=1)]] | None = None
    """Read only rows with this text, or one of these, in a column: ``{ticker: AAPL}``."""
    split_by: Column | None = None
    """The symbol column of files with several instruments; each defined one gets its rows."""
    decimal: Literal[".", ","] = "."
    """The decimal separator of numbers."""
    thousands: Literal[",", ".", " ", "'", "_"] | None = None
    """The thousands separator of numbers."""
    suffixes: bool = False
    """Whether numbers may end in K, M, B or T: ``58.41M`` is 58,410,000."""
    scale: Scale | None = None
    """Factors that turn the files' numbers into prices and sizes: ``{prices: "1e-9"}``."""
    negative_prices: Literal["refuse", "accept"] = "refuse"
    """Whether prices may be zero or below; accepted for futures, spreads, CFDs, commodities."""
    splits: dict[Day, Amount] | None = None
    """Stock splits by the first day of the new price: ``{"2020-08-31": 4}``. Earlier rows are
    adjusted to it; ``{}`` states that there is none."""
    on_bad_row: Literal["refuse", "drop"] = "refuse"
    """Whether an unusable row causes the series to be refused, or is left out, counted, and kept
    with its reason in the dataset's folder ``quarantine``."""
    off_tick: Literal["refuse", "round"] = "refuse"
    """What to do with prices and sizes between two ticks; rounding is half to even, and counted. A
    value within a billionth of a tick is floating-point noise: accepted, and counted."""
    gate: Gate | None = None
    """Excludes whole days that are not good enough, and records it in the manifest."""
    max_gap: Duration | None = None
    """A gap without rows longer than this is refused."""
    report_gaps_above: Duration | None = None
    """Gaps without rows longer than this are reported: by default one bar, for ticks 1h."""
    unusual_times: Literal["refuse", "accept"] = "refuse"
    """What to do with times that look misread: before 1970-02-01 or after next year, day and month
    exchanged, bars too far apart for their length, working days that close as they begin."""
    mixed_symbols: Literal["refuse", "accept"] = "refuse"
    """What to do when a symbol column (``symbol``, ``ticker``, ...) contains several symbols."""

    def described(self) -> dict[str, Any]:
        """Return the settings for the manifest, without the files' locations.

        Newer settings are left out at their default, so that no manifest changes.
        """
        fields = type(self).model_fields
        usual = {
            name
            for name in _LATER
            if name in fields and getattr(self, name) == fields[name].default
        }
        content = self.model_dump(mode="json", exclude={"files"} | usual)
        for role in _LATER_COLUMNS:
            if content["columns"].get(role, "") is None:
                del content["columns"][role]
        layouts = [
            layout.model_dump(mode="json", exclude={"files"}, exclude_none=True)
            for layout in self.layouts
            if layout is not None
        ]
        return content | ({"layouts": layouts} if layouts else {})

    @property
    def layouts(self) -> list[FileLayout | None]:
        """The layout of each entry of ``files``; None when it is that of the series."""
        entries = [self.files] if isinstance(self.files, str) else self.files
        return [None if isinstance(entry, str) else entry for entry in entries]

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

    @model_validator(mode="after")
    def _one_meaning(self) -> _Series:
        if self.thousands == self.decimal:
            raise ValueError(f"'decimal' and 'thousands' cannot both be {self.decimal!r}")
        if (self.split_by is not None) != ("{}" in self.instrument):
            raise ValueError(
                "'split_by' and an 'instrument' with {} need each other: "
                '"split_by": "ticker", "instrument": "{}.XNAS"'
            )
        return self


_LATER = frozenset({
    "unusual_times", "mixed_symbols", "members", "skip_rows", "comment", "sort", "where",
    "split_by", "decimal", "thousands", "suffixes", "scale", "negative_prices", "on_bad_row",
    "gate", "splits",
})  # fmt: skip
_LATER_COLUMNS = ("received",)


class BarSeries(_Series):
    """Bars of one instrument and one specification."""

    type: Literal["bars"]
    """What the rows are."""
    bar: Annotated[str, AfterValidator(_check_bar)]
    """Step, unit and price: ``1-MINUTE-LAST``."""
    timestamp_marks: Literal["open", "close"]
    """Whether a row's time is the bar's open or its close."""
    columns: BarColumns = BarColumns.model_construct()
    """The columns of the values."""
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
    """The columns of the values."""
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
    """The columns of the values."""
    size: Amount | None = None
    """The size at bid and ask of every quote, for files without sizes."""

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


class FundingSeries(_Series):
    """Funding rates of one perpetual."""

    type: Literal["funding_rates"]
    """What the rows are."""
    columns: FundingColumns = FundingColumns.model_construct()
    """The columns of the values."""
    timestamp_marks: Literal["update", "settlement"] = "update"
    """Whether a row's time is when its rate was announced, with ``columns.next_funding`` for its
    settlement, or the settlement itself: strategies then see the rate a second before."""
    changes_only: bool = False
    """Leave out rows that repeat the previous one."""

    @model_validator(mode="after")
    def _has_settlement(self) -> FundingSeries:
        if (self.timestamp_marks == "settlement") == (self.columns.next_funding is not None):
            raise ValueError(
                "give 'columns.next_funding', the time of each rate's settlement, or set "
                "'timestamp_marks: settlement' when the timestamp is that time; not both"
            )
        return self


class PriceSeries(_Series):
    """Mark or index prices of one instrument."""

    type: Literal["mark_prices", "index_prices"]
    """What the rows are."""
    columns: ValueColumns = ValueColumns.model_construct()
    """The columns of the values."""
    changes_only: bool = False
    """Leave out rows that repeat the previous one."""


BookSide = Literal["BUY", "SELL"]
BookAction = Literal["ADD", "UPDATE", "DELETE", "CLEAR", "NONE"]


class BookDeltaSeries(_Series):
    """Changes of an order book, by level (L2) or by order (L3); snapshots as whole books."""

    type: Literal["order_book_deltas"]
    """What the rows are."""
    columns: BookDeltaColumns = BookDeltaColumns.model_construct()
    """The columns of the values."""
    side_values: dict[str, BookSide] | None = None
    """What the texts of the column ``side`` mean: ``{"B": "BUY", "A": "SELL"}``."""
    action_values: dict[str, BookAction] | None = None
    """What the texts of the column ``action`` mean; rows of NONE change no book."""

    @model_validator(mode="after")
    def _has_actions(self) -> BookDeltaSeries:
        if self.action_values is not None and self.columns.action is None:
            raise ValueError("'action_values' needs 'columns.action'")
        if self.columns.order_id is not None and self.columns.action is None:
            raise ValueError("books of orders ('columns.order_id') need 'columns.action'")
        return self


class BookDepthSeries(_Series):
    """Snapshots of the best levels of an order book."""

    type: Literal["order_book_depths"]
    """What the rows are."""
    columns: BookDepthColumns = BookDepthColumns.model_construct()
    """The columns of the values."""
    levels: Annotated[int, Field(ge=1, le=50)] = 10
    """How many levels of each side are read."""


class StatusSeries(_Series):
    """Changes of an instrument's trading status."""

    type: Literal["instrument_status"]
    """What the rows are."""
    columns: StatusColumns = StatusColumns.model_construct()
    """The columns of the values."""
    action_values: dict[str, MarketStatus] | None = None
    """What the texts of the column ``action`` mean: ``{"halted": "HALT"}``."""


class CloseSeries(_Series):
    """Official closing prices of sessions."""

    type: Literal["instrument_closes"]
    """What the rows are."""
    columns: CloseColumns = CloseColumns.model_construct()
    """The columns of the values."""


Series = (
    BarSeries | TradeSeries | QuoteSeries | FundingSeries | PriceSeries | BookDeltaSeries
    | BookDepthSeries | StatusSeries | CloseSeries
)  # fmt: skip


class Preparation(Model):
    """The content of a data file."""

    schema_: Annotated[str | None, Field(alias="$schema")] = None
    """For editors: where the JSON Schema is; not read."""
    dataset: str | None = None
    """Folder of the dataset to make, relative to this file; ``--to`` takes precedence."""
    instruments: str | Annotated[list[str], Field(min_length=1)]
    """One or more instrument files, relative to this file."""
    series: Annotated[list[Annotated[Series, Field(discriminator="type")]], Field(min_length=1)]
    """The raw files, one entry per instrument and type of data."""


@dataclass(frozen=True)
class LoadedPreparation:
    """A checked data file, and where its relative paths start."""

    path: Path
    preparation: Preparation
    place: str | None = None
    """The address where the relative paths of raw files start; ``None``: the folder of ``path``."""

    @property
    def instrument_files(self) -> list[Path]:
        """The instrument files."""
        return [self.resolve(text) for text in self.instrument_names]

    @property
    def instrument_names(self) -> list[str]:
        """The instrument files, as the data file names them."""
        return _as_list(self.preparation.instruments)

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

    def inputs(self, series: Series) -> Iterator[tuple[list[str], Series]]:
        """Yield the raw files of a series and the settings that they are read with.

        Files are absolute paths, addresses, or patterns with ``*``, ``?`` or ``[``.
        """
        for entry in _as_list(series.files):
            if isinstance(entry, str):
                yield [self._raw(entry)], series
            else:
                yield [self._raw(text) for text in entry.files], laid_out(series, entry)

    def _raw(self, text: str) -> str:
        if is_address(text):
            return text
        return str(self.resolve(text)) if self.place is None else f"{self.place}/{text}"

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
    named += [(("instruments",), text) for text in loaded.instrument_names]
    for index, series in enumerate(preparation.series):
        where = ("series", index)
        for entry in _as_list(series.files):
            texts = [entry] if isinstance(entry, str) else entry.files
            named += [((*where, "files"), text) for text in texts if not is_address(text)]
            try:
                as_laid_out = series if isinstance(entry, str) else laid_out(series, entry)
            except ValueError as error:
                problems.append(Problem(*document.place((*where, "files")), f"files: {error}"))
                continue
            problems += [
                Problem(*document.place((*where, "columns")), message)
                for message in _needs_positions(index, as_laid_out)
            ]
    for keys, text in named:
        try:
            loaded.resolve(text)
        except PathError as error:
            problems.append(Problem(*document.place(keys), f"{keys[0]}: {error}"))
    if problems:
        raise settings_error(path, problems)
    return loaded


def laid_out(series: Series, layout: FileLayout) -> Series:
    """Return the settings of the files that ``layout`` describes.

    Raises ``ValueError`` for a column that the series does not have.
    """
    given = layout.model_dump(exclude={"files", "columns"}, exclude_none=True)
    if layout.columns is not None:
        known = type(series.columns).model_fields
        for role in layout.columns:
            if role not in known:
                raise ValueError(f"columns.{role}: accepted are {', '.join(known)}")
        given["columns"] = series.columns.model_copy(update=layout.columns)
    return series.model_copy(update=given)


def column_roles(series: Series) -> dict[str, Columns]:
    """Return the columns to read, by role."""
    roles = {role: column for role, column in series.columns if column is not None}
    if isinstance(series, BookDepthSeries):
        for role in ("bid_price", "bid_size", "ask_price", "ask_size"):
            pattern = roles.pop(role)
            roles |= {f"{role}_{number}": pattern.format(number) for number in range(series.levels)}
    if isinstance(series, BarSeries) and series.volume is None:
        roles.setdefault("volume", "volume")
    return roles


def split_series(series: Series, instruments: Iterable[str]) -> list[Series]:
    """Return one series for each of the instruments that ``split_by`` separates."""
    if series.split_by is None:
        return [series]
    before, _, behind = series.instrument.partition("{}")
    found: list[Series] = []
    for name in sorted(instruments):
        value = name.removeprefix(before).removesuffix(behind)
        if name == f"{before}{value}{behind}" and value:
            where = (series.where or {}) | {str(series.split_by): value}
            update = {"instrument": name, "split_by": None, "where": where}
            found.append(series.model_copy(update=update))
    return found


def _needs_positions(index: int, series: Series) -> list[str]:
    if series.header is True:
        return []
    names = [
        role
        for role, column in column_roles(series).items()
        if any(isinstance(part, str) for part in _as_list(column))
    ]
    messages = []
    if names:
        what = "a file without header has" if series.header is False else "'header: auto' takes"
        messages.append(
            f"series[{index}].columns: {what} positions instead of names; "
            f"give numbers counted from 1 for {', '.join(names)}"
        )
    filters = [*(series.where or {}), *([] if series.split_by is None else [series.split_by])]
    if any(not str(column).isdecimal() for column in filters):
        messages.append(
            f"series[{index}]: without names in a header, 'where' and 'split_by' take positions, "
            'counted from 1: {"2": "AAPL"}'
        )
    return messages


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
