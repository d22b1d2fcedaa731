"""Options that many commands take, in the same words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable

    type Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def results_option(
    parameter: str = "results", *, text: str = "The folder of the results, or its address in S3."
) -> Decorator:
    """Return the option ``--results``, handed to the command as ``parameter``."""
    return click.option("--results", parameter, default="results", show_default=True, help=text)


RESULTS = results_option()
