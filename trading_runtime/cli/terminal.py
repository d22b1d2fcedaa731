"""The only way in which commands print: nothing of what others wrote reaches the terminal raw."""

from __future__ import annotations

import click

from trading_runtime.text import for_terminal


def say(text: str = "", *, err: bool = False, nl: bool = True) -> None:
    """Print ``text``, which may be JSON, to standard output, or with ``err`` to standard error."""
    click.echo(for_terminal(text), err=err, nl=nl)
