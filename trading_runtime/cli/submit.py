"""The command ``submit``: the same experiment on a cluster."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING

import click

from trading_runtime.cli.options import JSON
from trading_runtime.cli.terminal import say
from trading_runtime.errors import StorageError, TransientError
from trading_runtime.planning.pod_batches import BATCH_SECONDS, MOST_BATCHES

if TYPE_CHECKING:
    from trading_runtime.argo.argo_command import ArgoCommand, Sight
    from trading_runtime.argo.submitting import Submission


@click.command()
@click.argument("file")
@click.option(
    "--image",
    help="The image that pods run, by digest: name@sha256:...; default: the template's.",
)
@click.option("--namespace", "-n", help="Where to submit; default: that of the current context.")
@click.option("--run-id", help="Name of the run; the same id and plan again resumes it.")
@click.option(
    "--split",
    type=click.IntRange(0),
    help="Run the search inside this split of 'validation', for the run that --run-id names.",
)
@click.option(
    "--batch-seconds",
    type=click.FloatRange(min=0, min_open=True),
    default=BATCH_SECONDS,
    show_default=True,
    help="What a pod shall compute for, in seconds.",
)
@click.option(
    "--most-batches",
    type=click.IntRange(1, MOST_BATCHES),
    default=MOST_BATCHES,
    show_default=True,
    help="More pods are never made; they get more to do instead.",
)
@click.option(
    "--parameter",
    "-p",
    "given",
    multiple=True,
    metavar="NAME=VALUE",
    help="A parameter of the workflow, such as memory-mib=8192; may be repeated.",
)
@click.option("--dry-run", is_flag=True, help="Show what would run; send and start nothing.")
@click.option("--watch", is_flag=True, help="Follow the run, and end with its exit code.")
@JSON
def submit(  # noqa: PLR0913 - one argument per option
    *,
    file: str,
    image: str | None,
    namespace: str | None,
    run_id: str | None,
    split: int | None,
    batch_seconds: float,
    most_batches: int,
    given: tuple[str, ...],
    dry_run: bool,
    watch: bool,
    as_json: bool,
) -> int:
    """Run the experiment in FILE on a cluster with Argo Workflows.

    Data and results are in S3. Strategy code that is not in the image is sent along.
    """
    from trading_runtime.argo.argo_command import ArgoCommand
    from trading_runtime.argo.parameters import checked_parameters
    from trading_runtime.argo.submitting import prepare_submission

    if dry_run and watch:
        raise click.UsageError("--dry-run starts nothing that --watch could follow")
    for_pods = checked_parameters(given)
    argo = None if dry_run else ArgoCommand(namespace)
    submission = prepare_submission(
        file,
        run_id=run_id,
        image=image,
        batch_seconds=batch_seconds,
        most_batches=most_batches,
        for_pods=for_pods,
        split=split,
    )
    say("\n".join(_lines(submission)), err=as_json)
    workflow = None
    if argo is not None:
        submission.upload()
        workflow = argo.submit(submission.parameters)
        if not as_json:
            where = f" -n {namespace}" if namespace else ""
            say(f"workflow    {workflow}: follow it with 'argo watch {workflow}{where}'")
    if as_json:
        say(json.dumps(_facts(submission, workflow), ensure_ascii=False))
    return _follow(argo, workflow, submission) if watch and argo and workflow else 0


def _follow(argo: ArgoCommand, workflow: str, submission: Submission) -> int:
    from trading_runtime.cli.runs import progress_text
    from trading_runtime.runs.progress import JournalFollower, Tally

    # Argo hears of tasks only from pods that run for some time, and counts the others as one each.
    follower, tally = JournalFollower(submission.prepared.store, submission.run_id), Tally()

    def show(sight: Sight) -> None:
        with contextlib.suppress(StorageError, TransientError):
            tally.add(follower.entries())
        progress = progress_text(tally) if tally.tasks else ""
        parts = [sight.phase, progress, sight.message]
        say(f"{workflow}: {' '.join(part for part in parts if part)}", err=True)

    try:
        ended = argo.watch(workflow, show)
    except KeyboardInterrupt:
        say(f"{workflow} continues; 'argo stop {workflow}' ends it", err=True)
        raise
    return ended.exit_code or 0


def _lines(submission: Submission) -> list[str]:
    from trading_runtime.argo.submitting import seconds_of_a_pod

    prepared = submission.prepared
    plan = prepared.plan
    tasks, pending, seconds = len(plan.tasks), len(plan.uncached), plan.seconds
    longest = seconds_of_a_pod(submission)
    if not pending:
        time = "nothing to compute"
    elif seconds is None or longest is None:
        time = "not known before a first run"
    else:
        time = f"{seconds:,.0f} s of computing, at most {longest:,.0f} s in one pod"
    code = "in the image"
    if submission.code is not None:
        code = f"{len(prepared.code.files):,} files, {len(submission.code) / 1e3:,.0f} kB, sent"
    search = prepared.loaded.experiment.search
    searched = []
    if search is not None and search.is_adaptive:
        first = f"{search.points:,} points at most; below, the first {len(plan.points):,}"
        searched = [f"search      {search.method}: {first}"]
    return [
        f"run         {submission.run_id}",
        f"experiment  {plan.experiment_name}, to {submission.address}",
        *searched,
        f"tasks       {tasks:,}, of which {tasks - pending:,} are stored already",
        f"pods        {submission.pods:,}",
        f"estimate    {time}",
        f"code        {code}",
        f"image       {submission.image or 'the default of the template'}",
        f"results     {prepared.store.place}",
        *(f"warning     {item}" for item in plan.warnings),
    ]


def _facts(submission: Submission, workflow: str | None) -> dict[str, object]:
    plan = submission.prepared.plan
    return {
        "run_id": submission.run_id,
        "workflow": workflow,
        "tasks": len(plan.tasks),
        "pending": len(plan.uncached),
        "pods": submission.pods,
        "estimated_seconds": plan.seconds,
        "plan_digest": plan.digest,
        "warnings": [item.document() for item in plan.warnings],
        "parameters": submission.parameters,
    }
