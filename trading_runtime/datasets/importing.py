"""A data file made from a format's name, for files that need no further settings."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
from pydantic import ValidationError

from trading_runtime.datasets.columns import NumberFormat
from trading_runtime.datasets.data_file import (
    BarSeries,
    LoadedPreparation,
    Preparation,
    Series,
    column_roles,
)
from trading_runtime.datasets.instrument_facts import StatedInstrument
from trading_runtime.datasets.number_columns import NO_PRICE, price_columns, scale_of, size_columns
from trading_runtime.datasets.pairs import QUOTES, currencies_of, pairs_in
from trading_runtime.datasets.raw_files import RawFile, find_files
from trading_runtime.datasets.remote_files import is_address
from trading_runtime.datasets.row_checks import shown
from trading_runtime.datasets.time_columns import TimeFault, read_times
from trading_runtime.datasets.time_guesses import fitting_formats
from trading_runtime.errors import DataError, UsageError
from trading_runtime.units import DAY, NANOSECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from trading_runtime.datasets.formats import Format
    from trading_runtime.datasets.instrument_facts import InstrumentFacts
    from trading_runtime.datasets.manifest import Manifest

_PLACE = Path("data import")
"""What messages name instead of a data file."""
_UNKNOWN_BAR = "1-MINUTE-LAST"
_SECOND = NANOSECONDS["s"]
_BAR_UNITS = (
    (DAY, "DAY", 1), (NANOSECONDS["h"], "HOUR", 24), (NANOSECONDS["m"], "MINUTE", 60),
    (_SECOND, "SECOND", 60),
)  # fmt: skip
"""Units of bars, and how many of them are one of the next."""
_MONTH = range(28 * DAY, 31 * DAY + 1)
_MOST_BLOCKS = 4
_TICK = re.compile(r"[0-9]+(\.[0-9]+)?")
_COLUMNS = {"tick": ("prices", price_columns), "lot": ("sizes", size_columns)}
"""What a tick and a lot are increments of."""
_CONTRACT = re.compile(
    # ESH4, ESH2024, ES.FUT, ES.c.0, ES=F; AAPL240119C00190000.
    r"[A-Z0-9]{1,4}[FGHJKMNQUVXZ]([0-9]{1,2}|20[0-9]{2})|.+\.(FUT|OPT|[cnv]\.[0-9])|.+=F"
    r"|[A-Z]{1,6} *[0-9]{6}[CP][0-9]{8}"
)
"""Symbols of futures and options."""
_MOST_DIGITS = 8
_TINY, _MOST_DIGITS_OF_TINY = 1e-4, 16
"""Prices of a thousandth of a cent and less need more digits."""
_USUAL_DIGITS = 4
_EXACT_DIGITS = 15
"""Digits that a number of 64 bits keeps."""
_SAME = 1e-12
_WHOLE_AND_HIGH = r"^[0-9]{5,}$"


@dataclass(frozen=True)
class ImportOptions:
    """What a command specifies about the files besides their format."""

    instrument: str
    """SYMBOL.VENUE."""
    bar: str | None = None
    time_zone: str | None = None
    symbol: str | None = None
    """The instrument's name in the files, when it differs from the symbol of its id."""
    tick: str | None = None
    lot: str | None = None
    currency: str | None = None
    """The currency of prices, when the symbol does not say it."""
    changes: Mapping[str, Any] | None = None
    """Further settings of the series."""
    known_bars: Sequence[str] = ()
    """What the dataset to add to has of the instrument, such as ``1-MINUTE-LAST``."""
    is_inverse: bool = False
    """Whether a file, or the dataset to add to, defines the instrument as inverse."""


def bars_of(manifest: Manifest, instrument: str) -> tuple[str, ...]:
    """Return length and price of the bars that a dataset has of an instrument."""
    return tuple(
        series.identifier.removeprefix(f"{instrument}-").removesuffix("-EXTERNAL")
        for series in manifest.series()
        if (series.type, series.instrument_id) == ("bars", instrument)
    )


def has_increments(facts: InstrumentFacts, tick: str | None, lot: str | None) -> bool:
    """Whether an instrument has the increments that are given; those that are not may be any."""
    try:
        return (tick is None or Decimal(tick) == facts.price_increment) and (
            lot is None or Decimal(lot) == facts.size_increment
        )
    except ArithmeticError:
        return False


@dataclass(frozen=True)
class Import:
    """A data file in memory, and what was inferred to make it."""

    loaded: LoadedPreparation
    instrument: StatedInstrument | None
    """None when a file defines the instrument."""
    found: tuple[str, ...]
    """Lines that report what was inferred from the files."""


def plan_import(
    form: Format, paths: Sequence[str], options: ImportOptions, *, defines: bool
) -> Import:
    """Return the data file for ``paths`` in the format ``form``.

    With ``defines``, the instrument is defined from the options and the decimal places in the
    files. Raises ``UsageError`` for missing options, ``DataError`` for files that cannot be read.
    """
    for name in form.asks:
        if getattr(options, name, None) is None:
            raise UsageError(
                f"--{name.replace('_', '-')} is missing: files of this format do not tell it"
            )
    found: list[str] = []
    loaded = _load(_document(form, paths, options))
    _refuse_other_width(form, loaded)
    _refuse_inverse(form, loaded, options)
    bars = [item for item in loaded.preparation.series if isinstance(item, BarSeries)]
    given = options.bar is not None or all("bar" in entry for entry in form.series)
    if bars and not given:
        bar, source = _bar_or_known(find_files(loaded.inputs(bars[0])), options.known_bars)
        options = replace(options, bar=bar)
        found.append(f"bar          {bar}, {source}; --bar says another")
        loaded = _load(_document(form, paths, options))
    instrument = _instrument(form, loaded, options, found) if defines else None
    if form.note is not None:
        found.append(f"{'note':<12} {form.note}")
    return Import(loaded, instrument, tuple(found))


def _refuse_other_width(form: Format, loaded: LoadedPreparation) -> None:
    """Raise ``DataError`` for files of another number of columns than the format has."""
    if form.width is None:
        return
    for series in loaded.preparation.series:
        for file in find_files(loaded.inputs(series)):
            width = len(file.column_names())
            if width != form.width:
                raise DataError(
                    f"{file.name}: has {width} columns, and files of this format {form.width}; "
                    "see 'trading-runtime data formats' for others"
                )


def _refuse_inverse(form: Format, loaded: LoadedPreparation, options: ImportOptions) -> None:
    """Raise ``UsageError`` for inverse contracts when the instrument is not defined as one."""
    if form.inverse is None or options.is_inverse:
        return
    files = [
        file for series in loaded.preparation.series for file in find_files(loaded.inputs(series))
    ]
    names = [(file.member or str(file.path)).rpartition("/")[2] for file in files]
    symbol = (options.symbol or options.instrument.rpartition(".")[0]).replace("-PERP", "_PERP")
    inverse = next(
        (name for name in (*names, symbol) if re.search(form.inverse, name) and _is_in_usd(name)),
        None,
    )
    if inverse is not None:
        raise UsageError(
            f"{inverse}: is of an inverse contract, whose sizes are contracts of USD, and "
            f"{options.instrument} is not defined as one; give its definition, with is_inverse, "
            "multiplier and settlement currency, with --instruments FILE ('data instruments "
            "--from' an answer of the exchange makes one)"
        )


def _is_in_usd(name: str) -> bool:
    """Tell whether a name that has USD in it is not that of a pair in BUSD or TUSD."""
    return {quote for _, quote in pairs_in(name)} <= {"USD"}


def _document(form: Format, paths: Sequence[str], options: ImportOptions) -> dict[str, Any]:
    files = [path if is_address(path) else str(Path(path).absolute()) for path in paths]
    series = []
    for table in form.series:
        entry = {**table, "instrument": options.instrument, "files": files}
        if options.time_zone is not None:
            entry["time_zone"] = options.time_zone
        if entry["type"] == "bars":
            entry["bar"] = options.bar or entry.get("bar", _UNKNOWN_BAR)
        if form.symbol_column is not None:
            symbol = options.symbol or options.instrument.rpartition(".")[0]
            entry["where"] = {form.symbol_column: symbol}
        series.append(_changed(entry, options.changes or {}))
    return {"instruments": "instruments.json", "series": series}


def _changed(entry: dict[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a format with a user's; columns that are not given stay."""
    changed = entry | dict(changes)
    columns = dict(entry.get("columns", {}))
    if isinstance(given := changes.get("columns", {}), dict):
        columns |= given
        if "volume" in changes:
            columns.pop("volume", None)
        if "size" in changes:
            columns.pop("bid_size", None)
            columns.pop("ask_size", None)
        changed["columns"] = columns
    return changed


def _load(document: dict[str, Any]) -> LoadedPreparation:
    try:
        return LoadedPreparation(_PLACE, Preparation.model_validate(document))
    except ValidationError as error:
        faults = (
            f"{'.'.join(map(str, fault['loc'][3:] or fault['loc']))}: {fault['msg']}"
            for fault in error.errors()
        )
        raise UsageError("\n".join(f"data import: {fault}" for fault in faults)) from error


def _bar_or_known(files: Sequence[RawFile], known: Sequence[str]) -> tuple[str, str]:
    """Return the specification of bars in ``files``, and where it is from.

    The rows of one day may be further apart than bars are, so for a dataset that has bars of the
    instrument, rows at another distance do not say what they are.
    """
    try:
        bar = _bar_of(files)
    except UsageError:
        if len(known) != 1:
            raise
        return known[0], "as the dataset has"
    if known and bar not in known:
        raise UsageError(
            f"{files[0].name}: its rows are as far apart as bars of {bar}, and the dataset has "
            f"{', '.join(known)}; give --bar"
        )
    return bar, "from the distance of the rows"


def _bar_of(files: Sequence[RawFile]) -> str:
    """Return the specification of bars with the usual spacing of rows in ``files``.

    The first file that has rows tells it, or the first two when each has one.
    """
    found = pl.Series([], dtype=pl.Int64)
    for file in files:
        found = pl.concat([found, _first_times(file)])
        steps = found.unique().sort().diff().drop_nulls()
        if len(steps):
            counts = Counter(steps.to_list())
            usual = min(counts, key=lambda step: (-counts[step], step))
            return bar_as_long_as(usual, file.name)
    series = files[0].settings
    if not len(found) and series.where:
        wanted = ", ".join(f"{name} {value!r}" for name, value in series.where.items())
        raise DataError(
            f"{files[0].name}: no row has {wanted}; correct the instrument, or give its name in "
            "the files with --symbol"
        )
    next(iter(files[0].blocks(column_roles(series))), None)  # a file of something else says so
    raise UsageError(f"{files[0].name}: has no two rows that tell how long a bar is; give --bar")


def _first_times(file: RawFile) -> pl.Series:
    """Return the times of the first rows; raises ``DataError`` when none of them can be read."""
    series = file.settings
    for raw in file.blocks({"timestamp": column_roles(series)["timestamp"]}):
        times = read_times(raw["timestamp"], series.timestamp_format, series.time_zone)
        if not raw.height:
            continue
        if times["ns"].null_count() < raw.height:
            return times["ns"].drop_nulls()
        where = f"{file.where(int(raw['row'][0]))}: timestamp {shown(raw['timestamp'][0])}"
        if times["fault"][0] in {TimeFault.NO_SUCH_TIME, TimeFault.AMBIGUOUS}:
            raise DataError(
                f"{where}: {times['fault'][0]} in {series.time_zone}; correct --time-zone"
            )
        fitting = next(iter(fitting_formats(raw["timestamp"])), "...")
        raise DataError(
            f"{where} is not a time in the format {series.timestamp_format}; give another with "
            f"--set 'timestamp_format={fitting}'"
        )
    return pl.Series([], dtype=pl.Int64)


def bar_as_long_as(step: int, where: str) -> str:
    """Return the specification of bars of ``step`` nanoseconds; else raises ``UsageError``."""
    if step == 7 * DAY:
        return "1-WEEK-LAST"
    if step in _MONTH:
        return "1-MONTH-LAST"
    for length, unit, most in _BAR_UNITS:
        number, rest = divmod(step, length)
        # The engine has bars that fill the next longer unit.
        if number and not rest and most % number == 0:
            return f"{number}-{unit}-LAST"
    raise UsageError(f"{where}: its rows are not as far apart as bars; give --bar")


def _instrument(
    form: Format, loaded: LoadedPreparation, options: ImportOptions, found: list[str]
) -> StatedInstrument:
    name, venue = options.instrument.rpartition(".")[::2]
    if not name or not venue:
        raise UsageError(f"--instrument {options.instrument!r}: write SYMBOL.VENUE")
    sizes = _increments(loaded, options, found)
    kind = _kind_of(form, name, options)
    if kind == "Equity":
        currency = options.currency or "USD"
        if currency == "USD":
            _refuse_whole_prices(loaded)
        found.append(
            f"{'instrument':<12} {name} is taken for a stock in {currency}; --currency says "
            "another, --instruments FILE defines anything else"
        )
        return StatedInstrument(
            type=kind, id=options.instrument, currency=currency, price_increment=sizes["tick"]
        )
    base, quote = currencies_of(name, options.currency)
    if kind == "CryptoPerpetual":
        found += [f"{'instrument':<12} {note}" for note in _notes(form, base, quote)]
    return StatedInstrument(
        type=kind,
        id=options.instrument,
        base_currency=base,
        quote_currency=quote,
        price_increment=sizes["tick"],
        size_increment=sizes["lot"],
        settlement_currency=quote if kind == "CryptoPerpetual" else None,
    )


def _refuse_whole_prices(loaded: LoadedPreparation) -> None:
    """Raise ``UsageError`` for prices of a stock in USD that count parts of a dollar."""
    for series in loaded.preparation.series:
        roles = column_roles(series)
        names = [name for name in price_columns(series) if name in roles]
        if not names or series.scale is not None:
            continue
        file = find_files(loaded.inputs(series))[0]
        raw = next(iter(file.blocks({name: roles[name] for name in names})), None)
        if raw is None:
            continue
        texts = pl.concat([raw[name].cast(pl.String) for name in names]).drop_nulls()
        if len(texts) and texts.str.contains(_WHOLE_AND_HIGH).all():
            raise UsageError(
                f"{file.name}: prices such as {texts[0]} are whole and high for a stock in USD; "
                'give --set \'scale={"prices": "0.0001"}\' for LEAN\'s ten-thousandths, '
                '"1e-9" for Databento\'s billionths, "1" when they are right, or --currency when '
                "they are not in USD"
            )


def _kind_of(form: Format, name: str, options: ImportOptions) -> str:
    """Return the type of the instrument; raises ``UsageError`` for one that needs a file."""
    if name.endswith("-PERP"):
        return "CryptoPerpetual"
    kind = form.instrument
    if kind == "Any":
        try:
            currencies_of(name, options.currency)
        except UsageError:
            kind = "Equity"
        else:
            return "CurrencyPair"
    if kind != "Equity":
        return kind
    if _is_pair(name) or pairs_in(name) or ":" in name:
        return "CurrencyPair"
    if _CONTRACT.fullmatch(name):
        raise UsageError(
            f"--instrument: {name!r} looks like a future or an option; define it, with its "
            "multiplier and expiry, in an instrument file, and give it with --instruments FILE"
        )
    return kind


def _notes(form: Format, base: str, quote: str) -> Iterator[str]:
    """Yield what may be wrong with a perpetual of which only the symbol is known."""
    if form.note_of_perpetuals is not None:
        yield form.note_of_perpetuals
    if quote == "USD":
        yield (
            f"sizes are taken to be in {base}, settled in USD; for contracts of USD that are "
            f"settled in {base} (inverse) give --instruments FILE"
        )


def _increments(
    loaded: LoadedPreparation, options: ImportOptions, found: list[str]
) -> dict[str, str]:
    """Return tick and lot, as they are given or by the digits in the files."""
    digits = {
        option: _digits(loaded, columns)
        for option, (_, columns) in _COLUMNS.items()
        if getattr(options, option) is None
    }
    sizes = {
        option: getattr(options, option) or format(Decimal(1).scaleb(-digits[option]), "f")
        for option in _COLUMNS
    }
    for option, text in sizes.items():
        if not _TICK.fullmatch(text):
            raise UsageError(f"--{option} {text!r}: is not a decimal above 0, such as 0.01")
    if digits:
        stated = ", ".join(f"{option} {sizes[option]}" for option in digits)
        wanted = " and ".join(f"--{option}" for option in digits)
        others = "say others" if len(digits) > 1 else "says another"
        found.append(f"instrument   {stated}, from the digits in the files; {wanted} {others}")
    for option in digits:
        what, columns = _COLUMNS[option]
        if not any(map(columns, loaded.preparation.series)):
            found.append(
                f"{option:<12} stays 1 in this dataset: the files have no {what}; import those "
                f"with {what} first, or give --{option}"
            )
    return sizes


def _is_pair(symbol: str) -> bool:
    """Tell whether a symbol in files of stocks is a pair, such as BTC/USD; BRK-B is a stock."""
    base, sign, quote = symbol.replace("-", "/").partition("/")
    return bool(base and sign) and quote.upper() in QUOTES


def _digits(loaded: LoadedPreparation, columns: Callable[[Series], Sequence[str]]) -> int:
    """Return the largest number of decimal places in the first rows of the files."""
    most = 0
    largest = 0.0
    for series in loaded.preparation.series:
        roles = column_roles(series)
        names = [name for name in columns(series) if name in roles]
        roles = {name: roles[name] for name in names}
        if not names:
            continue
        written = NumberFormat(series.decimal, series.thousands, series.suffixes)
        files = find_files(loaded.inputs(series))
        for file in {0: files[0], len(files) - 1: files[-1]}.values():
            for number, raw in enumerate(file.blocks(roles)):
                texts = pl.concat([raw[name].cast(pl.String) for name in names])
                texts = written.plain(texts.str.strip_chars())
                rounds = {"round", "round_sizes"} if columns is size_columns else {"round"}
                is_rounded = series.off_tick in rounds
                digits = _digits_of(texts, scale_of(series, names[0]), is_rounded=is_rounded)
                most = max(most, digits)
                greatest = texts.cast(pl.Float64, strict=False).max()
                largest = max(largest, float(greatest or 0))  # type: ignore[arg-type]
                if number + 1 == _MOST_BLOCKS:
                    break
    is_tiny = 0 < largest < _TINY and columns is price_columns
    return min(most, _MOST_DIGITS_OF_TINY if is_tiny else _MOST_DIGITS)


def _digits_of(texts: pl.Series, factor: Decimal, *, is_rounded: bool) -> int:
    plain = texts.unique().drop_nulls().str.strip_chars()
    plain = _without_noise(plain.filter(plain != NO_PRICE), is_rounded=is_rounded)
    if factor != 1:
        return max((_places(text, factor) for text in plain), default=0)
    most = 0
    lengths = _fractions(plain).str.len_bytes()
    # More digits than any tick has are noise, unless all numbers have them.
    usual = lengths.filter(lengths <= _MOST_DIGITS)
    lengths = usual if len(usual) else lengths.drop_nulls()
    if len(lengths):
        most = int(lengths.max() or 0)  # type: ignore[arg-type]
    return max(most, max((_places(text, factor) for text in plain if "e" in text), default=0))


def _fractions(texts: pl.Series) -> pl.Series:
    """Return the decimal places of numbers without zeros at the end; null for other texts."""
    return texts.str.extract(r"^[+-]?[0-9]*\.([0-9]*)$").str.strip_chars_end("0")


def _without_noise(texts: pl.Series, *, is_rounded: bool) -> pl.Series:
    """Return numbers that went through 32 or 64 bits as they were before.

    173.6999969482422 becomes 173.7, and 0.30000000000000004 becomes 0.3. With ``is_rounded``, so
    does 173.699997. Others stay.
    """
    places = _fractions(texts).str.len_bytes().cast(pl.Int64)
    is_long = (places > (_USUAL_DIGITS if is_rounded else _MOST_DIGITS)).fill_null(value=False)
    if not is_long.any():
        return texts
    long = texts.filter(is_long).cast(pl.Float64)
    short = long.cast(pl.Float32)
    tidy = [
        single
        if abs(float(whole) - double) <= max(0.5 * 10.0**-digits, abs(double) * _SAME)
        else f"{double:.{_EXACT_DIGITS}g}"
        for double, single, whole, digits in zip(
            long, short.cast(pl.String), short.cast(pl.Float64), places.filter(is_long), strict=True
        )
    ]
    return pl.concat([texts.filter(~is_long), pl.Series(tidy, dtype=pl.String)])


def _places(text: str, factor: Decimal) -> int:
    try:
        exponent = (Decimal(text) * factor).normalize().as_tuple().exponent
    except ArithmeticError:
        return 0
    return max(0, -exponent) if isinstance(exponent, int) else 0
