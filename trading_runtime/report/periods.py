"""The best point by month, and beside holding the instruments."""

from __future__ import annotations

import dataclasses
import datetime as dt
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from trading_runtime.report.formatting import UNDEFINED, percent, ratio
from trading_runtime.results.benchmark import relation
from trading_runtime.results.exact import EXACT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from trading_runtime.report.content import ReportInputs

_EPOCH = dt.date(1970, 1, 1).toordinal()
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


@dataclasses.dataclass(frozen=True, slots=True)
class Table:
    """A table of texts, with the note below it, the sort column and the highlighted row."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    numeric: Sequence[bool]
    note: str = ""
    sorted_by: str = ""
    marked: int | None = None


def months_table(returns: Sequence[tuple[int, Decimal | None]]) -> Table | None:
    """Return the returns of each month and year, compounded; ``None`` within a single month."""
    growth: dict[tuple[int, int], Decimal | None] = {}
    for day, value in returns:
        date = dt.date.fromordinal(_EPOCH + day)
        for key in ((date.year, date.month), (date.year, 0)):
            before = growth.get(key, Decimal(1))
            growth[key] = (
                None if before is None or value is None else EXACT.multiply(before, 1 + value)
            )
    if len([key for key in growth if key[1]]) < 2:  # noqa: PLR2004 - one month is the whole
        return None
    rows = [
        [str(year), *(_share(growth, (year, month)) for month in (*range(1, 13), 0))]
        for year in sorted({year for year, _ in growth})
    ]
    return Table(
        columns=["Year", *_MONTHS, "Whole year"],
        rows=rows,
        numeric=[False, *[True] * 13],
        note="Returns of the days that count, compounded; a dash is a month without any.",
    )


def _share(growth: Mapping[tuple[int, int], Decimal | None], key: tuple[int, int]) -> str:
    found = growth.get(key)
    return UNDEFINED if found is None else percent(float(found - 1))


def benchmark_facts(inputs: ReportInputs, best: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what holding the instruments made, and alpha and beta; empty when not known."""
    held = inputs.benchmark
    if held is None or not best:
        return []
    facts = [("Buy and hold", percent(float(held.curve[-1][1] - 1)))]
    year = best["periods_per_year"]
    found = relation(inputs.returns, held, None if year is None else Decimal(str(year)))
    if found is not None:
        facts += [
            ("Alpha (a year)", percent(float(found.alpha))),
            ("Beta", ratio(float(found.beta))),
        ]
    return facts
