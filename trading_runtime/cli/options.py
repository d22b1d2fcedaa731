"""Options, results folders and run names that many commands share."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from trading_runtime.cli.terminal import say
from trading_runtime.config.project_file import results_here
from trading_runtime.errors import StorageError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from trading_runtime.results.store import Store

    type Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

MOST_WORKERS = 1_024
"""As in an experiment; each is a process, so one per task of a large plan would be too many."""
WORKERS = click.option(
    "--workers",
    type=click.IntRange(1, MOST_WORKERS),
    help="Worker processes; default: the experiment's, else one per processor.",
)
EXPERIMENT = click.option(
    "--experiment",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Where the experiment file is now; default: where it was.",
)
JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def results_option(
    parameter: str = "results", *, text: str = "The folder of the results, or its address in S3."
) -> Decorator:
    """Return the option ``--results``, passed to the command as ``parameter``.

    Its default is ``TRADING_RUNTIME_RESULTS``, else what the project file says, else ``results``.
    """
    return click.option(
        "--results", parameter, default=results_here, show_default="results", help=text
    )


RESULTS = results_option()

_IN_ARGO = re.compile(r"[a-z]+\(([0-9]+):[0-9]+(-g[0-9]{2,})?\)")
_GENERATION = re.compile(r"(-g[0-9]{2,})?")


class _BatchNumber(click.IntRange):
    """A batch's number, or the name ``batch(7:7-g01)`` that Argo gives to its step."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        named = _IN_ARGO.fullmatch(str(value))
        number: Any = named[1] if named else value
        return int(super().convert(number, param, ctx))


class Generation(click.ParamType[str]):
    """The end of a generation's run id, ``-g01``, or the name of a step that has it.

    It is empty for the run of an experiment itself.
    """

    name = "generation"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the end of the run id."""
        if named := _IN_ARGO.fullmatch(str(value)):
            return named[2] or ""
        if not _GENERATION.fullmatch(str(value)):
            self.fail(f"{value!r} is no end of a generation's run id, such as -g01", param, ctx)
        return str(value)


def batch_option(text: str) -> Decorator:
    """Return the option ``--batch`` of a step that a pod runs."""
    return click.option("--batch", type=_BatchNumber(0), metavar="NUMBER", help=text)


def open_results(place: str) -> Store:
    """Return the store in a folder, which need not exist, or at an address in S3.

    Raises ``UsageError`` for an invalid address and for what is no folder, ``StorageError`` for a
    folder that cannot be read.
    """
    from trading_runtime.results.store import open_store
    from trading_runtime.storage.s3 import is_s3

    store = open_store(place)
    if not is_s3(place):
        _check_folder(place)
    return store


def _check_folder(place: str) -> None:
    try:
        with os.scandir(place):
            pass
    except FileNotFoundError:
        if Path(place).is_symlink():
            raise UsageError(
                f"{place}: is a link to {Path(place).readlink()}, which is not there; put it back, "
                "or give another folder as --results"
            ) from None
    except NotADirectoryError:
        what = "is a file" if Path(place).is_file() else "is below a file"
        raise UsageError(f"{place}: {what}; --results takes the folder of the results") from None
    except OSError as error:
        raise StorageError(
            f"{place}: the results cannot be read: {error.strerror}; see to whom the folder belongs"
        ) from error


def find_run(run: str, folder: str) -> tuple[Store, str]:
    """Return the store in ``folder``, and the id of the run that ``run`` names.

    Raises ``UsageError`` when there is no such run.
    """
    from trading_runtime.runs.finding import named_run

    store = open_results(folder)
    return store, named_run(store, run, folder)


def print_findings(findings: Sequence[Any], notes: Sequence[Any]) -> str:
    """Print a line for each, and return in one word whether everything is ``sound``."""
    for item in findings:
        say(f"broken: {item}")
    for item in notes:
        say(f"note: {item}")
    return "broken" if findings else "sound"
