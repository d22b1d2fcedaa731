"""The commands ``schedule``: experiments that a cluster runs at set times."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from trading_runtime.cli.options import JSON
from trading_runtime.cli.terminal import say
from trading_runtime.errors import UsageError
from trading_runtime.planning.pod_batches import BATCH_SECONDS, MOST_BATCHES

if TYPE_CHECKING:
    from trading_runtime.argo.scheduled_research import ScheduleSight

_NAMESPACE = click.option(
    "--namespace", "-n", help="Of the cluster; default: that of the current context."
)
_NAME = click.argument("name")


@click.group()
def schedule() -> None:
    """Run experiments again at times, on a cluster."""


@schedule.command()
@click.argument("file")
@click.option("--image", help="The image that pods run, by digest; default: the template's.")
@click.option("--deadline", default=6 * 3_600, help="Seconds after which a run is ended.")
@_NAMESPACE
@click.option("--dry-run", is_flag=True, help="Print the CronWorkflow; send nothing.")
def apply(
    file: str, image: str | None, deadline: int, namespace: str | None, *, dry_run: bool
) -> None:
    """Run the experiment in FILE at the times of its section 'schedule'.

    Each time is a run of its own. What earlier runs stored is not computed again.
    """
    from trading_runtime.argo.cluster_objects import as_yaml
    from trading_runtime.argo.kubectl_command import KubectlCommand
    from trading_runtime.argo.scheduled_research import research_schedule
    from trading_runtime.argo.submitting import prepare_submission

    kubectl = None if dry_run else KubectlCommand(namespace)
    submission = prepare_submission(
        file, image=image, batch_seconds=BATCH_SECONDS, most_batches=MOST_BATCHES
    )
    text = as_yaml([research_schedule(submission, deadline, dt.datetime.now(dt.UTC))])
    if kubectl is None:
        say(text, nl=False)
        return
    submission.upload()
    say(kubectl.apply(text, dry_run=False), nl=False)


@schedule.command("list")
@_NAMESPACE
@JSON
def list_(namespace: str | None, *, as_json: bool) -> None:
    """List the schedules of a namespace."""
    found = _sights(namespace)
    if as_json:
        say(json.dumps([asdict(sight) for sight in found], ensure_ascii=False))
        return
    for sight in found:
        state = "suspended" if sight.suspended else "on"
        say(
            f"{sight.name}  {sight.cron} {sight.time_zone}  {state}  last {sight.last or 'never'}  "
            f"{sight.succeeded} succeeded, {sight.failed} failed"
        )


@schedule.command()
@_NAME
@_NAMESPACE
@JSON
def show(name: str, namespace: str | None, *, as_json: bool) -> None:
    """Show one schedule."""
    found = {sight.name: sight for sight in _sights(namespace)}
    if name not in found:
        raise UsageError(f"no schedule {name!r}; there are {', '.join(found) or 'none'}")
    content = asdict(found[name])
    if as_json:
        say(json.dumps(content, ensure_ascii=False))
        return
    for key, value in content.items():
        shown = ", ".join(value) if isinstance(value, list) else value
        say(f"{key:<11} {'none' if shown in (None, '') else shown}")


@schedule.command()
@_NAME
@_NAMESPACE
def suspend(name: str, namespace: str | None) -> None:
    """Suspend a schedule; runs that would have started meanwhile are skipped."""
    _cron(name, namespace, "suspend", "is suspended")


@schedule.command()
@_NAME
@_NAMESPACE
def resume(name: str, namespace: str | None) -> None:
    """Resume a suspended schedule."""
    _cron(name, namespace, "resume", "is resumed")


@schedule.command()
@_NAME
@_NAMESPACE
def remove(name: str, namespace: str | None) -> None:
    """Remove a schedule; its runs and their results stay."""
    _cron(name, namespace, "delete", "is removed")


def _sights(namespace: str | None) -> list[ScheduleSight]:
    from trading_runtime.argo.kubectl_command import KubectlCommand
    from trading_runtime.argo.scheduled_research import RESEARCH, sight_of_schedule

    return [sight_of_schedule(item) for item in KubectlCommand(namespace).schedules(RESEARCH)]


def _cron(name: str, namespace: str | None, word: str, what: str) -> None:
    from trading_runtime.argo.argo_command import ArgoCommand

    ArgoCommand(namespace).cron(word, name)
    say(f"{name} {what}")
