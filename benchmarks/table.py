"""The table of figures: as text, and in its documentation page."""

from __future__ import annotations

import os
import platform
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from benchmarks.bench import Mark, Row

HEADER = ("figure", "ours", "anchor", "ratio", "must reach", "reached", "spread, repeats")
_BEGIN, _END = "<!-- measured -->", "<!-- /measured -->"


def cells(row: Row) -> tuple[str, ...]:
    """Return one line's texts, in the order of ``HEADER``."""
    measured, mark = row.measured, row.mark
    unit = mark.unit if mark.unit in {"s", "MB"} else "s"
    is_ratio = measured.anchor is not None
    spread = f"{_number(measured.low)} to {_number(measured.high)}, {measured.repeats}"
    return (
        row.figure,
        f"{_number(measured.ours)} {unit}",
        "" if measured.anchor is None else f"{_number(measured.anchor)} {unit}",
        _number(measured.value) if is_ratio else "",
        _mark(mark),
        "yes" if mark.reached(measured.value) else "**no**",
        spread if measured.repeats > 1 else "1",
    )


def as_text(lines: Iterable[tuple[str, ...]]) -> str:
    """Return lines as a table for a terminal."""
    table = [HEADER, *lines]
    widths = [max(len(line[at]) for line in table) for at in range(len(HEADER))]
    return "\n".join(
        "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip()
        for line in table
    )


def machine() -> str:
    """Return the size of this machine, without its name."""
    pages, size = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    return (
        f"{os.cpu_count()} processor cores, {pages * size / 1e9:.0f} GB memory, "
        f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"
    )


def update(page: str, lines: Iterable[tuple[str, ...]], size: str) -> str:
    """Return ``page`` with these lines in its table; lines of other figures are kept.

    Raises ``ValueError`` when the page has no place for the table.
    """
    before, begin, rest = page.partition(_BEGIN)
    old, end, after = rest.partition(_END)
    if not (begin and end):
        raise ValueError(f"the page has no {_BEGIN} ... {_END}")
    kept = {line[0]: line for line in _read(old)}
    kept |= {line[0]: line for line in lines}
    table = "\n".join(
        f"| {' | '.join(line)} |" for line in [HEADER, ("---",) * len(HEADER), *kept.values()]
    )
    return f"{before}{_BEGIN}\n\nMachine: {size}.\n\n{table}\n\n{_END}{after}"


def write(path: Path, lines: Iterable[tuple[str, ...]]) -> None:
    """Put lines into the page at ``path``."""
    path.write_text(update(path.read_text(encoding="utf-8"), lines, machine()), encoding="utf-8")


def _read(text: str) -> list[tuple[str, ...]]:
    rows = [
        tuple(cell.strip() for cell in line.strip().strip("|").split("|"))
        for line in text.splitlines()
        if line.startswith("|")
    ]
    return [row for row in rows[2:] if len(row) == len(HEADER)]


def _mark(mark: Mark) -> str:
    sign = ">=" if mark.at_least else "<="
    what = {"ratio": "", "times": " times"}.get(mark.unit, f" {mark.unit}")
    return f"{sign} {_number(mark.bound)}{what}"


def _number(value: float) -> str:
    if value >= 100:  # noqa: PLR2004 - below this, decimal places are informative
        return f"{value:,.0f}"
    text = f"{value:.3f}" if value < 1 else f"{value:.2f}"
    return re.sub(r"\.?0+$", "", text) if float(text).is_integer() else text
