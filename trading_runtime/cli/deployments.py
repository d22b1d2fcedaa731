"""The commands ``deployments``: strategies and programs that are kept up on this machine."""

from __future__ import annotations

import datetime as dt
import json
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from trading_runtime.cli.options import JSON
from trading_runtime.errors import UsageError

if TYPE_CHECKING:
    from trading_runtime.deployments.state import DeploymentState, SupervisorFolder

_FOLDER = click.option(
    "--folder",
    type=click.Path(path_type=Path),
    default=Path(),
    help="The folder of the deployments that a supervisor keeps up; default: the current one.",
)
_NAME = click.argument("name")
_WATCH_SECONDS = 1.0
_HISTORY_SHOWN = 10


@click.group()
def deployments() -> None:
    """Keep strategies and programs up on this machine; see and steer them."""


@deployments.command()
@click.argument("places", nargs=-1, required=True, metavar="DIR|FILES...")
@click.option("--detach", is_flag=True, help="Leave their processes alone at the end.")
def up(places: tuple[str, ...], *, detach: bool) -> int:
    """Keep the deployments in a folder, or in files, up until this command is stopped.

    A new file is started, a removed one stopped, and a changed one restarted. What crashes is
    started again, as its section 'restart' says.
    """
    import contextlib

    from trading_runtime.deployments.desired import places_of
    from trading_runtime.deployments.state import FOLDER, SupervisorFolder
    from trading_runtime.deployments.supervisor import Supervisor

    named = places_of(places)
    folders = list(dict.fromkeys(place if place.is_dir() else place.parent for place in named))
    own, *others = (SupervisorFolder(folder / FOLDER) for folder in folders)
    with contextlib.ExitStack() as held:
        for other in others:
            held.enter_context(other.held())
        received = Supervisor(named, own, _say, detach=detach).run()
    return 128 + (received or 0)


@deployments.command("list")
@_FOLDER
@click.option("--watch", "-w", is_flag=True, help="Show a table that stays current.")
@JSON
def list_(folder: Path, *, watch: bool, as_json: bool) -> None:
    """List the deployments of a folder."""
    found = _folder(folder)
    if as_json:
        states = [_document(state) for state in found.read_states().values()]
        content = {"supervised": found.is_held, "deployments": states}
        click.echo(json.dumps(content, ensure_ascii=False))
    elif watch:
        _watch(found)
    else:
        click.echo("\n".join(_table(found)))


@deployments.command()
@_NAME
@_FOLDER
@JSON
def show(name: str, folder: Path, *, as_json: bool) -> None:
    """Show one deployment, and what happened to it."""
    found = _folder(folder)
    state = _state(found, name)
    if as_json:
        click.echo(json.dumps(_document(state), ensure_ascii=False))
        return
    lines = {
        "deployment": state.name,
        "file": state.file,
        "runs": state.what,
        "phase": f"{state.phase} since {_instant(state.since)}",
        "why": state.why,
        "run": state.run_id or "none yet",
        "process": str(state.pid or "none"),
        "log": state.log or "none yet",
        "limits": state.limits,
        "restarts": f"{state.restart_count} ever, {len(state.restarts)} within the hour",
    }
    for key, value in lines.items():
        click.echo(f"{key:<11} {value}")
    if state.problem:
        click.echo(f"problem     {state.problem}")
    for when, text in state.history[-_HISTORY_SHOWN:]:
        click.echo(f"{_instant(when)}  {text}")
    if not found.is_held:
        click.echo("no supervisor runs: this is how the last one left it", err=True)


@deployments.command()
@_NAME
@_FOLDER
@click.option("--follow", "-f", is_flag=True, help="Go on with what is added.")
def logs(name: str, folder: Path, *, follow: bool) -> None:
    """Print what the process of a deployment printed, in its latest run."""
    from trading_runtime.deployments.logs import follow as added
    from trading_runtime.deployments.logs import parts_of

    found = _folder(folder)
    state = _state(found, name)
    for part in parts_of(state):
        sys.stdout.buffer.write(part)
    sys.stdout.flush()
    if follow:

        def newest() -> Path | None:
            log = _state(found, name).log
            return None if log is None else Path(log)

        for part in added(newest):
            sys.stdout.buffer.write(part)
            sys.stdout.flush()


@deployments.command()
@_NAME
@_FOLDER
def restart(name: str, folder: Path) -> None:
    """End the process of a deployment, and start it again."""
    _ask(name, folder, "is restarted", wanted=True, again=True)


@deployments.command()
@_NAME
@_FOLDER
def stop(name: str, folder: Path) -> None:
    """End the process of a deployment; it stays stopped until it is started again."""
    _ask(name, folder, "is stopped", wanted=False, again=False)


@deployments.command()
@_NAME
@_FOLDER
def start(name: str, folder: Path) -> None:
    """Start a deployment that was stopped, killed, given up or has ended."""
    from trading_runtime.deployments.state import Phase

    is_running = _state(_folder(folder), name).phase is Phase.RUNNING
    _ask(name, folder, "is started", wanted=True, again=not is_running)


def _ask(name: str, folder: Path, what: str, *, wanted: bool, again: bool) -> None:
    from trading_runtime.deployments.state import Request

    found = _folder(folder)
    _state(found, name)
    turn = found.request(name).turn + again
    found.write_request(name, Request(wanted, turn))
    if found.is_held:
        click.echo(f"{name} {what}")
    else:
        click.echo(f"{name} {what} when a supervisor runs over {folder}")


def _folder(folder: Path) -> SupervisorFolder:
    from trading_runtime.deployments.state import FOLDER, SupervisorFolder

    found = SupervisorFolder(folder.absolute() / FOLDER)
    if not found.states.is_dir():
        raise UsageError(
            f"{folder.absolute()}: no supervisor has run there; start one with "
            "'trading-runtime deployments up DIR', or name its folder with --folder"
        )
    return found


def _state(folder: SupervisorFolder, name: str) -> DeploymentState:
    states = folder.read_states()
    if name not in states:
        known = f"there are {', '.join(states)}" if states else "there is none"
        raise UsageError(f"no deployment {name!r}: {known}")
    return states[name]


def _document(state: DeploymentState) -> dict[str, Any]:
    content = asdict(state)
    content["since"] = _instant(state.since)
    content["due"] = None if state.due is None else _instant(state.due)
    content["restarts"] = [_instant(when) for when in state.restarts]
    content["history"] = [{"time": _instant(when), "what": what} for when, what in state.history]
    del content["seen"], content["mark"], content["turn"]
    return content


_COLUMNS = ("name", "phase", "since", "restarts", "run", "why")


def _rows(folder: SupervisorFolder) -> list[tuple[str, ...]]:
    return [
        (
            state.name,
            state.phase,
            _instant(state.since),
            str(state.restart_count),
            state.run_id or "",
            state.problem or state.why,
        )
        for state in folder.read_states().values()
    ]


def _table(folder: SupervisorFolder) -> list[str]:
    rows = [_COLUMNS, *_rows(folder)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_COLUMNS) - 1)]
    lines = [
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[-1]])
        for row in rows
    ]
    if not folder.is_held:
        lines.append("no supervisor runs: this is how the last one left them")
    return [line.rstrip() for line in lines]


def _watch(folder: SupervisorFolder) -> None:
    try:
        from rich.live import Live
        from rich.table import Table
    except ImportError as error:
        raise UsageError(
            "--watch needs the package 'rich'; install it with 'pip install -r "
            "requirements-terminal.txt'"
        ) from error

    def shown() -> Table:
        title = None if folder.is_held else "no supervisor runs"
        table = Table(*_COLUMNS, title=title)
        for row in _rows(folder):
            table.add_row(*row)
        return table

    with Live(shown(), auto_refresh=False) as live:
        while True:
            time.sleep(_WATCH_SECONDS)
            live.update(shown(), refresh=True)


def _instant(seconds: float) -> str:
    return dt.datetime.fromtimestamp(seconds, dt.UTC).isoformat(timespec="seconds")


def _say(line: str) -> None:
    click.echo(f"{_instant(time.time())} {line}")
    sys.stdout.flush()
