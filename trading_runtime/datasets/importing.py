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

from trading_runtime.datasets.data_file import (
    BarSeries,
    LoadedPreparation,
    Preparation,
    Series,
    column_roles,
)
from trading_runtime.datasets.instrument_facts import StatedInstrument
from trading_runtime.datasets.number_columns import price_columns, scale_of, size_columns
from trading_runtime.datasets.raw_files import RawFile, find_files
from trading_runtime.datasets.remote_files import is_address
from trading_runtime.datasets.row_checks import shown
from trading_runtime.datasets.time_columns import read_times
from trading_runtime.errors import DataError, UsageError
from trading_runtime.units import DAY, NANOSECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from trading_runtime.datasets.formats import Format

_PLACE = Path("data import")
"""What messages name instead of a data file."""
_UNKNOWN_BAR = "1-MINUTE-LAST"
_BAR_UNITS = ((DAY, "DAY"), (NANOSECONDS["h"], "HOUR"), (NANOSECONDS["m"], "MINUTE"))
_MONTH = range(28 * DAY, 31 * DAY + 1)
_MOST_BLOCKS = 4
_QUOTES = (
    "USDT", "USDC", "FDUSD", "TUSD", "BUSD", "USDE", "DAI", "USD", "EUR", "GBP", "JPY", "CHF",
    "AUD", "CAD", "NZD", "TRY", "BRL", "KRW", "BTC", "ETH", "BNB", "XBT",
)  # fmt: skip
_TICK = re.compile(r"[0-9]+(\.[0-9]+)?")
_SECOND = NANOSECONDS["s"]
_MOST_DIGITS = 8


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
    bars = [item for item in loaded.preparation.series if isinstance(item, BarSeries)]
    given = options.bar is not None or all("bar" in entry for entry in form.series)
    if bars and not given:
        bar = _bar_of(find_files(loaded.inputs(bars[0]))[0])
        options = replace(options, bar=bar)
        found.append(f"bar          {bar}, from the distance of the rows; --bar says another")
        loaded = _load(_document(form, paths, options))
    instrument = _instrument(form, loaded, options, found) if defines else None
    return Import(loaded, instrument, tuple(found))


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
        series.append(entry | dict(options.changes or {}))
    return {"instruments": "instruments.json", "series": series}


def _load(document: dict[str, Any]) -> LoadedPreparation:
    try:
        return LoadedPreparation(_PLACE, Preparation.model_validate(document))
    except ValidationError as error:
        faults = (
            f"{'.'.join(map(str, fault['loc'][3:] or fault['loc']))}: {fault['msg']}"
            for fault in error.errors()
        )
        raise UsageError("\n".join(f"data import: {fault}" for fault in faults)) from error


def _bar_of(file: RawFile) -> str:
    """Return the specification of bars with the usual spacing of rows in ``file``."""
    series = file.settings
    for raw in file.blocks({"timestamp": column_roles(series)["timestamp"]}):
        times = read_times(raw["timestamp"], series.timestamp_format, series.time_zone)["ns"]
        if times.null_count() == len(times):
            raise DataError(
                f"{file.name}: timestamp {shown(raw['timestamp'][0])} is not a time in the format "
                f"{series.timestamp_format}; give another with --set timestamp_format=..."
            )
        steps = times.drop_nulls().unique().sort().diff().drop_nulls()
        if len(steps):
            return bar_as_long_as(Counter(steps.to_list()).most_common(1)[0][0], file.name)
        break
    raise UsageError(f"{file.name}: has no two rows that tell how long a bar is; give --bar")


def bar_as_long_as(step: int, where: str) -> str:
    """Return the specification of bars of ``step`` nanoseconds; else raises ``UsageError``."""
    if step == 7 * DAY:
        return "1-WEEK-LAST"
    if step in _MONTH:
        return "1-MONTH-LAST"
    for length, unit in (*_BAR_UNITS, (_SECOND, "SECOND")):
        if step % length == 0 and (unit != "DAY" or step == DAY):
            return f"{step // length}-{unit}-LAST"
    raise UsageError(f"{where}: its rows are not as far apart as bars; give --bar")


def _instrument(
    form: Format, loaded: LoadedPreparation, options: ImportOptions, found: list[str]
) -> StatedInstrument:
    name, venue = options.instrument.rpartition(".")[::2]
    if not name or not venue:
        raise UsageError(f"--instrument {options.instrument!r}: write SYMBOL.VENUE")
    digits: dict[str, int] = {}
    for option, columns in (("tick", price_columns), ("lot", size_columns)):
        if getattr(options, option) is None:
            digits[option] = _digits(loaded, columns)
    sizes = {
        option: getattr(options, option) or format(Decimal(1).scaleb(-digits[option]), "f")
        for option in ("tick", "lot")
    }
    for option, text in sizes.items():
        if not _TICK.fullmatch(text):
            raise UsageError(f"--{option} {text!r}: is not a decimal above 0, such as 0.01")
    if digits:
        stated = ", ".join(f"{option} {sizes[option]}" for option in digits)
        wanted = " and ".join(f"--{option}" for option in digits)
        others = "say others" if len(digits) > 1 else "says another"
        found.append(f"instrument   {stated}, from the digits in the files; {wanted} {others}")
    kind = "CryptoPerpetual" if name.endswith("-PERP") else form.instrument
    if kind == "Equity":
        return StatedInstrument(
            type=kind,
            id=options.instrument,
            currency=options.currency or "USD",
            price_increment=sizes["tick"],
        )
    base, quote = currencies_of(name, options.currency)
    return StatedInstrument(
        type=kind,
        id=options.instrument,
        base_currency=base,
        quote_currency=quote,
        price_increment=sizes["tick"],
        size_increment=sizes["lot"],
        settlement_currency=quote if kind == "CryptoPerpetual" else None,
    )


def currencies_of(symbol: str, quote: str | None) -> tuple[str, str]:
    """Return base and quote currency of a symbol such as BTCUSDT, EUR/USD or ETH-USD-PERP.

    Raises ``UsageError`` when the symbol does not show them.
    """
    plain = symbol.removesuffix("-PERP").removesuffix("-SWAP").upper()
    parts = re.split(r"[/_-]", plain)
    if len(parts) == 2 and all(parts):  # noqa: PLR2004 - base and quote
        return parts[0], parts[1]
    for known in [quote] if quote else _QUOTES:
        if plain.endswith(known) and plain != known:
            return plain.removesuffix(known), known
    raise UsageError(
        f"--instrument: the currencies of {symbol!r} are not clear; write them apart as in "
        "BTC/USDT, give --currency for the one that prices are in, or --instruments FILE"
    )


def _digits(loaded: LoadedPreparation, columns: Callable[[Series], Sequence[str]]) -> int:
    """Return the largest number of decimal places in the first rows of the files."""
    most = 0
    for series in loaded.preparation.series:
        roles = column_roles(series)
        names = [name for name in columns(series) if name in roles]
        roles = {name: roles[name] for name in names}
        if not names:
            continue
        files = find_files(loaded.inputs(series))
        for file in {0: files[0], len(files) - 1: files[-1]}.values():
            for number, raw in enumerate(file.blocks(roles)):
                texts = pl.concat([raw[name].cast(pl.String) for name in names])
                most = max(most, _digits_of(texts, scale_of(series, names[0])))
                if number + 1 == _MOST_BLOCKS:
                    break
    return min(most, _MOST_DIGITS)


def _digits_of(texts: pl.Series, factor: Decimal) -> int:
    most = 0
    plain = texts.unique().drop_nulls().str.strip_chars()
    if factor != 1:
        return max((_places(text, factor) for text in plain), default=0)
    fractions = plain.str.extract(r"^[+-]?[0-9]*\.([0-9]*)$").str.strip_chars_end("0")
    lengths = fractions.str.len_bytes()
    # A price with floating-point noise has more digits than any tick.
    usual = lengths.filter(lengths <= _MOST_DIGITS)
    if len(usual):
        most = int(usual.max() or 0)  # type: ignore[arg-type]
    return max(most, max((_places(text, factor) for text in plain if "e" in text), default=0))


def _places(text: str, factor: Decimal) -> int:
    try:
        exponent = (Decimal(text) * factor).normalize().as_tuple().exponent
    except ArithmeticError:
        return 0
    return max(0, -exponent) if isinstance(exponent, int) else 0
