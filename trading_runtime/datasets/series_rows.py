"""From the raw files of one series to rows in whole ticks, block by block, with their faults."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import polars as pl

from trading_runtime.datasets.bar_lengths import BarLength, bar_length, local_offset
from trading_runtime.datasets.blank_sides import Sides, times_of
from trading_runtime.datasets.book_rows import (
    absent_levels,
    read_changes,
    read_numbers,
    read_statuses,
)
from trading_runtime.datasets.columns import (
    LARGEST_PRICE,
    LARGEST_SIZE,
    Fault,
    Increment,
    NumberFormat,
    read_aggressors,
    read_ticks,
    read_trade_ids,
)
from trading_runtime.datasets.custom_rows import known_at, read_fields, refuse_dates
from trading_runtime.datasets.data_file import (
    BarSeries,
    BookDeltaSeries,
    BookDepthSeries,
    CustomSeries,
    FundingSeries,
    QuoteSeries,
    Series,
    StatusSeries,
    TradeSeries,
    column_roles,
)
from trading_runtime.datasets.number_columns import (
    NO_PRICE,
    one_tick,
    price_columns,
    scale_of,
    size_columns,
)
from trading_runtime.datasets.row_checks import RowProblems, shown
from trading_runtime.datasets.row_order import rows_until
from trading_runtime.datasets.splits import adjusted, factors
from trading_runtime.datasets.symbols import Symbols
from trading_runtime.datasets.time_columns import TimeFault, dates_alone, read_times
from trading_runtime.datasets.time_doubts import (
    TimeDoubts,
    first_usual_day,
    next_year,
    refuse_unusual,
)
from trading_runtime.datasets.time_formats import EPOCH, EPOCH_DIGITS, fitting_unit
from trading_runtime.errors import DataError, UsageError
from trading_runtime.units import DAY

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from trading_runtime.datasets.column_settings import Columns
    from trading_runtime.datasets.instrument_facts import InstrumentFacts
    from trading_runtime.datasets.raw_files import RawFile


RATE = Increment(1, 16)
"""Funding rates are read in units of the catalog's last digit."""
_LEAD = 10**9
"""How long before its settlement a rate is seen, when only the settlement's time is known."""


@dataclass
class SeriesSource:
    """Where the rows of one series come from, and what was counted while they were read."""

    series: Series
    instrument: InstrumentFacts
    files: list[RawFile]
    rounded: dict[str, int] = field(default_factory=dict)
    """Values that were rounded to the tick, by column."""
    snapped: dict[str, int] = field(default_factory=dict)
    """Values that were off the tick by floating-point noise, by column."""
    known_until: int | None = None
    """``ts_init`` of the last row that the dataset has: rows up to there were counted before."""
    known_rows: dict[int, range] = field(default_factory=dict)
    """The rows of each file that were counted before."""
    sides: Sides = field(default_factory=Sides)
    """The last bid and ask, where a blank one means that it is unchanged."""

    @property
    def identifier(self) -> str:
        """The catalog's name of the series."""
        if isinstance(self.series, BarSeries):
            return f"{self.instrument.id}-{self.series.bar}-EXTERNAL"
        if isinstance(self.series, CustomSeries):
            return f"{self.instrument.id}-{self.series.name}"
        return self.instrument.id

    @property
    def length(self) -> BarLength | None:
        """How long a bar is; None for ticks, and for bars that are not cut by time."""
        if isinstance(self.series, BarSeries):
            return bar_length(self.series.bar, self.series.time_zone)
        return None

    @property
    def fills_sides(self) -> bool:
        """Whether a blank bid or ask of quotes is the one of the row above."""
        return isinstance(self.series, QuoteSeries) and self.series.blank_side == "unchanged"

    @property
    def has_days(self) -> bool:
        """Whether the rows are bars of a day or longer, whose midnights are dates."""
        return self.length is not None and self.length.longest >= DAY

    @property
    def increments(self) -> dict[str, Increment]:
        """The tick of every column."""
        price = Increment.of(self.instrument.price_increment)
        size = Increment.of(self.instrument.size_increment)
        prices = dict.fromkeys(price_columns(self.series), price)
        return prices | dict.fromkeys(size_columns(self.series), size)

    def check(self) -> None:
        """Raise ``UsageError`` when the settings do not fit the instrument or each other."""
        series = self.series
        if isinstance(series, BarSeries) and series.timestamp_marks == "open" and not self.length:
            raise UsageError(
                f"bars of {series.bar} are not cut by time, so their close does not follow from "
                "their open; use a file that has the time of the close ('timestamp_marks: close')"
            )
        kind = self.instrument.definition.type
        if series.negative_prices == "accept" and kind not in _MAY_BE_NEGATIVE:
            raise UsageError(
                f"negative_prices: {self.instrument.id} is of type {kind}, whose prices are above "
                f"0; 'accept' is for {', '.join(sorted(_MAY_BE_NEGATIVE))}: define it as one of "
                "them in an instrument file (--instruments)"
            )
        for name in price_columns(series) + size_columns(series):
            _constant(self, name)

    def frames(self, problems: RowProblems) -> Iterator[pl.DataFrame]:
        """Yield the rows in the order of the files' first times, in batches.

        A frame has ``ts`` (Int64, nanoseconds: when the row is known, for bars the close),
        ``ts_event`` when the file has both times, the prices and sizes in whole ticks (Int64, or
        Int128 if needed), for trades ``trade_id`` (text) and ``aggressor`` (Enum: BUY, SELL or
        NO_AGGRESSOR), and ``file`` and ``row``: where a row comes from.

        Records in ``problems`` what is wrong with single rows. Raises ``DataError`` for a file
        that cannot be read or has no rows, ``UsageError`` for settings that do not fit.
        """
        symbols = Symbols(self.instrument.id) if self.series.mixed_symbols == "refuse" else None
        doubts = TimeDoubts(self.length)
        empty: list[str] = []
        for index in self._order():
            file = self.files[index]
            roles = column_roles(file.settings)
            columns = symbols.columns(file, roles) if symbols is not None else {}
            is_empty = True
            whole = _whole_columns(file.settings, roles)
            for raw in file.blocks({**roles, **columns}, whole=whole):
                is_empty = False
                if symbols is not None:
                    symbols.take(raw)
                frame = self._read(index, raw.drop(columns) if columns else raw, problems)
                doubts.take(file, raw["timestamp"], frame["ts"])
                yield frame
            if is_empty and not file.settings.where:
                empty.append(file.name)
        if len(empty) == len(self.files):
            raise DataError(f"{empty[0]}: the file holds no rows")
        if symbols is not None:
            symbols.check()
        if not problems:
            doubts.check()

    def _read(self, index: int, raw: pl.DataFrame, problems: RowProblems) -> pl.DataFrame:
        """Return the rows of a block; what is counted in those that the dataset has is not."""
        again = replace(self, rounded={}, snapped={}, sides=replace(self.sides))
        counted = dict(self.rounded), dict(self.snapped)
        frame = _read_block(self, index, raw, problems)
        if self.known_until is None:
            return frame
        known = rows_until(self.known_until, frame, self.known_rows.get(index))
        self.known_rows |= {} if known is None else {index: known}
        if known is not None and counted != (self.rounded, self.snapped):
            old = raw.filter(pl.col("row").is_between(known.start, known.stop, closed="left"))
            _read_block(again, index, old, RowProblems(self.files, drops=problems.drops))
            for counts, before in ((self.rounded, again.rounded), (self.snapped, again.snapped)):
                counts.update({name: counts[name] - count for name, count in before.items()})
        return frame

    def _order(self) -> list[int]:
        """Return the files' indices in the order of their first times."""
        if len(self.files) == 1:
            return [0]
        firsts = [self._first_time(index) for index in range(len(self.files))]
        return sorted(range(len(self.files)), key=lambda index: (firsts[index], index))

    def _first_time(self, index: int) -> int:
        file = self.files[index]
        scratch = SeriesSource(self.series, self.instrument, self.files)
        for raw in file.blocks(column_roles(file.settings), _PEEKED_BYTES):
            if self.fills_sides and (first := times_of(file, raw).drop_nulls()).len():
                return int(first[0])  # its first rows may lack what the file before has
            frame = _read_block(scratch, index, raw, RowProblems(self.files))
            if frame.height:
                return int(frame["ts"][0])
            break
        return 0


_PEEKED_BYTES = 1 << 14
_MAY_LACK = ("reason", "bid_price_", "bid_size_", "ask_price_", "ask_size_")
"""How the columns begin that a row may lack."""
_MAY_BE_NEGATIVE = frozenset({
    "FuturesContract", "FuturesSpread", "CryptoFuturesSpread", "OptionSpread",
    "CryptoOptionSpread", "Cfd", "Commodity", "IndexInstrument",
})  # fmt: skip
_HIGHEST_RATE = 100
_HIGHEST_PRICE = 100_000_000_000
"""Higher than any price of a unit in any currency."""


def _whole_columns(series: Series, roles: Mapping[str, Columns]) -> list[str]:
    """Return the columns of times that are most likely whole numbers."""
    is_number = series.timestamp_format == EPOCH or series.timestamp_format in EPOCH_DIGITS
    times = ("timestamp", "received") if is_number else ()
    return [role for role in times if role in roles and isinstance(roles[role], int | str)]


def _read_block(
    source: SeriesSource, index: int, raw: pl.DataFrame, problems: RowProblems
) -> pl.DataFrame:
    """Return the rows of a block of the file at ``index`` that can be used."""
    file = source.files[index]
    series = file.settings
    block = _Block(source, index, raw, problems)
    block.check_types()
    dropped = len(problems.dropped)
    _refuse_dates_as_closes(block)
    if source.fills_sides:
        block = replace(block, raw=source.sides.fill(file, raw, source.known_until))
    block, words = _with_words(block)
    raw = block.raw
    times = block.times("timestamp")
    columns = _moments(block, times)
    by = factors(series, times)
    for name, increment in source.increments.items():
        columns[name] = block.numbers(name, increment)
        if by:
            is_price = name in price_columns(series)
            columns[name], rounded = adjusted(columns[name], by, is_price=is_price)
            source.rounded[name] = source.rounded.get(name, 0) + rounded
    if isinstance(series, TradeSeries):
        columns["aggressor"] = read_aggressors(series, index, raw, problems)
        if "trade_id" in raw.columns:
            columns["trade_id"] = read_trade_ids(file, index, raw, problems)
    columns |= words
    may_lack = () if isinstance(series, CustomSeries) else _MAY_LACK
    needed = [name for name in columns if not name.startswith(may_lack)]
    if isinstance(series, FundingSeries):
        columns |= block.funding(times)
        needed = [name for name in columns if name != "interval"]
    place = pl.Series([index], dtype=pl.UInt32).new_from_index(0, raw.height)
    frame = pl.DataFrame(columns | {"file": place, "row": raw["row"]})
    if any(columns[name].null_count() for name in needed):
        frame = frame.drop_nulls(needed)
    if bad := {row.row for row in problems.dropped[dropped:]}:
        frame = frame.filter(~pl.col("row").is_in(list(bad)))
    return frame


def _moments(block: _Block, times: pl.Series) -> dict[str, pl.Series]:
    """Return when rows of these times are known, and the times themselves if they differ."""
    series = block.series
    if isinstance(series, BarSeries):
        is_open = series.timestamp_marks == "open"
        return {"ts": _closes(times, series, block.source.length) if is_open else times}
    if series.columns.received is not None:
        return {"ts": block.times("received"), "ts_event": times}
    if isinstance(series, CustomSeries):
        refuse_dates(series, block.index, block.raw, block.problems)
        return {"ts": known_at(times, series), "ts_event": times}
    return {"ts": times}


def _with_words(block: _Block) -> tuple[_Block, dict[str, pl.Series]]:
    """Return the rows that count, and the columns of theirs that are neither times nor ticks."""
    series, raw, problems = block.series, block.raw, block.problems
    if isinstance(series, BookDeltaSeries):
        ticks = block.source.increments.items()
        usual = {name: one_tick(series, name, tick) for name, tick in ticks}
        raw, words = read_changes(series, block.index, raw, problems, usual)
        return replace(block, raw=raw), words
    if isinstance(series, BookDepthSeries):
        return block, read_numbers(block.index, raw, problems)
    if isinstance(series, StatusSeries):
        return block, read_statuses(series, block.index, raw, problems)
    if isinstance(series, CustomSeries):
        return block, read_fields(series, block.index, raw, problems)
    return block, {}


@dataclass(frozen=True)
class _Block:
    """Some rows of a raw file, and where their faults are recorded."""

    source: SeriesSource
    index: int
    """The file's index in the series."""
    raw: pl.DataFrame
    problems: RowProblems

    @property
    def file(self) -> RawFile:
        return self.source.files[self.index]

    @property
    def series(self) -> Series:
        return self.file.settings

    @property
    def first_day(self) -> str:
        """The first day on which rows such as these are usual."""
        return first_usual_day(self.series, has_days=self.source.has_days)

    def check_types(self) -> None:
        """Raise ``DataError`` for a column that cannot contain numbers."""
        for role in self.raw.columns:
            kind = self.raw[role].dtype
            if kind.is_nested() or kind == pl.Binary:
                raise DataError(f"{self.file.name}: '{role}' is of type {kind}; expected numbers")

    def add(self, kind: str, wrong: pl.Series, message: str, advice: str, reason: str) -> None:
        """Record the rows for which ``wrong`` is true."""
        rows = self.raw["row"].filter(wrong.fill_null(value=False))
        self.problems.add(kind, self.index, rows, message, advice, reason=reason)

    def times(self, role: str) -> pl.Series:
        """Return the times of a column, nanoseconds; null where they are recorded as wrong."""
        series = self.series
        try:
            form, zone, days = series.timestamp_format, series.time_zone, self.source.has_days
            times = read_times(self.raw[role], form, zone, midnights_are_days=days)
        except UsageError as error:
            raise UsageError(f"{self.file.name}: {error}") from error
        if series.unusual_times == "refuse":
            times = refuse_unusual(times, self.first_day)
        _report_times(self, role, times["fault"])
        return times["ns"]

    def funding(self, times: pl.Series) -> dict[str, pl.Series]:
        """Return the columns of funding rates: times, rate, next settlement, minutes between."""
        series = self.series
        columns: dict[str, pl.Series] = {}
        if not isinstance(series, FundingSeries):
            return columns
        rate = read_ticks(self.raw["rate"], RATE, _HIGHEST_RATE, NumberFormat(negative=True))
        wrong = rate["fault"].is_not_null() & (rate["fault"] != Fault.ZERO.value)
        if wrong.any():
            message = f"rate {shown(self.raw['rate'].filter(wrong)[0])} is not one such as 0.0001"
            self.add("rate", wrong, message, "", "rate is not one such as 0.0001")
        columns["rate"] = rate["ticks"].set(wrong, None) if wrong.any() else rate["ticks"]
        if series.timestamp_marks == "settlement":
            columns |= {"ts": times - _LEAD, "ts_event": times - _LEAD, "next_funding": times}
        else:
            columns["next_funding"] = self.times("next_funding")
        none = pl.repeat(None, self.raw.height, dtype=pl.String, eager=True)
        given = self.raw["interval_hours"] if series.columns.interval_hours else none
        hours = given.cast(pl.String).str.strip_chars()
        minutes = (hours.cast(pl.Float64, strict=False) * 60).cast(pl.UInt64, strict=False)
        if (wrong := minutes.is_null() & (hours.fill_null("") != "")).any():
            message = f"interval {shown(hours.filter(wrong)[0])} is not a number of hours"
            self.add("hours", wrong, message, "", "interval is not a number of hours")
        columns["interval"] = minutes
        return columns

    def numbers(self, name: str, increment: Increment) -> pl.Series:
        """Return a column of prices or sizes in ticks; null where they are recorded as wrong."""
        constant = _constant(self.source, name)
        if constant is not None:
            kind = pl.Int64() if constant < 2**63 else pl.Int128()
            return pl.repeat(constant, self.raw.height, dtype=kind, eager=True)
        series = self.series
        if isinstance(series, BookDepthSeries) and (absent := absent_levels(self.raw, name)).any():
            filler = one_tick(series, name, increment)
            filled = pl.when(absent).then(pl.lit(filler)).otherwise(pl.col(name).cast(pl.String))
            present = replace(self, raw=self.raw.with_columns(filled.alias(name)))
            return present._ticks(name, increment).set(absent, None)  # noqa: SLF001 - the same class
        return self._ticks(name, increment)

    def _ticks(self, name: str, increment: Increment) -> pl.Series:
        series = self.series
        is_price = name in price_columns(series)
        largest = LARGEST_PRICE if is_price else LARGEST_SIZE
        factor = scale_of(series, name)
        form = NumberFormat(
            series.decimal,
            series.thousands,
            series.suffixes,
            negative=is_price and series.negative_prices == "accept",
        )
        try:
            tick = Increment.of(increment.value / factor) if factor != 1 else increment
        except ValueError as error:
            raise UsageError(f"scale: {factor} does not fit the tick {increment.value}") from error
        raw = self.raw[name]
        if is_price and factor < 1:
            raw = raw.set((raw.cast(pl.String) == NO_PRICE).fill_null(value=False), None)
        numbers = read_ticks(raw, tick, int(largest / factor), form)
        _report_numbers(self, name, numbers)
        if is_price and series.scale is None:
            _refuse_fixed_point(self, name, numbers["ticks"], increment)
        return numbers["ticks"]


def _refuse_dates_as_closes(block: _Block) -> None:
    """Record bare dates that should mark the close of a day's bar: they mark the day's start."""
    series, raw = block.series, block.raw["timestamp"]
    is_close = isinstance(series, BarSeries) and series.timestamp_marks == "close"
    if not is_close or not block.source.has_days:
        return
    wrong = dates_alone(raw, series.timestamp_format)
    if wrong.any():
        block.problems.add(
            "date alone", block.index, block.raw["row"].filter(wrong),
            f"timestamp {shown(raw.filter(wrong)[0])} is a date alone: taken as a close, the bar "
            "is seen as its day begins",
            "set 'timestamp_marks: open', or give the times of the closes",
        )  # fmt: skip


def _closes(opens: pl.Series, series: BarSeries, length: BarLength | None) -> pl.Series:
    if length is None:
        return opens
    if length.calendar_step is None:
        return opens + length.longest
    return local_offset(opens, length.calendar_step, series.time_zone)


def _constant(source: SeriesSource, column: str) -> int | None:
    """Return the ticks of a size that the data file gives for all rows."""
    series = source.series
    if isinstance(series, BarSeries) and column == "volume":
        value = series.volume
    elif isinstance(series, QuoteSeries) and column in size_columns(series):
        value = series.size
    else:
        value = None
    if value is None:
        return None
    increment = source.instrument.size_increment
    if value > LARGEST_SIZE:
        raise UsageError(
            f"the size {value} of every row is above {LARGEST_SIZE:,}, the largest that the "
            "engine holds"
        )
    if value % increment:
        key = "volume" if isinstance(series, BarSeries) else "size"
        raise UsageError(
            f"{key}: {value} is not a multiple of {increment}, the size increment of "
            f"{source.instrument.id}"
        )
    return int(value / increment)


def _report_times(block: _Block, role: str, faults: pl.Series) -> None:
    if not faults.null_count() < len(faults):
        return
    series, raw = block.series, block.raw[role]
    meanings = {
        TimeFault.MISSING: ("has no value", ""),
        TimeFault.UNREADABLE: (
            f"is not a time in the format {series.timestamp_format}",
            "see 'timestamp_format' in the data file",
        ),
        TimeFault.OUT_OF_RANGE: ("is outside the years 1970 to 2261", ""),
        TimeFault.UNUSUAL: (
            f"read as {series.timestamp_format} is outside {block.first_day} to {next_year()}-12",
            "set 'timestamp_format: epoch' for files of several units, or 'unusual_times: accept'",
        ),
        TimeFault.NO_SUCH_TIME: (
            f"does not exist in {series.time_zone} (the clock was put forward)",
            "see 'time_zone' in the data file",
        ),
        TimeFault.AMBIGUOUS: (
            f"came twice in {series.time_zone} (the clock was put back)",
            "use times in UTC or with an offset",
        ),
    }
    for fault, (meaning, advice) in meanings.items():
        wrong = (faults == fault.value).fill_null(value=False)
        if wrong.any():
            first = raw.filter(wrong)[0]
            value = "" if fault is TimeFault.MISSING else f" {shown(first)}"
            if fault in {TimeFault.OUT_OF_RANGE, TimeFault.UNUSUAL, TimeFault.UNREADABLE}:
                unit = fitting_unit(first)
                remedy = f"{unit}, {advice}" if fault is TimeFault.UNUSUAL else unit
            else:
                remedy = advice
            block.add(
                f"time {fault}", wrong, f"{role}{value} {meaning}", remedy, f"{role} {meaning}"
            )


_IN_THOUSANDS = (
    'or count in thousands, as 1000PEPEUSDT does: \'scale: {prices: "1000", sizes: "0.001"}\''
)


def _report_numbers(block: _Block, name: str, numbers: pl.DataFrame) -> None:
    source = block.source
    if numbers["snapped"].any():
        count = int(numbers["snapped"].sum())
        source.snapped[name] = source.snapped.get(name, 0) + count
    is_price = name in price_columns(source.series)
    rounds = source.series.off_tick in {"round", "" if is_price else "round_sizes"}
    faults = numbers["fault"]
    if rounds:
        source.rounded.setdefault(name, 0)
    if faults.null_count() == len(faults):
        return
    what = "price" if is_price else "size"
    instrument = source.instrument
    increment = instrument.price_increment if is_price else instrument.size_increment
    largest = LARGEST_PRICE if is_price else LARGEST_SIZE
    negative = "or set 'negative_prices: accept'" if is_price else ""
    meanings = {
        Fault.MISSING: ("has no value", ""),
        Fault.NOT_FINITE: ("is not finite", ""),
        Fault.UNREADABLE: (
            "is not a number",
            "see 'columns', 'separator', 'decimal', 'thousands' and 'suffixes' (--set)",
        ),
        Fault.TOO_LARGE: (
            f"is too large: the engine holds {what}s up to {largest:,}",
            "" if is_price else _IN_THOUSANDS,
        ),
        Fault.NEGATIVE: (
            "is negative",
            negative if instrument.definition.type in _MAY_BE_NEGATIVE else "",
        ),
    }
    if rounds:
        source.rounded[name] += int((faults == Fault.OFF_TICK.value).sum())
    else:
        option, remedy = ("tick", "round") if is_price else ("lot", "round_sizes")
        setting = f"'off_tick: {remedy}' (--set off_tick={remedy})"
        meanings[Fault.OFF_TICK] = (
            f"is not a multiple of {increment:f}, the {what} increment of {instrument.id}",
            f"check its definition (--{option}), or set {setting}",
        )
    raw = block.raw[name]
    for fault, (meaning, advice) in meanings.items():
        wrong = (faults == fault.value).fill_null(value=False)
        if wrong.any():
            value = "" if fault is Fault.MISSING else f" {shown(raw.filter(wrong)[0])}"
            kind = f"{fault} {what}" if fault is Fault.OFF_TICK else fault.value
            block.add(kind, wrong, f"{name}{value} {meaning}", advice, f"{name} {meaning}")
    if _may_be_zero(source.series, name, is_price=is_price):
        return
    with_ticks = [Fault.ZERO.value, *[Fault.OFF_TICK.value] * rounds]
    usable = faults.is_null() | faults.is_in(with_ticks)
    zeros = (usable & (numbers["ticks"] == 0)).fill_null(value=False)
    if zeros.any():
        advice = ""
        if isinstance(source.series, QuoteSeries) and not is_price:
            advice = "for a file without real sizes give the 'size' of every quote instead"
        block.add(
            f"zero {what}", zeros, f"{name} {shown(raw.filter(zeros)[0])} is zero", advice,
            f"{name} is zero",
        )  # fmt: skip


def _may_be_zero(series: Series, name: str, *, is_price: bool) -> bool:
    if is_price:
        return series.negative_prices == "accept"
    return name == "volume" or isinstance(series, BookDeltaSeries)


def _refuse_fixed_point(block: _Block, name: str, ticks: pl.Series, tick: Increment) -> None:
    """Record prices that are too high to be real: mostly billionths, such as Databento's."""
    # Ticks of 128 bits: in small ticks the highest price does not fit into 64 bits.
    most = int(_HIGHEST_PRICE / tick.value)
    if (ticks.max() or 0) > most:  # type: ignore[operator]
        wrong = pl.select(ticks.cast(pl.Int128) > pl.lit(most, dtype=pl.Int128)).to_series()
        value = shown(block.raw[name].filter(wrong.fill_null(value=False))[0])
        block.add(
            "fixed point", wrong, f"{name} {value} is above {_HIGHEST_PRICE:,}",
            "for fixed-point numbers set 'scale: {prices: \"1e-9\"}', for real ones "
            "'scale: {prices: 1}'",
            f"{name} is above {_HIGHEST_PRICE:,}",
        )  # fmt: skip
