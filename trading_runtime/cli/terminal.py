"""The only way in which commands print: nothing of what others wrote reaches the terminal raw."""

from __future__ import annotations

import importlib.util
import re
import sys
from typing import TYPE_CHECKING

import click

from trading_runtime.text import for_line, for_terminal

_LOSS = re.compile(r"[-\N{MINUS SIGN}][0-9][0-9,.]*%?")
_WIDER_THAN_ANY = 100_000
_BAD = frozenset({"failed", "died", "killed", "incomplete"})

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def say(text: str = "", *, err: bool = False, nl: bool = True) -> None:
    """Print ``text``, which may be JSON, to standard output, or with ``err`` to standard error."""
    click.echo(for_terminal(text), err=err, nl=nl)


def print_table(rows: Iterable[Sequence[str]], sides: str = "") -> None:
    """Print a line for each row, with the cells of a column one below the other.

    ``sides`` has a letter for each column: ``r`` aligns it to the right, any other to the left. The
    first row are the heads. On a terminal they are bold and losses red, where Rich is installed.
    """
    lines = [[for_line(cell) for cell in row] for row in rows]
    if sys.stdout.isatty() and importlib.util.find_spec("rich") is not None:
        _print_in_colour(lines, sides)
        return
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for cells in lines:
        line = (
            cell.rjust(width) if side == "r" else cell.ljust(width)
            for cell, width, side in zip(cells, widths, sides or "l" * len(cells), strict=True)
        )
        say("  ".join(line).rstrip())


def _print_in_colour(lines: Sequence[Sequence[str]], sides: str) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    heads, *rows = lines
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for head, side in zip(heads, sides or "l" * len(heads), strict=True):
        table.add_column(
            Text(head), justify="right" if side == "r" else "left", overflow="fold", no_wrap=True
        )
    for cells in rows:
        table.add_row(
            *(
                Text(cell, style="red" if _LOSS.fullmatch(cell) or cell in _BAD else "")
                for cell in cells
            )
        )
    # As wide as it needs, as without Rich: a terminal wraps lines, and nothing is left out.
    needed = Console(width=_WIDER_THAN_ANY).measure(table).maximum
    console = Console()
    console.width = max(console.width, needed)
    console.print(table)
