"""The data file: the strict models that define how raw files become a dataset."""

from __future__ import annotations

import re
from dataclasses import dataclass
from keyword import iskeyword
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from trading_runtime.config.document import Problem
from trading_runtime.config.fields import Duration, Model
from trading_runtime.config.places import PathError, resolve_path
from trading_runtime.datasets.column_settings import (
    BarColumns,
    BookDeltaColumns,
    BookDepthColumns,
    CloseColumns,
    Column,
    Columns,
    CustomColumns,
    FundingColumns,
    QuoteColumns,
    StatusColumns,
    TradeColumns,
    ValueColumns,
)
from trading_runtime.datasets.remote_files import is_address
from trading_runtime.datasets.series_settings import Amount, FileLayout, SeriesSettings
from trading_runtime.datasets.settings_files import checked, read_settings, settings_error

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


def _check_name(text: str) -> str:
    if not text.isidentifier() or not text.isascii() or text.startswith("_") or iskeyword(text):
        raise ValueError(
            f"{text!r} cannot name an attribute in Python; write letters, digits and '_', with a "
            "letter first"
        )
    return text


Side = Literal["BUY", "SELL", "NONE"]
MarketStatus = Literal[
    "NONE", "PRE_OPEN", "PRE_CROSS", "QUOTING", "CROSS", "ROTATION", "NEW_PRICE_INDICATION",
    "TRADING", "HALT", "PAUSE", "SUSPEND", "PRE_CLOSE", "CLOSE", "POST_CLOSE",
    "SHORT_SELL_RESTRICTION_CHANGE", "NOT_AVAILABLE_FOR_TRADING",
]  # fmt: skip
"""The engine's names of what a venue may do with an instrument."""


class BarSeries(SeriesSettings):
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


class TradeSeries(SeriesSettings):
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


class QuoteSeries(SeriesSettings):
    """Quotes of one instrument."""

    type: Literal["quotes"]
    """What the rows are."""
    columns: QuoteColumns = QuoteColumns.model_construct()
    """The columns of the values."""
    size: Amount | None = None
    """The size at bid and ask of every quote, for files without sizes."""
    blank_side: Literal["refuse", "unchanged"] = "refuse"
    """What a blank bid or ask is: unusable, or the one of the row above, as in MetaTrader's ticks.
    Rows in which both are blank change nothing, and are left out."""

    @model_validator(mode="after")
    def _one_size(self) -> QuoteSeries:
        if self.blank_side == "unchanged" and self.sort:
            raise ValueError("'blank_side: unchanged' needs rows in order of time, without 'sort'")
        named = [self.columns.bid_size is not None, self.columns.ask_size is not None]
        if self.size is not None and any(named):
            raise ValueError("give either 'size' or the columns bid_size and ask_size, not both")
        if self.size is None and not all(named):
            raise ValueError(
                "name the columns bid_size and ask_size, or give the 'size' of every quote, "
                'such as "size": "1000000"'
            )
        return self


class FundingSeries(SeriesSettings):
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


class PriceSeries(SeriesSettings):
    """Mark or index prices of one instrument."""

    type: Literal["mark_prices", "index_prices"]
    """What the rows are."""
    columns: ValueColumns = ValueColumns.model_construct()
    """The columns of the values."""
    changes_only: bool = False
    """Leave out rows that repeat the previous one."""


BookSide = Literal["BUY", "SELL"]
BookAction = Literal["ADD", "UPDATE", "DELETE", "CLEAR", "NONE"]


class BookDeltaSeries(SeriesSettings):
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


class BookDepthSeries(SeriesSettings):
    """Snapshots of the best levels of an order book."""

    type: Literal["order_book_depths"]
    """What the rows are."""
    columns: BookDepthColumns = BookDepthColumns.model_construct()
    """The columns of the values."""
    levels: Annotated[int, Field(ge=1, le=50)] = 10
    """How many levels of each side are read."""


class StatusSeries(SeriesSettings):
    """Changes of an instrument's trading status."""

    type: Literal["instrument_status"]
    """What the rows are."""
    columns: StatusColumns = StatusColumns.model_construct()
    """The columns of the values."""
    action_values: dict[str, MarketStatus] | None = None
    """What the texts of the column ``action`` mean: ``{"halted": "HALT"}``."""


class CloseSeries(SeriesSettings):
    """Official closing prices of sessions."""

    type: Literal["instrument_closes"]
    """What the rows are."""
    columns: CloseColumns = CloseColumns.model_construct()
    """The columns of the values."""


FieldType = Literal["float", "int", "str", "bool"]


class CustomField(Model):
    """A value of a custom row, in a column of another name."""

    type: FieldType
    """What the value is in Python."""
    column: Column
    """The column, by its name in the header or by its position, counted from 1."""


class CustomSeries(SeriesSettings):
    """Rows of the user's own: signals, sentiment, fundamentals and the like."""

    type: Literal["custom"]
    """What the rows are."""
    name: Annotated[str, AfterValidator(_check_name)]
    """What a strategy subscribes to: ``sentiment`` for ``DataType("sentiment", ...)``."""
    fields: Annotated[dict[str, FieldType | CustomField], Field(min_length=1)]
    """The values of a row by name, each ``float``, ``int``, ``str`` or ``bool``, from the column of
    that name: ``{score: float}``, or ``{score: {type: float, column: Score today}}``."""
    columns: CustomColumns = CustomColumns.model_construct()
    """The columns of the times."""
    delay: Duration | Literal["none"] | None = None
    """How long after its time a row is known: strategies see it then. Rows that have only a date
    need it: ``1d`` for values of a whole day, ``none`` for those that are known as it begins. Whole
    days end with the day in ``time_zone``, where some have 23 or 25 hours."""

    @model_validator(mode="after")
    def _one_meaning_of_each(self) -> CustomSeries:
        for name in self.fields:
            _check_name(name)
            if name in _RESERVED:
                raise ValueError(f"fields: {name!r} is taken; give the field another name")
        if self.delay is not None and self.columns.received is not None:
            raise ValueError("give either 'delay' or 'columns.received', not both")
        given = [name for name in _OF_PRICES if name in self.model_fields_set]
        if self.gate is not None:
            given += [f"gate.{name}" for name in _GATES_OF_PRICES if getattr(self.gate, name)]
        if given:
            raise ValueError(f"{given[0]!r} is for prices; custom rows have none: leave it out")
        return self

    @property
    def is_known_at_once(self) -> bool:
        """Whether a row is known at its time, for want of anything that says otherwise."""
        return self.delay is None and self.columns.received is None

    @property
    def field_types(self) -> dict[str, FieldType]:
        """The type of each field, in the order of the data file."""
        return {
            name: item.type if isinstance(item, CustomField) else item
            for name, item in self.fields.items()
        }


_OF_PRICES = ("scale", "negative_prices", "splits", "off_tick")
_GATES_OF_PRICES = ("max_spread", "max_jump")
_RESERVED = frozenset({"timestamp", "received", "ts", "ts_event", "ts_init", "file", "row"})

Series = (
    BarSeries | TradeSeries | QuoteSeries | FundingSeries | PriceSeries | BookDeltaSeries
    | BookDepthSeries | StatusSeries | CloseSeries | CustomSeries
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
    if isinstance(series, CustomSeries):
        for name, item in series.fields.items():
            roles[name] = item.column if isinstance(item, CustomField) else name
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
    what = "a file without header has" if series.header is False else "'header: auto' takes"
    fields = [name for name in names if isinstance(series, CustomSeries) and name in series.fields]
    columns = [name for name in names if name not in fields]
    if columns:
        messages.append(
            f"series[{index}].columns: {what} positions instead of names; "
            f"give numbers counted from 1 for {', '.join(columns)}"
        )
    if fields:
        kind = series.field_types[fields[0]]  # type: ignore[union-attr]
        messages.append(
            f"series[{index}].fields: {what} positions instead of names; give numbers counted from "
            f'1 for {", ".join(fields)}: {{"{fields[0]}": {{"type": "{kind}", "column": 2}}}}'
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
