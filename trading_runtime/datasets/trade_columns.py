"""The columns that only trades have: their ids, and which side took liquidity."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from trading_runtime.datasets.row_problems import RowProblems, shown
from trading_runtime.errors import DataError

if TYPE_CHECKING:
    from trading_runtime.datasets.data_file import TradeSeries
    from trading_runtime.datasets.raw_files import RawFile

NO_AGGRESSOR = "NO_AGGRESSOR"
LONGEST_TRADE_ID = 36
"""Characters of a trade id that the engine keeps."""

_SIDES = {"buy": "BUY", "b": "BUY", "buyer": "BUY", "sell": "SELL", "s": "SELL", "seller": "SELL"}
_BUYER_IS_MAKER = {
    "true": "SELL", "t": "SELL", "1": "SELL", "yes": "SELL",
    "false": "BUY", "f": "BUY", "0": "BUY", "no": "BUY",
}  # fmt: skip


def read_trade_ids(file: RawFile, raw: pl.Series, problems: RowProblems) -> pl.Series:
    """Return the ids as texts.

    Raises ``DataError`` when they are stored as numbers with a point, which cannot keep large ids.
    """
    if raw.dtype.is_float():
        raise DataError(
            f"{file.path}: the trade ids are stored as floating point numbers, in which large ids "
            "are not exact; store them as whole numbers or text, or leave out 'columns.trade_id'"
        )
    ids = raw.cast(pl.String).str.strip_chars()
    missing = ids.is_null() | (ids == "")
    problems.add("missing", file, missing.arg_true(), "trade_id has no value")
    odd = ~missing & ((ids.str.len_bytes() > LONGEST_TRADE_ID) | ids.str.contains(r"[^\x20-\x7e]"))
    wrong = odd.arg_true()
    if len(wrong):
        value = shown(raw[int(wrong[0])])
        problems.add(
            "trade id", file, wrong,
            f"trade_id {value} is not 1 to {LONGEST_TRADE_ID} plain ASCII characters",
        )  # fmt: skip
    return ids.set(missing, None)


def read_aggressors(
    series: TradeSeries, file: RawFile, raw: pl.DataFrame, problems: RowProblems
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
        return pl.repeat(NO_AGGRESSOR, raw.height, dtype=pl.String, eager=True)
    texts = raw[role].cast(pl.String).str.strip_chars()
    known = texts.str.to_lowercase() if fold else texts
    sides = known.replace_strict(meanings, default=None, return_dtype=pl.String)
    missing = texts.is_null().arg_true()
    problems.add("missing", file, missing, f"{role} has no value")
    wrong = (sides.is_null() & texts.is_not_null()).arg_true()
    if len(wrong):
        advice = "" if role == "buyer_maker" else "say with 'aggressor_values' what the texts mean"
        value = shown(raw[role][int(wrong[0])])
        problems.add(
            "aggressor", file, wrong,
            f"{role} {value} is none of {', '.join(meanings)}", advice,
        )  # fmt: skip
    return sides
