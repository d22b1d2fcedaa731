"""The only way in which commands print: nothing of what others wrote reaches the terminal raw."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from trading_runtime.text import for_line, for_terminal

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def say(text: str = "", *, err: bool = False, nl: bool = True) -> None:
    """Print ``text``, which may be JSON, to standard output, or with ``err`` to standard error."""
    click.echo(for_terminal(text), err=err, nl=nl)


def print_table(rows: Iterable[Sequence[str]], sides: str = "") -> None:
    """Print a line for each row, with the cells of a column one below the other.

    ``sides`` has a letter for each column: ``r`` aligns it to the right, any other to the left.
    """
    lines = [[for_line(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for cells in lines:
        line = (
            cell.rjust(width) if side == "r" else cell.ljust(width)
            for cell, width, side in zip(cells, widths, sides or "l" * len(cells), strict=True)
        )
        say("  ".join(line).rstrip())
