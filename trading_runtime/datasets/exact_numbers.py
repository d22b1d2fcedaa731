"""Decimal texts of raw files as whole numbers of ticks, without a float in between."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

DECIMAL = pa.decimal128(38, 16)
"""The catalog's type of prices and sizes."""

_NUMBER = r"^([+-]?)([0-9]*)(?:\.([0-9]*))?$"
_EXPONENT = r"[eE]"
_NOT_FINITE = r"(?i)^[+-]?(nan|inf|infinity)$"
_LONGEST = 400


class Fault(StrEnum):
    """Why a text is not a number that can be used."""

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


def read_ticks(texts: pl.Series, increment: Increment) -> pl.DataFrame:
    """Return ``ticks`` (Int64, rounded half to even, null with a fault) and ``fault``.

    ``fault`` is a ``Fault`` or null; a value off the tick has its rounded ``ticks`` as well.
    Zero is a fault of its own, as only the reader knows whether it is allowed.
    """
    texts = _without_exponents(texts.cast(pl.String).str.strip_chars())
    parts = (
        pl.DataFrame({"text": texts})
        .select(
            "text",
            pl.col("text")
            .str.extract_groups(_NUMBER)
            .struct.rename_fields(["sign", "whole", "fraction"])
            .alias("parts"),
        )
        .unnest("parts")
    )
    digits, units = increment.digits, increment.units
    fraction = pl.col("fraction").fill_null("")
    tail = fraction.str.slice(digits).str.strip_chars_end("0")
    parts = parts.with_columns(
        whole_digits=pl.col("whole").str.strip_chars_start("0"),
        head=fraction.str.slice(0, digits).str.pad_end(digits, "0"),
        beyond=pl.when(tail == "").then(0).when(tail == "5").then(2)
        .when(tail.str.slice(0, 1) < "5").then(1).otherwise(3).cast(pl.Int64),
    )  # fmt: skip
    # A number beyond 64 bits becomes null, and so too large.
    value = pl.concat_str("whole_digits", "head").replace("", "0").cast(pl.Int64, strict=False)
    parts = parts.with_columns(value=value).with_columns(
        whole_ticks=pl.col("value") // units,
        # Four times the remainder, with the digits beyond the last one as 0, 1, 2 or 3 quarters:
        # enough to tell below, at and above half a tick exactly.
        quarters=4 * (pl.col("value") % units) + pl.col("beyond"),
    )
    half = 2 * units
    up = (pl.col("quarters") > half) | (
        (pl.col("quarters") == half) & (pl.col("whole_ticks") % 2 == 1)
    )
    text = pl.col("text")
    has_digits = (pl.col("whole") != "") | (fraction != "")
    above_zero = (pl.col("value") > 0) | (pl.col("beyond") > 0)
    return parts.select(
        ticks=pl.col("whole_ticks") + up.cast(pl.Int64),
        fault=pl.when(text.is_null() | (text == "")).then(pl.lit(Fault.MISSING.value))
        .when(text.str.contains(_NOT_FINITE)).then(pl.lit(Fault.NOT_FINITE.value))
        .when(pl.col("sign").is_null() | ~has_digits).then(pl.lit(Fault.UNREADABLE.value))
        .when(pl.col("value").is_null()).then(pl.lit(Fault.TOO_LARGE.value))
        .when((pl.col("sign") == "-") & above_zero).then(pl.lit(Fault.NEGATIVE.value))
        .when(~above_zero).then(pl.lit(Fault.ZERO.value))
        .when(pl.col("quarters") > 0).then(pl.lit(Fault.OFF_TICK.value)),
    ).with_columns(
        ticks=pl.when(
            pl.col("fault").is_null() | pl.col("fault").is_in([Fault.ZERO, Fault.OFF_TICK])
        ).then(pl.col("ticks"))
    )  # fmt: skip


def decimals(ticks: pl.Series, increment: Increment) -> Any:
    """Return whole ticks as an Arrow array of ``DECIMAL``."""
    whole = (ticks * increment.units).to_arrow().cast(pa.decimal128(19, 0))
    unit = pa.scalar(Decimal(1).scaleb(-increment.digits), pa.decimal128(18, 16))
    return pc.multiply(whole, unit)


def _without_exponents(texts: pl.Series) -> pl.Series:
    """Write ``1e-7`` in full: raw files and the shortest text of a float have such numbers."""
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
