"""The settings that all series of a data file have: where raw files are, and how they are read."""

from __future__ import annotations

import math
import re
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from trading_runtime.config.fields import Day, Duration, Model
from trading_runtime.datasets.column_settings import Column, Columns
from trading_runtime.datasets.time_formats import (
    UTC_NAMES,
    check_time_zone,
    check_timestamp_format,
    literal_zone,
)


def _check_separator(text: str) -> str:
    if len(text.encode()) != 1 or text in '"\r\n':
        raise ValueError(f"{text!r} cannot separate columns; give one character such as ',' or ';'")
    return text


def _to_decimal(value: object) -> object:
    if isinstance(value, str) and re.fullmatch(r"[0-9]+(\.[0-9]+)?([eE]-?[0-9]{1,2})?", value):
        return Decimal(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return Decimal(value)
    # The text of a float is the one that was written.
    return Decimal(str(value)) if isinstance(value, float) and math.isfinite(value) else value


def _to_ratio(value: object) -> object:
    """Return a ratio as text: a decimal, or a fraction such as ``3/2``."""
    if isinstance(value, str) and re.fullmatch(r"[1-9][0-9]{0,5}[/:][1-9][0-9]{0,5}", value):
        return value.replace(":", "/")
    number = _to_decimal(value)
    if isinstance(number, Decimal) and number > 0:
        return str(number)
    raise ValueError(f"{value!r} is not a ratio above 0; write 4, 0.1 or '3/2'")


def _to_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


Amount = Annotated[Decimal, BeforeValidator(_to_decimal), Field(gt=0)]
"""The same size for every row, as a decimal text or number: ``"1000000"``."""


Ratio = Annotated[str, BeforeValidator(_to_ratio)]
"""Shares after a split for one before, as a decimal or a fraction: ``4``, ``"3/2"``."""


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


class SeriesSettings(Model):
    """What a series of any type has."""

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
    splits: dict[Day, Ratio] | None = None
    """Stock splits by the first day of the new price: ``{"2020-08-31": 4}``, ``{"2024-01-04":
    "3/2"}``. Earlier rows are adjusted to it; ``{}`` states that there is none."""
    on_bad_row: Literal["refuse", "drop"] = "refuse"
    """Whether an unusable row causes the series to be refused, or is left out, counted, and kept
    with its reason in the dataset's folder ``quarantine``."""
    off_tick: Literal["refuse", "round", "round_sizes"] = "refuse"
    """What to do with prices and sizes between two ticks; rounding is half to even, and counted.
    ``round_sizes`` refuses prices. A value within a billionth of a tick, or in the last bits of a
    floating-point number, is on it but for noise: accepted, and counted."""
    gate: Gate | None = None
    """Excludes whole days that are not good enough, and records it in the manifest."""
    max_gap: Duration | None = None
    """A gap without rows longer than this is refused."""
    report_gaps_above: Duration | None = None
    """Gaps without rows longer than this are reported: by default one bar, for ticks 1h."""
    unusual_times: Literal["refuse", "accept"] = "refuse"
    """What to do with times that look misread: before 1970-02-01 (before 1993 if they are numbers
    and rows are closer than a day) or after next year, day and month exchanged, bars too far apart
    for their length, working days that close as they begin."""
    mixed_symbols: Literal["refuse", "accept"] = "refuse"
    """What to do when a symbol column (``symbol``, ``ticker``, ...) contains several symbols, or
    when it or the name of a file says another instrument."""

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
    def _zone_is_read(self) -> SeriesSettings:
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
    def _one_meaning(self) -> SeriesSettings:
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
    "gate", "splits", "blank_side",
})  # fmt: skip
_LATER_COLUMNS = ("received",)
