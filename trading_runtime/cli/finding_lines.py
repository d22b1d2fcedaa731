"""What a check of records found, as lines: what is broken, what is worth a note."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Sequence


def print_findings(findings: Sequence[Any], notes: Sequence[Any]) -> str:
    """Print a line for each, and return in a word whether all is ``sound``."""
    for item in findings:
        click.echo(f"broken: {item}")
    for item in notes:
        click.echo(f"note: {item}")
    return "broken" if findings else "sound"
