"""The commands ``deployments``: strategies and programs that are kept up on this machine."""

from __future__ import annotations

import codecs
import datetime as dt
import json
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from trading_runtime.cli.options import JSON
from trading_runtime.cli.terminal import print_table, say
from trading_runtime.errors import UsageError
from trading_runtime.text import for_line

if TYPE_CHECKING:
    from trading_runtime.deployments.state import DeploymentState, SupervisorFolder

_FOLDER = click.option(
    "--folder",
    type=click.Path(path_type=Path),
    default=Path(),
    help="The folder of the deployments that a supervisor keeps up; default: the current one.",
)
_NAME = click.argument("name")
_CLUSTER = click.option("--cluster", is_flag=True, help="Of a cluster, through kubectl and argo.")
_NAMESPACE = click.option(
    "--namespace", "-n", help="On a cluster; default: that of the current context."
)
_IMAGE = click.option("--image", help="The image that pods run, by digest: name@sha256:...")
_PORTS = click.option(
    "--egress-port",
    "ports",
    type=click.IntRange(1, 65_535),
    multiple=True,
    help="A port beside 443 that pods reach: of the venue or of storage; may be repeated.",
)
_LIVE = click.option("--live", is_flag=True, help="Let its orders go to a venue; for 'mode: live'.")
_WATCH_SECONDS = 1.0
_HISTORY_SHOWN = 10


@click.group()
def deployments() -> None:
    """Keep strategies and programs up on this machine; see and steer them."""


@deployments.command()
@click.argument("places", nargs=-1, required=True, metavar="DIR|FILES...")
@click.option("--detach", is_flag=True, help="Leave their processes alone at the end.")
@click.option(
    "--live",
    multiple=True,
    metavar="NAME",
    help="Let orders of this deployment go to a venue; for 'mode: live'; may be repeated.",
)
def up(places: tuple[str, ...], live: tuple[str, ...], *, detach: bool) -> int:
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
        allowed = frozenset(live)
        received = Supervisor(named, own, _say, detach=detach, live=allowed).run()
    return 128 + (received or 0)


@deployments.command()
@click.argument("file", type=click.Path(path_type=Path))
@_IMAGE
@_PORTS
@_LIVE
def render(file: Path, image: str | None, ports: tuple[int, ...], *, live: bool) -> None:
    """Print the objects that keep the deployment in FILE up on Kubernetes, as YAML.

    Nothing is sent: 'apply' also sends the strategy's code where the image lacks it.
    """
    from trading_runtime.argo.cluster_objects import as_yaml
    from trading_runtime.argo.kept_on_cluster import prepare_for_cluster

    prepared = prepare_for_cluster(file, image, ports, is_live=live)
    say(as_yaml(prepared.documents(dt.datetime.now(dt.UTC))), nl=False)


@deployments.command()
@click.argument("file", type=click.Path(path_type=Path))
@_IMAGE
@_PORTS
@_LIVE
@_NAMESPACE
@click.option("--dry-run", is_flag=True, help="Ask the cluster whether it would take the objects.")
def apply(  # noqa: PLR0913 - a command's options
    file: Path,
    image: str | None,
    ports: tuple[int, ...],
    namespace: str | None,
    *,
    live: bool,
    dry_run: bool,
) -> None:
    """Keep the deployment in FILE up on Kubernetes; one that is there is rolled over."""
    from trading_runtime.argo.cluster_objects import as_yaml
    from trading_runtime.argo.kept_on_cluster import prepare_for_cluster
    from trading_runtime.argo.kubectl_command import KubectlCommand

    kubectl = KubectlCommand(namespace)
    prepared = prepare_for_cluster(file, image, ports, is_live=live)
    if not dry_run:
        prepared.upload()
    text = as_yaml(prepared.documents(dt.datetime.now(dt.UTC)))
    say(kubectl.apply(text, dry_run=dry_run), nl=False)


@deployments.command("list")
@_FOLDER
@click.option("--watch", "-w", is_flag=True, help="Show a table that stays current.")
@_CLUSTER
@_NAMESPACE
@JSON
def list_(
    folder: Path, namespace: str | None, *, watch: bool, cluster: bool, as_json: bool
) -> None:
    """List the deployments of a folder, or of a cluster."""
    if cluster:
        _list_of_cluster(namespace, as_json=as_json)
        return
    found = _folder(folder)
    if as_json:
        states = [_document(state) for state in found.read_states().values()]
        problems = found.read_problems()
        content = {"supervised": found.is_held, "deployments": states, "problems": problems}
        say(json.dumps(content, ensure_ascii=False))
    elif watch:
        _watch(found)
    else:
        _print_table(found)


@deployments.command()
@_NAME
@_FOLDER
@JSON
def show(name: str, folder: Path, *, as_json: bool) -> None:
    """Show one deployment, and what happened to it."""
    found = _folder(folder)
    state = _state(found, name)
    if as_json:
        say(json.dumps(_document(state), ensure_ascii=False))
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
        say(f"{key:<11} {value}")
    if state.problem:
        say(f"problem     {state.problem}")
    for when, text in state.history[-_HISTORY_SHOWN:]:
        say(f"{_instant(when)}  {text}")
    if not found.is_held:
        say("no supervisor runs: this is how the last one left it", err=True)


@deployments.command()
@_NAME
@_FOLDER
@click.option("--follow", "-f", is_flag=True, help="Follow what is added.")
@_CLUSTER
@_NAMESPACE
def logs(name: str, folder: Path, namespace: str | None, *, follow: bool, cluster: bool) -> int:
    """Print what the process of a deployment printed, in its latest run."""
    if cluster:
        from trading_runtime.argo.kubectl_command import KubectlCommand

        return KubectlCommand(namespace).logs(name, follow=follow)
    from trading_runtime.deployments.logs import follow as added
    from trading_runtime.deployments.logs import parts_of

    found = _folder(folder)
    state = _state(found, name)
    for part in parts_of(state):
        say(part.decode(errors="replace"), nl=False)
    if follow:

        def newest() -> Path | None:
            log = _state(found, name).log
            return None if log is None else Path(log)

        # A piece may end within a character.
        text = codecs.getincrementaldecoder("utf-8")(errors="replace")
        for part in added(newest):
            say(text.decode(part), nl=False)
    return 0


@deployments.command()
@_NAME
@_FOLDER
@_CLUSTER
@_NAMESPACE
def restart(name: str, folder: Path, namespace: str | None, *, cluster: bool) -> None:
    """End the process of a deployment, and start it again."""
    if cluster:
        from trading_runtime.argo.kubectl_command import KubectlCommand

        KubectlCommand(namespace).restart(name)
        say(f"{name} is restarted")
        return
    _ask(name, folder, "restarted", wanted=True, again=True)


@deployments.command()
@_NAME
@_FOLDER
@_CLUSTER
@_NAMESPACE
def stop(name: str, folder: Path, namespace: str | None, *, cluster: bool) -> None:
    """End the process of a deployment; it stays stopped until it is started again."""
    if cluster:
        _scale(namespace, name, 0)
        return
    _ask(name, folder, "stopped", wanted=False, again=False)


@deployments.command()
@_NAME
@_FOLDER
@_CLUSTER
@_NAMESPACE
def start(name: str, folder: Path, namespace: str | None, *, cluster: bool) -> None:
    """Start a deployment that was stopped, killed, given up or has ended."""
    if cluster:
        _scale(namespace, name, 1)
        return
    from trading_runtime.deployments.state import Phase

    is_running = _state(_folder(folder), name).phase is Phase.RUNNING
    _ask(name, folder, "started", wanted=True, again=not is_running)


def _scale(namespace: str | None, name: str, replicas: int) -> None:
    """Start or stop a deployment on a cluster, with the times that would do it as well."""
    from trading_runtime.argo.argo_command import ArgoCommand
    from trading_runtime.argo.kubectl_command import KubectlCommand

    kubectl = KubectlCommand(namespace)
    # First, so that no time comes in between.
    for cron in kubectl.crons(name):
        ArgoCommand(namespace).cron("resume" if replicas else "suspend", cron)
    kubectl.scale(name, replicas)
    say(f"{name} is {'started' if replicas else 'stopped'}")


def _list_of_cluster(namespace: str | None, *, as_json: bool) -> None:
    from trading_runtime.argo.kubectl_command import KubectlCommand

    found = KubectlCommand(namespace).deployments()
    if as_json:
        content = {"deployments": [asdict(sight) for sight in found]}
        say(json.dumps(content, ensure_ascii=False))
        return
    rows = [("name", "phase", "restarts", "pod", "why")]
    rows += [
        (sight.name, sight.phase, str(sight.restarts), sight.pod or "", sight.why)
        for sight in found
    ]
    print_table(rows)


def _ask(name: str, folder: Path, what: str, *, wanted: bool, again: bool) -> None:
    from trading_runtime.deployments.state import Request

    found = _folder(folder)
    _state(found, name)
    turn = found.request(name).turn + again
    found.write_request(name, Request(wanted, turn))
    if found.is_held:
        say(f"{name} is being {what}")
    else:
        say(f"{name} will be {what} when a supervisor runs over {folder.absolute()}")


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


_COLUMNS = ("name", "phase", "since", "restarts", "limits", "run", "why")


def _rows(folder: SupervisorFolder) -> list[tuple[str, ...]]:
    return [
        (
            state.name,
            state.phase,
            _instant(state.since),
            str(state.restart_count),
            state.limits.partition(":")[0],
            state.run_id or "",
            state.problem or state.why,
        )
        for state in folder.read_states().values()
    ]


def _print_table(folder: SupervisorFolder) -> None:
    print_table([_COLUMNS, *_rows(folder)])
    for problem in folder.read_problems().values():
        say(f"error: {problem}")
    if not folder.is_held:
        say("no supervisor runs: this is how the last one left them")


def _watch(folder: SupervisorFolder) -> None:
    try:
        from rich.live import Live
        from rich.table import Table
        from rich.text import Text
    except ImportError as error:
        raise UsageError(
            "--watch needs the package 'rich'; install it with "
            "'pip install \"trading-runtime[terminal]\"'"
        ) from error

    def shown() -> Table:
        title = None if folder.is_held else "no supervisor runs"
        table = Table(*_COLUMNS, title=title)
        for row in _rows(folder):
            table.add_row(*(Text(for_line(cell)) for cell in row))
        return table

    with Live(shown(), auto_refresh=False) as live:
        while True:
            time.sleep(_WATCH_SECONDS)
            live.update(shown(), refresh=True)


def _instant(seconds: float) -> str:
    return dt.datetime.fromtimestamp(seconds, dt.UTC).isoformat(timespec="seconds")


def _say(line: str) -> None:
    say(f"{_instant(time.time())} {line}")
    sys.stdout.flush()
