"""Raw rows of order books and of statuses: their words and numbers besides prices and sizes."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

import polars as pl

from trading_runtime.datasets.books import ACTIONS, SIDES
from trading_runtime.datasets.columns import read_words
from trading_runtime.datasets.data_file import MarketStatus
from trading_runtime.datasets.row_checks import shown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trading_runtime.datasets.data_file import BookDeltaSeries, StatusSeries
    from trading_runtime.datasets.row_checks import RowProblems

YES_OR_NO = {"true": "yes", "t": "yes", "1": "yes", "yes": "yes",
        "false": "no", "f": "no", "0": "no", "no": "no"}  # fmt: skip
_STATUSES = {name.lower(): name for name in get_args(MarketStatus)}


def read_changes(
    series: BookDeltaSeries,
    index: int,
    raw: pl.DataFrame,
    problems: RowProblems,
    usual: Mapping[str, str],
) -> tuple[pl.DataFrame, dict[str, pl.Series]]:
    """Return the rows that change the book, and their columns besides times, price and size.

    Rows that clear the book have no price, size and side of their own: ``usual`` ones are put
    there, and taken out again by ``books.deltas``.
    """
    found: dict[str, pl.Series] = {}
    sides = series.side_values or SIDES
    if series.columns.action is not None:
        advice = "say with 'action_values' what the texts mean"
        actions = read_words(
            index, raw, "action", series.action_values or ACTIONS, problems,
            fold=series.action_values is None, advice=advice,
        )  # fmt: skip
        changes = (actions != "NONE").fill_null(value=True)
        raw, found["action"] = raw.filter(changes), actions.filter(changes)
        is_clear = (found["action"] == "CLEAR").fill_null(value=False)
        if is_clear.any():
            raw = raw.with_columns(
                pl.when(is_clear).then(pl.lit(text)).otherwise(pl.col(name).cast(pl.String))
                .alias(name)
                for name, text in {**usual, "side": next(iter(sides))}.items()
            )  # fmt: skip
    found["side"] = read_words(
        index, raw, "side", sides, problems, fold=series.side_values is None,
        advice="say with 'side_values' what the texts mean",
    )  # fmt: skip
    if series.columns.is_snapshot is not None:
        found["is_snapshot"] = read_words(index, raw, "is_snapshot", YES_OR_NO, problems) == "yes"
    return raw, found | read_numbers(index, raw, problems)


def read_numbers(index: int, raw: pl.DataFrame, problems: RowProblems) -> dict[str, pl.Series]:
    """Return the numbers of orders and of updates, if there are any."""
    roles = [role for role in ("order_id", "sequence") if role in raw.columns]
    return {role: _whole(index, raw, role, problems) for role in roles}


def read_statuses(
    series: StatusSeries, index: int, raw: pl.DataFrame, problems: RowProblems
) -> dict[str, pl.Series]:
    """Return the statuses and their reasons."""
    advice = "say with 'action_values' what the texts mean"
    known, fold = series.action_values or _STATUSES, series.action_values is None
    words = {
        "action": read_words(index, raw, "action", known, problems, fold=fold, advice=advice)
    }  # fmt: skip
    if series.columns.reason is not None:
        words["reason"] = raw["reason"].cast(pl.String)
    return words


def absent_levels(raw: pl.DataFrame, name: str) -> pl.Series:
    """Return the rows that lack the level of a column: without a price, and with no size."""
    side, _, number = name.split("_")
    price = raw[f"{side}_price_{number}"].cast(pl.String).str.strip_chars().fill_null("")
    size = raw[f"{side}_size_{number}"].cast(pl.String).str.strip_chars().fill_null("")
    return (price == "") & ((size == "") | (size.cast(pl.Float64, strict=False) == 0)).fill_null(
        value=False
    )


def _whole(index: int, raw: pl.DataFrame, role: str, problems: RowProblems) -> pl.Series:
    texts = raw[role].cast(pl.String).str.strip_chars()
    numbers = texts.cast(pl.UInt64, strict=False)
    wrong = numbers.is_null()
    if wrong.any():
        what = "is not a whole number"
        value = shown(raw[role].filter(wrong)[0])
        problems.add(
            role, index, raw["row"].filter(wrong), f"{role} {value} {what}", reason=f"{role} {what}"
        )
    return numbers
