"""Columns of raw files: decimal texts as exact whole numbers, and the columns of trades."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pyarrow as pa

from trading_runtime.datasets.row_checks import RowProblems, shown
from trading_runtime.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from trading_runtime.datasets.data_file import TradeSeries
    from trading_runtime.datasets.raw_files import RawFile


DECIMAL = pa.decimal128(38, 16)
"""The catalog's type of prices and sizes."""
LARGEST_PRICE = 17_014_118_346_046
"""The engine's PRICE_RAW_MAX as a number: its raw values have 128 bits and 16 digits."""
LARGEST_SIZE = 34_028_236_692_093
"""The engine's QUANTITY_RAW_MAX as a number."""

_NUMBER = r"^([+-]?)([0-9]*)(?:\.([0-9]*))?$"
_EXPONENT = r"[eE]"
_NOT_FINITE = r"(?i)^[+-]?(nan|inf|infinity)$"
_LONGEST = 400
_LARGEST_INT64 = 2**63 - 1


class Fault(StrEnum):
    """Why a text is not a usable number."""

    MISSING = "missing"
    NOT_FINITE = "not finite"
    UNREADABLE = "unreadable"
    TOO_LARGE = "too large"
    NEGATIVE = "negative"
    ZERO = "zero"
    OFF_TICK = "off tick"


@dataclass(frozen=True)
class Increment:
    """A tick: ``units`` times ten to the power of minus ``digits``."""

    units: int
    digits: int

    @classmethod
    def of(cls, value: Decimal) -> Increment:
        """Return the increment of a price or size; raises ``ValueError`` unless above zero."""
        if not value.is_finite() or value <= 0:
            raise ValueError(f"{value} is not an increment above 0")
        exponent = value.normalize().as_tuple().exponent
        digits = max(0, -int(exponent))
        if digits > DECIMAL.scale:
            raise ValueError(f"{value} has more than {DECIMAL.scale} digits after the point")
        return cls(int(value.scaleb(digits)), digits)

    @property
    def value(self) -> Decimal:
        """The increment as a decimal."""
        return Decimal(self.units).scaleb(-self.digits)


@dataclass(frozen=True)
class NumberFormat:
    """How numbers are written, and which are accepted."""

    decimal: str = "."
    """The decimal separator."""
    thousands: str | None = None
    """The thousands separator."""
    suffixes: bool = False
    """Whether K, M, B or T may follow."""
    negative: bool = False
    """Whether numbers below zero are allowed."""

    @property
    def is_plain(self) -> bool:
        """Whether numbers have a point, and neither separators nor suffixes."""
        return self.decimal == "." and self.thousands is None and not self.suffixes

    def plain(self, texts: pl.Series) -> pl.Series:
        """Return the texts with a point and without separators and suffixes; odd ones unchanged."""
        if self.is_plain:
            return texts
        point, group = re.escape(self.decimal), re.escape(self.thousands or "")
        whole = rf"[0-9]{{1,3}}(?:{group}[0-9]{{3}})+|[0-9]+" if group else "[0-9]+"
        ending = "[KMBTkmbt]?" if self.suffixes else ""
        number = rf"^[+-]?(?:{whole})?(?:{point}[0-9]*)?(?:[eE][+-]?[0-9]+)?{ending}$"
        fits = texts.str.contains(number)
        plain = texts
        if self.thousands is not None:
            plain = plain.str.replace_all(self.thousands, "", literal=True)
        if self.decimal != ".":
            plain = plain.str.replace(self.decimal, ".", literal=True)
        if self.suffixes:
            power = (
                plain.str.slice(-1)
                .str.to_uppercase()
                .replace_strict(_SUFFIXES, default="", return_dtype=pl.String)
            )
            digits = plain.str.strip_chars_end("KMBTkmbt")
            plain = pl.select(pl.concat_str(digits, power)).to_series()
        # Anything that does not fit is made unreadable as a number, even if it would parse without
        # this.
        odd = pl.concat_str(texts, pl.lit("?"))
        is_word = texts.str.contains(r"(?i)^[+-]?(nan|inf|infinity)?$")
        found = pl.when(fits).then(plain).when(is_word).then(texts).otherwise(odd)
        return pl.select(found).to_series()


PLAIN = NumberFormat()
_SUFFIXES = {"K": "e3", "M": "e6", "B": "e9", "T": "e12"}
_LONGEST_EXACT = 17
"""A text of this length has at most ``DECIMAL.scale`` decimal places."""
_DISTINCT_DIGITS = 15
"""Different decimal numbers of so many digits are different as floating-point numbers, too."""
_LAST_BITS = 2.0**-50
"""Four times the difference of a floating-point number from the next, as a part of it."""
_NOISE = 9
"""Digits of the last place beyond which a difference is the noise of floating point."""


def read_ticks(
    texts: pl.Series,
    increment: Increment,
    largest: int | None = None,
    form: NumberFormat = PLAIN,
) -> pl.DataFrame:
    """Return ``ticks`` (rounded half to even, null with a fault), ``fault`` and ``snapped``.

    ``ticks`` are Int64, or Int128 when one of them does not fit and ``largest``, the highest valid
    number, is given.

    ``fault`` is a ``Fault`` or null; a value off the tick has its rounded ``ticks`` as well. Zero
    is a separate fault, since only the caller knows whether it is allowed. ``snapped`` marks values
    that were off the tick by a billionth of its last digit or less, or by the last bits of a
    floating-point number.
    """
    texts = texts.cast(pl.String)
    if form.is_plain:
        exact = _ticks_by_floats(texts, increment, largest)
        if exact is not None:
            return exact
    texts = form.plain(texts.str.strip_chars())
    exact = _exact_ticks(texts, increment, largest)
    if exact is not None:
        return exact
    parts = (
        pl.DataFrame({"text": _without_exponents(texts)})
        .select(
            "text",
            pl.col("text")
            .str.extract_groups(_NUMBER)
            .struct.rename_fields(["sign", "whole", "fraction"])
            .alias("parts"),
        )
        .unnest("parts")
    )
    digits = increment.digits
    fraction = pl.col("fraction").fill_null("")
    tail = fraction.str.slice(digits).str.strip_chars_end("0")
    parts = parts.with_columns(
        whole_digits=pl.col("whole").str.strip_chars_start("0"),
        head=fraction.str.slice(0, digits).str.pad_end(digits, "0"),
        beyond=pl.when(tail == "").then(0).when(tail == "5").then(2)
        .when(tail.str.slice(0, 1) < "5").then(1).otherwise(3).cast(pl.Int64),
        noise=pl.when(tail.str.starts_with("0" * _NOISE)).then(-1)
        .when(tail.str.starts_with("9" * _NOISE)).then(1).otherwise(0).cast(pl.Int8),
    )  # fmt: skip
    found = _ticks(parts, increment, pl.Int64(), largest, negative=form.negative)
    if largest is not None and (found["fault"] == Fault.TOO_LARGE.value).any():
        found = _ticks(parts, increment, pl.Int128(), largest, negative=form.negative)
    return _without_last_bits(found, texts, increment)


def _without_last_bits(found: pl.DataFrame, texts: pl.Series, increment: Increment) -> pl.DataFrame:
    """Take values as on the tick that only the last bits of 64 keep off it, such as 0.199 - 2e-17.

    Their texts have the 16 or 17 digits of such a number.
    """
    off = found["fault"] == Fault.OFF_TICK.value
    off &= texts.str.len_bytes() > _DISTINCT_DIGITS + 1
    if not off.fill_null(value=False).any():
        return found
    units = found["ticks"].cast(pl.Float64) * increment.units
    number = texts.cast(pl.Float64, strict=False)
    apart = (number - units / float(10**increment.digits)).abs()
    near = off & (apart <= number.abs() * _LAST_BITS) & (units.abs() < 2.0**53)
    near = near.fill_null(value=False)
    return found.with_columns(fault=found["fault"].set(near, None), snapped=found["snapped"] | near)


def _ticks_by_floats(
    texts: pl.Series, increment: Increment, largest: int | None
) -> pl.DataFrame | None:
    """Return what ``read_ticks`` does when all texts are short numbers on the tick; else None.

    Both a text and its ticks are decimals of at most 15 digits. Such decimals are equal if and only
    if the nearest floating-point numbers are.
    """
    longest = texts.str.len_bytes().max()
    if texts.null_count() or longest is None or longest > _DISTINCT_DIGITS:  # type: ignore[operator]
        return None
    # Polars divides by a single number less exactly than by a column, NumPy does not.
    floats = texts.cast(pl.Float64, strict=False).to_numpy()
    power = float(10**increment.digits)
    # A text that is not a number is a NaN, for which this is false.
    least, most = floats.min(), floats.max()
    if not (least >= 0 and most * power < 10.0**_DISTINCT_DIGITS):
        return None
    if np.rint(most * (power / increment.units)) > _most_ticks(increment, largest):
        return None
    nearest = np.rint(floats * (power / increment.units))
    # The quotient of two whole numbers that floats hold is rounded once, as the text is.
    if not np.array_equal(nearest * increment.units / power, floats):
        return None
    zero = pl.Series("fault", [None], pl.String).new_from_index(0, len(nearest))
    if np.rint(least * (power / increment.units)) == 0:
        if texts.str.contains(_EXPONENT).any():
            return None
        zero = zero.set(pl.Series(nearest == 0), Fault.ZERO.value)
    snapped = pl.Series("snapped", [False]).new_from_index(0, len(nearest))
    return pl.DataFrame([pl.Series("ticks", nearest.astype(np.int64)), zero, snapped])


def _most_ticks(increment: Increment, largest: int | None) -> int:
    most: int = (largest or _LARGEST_INT64) * 10**increment.digits // increment.units
    return min(_LARGEST_INT64, most)


def _exact_ticks(
    texts: pl.Series, increment: Increment, largest: int | None
) -> pl.DataFrame | None:
    """Return what ``read_ticks`` does when all texts are plain numbers on the tick; else None."""
    if texts.null_count() or (texts.str.len_bytes() > _LONGEST_EXACT).any():
        return None
    raw = texts.cast(pl.Decimal(38, DECIMAL.scale), strict=False).to_physical()
    if raw.null_count() or not len(raw):
        return None
    tick = pl.lit(increment.units * 10 ** (DECIMAL.scale - increment.digits), pl.Int128)
    most = _most_ticks(increment, largest)
    found = pl.DataFrame({"raw": raw}).select(
        ticks=pl.col("raw") // tick, is_off=pl.col("raw") % tick != 0
    )
    ticks = found["ticks"]
    if found["is_off"].any() or ticks.min() < 0 or ticks.max() > most:  # type: ignore[operator]
        return None
    # A power of ten below the decimals' last digit reads as zero.
    if (ticks == 0).any() and texts.str.contains(_EXPONENT).any():
        return None
    zero = pl.when(pl.col("ticks") == 0).then(pl.lit(Fault.ZERO.value))
    return found.select(pl.col("ticks").cast(pl.Int64), fault=zero, snapped=pl.lit(value=False))


def _ticks(
    parts: pl.DataFrame,
    increment: Increment,
    kind: pl.DataType,
    largest: int | None,
    *,
    negative: bool,
) -> pl.DataFrame:
    def number(value: int) -> pl.Expr:
        return pl.lit(value, dtype=kind)

    units = increment.units
    fraction = pl.col("fraction").fill_null("")
    # A number beyond the bits of the type becomes null, and so too large.
    value = pl.concat_str("whole_digits", "head").replace("", "0").cast(kind, strict=False)
    rest = pl.col("value") % number(units)
    parts = parts.with_columns(value=value).with_columns(
        whole_ticks=pl.col("value") // number(units),
        # Four times the remainder, with the digits beyond the last one as 0, 1, 2 or 3 quarters:
        # enough to distinguish below, at and above half a tick exactly.
        quarters=number(4) * rest + pl.col("beyond"),
        snapped=((rest == 0) & (pl.col("noise") < 0))
        | ((rest == units - 1) & (pl.col("noise") > 0)),
    )
    half = number(2 * units)
    up = (pl.col("quarters") > half) | (
        (pl.col("quarters") == half) & (pl.col("whole_ticks") % number(2) == 1)
    )
    ticks = pl.col("whole_ticks") + up.cast(kind)
    too_large = pl.col("value").is_null()
    if largest is not None:
        most = largest * 10**increment.digits
        if kind == pl.Int128 or most <= _LARGEST_INT64:
            is_above = (pl.col("value") > number(most)) | (ticks > number(most // units))
            too_large |= is_above.fill_null(value=False)
    text = pl.col("text")
    has_digits = (pl.col("whole") != "") | (fraction != "")
    above_zero = (pl.col("value") > 0) | (pl.col("beyond") > 0)
    is_negative = pl.col("sign") == "-"
    return parts.select(
        "snapped",
        ticks=pl.when(is_negative).then(-ticks).otherwise(ticks) if negative else ticks,
        fault=pl.when(text.is_null() | (text == "")).then(pl.lit(Fault.MISSING.value))
        .when(text.str.contains(_NOT_FINITE)).then(pl.lit(Fault.NOT_FINITE.value))
        .when(pl.col("sign").is_null() | ~has_digits).then(pl.lit(Fault.UNREADABLE.value))
        .when(too_large).then(pl.lit(Fault.TOO_LARGE.value))
        .when(is_negative & above_zero & pl.lit(not negative))
        .then(pl.lit(Fault.NEGATIVE.value))
        .when(~above_zero).then(pl.lit(Fault.ZERO.value))
        .when((pl.col("quarters") > 0) & ~pl.col("snapped")).then(pl.lit(Fault.OFF_TICK.value)),
    ).select(
        ticks=pl.when(
            pl.col("fault").is_null() | pl.col("fault").is_in([Fault.ZERO, Fault.OFF_TICK])
        ).then(pl.col("ticks")),
        fault=pl.col("fault"),
        snapped=pl.col("snapped") & pl.col("fault").is_null(),
    )  # fmt: skip


def decimals(ticks: pl.Series, increment: Increment) -> Any:
    """Return whole ticks as an Arrow array of ``DECIMAL``."""
    factor = increment.units * 10 ** (DECIMAL.scale - increment.digits)
    if ticks.dtype == pl.Int128 or factor > _LARGEST_INT64:
        wide = pl.select(ticks.cast(pl.Int128) * pl.lit(factor, pl.Int128)).to_series()
        raw = wide.cast(pl.Decimal(38, 0)).to_arrow()
        return pa.Array.from_buffers(DECIMAL, len(raw), raw.buffers())
    validity = None
    if ticks.null_count():
        validity = pa.array(ticks.is_not_null().to_numpy()).buffers()[1]
        ticks = ticks.fill_null(0)
    product = pa.py_buffer(_product(ticks.to_numpy(), factor))
    return pa.Array.from_buffers(DECIMAL, len(ticks), [validity, product])


def _product(values: NDArray[np.int64], factor: int) -> NDArray[np.uint64]:
    """Return the products of ``values`` and a factor of 63 bits in 128 bits, the lower half first.

    Written out in halves of 32 bits: Arrow's and Polars' own products take three times as long.
    """
    whole, half, low_bits = np.uint64(factor), np.uint64(32), np.uint64(2**32 - 1)
    low, high = whole & low_bits, whole >> half
    bits = values.view(np.uint64)
    found = np.empty((len(values), 2), np.uint64)
    if len(values) and bits.max() <= low_bits:
        # Most numbers of ticks have no upper half.
        found[:, 0] = bits * whole
        found[:, 1] = (bits * high + ((bits * low) >> half)) >> half
        return found
    low_values, high_values = bits & low_bits, bits >> half
    middle = high_values * low + ((low_values * low) >> half)
    other = low_values * high + (middle & low_bits)
    found[:, 0] = bits * whole
    found[:, 1] = high_values * high + (middle >> half) + (other >> half)
    if len(values) and values.min() < 0:
        # The bits of a negative number are two to the power of 64 too many.
        found[:, 1] -= np.where(values < 0, whole, np.uint64(0))
    return found


def _without_exponents(texts: pl.Series) -> pl.Series:
    """Write ``1e-7`` in full: raw files and the shortest text of a float contain such numbers."""
    if not texts.str.contains(_EXPONENT).any():
        return texts
    return pl.Series(
        texts.name,
        [_in_full(text) if text is not None and "e" in text.lower() else text for text in texts],
        dtype=pl.String,
    )


def _in_full(text: str) -> str:
    try:
        value = Decimal(text)
    except ArithmeticError:
        return text
    if not value.is_finite() or abs(value.adjusted()) > _LONGEST:
        return text
    return format(value, "f")


NO_AGGRESSOR = "NO_AGGRESSOR"
AGGRESSORS = ("BUY", "SELL", NO_AGGRESSOR)
_FIRST_ROWS = 64
"""How many rows are looked at for the texts of a column that has only a few."""
LONGEST_TRADE_ID = 36
"""Characters of a trade id that the engine keeps."""

_AGGRESSOR = pl.Enum(AGGRESSORS)
_SIDES = {"buy": "BUY", "b": "BUY", "buyer": "BUY", "sell": "SELL", "s": "SELL", "seller": "SELL"}
_BUYER_IS_MAKER = {
    "true": "SELL", "t": "SELL", "1": "SELL", "yes": "SELL",
    "false": "BUY", "f": "BUY", "0": "BUY", "no": "BUY",
}  # fmt: skip


def read_trade_ids(
    file: RawFile, index: int, raw: pl.DataFrame, problems: RowProblems
) -> pl.Series:
    """Return the ids as texts.

    Raises ``DataError`` when they are stored as numbers with a point, which cannot keep large ids.
    """
    values = raw["trade_id"]
    if values.dtype.is_float():
        raise DataError(
            f"{file.name}: the trade ids are stored as floating point numbers, in which large ids "
            "are not exact; store them as whole numbers or text, or leave out 'columns.trade_id'"
        )
    numbers = values.cast(pl.Int64, strict=False)
    if len(numbers) and not numbers.null_count() and numbers.min() >= 0:  # type: ignore[operator]
        return values.cast(pl.String)
    ids = values.cast(pl.String).str.strip_chars()
    missing = ids.is_null() | (ids == "")
    if missing.any():
        what = "trade_id has no value"
        problems.add(
            "missing", index, raw["row"].filter(missing), what,
            "leave out 'columns.trade_id' when the venue gives none (--set 'columns={\"trade_id\": "
            "null}'), or set 'on_bad_row: drop'", reason=what,
        )  # fmt: skip
    odd = ~missing & ((ids.str.len_bytes() > LONGEST_TRADE_ID) | ids.str.contains(r"[^\x20-\x7e]"))
    odd = odd.fill_null(value=False)
    if odd.any():
        meaning = f"is not 1 to {LONGEST_TRADE_ID} plain ASCII characters"
        value = shown(values.filter(odd)[0])
        problems.add(
            "trade id", index, raw["row"].filter(odd), f"trade_id {value} {meaning}",
            reason=f"trade_id {meaning}",
        )  # fmt: skip
    return ids.set(missing, None) if missing.any() else ids


def read_aggressors(
    series: TradeSeries, index: int, raw: pl.DataFrame, problems: RowProblems
) -> pl.Series:
    """Return BUY, SELL or NO_AGGRESSOR for every row."""
    if series.columns.aggressor is not None:
        role, meanings, fold = "aggressor", _SIDES, True
        if series.aggressor_values is not None:
            fold = False
            meanings = {
                text: NO_AGGRESSOR if side == "NONE" else side
                for text, side in series.aggressor_values.items()
            }
    elif series.columns.buyer_maker is not None:
        role, meanings, fold = "buyer_maker", _BUYER_IS_MAKER, True
    else:
        return pl.Series([NO_AGGRESSOR], dtype=_AGGRESSOR).new_from_index(0, raw.height)
    advice = "" if role == "buyer_maker" else "say with 'aggressor_values' what the texts mean"
    return read_words(
        index, raw, role, meanings, problems, fold=fold, advice=advice, kind=_AGGRESSOR
    )


def read_words(  # noqa: PLR0913 - a column and its place
    index: int,
    raw: pl.DataFrame,
    role: str,
    meanings: Mapping[str, str],
    problems: RowProblems,
    *,
    fold: bool = True,
    advice: str = "",
    kind: type[pl.String] | pl.Enum = pl.String,
) -> pl.Series:
    """Return what the texts of a column mean, null for those that are recorded as wrong.

    With ``fold``, upper and lower case are the same. ``kind`` is the type of what is returned.
    """
    texts = raw[role].cast(pl.String)
    words = _few_words(texts, meanings, kind, fold=fold)
    if not words.null_count():
        return words
    # There are few distinct texts: each is interpreted once.
    plain = {text: text.strip() for text in texts.unique().drop_nulls()}
    known = {text: meanings.get(name.lower() if fold else name) for text, name in plain.items()}
    words = texts.replace_strict(known, default=None, return_dtype=kind)
    missing = texts.is_null()
    if missing.any():
        what = f"{role} has no value"
        problems.add("missing", index, raw["row"].filter(missing), what, reason=what)
    wrong = words.is_null() & ~missing
    if wrong.any():
        meaning = f"is none of {', '.join(meanings)}"
        value = shown(raw[role].filter(wrong)[0])
        problems.add(
            role, index, raw["row"].filter(wrong), f"{role} {value} {meaning}", advice,
            reason=f"{role} {meaning}",
        )  # fmt: skip
    return words


def _few_words(
    texts: pl.Series, meanings: Mapping[str, str], kind: type[pl.String] | pl.Enum, *, fold: bool
) -> pl.Series:
    """Return the meanings of the texts that are among the first; null for any other."""
    places = np.zeros(len(texts), np.uint8)
    found: list[str | None] = [None]
    if not texts.null_count():
        for text in dict.fromkeys(texts.head(_FIRST_ROWS)):
            places += (texts == text).to_numpy() * np.uint8(len(found))
            found.append(meanings.get(text.strip().lower() if fold else text.strip()))
    return pl.Series(texts.name, found, kind).gather(pl.Series(places))
