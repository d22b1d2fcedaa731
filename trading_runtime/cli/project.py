"""The commands ``init`` and ``doctor``: a project's first files, a check of the installation."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from trading_runtime.cli.options import JSON
from trading_runtime.cli.terminal import say
from trading_runtime.errors import Kind
from trading_runtime.project.scaffold import EXPERIMENT, STRATEGIES, create_project

_LABEL_WIDTH = 16


@click.command()
@click.argument("folder", default=".", metavar="[DIR]", type=click.Path(path_type=Path))
@click.option(
    "--strategy",
    type=click.Choice(list(STRATEGIES)),
    default="ema-cross",
    show_default=True,
    help="The strategy to begin with.",
)
def init(folder: Path, strategy: str) -> None:
    """Create a project in DIR: experiment, strategy with tests, example data, notebook, CI.

    The experiment can be run right away. Existing files are not replaced.
    """
    from trading_runtime.cli.data import make_dataset

    made = make_dataset(create_project(folder, strategy))
    rows = sum(file.rows for file in made.manifest.files)
    say(f"project  {folder.absolute()}")
    say(f"data     {made.folder.name}: {rows:,} made-up rows")
    say(f"next     {_change(folder)}trading-runtime run {EXPERIMENT}")


def _change(folder: Path) -> str:
    return "" if folder == Path() else f"cd {folder} && "


@click.command()
@JSON
def doctor(*, as_json: bool) -> int:
    """Show what is wrong with this installation: Python, packages, engine, tools."""
    from trading_runtime.project.doctor import State, examine

    found = list(examine())
    is_sound = all(part.state is not State.FAILED for part in found)
    if as_json:
        say(json.dumps({"sound": is_sound, "parts": [asdict(part) for part in found]}))
    else:
        for part in found:
            say(f"{part.name:<{_LABEL_WIDTH}} {part.state:<7} {part.message}")
    return (Kind.OK if is_sound else Kind.USAGE).exit_code
